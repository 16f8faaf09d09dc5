/**
 * One browser that looks: server-sent events (WHATWG HTML section 9.2) on a response that stays open.
 * Promises that a browser which does not read costs one bounded queue: the hub asks `isBehind` and holds back.
 */
import type { ServerResponse } from 'node:http'
import type { Viewer } from './hub.ts'

/** More than a snapshot of some thousand links: who has that unread is behind. */
const MOST_QUEUED_BYTES = 4 * 1024 * 1024
/** Proxies and browsers give up on a connection where nothing happens. */
const KEPT_ALIVE_MS = 15_000

export interface EventStream extends Viewer {
  /** It has been read up to here, after it was behind. */
  onReady(listener: () => void): void
}

/** The response's head is written at once; the caller hears of its end from the response itself. */
export const openEventStream = (
  response: ServerResponse,
  headers: Readonly<Record<string, string>>,
): EventStream => {
  response.writeHead(200, { ...headers, 'content-type': 'text/event-stream; charset=utf-8' })
  response.flushHeaders()
  const alive = setInterval(() => {
    if (response.writableLength === 0) response.write(':\n\n')
  }, KEPT_ALIVE_MS).unref()
  response.once('close', () => clearInterval(alive))
  return {
    send: (name, message) => {
      response.write(`event: ${name}\ndata: ${JSON.stringify(message)}\n\n`)
    },
    isBehind: () => response.writableLength > MOST_QUEUED_BYTES,
    onReady: listener => {
      response.on('drain', listener)
    },
  }
}
