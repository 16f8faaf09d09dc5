/**
 * Graphs as Pantavisor might send them, entry by entry as JSON text: mostly sensible, from few names so that they
 * meet, each field now and then of another spelling, of another type, given twice or not at all.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import * as fc from 'fast-check'
import { arrayText, INHERITED, mutated, objectText, oddValue } from './json-text.ts'

type Member = readonly [key: string, value: string]

const words = (...texts: readonly string[]): fc.Arbitrary<string> =>
  fc.constantFrom(...texts).map(text => JSON.stringify(text))

/** JSON text of values a field may sensibly have. */
const SENSIBLE: Readonly<Record<string, fc.Arbitrary<string>>> = {
  type: words('unix', 'unix', 'unix', 'rest', 'dbus', 'wayland', 'drm', 'gpio', '__proto__'),
  name: words('a', 'b', 'api', '__proto__', 'a/b', 'a@/x'),
  consumer: words('app', 'web', 'app/a', 'constructor'),
  consumer_pid: fc.constantFrom('0', '101', '"101"', '102', '-1', '"-1"', 'null', '4194305', '1.5', '"007"'),
  provider: words('net', 'db', '', '__proto__'),
  provider_pid: fc.constantFrom('0', '201', '"201"', '202', '-1', 'null'),
  socket: words('/s', '/run/net/api.sock', '@abstract', '/dev/dri/card0', '/run/../s', 'run/s', '/'),
  target: words('/x', '/y', '/run/pv/z.sock', '@abstract', '', '/x/', '/a/./b'),
  role: words('any', 'monitor', '', '*'),
  interface: words('unix', 'unix+creds', '/x', '/iface/../x', ''),
  uid: fc.constantFrom('0', '1000', '"1000"', 'null', '-1', '4294967295', '4294967294', '""'),
}

const FIELDS = Object.keys(SENSIBLE)
/** Without these there is no link. */
const NEEDED: readonly string[] = ['type', 'name', 'consumer', 'socket']

const member = (key: string): fc.Arbitrary<Member> =>
  fc
    .oneof({ weight: 30, arbitrary: SENSIBLE[key] ?? oddValue }, { weight: 1, arbitrary: oddValue })
    .map(value => [key, value])

const needed = fc.tuple(...NEEDED.map(member))
const optional = fc
  .subarray(FIELDS.filter(field => !NEEDED.includes(field)))
  .chain(keys => fc.tuple(...keys.map(member)))
/** Keys again, keys nobody knows, and keys that are none of an object's own. */
const surplus = fc.array(
  fc.oneof(
    fc.constantFrom(...FIELDS).chain(member),
    fc.tuple(fc.constantFrom('', 'Consumer', 'consumer ', 'surprise', ...INHERITED), oddValue),
  ),
  { maxLength: 3 },
)

const entry: fc.Arbitrary<string> = fc
  .tuple(
    needed,
    optional,
    fc.oneof({ weight: 3, arbitrary: fc.constant<Member[]>([]) }, { weight: 1, arbitrary: surplus }),
    fc.boolean(),
  )
  .map(([first, second, third, reversed]) => {
    const members = [...first, ...second, ...third]
    return objectText(reversed ? members.reverse() : members)
  })

const partial: fc.Arbitrary<string> = fc
  .subarray(FIELDS)
  .chain(keys => fc.tuple(...keys.map(member)))
  .map(objectText)

/** JSON of one element of a graph, good or bad. */
const entryText: fc.Arbitrary<string> = fc.oneof(
  { weight: 12, arbitrary: entry },
  { weight: 2, arbitrary: partial },
  { weight: 1, arbitrary: oddValue },
)

export const entryTexts = (maxLength: number): fc.Arbitrary<string[]> => fc.array(entryText, { maxLength })

const CORPUS = resolve('fixtures/graphs')

const corpus = (): readonly Uint8Array[] =>
  readdirSync(CORPUS)
    .sort()
    .map(name => readFileSync(join(CORPUS, name)))

/** What may come instead of a graph: bytes near one. */
export const bodyBytes: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 4, arbitrary: mutated(fc.constantFrom(...corpus())) },
  { weight: 4, arbitrary: mutated(entryTexts(6).map(entries => Buffer.from(arrayText(entries)))) },
  { weight: 1, arbitrary: mutated(oddValue.map(text => Buffer.from(text))) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
)
