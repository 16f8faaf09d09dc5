/**
 * The user that a role stands for, by a provider's `/etc/passwd` and `/etc/group` (passwd(5), group(5)).
 * Pure: it is handed the files' texts, which a container wrote and which may hold anything. A line that is not of the
 * form is no line; nothing in here can fail.
 */
import { isUid } from './identity.ts'

export interface Account {
  readonly uid: number
  readonly gid: number
  /** Of a user with a line in passwd: all groups, the primary one first. Else none but `gid`. */
  readonly groups: readonly number[]
  /** Those of `groups` that come with the user: none where no line of passwd says what the user is in. */
  readonly supplementary: readonly number[]
  /** What said so: the graph's `uid`, a role in digits, a line of passwd, or nothing. */
  readonly source: 'uid' | 'numeric role' | 'passwd' | 'nobody'
}

export interface AccountFiles {
  readonly passwd: string
  readonly group: string
}

/** What the kernel shows for ids that mean nothing (`/proc/sys/kernel/overflowuid`), and what `nobody` is almost everywhere. */
export const NOBODY = 65_534

interface User {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

const DIGITS = /^[0-9]{1,10}$/

/** A user's or a group's id, in decimal; `undefined` for anything else. */
const idOf = (text: string | undefined): number | undefined => {
  if (text === undefined || !DIGITS.test(text)) return undefined
  const id = Number(text)
  return isUid(id) ? id : undefined
}

/** Lines that name somebody. Those of NIS (`+`, `-`) refer to what we do not ask, and `#` names nobody. */
function* linesOf(text: string): Generator<readonly string[]> {
  for (let at = 0; at < text.length; ) {
    const newline = text.indexOf('\n', at)
    const end = newline < 0 ? text.length : newline
    const first = text[at] ?? ''
    if (end > at && !'+-#:'.includes(first)) yield text.slice(at, end).split(':')
    at = end + 1
  }
}

/** The first user that fits. */
const userWho = (passwd: string, fits: (user: User) => boolean): User | undefined => {
  for (const [name = '', , uid, gid] of linesOf(passwd)) {
    const user = { uid: idOf(uid), gid: idOf(gid) }
    if (user.uid === undefined || user.gid === undefined) continue
    const found = { name, uid: user.uid, gid: user.gid }
    if (fits(found)) return found
  }
  return undefined
}

/** What names stand for in passwd or in group, whose ids both are the third of a line: of two lines the first one counts. */
export const idsByName = (text: string): ReadonlyMap<string, number> => {
  const ids = new Map<string, number>()
  for (const [name = '', , third] of linesOf(text)) {
    const id = idOf(third)
    if (id !== undefined && !ids.has(name)) ids.set(name, id)
  }
  return ids
}

/** The primary group, and those whose line lists the user. */
const groupsOf = (group: string, { name, gid }: User): readonly number[] => {
  const groups = new Set([gid])
  for (const [, , id, members] of linesOf(group)) {
    const listed = idOf(id)
    if (listed !== undefined && members?.split(',').includes(name) === true) groups.add(listed)
  }
  return [...groups]
}

const accountOf = (
  uid: number,
  user: User | undefined,
  group: string,
  source: Account['source'],
): Account => {
  if (user === undefined) return { uid, gid: NOBODY, groups: [NOBODY], supplementary: [], source }
  const groups = groupsOf(group, user)
  return { uid, gid: user.gid, groups, supplementary: groups, source }
}

/**
 * Whom a link's role stands for: its `uid`, where the graph gives one; a role that is a number; the first user of that name;
 * and nobody where there is none. A number has the groups of the first user with that uid.
 */
export const accountOfRole = (role: string, uid: number | null, files: AccountFiles): Account => {
  const numeric = uid ?? idOf(role)
  if (numeric !== undefined) {
    const user = userWho(files.passwd, ({ uid }) => uid === numeric)
    return accountOf(numeric, user, files.group, uid === null ? 'numeric role' : 'uid')
  }
  const user = userWho(files.passwd, ({ name }) => name === role)
  return accountOf(user?.uid ?? NOBODY, user, files.group, user === undefined ? 'nobody' : 'passwd')
}
