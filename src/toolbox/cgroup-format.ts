/**
 * What the kernel says of cgroups (cgroups(7)) and of the devices that one allows, as text: `/proc/PID/cgroup`, `mountinfo` and
 * `devices.list`. Pure: who reads the files is another's business.
 */
import type { DeviceNumber } from '../kernel/files.ts'

/** The groups of a process, as paths in their hierarchies. */
export interface Groups {
  /** In that of version 1 whose controller judges devices. */
  readonly devices: string | undefined
  /** In that of version 2. */
  readonly unified: string | undefined
}

/** `5:devices:/app`: number, controllers, path; version 2 has number 0 and no controllers. */
export const groupsIn = (text: string): Groups => {
  let devices: string | undefined
  let unified: string | undefined
  for (const line of text.split('\n')) {
    const [, number, controllers, path] = /^(\d+):([^:]*):(\/.*)$/.exec(line) ?? []
    if (number === '0' && controllers === '') unified = path
    else if (controllers?.split(',').includes('devices') === true) devices = path
  }
  return { devices, unified }
}

/** Where a hierarchy is mounted, and which of its groups shows there. */
export interface Hierarchy {
  readonly mountPoint: string
  readonly root: string
}

export interface Hierarchies {
  readonly devices: Hierarchy | undefined
  readonly unified: Hierarchy | undefined
}

/** Blanks and the like are spelled in octal (proc_pid_mountinfo(5)). */
const unescaped = (field: string): string =>
  field.replace(/\\([0-7]{3})/g, (_whole, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))

const hierarchyOf = (
  line: string,
): { readonly is: keyof Hierarchies; readonly at: Hierarchy } | undefined => {
  const [before = '', after = ''] = line.split(' - ')
  const [, , , root, mountPoint] = before.split(' ')
  const [type, , options = ''] = after.split(' ')
  if (root === undefined || mountPoint === undefined) return undefined
  const at = { root: unescaped(root), mountPoint: unescaped(mountPoint) }
  if (type === 'cgroup2') return { is: 'unified', at }
  return type === 'cgroup' && options.split(',').includes('devices') ? { is: 'devices', at } : undefined
}

/** Of several mounts of one, that which shows most. */
export const hierarchiesIn = (mountinfo: string): Hierarchies => {
  const found: { devices: Hierarchy | undefined; unified: Hierarchy | undefined } = {
    devices: undefined,
    unified: undefined,
  }
  for (const line of mountinfo.split('\n')) {
    const hierarchy = hierarchyOf(line)
    if (hierarchy === undefined) continue
    const known = found[hierarchy.is]
    if (known === undefined || hierarchy.at.root.length < known.root.length)
      found[hierarchy.is] = hierarchy.at
  }
  return found
}

/** The directory of a group; `undefined`: it does not show there. */
export const directoryOf = ({ mountPoint, root }: Hierarchy, group: string): string | undefined => {
  // Outside of our own cgroup namespace: `/../app` (cgroup_namespaces(7)).
  if (group.split('/').includes('..')) return undefined
  const below = root === '/' ? group : group.slice(root.length)
  const shows = root === '/' || group === root || group.startsWith(`${root}/`)
  return shows ? `${mountPoint}${below === '/' ? '' : below}` : undefined
}

/** As the files of the controller spell it, without the access: `c 226:0`. */
export const spelled = ({ type, major, minor }: DeviceNumber): string =>
  `${type === 'character' ? 'c' : 'b'} ${major}:${minor}`

/**
 * Whether a list lets the device be opened for reading and writing: one line has to allow both, as the kernel asks. A group
 * that allows everything but some shows as `a *:* rwm`; what it denies shows nowhere.
 */
export const covers = (list: string, { type, major, minor }: DeviceNumber): boolean =>
  list.split('\n').some(line => {
    const [, itsType, itsMajor, itsMinor, access = ''] =
      /^([abc]) (\*|\d+):(\*|\d+) ([rwm]+)$/.exec(line) ?? []
    return (
      (itsType === 'a' || itsType === (type === 'character' ? 'c' : 'b')) &&
      (itsMajor === '*' || itsMajor === String(major)) &&
      (itsMinor === '*' || itsMinor === String(minor)) &&
      access.includes('r') &&
      access.includes('w')
    )
  })
