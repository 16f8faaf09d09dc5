/**
 * Which DRM device may be given to whom. Pure: numbers, names and roles in, a verdict out.
 * A card (primary node) can set modes and read what is on the screen; a render node can only compute and draw off screen
 * (drm-uapi, "Primary Nodes, DRM Master and Authentication", "Render nodes").
 */
import { E } from '../../src/fp.ts'
import type { InjectError } from '../../src/model/errors.ts'
import type { DeviceNode } from '../../src/toolbox/contract.ts'

export type DrmKind = 'primary' | 'render'

/** `DRM_MAJOR` of `drm/drm_drv.h` in the kernel's sources. */
export const DRM_MAJOR = 226

/** The kinds by their names in `/dev/dri`. */
const kindOfName = (name: string): DrmKind | undefined => {
  if (/^card\d+$/.test(name)) return 'primary'
  return /^renderD\d+$/.test(name) ? 'render' : undefined
}

const lastOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

/**
 * By the minor, of which each kind had 64; nobody is given those of the third kind, control nodes, which are no more. From 192 on
 * (since Linux 6.12) the numbers say nothing, and the kernel's name decides.
 */
const kindOf = ({ minor, kernelName }: DeviceNode): DrmKind | undefined => {
  if (minor < 64) return 'primary'
  if (minor < 128) return undefined
  if (minor < 192) return 'render'
  const [, name] = /^dri\/(.*)$/.exec(kernelName ?? '') ?? []
  return name === undefined ? undefined : kindOfName(name)
}

/** What a role may get; `any` and `admin`: what the provider has. */
const ROLES: ReadonlyMap<string, readonly DrmKind[]> = new Map([
  ['master', ['primary']],
  ['render', ['render']],
  ['any', ['primary', 'render']],
  ['admin', ['primary', 'render']],
])

const mayGet = (role: string, kind: DrmKind): boolean => (ROLES.get(role) ?? ['render']).includes(kind)

/**
 * What can be said before anybody has looked, by the name that is asked for: why the role may not get it, or `null`. A name that
 * is neither a card's nor a render node's says nothing.
 */
export const nameProblem = (role: string, path: string): string | null => {
  const kind = kindOfName(lastOf(path))
  return kind === undefined || mayGet(role, kind) ? null : `role ${role} may not get ${lastOf(path)}`
}

/** Why a device is not given, or `null`. `path`: where the provider has it. */
const problemOf = (role: string, path: string, device: DeviceNode): string | null => {
  const { type, major, minor } = device
  const number = `${major}:${minor}`
  if (type !== 'character') return `it is a block device (${number})`
  if (major !== DRM_MAJOR) return `it is no DRM device (${number})`
  const kind = kindOf(device)
  if (kind === undefined) return `it is neither a card nor a render node (${number})`
  const name = lastOf(path)
  const claimed = kindOfName(name)
  if (claimed !== undefined && claimed !== kind)
    return `it is called ${name}, but is a ${kind} node (${number})`
  return mayGet(role, kind) ? null : `role ${role} may not get ${name} (${number})`
}

/** Of a device that may be given: its kind. */
export const judge = (role: string, path: string, device: DeviceNode): E.Either<InjectError, DrmKind> => {
  // Its name comes with its driver.
  if (device.major === DRM_MAJOR && device.minor >= 192 && device.kernelName === null) {
    return E.left({ _tag: 'DeviceAbsent', path, reason: `no driver has ${device.major}:${device.minor}` })
  }
  const reason = problemOf(role, path, device)
  const kind = kindOf(device)
  return reason === null && kind !== undefined
    ? E.right(kind)
    : E.left({ _tag: 'DeviceRefused', path, reason: reason ?? 'it is of no kind' })
}
