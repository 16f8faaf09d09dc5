/**
 * Whole conversations over one `rest` connection: both ends say, stop and vanish in any order, the provider is reached or not,
 * time passes, the link is withdrawn. Whatever happens, the session owes both ends a few things, which are checked here.
 */
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import * as t from 'io-ts'
import type { Session } from '../../src/relay/contract.ts'
import { IDENTITY, RestStage } from '../support/rest-stage.ts'
import { requests, validRequest } from './http-messages.ts'
import { isIdentity } from './rest-reading.ts'
import { read } from './strict-reader.ts'

const KeptSide = t.keyof({ consumer: null, provider: null })

export const Step = t.union([
  t.type({ side: KeptSide, says: t.string }),
  t.type({ side: KeptSide, does: t.keyof({ ends: null, leaves: null, breaks: null }) }),
  t.type({ dial: t.keyof({ reached: null, timeout: null, refused: null, 'kind-mismatch': null }) }),
  t.type({ waitsMs: t.number }),
  t.type({ isWithdrawn: t.literal(true) }),
])
export type Step = t.TypeOf<typeof Step>

export const Script = t.type({
  /** `when told`: by a step, or at the end. */
  dials: t.keyof({ 'at once': null, 'when told': null }),
  steps: t.readonlyArray(Step),
})
export type Script = t.TypeOf<typeof Script>

const response = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.constantFrom(
      'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwifi',
      'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;a\r\nwifi\r\n0\r\nA: 1\r\n\r\n',
      'HTTP/1.1 204 No\r\n\r\n',
      'HTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n',
      'HTTP/1.1 404 \r\nContent-Length: 1\r\n\r\nx',
    ),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      'HTTP/1.1 100 Continue\r\n\r\n',
      'HTTP/1.1 103 Early\r\nLink: x\r\n\r\n',
      'HTTP/1.1 200 OK\r\n\r\nto the end',
      'HTTP/1.1 101 Switch\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello',
      'HTTP/1.0 200 OK\r\n\r\nx',
      'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx',
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'hello',
      '\r\n',
      'HTTP/1.1 101 Switch\r\nUpgrade: h2c\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n',
      '\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      'HTTP/2 200\r\n\r\n',
      'HTTP/1.1 9',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n',
    ),
  },
)

const upgrade = fc.constantFrom(
  'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c, websocket\r\nContent-Length: 4\r\n\r\nwifi',
  'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nglued',
)

/** So long that most of it passes unseen. */
const LONG = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(3000)
const longChunk = `${LONG.length.toString(16)}\r\n${LONG}\r\n`

const upload = fc.constantFrom(
  `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${LONG.length}\r\n\r\n${LONG}`,
  `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${longChunk}0\r\n\r\n`,
)

const download = fc.constantFrom(
  `HTTP/1.1 200 OK\r\nContent-Length: ${LONG.length}\r\n\r\n${LONG}`,
  `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${longChunk}0\r\n\r\n`,
  `HTTP/1.1 200 OK\r\n\r\n${LONG}`,
)

type Side = t.TypeOf<typeof KeptSide>

/** A text in up to three pieces. */
const said = (side: Side, texts: fc.Arbitrary<string>): fc.Arbitrary<readonly Step[]> =>
  fc.tuple(texts, fc.array(fc.nat(99), { maxLength: 2 })).map(([text, cuts]) => {
    const places = [
      0,
      ...cuts.map(cut => Math.floor((cut * text.length) / 100)).sort((a, b) => a - b),
      text.length,
    ]
    return places
      .map((place, index) => text.slice(place, places[index + 1] ?? place))
      .filter(piece => piece !== '')
      .map(says => ({ side, says }))
  })

/** A body that comes late, and looks like a request: a response may come between. */
const lateBody: fc.Arbitrary<readonly Step[]> = validRequest.map(request => [
  { side: 'consumer', says: `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${request.length}\r\n\r\n` },
  { side: 'consumer', says: request },
])

const stops = (side: Side): fc.Arbitrary<readonly Step[]> =>
  fc.constantFrom('ends' as const, 'leaves' as const, 'breaks' as const).map(does => [{ side, does }])

const events: fc.Arbitrary<readonly Step[]> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom(1, 900, 9000, 59_000, 61_000, 301_000).map(waitsMs => [{ waitsMs }]),
  },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom('reached' as const, 'reached' as const, 'timeout' as const, 'refused' as const)
      .map(dial => [{ dial }]),
  },
  { weight: 1, arbitrary: fc.constant([{ isWithdrawn: true as const }]) },
)

const texts = fc.oneof(
  { weight: 5, arbitrary: validRequest },
  { weight: 3, arbitrary: requests },
  { weight: 1, arbitrary: upgrade },
  { weight: 1, arbitrary: upload },
  {
    weight: 1,
    arbitrary: fc.string({ unit: fc.nat(255).map(code => String.fromCharCode(code)), maxLength: 30 }),
  },
)

const responses = fc.oneof({ weight: 20, arbitrary: response }, { weight: 1, arbitrary: download })

const steps: fc.Arbitrary<readonly Step[]> = fc
  .tuple(
    fc.array(
      fc.oneof(
        { weight: 12, arbitrary: said('consumer', texts) },
        { weight: 2, arbitrary: lateBody },
        { weight: 1, arbitrary: stops('consumer') },
        { weight: 1, arbitrary: events },
      ),
      { minLength: 1, maxLength: 6 },
    ),
    fc.array(
      fc.oneof(
        { weight: 12, arbitrary: said('provider', responses) },
        { weight: 1, arbitrary: stops('provider') },
        { weight: 1, arbitrary: events },
      ),
      { maxLength: 6 },
    ),
    fc.array(fc.boolean(), { maxLength: 24 }),
  )
  .map(([consumer, provider, order]) => {
    const [left, right] = [consumer.flat(), provider.flat()]
    const merged: Step[] = []
    for (const isLeft of order) {
      const next = (isLeft ? left : right).shift() ?? left.shift()
      if (next !== undefined) merged.push(next)
    }
    return [...merged, ...left, ...right]
  })

export const scripts: fc.Arbitrary<Script> = fc.record({
  dials: fc.constantFrom('at once' as const, 'at once' as const, 'when told' as const),
  steps,
})

/** Without what the daemon itself says, always last: an answer, or the frames that HTTP/2 is told to go away with. */
const relayedOf = (toConsumer: string): string => {
  if (toConsumer.includes('HTTP/2 is not served on rest links')) return ''
  const server = toConsumer.lastIndexOf('\r\nServer: pv-xconnect\r\n')
  return server < 0 ? toConsumer : toConsumer.slice(0, toConsumer.lastIndexOf('HTTP/1.1 ', server))
}

/** How Node says that the stream ended too early. */
const CUT_OFF = ['HPE_INVALID_EOF_STATE', 'within a body']
/** How it says that it does not know a method. */
const FOREIGN = ['HPE_INVALID_METHOD', 'HPE_INVALID_VERSION', 'HPE_INVALID_CONSTANT']

class Conversation {
  readonly #stage: RestStage
  /** What the provider has said as long as it could. */
  #fromProvider = ''
  #isOld = false
  /** The provider reads no more. */
  #isBroken = false
  #requestsAtWithdrawal: number | undefined
  readonly #gone = { consumer: false, provider: false }

  constructor(dials: Script['dials'], session: Session | undefined) {
    this.#stage = new RestStage({ dials, ...(session === undefined ? {} : { session }) })
  }

  get #isTunnel(): boolean {
    return this.#stage.counted('tunnels') > 0
  }

  step(one: Step): void {
    const stage = this.#stage
    const { commands } = stage
    if ('says' in one) {
      if (one.side === 'provider' && (!commands.reached || this.#gone.provider)) return
      if (one.side === 'provider' && !commands.closed) this.#fromProvider += one.says
      if (one.side === 'consumer' && one.says.includes('1.0')) this.#isOld = true
      commands.arrive(one.side, Buffer.from(one.says, 'latin1'))
    } else if ('does' in one) {
      if (one.side === 'provider' && !commands.reached) return
      stage[one.does](one.side)
      if (one.side === 'provider' && one.does !== 'ends') this.#isBroken = true
      if (one.does !== 'breaks') this.#gone[one.side] = true
      if (one.does === 'leaves' && !this.#isTunnel)
        assert.ok(commands.closed || commands.dialling, `the ${one.side} has left, and nothing is closed`)
    } else if ('dial' in one) {
      if (commands.dialling) commands.dialled(one.dial === 'reached' ? undefined : one.dial)
    } else if ('waitsMs' in one) stage.elapse(one.waitsMs)
    else {
      stage.withdraw()
      this.#requestsAtWithdrawal ??= stage.counted('requests')
    }
    this.#check()
  }

  #check(): void {
    const stage = this.#stage
    const { commands } = stage
    assert.ok(stage.dials <= 1, 'the provider was dialled more than once')
    assert.ok(stage.counted('errors') <= 1, 'more than one error was answered')
    const requested = stage.counted('requests')
    const finals = ['2xx', '3xx', '4xx', '5xx'].reduce(
      (sum, kind) => sum + stage.counted('responses', { class: kind }),
      0,
    )
    assert.ok(requested <= finals + 1, 'a request was forwarded before the one before it was answered')
    assert.ok(requested === 0 || stage.dials === 1, 'a request without a provider')
    assert.ok(
      requested <= (this.#requestsAtWithdrawal ?? requested),
      'a request after the link was withdrawn',
    )
    const toProvider = commands.bytesTo('provider').toString('latin1')
    const identities = toProvider.split(IDENTITY.replaceAll('⏎', '\r\n')).length - 1
    if (toProvider !== '' && !this.#isTunnel) assert.equal(identities, requested)
    const relayed = relayedOf(commands.bytesTo('consumer').toString('latin1'))
    // To HTTP/1.0 nothing informational is relayed.
    if (!this.#isOld)
      assert.ok(this.#fromProvider.startsWith(relayed), 'the consumer got what the provider did not say')
    const isGuarded = commands.closed || commands.dialling || this.#isTunnel || commands.timers > 0
    assert.ok(isGuarded, 'the connection is open, and no timer will ever end it')
  }

  /** All ends end, and so does the session. */
  async finish(): Promise<void> {
    const { commands } = this.#stage
    if (commands.dialling) commands.dialled()
    this.#check()
    commands.end('consumer', true)
    if (commands.reached) commands.end('provider', true)
    this.#stage.elapse(3600_000)
    const isOver = commands.hasEnded('consumer') && commands.hasEnded('provider')
    assert.ok(isOver, 'both ends have left, and the session goes on')
    if (!this.#isTunnel) await this.#isReadable()
  }

  /** Up to where it was cut off, the provider read the requests that were counted, each with one identity. */
  async #isReadable(): Promise<void> {
    const { commands } = this.#stage
    const { requests: all, refused = CUT_OFF[0] ?? '' } = await read(commands.bytesTo('provider'))
    for (const { fields, trailers } of all) {
      const claims = [...fields, ...trailers].filter(isIdentity)
      assert.deepEqual(claims, [
        ['X-PV-Client', 'app'],
        ['X-PV-Role', 'any'],
      ])
    }
    assert.ok([...CUT_OFF, ...FOREIGN].includes(refused), refused)
    // What was written to a provider that reads no more is lost.
    const isWhole = commands.bytesTo('provider').length > 0 && !this.#isBroken && CUT_OFF.includes(refused)
    if (isWhole)
      assert.equal(all.length, this.#stage.counted('requests'), 'requests in what the provider got')
  }
}

export const owesBothEnds = async (script: Script, session?: Session): Promise<void> => {
  const conversation = new Conversation(script.dials, session)
  for (const step of script.steps) conversation.step(step)
  await conversation.finish()
}
