/**
 * What a link's sessions have to tell people. A refusal is a warning each time (the link's log holds back what repeats); that an
 * interface is hidden is said once a link, because every client would say it again.
 */
import type { Link } from '../../src/model/link.ts'
import type { LinkLog } from '../../src/toolbox/contract.ts'

export interface RefusedRequest {
  /** The label of its counter. */
  readonly reason: string
  /** As the client was told it. */
  readonly error: string
  readonly interface?: string
  readonly global?: number
}

export interface Notices {
  /** A global of this interface was announced, and the client did not hear of it. */
  hidden(name: string): void
  refused(request: RefusedRequest): void
  /** The compositor broke the protocol. */
  badEvent(facts: Readonly<Record<string, string | number>>): void
}

/** Of a compositor that makes up names: what is beyond goes unsaid. */
const MOST_SAID = 256

export const noticesOf = ({ consumer, role }: Pick<Link, 'consumer' | 'role'>, log: LinkLog): Notices => {
  const said = new Set<string>()
  return {
    hidden: name => {
      if (said.has(name) || said.size >= MOST_SAID) return
      said.add(name)
      log.debug({ interface: name, role }, 'a global is hidden from the clients of this link')
    },
    refused: request =>
      log.warn(
        { audit: 'request-refused', consumer, role, ...request },
        'a Wayland client asked for what it may not have: connection closed',
      ),
    badEvent: facts =>
      log.warn({ consumer, ...facts }, 'the compositor broke the protocol: connection closed'),
  }
}
