/** Policy files: which are taken, and what they say about a link. */
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import * as t from 'io-ts'
import { decodePolicy } from '../../../src/access/rules.ts'
import type { Policy, Rule } from '../../../src/access/verdict.ts'
import { verdictFor } from '../../../src/access/verdict.ts'
import { E } from '../../../src/fp.ts'
import { decodeGraph } from '../../../src/graph/codec.ts'
import { DEFAULT_LIMITS } from '../../../src/model/limits.ts'
import type { Link } from '../../../src/model/link.ts'
import { entryTexts } from '../graphs.ts'
import { arrayText, KeptBytes, mutated } from '../json-text.ts'
import { KeptPolicy, policy, policyText } from '../policies.ts'
import { check, targetOf } from '../target.ts'

const FIELDS = ['type', 'role', 'consumer', 'provider', 'name'] as const

const isObject = (u: unknown): u is Readonly<Record<string, unknown>> =>
  typeof u === 'object' && u !== null && !Array.isArray(u)
const isEffect = (u: unknown): boolean => u === 'allow' || u === 'deny'
const isPattern = (u: unknown): boolean => typeof u === 'string' && /^[^*]*\*?$/s.test(u) && u !== ''
const hasOnly = (value: object, keys: readonly string[]): boolean =>
  Object.keys(value).every(key => keys.includes(key))

const isRule = (u: unknown): boolean =>
  isObject(u) &&
  hasOnly(u, ['effect', ...FIELDS]) &&
  isEffect(u['effect']) &&
  FIELDS.every(field => !Object.hasOwn(u, field) || isPattern(u[field]))

/** docs/access.md once more: nothing unknown, nothing of the wrong form, not too many rules. */
const isPolicy = (u: unknown): boolean => {
  if (!isObject(u) || !hasOnly(u, ['default', 'rules'])) return false
  if (Object.hasOwn(u, 'default') && !isEffect(u['default'])) return false
  if (!Object.hasOwn(u, 'rules')) return true
  const { rules } = u
  return Array.isArray(rules) && rules.length <= 1000 && rules.every(isRule)
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const LONGEST_REASON = 2000

const onlyPoliciesAreTaken = (bytes: Uint8Array): void => {
  const text = Buffer.from(bytes).toString()
  const decoded = decodePolicy(text)
  assert.equal(E.isRight(decoded), isPolicy(parsed(text)), E.isLeft(decoded) ? decoded.left : 'it was taken')
  if (E.isLeft(decoded)) {
    assert.ok(
      decoded.left !== '' && decoded.left.length <= LONGEST_REASON,
      `${decoded.left.length} characters`,
    )
    return
  }
  assert.deepEqual(decodePolicy(JSON.stringify(decoded.right)), decoded)
}

const matches = (pattern: string | undefined, value: string | null): boolean => {
  if (pattern === undefined || pattern === '*') return true
  if (value === null) return false
  const literal = pattern.replace(/\*$/, '')
  return pattern === literal ? value === literal : value.slice(0, literal.length) === literal
}

const saysYes = (link: Link, { default: otherwise, rules }: Policy): boolean => {
  const rule = rules.find(each => FIELDS.every(field => matches(each[field], link[field])))
  return (rule?.effect ?? otherwise) === 'allow'
}

const opposite = ({ effect, ...patterns }: Rule): Rule => ({
  ...patterns,
  effect: effect === 'allow' ? 'deny' : 'allow',
})

interface Question {
  readonly policy: Policy
  readonly entries: readonly string[]
}

const theFirstRuleDecides = ({ policy: rules, entries }: Question): void => {
  const graph = decodeGraph(arrayText(entries), DEFAULT_LIMITS)
  assert.ok(E.isRight(graph))
  const reversed: Policy = {
    default: rules.default === 'allow' ? 'deny' : 'allow',
    rules: rules.rules.map(opposite),
  }
  for (const link of graph.right.links) {
    const verdict = verdictFor(link, rules)
    assert.equal(verdict._tag, saysYes(link, rules) ? 'Admitted' : 'Denied')
    assert.notEqual(verdictFor(link, reversed)._tag, verdict._tag, 'the opposite policy says the same')
    const refused = { _tag: 'Unsupported', reason: 'no' } as const
    assert.notEqual(verdictFor(link, rules, refused)._tag, 'Admitted', 'a plugin was overruled')
  }
}

export const target = targetOf('policy', 'policy files, and what they say about links', [
  check({
    name: 'file',
    inputs: fc.oneof(
      policyText.map(text => Buffer.from(text)),
      mutated(policyText.map(text => Buffer.from(text))),
    ),
    kept: KeptBytes,
    tries: 500,
    holds: onlyPoliciesAreTaken,
  }),
  check({
    name: 'verdict',
    inputs: fc.record({ policy, entries: entryTexts(6) }),
    kept: t.type({ policy: KeptPolicy, entries: t.array(t.string) }),
    tries: 300,
    holds: theFirstRuleDecides,
  }),
])
