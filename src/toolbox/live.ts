/**
 * What is alive behind the ids of mediations, by kinds: sockets with their connections (`linux.ts`), and device nodes
 * (`nodes.ts`). All that whoever has an id needs to know of them.
 */
import type { MediationId, TeardownReport } from '../model/mediation.ts'
import type { Loss } from './contract.ts'

/** The live mediations of one kind. */
export interface LiveMediations {
  /** `undefined`: it has none of this id. */
  lossOf(id: MediationId, deep: boolean): Loss | 'none' | undefined
  /** `undefined`: likewise. */
  withdraw(id: MediationId): Promise<TeardownReport> | undefined
  /** Remove what is left. */
  close(): void
}
