/**
 * `rest` links on the real relay, whose two ends do what they like: whatever a provider reads is a beginning of what its
 * consumers asked, each request with its identity and only after the one before was answered; whatever a consumer reads is
 * what the provider said, with at most one word of the daemon's own at its end. And all of it ends, even where nobody closes.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { REFUSALS } from '../../../plugins/rest/refusals.ts'
import { restSessions } from '../../../plugins/rest/session.ts'
import { Io } from '../../../src/kernel/errno.ts'
import { DEFAULT_LIMITS } from '../../../src/model/limits.ts'
import { leavesNoDescriptors, openDescriptors } from '../../support/descriptors.ts'
import { eventually } from '../../support/eventually.ts'
import { type Random, randomOf } from '../../support/random.ts'
import { pattern, quiet, type RelayOptions, turn, type Wire, withRelay } from '../../support/relay.ts'

leavesNoDescriptors()

const LIMITS = {
  ...DEFAULT_LIMITS,
  restHeadMs: 150,
  restIdleMs: 150,
  restBodyMs: 150,
  restResponseMs: 150,
  restHalfClosedMs: 150,
}

const IDENTITY = 'X-PV-Client: app\r\nX-PV-Role: any\r\n'

const text = (bytes: number, seed: number): string => pattern(bytes, seed).toString('latin1')
const sizeOf = (random: Random): number => random.pick([0, 1, 10, 50, 500, 5000, 40_000, 150_000])

/** A body in chunks, as it is written and as it is read with extensions and claims of an identity gone. */
const chunks = (random: Random): readonly [string, string] => {
  let [written, read] = ['', '']
  for (let left = random.below(90); left > 0; left -= 1) {
    const size = random.chance(0.05) ? 70_000 : random.between(1, 40)
    const data = text(size, left)
    const digits = size.toString(16)
    written += `${digits}${random.chance(0.7) ? ';a="b;c"' : ''}\r\n${data}\r\n`
    read += `${digits}\r\n${data}\r\n`
  }
  return [`${written}0;x\r\nX-PV-Role: admin\r\nX-Sum: 1\r\n\r\n`, `${read}0\r\nX-Sum: 1\r\n\r\n`]
}

/** As a consumer writes it, and as its provider reads it. */
const request = (random: Random, number: number): readonly [string, string] => {
  const line = (method: string): string => `${method} /${number} HTTP/1.1\r\n`
  const spoof = random.chance(0.3) ? 'x_pv-client: root\r\n' : ''
  switch (random.below(3)) {
    case 0:
      return [`${line('GET')}${spoof}Host: x\r\n\r\n`, `${line('GET')}${IDENTITY}Host: x\r\n\r\n`]
    case 1: {
      const body = text(sizeOf(random), number)
      const rest = `Host: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`
      return [`${line('POST')}${spoof}${rest}`, `${line('POST')}${IDENTITY}${rest}`]
    }
    default: {
      const [written, read] = chunks(random)
      const rest = 'Host: x\r\nTransfer-Encoding: chunked\r\n\r\n'
      return [`${line('PUT')}${rest}${written}`, `${line('PUT')}${IDENTITY}${rest}${read}`]
    }
  }
}

const answer = (random: Random): string => {
  const body = text(sizeOf(random), random.below(256))
  const interim = random.chance(0.2) ? 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n' : ''
  switch (random.below(6)) {
    case 0:
      return `${interim}HTTP/1.1 204 No Content\r\n\r\n`
    case 1:
      return `${interim}HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body.length === 0 ? '' : `${body.length.toString(16)}\r\n${body}\r\n`}0\r\n\r\n`
    case 2:
      return `${interim}HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    default:
      return `${interim}HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  }
}

/** What one end says, in pieces, and what it has read. */
class End {
  #queue: Buffer = Buffer.alloc(0)
  #said = 0
  readonly heard: Buffer[] = []
  wire: Wire | undefined
  closed = false
  halfClosed = false

  get said(): number {
    return this.#said
  }

  get silent(): boolean {
    return this.#queue.length === 0
  }

  push(words: string): void {
    this.#queue = Buffer.concat([this.#queue, Buffer.from(words, 'latin1')])
  }

  say(most: number): void {
    if (this.wire === undefined || this.closed || this.halfClosed || this.#queue.length === 0) return
    const n = this.wire.send(this.#queue.subarray(0, most))
    if (n > 0) {
      this.#said += n
      this.#queue = this.#queue.subarray(n)
    } else if (n === Io.gone) this.#queue = Buffer.alloc(0)
  }

  hear(most: number): void {
    if (this.wire === undefined || this.closed) return
    const message = this.wire.receive(most)
    if (typeof message !== 'number') this.heard.push(message.bytes)
  }

  endWriting(): void {
    if (this.wire !== undefined && !this.closed) this.wire.endWriting()
    this.halfClosed = true
  }

  close(): void {
    if (this.wire !== undefined && !this.closed) this.wire.close()
    this.closed = this.wire !== undefined
  }

  get all(): string {
    return Buffer.concat(this.heard).toString('latin1')
  }
}

const DAEMONS_OWN = Object.values(REFUSALS).map(({ answer }) => Buffer.concat(answer).toString('latin1'))
const LONGEST_OWN = Math.max(...DAEMONS_OWN.map(({ length }) => length))

/** A beginning of what was said, with an answer of the daemon's own behind it or a beginning of one. */
const isHeard = (heard: string, said: string): boolean => {
  for (let at = Math.max(0, heard.length - LONGEST_OWN); at <= heard.length; at += 1) {
    const own = heard.slice(at)
    if (said.startsWith(heard.slice(0, at)) && DAEMONS_OWN.some(answer => answer.startsWith(own))) return true
  }
  return false
}

/** One connection, and what it is to come to. */
class Pair {
  readonly consumer = new End()
  readonly provider = new End()
  readonly #random: Random
  #asks: string[] = []
  #answers = ''
  #answered = 0

  constructor(random: Random) {
    this.#random = random
  }

  ask(number: number): void {
    const [written, read] = request(this.#random, number)
    this.consumer.push(written)
    this.#asks.push(read)
  }

  say(words: string): void {
    this.provider.push(words)
    this.#answers += words
  }

  /** Answer what has come whole and was not answered. */
  answer(): void {
    const upTo = this.#asks.slice(0, this.#answered + 1).reduce((sum, { length }) => sum + length, 0)
    const heard = this.provider.heard.reduce((sum, { length }) => sum + length, 0)
    if (this.#answered >= this.#asks.length || heard < upTo) return
    this.#answered += 1
    this.say(answer(this.#random))
  }

  check(extra: boolean): void {
    const asked = this.provider.all
    assert.ok(this.#asks.join('').startsWith(asked), 'the provider reads something that was not asked')
    const most = this.#asks.slice(0, this.#answered + 1).reduce((sum, { length }) => sum + length, 0)
    if (!extra) assert.ok(asked.length <= most, 'a request came before the one before was answered')
    assert.ok(isHeard(this.consumer.all, this.#answers), 'the consumer reads what nobody said')
  }
}

const STEPS = 120
const PAIRS = 12

const act = (random: Random, pair: Pair, number: number): boolean => {
  const { consumer, provider } = pair
  const most = random.pick([1, 7, 100, 3000, 200_000, 200_000, 200_000])
  const what = random.below(100)
  if (what < 12) pair.ask(number)
  else if (what < 40) consumer.say(most)
  else if (what < 58) provider.hear(most)
  else if (what < 70) pair.answer()
  else if (what < 82) provider.say(most)
  else if (what < 94) consumer.hear(most)
  else if (what === 94 && consumer.silent && random.chance(0.4)) consumer.endWriting()
  else if (what === 95 && random.chance(0.15)) consumer.close()
  else if (what === 96 && random.chance(0.15)) provider.close()
  else if (what === 97 && random.chance(0.15)) provider.endWriting()
  else if (what === 98 && random.chance(0.2)) {
    // Unasked for, or not HTTP.
    pair.say(
      random.pick([
        'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
        'SSH-2.0-x\r\n',
        'HTTP/1.1 100 Go on\r\n\r\n',
      ]),
    )
    return true
  }
  return false
}

const options: RelayOptions = {
  descriptors: 'none',
  session: restSessions({ consumer: 'app', role: 'any' }, LIMITS),
  lingerMs: 150,
  limits: LIMITS,
}

for (const seed of [1, 2, 3].map(each => each + Number(process.env['PVX_TEST_SEED'] ?? 0))) {
  test(`consumers and providers of HTTP that do as they like (seed ${seed})`, async () => {
    const random = randomOf(seed)
    const before = openDescriptors()
    await withRelay({ ...options, patient: true }, async relay => {
      const pairs: Pair[] = []
      const extra = new Set<Pair>()
      for (let i = 0; i < PAIRS; i += 1) {
        const pair = new Pair(random.fork(`pair ${i}`))
        pairs.push(pair)
        pair.consumer.wire = relay.connect().consumer
      }
      // One pair at a time is dialled for, so that it is known whose provider answers.
      for (const pair of pairs) {
        pair.ask(0)
        while (relay.dialer.waiting.length === 0 && !pair.consumer.silent) {
          pair.consumer.say(200_000)
          await quiet(2)
        }
        await quiet(3)
        if (relay.dialer.waiting.length > 0) pair.provider.wire = relay.dialer.answer()
      }
      for (let step = 1; step <= STEPS; step += 1) {
        for (const pair of pairs) {
          for (let i = random.below(4); i > 0; i -= 1) if (act(random, pair, step)) extra.add(pair)
        }
        await turn()
      }
      for (const pair of pairs) pair.check(extra.has(pair))
      // Nobody says or closes anything any more.
      await eventually('every connection ends by itself', () => relay.open.size === 0, 15_000)
      for (const pair of pairs) {
        for (let i = 0; i < 20; i += 1) for (const end of [pair.consumer, pair.provider]) end.hear(200_000)
        pair.check(extra.has(pair))
      }
    })
    await eventually('no descriptor is left', () => openDescriptors() <= before)
  })
}
