/** Whom a role stands for, by whatever a provider wrote into its passwd and group files: read a second time, by the manual. */
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import * as t from 'io-ts'
import { type Account, accountOfRole, idsByName, NOBODY } from '../../../src/model/accounts.ts'
import { check, targetOf } from '../target.ts'

const Kept = t.type({
  role: t.string,
  uid: t.union([t.number, t.null]),
  passwd: t.string,
  group: t.string,
})
type Question = t.TypeOf<typeof Kept>

const NAMES = ['web', 'root', 'nobody', 'a', '0', '1000', '007', '__proto__', 'constructor', 'näme', '']

const name = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...NAMES) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 5 }) },
)

const id = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.constantFrom('0', '1', '1000', '1001', '65534', '4294967294', '007', '0000000000'),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      '',
      '-1',
      '4294967295',
      '4294967296',
      '99999999999',
      '1e3',
      ' 1',
      '0x0',
      '1 ',
      '+1',
      '١',
    ),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 3 }) },
)

const passwdLine = fc.tuple(name, id, id).map(([who, uid, gid]) => `${who}:x:${uid}:${gid}::/:/bin/sh`)
const groupLine = fc
  .tuple(name, id, fc.array(name, { maxLength: 4 }))
  .map(([group, gid, members]) => `${group}:x:${gid}:${members.join(',')}`)

const odd = fc.oneof(
  fc.constantFrom(
    '',
    '# web:x:0:0',
    '+web:x:0:0',
    '-web::0:0',
    'web',
    ':x:0:0',
    'web:x:0',
    'web:x:0:0\r',
    '\0',
  ),
  fc.string({ unit: 'binary', maxLength: 30 }),
)

const file = (line: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc
    .tuple(
      fc.array(fc.oneof({ weight: 6, arbitrary: line }, { weight: 1, arbitrary: odd }), { maxLength: 8 }),
      fc.boolean(),
    )
    .map(([lines, ends]) => lines.join('\n') + (ends ? '\n' : ''))

const questions: fc.Arbitrary<Question> = fc.record({
  role: name,
  uid: fc.oneof(
    { weight: 3, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.constantFrom(0, 1000, 4294967294) },
  ),
  passwd: file(passwdLine),
  group: file(groupLine),
})

/** The greatest is the one that changes nothing (setresuid(2)). */
const numberOf = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,10}$/.test(text) && Number(text) < 2 ** 32 - 1 ? Number(text) : undefined

/** Lines in columns, but for those of NIS, comments, and those that name nobody (passwd(5), group(5)). */
const rows = (text: string): readonly (readonly string[])[] =>
  text
    .split('\n')
    .filter(line => !/^(?:[-+#:]|$)/.test(line))
    .map(line => line.split(':'))

const standsFor = ({ role, uid, passwd, group }: Question): Account => {
  const users = rows(passwd).flatMap(([who, , own, main]) => {
    const [itsUid, gid] = [numberOf(own), numberOf(main)]
    return itsUid === undefined || gid === undefined ? [] : [{ who, uid: itsUid, gid }]
  })
  const wanted = uid ?? numberOf(role)
  const user = users.find(each => (wanted === undefined ? each.who === role : each.uid === wanted))
  const named = user === undefined ? 'nobody' : 'passwd'
  const source = uid !== null ? 'uid' : wanted !== undefined ? 'numeric role' : named
  const itself = wanted ?? user?.uid ?? NOBODY
  if (user === undefined) return { uid: itself, gid: NOBODY, groups: [NOBODY], supplementary: [], source }
  const listed = rows(group).flatMap(([, , gid, members]) => {
    const number = numberOf(gid)
    if (number === undefined || members === undefined) return []
    return members.split(',').includes(user.who ?? '') ? [number] : []
  })
  const groups = [...new Set([user.gid, ...listed])]
  return { uid: itself, gid: user.gid, groups, supplementary: groups, source }
}

const isReadAsTheManualSays = (question: Question): void => {
  const { role, uid, passwd, group } = question
  const account = accountOfRole(role, uid, { passwd, group })
  assert.deepEqual(account, standsFor(question))
  // Nobody becomes root but who is said to be.
  if (account.uid === 0) assert.ok(account.source !== 'nobody')
  for (const [who, number] of idsByName(group)) {
    const first = rows(group).find(([each, , gid]) => each === who && numberOf(gid) !== undefined)
    assert.equal(number, numberOf(first?.[2]))
  }
}

export const target = targetOf('accounts', 'whom a role stands for, by files that a provider wrote', [
  check({ name: 'role', inputs: questions, kept: Kept, tries: 500, holds: isReadAsTheManualSays }),
])
