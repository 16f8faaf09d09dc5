/** What a judgement costs, counted and never timed: how often a header is asked for a field, and how much of a body is held. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { MessageHead } from '../../../plugins/dbus/contract.ts'
import type { Side } from '../../../src/relay/contract.ts'
import {
  busCall,
  call,
  FilterStage,
  ME,
  type Message,
  OWNER,
  ownerChanged,
  PROPERTIES,
  returned,
  SERVICE,
  STRANGER,
  signal,
  stringAndFlags,
  stringArray,
  strings,
} from '../../support/dbus-filter.ts'

/** Fields that a reader makes strings of when it is asked. */
const TEXTS = new Set<PropertyKey>([
  'path',
  'interface',
  'member',
  'errorName',
  'destination',
  'sender',
  'signature',
])

/** A header that counts how often it is asked for a text. */
const counted = (head: MessageHead): { readonly head: MessageHead; readonly asked: () => number } => {
  let asked = 0
  const watched = new Proxy(head, {
    get: (target, name) => {
      if (TEXTS.has(name)) asked += 1
      return Reflect.get(target, name)
    },
  })
  return { head: watched, asked: () => asked }
}

const costOf = (stage: FilterStage, from: Side, { head, body }: Message): number => {
  const { head: watched, asked } = counted(head)
  stage.filter.bodyWanted(from, watched)
  assert.equal(stage.filter.judge(from, watched, body).kind, 'pass')
  return asked()
}

describe('the texts that are read of a header', () => {
  test('of a call and its reply are few', () => {
    const stage = new FilterStage().start()
    assert.ok(costOf(stage, 'consumer', call({ serial: 5, destination: SERVICE, interface: SERVICE })) <= 4)
    assert.ok(costOf(stage, 'provider', returned(5, { sender: OWNER })) <= 1)
  })

  test('of a signal are few', () => {
    const stage = new FilterStage().start()
    assert.ok(costOf(stage, 'provider', signal({ sender: OWNER, interface: SERVICE })) <= 8)
    assert.ok(costOf(stage, 'consumer', signal({ interface: SERVICE })) <= 2)
  })
})

describe('what is held of a body', () => {
  const stage = new FilterStage({ mayOwn: () => true }).start()
  const wanted = (from: Side, { head }: Message): number => stage.filter.bodyWanted(from, head)
  const sent = (member: string): number => wanted('consumer', busCall(member, strings(SERVICE)))

  test('is nothing of what passes by its header', () => {
    assert.equal(wanted('consumer', call({ destination: SERVICE, interface: SERVICE })), 0)
    assert.equal(wanted('consumer', signal({ interface: PROPERTIES })), 0)
    assert.equal(wanted('consumer', returned(5, { destination: STRANGER })), 0)
    assert.equal(wanted('provider', returned(5, { sender: OWNER })), 0)
    assert.equal(wanted('provider', call({ sender: STRANGER, destination: ME })), 0)
    assert.equal(wanted('provider', signal({ sender: OWNER, interface: SERVICE })), 0)
    for (const member of ['GetId', 'ListNames', 'Hello', 'BecomeMonitor']) assert.equal(sent(member), 0)
  })

  test('is a name where a name is looked at', () => {
    assert.equal(wanted('consumer', call({ destination: SERVICE, interface: PROPERTIES })), 260)
    assert.equal(wanted('provider', signal({ sender: OWNER, interface: PROPERTIES })), 260)
    for (const member of [
      'GetNameOwner',
      'NameHasOwner',
      'RequestName',
      'ReleaseName',
      'StartServiceByName',
    ]) {
      assert.equal(sent(member), 260)
    }
    assert.ok(wanted('provider', ownerChanged(SERVICE, OWNER, '')) >= 3 * 260)
  })

  test('is at most 4 KiB of a match rule', () => {
    assert.equal(sent('AddMatch'), 4096)
    assert.equal(sent('RemoveMatch'), 4096)
  })

  test('is all of a list that the client has asked for, and of no other reply', () => {
    const asking = new FilterStage().start()
    asking.send(busCall('ListNames', undefined, { serial: 5 }))
    asking.send(busCall('GetId', undefined, { serial: 6 }))
    const list = stringArray([SERVICE])
    assert.equal(asking.filter.bodyWanted('provider', returned(5, {}, list).head), Number.POSITIVE_INFINITY)
    assert.equal(asking.filter.bodyWanted('provider', returned(6, {}, list).head), 0)
    assert.equal(asking.filter.bodyWanted('provider', returned(7, {}, list).head), 0)
  })

  test('is one number of what the bus says of a name that was requested', () => {
    stage.send(busCall('RequestName', stringAndFlags(SERVICE), { serial: 8 }))
    assert.equal(wanted('provider', returned(8)), 4)
  })
})
