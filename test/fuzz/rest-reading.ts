/**
 * Holds a `rest` session against Node's own strict HTTP parser (`strict-reader.ts`): whatever a consumer writes, the requests
 * that the session believes in are those that the provider will read, and those that Node reads in what was written.
 * The session may refuse more than Node does. It may take more only where this file says so.
 */
import assert from 'node:assert/strict'
import { METHODS } from 'node:http'
import { restSessions } from '../../plugins/rest/session.ts'
import { DEFAULT_LIMITS } from '../../src/model/limits.ts'
import type { Session } from '../../src/relay/contract.ts'
import { RestStage, response, shown, wire } from '../support/rest-stage.ts'
import { withoutBadBlanks } from './bad-blanks.ts'
import { type Field, type ReadRequest, read, readOne } from './strict-reader.ts'

/** What a session made of an input, request by request. */
export interface Served {
  /** As the provider got them, each answered before the next one came. */
  readonly whole: readonly Buffer[]
  /** What the provider got of a request before its connection was closed. */
  readonly broken: Buffer
  /** Why the daemon itself answered, if it did. */
  readonly reason: string | undefined
}

const sessions = restSessions({ consumer: 'app', role: 'any' }, DEFAULT_LIMITS)
const ANSWER = response()

/** All of the input comes before any answer, and then its end, so that what is whole is whole and what is not never will be. */
export const serve = (pieces: readonly Buffer[], session = sessions()): Served => {
  const stage = new RestStage({ session })
  const { commands } = stage
  for (const piece of pieces) commands.arrive('consumer', piece)
  commands.end('consumer')
  const whole: Buffer[] = []
  let at = 0
  while (!commands.closed && commands.bytesTo('provider').length > at) {
    const end = commands.bytesTo('provider').length
    whole.push(Buffer.from(commands.bytesTo('provider').subarray(at, end)))
    at = end
    commands.arrive('provider', wire(ANSWER))
  }
  assert.ok(commands.closed, 'the connection is still open after its consumer has ended and all was answered')
  assert.ok(stage.dials <= 1, 'the provider was dialled more than once')
  const answers = stage.toConsumer
  assert.ok(answers.startsWith(ANSWER.repeat(whole.length)), 'not every answer came through')
  const [report, ...more] = stage.reports
  assert.deepEqual(more, [], 'more than one reason')
  const isSilent = answers.length === ANSWER.length * whole.length
  assert.equal(isSilent, report === undefined, 'a refusal that is not reported, or the other way round')
  const broken = Buffer.from(commands.bytesTo('provider').subarray(at))
  return { whole, broken, reason: report === undefined ? undefined : String(report.facts['reason']) }
}

/** Methods that Node does not know, or only from other protocols, are extensions like any other (RFC 9110 section 9.1). */
const isForeign = (request: Buffer): boolean =>
  !METHODS.includes(request.toString('latin1', 0, Math.max(0, request.indexOf(' '))))

/** The request at a place as Node reads it, without bad blanks if it stops at them. */
const reader = async (input: Buffer) => {
  const written = await read(input)
  const withoutBlanks = withoutBadBlanks(input)
  const isSame = written.refused === undefined || withoutBlanks.equals(input)
  const mended = isSame ? written : await read(withoutBlanks)
  return {
    refused: mended.refused,
    /** How many there are at least, whole or not. */
    count: Math.max(written.requests.length, mended.requests.length),
    whole: (index: number): ReadRequest | undefined =>
      [written, mended].map(({ requests }) => requests[index]).find(request => request?.isComplete),
    begun: (index: number): ReadRequest | undefined => written.requests[index] ?? mended.requests[index],
  }
}

/** The same request by a method that Node knows, so that it can be read. */
const withKnownMethod = (request: Buffer): Buffer =>
  Buffer.concat([Buffer.from('POST'), request.subarray(request.indexOf(' '))])

const normal = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, '-')
export const isIdentity = ([name]: Field): boolean => normal(name).startsWith('x-pv-')

const listed = (fields: readonly Field[], wanted: string): readonly string[] =>
  fields
    .filter(([name]) => name.toLowerCase() === wanted)
    .flatMap(([, value]) => value.split(','))
    .map(element => element.trim().toLowerCase())

const HOPS = ['connection', 'keep-alive', 'proxy-connection', 'upgrade', 'http2-settings']

/** Fields that have to come through as they are, in their order. */
const endToEnd = ({ fields, version }: ReadRequest): readonly Field[] => {
  const nominated = listed(fields, 'connection')
  const isHop = (name: string): boolean => {
    if (name === 'te') return !nominated.includes('te')
    if (name === 'expect' && version === '1.0') return true
    return HOPS.includes(name) || nominated.includes(name)
  }
  return fields.filter(field => !isIdentity(field) && !isHop(field[0].toLowerCase()))
}

const IDENTITY: readonly Field[] = [
  ['X-PV-Client', 'app'],
  ['X-PV-Role', 'any'],
]

/** What the provider reads is what the consumer wrote, but for the rewriting. */
const isRewritten = (got: ReadRequest, from: ReadRequest): void => {
  assert.deepEqual([got.method, got.target, got.version], [from.method, from.target, from.version])
  assert.deepEqual(got.body, from.body, 'another body')
  const rest = got.fields.filter(field => !isIdentity(field))
  const kept = rest.filter(([name]) => !['connection', 'upgrade'].includes(name.toLowerCase()))
  assert.deepEqual(kept, endToEnd(from))
  const offers = listed(from.fields, 'upgrade')
  assert.ok(
    listed(rest, 'upgrade').every(offer => offers.includes(offer) && !/^(h2c?$|http\/|tls\/)/.test(offer)),
  )
  const options = listed(rest, 'connection')
  assert.ok(
    options.every(option => ['close', 'keep-alive', 'te', 'upgrade'].includes(option)),
    options.join(),
  )
  assert.ok(
    options.every(option => listed(from.fields, 'connection').includes(option)),
    options.join(),
  )
  assert.deepEqual(
    got.trailers,
    from.trailers.filter(field => !isIdentity(field)),
  )
}

/** Where the body was at fault, and the head had gone already. */
const LATE = ['chunk', 'trailer', 'incomplete']

/** Throws where anything of the input was forwarded that could be read in another way. */
export const holdsAgainstNode = async (text: string, session?: Session): Promise<Served> => {
  const input = Buffer.from(text, 'latin1')
  const { whole, broken, reason } = serve([input], session)
  const written = await reader(input)
  const show = (bytes: Buffer): string => `'${shown(bytes)}'`

  for (const [index, bytes] of whole.entries()) {
    const got = await readOne(isForeign(bytes) ? withKnownMethod(bytes) : bytes)
    assert.ok(got !== undefined, `the provider does not read ${show(bytes)} as one whole request`)
    assert.deepEqual(got.fields.slice(0, 2), IDENTITY, `identity of ${show(bytes)}`)
    assert.equal([...got.fields, ...got.trailers].filter(isIdentity).length, 2, `identity of ${show(bytes)}`)
    const from = written.whole(index)
    if (isForeign(bytes)) {
      assert.equal(index, written.count, `Node reads something where ${show(bytes)} was forwarded`)
      return { whole, broken, reason }
    }
    assert.ok(
      from?.isComplete,
      `Node (${written.refused}) reads no request where ${show(bytes)} was forwarded`,
    )
    isRewritten(got, from)
  }

  if (broken.length === 0) return { whole, broken, reason }
  assert.ok(
    LATE.includes(reason ?? ''),
    `${show(broken)} was forwarded, and then refused for its head: ${reason}`,
  )
  const part = await read(isForeign(broken) ? withKnownMethod(broken) : broken)
  assert.ok(
    part.requests.every(({ isComplete }) => !isComplete),
    `a whole request was read in ${show(broken)}`,
  )
  const [got] = part.requests
  const from = written.begun(whole.length)
  if (from === undefined) {
    assert.ok(
      isForeign(broken),
      `Node (${written.refused}) reads no request where ${show(broken)} was forwarded`,
    )
    return { whole, broken, reason }
  }
  assert.ok(got !== undefined, `the provider reads no head in ${show(broken)}`)
  assert.deepEqual(got.fields.slice(0, 2), IDENTITY, `identity of ${show(broken)}`)
  assert.equal(got.fields.filter(isIdentity).length, 2, `identity of ${show(broken)}`)
  isRewritten({ ...got, body: from.body, trailers: [] }, { ...from, trailers: [] })
  assert.ok(
    from.body.subarray(0, got.body.length).equals(got.body) ||
      got.body.subarray(0, from.body.length).equals(from.body),
  )
  return { whole, broken, reason }
}
