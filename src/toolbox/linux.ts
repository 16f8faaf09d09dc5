/**
 * The real toolbox, put together: what holds containers, what plants in them (`planted-sockets.ts`, `nodes.ts`), what reaches
 * providers, and what is known of an earlier run.
 */
import type { E, TE } from '../fp.ts'
import { PipePool } from '../kernel/splice.ts'
import type { InjectError } from '../model/errors.ts'
import type { Pid } from '../model/identity.ts'
import type { Limits } from '../model/limits.ts'
import type { Link } from '../model/link.ts'
import { CLEAN_TEARDOWN, type MediationId, type TeardownReport } from '../model/mediation.ts'
import type { Reactor } from '../reactor/contract.ts'
import { createCounters } from '../relay/counters.ts'
import { HeldDescriptors, sharesOf } from '../relay/descriptor-reserve.ts'
import type { DataPlane } from '../relay/ports.ts'
import { createContainers } from './containers.ts'
import type {
  Attention,
  ConnectRequest,
  LinkLog,
  Loss,
  OwnConnection,
  Toolbox,
  ToolboxHost,
} from './contract.ts'
import { createDeviceGrants } from './device-grants.ts'
import { createDialers } from './dialers.ts'
import { createDirectories } from './directories.ts'
import type { Journal } from './journal.ts'
import { createLeftovers } from './leftovers.ts'
import type { LiveMediations } from './live.ts'
import type { AtMoment } from './moments.ts'
import { createNodes } from './nodes.ts'
import { createOwnConnections } from './own-connections.ts'
import { createPlantedSockets } from './planted-sockets.ts'
import { providerFiles } from './provider-files.ts'
import { createProviderNodes } from './provider-node.ts'
import { createProviderSockets } from './provider-socket.ts'
import { repeat } from './repeat.ts'
import { createRoleUsers } from './role-users.ts'
import { createSharedValues } from './shared.ts'

/** Empty splice pipes that are kept for the next large read; each costs two descriptors. */
const IDLE_PIPES = 16

export interface LinuxToolboxOptions {
  readonly reactor: Reactor
  readonly limits: Limits
  /** Closed with the toolbox. */
  readonly journal: Journal
  /** For what concerns no single link. */
  readonly log: LinkLog
  readonly logFor: (link: Link) => LinkLog
  /** Told between the steps of an injection or a dial: a test may change the world there. */
  readonly atMoment?: AtMoment
  /** Where sysfs is mounted; a test has its own. */
  readonly sysfs?: string
}

export const createLinuxToolbox = ({
  reactor,
  limits,
  journal,
  log,
  logFor,
  atMoment: at = () => undefined,
  sysfs = '/sys',
}: LinuxToolboxOptions): ToolboxHost => {
  const plane: DataPlane = {
    reactor,
    pipes: new PipePool(IDLE_PIPES),
    connections: { limit: limits.connectionsTotal, open: 0, waiting: new Set() },
    held: HeldDescriptors.ofAll(sharesOf(limits)),
    limits,
  }
  const directories = createDirectories(reactor.clock, at)
  let tell: (why: Attention) => void = () => undefined
  let nextId = 1

  const containers = createContainers({
    reactor,
    onExit: pid => tell({ _tag: 'ProcessExited', pid }),
    onMountsChanged: pid => tell({ _tag: 'MountsChanged', pid }),
    onNoContainer: pid => log.warn({ containerPid: pid }, 'a process of the graph is not in a container'),
    onReused: pid =>
      log.warn({ containerPid: pid }, 'a pid of the graph is another process now, and is not used'),
  })
  const roles = createRoleUsers()
  const sockets = createProviderSockets({ containers, roles, at })
  const newDialer = createDialers({ sockets, clock: reactor.clock, limits })
  const own = createOwnConnections(plane, limits.lingerMs)
  const shared = createSharedValues()
  const leftovers = createLeftovers({ journal, directories, containers, log })
  const grants = createDeviceGrants({ journal, limits, log })
  const newId = (): MediationId => `m${nextId++}` as MediationId
  const nodes = createNodes({
    containers,
    directories,
    journal,
    leftovers,
    grants,
    providerNodes: createProviderNodes({ containers, at, sysfs }),
    at,
    newId,
  })

  const connect = (link: Link, request: ConnectRequest, log: LinkLog): OwnConnection => {
    const counters = createCounters(log)
    return own.open(
      request,
      counters,
      log,
      newDialer(link, request, counters, log, () => undefined),
    )
  }

  const planted = createPlantedSockets({
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
    onTargetChanged: id => tell({ _tag: 'TargetChanged', id }),
  })
  /** By kind; an id is of one of them. */
  const live: readonly LiveMediations[] = [planted, nodes]

  const withdraw = async (id: MediationId): Promise<TeardownReport> => {
    for (const kind of live) {
      const report = kind.withdraw(id)
      if (report !== undefined) return report
    }
    return CLEAN_TEARDOWN
  }

  const lossOf = (id: MediationId, deep: boolean): Loss | 'none' => {
    for (const kind of live) {
      const loss = kind.lossOf(id, deep)
      if (loss !== undefined) return loss
    }
    return 'target-lost'
  }

  const toolboxFor = (link: Link): Toolbox => {
    const linkLog = logFor(link)
    // The work is synchronous; the task form is the contract's, because other toolboxes may have to wait.
    const task =
      <A>(work: () => E.Either<InjectError, A>): TE.TaskEither<InjectError, A> =>
      async () =>
        work()
    return {
      log: linkLog,
      limits,
      injectSocket: (request, kept) => task(() => planted.inject(link, linkLog, request, kept)),
      retargetSocket: (mediation, provider) =>
        task(() => planted.retarget(link, linkLog, mediation, provider)),
      injectNode: (request, kept) => task(() => nodes.inject(link, linkLog, request, kept)),
      withdraw:
        ({ id }) =>
        () =>
          withdraw(id),
      connect: request => connect(link, request, linkLog),
      lookInto: (provider, look) =>
        containers.inside(provider, `provider process ${provider}`, container =>
          look(providerFiles(container)),
        ),
      userOfRole: provider =>
        containers.inside(provider, `provider process ${provider}`, container => roles.of(container, link)),
      shared: (name, make) => shared.of(link.type, name, make),
      repeat: (everyMs, body) => repeat(reactor.clock, everyMs, body),
      count: ({ id }, figure, by = 1) => planted.count(id, figure, by),
    }
  }

  return {
    toolboxFor,
    sweep: admitted => {
      leftovers.sweep(admitted)
      grants.sweep(admitted)
    },
    follow: (pids: ReadonlySet<Pid>) => containers.follow(pids),
    observe: (ids, deep) => {
      const losses = new Map<MediationId, Loss>()
      containers.lookForMoves(deep)
      directories.lookAnew()
      for (const id of ids) {
        const loss = lossOf(id, deep)
        if (loss !== 'none') losses.set(id, loss)
      }
      return losses
    },
    onAttention: listener => {
      tell = listener
    },
    beginDrain: planted.beginDrain,
    close: () => {
      tell = () => undefined
      for (const kind of live) kind.close()
      own.close()
      leftovers.close()
      grants.close()
      containers.close()
      plane.pipes.close()
      journal.close()
    },
  }
}
