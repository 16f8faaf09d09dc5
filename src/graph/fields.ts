/**
 * The fields of one graph entry as io-ts codecs. Pure.
 * Promises that what they let through is a string or a number of the stated form; refuses to know other fields.
 * The message of a failure says what was expected, the reporter adds which field and what was there.
 */
import * as t from 'io-ts'
import { abstractProblem, isAbstract } from '../model/address.ts'
import type { Pid, Uid } from '../model/identity.ts'
import { isPid, isUid } from '../model/identity.ts'

/** PATH_MAX with its NUL is 4096, NAME_MAX is 255 (limits.h(0p)). */
const MAX_PATH_BYTES = 4095
const MAX_COMPONENT_BYTES = 255

const utf8Bytes = (text: string): number => Buffer.byteLength(text, 'utf8')

/** What keeps a string from being handed to the kernel or shown, or `null`. */
const textProblem = (text: string, maxBytes: number): string | null => {
  if (text.includes('\0')) return 'a string without NUL'
  // A lone surrogate has no UTF-8 form: it would reach the kernel as another name than the one that was assigned.
  if (/\p{Surrogate}/u.test(text)) return 'well-formed Unicode'
  return utf8Bytes(text) > maxBytes ? `at most ${maxBytes} bytes` : null
}

/** What keeps a string from being an absolute, normalised path, or `null`. */
const pathProblem = (path: string): string | null => {
  if (!path.startsWith('/')) return 'an absolute path'
  if (path === '/') return 'a path below the root'
  if (utf8Bytes(path) > MAX_PATH_BYTES) return `a path of at most ${MAX_PATH_BYTES} bytes`
  for (const component of path.slice(1).split('/')) {
    if (component === '') return 'a path without empty components or a trailing slash'
    if (component === '.' || component === '..') return `a path without ${component} in it`
    if (utf8Bytes(component) > MAX_COMPONENT_BYTES)
      return `components of at most ${MAX_COMPONENT_BYTES} bytes`
  }
  return null
}

/** Only `unix` takes abstract names: the others promise their clients a path. */
export const addressProblem = (type: string, address: string): string | null =>
  type === 'unix' && isAbstract(address) ? abstractProblem(address) : pathProblem(address)

const text = (name: string, maxBytes: number): t.Type<string, string, unknown> =>
  new t.Type(
    name,
    (u): u is string => typeof u === 'string',
    (u, context) => {
      if (typeof u !== 'string') return t.failure(u, context, 'a string')
      const problem = textProblem(u, maxBytes)
      return problem === null ? t.success(u) : t.failure(u, context, problem)
    },
    t.identity,
  )

const nonEmpty = (inner: t.Type<string, string, unknown>): t.Type<string, string, unknown> =>
  new t.Type(
    `NonEmpty${inner.name}`,
    inner.is,
    (u, context) => (u === '' ? t.failure(u, context, 'a non-empty string') : inner.validate(u, context)),
    t.identity,
  )

/** Absent, `null` and empty mean the same: nobody said. */
const optional = (inner: t.Type<string, string, unknown>): t.Type<string | null, string | null, unknown> =>
  new t.Type<string | null, string | null, unknown>(
    `Optional${inner.name}`,
    (u): u is string | null => u === null || inner.is(u),
    (u, context) =>
      u === undefined || u === null || u === '' ? t.success(null) : inner.validate(u, context),
    t.identity,
  )

/** A number or a numeric string in its plain spelling. Everything else, `-0` and `007` too, is no number to us. */
const numberOf = (u: unknown): number | null => {
  if (typeof u === 'number') return Object.is(u, -0) ? null : u
  return typeof u === 'string' && /^(0|[1-9][0-9]{0,15})$/.test(u) ? Number(u) : null
}

/** Never fails: what is no process id means "not running", and must never be taken for the host. */
const RunningPid = new t.Type<Pid | null, Pid | null, unknown>(
  'RunningPid',
  (u): u is Pid | null => u === null || (typeof u === 'number' && isPid(u)),
  u => {
    const pid = numberOf(u)
    return t.success(pid !== null && isPid(pid) ? pid : null)
  },
  t.identity,
)

/** Unlike a pid, a uid that cannot be understood refuses the link: guessing would grant another identity. */
const OptionalUid = new t.Type<Uid | null, Uid | null, unknown>(
  'OptionalUid',
  (u): u is Uid | null => u === null || (typeof u === 'number' && isUid(u)),
  (u, context) => {
    if (u === undefined || u === null) return t.success(null)
    const uid = numberOf(u)
    return uid !== null && isUid(uid) ? t.success(uid) : t.failure(u, context, 'a uid from 0 to 4294967294')
  },
  t.identity,
)

/** One entry, its fields checked one by one; what depends on several of them is the codec's business. */
export const entryFields = (maxStringBytes: number) => {
  const Text = text('Text', maxStringBytes)
  return t.type({
    type: nonEmpty(Text),
    name: nonEmpty(Text),
    consumer: nonEmpty(Text),
    consumer_pid: RunningPid,
    provider: optional(Text),
    provider_pid: RunningPid,
    socket: nonEmpty(Text),
    target: optional(Text),
    role: optional(Text),
    interface: optional(Text),
    uid: OptionalUid,
  })
}

export type EntryCodec = ReturnType<typeof entryFields>
export type Entry = t.TypeOf<EntryCodec>
