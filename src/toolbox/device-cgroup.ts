/**
 * The cgroup of a process as far as it judges devices: finding it, asking what it allows, telling it. Of version 1 there are
 * files for that (`devices.allow` and its like); in version 2 a BPF program may judge, which can only be found out.
 * Keeps no account of who wanted what (`device-grants.ts`).
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { E } from '../fp.ts'
import { devicePrograms } from '../kernel/bpf.ts'
import { type DeviceNumber, openDirectory, statusAt } from '../kernel/files.ts'
import type { Pid } from '../model/identity.ts'
import { covers, directoryOf, groupsIn, type Hierarchies, hierarchiesIn, spelled } from './cgroup-format.ts'

/** A group of version 1 that can be told. */
export interface DeviceGroup {
  /** As `/proc/PID/cgroup` has it. */
  readonly path: string
  readonly directory: string
  /** Of the directory: numbers are not given twice within one boot. */
  readonly inode: string
}

/** Whose devices are judged how. */
export interface Judges {
  /** The path of its group of version 1. */
  readonly path: string | undefined
  readonly group: DeviceGroup | undefined
  /** There is a group, but its files are not to be seen from here. */
  readonly hidden: string | undefined
  /** A group of version 2 that has programs for this. */
  readonly programs: string | undefined
}

/** The errno of a failed call of node:fs. */
const errnoOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : String(error)

const readText = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // Gone: the process, or the group.
    return undefined
  }
}

/** Read when it is first needed, and again while something is missing: systems mount these once. */
let mounted: Hierarchies | undefined

const hierarchies = (): Hierarchies => {
  if (mounted?.devices !== undefined && mounted.unified !== undefined) return mounted
  mounted = hierarchiesIn(readText('/proc/self/mountinfo') ?? '')
  return mounted
}

const programsOf = (directory: string): number => {
  const opened = openDirectory(directory)
  if (E.isLeft(opened)) return 0
  const count = devicePrograms(opened.right.borrowed, directory)
  opened.right.close()
  // A kernel that cannot be asked has no such programs, or is locked down so that nobody can tell.
  return E.isLeft(count) ? 0 : count.right
}

const groupAt = (path: string, directory: string): DeviceGroup | undefined => {
  const status = statusAt(directory)
  return E.isLeft(status) ? undefined : { path, directory, inode: status.right.inode }
}

/** As things are now; the process may be gone in the next moment. */
export const judgesOf = (pid: Pid): Judges => {
  const groups = groupsIn(readText(`/proc/${pid}/cgroup`) ?? '')
  const { devices, unified } = hierarchies()
  const directory =
    groups.devices === undefined || devices === undefined ? undefined : directoryOf(devices, groups.devices)
  const second =
    groups.unified === undefined || unified === undefined ? undefined : directoryOf(unified, groups.unified)
  return {
    path: groups.devices,
    group:
      groups.devices === undefined || directory === undefined
        ? undefined
        : groupAt(groups.devices, directory),
    // The topmost group allows everything, always.
    hidden: directory === undefined && groups.devices !== '/' ? groups.devices : undefined,
    programs: second !== undefined && programsOf(second) > 0 ? groups.unified : undefined,
  }
}

/** Which group judges the process now, without looking at what it is. */
export const groupPathOf = (pid: Pid): string | undefined =>
  groupsIn(readText(`/proc/${pid}/cgroup`) ?? '').devices

/** `undefined`: it is gone, or another one has its name. */
export const stillThere = ({ path, directory, inode }: DeviceGroup): DeviceGroup | undefined => {
  const now = groupAt(path, directory)
  return now?.inode === inode ? now : undefined
}

/** A group by what a journal knows of it. */
export const groupNoted = (path: string, inode: string): DeviceGroup | undefined => {
  const { devices } = hierarchies()
  const directory = devices === undefined ? undefined : directoryOf(devices, path)
  return directory === undefined ? undefined : stillThere({ path, directory, inode })
}

export const allows = ({ directory }: DeviceGroup, device: DeviceNumber): boolean =>
  covers(readText(`${directory}/devices.list`) ?? '', device)

const tell = (
  directory: string,
  file: 'devices.allow' | 'devices.deny',
  device: string,
): string | undefined => {
  try {
    writeFileSync(`${directory}/${file}`, `${device} rw`)
    return undefined
  } catch (error) {
    return errnoOf(error)
  }
}

const childrenOf = (directory: string): readonly string[] => {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter(entry => entry.isDirectory())
      .map(entry => `${directory}/${entry.name}`)
  } catch {
    // The group went meanwhile, and what was in it.
    return []
  }
}

export interface Told {
  /** Why the group itself was not told; EPERM: the one above it does not allow it. */
  readonly errno: string | undefined
  /** There are more groups below than are told. */
  readonly tooMany: boolean
}

/**
 * Allow a device to a group and, from the top down, to those below: what is allowed to a group does not reach those that are
 * there already (a group that comes later has what its parent has).
 */
export const allow = ({ directory }: DeviceGroup, device: DeviceNumber, mostGroups: number): Told => {
  const errno = tell(directory, 'devices.allow', spelled(device))
  if (errno !== undefined) return { errno, tooMany: false }
  const waiting = [...childrenOf(directory)]
  for (let told = 1; waiting.length > 0; told += 1) {
    if (told >= mostGroups) return { errno: undefined, tooMany: true }
    const child = waiting.shift() ?? directory
    // One that goes meanwhile needs nothing; any other has a parent that was just told.
    if (tell(child, 'devices.allow', spelled(device)) === undefined) waiting.push(...childrenOf(child))
  }
  return { errno: undefined, tooMany: false }
}

/** Take a device away, as the journal spells it, from the groups below too; the kernel sees to that. What is open stays open. */
export const deny = ({ directory }: DeviceGroup, device: string): string | undefined => {
  const errno = tell(directory, 'devices.deny', device)
  return errno === 'ENOENT' || errno === 'ENODEV' ? undefined : errno
}
