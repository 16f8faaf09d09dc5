/** The session of `rest` links, without any socket: against Node's strict HTTP parser, and through whole conversations. */
import { restChecks } from '../rest-checks.ts'
import { targetOf } from '../target.ts'

export const target = targetOf('rest', 'requests with an identity, as Node reads them', restChecks())
