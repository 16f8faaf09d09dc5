/**
 * The text of a policy file -> a policy. Pure.
 * Strict: an unknown key, or a rule with a pattern of the wrong form, makes the whole file malformed. A restriction that
 * was misspelt must not be taken for one that is not there.
 */
import * as t from 'io-ts'
import { E } from '../fp.ts'
import { shown } from '../model/shown.ts'
import type { Policy } from './verdict.ts'

/** A policy of more rules is a mistake, and each rule is tried for each link. */
const MOST_RULES = 1000

/** A literal, or a prefix before a final `*`. */
const Pattern = new t.Type<string, string, unknown>(
  'pattern',
  t.string.is,
  (value, context) =>
    typeof value === 'string' && value !== '' && !value.slice(0, -1).includes('*')
      ? t.success(value)
      : t.failure(value, context, 'a non-empty string with * at its end only'),
  t.identity,
)

const Effect = t.keyof({ allow: null, deny: null })

const RULE_FIELDS = { type: Pattern, role: Pattern, consumer: Pattern, provider: Pattern, name: Pattern }
const Rule = t.intersection([t.type({ effect: Effect }), t.partial(RULE_FIELDS)])
const RULE_KEYS: ReadonlySet<string> = new Set(['effect', ...Object.keys(RULE_FIELDS)])

const PolicyFile = t.partial({ default: Effect, rules: t.array(Rule) })
const POLICY_KEYS: ReadonlySet<string> = new Set(['default', 'rules'])

/** What should have been there, where the codec has no words of its own. */
const expectation = (key: string, index: string | undefined, field: string | undefined): string => {
  if (key === 'default' || field === 'effect') return '"allow" or "deny"'
  return index === undefined ? 'a list of rules' : 'an object'
}

const firstReason = (errors: t.Errors): string => {
  const [error] = errors
  if (error === undefined) return 'it does not decode'
  // The file, its key, the rule's index, a part of the rule's codec, the rule's field: as far as it goes.
  const [, key = '', index, , field] = error.context.map(entry => entry.key)
  const place = index === undefined ? key : `rule ${Number(index) + 1}`
  const where = field === undefined ? place : `${place}, ${field}`
  return `${where}: expected ${error.message ?? expectation(key, index, field)}, got ${shown(error.value)}`
}

const unknownKey = (value: object, known: ReadonlySet<string>, where: string): string | undefined => {
  const key = Object.keys(value).find(name => !known.has(name))
  return key === undefined ? undefined : `${where}: unknown key ${shown(key)}`
}

const parse = (text: string): E.Either<string, unknown> => {
  try {
    const value: unknown = JSON.parse(text)
    return E.right(value)
  } catch (error) {
    return E.left(error instanceof Error ? error.message : String(error))
  }
}

/** The policy, or why the text is none. */
export const decodePolicy = (text: string): E.Either<string, Policy> => {
  const parsed = parse(text)
  if (E.isLeft(parsed)) return parsed
  if (typeof parsed.right !== 'object' || parsed.right === null || Array.isArray(parsed.right)) {
    return E.left('expected an object with "default" and "rules"')
  }
  const odd = unknownKey(parsed.right, POLICY_KEYS, 'policy')
  if (odd !== undefined) return E.left(odd)
  const decoded = PolicyFile.decode(parsed.right)
  if (E.isLeft(decoded)) return E.left(firstReason(decoded.left))
  const rules = decoded.right.rules ?? []
  if (rules.length > MOST_RULES) return E.left(`${rules.length} rules, at most ${MOST_RULES} are taken`)
  for (const [index, rule] of rules.entries()) {
    const oddKey = unknownKey(rule, RULE_KEYS, `rule ${index + 1}`)
    if (oddKey !== undefined) return E.left(oddKey)
  }
  return E.right({ default: decoded.right.default ?? 'allow', rules: rules.map(withoutAbsent) })
}

/** `{"role": undefined}` cannot come out of JSON; the types do not know that. */
const withoutAbsent = (rule: t.TypeOf<typeof Rule>): Policy['rules'][number] => ({
  effect: rule.effect,
  ...(rule.type === undefined ? {} : { type: rule.type }),
  ...(rule.role === undefined ? {} : { role: rule.role }),
  ...(rule.consumer === undefined ? {} : { consumer: rule.consumer }),
  ...(rule.provider === undefined ? {} : { provider: rule.provider }),
  ...(rule.name === undefined ? {} : { name: rule.name }),
})
