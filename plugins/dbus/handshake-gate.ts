/**
 * At most so many connections to one provider's socket are on their way to a name, over all links: a bus that has too many that
 * did not come to their Hello accepts nobody for half a minute. Who comes beyond waits in the line of its link, and the lines
 * take turns, so that no link's clients are in front of all others; where somebody's own client has kept it waiting for long,
 * that one has to go.
 *
 * It has no clock: sessions say themselves when their client has let them wait for too long. Nothing is done to a session but to
 * wake it, so that no call of one leads into another; it then looks at its pass.
 */
import type { SessionHandle } from '../../src/relay/contract.ts'

/** How long a client may let others wait for it. */
export const CLIENT_PATIENCE_MS = 1000

/** `in line`: do not dial yet. `evicted`: close the connection. */
export type PassState = 'in line' | 'admitted' | 'evicted' | 'left'

export interface Pass {
  readonly state: PassState
  /** It waits on its client, since `CLIENT_PATIENCE_MS` ago. */
  clientIsSlow(): void
  /** It does so no more. */
  clientSpoke(): void
  /** The bus has taken its client in, or it is over. Idempotent. */
  leave(): void
}

class Holder implements Pass {
  readonly #gate: HandshakeGate
  readonly handle: SessionHandle
  readonly line: object
  state: PassState = 'in line'

  constructor(gate: HandshakeGate, handle: SessionHandle, line: object) {
    this.#gate = gate
    this.handle = handle
    this.line = line
  }

  clientIsSlow(): void {
    this.#gate.slow(this)
  }

  clientSpoke(): void {
    this.#gate.spoke(this)
  }

  leave(): void {
    this.#gate.leave(this)
  }
}

export class HandshakeGate {
  readonly #most: number
  readonly #inside = new Set<Holder>()
  /** None of them empty, the one whose turn it is first. */
  readonly #lines = new Map<object, Set<Holder>>()
  #waiting = 0
  /** Those whose client is slow, the one that has waited longest first. */
  readonly #slow = new Set<Holder>()
  /** Of those inside: told to go, and not gone yet. */
  #evicted = 0

  constructor(most: number) {
    this.#most = most
  }

  /** `line`: whoever enters with the same one waits behind those of it. */
  enter(handle: SessionHandle, line: object): Pass {
    const holder = new Holder(this, handle, line)
    const others = this.#lines.get(line)
    if (others === undefined) this.#lines.set(line, new Set([holder]))
    else others.add(holder)
    this.#waiting += 1
    this.#admit()
    this.#evict()
    return holder
  }

  slow(holder: Holder): void {
    if (holder.state !== 'admitted') return
    this.#slow.add(holder)
    this.#evict()
  }

  spoke(holder: Holder): void {
    this.#slow.delete(holder)
  }

  leave(holder: Holder): void {
    if (holder.state === 'evicted') this.#evicted -= 1
    if (holder.state === 'in line') this.#takeFromLine(holder)
    holder.state = 'left'
    this.#slow.delete(holder)
    this.#inside.delete(holder)
    for (const admitted of this.#admit()) admitted.handle.wake()
  }

  /** Whoever is still inside leaves when its connection is closed. */
  close(): void {
    this.#lines.clear()
    this.#waiting = 0
    this.#slow.clear()
  }

  /** Whoever comes next, of the line whose turn it is; that one is the last then. */
  #next(): Holder | undefined {
    for (const [line, holders] of this.#lines) {
      const [first] = holders
      if (first === undefined) continue
      this.#takeFromLine(first)
      if (this.#lines.delete(line)) this.#lines.set(line, holders)
      return first
    }
    return undefined
  }

  #takeFromLine(holder: Holder): void {
    const holders = this.#lines.get(holder.line)
    if (holders?.delete(holder) !== true) return
    this.#waiting -= 1
    if (holders.size === 0) this.#lines.delete(holder.line)
  }

  #admit(): readonly Holder[] {
    const admitted: Holder[] = []
    while (this.#inside.size < this.#most) {
      const holder = this.#next()
      if (holder === undefined) break
      this.#inside.add(holder)
      holder.state = 'admitted'
      admitted.push(holder)
    }
    return admitted
  }

  /** One for each that waits in line. */
  #evict(): void {
    for (const holder of this.#slow) {
      if (this.#evicted >= this.#waiting) return
      this.#slow.delete(holder)
      holder.state = 'evicted'
      this.#evicted += 1
      holder.handle.wake()
    }
  }
}
