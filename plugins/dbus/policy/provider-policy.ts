/**
 * The policy of one provider's bus as it is in force: read from the provider's files, and read again when they change.
 * A reading that fails changes nothing where one succeeded before: the bus goes on with what it has, too. Where none did, a
 * system bus is closed, because it runs on rules that nobody here knows; any other bus is left alone.
 */
import { E } from '../../../src/fp.ts'
import { idsByName } from '../../../src/model/accounts.ts'
import type { ProviderFiles } from '../../../src/toolbox/contract.ts'
import { isSystemBus } from './addresses.ts'
import { type PolicyUser, policyFor, type RolePolicy } from './evaluate.ts'
import { type Gathered, type GatherLimits, gather, isUnchanged } from './gather.ts'
import type { Names, PlacedRule } from './rules.ts'

const PASSWD = '/etc/passwd'
const GROUP = '/etc/group'

/** Further readings until the next regular look: whoever changes files all the time costs a bounded part of the daemon's time. */
const MOST_READINGS_BETWEEN = 2

/**
 * What each round of regular looks may read, over time: some milliseconds. Where a reading was of more, as many rounds pass without
 * another one. The files of a whole distribution have half of it.
 */
const BYTES_A_ROUND = 256 * 1024

/** Roles that are remembered at once; links to one bus have few. */
const MOST_ROLES = 256

export type PolicyState =
  /** There is no such bus here, or it is none whose rules must be known. */
  | { readonly kind: 'inactive'; readonly reason: string }
  | { readonly kind: 'loaded'; readonly file: string; readonly rules: number }
  /** As `loaded`, from an earlier reading. */
  | { readonly kind: 'stale'; readonly reason: string; readonly rules: number }
  /** Closed. */
  | { readonly kind: 'malformed'; readonly reason: string }

/** What it means for one role. */
export type Standing =
  | { readonly kind: 'open' }
  | { readonly kind: 'closed'; readonly reason: string }
  | { readonly kind: 'ruled'; readonly policy: RolePolicy }

const OPEN: Standing = { kind: 'open' }

interface Good {
  readonly main: string
  readonly rules: readonly PlacedRule[]
}

export class ProviderPolicy {
  readonly #socket: string
  readonly #limits: GatherLimits
  #state: PolicyState = { kind: 'inactive', reason: 'the provider was not looked at yet' }
  #good: Good | undefined
  #read: Pick<Gathered, 'stamps' | 'warnings'> | undefined
  #readings = 0
  /** Bytes that were read and are not paid for by rounds of looks yet. */
  #debt = 0
  /** Those who have looked in this round. Where several links share a policy, each has its own looks. */
  #lookers = new WeakSet<object>()
  readonly #known = new WeakSet<object>()
  readonly #roles = new Map<string, Standing>()
  /** The same for those that were asked about: who is in many groups has a long key, and each message asks. */
  #ofUser = new WeakMap<PolicyUser, Standing>()
  /** Told after each reading. */
  readonly listeners = new Set<() => void>()

  constructor(socket: string, limits: GatherLimits) {
    this.#socket = socket
    this.#limits = limits
  }

  get state(): PolicyState {
    return this.#state
  }

  /** There are rules to go by. */
  get isRuled(): boolean {
    return this.#state.kind === 'loaded' || this.#state.kind === 'stale'
  }

  /** Files that count for nothing, and why. */
  get warnings(): readonly string[] {
    return this.#read?.warnings ?? []
  }

  /** Look at the files, and read them where they changed; whether they were read. `regularly`: who does so as its time comes. */
  look(files: ProviderFiles, regularly?: object): boolean {
    if (regularly !== undefined) this.#beginRound(regularly)
    if (this.#read !== undefined && (!this.#mayRead || isUnchanged(files, this.#read))) return false
    if (this.#read !== undefined) this.#readings += 1
    const accountStamps = [PASSWD, GROUP].map(path => [path, files.stamp(path)] as const)
    const counted = this.#counted(files)
    const gathered = gather(counted, namesIn(counted, this.#limits), this.#socket, this.#limits)
    this.#read = {
      warnings: gathered.warnings,
      stamps: new Map([...gathered.stamps, ...accountStamps]),
    }
    this.#roles.clear()
    this.#ofUser = new WeakMap()
    this.#take(gathered.outcome)
    for (const listener of [...this.listeners]) listener()
    return true
  }

  /** A round is over when somebody comes who was in it, or who is new: a link that begins is to find things as they are. */
  #beginRound(looker: object): void {
    if (this.#lookers.has(looker) || !this.#known.has(looker)) {
      this.#lookers = new WeakSet()
      this.#readings = 0
      this.#debt = Math.max(0, this.#debt - BYTES_A_ROUND)
    }
    this.#lookers.add(looker)
    this.#known.add(looker)
  }

  get #mayRead(): boolean {
    return this.#readings < MOST_READINGS_BETWEEN && this.#debt < BYTES_A_ROUND
  }

  #counted(files: ProviderFiles): ProviderFiles {
    const read: ProviderFiles['read'] = (path, mostBytes) => {
      const bytes = files.read(path, mostBytes)
      if (E.isRight(bytes)) this.#debt += bytes.right.length
      return bytes
    }
    return { ...files, read }
  }

  #take(outcome: Gathered['outcome']): void {
    switch (outcome.kind) {
      case 'loaded':
        this.#good = outcome
        this.#state = { kind: 'loaded', file: outcome.main, rules: outcome.rules.length }
        return
      case 'inactive':
        this.#good = undefined
        this.#state = outcome
        return
      case 'malformed':
        this.#state = this.#withoutReading(outcome.reason)
    }
  }

  #withoutReading(reason: string): PolicyState {
    if (this.#good !== undefined) return { kind: 'stale', reason, rules: this.#good.rules.length }
    return isSystemBus(this.#socket) ? { kind: 'malformed', reason } : { kind: 'inactive', reason }
  }

  standingOf(user: PolicyUser): Standing {
    if (this.#state.kind === 'inactive') return OPEN
    if (this.#state.kind === 'malformed') return { kind: 'closed', reason: this.#state.reason }
    const standing = this.#ofUser.get(user) ?? this.#ruledFor(user)
    this.#ofUser.set(user, standing)
    return standing
  }

  #ruledFor(user: PolicyUser): Standing {
    const key = `${user.uid} ${user.groups.join(' ')}`
    const known = this.#roles.get(key)
    if (known !== undefined) return known
    if (this.#roles.size >= MOST_ROLES) this.#roles.clear()
    const standing: Standing = { kind: 'ruled', policy: policyFor(this.#good?.rules ?? [], user) }
    this.#roles.set(key, standing)
    return standing
  }
}

const TEXT = new TextDecoder()

/** What names of users and groups stand for there. A file that cannot be read knows nobody. */
const namesIn = (files: ProviderFiles, limits: Pick<GatherLimits, 'dbusPolicyFileBytes'>): Names => {
  const idsIn = (path: string): ReadonlyMap<string, number> => {
    const bytes = files.read(path, limits.dbusPolicyFileBytes)
    return idsByName(E.isRight(bytes) ? TEXT.decode(bytes.right) : '')
  }
  const users = idsIn(PASSWD)
  const groups = idsIn(GROUP)
  return { uidOf: name => users.get(name), gidOf: name => groups.get(name) }
}
