/** Device nodes in tests. Nothing here opens one. */
import { execFileSync } from 'node:child_process'
import { lstatSync } from 'node:fs'

/** `major:minor` of a device number as stat(2) gives it (`gnu_dev_major`, makedev(3)). */
const spelled = (rdev: bigint): string => {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn)
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & ~0xffn)
  return `${major}:${minor}`
}

/** The device of the node at a path; a symlink is not followed. */
export const numberOf = (path: string): string => {
  const status = lstatSync(path, { bigint: true })
  if (!status.isCharacterDevice() && !status.isBlockDevice()) throw new Error(`${path} is no device`)
  return spelled(status.rdev)
}

export const makeNode = (path: string, number: string, type: 'character' | 'block' = 'character'): void => {
  execFileSync('mknod', [path, type === 'character' ? 'c' : 'b', ...number.split(':')])
}
