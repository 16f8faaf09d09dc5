/**
 * The body of `GET /xconnect-graph` -> the model. Pure.
 * Promises that a bad entry is rejected with its index and a reason and never hides a good one, and that
 * no body makes it throw. Refuses a body that is no graph at all as a whole (`GraphError`).
 */
import type * as t from 'io-ts'
import { E } from '../fp.ts'
import type { Graph, RejectedEntry } from '../model/graph.ts'
import type { Limits } from '../model/limits.ts'
import type { Link, LinkKey } from '../model/link.ts'
import { keyOf } from '../model/link.ts'
import { shown } from '../model/shown.ts'
import type { GraphError } from './errors.ts'
import type { Entry, EntryCodec } from './fields.ts'
import { addressProblem, entryFields } from './fields.ts'

export type GraphLimits = Pick<Limits, 'graphBodyBytes' | 'graphLinks' | 'graphStringBytes'>

const MAX_REASONS = 3

export const decodeGraph = (body: Uint8Array | string, limits: GraphLimits): E.Either<GraphError, Graph> => {
  const bytes = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength
  if (bytes > limits.graphBodyBytes) {
    return E.left({ _tag: 'BodyTooLarge', bytes, limitBytes: limits.graphBodyBytes })
  }
  const parsed = parseJson(body)
  if (E.isLeft(parsed)) return parsed
  const entries = parsed.right
  if (!Array.isArray(entries)) return E.left({ _tag: 'NotAnArray', found: shown(entries) })
  if (entries.length > limits.graphLinks) {
    return E.left({ _tag: 'TooManyLinks', found: entries.length, limit: limits.graphLinks })
  }
  return E.right(decodeEntries(entries, entryFields(limits.graphStringBytes)))
}

const parseJson = (body: Uint8Array | string): E.Either<GraphError, unknown> => {
  let text: string
  try {
    text = typeof body === 'string' ? body : new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch {
    return E.left({ _tag: 'NotUtf8' })
  }
  try {
    const value: unknown = JSON.parse(text)
    return E.right(value)
  } catch (error) {
    return E.left({ _tag: 'NotJson', reason: error instanceof Error ? error.message : String(error) })
  }
}

const decodeEntries = (entries: readonly unknown[], codec: EntryCodec): Graph => {
  const links: Link[] = []
  const rejected: RejectedEntry[] = []
  const firstWithKey = new Map<LinkKey, number>()
  entries.forEach((entry, index) => {
    const decoded = decodeEntry(entry, codec)
    if (E.isLeft(decoded)) {
      const called = calledBy(entry)
      rejected.push({ index, reason: decoded.left, ...(called === null ? {} : { called }) })
      return
    }
    const key = keyOf(decoded.right)
    const first = firstWithKey.get(key)
    if (first !== undefined) {
      rejected.push({ index, reason: `repeats entry ${first} (${key})` })
      return
    }
    firstWithKey.set(key, index)
    links.push(decoded.right)
  })
  return { links, rejected }
}

/** Names that are no names are not shown. */
const MAX_NAME = 255

const calledBy = (entry: unknown): string | null => {
  if (typeof entry !== 'object' || entry === null || !('consumer' in entry) || !('name' in entry)) return null
  const { consumer, name } = entry
  const readable = (text: unknown): text is string =>
    typeof text === 'string' && text !== '' && text.length <= MAX_NAME
  return readable(consumer) && readable(name) ? `${consumer}/${name}` : null
}

const decodeEntry = (entry: unknown, codec: EntryCodec): E.Either<string, Link> => {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
    return E.left(`expected an object, got ${shown(entry)}`)
  }
  const fields = codec.decode(entry)
  return E.isLeft(fields) ? E.left(reasonOf(fields.left)) : linkOf(fields.right)
}

const linkOf = (entry: Entry): E.Either<string, Link> => {
  const socketProblem = addressProblem(entry.type, entry.socket)
  if (socketProblem !== null) return refused('socket', socketProblem, entry.socket)
  const target = targetOf(entry)
  if (E.isLeft(target)) return target
  return E.right({
    type: entry.type,
    name: entry.name,
    consumer: entry.consumer,
    consumer_pid: entry.consumer_pid,
    provider: entry.provider,
    provider_pid: entry.provider_pid,
    socket: entry.socket,
    target: target.right,
    role: entry.role ?? 'any',
    interface: entry.interface ?? entry.type,
    uid: entry.uid,
  })
}

const targetOf = (entry: Entry): E.Either<string, string> => {
  if (entry.target !== null) return checkedTarget(entry.type, entry.target, 'target')
  if (entry.interface?.startsWith('/')) {
    return checkedTarget(entry.type, entry.interface, 'interface (taken as the target)')
  }
  if (entry.type === 'drm') return checkedTarget(entry.type, entry.socket, 'socket (taken as the target)')
  // These two become part of a file name, where a slash would lead elsewhere.
  if (entry.consumer.includes('/')) return refused('consumer', WITHOUT_SLASH, entry.consumer)
  if (entry.name.includes('/')) return refused('name', WITHOUT_SLASH, entry.name)
  return checkedTarget(entry.type, `/tmp/pvx_${entry.consumer}_${entry.name}.sock`, 'target (the default)')
}

const WITHOUT_SLASH = 'no slash, as there is no target and the default is made of it'

const checkedTarget = (type: string, target: string, field: string): E.Either<string, string> => {
  const problem = addressProblem(type, target)
  return problem === null ? E.right(target) : refused(field, problem, target)
}

const refused = (field: string, expected: string, value: unknown): E.Either<string, never> =>
  E.left(`${field}: expected ${expected}, got ${shown(value)}`)

/** What io-ts found, in one line: field, expectation, value. */
const reasonOf = (errors: t.Errors): string => {
  const reasons = errors.slice(0, MAX_REASONS).map(error => {
    const field = error.context.at(-1)?.key ?? ''
    return `${field}: expected ${error.message ?? 'another value'}, got ${shown(error.value)}`
  })
  const more = errors.length - reasons.length
  return reasons.join('; ') + (more > 0 ? `; and ${more} more` : '')
}
