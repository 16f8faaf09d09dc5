/**
 * Device cgroups in tests: real groups of version 1 that deny everything but what a container has by itself, and processes that
 * try to open a device in them. Without a driver, an open that is allowed gives ENXIO, one that is denied EPERM.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { mayGoOn, PYTHON } from './requirements.ts'

/** Of the two hierarchies, where they are mounted; version 1 is mounted for the test where it is not. */
const mountedAt = (type: 'cgroup' | 'cgroup2', option: string): string | undefined => {
  const line = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map(each => each.split(' - '))
    .find(([, after = '']) => {
      const [itsType, , options = ''] = after.split(' ')
      return itsType === type && (type === 'cgroup2' || options.split(',').includes(option))
    })
  return line?.[0]?.split(' ')[4]
}

const mountDevices = (): string | undefined => {
  const known = mountedAt('cgroup', 'devices')
  if (known !== undefined) return known
  const folder = mkdtempSync(join(tmpdir(), 'pvx-cgroup-'))
  if (spawnSync('mount', ['-t', 'cgroup', '-o', 'devices', 'none', folder]).status === 0) {
    process.on('exit', () => {
      spawnSync('umount', ['--lazy', folder])
      rmdirSync(folder)
    })
    return folder
  }
  rmdirSync(folder)
  return undefined
}

export const hasDeviceControl = (): boolean => mountDevices() !== undefined

/** Whether a test that needs this may go on. */
export const hasDeviceCgroups = (t: TestContext): boolean =>
  mayGoOn(t, !hasDeviceControl() ? 'needs the devices controller of cgroups, version 1' : undefined)

export const hasUnifiedCgroups = (t: TestContext): boolean =>
  mayGoOn(t, mountedAt('cgroup2', '') === undefined ? 'needs cgroups, version 2' : undefined)

export interface TestGroup {
  /** As `/proc/PID/cgroup` has it. */
  readonly path: string
  readonly directory: string
  readonly child: (name: string) => TestGroup
  /** Put a process into it. */
  readonly take: (pid: number) => void
  readonly list: () => readonly string[]
  readonly allow: (device: string) => void
  readonly deny: (device: string) => void
  /** What a process in the group meets that opens a file; `''`: it is open. */
  readonly opens: (path: string) => string
  /** Its processes go back to where they came from; then it is removed, with those below. */
  readonly remove: () => void
}

const TRY = `
import errno, os, sys
try: os.close(os.open(sys.argv[1], os.O_RDWR | os.O_NONBLOCK))
except OSError as error: print(errno.errorcode[error.errno], end='')
`

const groupAt = (root: string, path: string): TestGroup => {
  const directory = join(root, path)
  mkdirSync(directory)
  const children: TestGroup[] = []
  const write = (file: string, text: string): void => writeFileSync(join(directory, file), text)
  return {
    path,
    directory,
    child: name => {
      const child = groupAt(root, `${path}/${name}`)
      children.push(child)
      return child
    },
    take: pid => write('cgroup.procs', `${pid}`),
    list: () =>
      readFileSync(join(directory, 'devices.list'), 'utf8')
        .split('\n')
        .filter(line => line !== '')
        .sort(),
    allow: device => write('devices.allow', device),
    deny: device => write('devices.deny', device),
    opens: file =>
      execFileSync(
        'sh',
        ['-ec', `echo $$ >"$1/cgroup.procs"; exec "$2" -c "$3" "$4"`, 'sh', directory, PYTHON, TRY, file],
        {
          encoding: 'utf8',
        },
      ),
    remove: () => {
      for (const child of children) child.remove()
      for (const pid of readFileSync(join(directory, 'cgroup.procs'), 'utf8').split('\n')) {
        if (pid !== '') writeFileSync(join(root, 'cgroup.procs'), pid)
      }
      // Those that the test has not made itself.
      for (const entry of readdirSync(directory, { withFileTypes: true })) {
        if (entry.isDirectory()) rmdirSync(join(directory, entry.name))
      }
      rmdirSync(directory)
    },
  }
}

let made = 0

/** A new group of version 1; it may do all, as its parent. */
export const openGroup = (): TestGroup => {
  made += 1
  return groupAt(mountDevices() ?? '', `/pvx-test-${process.pid}-${made}`)
}

/** One of version 2, with a program that judges devices (and allows all). */
export const openJudgedGroup = (script: string): TestGroup => {
  made += 1
  const group = groupAt(mountedAt('cgroup2', '') ?? '', `/pvx-test-${process.pid}-${made}`)
  execFileSync(PYTHON, [script, group.directory])
  return group
}

/** What containers have by themselves. */
const USUAL = ['c 1:3 rwm', 'c 1:5 rwm', 'c 1:7 rwm', 'c 1:8 rwm', 'c 1:9 rwm', 'c 5:* rwm', 'c 136:* rwm']

/** Deny all but the usual. */
export const restrict = (group: TestGroup): TestGroup => {
  group.deny('a')
  for (const device of USUAL) group.allow(device)
  return group
}
