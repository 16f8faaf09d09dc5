/** What the session makes of its judges' words; and how a connection starts that has a filter. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MessageHead, OwnCall, TrackingJudge, Verdict } from '../../../plugins/dbus/contract.ts'
import type { ConnectionPolicy } from '../../../plugins/dbus/policy/policy.ts'
import type { ByteView, Side } from '../../../src/relay/contract.ts'
import { DbusStage } from '../../support/dbus-stage.ts'
import { BUS, call, hello, helloReply, message, reply, signal, strings } from '../../support/dbus-wire.ts'

const FIRST_OWN = 0xffff0001
const PASS: Verdict = { kind: 'pass' }

/** Does as it is told, message by message: what `verdicts` has for a member; all else passes. Ready after so many replies. */
class ToldJudge implements TrackingJudge {
  readonly verdicts = new Map<string, Verdict>()
  readonly wanted = new Map<string, number>()
  readonly seen: string[] = []
  readonly bodies: string[] = []
  readonly calls: OwnCall[] = []
  readonly #replies: number
  #begun = false
  #heard = 0

  constructor(replies = 2) {
    this.#replies = replies
  }

  bodyWanted(_from: Side, head: MessageHead): number {
    return this.wanted.get(head.member ?? '') ?? 0
  }

  judge(from: Side, head: MessageHead, body: ByteView): Verdict {
    this.seen.push(`${from} ${head.member ?? `to ${head.replySerial}`}`)
    this.bodies.push(Buffer.from(body).toString('latin1'))
    if ((head.replySerial ?? 0) >= FIRST_OWN) {
      this.#heard += 1
      return { kind: 'swallow' }
    }
    return this.verdicts.get(head.member ?? '') ?? PASS
  }

  begin(uniqueName: string): readonly OwnCall[] {
    this.#begun = true
    return [
      { serial: FIRST_OWN, member: 'AddMatch', argument: `arg0='${uniqueName}'` },
      { serial: FIRST_OWN + 1, member: 'ListNames' },
    ]
  }

  recall(head: MessageHead): void {
    this.seen.push(`recalled ${head.member}`)
  }

  nextCalls(): readonly OwnCall[] {
    return this.calls.splice(0)
  }

  get ready(): boolean {
    return this.#begun && this.#heard >= this.#replies
  }
}

const started = (judge = new ToldJudge(0), more: { policy?: ConnectionPolicy } = {}): DbusStage => {
  const stage = new DbusStage({ filter: () => judge, ...more }).begins()
  stage.sends('consumer', hello()).sends('provider', helloReply())
  return stage
}

const members = (stage: DbusStage, to: Side): readonly unknown[] =>
  stage.messages(to).map(({ named }) => named.member ?? `to ${named.replySerial}`)

// The start.

test('a filtered client whose first message is not Hello is closed', () => {
  const firsts = [
    call({ destination: BUS, member: 'ListNames' }),
    call({ destination: 'org.example.Service', member: 'Hello' }),
    call({ destination: BUS, member: 'Hello', interface: 'org.example.Thing' }),
    call({ destination: BUS, member: 'Hello', flags: 1 }),
    signal('Hello'),
    message({ type: 9, fields: [] }),
  ]
  for (const first of firsts) {
    const stage = new DbusStage({ filter: () => new ToldJudge() }).begins().sends('consumer', first)
    assert.deepEqual(stage.reports, ['dbus-protocol-error no-hello'])
    assert.equal(stage.bytes('provider').length, 0)
  }
})

test('the filter asks before the client is answered, and what the client said meanwhile waits', () => {
  const stage = new DbusStage({ filter: () => new ToldJudge() }).begins()
  stage.sends('consumer', Buffer.concat([hello(), call({ serial: 2, member: 'Early' })]))
  assert.deepEqual(members(stage, 'provider'), ['Hello'])
  stage.sends('provider', helloReply())
  assert.deepEqual(members(stage, 'provider'), ['Hello', 'AddMatch', 'ListNames'])
  assert.equal(stage.bytes('consumer').length, 0)
  stage.sends('provider', reply({ to: FIRST_OWN }))
  stage.sends('provider', signal('NameAcquired', { destination: ':1.7' }))
  assert.equal(stage.bytes('consumer').length, 0)
  stage.sends('provider', reply({ to: FIRST_OWN + 1 }))
  assert.ok(
    stage
      .bytes('consumer')
      .equals(Buffer.concat([helloReply(), signal('NameAcquired', { destination: ':1.7' })])),
  )
  assert.deepEqual(members(stage, 'provider'), ['Hello', 'AddMatch', 'ListNames', 'Early'])
})

test('the start is the same wherever the bus’s words are cut', () => {
  const said = Buffer.concat([
    helloReply(),
    reply({ to: FIRST_OWN }),
    signal('NameAcquired', { destination: ':1.7' }),
    reply({ to: FIRST_OWN + 1 }),
    signal('Later'),
  ])
  const heard = Buffer.concat([
    helloReply(),
    signal('NameAcquired', { destination: ':1.7' }),
    signal('Later'),
  ])
  for (let cut = 1; cut < said.length; cut += 1) {
    const stage = new DbusStage({ filter: () => new ToldJudge() }).begins().sends('consumer', hello())
    stage.sends('provider', said.subarray(0, cut)).sends('provider', said.subarray(cut))
    assert.ok(stage.bytes('consumer').equals(heard), `cut at ${cut}`)
  }
})

test('what is held, and what is rewritten, counts as passed like all else that reaches the client', () => {
  const judge = new ToldJudge()
  const stage = new DbusStage({ filter: () => judge }).begins().sends('consumer', hello())
  stage.sends('provider', helloReply()).sends('provider', signal('NameAcquired', { destination: ':1.7' }))
  stage.sends('provider', reply({ to: FIRST_OWN })).sends('provider', reply({ to: FIRST_OWN + 1 }))
  judge.verdicts.set('Listed', { kind: 'rewrite', body: Buffer.from('12345') })
  stage.sends('provider', signal('Listed', { body: Buffer.alloc(9), signature: 'ay' }))
  assert.equal(stage.messages('consumer').length, 3)
  assert.deepEqual(
    ['return', 'signal'].map(type => stage.counted(`messages to=consumer type=${type}`)),
    [1, 2],
  )
})

test('own calls are as the bus understands them', () => {
  const stage = new DbusStage({ filter: () => new ToldJudge() }).begins()
  stage.sends('consumer', hello()).sends('provider', helloReply())
  const [, addMatch, listNames] = stage.messages('provider')
  assert.equal(addMatch?.serial, FIRST_OWN)
  assert.deepEqual(addMatch?.named, {
    path: '/org/freedesktop/DBus',
    interface: BUS,
    member: 'AddMatch',
    destination: BUS,
    signature: 's',
  })
  assert.ok(addMatch?.body.equals(strings(true, "arg0=':1.7'")))
  assert.equal(listNames?.named.signature, undefined)
  assert.equal(listNames?.bodyBytes, 0)
})

test('a bus that refuses Hello is heard, and the client may try again', () => {
  const stage = new DbusStage({ filter: () => new ToldJudge(0) }).begins().sends('consumer', hello(3))
  const refusal = reply({ to: 3, error: 'org.freedesktop.DBus.Error.LimitsExceeded' })
  stage.sends('provider', refusal)
  assert.ok(stage.bytes('consumer').equals(refusal))
  stage.sends('consumer', hello(4)).sends('provider', helloReply(4))
  assert.ok(stage.bytes('consumer').equals(Buffer.concat([refusal, helloReply(4)])))
})

test('a Hello reply without a name is no such reply', () => {
  const stage = new DbusStage({ filter: () => new ToldJudge(0) }).begins().sends('consumer', hello())
  stage.sends('provider', reply({ to: 1 }))
  assert.deepEqual(stage.reports, ['dbus-protocol-error start-up'])
})

for (const error of [undefined, 'org.example.Error']) {
  test(`nobody but the bus answers Hello: not by ${error === undefined ? 'a return' : 'an error'} either`, () => {
    const stage = new DbusStage({ filter: () => new ToldJudge() }).begins().sends('consumer', hello())
    stage.sends('provider', helloReply())
    const unasked = reply({ to: 1, sender: ':1.9', ...(error === undefined ? {} : { error }) })
    stage.sends('provider', unasked).sends('consumer', call({ serial: 2, member: 'Early' }))
    assert.equal(stage.bytes('consumer').length, 0)
    assert.equal(stage.closing, undefined)
    for (const to of [FIRST_OWN, FIRST_OWN + 1]) stage.sends('provider', reply({ to }))
    assert.ok(stage.bytes('consumer').subarray(0, helloReply().length).equals(helloReply()))
    assert.equal(members(stage, 'provider').at(-1), 'Early')
  })
}

test('what comes for a client that may not hear it yet is held with its descriptors', () => {
  const stage = new DbusStage({ filter: () => new ToldJudge(1) }).begins().sends('consumer', hello())
  stage.sends('provider', helloReply())
  const one = signal('One', { destination: ':1.7', unixFds: 1 })
  const two = signal('Two', { destination: ':1.7', unixFds: 2 })
  stage.sends('provider', one, [10]).sends('provider', two, [11, 12])
  assert.deepEqual(stage.fds('consumer'), [])
  stage.sends('provider', reply({ to: FIRST_OWN }))
  const at = helloReply().length
  assert.deepEqual(stage.fds('consumer'), [
    [at, 10],
    [at + one.length, 11],
    [at + one.length, 12],
  ])
  assert.equal(stage.closing, undefined)
})

test('descriptors of a message that vanishes among held ones are not taken for theirs', () => {
  const judge = new ToldJudge(1)
  judge.verdicts.set('Hidden', { kind: 'drop', reason: 'signal-in' })
  const stage = new DbusStage({ filter: () => judge }).begins().sends('consumer', hello())
  stage.sends('provider', helloReply())
  stage.sends('provider', signal('One', { unixFds: 1 }), [10])
  stage.sends('provider', signal('Hidden', { unixFds: 1 }), [11])
  stage.sends('provider', signal('Two', { unixFds: 1 }), [12])
  stage.sends('provider', reply({ to: FIRST_OWN }))
  assert.deepEqual(
    stage.fds('consumer').map(([, fd]) => fd),
    [10, 12],
  )
  assert.deepEqual(stage.commands.dropped, [11])
  stage.sends('provider', signal('Three', { unixFds: 1 }), [13])
  assert.deepEqual(stage.fds('consumer').at(-1)?.[1], 13)
})

test('a flood for a client that may not hear it yet ends the connection', () => {
  const stage = new DbusStage({ filter: () => new ToldJudge(1) }).begins().sends('consumer', hello())
  stage.sends('provider', helloReply())
  const long = signal('Flood', { destination: ':1.7', body: Buffer.alloc(200_000), signature: 'ay' })
  for (let i = 0; i < 6 && stage.closing === undefined; i += 1) stage.sends('provider', long)
  assert.deepEqual(stage.reports, ['dbus-protocol-error start-up'])
})

test('one message longer than may be held ends the connection of such a client too', () => {
  const stage = new DbusStage({ filter: () => new ToldJudge(1) }).begins().sends('consumer', hello())
  stage.sends('provider', helloReply())
  stage.sends('provider', signal('Flood', { body: Buffer.alloc(1024 * 1024 + 1), signature: 'ay' }))
  assert.deepEqual(stage.reports, ['dbus-protocol-error body-length'])
})

test('a client that said all and left while it had to wait is heard in the end', () => {
  const stage = new DbusStage({ filter: () => new ToldJudge(1) }).begins()
  stage.sends('consumer', Buffer.concat([hello(), signal('Last')]))
  stage.commands.end('consumer', true)
  stage.sends('provider', Buffer.concat([helloReply(), reply({ to: FIRST_OWN })]))
  assert.deepEqual(members(stage, 'provider'), ['Hello', 'AddMatch', 'ListNames', 'Last'])
  assert.equal(stage.commands.hasEnded('provider'), true)
})

test('a serial of the filter’s own closes a filtered client', () => {
  const last = started().sends('consumer', call({ serial: 0xfffeffff }))
  assert.equal(last.closing, undefined)
  const stage = started().sends('consumer', call({ serial: 0xffff0000 }))
  assert.deepEqual(stage.reports, ['dbus-protocol-error own-serial'])
})

test('any serial is good on a link that is not filtered', () => {
  const stage = new DbusStage().begins().sends('consumer', call({ serial: 0xffffffff }))
  assert.equal(stage.closing, undefined)
})

test('calls that a filter wants to make later go out between messages', () => {
  const judge = new ToldJudge(0)
  const stage = started(judge)
  const long = call({ serial: 2, body: Buffer.alloc(100_000), signature: 'ay' })
  stage.sends('consumer', long.subarray(0, 50_000))
  judge.calls.push({ serial: FIRST_OWN + 2, member: 'GetNameOwner', argument: 'org.example.Service' })
  stage.sends('provider', signal('Changed'))
  stage.sends('consumer', long.subarray(50_000))
  assert.deepEqual(members(stage, 'provider'), ['Hello', 'AddMatch', 'ListNames', 'Ask', 'GetNameOwner'])
})

// Verdicts.

const judged = (
  verdict: Verdict,
  member = 'Judged',
): { judge: ToldJudge; stage: DbusStage; before: number } => {
  const judge = new ToldJudge(0)
  judge.verdicts.set(member, verdict)
  const stage = started(judge)
  return { judge, stage, before: stage.bytes('provider').length }
}

test('a denied call is answered as the bus would answer it, and goes no further', () => {
  for (const littleEndian of [true, false]) {
    const { stage, before } = judged({ kind: 'deny', reason: 'dest' })
    stage.sends(
      'consumer',
      call({ littleEndian, serial: 70_000, member: 'Judged', destination: 'org.example.Other' }),
    )
    assert.equal(stage.bytes('provider').length, before)
    const answer = stage.messages('consumer').at(-1)
    assert.equal(answer?.littleEndian, littleEndian)
    assert.equal(answer?.type, 3)
    assert.equal(answer?.flags, 1)
    assert.equal(answer?.serial, 0xffffffff)
    assert.deepEqual(answer?.named, {
      errorName: 'org.freedesktop.DBus.Error.AccessDenied',
      replySerial: 70_000,
      destination: ':1.7',
      sender: BUS,
      signature: 's',
    })
    assert.match(answer?.body.toString() ?? '', /"org\.example\.Other"/)
    assert.equal(stage.closing, undefined)
  }
})

test('a denial is counted and told once, with who and what, and values are cut', () => {
  const { stage } = judged({ kind: 'deny', reason: 'interface' })
  stage.sends(
    'consumer',
    call({ serial: 5, member: 'Judged', path: `/${'p'.repeat(300)}`, interface: 'a.b' }),
  )
  assert.equal(stage.counted('denials'), 1)
  assert.equal(stage.counted('denied reason=interface'), 1)
  assert.equal(stage.counted('synthesized_replies'), 1)
  assert.deepEqual(stage.commands.reports, [
    {
      event: 'dbus-deny',
      facts: {
        role: 'tester',
        uid: 1000,
        reason: 'interface',
        type: 'call',
        iface: 'a.b',
        member: 'Judged',
        path: `/${'p'.repeat(254)}`,
        serial: 5,
      },
    },
  ])
})

test('nobody who wants no answer gets one', () => {
  const { stage } = judged({ kind: 'deny', reason: 'dest' })
  const before = stage.bytes('consumer').length
  stage.sends('consumer', call({ member: 'Judged', flags: 1 })).sends('consumer', signal('Judged'))
  assert.equal(stage.bytes('consumer').length, before)
  assert.equal(stage.counted('denied reason=dest'), 2)
})

test('what vanishes takes its descriptors along, and what follows keeps its own', () => {
  for (const kind of ['drop', 'deny'] as const) {
    const { stage } = judged({ kind, reason: 'dest' })
    stage.sends('consumer', call({ member: 'Judged', unixFds: 2 }), [10, 11])
    stage.sends('consumer', call({ member: 'Other', unixFds: 1 }), [12])
    assert.deepEqual(stage.commands.dropped, [10, 11])
    assert.deepEqual(
      stage.fds('provider').map(([, fd]) => fd),
      [12],
    )
  }
})

test('a denied message of many bytes is drained, and its answer comes at once', () => {
  const { stage, before } = judged({ kind: 'deny', reason: 'dest' })
  const long = call({ member: 'Judged', body: Buffer.alloc(16 * 1024 * 1024), signature: 'ay' })
  stage.sends('consumer', long.subarray(0, 1000))
  assert.equal(stage.messages('consumer').length, 2)
  stage.sends('consumer', long.subarray(1000)).sends('consumer', call({ serial: 2, member: 'Other' }))
  assert.ok(
    stage
      .bytes('provider')
      .subarray(before)
      .equals(call({ serial: 2, member: 'Other' })),
  )
})

test('an answer waits for the end of a message that is on its way to the client', () => {
  for (const length of [5000, 200_000]) {
    const { stage } = judged({ kind: 'deny', reason: 'dest' })
    const long = signal('Long', { body: Buffer.alloc(length), signature: 'ay' })
    stage.sends('provider', long.subarray(0, 1000))
    stage.sends('consumer', call({ serial: 6, member: 'Judged' }))
    stage.sends('provider', long.subarray(1000, -1))
    assert.throws(() => stage.messages('consumer'))
    stage.sends('provider', long.subarray(-1))
    assert.deepEqual(members(stage, 'consumer'), ['to 1', 'Long', 'to 6'])
  }
})

test('a client with too many answers that wait is not read until they are sent', () => {
  const { stage } = judged({ kind: 'deny', reason: 'dest' })
  const long = signal('Long', { body: Buffer.alloc(5000), signature: 'ay' })
  stage.sends('provider', long.subarray(0, 1000))
  const denied = call({ serial: 6, member: 'Judged' })
  for (let i = 0; i < 2000; i += 1) stage.sends('consumer', denied)
  const answered = stage.counted('synthesized_replies')
  assert.ok(answered < 1000, `${answered} answers wait`)
  stage.sends('provider', long.subarray(1000))
  assert.equal(stage.counted('synthesized_replies'), 2000)
  assert.equal(stage.messages('consumer').length, 2 + 2000)
})

test('an answer of another kind is given in its place', () => {
  const cases: readonly (readonly [Verdict, string, number])[] = [
    [{ kind: 'answer', answer: { boolean: false } }, 'b', 0],
    [{ kind: 'answer', answer: { boolean: true } }, 'b', 1],
    [{ kind: 'answer', answer: { uint32: 2 } }, 'u', 2],
  ]
  for (const [verdict, signature, value] of cases) {
    const { stage } = judged(verdict)
    stage.sends('consumer', call({ serial: 8, member: 'Judged', littleEndian: false }))
    const answer = stage.messages('consumer').at(-1)
    assert.equal(answer?.type, 2)
    assert.equal(answer?.named.signature, signature)
    assert.equal(answer?.body.readUInt32BE(), value)
    assert.equal(stage.counted('denials'), 0)
  }
})

test('a call without INTERFACE passes with one, and all else of it as it was', () => {
  for (const littleEndian of [true, false]) {
    for (const body of ['', 'x', 'a body that is longer than that']) {
      for (let padding = 0; padding < 8; padding += 1) {
        const { stage, before } = judged({ kind: 'complete', interface: 'org.example.Thing' })
        const made = call({
          littleEndian,
          member: 'Judged',
          path: `/${'p'.repeat(padding + 1)}`,
          destination: 'org.example.Service',
          body: Buffer.from(body),
          unixFds: 1,
        })
        stage.sends('consumer', made, [10])
        const [passed, ...more] = stage.messages('provider').slice(3)
        assert.deepEqual(more, [])
        assert.equal(passed?.littleEndian, littleEndian)
        assert.deepEqual(passed?.named, {
          path: `/${'p'.repeat(padding + 1)}`,
          member: 'Judged',
          destination: 'org.example.Service',
          unixFds: 1,
          interface: 'org.example.Thing',
        })
        assert.equal(passed?.body.toString(), body)
        assert.deepEqual(stage.fds('provider'), [[before, 10]])
      }
    }
  }
})

test('a long call is completed without waiting for its body', () => {
  const { stage } = judged({ kind: 'complete', interface: 'org.example.Thing' })
  const made = call({ member: 'Judged', body: Buffer.alloc(300_000, 5), signature: 'ay' })
  stage.sends('consumer', made.subarray(0, 500))
  const soFar = stage.bytes('provider').length
  stage.sends('consumer', made.subarray(500))
  assert.equal(stage.bytes('provider').length, soFar + made.length - 500)
  assert.equal(stage.messages('provider').at(-1)?.body.length, 300_000)
})

test('a rewritten message has its new body and its old header', () => {
  for (const littleEndian of [true, false]) {
    const { judge, stage } = judged({ kind: 'rewrite', body: Buffer.from('12345') }, 'Listed')
    judge.wanted.set('Listed', Number.POSITIVE_INFINITY)
    const made = call({ littleEndian, member: 'Listed', body: Buffer.alloc(9000, 1), signature: 'ay' })
    stage.sends('provider', made.subarray(0, 100)).sends('provider', made.subarray(100))
    stage.sends('provider', signal('Next'))
    const [, listed, next] = stage.messages('consumer')
    assert.equal(listed?.named.member, 'Listed')
    assert.equal(listed?.body.toString(), '12345')
    assert.equal(next?.named.member, 'Next')
    assert.equal(judge.bodies.at(-2)?.length, 9000)
  }
})

test('a judge sees as much of a body as it wants, or all there is, and the message passes whole', () => {
  for (const wanted of [1, 10, 5000, 20_000, 100_000, Number.POSITIVE_INFINITY]) {
    for (const length of [3, 6000, 90_000]) {
      for (const step of [700, 60_000, 1_000_000]) {
        const judge = new ToldJudge(0)
        judge.wanted.set('Judged', wanted)
        const stage = started(judge)
        const body = Buffer.from(Array.from({ length }, (_, i) => i % 251))
        const made = call({ serial: 3, member: 'Judged', body, signature: 'ay', unixFds: 1 })
        const bytes = Buffer.concat([made, call({ serial: 4, member: 'Next' })])
        for (let at = 0; at < bytes.length; at += step) {
          stage.sends('consumer', bytes.subarray(at, at + step), at === 0 ? [10] : [])
        }
        const seen = judge.bodies[judge.seen.indexOf('consumer Judged')] ?? ''
        assert.ok(seen.length >= Math.min(wanted, length))
        assert.ok(body.toString('latin1').startsWith(seen))
        assert.ok(stage.bytes('provider').subarray(-bytes.length).equals(bytes))
        assert.equal(stage.fds('provider').length, 1)
        assert.equal(judge.seen.filter(each => each === 'consumer Judged').length, 1)
      }
    }
  }
})

test('a body that has to be seen whole may not be longer than can be held', () => {
  const judge = new ToldJudge(0)
  judge.wanted.set('Judged', Number.POSITIVE_INFINITY)
  const stage = started(judge)
  stage.sends('consumer', call({ member: 'Judged', body: Buffer.alloc(1024 * 1024 + 1), signature: 'ay' }))
  assert.deepEqual(stage.reports, ['dbus-protocol-error body-length'])
})

test('a violation closes, and nothing of the message passes', () => {
  const { stage, before } = judged({ kind: 'violation', reason: 'a reason' })
  stage.sends('consumer', call({ member: 'Judged' }))
  assert.equal(stage.bytes('provider').length, before)
  assert.equal(stage.closing, 'flush')
})

test('messages of unknown types are dropped on a filtered link, both ways', () => {
  const { judge, stage, before } = judged(PASS)
  const seen = judge.seen.length
  const odd = message({ type: 200, fields: [], body: Buffer.alloc(100) })
  const heard = stage.bytes('consumer').length
  stage.sends('consumer', odd).sends('provider', odd)
  assert.equal(stage.bytes('provider').length, before)
  assert.equal(stage.bytes('consumer').length, heard)
  assert.equal(judge.seen.length, seen)
  assert.equal(stage.counted('unknown_types'), 2)
})

// The policy.

const policyOf = (over: Partial<ConnectionPolicy> = {}): ConnectionPolicy => ({
  admits: () => true,
  mayOwn: () => false,
  settled: true,
  finding: undefined,
  looked: 0,
  bodyWanted: () => 0,
  judge: () => PASS,
  close: () => undefined,
  ...over,
})

test('the policy is asked about what the filter lets pass, as it will pass, and about nothing else', () => {
  const judge = new ToldJudge(0)
  judge.verdicts.set('Denied', { kind: 'deny', reason: 'dest' })
  judge.verdicts.set('Completed', { kind: 'complete', interface: 'org.example.Thing' })
  const asked: string[] = []
  const policy = policyOf({
    judge: (_from, head) => {
      asked.push(`${head.member} ${head.interface}`)
      return PASS
    },
  })
  const stage = started(judge, { policy })
  asked.length = 0
  stage.sends('consumer', call({ serial: 2, member: 'Denied' }))
  stage.sends('consumer', call({ serial: 3, member: 'Completed' }))
  assert.deepEqual(asked, ['Completed org.example.Thing'])
  assert.equal(stage.messages('provider').at(-1)?.named.interface, 'org.example.Thing')
})

test('a filter hears that a call which it let pass was denied by the policy', () => {
  const judge = new ToldJudge(0)
  const finding = { reason: 'policy-send', rule: '/a.conf:3', enforced: true } as const
  const policy = policyOf({
    finding,
    judge: (_from, head) => (head.member === 'Denied' ? { kind: 'deny', reason: 'policy-send' } : PASS),
  })
  const stage = started(judge, { policy })
  stage.sends('consumer', call({ serial: 42, member: 'Denied' }))
  assert.equal(judge.seen.at(-1), 'recalled Denied')
  const [report] = stage.commands.reports
  assert.equal(report?.facts['rule'], '/a.conf:3')
})

test('what a policy only watches passes, and is told', () => {
  const policy = policyOf({ finding: { reason: 'policy-send', rule: '/a.conf:3', enforced: false } })
  const stage = new DbusStage({ policy }).begins().sends('consumer', call())
  assert.ok(stage.bytes('provider').equals(call()))
  assert.equal(stage.reports[0], 'dbus-audit policy-send')
  assert.equal(stage.counted('denials'), 0)
})

test('an answer on a link with a policy alone goes to the name that the bus gave the client', () => {
  const policy = policyOf({
    judge: (_from, head) => (head.member === 'Denied' ? { kind: 'deny', reason: 'policy-send' } : PASS),
  })
  const stage = new DbusStage({ policy }).begins().sends('consumer', hello())
  stage.sends('provider', helloReply(1, ':1.99')).sends('consumer', call({ serial: 2, member: 'Denied' }))
  assert.equal(stage.messages('consumer').at(-1)?.named.destination, ':1.99')
})

test('whom the policy does not admit is rejected, and the bus hears nothing', () => {
  const stage = new DbusStage({ policy: policyOf({ admits: () => false }) })
  stage.says('consumer', '␀AUTH EXTERNAL 30⏎')
  assert.equal(stage.text('consumer'), 'REJECTED EXTERNAL⏎')
  assert.equal(stage.text('provider'), '')
  assert.deepEqual(stage.reports, ['dbus-handshake-failed not-admitted'])
})

test('who is not admitted, or would not be, is told of with the rule that says so', () => {
  const findingOf = (enforced: boolean) =>
    ({ reason: 'policy-connect', rule: '/a.conf:3', enforced }) as const
  const refused = new DbusStage({ policy: policyOf({ admits: () => false, finding: findingOf(true) }) })
  refused.says('consumer', '␀AUTH EXTERNAL 30⏎')
  assert.deepEqual(refused.reports, ['dbus-deny policy-connect', 'dbus-handshake-failed not-admitted'])
  assert.equal(refused.commands.reports[0]?.facts['rule'], '/a.conf:3')
  assert.equal(refused.counted('denials'), 1)

  const watched = new DbusStage({ policy: policyOf({ finding: findingOf(false) }) })
  watched.says('consumer', '␀AUTH EXTERNAL 30⏎')
  assert.deepEqual(watched.reports, ['dbus-audit policy-connect'])
  assert.equal(watched.counted('denials'), 0)
})

test('a client is not read before its policy has settled', () => {
  let settled = false
  const policy = {
    ...policyOf(),
    get settled() {
      return settled
    },
  }
  const stage = new DbusStage({ policy }).begins().sends('consumer', call())
  assert.equal(stage.bytes('provider').length, 0)
  settled = true
  stage.commands.wake()
  stage.commands.elapse(0)
  assert.ok(stage.bytes('provider').equals(call()))
})

/** Each message costs as much as that. */
const costly = (looks: number): ConnectionPolicy => {
  let looked = 0
  return {
    ...policyOf(),
    get looked() {
      return looked
    },
    judge: () => {
      looked += looks
      return PASS
    },
  }
}

for (const from of ['consumer', 'provider'] as const) {
  test(`who sends what costs a policy many looks has to let others go first: the ${from}`, () => {
    const to = from === 'consumer' ? 'provider' : 'consumer'
    const stage = new DbusStage({ policy: costly(30_000) }).begins()
    const sent = [1, 2, 3, 4, 5].map(serial => call({ serial }))
    const last = sent.at(-1) ?? Buffer.alloc(0)
    stage.sends(from, Buffer.concat([...sent.slice(0, 4), last.subarray(0, 9)]))
    assert.equal(stage.messages(to).length, 2)
    stage.commands.elapse(0)
    assert.equal(stage.messages(to).length, 4, 'and again')
    stage.sends(from, last.subarray(9))
    assert.deepEqual(
      stage.messages(to).map(({ serial }) => serial),
      [1, 2, 3, 4, 5],
    )
  })
}

test('what was said before its sender left is judged to the end, however much it costs', () => {
  const stage = new DbusStage({ policy: costly(200_000) }).begins()
  stage.sends('consumer', Buffer.concat([1, 2, 3].map(serial => call({ serial }))))
  stage.commands.end('consumer', true)
  stage.commands.elapse(0)
  assert.equal(stage.messages('provider').length, 3)
})

test('the policy is let go of with the connection, however that ends', () => {
  for (const end of ['cut', 'bus', 'fault'] as const) {
    let closed = 0
    const policy = policyOf({
      close: () => {
        closed += 1
      },
    })
    const stage = new DbusStage({ policy }).begins()
    if (end === 'cut') stage.commands.cut()
    else if (end === 'bus') stage.commands.end('provider', true)
    else stage.sends('consumer', Buffer.alloc(16))
    assert.equal(closed, 1, end)
  }
})
