/**
 * At most so many connections to one provider's socket are before BEGIN, over all links: a bus that has too many of them
 * accepts nobody for half a minute. Who comes beyond waits in line; where somebody's own client has kept it waiting for long,
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
  /** It is past BEGIN, or over. Idempotent. */
  leave(): void
}

class Holder implements Pass {
  readonly #gate: HandshakeGate
  readonly handle: SessionHandle
  state: PassState = 'in line'

  constructor(gate: HandshakeGate, handle: SessionHandle) {
    this.#gate = gate
    this.handle = handle
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
  readonly #line = new Set<Holder>()
  /** Those whose client is slow, the one that has waited longest first. */
  readonly #slow = new Set<Holder>()
  /** Of those inside: told to go, and not gone yet. */
  #evicted = 0

  constructor(most: number) {
    this.#most = most
  }

  enter(handle: SessionHandle): Pass {
    const holder = new Holder(this, handle)
    this.#line.add(holder)
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
    holder.state = 'left'
    this.#line.delete(holder)
    this.#slow.delete(holder)
    this.#inside.delete(holder)
    for (const admitted of this.#admit()) admitted.handle.wake()
  }

  /** Whoever is still inside leaves when its connection is closed. */
  close(): void {
    this.#line.clear()
    this.#slow.clear()
  }

  #admit(): readonly Holder[] {
    const admitted: Holder[] = []
    for (const holder of this.#line) {
      if (this.#inside.size >= this.#most) break
      this.#line.delete(holder)
      this.#inside.add(holder)
      holder.state = 'admitted'
      admitted.push(holder)
    }
    return admitted
  }

  /** One for each that waits in line. */
  #evict(): void {
    for (const holder of this.#slow) {
      if (this.#evicted >= this.#line.size) return
      this.#slow.delete(holder)
      holder.state = 'evicted'
      this.#evicted += 1
      holder.handle.wake()
    }
  }
}
