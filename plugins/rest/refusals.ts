/**
 * Every answer that a `rest` link gives itself: constant bytes, made once, with the figure that counts it.
 * No answer echoes input. What was wrong is said by a reason, which docs/rest.md explains.
 */
import type { ByteView, Figure } from '../../src/relay/contract.ts'
import { errorFigure } from './figures.ts'
import { bytesOf } from './octets.ts'

export interface Refusal {
  readonly status: number
  readonly reason: string
  readonly figure: Figure
  /** It is not the request that was wrong. */
  readonly isProviders: boolean
  readonly answer: readonly ByteView[]
  /** The same to a HEAD, which has no body (RFC 9110 section 9.3.2). */
  readonly answerToHead: readonly ByteView[]
}

const PHRASES = {
  400: 'Bad Request',
  408: 'Request Timeout',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  431: 'Request Header Fields Too Large',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
} as const

type Status = keyof typeof PHRASES

const refusal = (status: Status, reason: string, ...more: readonly string[]): Refusal => {
  const phrase = PHRASES[status]
  const body = JSON.stringify({ error: phrase.toLowerCase().replaceAll(' ', '_'), reason })
  const head = (length: number): string =>
    [
      `HTTP/1.1 ${status} ${phrase}`,
      'Server: pv-xconnect',
      'Content-Type: application/json',
      `Content-Length: ${length}`,
      ...more,
      'Connection: close',
      '\r\n',
    ].join('\r\n')
  return {
    status,
    reason,
    figure: errorFigure(status, reason),
    isProviders: status >= 502 && status <= 504,
    answer: [bytesOf(head(body.length) + body)],
    answerToHead: [bytesOf(head(0))],
  }
}

export const REFUSALS = {
  // Of a request's head, in the order of the contract's table.
  strayCrOrLf: refusal(400, 'bare-cr-or-lf'),
  emptyLines: refusal(400, 'empty-lines'),
  requestLine: refusal(400, 'request-line'),
  method: refusal(400, 'method'),
  methodTooLong: refusal(501, 'method'),
  connect: refusal(501, 'connect'),
  version: refusal(400, 'version'),
  versionUnknown: refusal(505, 'version'),
  target: refusal(400, 'target'),
  hostMismatch: refusal(400, 'host-mismatch'),
  fieldName: refusal(400, 'field-name'),
  folding: refusal(400, 'obs-fold'),
  fieldValue: refusal(400, 'field-value'),
  host: refusal(400, 'host'),
  codingAndLength: refusal(400, 'te-and-cl'),
  repeatedFraming: refusal(400, 'repeated-framing-field'),
  contentLength: refusal(400, 'content-length'),
  codingInHttp10: refusal(400, 'te-in-http-1.0'),
  codingUnknown: refusal(501, 'transfer-coding'),
  transferEncoding: refusal(400, 'transfer-encoding'),
  framingLookAlike: refusal(400, 'framing-look-alike'),
  connection: refusal(400, 'connection'),
  expect: refusal(417, 'expect'),
  requestLineTooLong: refusal(414, 'request-line-too-long'),
  headTooLarge: refusal(431, 'head-too-large'),
  // Of what follows it.
  incomplete: refusal(400, 'incomplete'),
  chunk: refusal(400, 'chunk'),
  trailer: refusal(400, 'trailer'),
  headTimeout: refusal(408, 'head-timeout'),
  bodyTimeout: refusal(408, 'body-timeout'),
  // Of the provider.
  badResponse: refusal(502, 'provider-bad-response'),
  providerClosed: refusal(502, 'provider-closed'),
  unreachable: refusal(503, 'provider-unreachable', 'Retry-After: 1'),
  responseTimeout: refusal(504, 'response-timeout'),
} as const satisfies Readonly<Record<string, Refusal>>
