/**
 * What plugins report of connections reaches the log as lines with an `audit` fact; here it is heard on its way there, to
 * be an event too. The log loses nothing by it. Who denies a thousand times a second must not push everything else out, so
 * whoever composes puts a bound below (`toolbox/quiet-log`).
 */
import type { LinkLog } from '../toolbox/contract.ts'
import type { EventHub } from './hub.ts'

/** A link's log, of which `audits` hears those lines that tell of an audit. */
export const hearingAudits = (log: LinkLog, audits: LinkLog): LinkLog => ({
  debug: (facts, message) => log.debug(facts, message),
  info: (facts, message) => {
    if ('audit' in facts) audits.info(facts, message)
    log.info(facts, message)
  },
  warn: (facts, message) => log.warn(facts, message),
  error: (facts, message) => log.error(facts, message),
})

const isFact = (value: unknown): value is string | number =>
  typeof value === 'string' || typeof value === 'number'

/** The end of that way: a line becomes an event. Lines that were held back become one, with how many there were. */
export const auditEvents = (hub: EventHub): LinkLog => {
  const tell = (facts: object): void => {
    const { link, audit, ...others }: Record<string, unknown> = { ...facts }
    const told = Object.fromEntries(Object.entries(others).filter(([, value]) => isFact(value))) as Record<
      string,
      string | number
    >
    hub.audit(isFact(link) ? String(link) : '', isFact(audit) ? String(audit) : 'held-back', told)
  }
  return { debug: () => undefined, info: tell, warn: tell, error: tell }
}
