/** Policies as values, and the text of policy files near to being one. */
import * as fc from 'fast-check'
import * as t from 'io-ts'
import type { Policy, Rule } from '../../src/access/verdict.ts'
import { INHERITED, objectText, oddValue } from './json-text.ts'

const FIELDS = ['type', 'role', 'consumer', 'provider', 'name'] as const

const PATTERNS = ['*', 'unix', 'app', 'a*', 'net', 'any', 'we*', '__proto__', 'con*'] as const

const effect = fc.constantFrom<Rule['effect'][]>('allow', 'deny')

const rule: fc.Arbitrary<Rule> = fc
  .tuple(
    effect,
    fc.array(fc.tuple(fc.constantFrom(...FIELDS), fc.constantFrom(...PATTERNS)), { maxLength: 3 }),
  )
  .map(([which, patterns]) => ({ effect: which, ...Object.fromEntries(patterns) }))

/** One that a file could hold. */
export const policy: fc.Arbitrary<Policy> = fc.record({
  default: effect,
  rules: fc.array(rule, { maxLength: 4 }),
})

const Effect = t.keyof({ allow: null, deny: null })

export const KeptPolicy: t.Type<Policy> = t.type({
  default: Effect,
  rules: t.readonlyArray(
    t.intersection([
      t.type({ effect: Effect }),
      t.partial({ type: t.string, role: t.string, consumer: t.string, provider: t.string, name: t.string }),
    ]),
  ),
})

const PATTERN_TEXTS = ['"*"', '"app"', '"a*"', '"*a"', '"a**"', '""', '"a*b"'] as const
const EFFECT_TEXTS = ['"allow"', '"deny"', '"allow"', '"deny"', '"Allow"', 'null'] as const

const or = (sensible: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof({ weight: 20, arbitrary: sensible }, { weight: 1, arbitrary: oddValue })

const member = (
  keys: readonly string[],
  sensible: (key: string) => fc.Arbitrary<string>,
): fc.Arbitrary<readonly [string, string]> =>
  fc.oneof(
    {
      weight: 20,
      arbitrary: fc.constantFrom(...keys).chain(key => fc.tuple(fc.constant(key), or(sensible(key)))),
    },
    { weight: 1, arbitrary: fc.tuple(fc.constantFrom('', 'effects', 'Default', ...INHERITED), oddValue) },
  )

const ruleText: fc.Arbitrary<string> = fc
  .tuple(
    or(fc.constantFrom(...EFFECT_TEXTS)),
    fc.array(
      member(FIELDS, () => fc.constantFrom(...PATTERN_TEXTS)),
      { maxLength: 3 },
    ),
  )
  .map(([which, members]) => objectText([['effect', which], ...members]))

/** JSON of a policy file, mostly nearly right. */
export const policyText: fc.Arbitrary<string> = or(
  fc
    .array(
      member(['default', 'rules'], key =>
        key === 'default'
          ? fc.constantFrom(...EFFECT_TEXTS)
          : fc.array(or(ruleText), { maxLength: 4 }).map(rules => `[${rules.join(',')}]`),
      ),
      { maxLength: 3 },
    )
    .map(objectText),
)
