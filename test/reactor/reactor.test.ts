/** Readiness to callbacks, on real descriptors and Node's own loop. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Readiness } from '../../src/kernel/epoll.ts'
import type { BorrowedFd } from '../../src/kernel/fd.ts'
import { openSocketPair } from '../../src/kernel/socket.ts'
import type { Reactor, ReadyHandler, Watch } from '../../src/reactor/contract.ts'
import { createReactor } from '../../src/reactor/reactor.ts'
import { leavesNoDescriptors, must } from '../support/descriptors.ts'
import { quiet, until, Wire } from '../support/relay.ts'

leavesNoDescriptors()

interface Bench {
  readonly reactor: Reactor
  readonly faults: unknown[]
  pair(): readonly [Wire, Wire]
}

const withReactor = async (body: (bench: Bench) => Promise<void>): Promise<void> => {
  const faults: unknown[] = []
  const reactor = must(createReactor(error => faults.push(error)))
  const wires: Wire[] = []
  try {
    await body({
      reactor,
      faults,
      pair: () => {
        const [one, other] = must(openSocketPair('stream'))
        const both = [new Wire(one), new Wire(other)] as const
        wires.push(...both)
        return both
      },
    })
  } finally {
    for (const wire of wires) wire.close()
    reactor.close()
  }
}

/** Counts its calls; the last readiness is kept. */
class Counting implements ReadyHandler {
  calls = 0
  failures = 0
  last = 0
  readonly #act: () => void

  constructor(act: () => void = () => undefined) {
    this.#act = act
  }

  ready(readiness: number): void {
    this.calls += 1
    this.last = readiness
    this.#act()
  }

  failed(): void {
    this.failures += 1
  }
}

const reading = (wire: Wire): Counting => new Counting(() => void wire.receive())

test('a handler is called when its descriptor becomes readable, and not before', () =>
  withReactor(async ({ reactor, pair }) => {
    const [ours, theirs] = pair()
    const handler = reading(ours)
    const watch = reactor.watch(ours.fd, Readiness.in, handler)
    await quiet()
    assert.equal(handler.calls, 0)
    theirs.send('x')
    await until('it is called', () => handler.calls === 1)
    assert.ok((handler.last & Readiness.in) !== 0)
    watch.close()
  }))

test('what a handler leaves unread is told again', () =>
  withReactor(async ({ reactor, pair }) => {
    const [ours, theirs] = pair()
    const handler = new Counting()
    const watch = reactor.watch(ours.fd, Readiness.in, handler)
    theirs.send('x')
    await until('it is called again and again', () => handler.calls >= 3)
    watch.close()
  }))

test('every ready descriptor gets its turn beside one that never gets done', () =>
  withReactor(async ({ reactor, pair }) => {
    const [busy, theirs] = pair()
    const greedy = new Counting()
    const watches = [reactor.watch(busy.fd, Readiness.in, greedy)]
    theirs.send('x')
    const others = Array.from({ length: 50 }, () => {
      const [ours, peer] = pair()
      const handler = reading(ours)
      watches.push(reactor.watch(ours.fd, Readiness.in, handler))
      peer.send('y')
      return handler
    })
    await until('all others are served', () => others.every(handler => handler.calls === 1))
    assert.ok(greedy.calls < 20)
    for (const watch of watches) watch.close()
  }))

test('waiting for other readiness replaces what was waited for', () =>
  withReactor(async ({ reactor, pair }) => {
    const [ours, theirs] = pair()
    const handler = new Counting()
    const watch = reactor.watch(ours.fd, Readiness.in, handler)
    watch.wait(Readiness.out)
    await until('it is writable', () => handler.calls > 0)
    assert.equal(handler.last, Readiness.out)
    watch.wait(0)
    theirs.send('x')
    const before = handler.calls
    await quiet()
    assert.equal(handler.calls, before)
    watch.close()
  }))

test('a hang-up comes unasked', () =>
  withReactor(async ({ reactor, pair }) => {
    const [ours, theirs] = pair()
    const handler = new Counting()
    const watch = reactor.watch(ours.fd, 0, handler)
    theirs.close()
    await until('the hang-up is told', () => (handler.last & Readiness.hangUp) !== 0)
    watch.close()
  }))

test('a hung-up descriptor at rest does not spin', () =>
  withReactor(async ({ reactor, pair }) => {
    const [ours, theirs] = pair()
    const handler = new Counting(() => watch.rest())
    const watch = reactor.watch(ours.fd, 0, handler)
    theirs.close()
    await until('the hang-up is told', () => handler.calls === 1)
    await quiet()
    assert.equal(handler.calls, 1)
    watch.close()
  }))

test('a descriptor at rest is told of again once it is waited for', () =>
  withReactor(async ({ reactor, pair }) => {
    const [ours, theirs] = pair()
    const handler = reading(ours)
    const watch = reactor.watch(ours.fd, Readiness.in, handler)
    watch.rest()
    watch.rest()
    theirs.send('x')
    await quiet()
    assert.equal(handler.calls, 0)
    watch.wait(Readiness.in)
    await until('it is called', () => handler.calls === 1)
    watch.close()
  }))

test('an exception of a handler is told of, its own business is given up, and the others go on', () =>
  withReactor(async ({ reactor, faults, pair }) => {
    const [bad, badPeer] = pair()
    const [good, goodPeer] = pair()
    const failing: ReadyHandler & { gaveUp: number } = {
      gaveUp: 0,
      ready: () => {
        throw new Error('a bug')
      },
      failed: () => {
        failing.gaveUp += 1
        badWatch.close()
      },
    }
    const handler = reading(good)
    const badWatch = reactor.watch(bad.fd, Readiness.in, failing)
    const goodWatch = reactor.watch(good.fd, Readiness.in, handler)
    badPeer.send('x')
    goodPeer.send('x')
    await until('the good one is served', () => handler.calls === 1)
    await until('the bad one gave up', () => failing.gaveUp === 1)
    goodPeer.send('x')
    await until('the good one is served again', () => handler.calls === 2)
    assert.deepEqual(
      faults.map(error => String(error)),
      ['Error: a bug'],
    )
    goodWatch.close()
  }))

test('even giving up may throw', () =>
  withReactor(async ({ reactor, faults, pair }) => {
    const [ours, theirs] = pair()
    const watch = reactor.watch(ours.fd, Readiness.in, {
      ready: () => {
        throw new Error('first')
      },
      failed: () => {
        watch.close()
        throw new Error('second')
      },
    })
    theirs.send('x')
    await until('both are told', () => faults.length === 2)
  }))

test('a late event for a closed watch does not reach the one that has its place', () =>
  withReactor(async ({ reactor, pair }) => {
    const ends = Array.from({ length: 2 }, pair)
    const [idle] = pair()
    const heir = new Counting()
    const watches: Watch[] = []
    const heirs: Watch[] = []
    // Both become ready in one turn. Whichever is called first closes the other and puts a new watch in its place.
    const first = (mine: number): Counting =>
      new Counting(() => {
        if (heirs.length > 0) return
        watches[1 - mine]?.close()
        heirs.push(reactor.watch(idle.fd, Readiness.in, heir))
        watches[mine]?.rest()
      })
    const handlers = [first(0), first(1)]
    for (const [i, [ours]] of ends.entries()) {
      watches.push(reactor.watch(ours.fd, Readiness.in, handlers[i] ?? heir))
    }
    for (const [, theirs] of ends) theirs.send('x')
    await until('one is called', () => handlers.some(handler => handler.calls > 0))
    await quiet()
    assert.equal(heir.calls, 0)
    assert.equal((handlers[0]?.calls ?? 0) + (handlers[1]?.calls ?? 0), 1)
    for (const watch of heirs) watch.close()
  }))

test('watching what is no open descriptor is told at once', () =>
  withReactor(async ({ reactor }) => {
    assert.throws(() => reactor.watch(-1 as BorrowedFd, Readiness.in, new Counting()), /EBADF/)
  }))

test('the reactor keeps time as well', () =>
  withReactor(async ({ reactor }) => {
    const started = reactor.clock.now()
    let firedAt = 0
    reactor.clock.setTimeout(() => {
      firedAt = reactor.clock.now()
    }, 20)
    await until('it fires', () => firedAt > 0)
    assert.ok(firedAt - started >= 20)
  }))
