/**
 * Where Stately's inspector attaches: a WebSocket that says what goes on in the shapes of @statelyai/inspect.
 * What a receiver sends is not looked at. One that does not read is cut, as its protocol knows no way to begin anew.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import type { Subject } from './contract.ts'

const MOST_QUEUED_BYTES = 16 * 1024 * 1024
/** Receivers have nothing to say. */
const MOST_RECEIVED_BYTES = 4096
/** Try again later (RFC 6455 section 7.4.1, IANA's registry of close codes). */
const TRY_AGAIN_LATER = 1013

export interface StatelySocket {
  /** Take over a request to upgrade; its socket is the WebSocket's from now on. */
  attach(request: IncomingMessage, socket: Duplex, head: Buffer): void
  receivers(): number
  close(): void
}

export const createStatelySocket = (subject: Subject): StatelySocket => {
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MOST_RECEIVED_BYTES,
  })
  server.on('connection', receiver => {
    const stop = subject.actors?.(event => {
      if (receiver.bufferedAmount > MOST_QUEUED_BYTES) receiver.close(TRY_AGAIN_LATER, 'it does not read')
      else receiver.send(JSON.stringify(event))
    })
    receiver.once('close', () => stop?.())
    receiver.on('error', () => receiver.terminate())
  })
  return {
    attach: (request, socket, head) => {
      server.handleUpgrade(request, socket, head, receiver => server.emit('connection', receiver, request))
    },
    receivers: () => server.clients.size,
    close: () => {
      for (const receiver of server.clients) receiver.terminate()
      server.close()
    },
  }
}
