/** A client may add and remove match rules as it likes, but never those by which ownership is followed. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { LONGEST_REMEMBERED, MOST_REMEMBERED, meaningOf } from '../../../plugins/dbus/filter/match-rules.ts'
import {
  busCall,
  FilterStage,
  failed,
  type Message,
  returned,
  SERVICE,
  said,
  silent,
  strings,
  uint32,
} from '../../support/dbus-filter.ts'

const OURS = `type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='${SERVICE}'`

const add = (rule: string, serial = 5): Message => busCall('AddMatch', strings(rule), { serial })
const remove = (rule: string, serial = 6): Message => busCall('RemoveMatch', strings(rule), { serial })

const withRule = (rule: string): FilterStage => {
  const stage = new FilterStage().start()
  assert.equal(said(stage.send(add(rule))), 'pass')
  stage.fromBus(returned(5))
  return stage
}

/** The same rule, to one bus or another. */
const VARIANTS = [
  OURS,
  OURS.split(',').reverse().join(','),
  OURS.replaceAll("'", ''),
  OURS.replaceAll(',', ', '),
  ` ${OURS}`,
  `${OURS},`,
  `${OURS} `,
  OURS.replaceAll('=', ' ='),
  OURS.replaceAll("='", "=''"),
  OURS.replace('org.example', "org'.'example"),
  OURS.replace('NameOwnerChanged', "'NameOwner''Changed'"),
  OURS.replace('Name', "''Name''"),
  OURS.replace('arg0', 'arg00'),
  OURS.replace('arg0', 'arg'),
  OURS.replace('arg0', 'arg0x0'),
  OURS.replace('arg0', 'arg+0'),
  OURS.replace('arg0', '\t\n arg0'),
  `=${OURS}`,
  OURS.replaceAll(',', ',==='),
  `${OURS},eavesdrop='false'`,
  `eavesdrop = false,${OURS}`,
  OURS.replace("type='signal',", ''),
]

describe('a match rule of ours', () => {
  for (const variant of VARIANTS) {
    test(`is not removed as ${JSON.stringify(variant.slice(0, 40))}…`, () => {
      const stage = new FilterStage().start()
      assert.equal(said(stage.send(remove(variant))), 'answer MatchRuleNotFound')
      assert.equal(said(stage.send(silent(remove(variant)))), 'answer MatchRuleNotFound')
    })
  }

  test('is not removed where names below are followed, or names before the dots', () => {
    const wide = new FilterStage({ wanted: `${SERVICE}.*` }).start()
    assert.equal(said(wide.send(remove(OURS.replace('arg0', 'arg0namespace')))), 'answer MatchRuleNotFound')
    const narrow = new FilterStage().start()
    assert.equal(said(narrow.send(remove(OURS.replace(SERVICE, 'org.example')))), 'answer MatchRuleNotFound')
  })

  test('is what the filter really sends', () => {
    const stage = new FilterStage().begin()
    const rules = stage.ownCalls.filter(({ member }) => member === 'AddMatch').map(({ argument }) => argument)
    assert.deepEqual(rules, [OURS, OURS.replace(SERVICE, 'org.example')])
  })
})

describe('a match rule of the client that is like ours', () => {
  test('is removed as often as it was added', () => {
    const stage = withRule(OURS)
    stage.send(add(OURS, 7))
    stage.fromBus(returned(7))
    const verdicts = [8, 9, 10].map(serial => said(stage.send(remove(OURS, serial))))
    assert.deepEqual(verdicts, ['pass', 'pass', 'answer MatchRuleNotFound'])
  })

  test('is removed in another order and with other quotes', () => {
    const other = OURS.replaceAll("'", '').split(',').reverse().join(',')
    assert.equal(said(withRule(OURS).send(remove(other))), 'pass')
    assert.equal(said(withRule(other).send(remove(OURS))), 'pass')
  })

  test('is removed as it was written, whatever that was', () => {
    for (const variant of VARIANTS.filter(text => !text.includes('eavesdrop'))) {
      assert.equal(said(withRule(variant).send(remove(variant))), 'pass')
    }
  })

  for (const [what, happen] of [
    ['that the bus refused', (stage: FilterStage) => stage.fromBus(failed(5))],
    ['that the bus has not answered yet', () => undefined],
    [
      'whose answer came from somebody else',
      (stage: FilterStage) => stage.fromBus(returned(5, { sender: ':1.20' })),
    ],
    [
      // dbus-daemon replies to GetId whether a reply is wanted or not.
      'whose serial another call had that wanted no reply, and got one',
      (stage: FilterStage) => {
        stage.fromBus(returned(5, {}, strings('0123456789abcdef0123456789abcdef')))
        stage.fromBus(failed(5))
      },
    ],
  ] as const) {
    test(`counts for nothing: one ${what}`, () => {
      const stage = new FilterStage().start()
      stage.send(add(OURS))
      happen(stage)
      assert.equal(said(stage.send(remove(OURS))), 'answer MatchRuleNotFound')
    })
  }

  test('counts for nothing without a reply, because nobody knows whether it is there', () => {
    const stage = new FilterStage().start()
    assert.equal(said(stage.send(silent(add(OURS)))), 'pass')
    assert.equal(said(stage.send(remove(OURS))), 'answer MatchRuleNotFound')
  })

  test('is remembered while its answer is on the way, with no more than so many others', () => {
    const stage = new FilterStage().start()
    const rule = (index: number): string => OURS.replace("path='/", `path='/x${index}/`)
    for (let index = 0; index <= MOST_REMEMBERED; index += 1) stage.send(add(rule(index), 10 + index))
    for (let index = 0; index <= MOST_REMEMBERED; index += 1) stage.fromBus(returned(10 + index))
    assert.equal(said(stage.send(remove(rule(MOST_REMEMBERED)))), 'answer MatchRuleNotFound')
    assert.equal(said(stage.send(remove(rule(MOST_REMEMBERED - 1)))), 'pass')
  })

  test('that another judge denies leaves room for others', () => {
    const stage = new FilterStage().start()
    for (let index = 0; index <= MOST_REMEMBERED; index += 1) {
      const sent = add(OURS, 10 + index)
      stage.send(sent)
      stage.filter.recall(sent.head)
    }
    stage.send(add(OURS))
    stage.fromBus(returned(5))
    assert.equal(said(stage.send(remove(OURS))), 'pass')
  })

  test('is not remembered if it is longer than any bus takes it', () => {
    const longest = `${OURS},arg1='`
    const rule = (length: number): string => `${longest}${'x'.repeat(length - longest.length - 1)}'`
    assert.equal(said(withRule(rule(LONGEST_REMEMBERED)).send(remove(rule(LONGEST_REMEMBERED)))), 'pass')
    const longer = rule(LONGEST_REMEMBERED + 1)
    assert.equal(said(withRule(longer).send(remove(longer))), 'answer MatchRuleNotFound')
  })

  test('does not stand for one that only a careless reader takes for the same', () => {
    for (const [added, removed] of [
      [`${OURS},arg1='a,b'`, OURS],
      [OURS.replace('arg0', 'arg00'), OURS],
      [OURS.replace(SERVICE, `${SERVICE}\\`), OURS],
      [`x${OURS}`, OURS],
    ] as const) {
      assert.equal(said(withRule(added).send(remove(removed))), 'answer MatchRuleNotFound')
    }
  })

  test('is forgotten where there are too many of them', () => {
    const stage = new FilterStage().start()
    const rule = (index: number): string => OURS.replace("path='/", `path='/x${index}/`)
    for (let index = 0; index <= MOST_REMEMBERED; index += 1) {
      stage.send(add(rule(index)))
      stage.fromBus(returned(5))
    }
    assert.equal(said(stage.send(remove(rule(MOST_REMEMBERED)))), 'answer MatchRuleNotFound')
    assert.equal(said(stage.send(remove(rule(0)))), 'pass')
  })
})

describe('other match rules', () => {
  const RULES = [
    "type='signal'",
    '',
    "type='signal',sender='org.example.Other',member='Changed'",
    "member='NameOwnerChanged',arg0=':1.99'",
    "type='signal',member='NameOwnerChanged'",
    'nonsense',
  ]
  for (const rule of RULES) {
    test(`"${rule}" is the bus's business`, () => {
      const stage = new FilterStage().start()
      assert.equal(said(stage.send(add(rule))), 'pass')
      assert.equal(said(stage.send(remove(rule))), 'pass')
    })
  }

  for (const rule of [
    "eavesdrop='true'",
    "eavesdrop='false'",
    'eavesdrop=true',
    "type='signal',eavesdrop \t\n= 'true'",
    "arg0='eavesdrop='",
    "eaves'drop'=true",
    'eavesdro\\p=true',
  ]) {
    test(`${JSON.stringify(rule)} is denied`, () => {
      assert.equal(said(new FilterStage().start().send(add(rule))), 'deny match')
      assert.equal(said(new FilterStage().start().send(silent(add(rule)))), 'deny match')
    })
  }

  test('a word that only contains it is none', () => {
    assert.equal(said(new FilterStage().start().send(add("arg0='eavesdropper'"))), 'pass')
  })

  test('what is no string, or longer than any rule, is denied', () => {
    const stage = new FilterStage().start()
    assert.equal(said(stage.send(busCall('AddMatch', uint32(1)))), 'deny match')
    assert.equal(said(stage.send(busCall('AddMatch', strings('a', 'b')))), 'deny match')
    const late = `${'x'.repeat(5000)},eavesdrop=true`
    assert.equal(said(stage.send(add(late))), 'deny match')
    assert.equal(said(stage.send(remove(late))), 'deny match')
  })
})

describe('what a rule says', () => {
  test('is the same in any order and with any quotes', () => {
    assert.equal(meaningOf("a='1',b=2"), meaningOf("b='2',a=1"))
  })

  for (const [one, other] of [
    ["a='1'", "a='1',a='1'"],
    ["a='1',b='2'", "a='1,b=2'"],
    ["a='1'", " a='1'"],
    ["a='1'", "a= '1'"],
    ["a='1'", "a='1',"],
    ["a=''", 'a='],
    ['parts a=1', 'a=1'],
  ] as const) {
    test(`differs: ${one} and ${other}`, () => {
      assert.notEqual(meaningOf(one), meaningOf(other))
    })
  }
})
