/** What becomes of a message, by what is known of the policy. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { FLAG, type MessageHead } from '../../../../plugins/dbus/contract.ts'
import type { Party } from '../../../../plugins/dbus/policy/evaluate.ts'
import { PolicyJudge } from '../../../../plugins/dbus/policy/judge.ts'
import type { Standing } from '../../../../plugins/dbus/policy/provider-policy.ts'
import { owner, policyOf, rules, WEB } from './support.ts'

const BUS_NAME = 'org.freedesktop.DBus'

const head = (fields: Partial<MessageHead> = {}): MessageHead => ({
  littleEndian: true,
  type: 1,
  flags: FLAG.noAutoStart,
  serial: 7,
  bodyBytes: 0,
  path: '/a',
  interface: 'com.a.I',
  member: 'M',
  errorName: undefined,
  replySerial: undefined,
  destination: 'com.a.A',
  sender: undefined,
  signature: '',
  unixFds: 0,
  ...fields,
})

const toBus = (member: string, face: string | undefined = BUS_NAME): MessageHead =>
  head({ destination: BUS_NAME, interface: face, member })

const signal = (fields: Partial<MessageHead> = {}): MessageHead =>
  head({ type: 4, destination: undefined, sender: ':1.5', ...fields })

const NOTHING = new Uint8Array(0)

const judgeOf = (
  standing: Standing,
  enforces = true,
  partyOf: (name: string) => Party = name => owner(name),
) => new PolicyJudge({ user: WEB, standing: () => standing, partyOf, enforces })

const ruledBy = (...list: readonly string[]): Standing => ({
  kind: 'ruled',
  policy: policyOf(rules(...list)),
})
const CLOSED: Standing = { kind: 'closed', reason: 'a.conf: line 3' }

const requestName = (name: string, littleEndian = true): readonly [MessageHead, Uint8Array] => {
  const body = Buffer.alloc(4 + name.length + 1 + 8)
  if (littleEndian) body.writeUInt32LE(name.length)
  else body.writeUInt32BE(name.length)
  body.write(name, 4)
  return [{ ...toBus('RequestName'), signature: 'su', littleEndian }, body]
}

describe('the judge of a policy', () => {
  test('passes everything where there is none', () => {
    const judge = judgeOf({ kind: 'open' })
    assert.deepEqual(judge.judge('consumer', head(), NOTHING), { kind: 'pass' })
    assert.ok(judge.admits())
    assert.ok(!judge.mayOwn('a.B'), 'nobody has said so')
  })

  test('denies calls, drops signals, and says which rule it was', () => {
    const judge = judgeOf(ruledBy('allow send_destination="*"', 'deny send_interface="com.a.I"'))
    assert.deepEqual(judge.judge('consumer', head(), NOTHING), { kind: 'deny', reason: 'policy-send' })
    assert.deepEqual(judge.finding, { reason: 'policy-send', rule: 'bus.conf:1', enforced: true })
    assert.deepEqual(judge.judge('consumer', signal({ sender: undefined }), NOTHING), {
      kind: 'drop',
      reason: 'policy-send',
    })
    assert.deepEqual(judge.judge('consumer', head({ interface: 'com.b.I' }), NOTHING), { kind: 'pass' })
    assert.equal(judge.finding, undefined)
  })

  test('says that no rule allows it', () => {
    const judge = judgeOf(ruledBy())
    judge.judge('consumer', head(), NOTHING)
    assert.equal(judge.finding?.rule, 'no rule allows it')
  })

  test('lets replies and calls from the bus pass, whatever the rules', () => {
    const judge = judgeOf(ruledBy())
    for (const type of [2, 3]) {
      assert.equal(judge.judge('consumer', head({ type, replySerial: 4 }), NOTHING).kind, 'pass')
      assert.equal(judge.judge('provider', head({ type, replySerial: 4 }), NOTHING).kind, 'pass')
    }
    assert.equal(judge.judge('provider', head({ sender: ':1.5' }), NOTHING).kind, 'pass')
  })

  test('lets Hello pass, whatever the rules', () => {
    assert.equal(judgeOf(ruledBy()).judge('consumer', toBus('Hello'), NOTHING).kind, 'pass')
    assert.equal(judgeOf(CLOSED).judge('consumer', toBus('Hello'), NOTHING).kind, 'pass')
    assert.equal(judgeOf(ruledBy()).judge('consumer', head({ member: 'Hello' }), NOTHING).kind, 'deny')
  })

  test('drops signals that the role may not receive, by who sent them', () => {
    const judge = judgeOf(ruledBy('allow receive_sender="*"', 'deny receive_sender="com.b.B"'), true, name =>
      owner(name, 'com.b.B'),
    )
    assert.deepEqual(judge.judge('provider', signal(), NOTHING), { kind: 'drop', reason: 'policy-receive' })
    assert.equal(judge.judge('provider', signal({ sender: BUS_NAME }), NOTHING).kind, 'pass')
  })

  for (const littleEndian of [true, false]) {
    test(`reads the name that is asked for, ${littleEndian ? 'little' : 'big'}-endian`, () => {
      const judge = judgeOf(ruledBy('allow send_destination="*"', 'allow own="a.B"'))
      const [good, goodBody] = requestName('a.B', littleEndian)
      const [bad, badBody] = requestName('a.C', littleEndian)
      assert.ok(judge.bodyWanted('consumer', good) >= 4 + 255)
      assert.equal(judge.judge('consumer', good, goodBody).kind, 'pass')
      assert.deepEqual(judge.judge('consumer', bad, badBody), { kind: 'deny', reason: 'policy-own' })
    })
  }

  test('reads it without an interface too, and from nobody else', () => {
    const judge = judgeOf(ruledBy('allow send_destination="*"'))
    const [asked, body] = requestName('a.B')
    assert.equal(judge.judge('consumer', { ...asked, interface: undefined }, body).kind, 'deny')
    assert.equal(judge.bodyWanted('consumer', { ...asked, interface: 'com.a.I' }), 0)
    assert.equal(judge.bodyWanted('consumer', { ...asked, destination: 'com.a.A' }), 0)
    assert.equal(judge.bodyWanted('provider', asked), 0)
  })

  test('leaves to the bus what is no name', () => {
    const judge = judgeOf(ruledBy('allow send_destination="*"'))
    const [asked, body] = requestName('a.B')
    assert.equal(judge.judge('consumer', { ...asked, signature: 'u' }, body).kind, 'pass')
    assert.equal(judge.judge('consumer', asked, body.subarray(0, 3)).kind, 'pass')
    assert.equal(judge.judge('consumer', asked, body.subarray(0, 6)).kind, 'pass')
  })

  test('closed, leaves Peer and Introspectable of the bus, and what the bus says', () => {
    const judge = judgeOf(CLOSED)
    assert.equal(judge.judge('consumer', toBus('Ping', 'org.freedesktop.DBus.Peer'), NOTHING).kind, 'pass')
    assert.equal(
      judge.judge('consumer', toBus('Introspect', 'org.freedesktop.DBus.Introspectable'), NOTHING).kind,
      'pass',
    )
    assert.equal(judge.judge('provider', signal({ sender: BUS_NAME }), NOTHING).kind, 'pass')
    assert.deepEqual(judge.judge('consumer', toBus('AddMatch'), NOTHING), {
      kind: 'deny',
      reason: 'policy-send',
    })
    assert.deepEqual(judge.judge('consumer', toBus('Ping', undefined), NOTHING), {
      kind: 'deny',
      reason: 'policy-send',
    })
    assert.deepEqual(judge.judge('consumer', head(), NOTHING), { kind: 'deny', reason: 'policy-send' })
    assert.deepEqual(judge.judge('provider', signal(), NOTHING), { kind: 'drop', reason: 'policy-receive' })
    assert.equal(judge.finding?.rule, 'a.conf: line 3')
    assert.ok(judge.admits())
    assert.ok(!judge.mayOwn('a.B'))
  })

  test('counts the rules that it looks at, whatever it is asked', () => {
    const judge = judgeOf(ruledBy('allow send_destination="*"', 'deny own="a.B"', 'deny own="a.C"'))
    const counts = [
      () => judge.mayOwn('a.A'),
      () => judge.judge('consumer', head(), NOTHING),
      () => judge.judge('consumer', ...requestName('a.B')),
      () => judge.judge('provider', signal(), NOTHING),
    ].map(ask => {
      ask()
      return judge.looked
    })
    assert.deepEqual(counts, [2, 3, 6, 6])
  })

  test('refuses who may not connect', () => {
    const judge = judgeOf(ruledBy('deny user="web"'))
    assert.ok(!judge.admits())
    assert.deepEqual(judge.finding, { reason: 'policy-connect', rule: 'bus.conf:1', enforced: true })
  })

  test('that only watches passes everything, and says what it found', () => {
    const judge = judgeOf(ruledBy('deny user="web"', 'allow own="a.B"'), false)
    assert.ok(judge.admits())
    assert.deepEqual(judge.finding, { reason: 'policy-connect', rule: 'bus.conf:1', enforced: false })
    assert.equal(judge.judge('consumer', head(), NOTHING).kind, 'pass')
    assert.deepEqual(judge.finding, { reason: 'policy-send', rule: 'no rule allows it', enforced: false })
    assert.ok(judge.mayOwn('a.B') && !judge.mayOwn('a.C'), 'a filter is held to it all the same')
  })

  test('goes by the policy as it is when the message comes', () => {
    let standing = ruledBy('allow send_destination="*"')
    const judge = new PolicyJudge({
      user: WEB,
      standing: () => standing,
      partyOf: name => owner(name),
      enforces: true,
    })
    assert.equal(judge.judge('consumer', head(), NOTHING).kind, 'pass')
    standing = ruledBy()
    assert.equal(judge.judge('consumer', head(), NOTHING).kind, 'deny')
  })
})
