/**
 * The client's match rules, as far as they touch ours: a client that could remove the rules by which ownership is followed
 * would keep a connection as its service that is none any more. Buses read rules each in their own way (stray `=`, blanks,
 * `arg` for `arg0`, quotes within a value), so nothing here rests on reading one as a particular bus does.
 */
import { BUS_NAME, BUS_PATH } from '../contract.ts'
import type { Scope } from './scope.ts'

/** Rules of the client's that look like ours, and are remembered. Those beyond stay until the connection ends. */
export const MOST_REMEMBERED = 512
/** No bus takes a longer one (DBUS_MAXIMUM_MATCH_RULE_LENGTH), so there is none to remember. */
export const LONGEST_REMEMBERED = 1024

const SIGNAL = 'NameOwnerChanged'

const ruleFor = (name: string, key: 'arg0' | 'arg0namespace'): string =>
  `type='signal',sender='${BUS_NAME}',path='${BUS_PATH}',interface='${BUS_NAME}',member='${SIGNAL}',${key}='${name}'`

/** The rules by which the names of a scope are followed. */
export const trackingRules = ({ wanted, prefixes }: Scope): readonly string[] => [
  ruleFor(wanted.name, wanted.below ? 'arg0namespace' : 'arg0'),
  ...prefixes.map(prefix => ruleFor(prefix, 'arg0')),
]

/** All that a bus ever leaves out of a value: what stands within one stands together in what is left. */
const withoutQuotes = (text: string): string => text.replace(/['\\]/g, '')

const EAVESDROP = /eavesdrop\s*=/

/** Also with `false`, and within a value: nobody needs it, and a bus may read it otherwise. */
export const asksToEavesdrop = (text: string): boolean => EAVESDROP.test(withoutQuotes(text))

/** One `key='value'` or `key=value` in which no two buses could see different things. */
const PLAIN_PART = /^([a-z0-9_]+)=(?:'([^'\\]+)'|([^'\\\s=]+))$/

/**
 * What a rule says, if there is one way only to read it: its parts without quotes, in order. Else its own text, which
 * says the same as nothing but itself.
 */
export const meaningOf = (text: string): string => {
  const parts = new Map<string, string>()
  for (const part of text.split(',')) {
    const [, key, quoted, bare] = PLAIN_PART.exec(part) ?? []
    const value = quoted ?? bare
    if (key === undefined || value === undefined || parts.has(key)) return `text ${text}`
    parts.set(key, value)
  }
  const said = [...parts].map(([key, value]) => `${key}=${value}`)
  return `parts ${said.sort().join(',')}`
}

export class MatchRules {
  readonly #names: readonly string[]
  /** What the client has added itself, and not removed: so many times. */
  readonly #counts = new Map<string, number>()
  /** On their way to the bus: a client that does not read its answers makes them wait. */
  #asked = 0

  constructor(scope: Scope) {
    this.#names = [scope.wanted.name, ...scope.prefixes]
  }

  /** Whether a bus could take it for one of ours. */
  resemblesOurs(text: string): boolean {
    const bare = withoutQuotes(text)
    return bare.includes(SIGNAL) && this.#names.some(name => bare.includes(name))
  }

  /** One goes to the bus: whether its answer is of interest, which is to be told then. */
  ask(text: string): boolean {
    const isKept = this.#counts.size + this.#asked < MOST_REMEMBERED
    if (!isKept || text.length > LONGEST_REMEMBERED || !this.resemblesOurs(text)) return false
    this.#asked += 1
    return true
  }

  /** What became of one that was asked for. */
  answered(text: string, isTaken: boolean): void {
    this.#asked -= 1
    if (!isTaken) return
    const meaning = meaningOf(text)
    const count = this.#counts.get(meaning)
    this.#counts.set(meaning, (count ?? 0) + 1)
  }

  /** Whether the client has added it more often than removed it. */
  has(text: string): boolean {
    return this.#counts.has(meaningOf(text))
  }

  /** One is removed, or nobody knows whether it is. */
  removed(text: string): void {
    const meaning = meaningOf(text)
    const count = this.#counts.get(meaning) ?? 0
    if (count > 1) this.#counts.set(meaning, count - 1)
    else this.#counts.delete(meaning)
  }
}
