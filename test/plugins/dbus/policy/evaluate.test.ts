/** Which rule decides. That dbus-daemon says the same is shown by `real-bus.test.ts`; here is each rule by itself. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  chainOf,
  type Headers,
  mayConnect,
  mayOwn,
  mayReceive,
  maySend,
  type Party,
  policyFor,
} from '../../../../plugins/dbus/policy/evaluate.ts'
import { aBroadcast, aCall, BUS, owner, placed, policyOf, rules, stranger, WEB } from './support.ts'

const ALL = 'allow send_destination="*"'
const NONE = 'deny send_destination="*"'

const sends = (content: string, message: Headers = aCall(), receiver: Party = owner('com.a.A', ':1.5')) =>
  maySend(policyOf(content), message, receiver).allowed

const receives = (
  content: string,
  message: Headers = aBroadcast(),
  sender: Party = owner('com.a.A', ':1.5'),
) => mayReceive(policyOf(content), message, sender).allowed

const owns = (content: string, name: string): boolean => mayOwn(policyOf(content), name).allowed

// Whoever wrote the provider's files may be hostile, and all of this runs on the daemon's one thread.
test('a user in many groups with rules for each of them does not make every rule look at every group', () => {
  const COUNT = 2000
  let looks = 0
  const gids = Array.from({ length: COUNT }, (_, index) => index)
  const groups = new Proxy(gids, {
    get: (target, key, receiver) => {
      looks += 1
      return Reflect.get(target, key, receiver)
    },
  })
  const [example] = placed(rules('allow own="a.B"'))
  assert.ok(example)
  const many = gids.map(gid => ({
    rule: example.rule,
    get audience() {
      looks += 1
      return { kind: 'group' as const, gid }
    },
  }))
  assert.ok(mayOwn(policyFor(many, { uid: 1, groups }), 'a.B').allowed)
  const strangers = gids.map(gid => `deny group="${COUNT + gid}"`)
  assert.ok(mayConnect(policyOf(rules(...strangers)), { uid: 1, groups }).allowed)
  assert.ok(looks < 100 * COUNT, `${looks} looks`)
})

test('a receiver with many names and as many rules for prefixes does not make every rule look at every name', () => {
  const COUNT = 2000
  let looks = 0
  class Names extends Set<string> {
    override *[Symbol.iterator](): ReturnType<Set<string>[typeof Symbol.iterator]> {
      for (const name of super[Symbol.iterator]()) {
        looks += 1
        yield name
      }
    }
  }
  const list = Array.from({ length: COUNT }, (_, index) => `deny send_destination_prefix="com.b.B${index}x"`)
  const names = new Names(Array.from({ length: COUNT }, (_, index) => `com.b.B${index}`))
  const policy = policyOf(rules('allow send_destination="*"', ...list))
  const decision = maySend(policy, aCall({ destination: 'com.b.B1' }), {
    kind: 'connection',
    names,
    complete: true,
  })
  assert.ok(decision.allowed)
  assert.ok(looks <= 2 * COUNT, `${looks} looks at names`)
  assert.ok(decision.looked > 2 * COUNT, 'names count as rules do')
})

describe('the rule that decides', () => {
  test('is the last that matches', () => {
    assert.ok(!sends(rules(ALL, NONE)))
    assert.ok(sends(rules(NONE, ALL)))
    assert.ok(sends(rules(ALL, NONE, 'allow send_destination="com.a.A"', 'deny send_destination="com.b.B"')))
  })

  test('is none: it is denied', () => {
    assert.ok(!sends(''))
    assert.ok(!receives(''))
    assert.ok(!owns('', 'a.B'))
  })

  test('is of the user before that of a group, before that of everybody, and mandatory before all', () => {
    const by = (...policies: readonly string[]): boolean => sends(policies.join(''))
    const [forAll, ofGroup, ofUser, noConsole, mandatory] = [
      'context="default"',
      'group="audio"',
      'user="web"',
      'at_console="false"',
      'context="mandatory"',
    ].map(audience => (rule: string) => `<policy ${audience}><${rule}/></policy>`)
    assert.ok(forAll && ofGroup && ofUser && noConsole && mandatory)
    assert.ok(by(ofGroup(ALL), forAll(NONE)))
    assert.ok(by(ofUser(ALL), ofGroup(NONE), forAll(NONE)))
    assert.ok(by(noConsole(ALL), ofUser(NONE), ofGroup(NONE)))
    assert.ok(by(mandatory(ALL), noConsole(NONE), ofUser(NONE)))
    assert.ok(!by(mandatory(NONE), noConsole(ALL), ofUser(ALL), ofGroup(ALL), forAll(ALL)))
  })

  test('is of no policy that is for others', () => {
    for (const audience of [
      'user="root"',
      'group="root"',
      'at_console="true"',
      'user="missing"',
      'group="missing"',
    ]) {
      assert.ok(!sends(`<policy ${audience}><${ALL}/></policy>`), audience)
    }
  })

  test('of two groups is the one that allows, because buses differ in which comes last', () => {
    const [audio, video] = ['audio', 'video'].map(
      group => (rule: string) => `<policy group="${group}"><${rule}/></policy>`,
    )
    assert.ok(audio && video)
    assert.ok(sends(audio(ALL) + video(NONE)))
    assert.ok(sends(audio(NONE) + video(ALL)))
    assert.ok(!sends(rules(ALL) + audio(NONE) + video(NONE)))
  })

  test('is shown with all that had a say, in the order in which they count', () => {
    const policy = policyOf(
      `<policy context="mandatory"><allow own="a.B"/></policy>${rules('deny own="*"', 'allow own="c.D"')}`,
    )
    assert.deepEqual(
      chainOf.own(policy, 'a.B').map(({ origin }) => origin.source),
      ['<deny own="*"/>', '<allow own="a.B"/>'],
    )
  })
})

describe('a condition on a message', () => {
  /** A rule with that attribute allows the first message, and says nothing about the second. */
  const allows = (attributes: string, meant: Headers, other: Headers): void => {
    assert.ok(sends(rules(`allow ${attributes}`), meant), `${attributes} is not met`)
    assert.ok(!sends(rules(`allow ${attributes}`), other), `${attributes} is met by another`)
    assert.ok(sends(rules(ALL, `deny ${attributes}`), other), `${attributes} denies another`)
  }

  test('is met by the same type, path, interface, member or error', () => {
    allows('send_type="method_call"', aCall(), aCall({ type: 4 }))
    allows('send_path="/a"', aCall(), aCall({ path: '/b' }))
    allows('send_interface="com.a.I"', aCall(), aCall({ interface: 'com.a.IJ' }))
    allows('send_path="/a" send_member="M"', aCall(), aCall({ member: 'N' }))
    allows(
      'send_error="com.a.E"',
      aCall({ type: 3, errorName: 'com.a.E' }),
      aCall({ type: 3, errorName: 'com.a.F' }),
    )
  })

  test('on a path, member or error is met by a message that has none', () => {
    assert.ok(
      sends(rules('allow send_path="/a" send_member="M"'), aCall({ path: undefined, member: undefined })),
    )
    assert.ok(sends(rules('allow send_error="com.a.E"')))
  })

  test('on an interface: a message without one is not allowed by it, but denied', () => {
    const bare = aCall({ interface: undefined })
    assert.ok(!sends(rules('allow send_interface="com.a.I"'), bare))
    assert.ok(!sends(rules(ALL, 'deny send_interface="com.z.Z"'), bare))
    assert.ok(
      !receives(
        rules('allow receive_sender="*"', 'deny receive_interface="com.z.Z"'),
        aBroadcast({ interface: undefined }),
      ),
    )
  })

  test('on descriptors is met by as many', () => {
    allows('send_type="*" min_fds="1"', aCall({ unixFds: 1 }), aCall())
    allows('send_type="*" max_fds="1"', aCall({ unixFds: 1 }), aCall({ unixFds: 2 }))
    allows('send_type="*" min_fds="2" max_fds="3"', aCall({ unixFds: 3 }), aCall({ unixFds: 4 }))
  })

  test('on a broadcast is met by a signal without destination only', () => {
    allows('send_broadcast="true"', aBroadcast(), aCall({ type: 4 }))
    allows('send_broadcast="false"', aCall({ destination: undefined }), aBroadcast())
  })
})

describe('who receives', () => {
  test('counts by all names it owns, whichever was addressed', () => {
    const both = owner('com.a.A', 'com.b.B', ':1.5')
    assert.ok(sends(rules('allow send_destination="com.b.B"'), aCall(), both))
    assert.ok(sends(rules('allow send_destination=":1.5"'), aCall(), both))
    assert.ok(!sends(rules(ALL, 'deny send_destination="com.b.B"'), aCall(), both))
    assert.ok(!sends(rules('allow send_destination="com.c.C"'), aCall(), both))
  })

  test('counts by a prefix of a name, at a dot', () => {
    const meets = (prefix: string): boolean => sends(rules(`allow send_destination_prefix="${prefix}"`))
    assert.deepEqual(['com', 'com.a', 'com.a.A', 'com.a.A.B', 'co', 'com.a.'].map(meets), [
      true,
      true,
      true,
      false,
      false,
      false,
    ])
  })

  test('is the bus: counts as it is addressed', () => {
    const toBus = aCall({ destination: 'org.freedesktop.DBus' })
    assert.ok(sends(rules('allow send_destination="org.freedesktop.DBus"'), toBus, BUS))
    assert.ok(sends(rules('allow send_destination_prefix="org.freedesktop"'), toBus, BUS))
    assert.ok(!sends(rules('allow send_destination="com.a.A"'), toBus, BUS))
  })

  test('is not known: what allows some counts, what denies some does not', () => {
    const unknown = stranger('com.a.A')
    assert.ok(sends(rules(NONE, 'allow send_destination="com.b.B"'), aCall(), unknown))
    assert.ok(sends(rules(ALL, 'deny send_destination="com.b.B"'), aCall(), unknown))
    assert.ok(!sends(rules(ALL, 'deny send_destination="com.a.A"'), aCall(), unknown))
    assert.ok(!sends(rules('allow send_destination="com.b.B"', NONE), aCall(), unknown))
    assert.ok(
      !sends(
        rules(NONE, 'allow send_destination="com.b.B" send_member="N" send_path="/a"'),
        aCall(),
        unknown,
      ),
    )
  })
})

describe('who sends', () => {
  test('counts by all names it owns, and the bus by what it says', () => {
    assert.ok(receives(rules('allow receive_sender="com.a.A"')))
    assert.ok(!receives(rules('allow receive_sender="com.b.B"')))
    const ofBus = aBroadcast({ sender: 'org.freedesktop.DBus' })
    assert.ok(receives(rules('allow receive_sender="org.freedesktop.DBus"'), ofBus, BUS))
    assert.ok(!receives(rules('allow receive_sender="com.a.A"'), ofBus, BUS))
    assert.ok(receives(rules('allow receive_sender="com.b.B"'), aBroadcast(), stranger(':1.5')))
  })

  test('is not denied by rules about eavesdropping', () => {
    assert.ok(receives(rules('allow receive_sender="*"', 'deny receive_type="signal" eavesdrop="true"')))
    assert.ok(!receives(rules('allow receive_sender="*"', 'deny receive_type="signal" eavesdrop="false"')))
    assert.ok(receives(rules('allow eavesdrop="true"')))
  })
})

describe('a message that answers a call', () => {
  const expected = aCall({ type: 2, replySerial: 5, expected: true })
  const unexpected = aCall({ type: 2, replySerial: 5, expected: false })
  const unknown = aCall({ type: 4, replySerial: 5 })

  test('is allowed only if it is expected, unless the rule says otherwise', () => {
    assert.ok(sends(rules('allow send_type="method_return"'), expected))
    assert.ok(!sends(rules('allow send_type="method_return"'), unexpected))
    assert.ok(sends(rules('allow send_type="method_return" send_requested_reply="false"'), unexpected))
    assert.ok(sends(rules('allow send_type="method_return" eavesdrop="true"'), unexpected))
  })

  test('is denied only if it is not expected, unless the rule says otherwise', () => {
    const open = 'allow send_requested_reply="false"'
    assert.ok(sends(rules(open, NONE), expected))
    assert.ok(!sends(rules(open, NONE), unexpected))
    assert.ok(!sends(rules(open, 'deny send_requested_reply="true"'), expected))
  })

  test('is not denied where only the bus knows whether it is expected', () => {
    assert.ok(sends(rules(NONE, 'allow send_type="signal"'), unknown))
    assert.ok(sends(rules('allow send_type="signal"', NONE), unknown))
    assert.ok(!sends(rules('allow send_type="signal"', 'deny send_requested_reply="true"'), unknown))
  })
})

describe('a name', () => {
  test('is owned by rules for it, for all, and for those above it', () => {
    assert.ok(owns(rules('allow own="a.B"'), 'a.B'))
    assert.ok(!owns(rules('allow own="a.B"'), 'a.B.C'))
    assert.ok(owns(rules('allow own="*"'), 'x.Y'))
    assert.deepEqual(
      ['a.B', 'a.B.C', 'a.BC', 'a'].map(name => owns(rules('allow own_prefix="a.B"'), name)),
      [true, true, false, false],
    )
    assert.ok(!owns(rules('allow own_prefix="a"', 'deny own="a.B"'), 'a.B'))
    assert.ok(!owns(rules('allow own_prefix="*"'), 'a.B'), 'a prefix knows no *')
  })
})

describe('connecting', () => {
  const connects = (content: string): boolean => mayConnect(policyOf(content), WEB).allowed

  test('is left to the bus where no rule matches', () => {
    assert.ok(connects(''))
    assert.ok(
      connects(rules('deny user="root"', 'deny group="root"', 'deny user="missing"', 'deny group="missing"')),
    )
  })

  test('goes by user, by group, and by anybody', () => {
    for (const who of ['user="web"', 'user="1000"', 'group="audio"', 'group="44"', 'user="*"', 'group="*"']) {
      assert.ok(!connects(rules(`deny ${who}`)), who)
      assert.ok(connects(rules('deny user="*"', `allow ${who}`)), who)
    }
  })

  test('goes by mandatory rules last, and by none of a console', () => {
    assert.ok(!connects(`<policy context="mandatory"><deny user="*"/></policy>${rules('allow user="*"')}`))
    assert.ok(connects('<policy at_console="false"><deny user="*"/></policy>'))
  })
})
