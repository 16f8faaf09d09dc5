/**
 * Connections of the daemon's own to a provider: what a plugin observes a service by. They run as any connection does, with
 * one end of a socket pair for a consumer that never says anything; when one closes, both are gone.
 * They count towards no link's connections, and what they carry towards no link's figures.
 */
import { E } from '../fp.ts'
import { openSocketPair } from '../kernel/socket.ts'
import { Connection } from '../relay/connection.ts'
import type { LinkCounters } from '../relay/counters.ts'
import type { DataPlane, Dialer, LinkTraffic } from '../relay/ports.ts'
import { SessionFlow } from '../relay/session-flow.ts'
import type { ConnectRequest, LinkLog, OwnConnection } from './contract.ts'

/** The dialer belongs to the connection, and is closed with it. */
type OwnDialer = Dialer & { close(): void }

export interface OwnConnections {
  /** Without a descriptor to spare it is over at once. */
  open(request: ConnectRequest, counters: LinkCounters, log: LinkLog, dialer: OwnDialer): OwnConnection
  close(): void
}

export const createOwnConnections = (plane: DataPlane, lingerMs: number): OwnConnections => {
  const all = new Set<OwnConnection>()

  const open: OwnConnections['open'] = (request, counters, log, dialer) => {
    const pair = openSocketPair('stream')
    if (E.isLeft(pair)) {
      log.warn({ errno: pair.left.errno }, 'a connection of our own could not be opened')
      dialer.close()
      request.onClosed?.()
      return { close: () => undefined }
    }
    const [consumer, silent] = pair.right
    const traffic: LinkTraffic = {
      plane,
      kind: 'stream',
      descriptors: request.descriptors === 'none' ? 'dropped' : request.descriptors,
      session: request.session,
      introduction: undefined,
      dialer,
      counters,
      held: plane.held.ofLink(),
      log,
      lingerMs,
      maxConnections: 1,
      closesBeyond: undefined,
    }
    const flowFor = (connection: Connection): SessionFlow => new SessionFlow(connection, request.session)
    const connection = new Connection(traffic, consumer, flowFor, () => {
      silent.close()
      dialer.close()
      all.delete(own)
      request.onClosed?.()
    })
    const own: OwnConnection = { close: () => connection.close() }
    all.add(own)
    // Whoever asks for it may be a session in the middle of a call, whose input and writes lie where this one's would.
    plane.reactor.clock.setTimeout(() => {
      if (!connection.closed) connection.start()
    }, 0)
    return own
  }

  return {
    open,
    close: () => {
      for (const own of [...all]) own.close()
    },
  }
}
