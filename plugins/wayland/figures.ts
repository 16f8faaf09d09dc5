/** What a `wayland` link counts, besides what every link does. One constant each: what is counted is looked up by the object. */
import type { Figure } from '../../src/relay/contract.ts'

const refusal = (reason: string): Figure => ({
  name: 'refusals',
  help: 'Connections that ended because of a request, by what was wrong with it.',
  kind: 'total',
  labels: { reason },
})

export const FIGURES = {
  hiddenGlobals: {
    name: 'hidden_globals',
    help: 'Announcements of globals that were kept from a client.',
    kind: 'total',
  },
  /** Of an interface that the client may not see. */
  boundInterface: refusal('interface'),
  /** By the number of a global that it may not see, as if it were another. */
  boundName: refusal('name'),
  malformed: refusal('malformed'),
  tooMany: refusal('too_many_objects'),
  badEvents: {
    name: 'bad_events',
    help: 'Connections that ended because of what the compositor sent.',
    kind: 'total',
  },
} as const satisfies Readonly<Record<string, Figure>>
