/**
 * The accounts of a root: the text of its passwd(5) and group(5) -> who a name or a number stands for. Pure.
 * Nobody asks a name service: what is not in the two files is not known. A malformed line counts for nothing, and so does one
 * that begins with `+` or `-`, which once meant such a service.
 */

/** One line of passwd. */
interface User {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** One line of group. */
interface Group {
  readonly name: string
  readonly gid: number
  readonly members: readonly string[]
}

export interface Accounts {
  readonly users: readonly User[]
  readonly groups: readonly Group[]
}

/** Whom a role stands for, in the numbers of the files. */
export interface AccountUser {
  readonly uid: number
  readonly gid: number
  /** The primary one too. */
  readonly groups: readonly number[]
  readonly source: 'uid' | 'numeric role' | 'passwd' | 'nobody'
}

/** The largest id there is; the one above it means "none" to setresuid(2). */
const LARGEST_ID = 4_294_967_294

/** Who has no account. */
export const NOBODY = 65_534

const idOf = (text: string | undefined): number | undefined => {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined
  const id = Number(text)
  return id <= LARGEST_ID ? id : undefined
}

const TEXT = new TextDecoder()

/** The fields of each line that may be one. */
const linesOf = (bytes: Uint8Array): readonly (readonly string[])[] =>
  TEXT.decode(bytes)
    .split('\n')
    .filter(line => line !== '' && !line.startsWith('+') && !line.startsWith('-') && !line.startsWith('#'))
    .map(line => line.split(':'))

const userFrom = ([name, , uidText, gidText]: readonly string[]): readonly User[] => {
  const uid = idOf(uidText)
  const gid = idOf(gidText)
  return name === undefined || name === '' || uid === undefined || gid === undefined
    ? []
    : [{ name, uid, gid }]
}

const groupFrom = ([name, , gidText, members = '']: readonly string[]): readonly Group[] => {
  const gid = idOf(gidText)
  if (name === undefined || name === '' || gid === undefined) return []
  return [{ name, gid, members: members.split(',').filter(member => member !== '') }]
}

const NOTHING = new Uint8Array(0)

/** What the two files say; one that is not there says nothing. */
export const accountsOf = (passwd: Uint8Array = NOTHING, group: Uint8Array = NOTHING): Accounts => ({
  users: linesOf(passwd).flatMap(userFrom),
  groups: linesOf(group).flatMap(groupFrom),
})

/** The first line with that name counts, as for getpwnam(3). */
export const uidNamed = ({ users }: Accounts, name: string): number | undefined =>
  users.find(user => user.name === name)?.uid

export const gidNamed = ({ groups }: Accounts, name: string): number | undefined =>
  groups.find(group => group.name === name)?.gid

const userWith = (
  { users, groups }: Accounts,
  found: User | undefined,
  uid: number,
  source: AccountUser['source'],
): AccountUser => {
  const user = found ?? users.find(each => each.uid === uid)
  if (user === undefined) return { uid, gid: NOBODY, groups: [NOBODY], source }
  const further = groups.filter(({ members }) => members.includes(user.name)).map(({ gid }) => gid)
  return { uid, gid: user.gid, groups: [...new Set([user.gid, ...further])], source }
}

/** Whom a link's `uid` and role stand for: the number where there is one, else the name, else nobody. */
export const userOf = (accounts: Accounts, role: string, uid: number | null): AccountUser => {
  if (uid !== null) return userWith(accounts, undefined, uid, 'uid')
  const numeric = idOf(role)
  if (numeric !== undefined) return userWith(accounts, undefined, numeric, 'numeric role')
  const name = role === '' ? 'any' : role
  const user = accounts.users.find(each => each.name === name)
  return user === undefined
    ? userWith(accounts, undefined, NOBODY, 'nobody')
    : userWith(accounts, user, user.uid, 'passwd')
}
