/**
 * Match rules, read as the two buses there are read them: libdbus (`bus_match_rule_parse`) by the words of the specification. Rules that
 * the filter takes for the same have to be the same to such a bus, and none that such a bus takes for ours may pass unseen.
 */
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import * as t from 'io-ts'
import { asksToEavesdrop, MatchRules, meaningOf } from '../../plugins/dbus/filter/match-rules.ts'
import { Scope } from '../../plugins/dbus/filter/scope.ts'

export const Rules = t.tuple([t.string, t.string])
type Rules = t.TypeOf<typeof Rules>

const NAME = 'org.example.Service'

const key = fc.constantFrom(
  'type',
  'sender',
  'member',
  'arg0',
  'arg0namespace',
  'path',
  'eavesdrop',
  'interface',
  'arg1path',
)
const value = fc.constantFrom(
  'signal',
  NAME,
  'NameOwnerChanged',
  'true',
  'false',
  '/a',
  'a,b',
  'a=b',
  "a'b",
  'a\\b',
  ' a ',
  '',
)

/** One value in the ways in which it may be spelled (specification, "Match Rules"). */
const spelling = (text: string): fc.Arbitrary<string> => {
  const quoted = `'${text.replaceAll("'", "'\\''")}'`
  const half = text.length >> 1
  return fc.constantFrom(
    quoted,
    quoted,
    text.replaceAll('\\', '\\\\').replaceAll(',', '\\,').replaceAll("'", "\\'"),
    `'${text.slice(0, half).replaceAll("'", "'\\''")}'${text.slice(half).replaceAll(',', '\\,').replaceAll("'", "\\'")}`,
    text,
  )
}

const part = fc
  .tuple(key, value)
  .chain(([name, text]) =>
    fc
      .tuple(
        fc.constantFrom('', '', '', ' ', '\t'),
        fc.constantFrom('=', '=', '=', ' =', '==', '= '),
        spelling(text),
      )
      .map(([before, sign, spelled]) => `${before}${name}${sign}${spelled}`),
  )

const rule = fc
  .tuple(fc.array(part, { minLength: 1, maxLength: 4 }), fc.constantFrom('', '', '', ',', ' '))
  .map(([parts, end]) => parts.join(',') + end)

/** Often two spellings of one rule, which chance alone would seldom give. */
export const rules: fc.Arbitrary<Rules> = fc.oneof(
  fc.tuple(rule, rule),
  fc.array(fc.tuple(key, value), { minLength: 1, maxLength: 3 }).chain(parts => {
    const once = fc
      .tuple(...parts.map(([name, text]) => spelling(text).map(spelled => `${name}=${spelled}`)))
      .chain(all => fc.shuffledSubarray(all, { minLength: all.length }))
      .map(all => all.join(','))
    return fc.tuple(once, once)
  }),
)

interface Read {
  readonly pairs: ReadonlyMap<string, string>
}

const BLANK = /[ \t\n\r]/

/** As `tokenize_rule` of dbus-daemon does; `undefined`: it refuses it. */
const readByBus = (text: string): Read | undefined => {
  const pairs = new Map<string, string>()
  let at = 0
  while (at < text.length) {
    while (at < text.length && BLANK.test(text[at] ?? '')) at += 1
    if (at >= text.length) break
    const start = at
    while (at < text.length && text[at] !== '=' && !BLANK.test(text[at] ?? '')) at += 1
    const name = text.slice(start, at)
    while (at < text.length && BLANK.test(text[at] ?? '')) at += 1
    if (text[at] !== '=' || name === '') return undefined
    at += 1
    let said = ''
    let quote = ''
    for (; at < text.length; at += 1) {
      const each = text[at] ?? ''
      if (quote === "'") {
        if (each === "'") quote = ''
        else said += each
      } else if (quote === '\\') {
        if (each !== "'") said += '\\'
        said += each
        quote = ''
      } else if (each === "'" || each === '\\') quote = each
      else if (each === ',') break
      else said += each
    }
    if (quote === "'") return undefined
    if (quote === '\\') said += '\\'
    at += 1
    if (pairs.has(name)) return undefined
    pairs.set(name, said)
  }
  return { pairs }
}

const sorted = ({ pairs }: Read): readonly (readonly [string, string])[] =>
  [...pairs].sort(([a], [b]) => (a < b ? -1 : 1))

export const areReadAsTheBusDoes = ([one, other]: Rules): void => {
  const [first, second] = [readByBus(one), readByBus(other)]
  if (meaningOf(one) === meaningOf(other) && first !== undefined && second !== undefined)
    assert.deepEqual(sorted(first), sorted(second), 'two rules are taken for one')
  const watch = new MatchRules(new Scope({ name: NAME, below: false }))
  for (const [text, read] of [
    [one, first],
    [other, second],
  ] as const) {
    if (read === undefined) continue
    if (read.pairs.has('eavesdrop')) assert.ok(asksToEavesdrop(text), `${text} asks to eavesdrop`)
    const isOurs = read.pairs.get('member') === 'NameOwnerChanged' && read.pairs.get('arg0') === NAME
    if (isOurs) assert.ok(watch.resemblesOurs(text), `${text} is ours to a bus`)
  }
  // Counting is by meaning: what was added twice is there until it was removed twice.
  if (!watch.ask(one)) return
  watch.answered(one, true)
  assert.ok(watch.has(one))
  watch.removed(one)
  assert.ok(!watch.has(one))
}
