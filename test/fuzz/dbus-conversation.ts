/**
 * Whole conversations over one `dbus` connection, past BEGIN: both ends send messages, good and bad ones, in any pieces and with
 * any descriptors, stop and vanish, and time passes. Whatever happens, what either end gets is whole messages that a bus takes.
 */
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import * as t from 'io-ts'
import { createFilter } from '../../plugins/dbus/filter/filter.ts'
import { DEFAULT_LIMITS } from '../../src/model/limits.ts'
import type { Side } from '../../src/relay/contract.ts'
import { DbusStage } from '../support/dbus-stage.ts'
import {
  BUS,
  call,
  decode,
  hello,
  helloReply,
  message,
  reply,
  signal,
  strings,
} from '../support/dbus-wire.ts'
import { messages, mutated } from './dbus-messages.ts'

const KeptSide = t.keyof({ consumer: null, provider: null })

/** Bytes in hexadecimal, cut into pieces of so many; descriptors with the first. */
const Step = t.union([
  t.type({ side: KeptSide, sends: t.string, pieces: t.number, fds: t.number }),
  t.type({ side: KeptSide, does: t.keyof({ ends: null, leaves: null, breaks: null }) }),
  t.type({ waitsMs: t.number }),
])
type Step = t.TypeOf<typeof Step>

export const Script = t.type({ isFiltered: t.boolean, steps: t.readonlyArray(Step) })
export type Script = t.TypeOf<typeof Script>

const SERVICE = 'org.example.Service'
const FIRST_OWN = 0xffff0001

/** What goes on between a client, a bus and a service, so that a filter gets to see its ends. */
const TALK: readonly Buffer[] = [
  hello(),
  helloReply(),
  reply({ to: FIRST_OWN }),
  reply({ to: FIRST_OWN + 1 }),
  reply({ to: FIRST_OWN + 1, signature: 's', body: strings(true, ':1.5') }),
  reply({ to: FIRST_OWN + 2, signature: 's', body: strings(true, ':1.5') }),
  call({ serial: 2, destination: SERVICE, member: 'Ask' }),
  call({ serial: 3, destination: SERVICE, interface: SERVICE, member: 'Ask', unixFds: 1 }),
  call({ serial: 4, destination: BUS, interface: BUS, member: 'ListNames' }),
  call({ serial: 5, destination: 'org.example.Other', member: 'Ask', unixFds: 2 }),
  call({ serial: 6, destination: SERVICE, body: Buffer.alloc(70_000, 1), signature: 'ay' }),
  reply({ to: 2, sender: ':1.5' }),
  reply({ to: 4, signature: 'as', body: Buffer.from([0, 0, 0, 0]) }),
  signal('Changed', { sender: ':1.5', unixFds: 1 }),
  signal('Told', { sender: ':1.5', destination: ':1.7', unixFds: 1 }),
  signal('NameAcquired', { destination: ':1.7', signature: 's', body: strings(true, ':1.7') }),
  signal('Long', { sender: ':1.5', destination: ':1.7', body: Buffer.alloc(90_000, 2), signature: 'ay' }),
]

const side = fc.constantFrom<Side[]>('consumer', 'provider')

const bytes = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...TALK) },
  { weight: 4, arbitrary: messages.map(message) },
  { weight: 1, arbitrary: mutated },
)

/** A few in one write, mostly with as many descriptors as they say. */
const sending = fc
  .record({
    side,
    list: fc.array(bytes, { minLength: 1, maxLength: 3 }),
    pieces: fc.constantFrom(1, 7, 100, 40_000, 1_000_000),
    more: fc.constantFrom(0, 0, 0, 0, 0, 1, -1),
  })
  .map(({ side: from, list, pieces, more }) => {
    const announced = list.reduce((sum, each) => sum + fdsOf(decode(each)), 0)
    const fds = Math.max(0, announced + more)
    const whole = Buffer.concat(list)
    return { side: from, sends: whole.toString('hex'), pieces: Math.max(pieces, whole.length / 200), fds }
  })

const fdsOf = (decoded: ReturnType<typeof decode>): number =>
  typeof decoded === 'string' ? 0 : Math.min(3, Number(decoded.named.unixFds ?? 0))

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 20, arbitrary: sending },
  {
    weight: 1,
    arbitrary: fc.record({
      side,
      does: fc.constantFrom('ends' as const, 'leaves' as const, 'breaks' as const),
    }),
  },
  { weight: 1, arbitrary: fc.constantFrom(1, 1000, 200_000).map(waitsMs => ({ waitsMs })) },
)

const OWNED = { signature: 's', body: strings(true, ':1.5') }

/** The start of a filtered connection comes about by chance too seldom. */
const START: readonly Step[] = [
  { side: 'consumer', sends: hello().toString('hex'), pieces: 1000, fds: 0 },
  { side: 'provider', sends: helloReply().toString('hex'), pieces: 1000, fds: 0 },
  ...[1, 2, 3, 4].map(
    (own): Step => ({
      side: 'provider',
      sends: reply({ to: 0xffff0000 + own, ...(own > 2 ? OWNED : {}) }).toString('hex'),
      pieces: 1000,
      fds: 0,
    }),
  ),
]

export const scripts: fc.Arbitrary<Script> = fc
  .record({
    isFiltered: fc.boolean(),
    starts: fc.constantFrom('early', 'in between', 'not' as const),
    steps: fc.array(step, { maxLength: 12 }),
  })
  .map(({ isFiltered, starts, steps }) => {
    if (!isFiltered || starts === 'not') return { isFiltered, steps }
    if (starts === 'early') return { isFiltered, steps: [...START, ...steps] }
    const later = START.slice(2).flatMap((one, index) => [...steps.slice(index, index + 1), one])
    return { isFiltered, steps: [...START.slice(0, 2), ...later, ...steps.slice(START.length - 2)] }
  })

const opposite = (from: Side): Side => (from === 'consumer' ? 'provider' : 'consumer')

interface Said {
  readonly bytes: Buffer[]
  readonly fds: number[]
}

const perform = (
  stage: DbusStage,
  said: Readonly<Record<Side, Said>>,
  one: Step,
  nextFd: () => number,
): void => {
  if ('waitsMs' in one) {
    stage.commands.elapse(one.waitsMs)
  } else if ('does' in one) {
    if (one.does === 'breaks') stage.commands.breaks(one.side)
    else stage.commands.end(one.side, one.does === 'leaves')
  } else {
    const whole = Buffer.from(one.sends, 'hex')
    for (let at = 0; at < whole.length; at += Math.ceil(one.pieces)) {
      const piece = whole.subarray(at, at + Math.ceil(one.pieces))
      const fds = at === 0 ? Array.from({ length: one.fds }, nextFd) : []
      said[one.side].bytes.push(piece)
      said[one.side].fds.push(...fds)
      stage.sends(one.side, piece, fds)
    }
  }
}

/**
 * What is left of a stream behind its whole messages, each of which a bus takes, with as many descriptors as it says. `fds`:
 * where they came.
 */
const restOf = (stream: Buffer, fds: readonly number[]): Buffer => {
  let at = 0
  while (at < stream.length) {
    const decoded = decode(stream.subarray(at))
    assert.notEqual(decoded, 'bad', `a bad message at ${at}`)
    assert.notEqual(decoded, 'more', `a part of a header at ${at}`)
    if (typeof decoded === 'string') break
    const { headerBytes, bodyBytes } = decoded
    const start = at
    const end = at + headerBytes + bodyBytes
    if (end > stream.length) break
    const came = fds.filter(place => place >= start && place < end).length
    assert.equal(came, decoded.named.unixFds ?? 0, `descriptors of the message at ${start}`)
    at = end
  }
  return stream.subarray(at)
}

const inOrder = (part: readonly number[], all: readonly number[]): boolean => {
  let at = 0
  for (const fd of part) {
    at = all.indexOf(fd, at) + 1
    if (at === 0) return false
  }
  return true
}

export const owesBothEndsOfBus = ({ isFiltered, steps }: Script): void => {
  const wanted = { name: SERVICE, below: false }
  const filter = isFiltered
    ? (mayOwn: (name: string) => boolean) => createFilter({ wanted, mayOwn, limits: DEFAULT_LIMITS })
    : undefined
  const stage = new DbusStage(filter === undefined ? {} : { filter }).begins()
  const said: Readonly<Record<Side, Said>> = {
    consumer: { bytes: [], fds: [] },
    provider: { bytes: [], fds: [] },
  }
  let fds = 0
  let isUntouched = true
  for (const one of steps) {
    if ('does' in one) isUntouched = false
    perform(stage, said, one, () => {
      fds += 1
      return fds
    })
  }
  for (const from of ['consumer', 'provider'] as const) {
    const to = opposite(from)
    const got = stage.bytes(to)
    const fdsOfSide = stage.fds(to)
    const rest = restOf(
      got,
      fdsOfSide.map(([place]) => place),
    )
    const gotFds = fdsOfSide.map(([, fd]) => fd)
    assert.ok(inOrder(gotFds, said[from].fds), 'descriptors that are out of order, or from nowhere')
    for (const fd of gotFds) assert.ok(!stage.commands.dropped.includes(fd), 'a descriptor that was dropped')
    if (isFiltered) continue
    const all = Buffer.concat(said[from].bytes)
    assert.ok(got.equals(all.subarray(0, got.length)), 'other bytes than were sent')
    if (stage.closing !== undefined || !isUntouched) continue
    if (rest.length > 0) assert.equal(got.length, all.length, 'a part of a message that is there')
    else if (got.length < all.length) assert.equal(decode(all.subarray(got.length)), 'more')
  }
}
