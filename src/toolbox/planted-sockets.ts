/**
 * The sockets that are planted, each with its listener and the connections that came through it. A socket may have to be planted
 * anew, elsewhere or as another type: its connections go on under the same id.
 */
import { E } from '../fp.ts'
import { refuseRights } from '../kernel/socket.ts'
import { isAbstract } from '../model/address.ts'
import type { InjectError } from '../model/errors.ts'
import type { Pid } from '../model/identity.ts'
import type { Limits } from '../model/limits.ts'
import type { Link } from '../model/link.ts'
import type { Mediation, MediationId, TeardownReport } from '../model/mediation.ts'
import type { Connection } from '../relay/connection.ts'
import type { Figure } from '../relay/contract.ts'
import { createCounters, snapshotOf } from '../relay/counters.ts'
import { DatagramPost } from '../relay/datagram-post.ts'
import { Listener } from '../relay/listener.ts'
import type { DataPlane, Descriptors, Entrance, LinkTraffic } from '../relay/ports.ts'
import { clientSocketsOf } from './client-sockets.ts'
import { type Container, type Containers, peerError } from './containers.ts'
import type { LinkLog, Loss, ProviderAddress, SocketKind, SocketRequest } from './contract.ts'
import type { NewDialer } from './dialers.ts'
import type { Directories } from './directories.ts'
import { createFarewells } from './farewell.ts'
import { introductionFor } from './introduction.ts'
import type { Journal } from './journal.ts'
import type { Leftovers } from './leftovers.ts'
import type { LiveMediations } from './live.ts'
import type { AtMoment } from './moments.ts'
import type { Plant } from './plant.ts'
import { abstractPlace, createOpenToHostWarning } from './plant-abstract.ts'
import { plantSocket } from './plant-socket.ts'
import { kindIsStale, type PlantedKind, plantedKindFor } from './planted-kind.ts'
import type { ProviderDialer } from './provider.ts'
import type { ProviderSockets } from './provider-socket.ts'
import type { RoleUsers } from './role-users.ts'
import { scribeFor } from './scribe.ts'

/** All that is alive behind a mediation's id. */
interface Live {
  readonly id: MediationId
  readonly link: Link
  readonly request: SocketRequest
  readonly container: Container
  readonly plant: Plant
  readonly entrance: Entrance
  readonly traffic: LinkTraffic
  readonly dialer: ProviderDialer
  readonly connections: Set<Connection>
  /** The provider's process when it last had one. */
  lastRunning: Pid | null
  /** The provider could not be asked for its type; `kind` is what its clients most likely want. */
  kindAssumed: boolean
  /** A client met a provider of another type: the planted one has to follow. */
  kindMismatch: boolean
}

export interface PlantedSockets extends LiveMediations {
  /** Put it in its place, or (`kept`) in that of one that was lost. */
  inject(
    link: Link,
    log: LinkLog,
    request: SocketRequest,
    kept: Mediation | undefined,
  ): E.Either<InjectError, Mediation>
  retarget(
    link: Link,
    log: LinkLog,
    mediation: Mediation,
    provider: ProviderAddress,
  ): E.Either<InjectError, Mediation>
  count(id: MediationId, figure: Figure, by: number): void
  /** From now on, who is withdrawn is waited for. */
  beginDrain(): void
}

export interface PlantedSocketsOptions {
  readonly plane: DataPlane
  readonly limits: Pick<Limits, 'lingerMs' | 'connectionsPerLink' | 'listenBacklog' | 'drainMs'>
  readonly containers: Containers
  readonly directories: Directories
  readonly journal: Journal
  readonly leftovers: Leftovers
  readonly sockets: ProviderSockets
  readonly roles: RoleUsers
  readonly newDialer: NewDialer
  readonly newId: () => MediationId
  readonly at: AtMoment
  /** A planted socket no longer fits its provider, which changed type. */
  readonly onTargetChanged: (id: MediationId) => void
}

const ofLink = (link: Link): string => `consumer ${link.consumer}, ${link.target}`

export const createPlantedSockets = ({
  plane,
  limits,
  containers,
  directories,
  journal,
  leftovers,
  sockets,
  roles,
  newDialer,
  newId,
  at,
  onTargetChanged,
}: PlantedSocketsOptions): PlantedSockets => {
  const { reactor } = plane
  const alive = new Map<MediationId, Live>()
  /** Whose socket it is that is found at a place. */
  const byPlace = new Map<string, Live>()
  const warnIfOpenToHost = createOpenToHostWarning()
  const farewells = createFarewells(reactor.clock)
  let draining = false

  const mediationOf = (live: Live): Mediation => ({
    id: live.id,
    planted: live.plant.planted,
    counters: () => snapshotOf(live.traffic.counters),
  })

  /** Sockets that are accepted from a listener are as it is. */
  const descriptorsFor = (request: SocketRequest, plant: Plant): Descriptors => {
    if (request.descriptors !== 'none') return request.descriptors
    return refuseRights(plant.listener.borrowed) ? 'none' : 'dropped'
  }

  /** Put the new one in the place of the kept one, whose connections it has taken over. */
  const supersede = (kept: Live): void => {
    kept.entrance.close()
    unplantLive(kept)
  }

  const unplantLive = (live: Live): readonly string[] => {
    if (byPlace.get(live.plant.place) === live) byPlace.delete(live.plant.place)
    const left = live.plant.unplant()
    containers.release(live.container)
    return left
  }

  const kindMismatched = (id: MediationId): void => {
    const live = alive.get(id)
    // A type that the link itself fixed is what it wants, whatever the provider is.
    if (live === undefined || live.kindMismatch || live.request.kind !== 'detected') return
    live.kindMismatch = true
    onTargetChanged(id)
  }

  const start = (
    link: Link,
    request: SocketRequest,
    container: Container,
    plant: Plant,
    { kind, assumed }: PlantedKind,
    log: LinkLog,
    kept: Live | undefined,
  ): Live => {
    const id = kept?.id ?? newId()
    const counters = kept?.traffic.counters ?? createCounters(log)
    const dialer = kept?.dialer ?? newDialer(link, request, counters, log, () => kindMismatched(id))
    /** It may be held anew, where a planted socket stays. */
    const consumer = (): Container => alive.get(id)?.container ?? container
    const traffic: LinkTraffic = {
      plane,
      kind,
      descriptors: descriptorsFor(request, plant),
      session: request.session,
      introduction: introductionFor(request.introduction, {
        link,
        consumer,
        provider: () => dialer.provider.pid,
        containers,
        roles,
        log,
      }),
      dialer,
      counters,
      held: kept?.traffic.held ?? plane.held.ofLink(),
      log,
      lingerMs: limits.lingerMs,
      maxConnections: limits.connectionsPerLink,
      closesBeyond: request.mostConnections,
    }
    const connections = kept?.connections ?? new Set<Connection>()
    const live: Live = {
      id,
      link,
      request,
      container,
      plant,
      entrance:
        kind === 'dgram'
          ? new DatagramPost(plant.listener, traffic, clientSocketsOf(consumer))
          : new Listener(plant.listener, traffic, connections),
      traffic,
      dialer,
      connections,
      lastRunning: request.provider.pid ?? kept?.lastRunning ?? null,
      kindAssumed: assumed,
      kindMismatch: false,
    }
    alive.set(id, live)
    byPlace.set(plant.place, live)
    return live
  }

  /** Nobody but us can take an abstract name from its listener: where it would be planted, it is. */
  const stays = (kept: Live, target: string, kind: SocketKind, container: Container): boolean =>
    isAbstract(target) && kept.plant.place === abstractPlace(container, kind, target)

  /** The same socket, for a link or a provider that changed. */
  const refreshed = (live: Live, link: Link, request: SocketRequest, kindAssumed: boolean): Live => {
    const updated: Live = {
      ...live,
      link,
      request,
      lastRunning: request.provider.pid ?? live.lastRunning,
      kindAssumed,
      kindMismatch: false,
    }
    alive.set(live.id, updated)
    byPlace.set(live.plant.place, updated)
    return updated
  }

  const inject = (
    link: Link,
    log: LinkLog,
    request: SocketRequest,
    keptMediation: Mediation | undefined,
  ): E.Either<InjectError, Mediation> => {
    if (link.consumer_pid === null) return E.left({ _tag: 'PeerNotRunning', peer: 'consumer' })
    const kept = keptMediation === undefined ? undefined : alive.get(keptMediation.id)
    const kind = plantedKindFor(sockets, request, kept?.traffic.kind)
    if (E.isLeft(kind)) return kind
    const container = containers.acquire(link.consumer_pid)
    if (E.isLeft(container)) return E.left(peerError('consumer', link.consumer_pid, container.left))
    at('consumer held')
    if (kept !== undefined && stays(kept, request.target, kind.right.kind, container.right)) {
      containers.release(kept.container)
      kept.dialer.retarget(request.provider)
      const live = { ...kept, container: container.right }
      return E.right(mediationOf(refreshed(live, link, request, kind.right.assumed)))
    }
    leftovers.makeRoom(container.right, request.target, 'socket')
    const plant = plantSocket(
      {
        container: container.right,
        target: request.target,
        kind: kind.right.kind,
        backlog: limits.listenBacklog,
        credentials: (request.introduction?.credentials ?? 'none') !== 'none',
        subject: ofLink(link),
        scribe: scribeFor(journal, link.consumer, container.right.pid, container.right.handle.started),
        ours: place => {
          const owner = byPlace.get(place)
          if (owner === undefined) return 'not-ours'
          return owner.id === kept?.id ? 'replace' : 'busy'
        },
        at,
      },
      directories,
    )
    if (E.isLeft(plant)) {
      containers.release(container.right)
      return plant
    }
    const live = start(link, request, container.right, plant.right, kind.right, log, kept)
    if (kept !== undefined) supersede(kept)
    leftovers.replaced(container.right, request.target)
    if (isAbstract(request.target)) warnIfOpenToHost(link, container.right, log)
    else containers.watchMounts(container.right)
    live.dialer.retarget(request.provider)
    return E.right(mediationOf(live))
  }

  const retarget = (
    link: Link,
    log: LinkLog,
    mediation: Mediation,
    provider: ProviderAddress,
  ): E.Either<InjectError, Mediation> => {
    const live = alive.get(mediation.id)
    if (live === undefined) return E.left({ _tag: 'PeerNotRunning', peer: 'consumer' })
    const request: SocketRequest = { ...live.request, provider }
    const sameService =
      provider.socket === live.request.provider.socket && link.provider === live.link.provider
    // One that has just stopped ends its connections itself, after what it wrote has been delivered; and one that was
    // only said to have stopped keeps them.
    const isAnother = !sameService || (provider.pid !== null && provider.pid !== live.lastRunning)
    if (isAnother) {
      for (const connection of [...live.connections]) if (connection.connected) connection.close()
    }
    live.dialer.retarget(provider)
    if (isAnother) live.entrance.providerChanged()
    const found = live.request.kind === 'detected' ? sockets.kindOf(provider) : live.traffic.kind
    if (found !== 'unknown' && found !== live.traffic.kind) return inject(link, log, request, mediation)
    return E.right(mediationOf(refreshed(live, link, request, found === 'unknown')))
  }

  const withdrawLive = async (live: Live): Promise<TeardownReport> => {
    alive.delete(live.id)
    live.entrance.close()
    const leftBehind = unplantLive(live)
    const { connections } = live
    const onGone = (): void => live.dialer.close()
    const connectionsClosed = draining
      ? await farewells.waitFor({ connections, graceMs: limits.drainMs, onGone })
      : farewells.begin({ connections, graceMs: live.request.graceMs ?? 0, onGone })
    return { connectionsClosed, leftBehind }
  }

  const lossOf = (live: Live, deep: boolean): Loss | 'none' => {
    if (live.container.exited) return 'consumer-exited'
    if (live.container.left || !live.plant.isStillOurs(deep)) return 'target-lost'
    return kindIsStale(sockets, live) ? 'target-lost' : 'none'
  }

  return {
    inject,
    retarget,
    count: (id, figure, by) => alive.get(id)?.traffic.counters.counted.count(figure, by),
    lossOf: (id, deep) => {
      const live = alive.get(id)
      return live === undefined ? undefined : lossOf(live, deep)
    },
    withdraw: id => {
      const live = alive.get(id)
      return live === undefined ? undefined : withdrawLive(live)
    },
    close: () => {
      for (const live of alive.values()) {
        live.entrance.close()
        for (const connection of [...live.connections]) connection.close()
        live.dialer.close()
        unplantLive(live)
      }
      alive.clear()
      farewells.close()
    },
    beginDrain: () => {
      draining = true
    },
  }
}
