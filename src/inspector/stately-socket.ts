/**
 * Where Stately's inspector attaches: a WebSocket that says what goes on in the shapes of @statelyai/inspect.
 * What a receiver sends is not looked at. One that does not read is cut, as its protocol knows no way to begin anew; until
 * then it costs a bounded queue, and telling it of a thousand actors never holds up what else the process does.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Subject } from './contract.ts'
import { type StatelyEvent, statelyText } from './stately-events.ts'

/** Written in one turn of the event loop; the next follow when these have left. */
const EVENTS_AT_ONCE = 32
/** Told, and not written yet: minutes of a busy daemon. */
export const MOST_WAITING = 20_000
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

export const createStatelySocket = (subject: Subject, mostWaiting = MOST_WAITING): StatelySocket => {
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MOST_RECEIVED_BYTES,
  })
  server.on('connection', receiver => {
    const stop = subject.actors?.(teller(receiver, mostWaiting))
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

/** In the order in which it is told, as fast as the receiver reads. */
const teller = (receiver: WebSocket, mostWaiting: number): ((events: Iterable<StatelyEvent>) => void) => {
  const waiting: Iterator<StatelyEvent>[] = []
  let busy = false

  const next = (): StatelyEvent | undefined => {
    for (let [first] = waiting; first !== undefined; [first] = waiting) {
      const { done, value } = first.next()
      if (done !== true) return value
      waiting.shift()
    }
    return undefined
  }

  const write = (): void => {
    busy = false
    if (receiver.readyState !== receiver.OPEN) {
      waiting.length = 0
      return
    }
    const batch: StatelyEvent[] = []
    while (batch.length < EVENTS_AT_ONCE) {
      const event = next()
      if (event === undefined) break
      batch.push(event)
    }
    const last = batch.pop()
    if (last === undefined) return
    busy = true
    for (const event of batch) receiver.send(statelyText(event))
    receiver.send(statelyText(last), () => setImmediate(write))
  }

  return events => {
    if (receiver.readyState !== receiver.OPEN) return
    if (waiting.length >= mostWaiting) {
      waiting.length = 0
      receiver.close(TRY_AGAIN_LATER, 'it does not read')
      return
    }
    waiting.push(events[Symbol.iterator]())
    if (!busy) write()
  }
}
