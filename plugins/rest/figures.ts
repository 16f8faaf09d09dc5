/** What a `rest` link counts, besides what every link does. One constant each: what is counted is looked up by the object. */
import type { Figure, Histogram } from '../../src/relay/contract.ts'

type Labels = Readonly<Record<string, string>>

const total = (name: string, help: string, labels?: Labels): Figure =>
  labels === undefined ? { name, help, kind: 'total' } : { name, help, labels, kind: 'total' }

const response = (statusClass: string): Figure =>
  total('responses', 'Responses of the provider, by the class of their status; interim ones too.', {
    class: statusClass,
  })

const timeout = (kind: string): Figure =>
  total('timeouts', 'What took longer than it may, by what was waited for.', { kind })

/** One per status and reason: see `refusals.ts`. */
export const errorFigure = (status: number, reason: string): Figure =>
  total('errors', 'Answers of the daemon itself, by status and reason.', { status: `${status}`, reason })

export const FIGURES = {
  requests: total('requests', 'Requests taken to the provider, each with the identity of its link.'),
  /** By the first digit of the status, from 1 on. */
  responses: [response('1xx'), response('2xx'), response('3xx'), response('4xx'), response('5xx')],
  spoofStripped: total('spoof_stripped', 'Fields in requests that claimed an identity and were removed.'),
  trailersStripped: total('trailers_stripped', 'The same in trailers.'),
  upgradesOffered: total('upgrades_offered', 'Requests whose offer of another protocol was passed on.'),
  upgradesFiltered: total('upgrades_filtered', 'Requests that lost an offer which would lead back to HTTP.'),
  tunnels: total('tunnels', 'Connections that switched to another protocol.'),
  tunnelsActive: {
    name: 'tunnels_active',
    help: 'Connections that are tunnels now.',
    kind: 'gauge',
  },
  http2Refused: total('h2_refused', 'Connections refused because they began with HTTP/2.'),
  halfCloses: total('half_closes', 'Consumers that had said all and waited for their answer.'),
  consumerAborts: total('consumer_aborts', 'Exchanges that their consumer left before they were over.'),
  responsesTruncated: total('responses_truncated', 'Responses that ended before they were complete.'),
  unsolicited: total('unsolicited', 'Providers that said something, or went, without having been asked.'),
  lingerCut: total('linger_cut', 'Closes that did not wait any longer for the consumer to end.'),
  headTimeouts: timeout('head'),
  idleTimeouts: timeout('idle'),
  bodyTimeouts: timeout('body'),
  responseTimeouts: timeout('response'),
  halfClosedTimeouts: timeout('half_closed'),
} as const satisfies Readonly<Record<string, Figure | readonly Figure[]>>

export const RESPONSE_HEAD_TIME: Histogram = {
  name: 'response_head',
  help: 'From the end of the head of a request to the end of that of its response.',
  bucketsMs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000],
}
