/**
 * The judges of a soak judged: two peers without a daemon, connected directly, or through a man in the middle who
 * garbles, loses or cuts what passes. A soak can only be believed if they tell.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, connect as dial, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type TestContext, test } from 'node:test'
import { HOST } from '../support/container.ts'
import { eventually } from '../support/eventually.ts'
import type { Kind } from '../support/peer.ts'
import { canRunHere } from '../support/requirements.ts'
import { type Header, type SoakPeer, startSoakPeer } from './peer.ts'

interface Pair {
  readonly scratch: string
  readonly consumer: SoakPeer
  readonly provider: SoakPeer
  /** Where the provider listens. */
  readonly path: string
}

const withPair = async (t: TestContext, kind: Kind, body: (pair: Pair) => Promise<void>): Promise<void> => {
  if (!canRunHere(t)) return
  const scratch = mkdtempSync(join(tmpdir(), 'pvx-soak-peer-'))
  const [consumer, provider] = await Promise.all([startSoakPeer(HOST), startSoakPeer(HOST)])
  try {
    const path = join(scratch, 'direct.sock')
    await provider.provide('direct', path, kind)
    await body({ scratch, consumer, provider, path })
  } finally {
    await Promise.all([consumer.kill(), provider.kill()])
    rmSync(scratch, { recursive: true })
  }
}

const header = (changes: Partial<Header>): Header => ({
  id: 1,
  seed: 20,
  up: 300_000,
  down: 300_000,
  rights: false,
  packets: false,
  how: 'both',
  client_wait: 0,
  server_wait: 0,
  acknowledged: true,
  ...changes,
})

for (const kind of ['stream', 'seqpacket'] as const) {
  for (const rights of [false, true]) {
    test(`all kinds of conversations by ${kind}, ${rights ? 'with' : 'without'} descriptors, go well directly`, t =>
      withPair(t, kind, async ({ consumer, provider, path }) => {
        for (const how of ['both', 'turn', 'vanish', 'hangup'] as const) {
          for (const acknowledged of [true, false]) {
            const said = header({ how, rights, acknowledged, packets: kind === 'seqpacket', server_wait: 20 })
            const { outcome, why } = await consumer.talk(path, said)
            assert.deepEqual([how, outcome, why], [how, 'done', undefined])
          }
        }
        assert.deepEqual(await provider.problems(), [])
      }))
  }
}

/** A relay of Node's own, with something of ours in the way up. It knows nothing of descriptors, and loses them. */
const throughAMan = async (
  { scratch, path }: Pair,
  middle: (up: Socket, down: Socket) => Transform,
  body: (path: string) => Promise<void>,
): Promise<void> => {
  const sockets = new Set<Socket>()
  const server: Server = createServer({ allowHalfOpen: true }, consumer => {
    const provider = dial({ path, allowHalfOpen: true })
    for (const each of [consumer, provider]) {
      sockets.add(each)
      each.on('error', () => undefined)
    }
    const lost = (): void => {
      for (const each of [consumer, provider]) each.destroy()
    }
    void pipeline(consumer, middle(consumer, provider), provider).catch(lost)
    void pipeline(provider, consumer).catch(lost)
  })
  const man = join(scratch, 'man.sock')
  await new Promise<void>(resolve => server.listen(man, resolve))
  try {
    await body(man)
  } finally {
    server.close()
    for (const each of sockets) each.destroy()
  }
}

/** Hands every piece on after doing something to it; `at` counts the bytes before it. */
const meddling = (meddle: (piece: Buffer, at: number) => Buffer): Transform => {
  let at = 0
  return new Transform({
    transform(piece: Buffer, _encoding, done) {
      const changed = meddle(piece, at)
      at += piece.length
      done(null, changed)
    },
  })
}

const SOMEWHERE = 100_000

const within = (at: number, piece: Buffer): number | undefined =>
  SOMEWHERE >= at && SOMEWHERE < at + piece.length ? SOMEWHERE - at : undefined

const flipped = (piece: Buffer, at: number): Buffer => {
  const index = within(at, piece)
  if (index === undefined) return piece
  const copy = Buffer.from(piece)
  copy.writeUInt8((copy.readUInt8(index) + 1) & 0xff, index)
  return copy
}

const without = (piece: Buffer, at: number): Buffer => {
  const index = within(at, piece)
  if (index === undefined) return piece
  return Buffer.concat([piece.subarray(0, index), piece.subarray(index + 1)])
}

test('a man in the middle who changes nothing is not noticed', t =>
  withPair(t, 'stream', pair =>
    throughAMan(
      pair,
      () => meddling(piece => piece),
      async man => {
        assert.equal((await pair.consumer.talk(man, header({}))).outcome, 'done')
        assert.deepEqual(await pair.provider.problems(), [])
      },
    ),
  ))

for (const [what, meddle, why] of [
  ['changes one byte', flipped, /other bytes than were sent/],
  ['leaves one byte out', without, /other bytes than were sent/],
] as const) {
  test(`a man in the middle who ${what} is noticed`, t =>
    withPair(t, 'stream', pair =>
      throughAMan(
        pair,
        () => meddling(meddle),
        async man => {
          await pair.consumer.talk(man, header({ how: 'turn' }))
          const [problem] = await eventually('the provider complains', async () => {
            const problems = await pair.provider.problems()
            return problems.length > 0 && problems
          })
          assert.equal(problem?.outcome, 'wrong')
          assert.match(problem?.why ?? '', why)
        },
      ),
    ))
}

test('a man in the middle who loses descriptors is noticed', t =>
  withPair(t, 'stream', pair =>
    throughAMan(
      pair,
      () => meddling(piece => piece),
      async man => {
        const heard = await pair.consumer.talk(man, header({ rights: true }))
        // Both ends look, and whoever sees it first leaves: the other one is only cut.
        const wrong = await eventually('one of them complains', async () =>
          [heard, ...(await pair.provider.problems())].find(({ outcome }) => outcome === 'wrong'),
        )
        assert.match(wrong.why ?? '', /descriptors \[\] at byte/)
      },
    ),
  ))

test('a man in the middle who cuts a connection is told apart from one who garbles it', t =>
  withPair(t, 'stream', pair =>
    throughAMan(
      pair,
      up =>
        meddling((piece, at) => {
          if (at > SOMEWHERE) up.destroy()
          return piece
        }),
      async man => {
        const { outcome } = await pair.consumer.talk(man, header({ up: 3_000_000, how: 'turn' }))
        assert.equal(outcome, 'cut')
      },
    ),
  ))

test('who says nothing more than its end comes is noticed', t =>
  withPair(t, 'stream', pair =>
    throughAMan(
      pair,
      () =>
        new Transform({
          transform: (piece, _encoding, done) => done(null, piece),
          flush(done) {
            this.push('one more')
            done()
          },
        }),
      async man => {
        await pair.consumer.talk(man, header({ how: 'turn' }))
        const [problem] = await eventually('the provider complains', async () => {
          const problems = await pair.provider.problems()
          return problems.length > 0 && problems
        })
        assert.match(problem?.why ?? '', /8 bytes with descriptors \[\] came where the end should have/)
      },
    ),
  ))
