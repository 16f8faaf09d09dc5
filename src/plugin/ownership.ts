/**
 * Whose a file must be for the daemon to run what is in it: root's, and closed to everybody else.
 * A plugin runs as root, so whoever can write it, or can put another in its place, is root too. Pure: looks at
 * what was found, not for it.
 */

/** What lstat(2) found. */
export interface FoundFile {
  readonly path: string
  readonly kind: 'directory' | 'file' | 'symlink' | 'other'
  readonly uid: number
  readonly gid: number
  /** Permission bits, with the sticky one. */
  readonly mode: number
}

/**
 * `above`: on the way to the plugins' folder. `folder`: that folder, or a plugin's own. `inside`: what a plugin's folder
 * holds.
 */
export type Place = 'above' | 'folder' | 'inside'

const ROOT = 0
/** For group and others. A write entry of an access list shows here too: the group's bits are its mask (acl(5)). */
const OTHERS_WRITE = 0o022
const STICKY = 0o1000

const KINDS: Readonly<Record<Place, readonly FoundFile['kind'][]>> = {
  // The way there may lead over symlinks of root's; what they lead to is looked at in the same way.
  above: ['directory', 'symlink'],
  folder: ['directory'],
  inside: ['directory', 'file'],
}

const isOpenToOthers = ({ kind, mode }: FoundFile, place: Place): boolean => {
  // A symlink's mode means nothing.
  if (kind === 'symlink' || (mode & OTHERS_WRITE) === 0) return false
  // In a sticky directory, as /tmp, only root can rename or remove what is root's (inode(7)).
  return place !== 'above' || (mode & STICKY) === 0
}

/** What is wrong with it and what to do, in words. */
export const ownershipProblem = (found: FoundFile, place: Place): string | undefined => {
  const { path, kind, uid, gid } = found
  if (!KINDS[place].includes(kind)) {
    const wanted = place === 'inside' ? 'a file or a folder' : 'a folder'
    return `${path} is ${KIND_WORDS[kind]}, and must be ${wanted} itself: install it there`
  }
  const foreign = uid !== ROOT
  const open = isOpenToOthers(found, place)
  if (!foreign && !open) return undefined
  const mode = (found.mode & 0o7777).toString(8).padStart(4, '0')
  const facts = `owner ${uid}:${gid}, mode ${mode}`
  const what = [foreign ? 'does not belong to root' : '', open ? 'can be written by others than root' : '']
  const remedy = [foreign ? `chown root:root ${word(path)}` : '', open ? `chmod go-w ${word(path)}` : '']
  return `${path} ${joined(what, ' and ')} (${facts}): make sure that nobody has changed it, then ${joined(remedy, ' && ')}`
}

const KIND_WORDS: Readonly<Record<FoundFile['kind'], string>> = {
  directory: 'a folder',
  file: 'a file',
  symlink: 'a symlink',
  other: 'neither a file nor a folder',
}

const joined = (parts: readonly string[], by: string): string => parts.filter(part => part !== '').join(by)

/** As a shell takes it. */
const word = (path: string): string =>
  /^[\w./@%+=:,-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`
