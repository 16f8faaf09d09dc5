/**
 * The device nodes that are planted: each with the provider's node that it stands for, and what its consumer's cgroup was allowed
 * for it. No connection runs through us, so a node that has to be another is simply made anew.
 */
import { E } from '../fp.ts'
import { idMapsOf } from '../kernel/id-maps.ts'
import { type Owner, ownerFor } from '../kernel/process.ts'
import type { InjectError } from '../model/errors.ts'
import { outsideOf } from '../model/id-map.ts'
import { HOST, type Pid } from '../model/identity.ts'
import type { Link } from '../model/link.ts'
import { type Mediation, type MediationId, NOTHING_COUNTED, type TeardownReport } from '../model/mediation.ts'
import { type Container, type Containers, peerError } from './containers.ts'
import type { LinkLog, Loss, NodeRequest } from './contract.ts'
import type { DeviceGrants, Grant } from './device-grants.ts'
import type { Directories } from './directories.ts'
import type { Journal } from './journal.ts'
import type { Leftovers } from './leftovers.ts'
import type { LiveMediations } from './live.ts'
import type { AtMoment } from './moments.ts'
import { type NodePlant, plantNode } from './plant-node.ts'
import { type FoundNode, type ProviderNode, type ProviderNodes, sameNode } from './provider-node.ts'
import { scribeFor } from './scribe.ts'

export interface Nodes extends LiveMediations {
  inject(
    link: Link,
    log: LinkLog,
    request: NodeRequest,
    kept: Mediation | undefined,
  ): E.Either<InjectError, Mediation>
}

export interface NodesOptions {
  readonly containers: Containers
  readonly directories: Directories
  readonly journal: Journal
  readonly leftovers: Leftovers
  readonly grants: DeviceGrants
  readonly providerNodes: ProviderNodes
  readonly at: AtMoment
  readonly newId: () => MediationId
}

interface Live {
  readonly id: MediationId
  readonly request: NodeRequest
  /** Held, so that its end is noticed. */
  readonly provider: Container
  readonly node: ProviderNode
  readonly plant: NodePlant
  readonly grant: Grant
}

export const createNodes = ({
  containers,
  directories,
  journal,
  leftovers,
  grants,
  providerNodes,
  at,
  newId,
}: NodesOptions): Nodes => {
  const alive = new Map<MediationId, Live>()

  const mediationOf = ({ id, plant }: Live): Mediation => ({
    id,
    planted: plant.planted,
    counters: () => NOTHING_COUNTED,
  })

  const remove = ({ id, provider, plant, grant }: Live): readonly string[] => {
    alive.delete(id)
    const left = [...plant.unplant(), ...grant.withdraw()]
    containers.release(plant.container)
    containers.release(provider)
    return left
  }

  /** The provider's node, if it may be given; who gets it releases its container. Judging is a plugin's code, and may throw. */
  const find = (request: NodeRequest): E.Either<InjectError, FoundNode> => {
    const found = providerNodes.find(request.provider)
    if (E.isLeft(found)) return found
    try {
      const verdict = request.judge(found.right.node.device)
      if (verdict._tag === 'Right') return found
      containers.release(found.right.container)
      return E.left(verdict.left)
    } catch (error) {
      containers.release(found.right.container)
      throw error
    }
  }

  /** The owner as the consumer's user namespace has him; its root for whom it does not know. */
  const ownerIn = (container: Container, { uid, gid }: ProviderNode): E.Either<InjectError, Owner> => {
    const { pid, handle } = container
    const maps = idMapsOf(pid, handle)
    if (E.isLeft(maps)) return E.left(peerError('consumer', pid, maps.left))
    const root = ownerFor(pid, handle)
    if (E.isLeft(root)) return E.left(peerError('consumer', pid, root.left))
    return E.right({
      uid: outsideOf(maps.right.uids, uid) ?? root.right.uid,
      gid: outsideOf(maps.right.gids, gid) ?? root.right.gid,
    })
  }

  /** Plant it in a consumer that is held; whatever becomes of it, the consumer stays the caller's to release. */
  const plantIn = (
    container: Container,
    link: Link,
    log: LinkLog,
    { target }: NodeRequest,
    { node }: FoundNode,
  ): E.Either<InjectError, { readonly plant: NodePlant; readonly grant: Grant }> => {
    const { device, mode } = node
    const owner = ownerIn(container, node)
    if (E.isLeft(owner)) return owner
    const scribe = scribeFor(journal, link.consumer, container.pid, container.handle.started)
    leftovers.makeRoom(container, target, 'node')
    // Before the node is there: whoever opens it at once must not be told that it is forbidden.
    const grant = grants.hold({ container, device, path: target, scribe, log })
    const plant = plantNode(
      {
        container,
        target,
        device,
        owner: owner.right,
        mode,
        subject: `consumer ${link.consumer}, ${target}`,
        scribe,
        hostScribe: scribeFor(journal, link.consumer, HOST, '0'),
        remains: leftovers.remainsAt(container, target),
        at,
      },
      directories,
    )
    if (E.isLeft(plant)) {
      grant.withdraw()
      return plant
    }
    if (plant.right.tookOver) leftovers.takenOver(container, target)
    else leftovers.replaced(container, target)
    return E.right({ plant: plant.right, grant })
  }

  /** A node opens its device whether we look after it or not: what may not be had goes, also where an earlier run gave it. */
  const forsake = (consumer: Pid | null, target: string): void => {
    if (consumer === null) return
    leftovers.forsake(consumer, target)
    grants.forsake(consumer, target)
  }

  /** It is what it shall be, but for its owner and mode, which may have to follow. */
  const refreshed = (
    kept: Live,
    container: Container,
    request: NodeRequest,
    found: FoundNode,
  ): E.Either<InjectError, Live> => {
    const owner = ownerIn(container, found.node)
    if (E.isLeft(owner)) return owner
    const owned = kept.plant.own(owner.right, found.node.mode)
    if (E.isLeft(owned)) return owned
    containers.release(kept.provider)
    return E.right({ ...kept, request, provider: found.container, node: found.node })
  }

  const isRight = (
    kept: Live,
    container: Container,
    { target }: NodeRequest,
    { node }: FoundNode,
  ): boolean => {
    const { plant, grant } = kept
    const { device, planted } = plant
    return (
      plant.container === container &&
      planted.target === target &&
      device.major === node.device.major &&
      device.minor === node.device.minor &&
      plant.isStillThere(true) &&
      !grant.isStale()
    )
  }

  const injectFound = (
    link: Link,
    log: LinkLog,
    request: NodeRequest,
    found: FoundNode,
    keptId: MediationId | undefined,
  ): E.Either<InjectError, Live> => {
    const pid = link.consumer_pid
    if (pid === null) return E.left({ _tag: 'PeerNotRunning', peer: 'consumer' })
    const container = containers.acquire(pid)
    if (E.isLeft(container)) return E.left(peerError('consumer', pid, container.left))
    at('consumer held')
    const kept = keptId === undefined ? undefined : alive.get(keptId)
    if (kept !== undefined && isRight(kept, container.right, request, found)) {
      containers.release(container.right)
      return refreshed(kept, container.right, request, found)
    }
    if (kept !== undefined) remove(kept)
    const planted = plantIn(container.right, link, log, request, found)
    if (E.isLeft(planted)) {
      containers.release(container.right)
      return planted
    }
    containers.watchMounts(container.right)
    const id = kept?.id ?? newId()
    return E.right({ id, request, provider: found.container, node: found.node, ...planted.right })
  }

  /** The provider has another node there, or none. */
  const isOutdated = ({ provider, node, request }: Live): boolean => {
    const now = providerNodes.lookAt(provider, request.provider.socket)
    return E.isLeft(now) || !sameNode(now.right, node)
  }

  const lossOf = (live: Live, deep: boolean): Loss | 'none' => {
    const { provider, plant, grant } = live
    if (plant.container.exited) return 'consumer-exited'
    if (plant.container.left || !plant.isStillThere(deep)) return 'target-lost'
    if (provider.ended || provider.left) return 'target-lost'
    return deep && (isOutdated(live) || grant.isStale()) ? 'target-lost' : 'none'
  }

  return {
    inject: (link, log, request, kept) => {
      const found = find(request)
      if (E.isLeft(found)) {
        forsake(link.consumer_pid, request.target)
        return found
      }
      const live = injectFound(link, log, request, found.right, kept?.id)
      if (E.isLeft(live)) {
        containers.release(found.right.container)
        return live
      }
      alive.set(live.right.id, live.right)
      return E.right(mediationOf(live.right))
    },
    lossOf: (id, deep) => {
      const live = alive.get(id)
      return live === undefined ? undefined : lossOf(live, deep)
    },
    withdraw: id => {
      const live = alive.get(id)
      if (live === undefined) return undefined
      const report: TeardownReport = { connectionsClosed: 0, leftBehind: remove(live) }
      return Promise.resolve(report)
    },
    close: () => {
      for (const live of [...alive.values()]) remove(live)
    },
  }
}
