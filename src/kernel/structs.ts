/** Layouts of the C structures we fill, as koffi computes them for this machine: no offset is counted by hand. */
import koffi, { type TypeObject } from 'koffi'

const iovec = koffi.struct({ base: 'uintptr_t', length: 'size_t' })

const msghdr = koffi.struct({
  name: 'uintptr_t',
  nameLength: 'uint32_t',
  parts: 'uintptr_t',
  partCount: 'size_t',
  control: 'uintptr_t',
  controlLength: 'size_t',
  flags: 'int',
})

const cmsghdr = koffi.struct({ length: 'size_t', level: 'int', type: 'int' })

/** What SCM_CREDENTIALS carries (unix(7)). */
const ucred = koffi.struct({ pid: 'int', uid: 'uint32_t', gid: 'uint32_t' })

/** The kernel packs it on x86_64 alone (epoll_ctl(2), `EPOLL_PACKED`). */
const epollEvent = (process.arch === 'x64' ? koffi.pack : koffi.struct)({
  events: 'uint32_t',
  data: 'uint64_t',
})

const openHow = koffi.struct({ flags: 'uint64_t', mode: 'uint64_t', resolve: 'uint64_t' })

const statx = koffi.struct({
  mask: 'uint32_t',
  blockSize: 'uint32_t',
  attributes: 'uint64_t',
  links: 'uint32_t',
  uid: 'uint32_t',
  gid: 'uint32_t',
  mode: 'uint16_t',
  spare: 'uint16_t',
  inode: 'uint64_t',
  length: 'uint64_t',
  blocks: 'uint64_t',
  attributesMask: 'uint64_t',
  accessed: koffi.array('uint64_t', 2),
  bornSeconds: 'int64_t',
  bornNanoseconds: 'uint32_t',
  bornSpare: 'uint32_t',
  changedSeconds: 'int64_t',
  changedNanoseconds: 'uint32_t',
  changedSpare: 'uint32_t',
  modified: koffi.array('uint64_t', 2),
  rdevMajor: 'uint32_t',
  rdevMinor: 'uint32_t',
  devMajor: 'uint32_t',
  devMinor: 'uint32_t',
  mountId: 'uint64_t',
  rest: koffi.array('uint64_t', 13),
})

/** The part of `union bpf_attr` that a query takes (`linux/bpf.h`). */
const bpfQuery = koffi.struct({
  target: 'uint32_t',
  attachType: 'uint32_t',
  queryFlags: 'uint32_t',
  attachFlags: 'uint32_t',
  programIds: 'uint64_t',
  programCount: 'uint32_t',
  spare: 'uint32_t',
  programAttachFlags: 'uint64_t',
  linkIds: 'uint64_t',
  linkAttachFlags: 'uint64_t',
  revision: 'uint64_t',
})

const sockaddrUn = koffi.struct({ family: 'uint16_t', path: koffi.array('uint8_t', 108) })

const pollfd = koffi.struct({ fd: 'int', events: 'int16_t', revents: 'int16_t' })

const rlimit = koffi.struct({ soft: 'ulong', hard: 'ulong' })

const offsets = <Field extends string>(
  type: TypeObject,
  ...fields: Field[]
): Readonly<Record<Field, number>> =>
  Object.fromEntries(fields.map(field => [field, koffi.offsetof(type, field)])) as Record<Field, number>

export const IOVEC = { size: koffi.sizeof(iovec), ...offsets(iovec, 'base', 'length') }
export const MSGHDR = {
  size: koffi.sizeof(msghdr),
  ...offsets(msghdr, 'name', 'nameLength', 'parts', 'partCount', 'control', 'controlLength', 'flags'),
}
export const CMSGHDR = { size: koffi.sizeof(cmsghdr), ...offsets(cmsghdr, 'length', 'level', 'type') }
export const UCRED = { size: koffi.sizeof(ucred), ...offsets(ucred, 'pid', 'uid', 'gid') }
export const EPOLL_EVENT = { size: koffi.sizeof(epollEvent), ...offsets(epollEvent, 'events', 'data') }
export const OPEN_HOW = { size: koffi.sizeof(openHow), ...offsets(openHow, 'flags', 'mode', 'resolve') }
export const STATX = {
  size: koffi.sizeof(statx),
  ...offsets(
    statx,
    'mask',
    'uid',
    'gid',
    'mode',
    'inode',
    'length',
    'rdevMajor',
    'rdevMinor',
    'devMajor',
    'devMinor',
    'mountId',
  ),
  ...offsets(statx, 'bornSeconds', 'bornNanoseconds', 'changedSeconds', 'changedNanoseconds'),
}
export const BPF_QUERY = {
  size: koffi.sizeof(bpfQuery),
  ...offsets(bpfQuery, 'target', 'attachType', 'queryFlags', 'attachFlags', 'programIds', 'programCount'),
}
export const SOCKADDR_UN = { size: koffi.sizeof(sockaddrUn), ...offsets(sockaddrUn, 'family', 'path') }
export const POLLFD = { size: koffi.sizeof(pollfd), ...offsets(pollfd, 'fd', 'events', 'revents') }

/** CMSG_ALIGN of cmsg(3). */
export const alignControl = (length: number): number => {
  const word = koffi.sizeof('size_t')
  return Math.ceil(length / word) * word
}
export const RLIMIT = { size: koffi.sizeof(rlimit), ...offsets(rlimit, 'soft', 'hard') }
