/**
 * What a link has of its provider: what it shares with others that lead to the same bus, the bus's policy, and the user it
 * connects as. It follows its provider: connections to the old one are over by then.
 */
import { E } from '../../src/fp.ts'
import type { Link } from '../../src/model/link.ts'
import type { Mediation } from '../../src/model/mediation.ts'
import type { DialledAs, Figure, SessionHandle } from '../../src/relay/contract.ts'
import type { ProviderAddress, RoleUser, Shared, Toolbox } from '../../src/toolbox/contract.ts'
import { HandshakeGate } from './handshake-gate.ts'
import { type ConnectionPolicy, type LinkPolicy, openLinkPolicy } from './policy/policy.ts'

const userFigure = (source: string): Figure => ({
  name: 'role_uid',
  help: 'The uid that the bus sees, as its provider numbers it, by what said so.',
  kind: 'gauge',
  labels: { source },
})

export const ROLE_UID: Readonly<Record<RoleUser['source'], Figure>> = {
  uid: userFigure('uid'),
  'numeric role': userFigure('numeric_role'),
  passwd: userFigure('passwd'),
  nobody: userFigure('nobody'),
}

interface ShownUser {
  readonly uid: number
  readonly source: RoleUser['source']
}

const addressOf = ({ provider_pid, socket }: Link): ProviderAddress => ({ pid: provider_pid, socket })

const gateOf = (box: Toolbox, { pid, socket }: ProviderAddress): Shared<HandshakeGate> =>
  box.shared(`handshakes ${pid ?? 'none'} ${socket}`, () => new HandshakeGate(box.limits.dbusHandshakes))

export class ProviderSide {
  #box: Toolbox
  #provider: ProviderAddress
  #gate: Shared<HandshakeGate>
  readonly #policy: LinkPolicy
  #mediation: Mediation | undefined
  #user: ShownUser | undefined
  #saidRoot = false

  constructor(box: Toolbox, link: Link) {
    this.#box = box
    this.#provider = addressOf(link)
    this.#gate = gateOf(box, this.#provider)
    this.#policy = openLinkPolicy(box, link)
  }

  get gate(): HandshakeGate {
    return this.#gate.value
  }

  /** For one connection, once the bus was reached. */
  policyFor(handle: SessionHandle): ConnectionPolicy {
    return this.#policy.connect(handle)
  }

  retarget(box: Toolbox, link: Link): void {
    const { release } = this.#gate
    this.#box = box
    this.#provider = addressOf(link)
    this.#gate = gateOf(box, this.#provider)
    release()
    this.#policy.retarget(box, link)
  }

  /** From now on there is where to count. */
  shownBy(mediation: Mediation): void {
    // One whose socket was lost goes on under its id, with all that was counted.
    if (this.#mediation?.id !== mediation.id) this.#policy.shownBy(mediation)
    this.#mediation = mediation
  }

  /** The bus was reached as this user. Said when it is another than before, and when it is root. */
  dialled({ uid }: DialledAs): void {
    if (uid === this.#user?.uid) return
    const user = this.#box.userOfRole(this.#provider.pid)
    const source = E.isRight(user) ? user.right.source : 'nobody'
    this.#show({ uid, source })
    this.#box.log.info({ uid, source }, 'clients are this user on the bus')
    if (uid !== 0 || this.#saidRoot) return
    this.#saidRoot = true
    this.#box.log.warn({ source }, 'clients are root on the bus: their role says so')
  }

  #show(user: ShownUser): void {
    const mediation = this.#mediation
    if (mediation === undefined) return
    if (this.#user !== undefined) this.#box.count(mediation, ROLE_UID[this.#user.source], -this.#user.uid)
    this.#box.count(mediation, ROLE_UID[user.source], user.uid)
    this.#user = user
  }

  close(): void {
    this.#policy.close()
    this.#gate.release()
  }
}
