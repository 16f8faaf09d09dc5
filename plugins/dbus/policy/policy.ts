/**
 * The policy layer of one `dbus` link: what the rest of the plugin uses of it.
 *
 *   openLinkPolicy(box, link)       when the link is added; says what was found in the log
 *   .connect(handle)                when a connection begins: its judge, which goes on with whatever the policy becomes
 *   .shownBy(mediation)             from when there is one: state and number of rules as figures
 *   .retarget(box, link)            the provider changed, perhaps; connections to another one are over
 *   .close()                        with the link
 *
 * The policy itself is one for all links to a provider's bus, and so is the observer of each uid (`provider-bus.ts`). Files are
 * looked at with each connection, and regularly while there are any.
 */
import { E } from '../../../src/fp.ts'
import type { ProtocolLimits } from '../../../src/model/limits.ts'
import type { Link } from '../../../src/model/link.ts'
import type { Mediation } from '../../../src/model/mediation.ts'
import type { ByteView, Figure, SessionHandle, Side } from '../../../src/relay/contract.ts'
import type { ProviderAddress, RoleUser, Shared, Toolbox } from '../../../src/toolbox/contract.ts'
import type { Judge, MessageHead, Verdict } from '../contract.ts'
import { type Finding, PolicyJudge } from './judge.ts'
import { type ObservedNames, ProviderBus } from './provider-bus.ts'
import type { PolicyState } from './provider-policy.ts'

export type { Finding } from './judge.ts'

/** The judge of one connection, asked after the filter. */
export interface ConnectionPolicy extends Judge {
  /** May the role connect at all? Asked once, before the client is told OK; `false`: it is told REJECTED. */
  admits(): boolean
  /** Whether a policy lets the role have that name; without one nobody has said so. For the filter. */
  mayOwn(name: string): boolean
  /**
   * The names of the bus are known, or will not be: until then more passes than later. It only ever becomes true, and its
   * session is woken then; in a moment, whatever the bus does.
   */
  readonly settled: boolean
  /** What `admits` or `judge` found the last time, if that was a denial; with `enforced` false it passed all the same. */
  readonly finding: Finding | undefined
  /** How many rules it has looked at so far. Who writes a policy may write many, and for each message all may have to be asked. */
  readonly looked: number
  /** The connection is over. Idempotent. */
  close(): void
}

export interface LinkPolicy {
  connect(handle: SessionHandle): ConnectionPolicy
  shownBy(mediation: Mediation): void
  retarget(box: Toolbox, link: Link): void
  close(): void
}

const STATES = ['inactive', 'loaded', 'stale', 'malformed'] as const

const stateFigure = (state: PolicyState['kind'], advice?: string): Figure => ({
  name: 'policy_state',
  help: 'What became of the policy of the provider’s bus: 1 for the state it is in.',
  labels: { state },
  kind: 'gauge',
  ...(advice === undefined ? {} : { advice }),
})

export const POLICY_STATE: Readonly<Record<PolicyState['kind'], Figure>> = {
  inactive: stateFigure('inactive'),
  loaded: stateFigure('loaded'),
  stale: stateFigure(
    'stale',
    "The files of the bus's policy were changed and cannot be read any more: what they said before stays in force. The log says which, and why.",
  ),
  malformed: stateFigure(
    'malformed',
    "The files of the bus's policy cannot be read, so nothing may be sent to this bus but what every client needs. The log says which, and why.",
  ),
}

export const POLICY_RULES: Figure = {
  name: 'policy_rules',
  help: 'Rules of the policy that is in force.',
  kind: 'gauge',
}

/** More are not said at once: each is a file of the provider's. */
const MOST_WARNINGS = 8

/** Nothing is looked at, and nobody is let own a name. */
const OFF: ConnectionPolicy = {
  admits: () => true,
  mayOwn: () => false,
  settled: true,
  finding: undefined,
  looked: 0,
  bodyWanted: () => 0,
  judge: () => ({ kind: 'pass' }),
  close: () => undefined,
}

const NOT_SHOWN: LinkPolicy = {
  connect: () => OFF,
  shownBy: () => undefined,
  retarget: () => undefined,
  close: () => undefined,
}

const addressOf = ({ provider_pid, socket }: Link): ProviderAddress => ({ pid: provider_pid, socket })

const rulesOf = (state: PolicyState): number => ('rules' in state ? state.rules : 0)

/** The figures of the state, moved by their difference. */
class ShownState {
  readonly #box: Toolbox
  readonly #mediation: Mediation
  #shown: { readonly kind: PolicyState['kind']; readonly rules: number } | undefined

  constructor(box: Toolbox, mediation: Mediation) {
    this.#box = box
    this.#mediation = mediation
    for (const state of STATES) box.count(mediation, POLICY_STATE[state], 0)
  }

  show(state: PolicyState): void {
    const rules = rulesOf(state)
    const before = this.#shown
    this.#box.count(this.#mediation, POLICY_RULES, rules - (before?.rules ?? 0))
    if (before?.kind !== state.kind) {
      if (before !== undefined) this.#box.count(this.#mediation, POLICY_STATE[before.kind], -1)
      this.#box.count(this.#mediation, POLICY_STATE[state.kind], 1)
    }
    this.#shown = { kind: state.kind, rules }
  }
}

const sayState = ({ log }: Toolbox, state: PolicyState): void => {
  switch (state.kind) {
    case 'inactive':
      log.info({ reason: state.reason }, 'there is no bus policy to apply')
      return
    case 'loaded':
      log.info({ file: state.file, rules: state.rules }, 'the bus policy is applied')
      return
    case 'stale':
      log.error({ reason: state.reason }, 'the bus policy cannot be read; the last good one stays in force')
      return
    case 'malformed':
      log.error({ reason: state.reason }, 'the bus policy cannot be read; nothing may be sent to this bus')
  }
}

const sayWarnings = ({ log }: Toolbox, warnings: readonly string[]): void => {
  for (const reason of warnings.slice(0, MOST_WARNINGS)) {
    log.warn({ reason }, 'a file of the bus policy counts for nothing')
  }
  const more = warnings.length - MOST_WARNINGS
  if (more > 0) log.warn({ files: more }, 'more files of the bus policy count for nothing')
}

class OpenLinkPolicy implements LinkPolicy {
  readonly #limits: ProtocolLimits
  readonly #connections = new Set<OpenConnection>()
  #box: Toolbox
  #provider: ProviderAddress
  #bus: Shared<ProviderBus>
  #stopLooking: (() => void) | undefined
  #shown: ShownState | undefined
  #said = ''

  constructor(box: Toolbox, link: Link) {
    this.#limits = box.limits
    this.#box = box
    this.#provider = addressOf(link)
    this.#bus = this.#join()
    this.#look(false)
  }

  #join(): Shared<ProviderBus> {
    const { pid, socket } = this.#provider
    const bus = this.#box.shared(
      `${pid ?? 'none'} ${socket}`,
      () => new ProviderBus(this.#provider, this.#limits),
    )
    bus.value.policy.listeners.add(this.#onChange)
    return bus
  }

  #leave(): void {
    for (const connection of [...this.#connections]) connection.close()
    this.#bus.value.policy.listeners.delete(this.#onChange)
    this.#bus.release()
  }

  readonly #onChange = (): void => {
    const { state, warnings } = this.#bus.value.policy
    this.#shown?.show(state)
    const said = JSON.stringify([state, warnings])
    if (said === this.#said) return
    this.#said = said
    sayState(this.#box, state)
    sayWarnings(this.#box, warnings)
  }

  /** A provider that is not running keeps what was known of it. */
  #look(regular: boolean): void {
    this.#box.lookInto(this.#provider.pid, files =>
      this.#bus.value.policy.look(files, regular ? this : undefined),
    )
    if (this.#said === '') this.#onChange()
  }

  connect(handle: SessionHandle): ConnectionPolicy {
    this.#look(this.#stopLooking === undefined)
    this.#stopLooking ??= this.#box.repeat(this.#limits.dbusPolicyLookMs, () => this.#lookRegularly())
    const user = this.#box.userOfRole(this.#provider.pid)
    // It is not running: nothing will be reached, so there is nothing to judge.
    if (E.isLeft(user)) return OFF
    const names = this.#bus.value.observe(this.#box, user.right.uid, handle)
    const connection = new OpenConnection(this.#bus.value, user.right, names, this.#limits, () =>
      this.#connections.delete(connection),
    )
    this.#connections.add(connection)
    return connection
  }

  /** Ends only here, so that clients that come and go make no more looks than those that stay. */
  #lookRegularly(): void {
    if (this.#connections.size > 0) this.#look(true)
    else this.#stop()
  }

  #stop(): void {
    this.#stopLooking?.()
    this.#stopLooking = undefined
  }

  shownBy(mediation: Mediation): void {
    this.#shown = new ShownState(this.#box, mediation)
    this.#shown.show(this.#bus.value.policy.state)
  }

  retarget(box: Toolbox, link: Link): void {
    const { pid, socket } = this.#provider
    this.#box = box
    if (pid === link.provider_pid && socket === link.socket) return
    this.#stop()
    this.#leave()
    this.#provider = addressOf(link)
    this.#bus = this.#join()
    this.#look(false)
    this.#onChange()
  }

  close(): void {
    this.#stop()
    this.#leave()
  }
}

class OpenConnection implements ConnectionPolicy {
  readonly #judge: PolicyJudge
  readonly #names: ObservedNames
  readonly #onClosed: () => void
  #closed = false

  constructor(
    bus: ProviderBus,
    user: RoleUser,
    names: ObservedNames,
    { dbusPolicy }: ProtocolLimits,
    onClosed: () => void,
  ) {
    this.#names = names
    this.#onClosed = onClosed
    this.#judge = new PolicyJudge({
      user,
      standing: () => bus.policy.standingOf(user),
      partyOf: name => names.partyOf(name),
      enforces: dbusPolicy === 'enforce',
    })
  }

  get settled(): boolean {
    return this.#names.settled
  }

  get finding(): Finding | undefined {
    return this.#judge.finding
  }

  get looked(): number {
    return this.#judge.looked
  }

  admits(): boolean {
    return this.#judge.admits()
  }

  mayOwn(name: string): boolean {
    return this.#judge.mayOwn(name)
  }

  bodyWanted(from: Side, head: MessageHead): number {
    return this.#judge.bodyWanted(from, head)
  }

  judge(from: Side, head: MessageHead, body: ByteView): Verdict {
    return this.#judge.judge(from, head, body)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#names.release()
    this.#onClosed()
  }
}

/** Belongs to whoever opens it. Nothing is read, and nobody observed, where policies are off. */
export const openLinkPolicy = (box: Toolbox, link: Link): LinkPolicy =>
  box.limits.dbusPolicy === 'off' ? NOT_SHOWN : new OpenLinkPolicy(box, link)
