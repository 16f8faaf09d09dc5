/**
 * The layouts we hand to the kernel, against the C compiler of the machine the test runs on; against the published
 * figures of x86_64 where there is none.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  alignControl,
  BPF_QUERY,
  CMSGHDR,
  EPOLL_EVENT,
  IOVEC,
  MSGHDR,
  OPEN_HOW,
  POLLFD,
  RLIMIT,
  SOCKADDR_UN,
  STATX,
  UCRED,
} from '../../src/kernel/structs.ts'

const OURS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  IOVEC,
  MSGHDR,
  CMSGHDR,
  EPOLL_EVENT,
  OPEN_HOW,
  STATX,
  SOCKADDR_UN,
  POLLFD,
  RLIMIT,
  BPF_QUERY,
  UCRED,
}

/** Our name of a structure: C's, and its fields by our names. */
const IN_C: Readonly<Record<string, readonly [string, Readonly<Record<string, string>>]>> = {
  IOVEC: ['struct iovec', { base: 'iov_base', length: 'iov_len' }],
  MSGHDR: [
    'struct msghdr',
    {
      name: 'msg_name',
      nameLength: 'msg_namelen',
      parts: 'msg_iov',
      partCount: 'msg_iovlen',
      control: 'msg_control',
      controlLength: 'msg_controllen',
      flags: 'msg_flags',
    },
  ],
  UCRED: ['struct ucred', { pid: 'pid', uid: 'uid', gid: 'gid' }],
  CMSGHDR: ['struct cmsghdr', { length: 'cmsg_len', level: 'cmsg_level', type: 'cmsg_type' }],
  EPOLL_EVENT: ['struct epoll_event', { events: 'events', data: 'data' }],
  OPEN_HOW: ['struct open_how', { flags: 'flags', mode: 'mode', resolve: 'resolve' }],
  STATX: [
    'struct statx',
    {
      mask: 'stx_mask',
      uid: 'stx_uid',
      gid: 'stx_gid',
      mode: 'stx_mode',
      inode: 'stx_ino',
      length: 'stx_size',
      rdevMajor: 'stx_rdev_major',
      rdevMinor: 'stx_rdev_minor',
      devMajor: 'stx_dev_major',
      devMinor: 'stx_dev_minor',
      bornSeconds: 'stx_btime.tv_sec',
      bornNanoseconds: 'stx_btime.tv_nsec',
      changedSeconds: 'stx_ctime.tv_sec',
      changedNanoseconds: 'stx_ctime.tv_nsec',
      mountId: 'stx_mnt_id',
    },
  ],
  // The part that a query takes: its last field is newer than the headers may be.
  BPF_QUERY: [
    'union bpf_attr',
    {
      target: 'query.target_fd',
      attachType: 'query.attach_type',
      queryFlags: 'query.query_flags',
      attachFlags: 'query.attach_flags',
      programIds: 'query.prog_ids',
      programCount: 'query.prog_cnt',
    },
  ],
  SOCKADDR_UN: ['struct sockaddr_un', { family: 'sun_family', path: 'sun_path' }],
  POLLFD: ['struct pollfd', { fd: 'fd', events: 'events', revents: 'revents' }],
  RLIMIT: ['struct rlimit', { soft: 'rlim_cur', hard: 'rlim_max' }],
}

const HEADERS = [
  'stddef.h',
  'stdio.h',
  'sys/socket.h',
  'sys/uio.h',
  'sys/epoll.h',
  'sys/un.h',
  'sys/resource.h',
  'poll.h',
  'linux/bpf.h',
  'linux/openat2.h',
  'linux/stat.h',
]

const program = (): string => {
  const lines = Object.entries(IN_C).flatMap(([ours, [type, fields]]) => [
    `printf("${ours} size %zu\\n", sizeof(${type}));`,
    ...Object.entries(fields).map(
      ([field, theirs]) => `printf("${ours} ${field} %zu\\n", offsetof(${type}, ${theirs}));`,
    ),
  ])
  const alignments = [0, 1, 8, 12, 13, 16, 20, 1012].map(
    n => `printf("ALIGN ${n} %zu\\n", CMSG_ALIGN(${n}));`,
  )
  const includes = HEADERS.map(header => `#include <${header}>`)
  return ['#define _GNU_SOURCE', ...includes, 'int main(void) {', ...lines, ...alignments, '}', ''].join('\n')
}

/** What the compiler says, by `STRUCT field`; `undefined` without one, or without the kernel's headers. */
const asCompiled = (): ReadonlyMap<string, number> | undefined => {
  const folder = mkdtempSync(join(tmpdir(), 'pvx-structs-'))
  try {
    writeFileSync(join(folder, 'layout.c'), program())
    const built = spawnSync('cc', ['-o', join(folder, 'layout'), join(folder, 'layout.c')])
    if (built.status !== 0) return undefined
    const { stdout } = spawnSync(join(folder, 'layout'), { encoding: 'utf8' })
    return new Map(
      stdout
        .trim()
        .split('\n')
        .map(line => {
          const [struct, field, value] = line.split(' ')
          return [`${struct} ${field}`, Number(value)]
        }),
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('every size and offset is the one that the C compiler of this machine uses', t => {
  const theirs = asCompiled()
  if (theirs === undefined) {
    t.skip('needs cc and the kernel headers')
    return
  }
  for (const [struct, layout] of Object.entries(OURS)) {
    for (const [field, value] of Object.entries(layout)) {
      if (struct === 'BPF_QUERY' && field === 'size') continue
      assert.equal(value, theirs.get(`${struct} ${field}`), `${struct}.${field}`)
    }
  }
})

test('control messages are aligned as CMSG_ALIGN does', t => {
  const theirs = asCompiled()
  if (theirs === undefined) {
    t.skip('needs cc')
    return
  }
  for (const [key, value] of theirs) {
    const [kind, length] = key.split(' ')
    if (kind === 'ALIGN') assert.equal(alignControl(Number(length)), value, `CMSG_ALIGN(${length})`)
  }
})

test('on x86_64 the layouts are those of its ABI', t => {
  if (process.arch !== 'x64') {
    t.skip('needs x64')
    return
  }
  assert.deepEqual(EPOLL_EVENT, { size: 12, events: 0, data: 4 })
  assert.deepEqual(CMSGHDR, { size: 16, length: 0, level: 8, type: 12 })
  assert.equal(MSGHDR.size, 56)
  assert.equal(MSGHDR.flags, 48)
  assert.equal(STATX.size, 256)
  assert.equal(STATX.inode, 32)
  assert.equal(STATX.devMinor, 140)
})
