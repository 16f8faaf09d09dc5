/**
 * May this link be connected? Decided here and nowhere else, from the policy and the plugin's own opinion. Pure.
 * The answer names the rule, so that a log line or a listing can say why.
 */
import type { Verdict } from '../model/desired.ts'
import type { Link } from '../model/link.ts'

/** A pattern is a literal, `*`, or `prefix*`; an absent one matches everything. */
export interface Rule {
  readonly effect: 'allow' | 'deny'
  readonly type?: string
  readonly role?: string
  readonly consumer?: string
  readonly provider?: string
  readonly name?: string
}

export interface Policy {
  readonly default: 'allow' | 'deny'
  /** The first that matches wins. */
  readonly rules: readonly Rule[]
}

/** What Pantavisor assigned is allowed: the policy where no file says otherwise. */
export const ALLOW_ALL: Policy = { default: 'allow', rules: [] }

const FIELDS = ['type', 'role', 'consumer', 'provider', 'name'] as const

export const verdictFor = (link: Link, policy: Policy, pluginVerdict?: Verdict): Verdict => {
  const verdict = policyVerdict(link, policy)
  // A plugin may refuse what the policy allows, never the other way round.
  if (verdict._tag !== 'Admitted' || pluginVerdict === undefined || pluginVerdict._tag === 'Admitted') {
    return verdict
  }
  return pluginVerdict
}

const policyVerdict = (link: Link, policy: Policy): Verdict => {
  const index = policy.rules.findIndex(rule => matches(rule, link))
  const rule = policy.rules[index]
  return rule === undefined
    ? verdictOf(policy.default, 'default')
    : verdictOf(rule.effect, ruleText(rule, index + 1))
}

const verdictOf = (effect: Rule['effect'], rule: string): Verdict =>
  effect === 'allow' ? { _tag: 'Admitted', rule } : { _tag: 'Denied', rule }

const matches = (rule: Rule, link: Link): boolean =>
  FIELDS.every(field => {
    const pattern = rule[field]
    return pattern === undefined || globMatches(pattern, link[field])
  })

/** An unknown provider (`null`) is matched by `*` only. */
const globMatches = (pattern: string, value: string | null): boolean => {
  if (pattern === '*') return true
  if (value === null) return false
  return pattern.endsWith('*') ? value.startsWith(pattern.slice(0, -1)) : value === pattern
}

/** As in `rule 3: deny type=drm role=any`, counted from 1 as people do. */
const ruleText = (rule: Rule, position: number): string => {
  const patterns = FIELDS.flatMap(field => (rule[field] === undefined ? [] : [`${field}=${rule[field]}`]))
  return [`rule ${position}: ${rule.effect}`, ...patterns].join(' ')
}
