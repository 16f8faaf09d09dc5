/** What links may hold of the descriptor table: each its share, and nobody at the cost of those that hold nothing. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { freeDescriptors } from '../../src/kernel/fd.ts'
import { received } from '../../src/kernel/message.ts'
import { DEFAULT_LIMITS } from '../../src/model/limits.ts'
import { HeldDescriptors, roomForRights, sharesOf } from '../../src/relay/descriptor-reserve.ts'
import { leavesNoDescriptors, parcels } from '../support/descriptors.ts'
import { pairOf } from '../support/relay.ts'

leavesNoDescriptors()

const ALL = 100
const all = (keptFree = 0): HeldDescriptors =>
  HeldDescriptors.ofAll({ held: ALL, heldPerLink: ALL / 2, keptFree })

describe('descriptors held in queues', () => {
  test('fill a link at half of what all links may hold', () => {
    const link = all().ofLink()
    link.add(ALL / 2 - 1)
    assert.equal(link.full, false)
    link.add(1)
    assert.equal(link.full, true)
  })

  test('make room again when they leave', () => {
    const link = all().ofLink()
    link.add(ALL)
    link.add(-ALL)
    assert.equal(link.full, false)
  })

  test('of two greedy links stop a third one that holds some, and not one that holds none', () => {
    const whole = all()
    const [first, second, third, fourth] = [whole.ofLink(), whole.ofLink(), whole.ofLink(), whole.ofLink()]
    first.add(ALL / 2)
    third.add(1)
    second.add(ALL / 2 - 2)
    assert.equal(whole.full, false)
    assert.equal(third.full, false)
    second.add(1)
    assert.equal(whole.full, true)
    assert.equal(third.full, true)
    assert.equal(fourth.full, false)
  })
})

describe('the shares of the descriptor table', () => {
  test('left to be worked out are half of it for all links, a quarter for one, and a message and some kept free', () => {
    assert.deepEqual(sharesOf(DEFAULT_LIMITS, 4096), { held: 2048, heldPerLink: 1024, keptFree: 269 })
  })

  test('in a small table never keep more than a quarter free', () => {
    assert.deepEqual(sharesOf(DEFAULT_LIMITS, 64), { held: 32, heldPerLink: 16, keptFree: 16 })
    const asked = { ...DEFAULT_LIMITS, descriptorReserve: 1000 }
    assert.equal(sharesOf(asked, 4000).keptFree, 1000)
    assert.equal(sharesOf(asked, 3999).keptFree, 999)
  })

  test('that are asked for are given, and the share of a link follows that of all', () => {
    const asked = { ...DEFAULT_LIMITS, heldDescriptors: 300 }
    assert.deepEqual(sharesOf(asked, 4096), { held: 300, heldPerLink: 150, keptFree: 269 })
    assert.equal(sharesOf({ ...asked, heldDescriptorsPerLink: 200 }, 4096).heldPerLink, 200)
  })
})

describe('a message', () => {
  /** As free as the table is now, within the few that come and go by themselves. */
  const free = (): number => freeDescriptors(Number.POSITIVE_INFINITY)
  const MANY = 1000

  test('with descriptors waits while fewer are free than are kept, and one without does not', () => {
    const [ours, theirs] = pairOf('seqpacket')
    const sent = parcels(1)
    theirs.send('with', sent.fds)
    assert.equal(roomForRights(ours.borrowed, 1, all(free() + MANY).ofLink()), false)
    assert.equal(roomForRights(ours.borrowed, 1, all(free() - MANY).ofLink()), true)
    sent.close()
    ours.close()
    theirs.close()
    const [plain, other] = pairOf('seqpacket')
    other.send('without')
    assert.equal(roomForRights(plain.borrowed, 1, all(free() + MANY).ofLink()), true)
    plain.close()
    other.close()
  })

  test('with descriptors waits while its link holds its share, and is left where it is', () => {
    const [ours, theirs] = pairOf('seqpacket')
    const sent = parcels(1)
    theirs.send('with', sent.fds)
    const link = all().ofLink()
    link.add(ALL / 2)
    assert.equal(roomForRights(ours.borrowed, 1, link), false)
    link.add(-1)
    assert.equal(roomForRights(ours.borrowed, 1, link), true)
    sent.close()
    ours.close()
    theirs.close()
  })

  for (const kind of ['stream', 'seqpacket'] as const) {
    test(`with as many descriptors as there may be waits at the cost of a few (${kind})`, () => {
      const [ours, theirs] = pairOf(kind)
      const sent = parcels(1)
      theirs.send(
        'with',
        Array.from({ length: 253 }, () => sent.fds[0] ?? 0),
      )
      const link = all().ofLink()
      link.add(ALL / 2)
      assert.equal(roomForRights(ours.borrowed, 4, link), false)
      // What the look has made, and closed: with many that ask again and again, 253 a time would be a day's work.
      assert.ok(received.fdCount <= 4, `${received.fdCount} descriptors were made`)
      sent.close()
      ours.close()
      theirs.close()
    })
  }

  test('that stands behind plain bytes of a stream waits with them', () => {
    const [ours, theirs] = pairOf('stream')
    const sent = parcels(1)
    const link = all().ofLink()
    link.add(ALL / 2)
    theirs.send('plain')
    assert.equal(roomForRights(ours.borrowed, 1000, link), true)
    theirs.send('with', sent.fds)
    assert.equal(roomForRights(ours.borrowed, 1000, link), false)
    sent.close()
    ours.close()
    theirs.close()
  })
})
