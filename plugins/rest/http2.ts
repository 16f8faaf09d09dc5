/**
 * What HTTP/2 is answered with: frames of its own, because an error in HTTP/1.1 would read as noise to its clients.
 * It is not served on purpose: putting an identity into each request would need the state of its header compression,
 * and a `unix` link carries it as it is.
 */
import type { ByteView } from '../../src/relay/contract.ts'
import { bytesOf } from './octets.ts'

/** RFC 9113 sections 4.1, 6.5, 6.8 and 7. */
const FRAME_SETTINGS = 0x4
const FRAME_GOAWAY = 0x7
const HTTP_1_1_REQUIRED = 0xd

const REASON = bytesOf('HTTP/2 is not served on rest links: use HTTP/1.1, or a unix link for gRPC')

/** On the stream 0, without flags. Shorter than 256 bytes. */
const frame = (type: number, payload: Uint8Array): Uint8Array =>
  Uint8Array.from([0, 0, payload.length, type, 0, 0, 0, 0, 0, ...payload])

/** No stream was or will be looked at: the last one is 0. */
export const HTTP2_ANSWER: readonly ByteView[] = [
  frame(FRAME_SETTINGS, new Uint8Array(0)),
  frame(FRAME_GOAWAY, Uint8Array.from([0, 0, 0, 0, 0, 0, 0, HTTP_1_1_REQUIRED, ...REASON])),
]
