/**
 * A stand-in for Pantavisor's control socket, in the test's own process: answers `GET /xconnect-graph` with whatever
 * the test wants Pantavisor to say at the moment, the impossible included.
 */
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { eventually } from './eventually.ts'

/** One entry of a graph, as loose as the wire is: tests send wrong ones too. */
export type Entry = Readonly<Record<string, unknown>>

export type Answer = (response: ServerResponse, socket: Socket) => void

export interface PvCtrl {
  readonly path: string
  /** Say this from now on. */
  readonly serve: (graph: readonly unknown[]) => void
  /** Answer in a way of the test's own from now on: by HTTP, or by writing to the bare socket. */
  readonly answer: (how: Answer) => void
  /** How often it was asked. */
  readonly asked: () => number
  /** Until it was asked as often again, after now. */
  readonly askedAgain: (times?: number) => Promise<void>
  readonly listen: () => Promise<void>
  /** As if Pantavisor ended: open connections are cut, the socket is gone. */
  readonly stop: () => Promise<void>
}

const asJson =
  (graph: readonly unknown[]): Answer =>
  response => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(graph))
  }

export const pvCtrlAt = (path: string): PvCtrl => {
  let current = asJson([])
  let count = 0
  let server: Server | undefined

  return {
    path,
    serve: graph => {
      current = asJson(graph)
    },
    answer: how => {
      current = how
    },
    asked: () => count,
    askedAgain: async (times = 1) => {
      const goal = count + times
      await eventually(`pv-ctrl is asked ${times} more times`, () => count >= goal)
    },
    listen: async () => {
      rmSync(path, { force: true })
      server = createServer((request, response) => {
        count += 1
        if (request.method !== 'GET' || request.url !== '/xconnect-graph') {
          response.writeHead(404).end()
          return
        }
        current(response, request.socket)
      })
      server.listen(path)
      await once(server, 'listening')
    },
    stop: async () => {
      if (server === undefined) return
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      server = undefined
      await closed
    },
  }
}
