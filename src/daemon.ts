/**
 * The daemon, composed of its real parts: Pantavisor's socket, the Linux toolbox, the reactor's clock, standard output.
 * Runs until a signal ends it.
 */
import { randomInt } from 'node:crypto'
import type { PolicyError } from './access/errors.ts'
import { openPolicyFile } from './access/policy-file.ts'
import { BUILT_IN } from './built-in.ts'
import type { DaemonConfig } from './cli/options.ts'
import { VERSION } from './cli/version.ts'
import { createControl } from './control/control.ts'
import { createController } from './controller/controller.ts'
import { createEventClock } from './controller/event-clock.ts'
import { auditEvents, hearingAudits } from './events/audits.ts'
import { createEventHub } from './events/hub.ts'
import { E } from './fp.ts'
import { graphReader } from './graph/client.ts'
import { sourceOf } from './graph/source.ts'
import { createTap } from './inspector/tap.ts'
import { endProcess } from './kernel/closing.ts'
import { descriptorLimit } from './kernel/fd.ts'
import { canResolveSafely } from './kernel/files.ts'
import { openOutput } from './kernel/output.ts'
import { createLog, type Log } from './log.ts'
import { chanceOf } from './model/chance.ts'
import { type Condition, withCondition } from './model/condition.ts'
import { describeError } from './model/errors.ts'
import { keyOf } from './model/link.ts'
import { createCatalogue } from './plugin/catalogue.ts'
import { openPluginFolder } from './plugin/folder.ts'
import { createReactor } from './reactor/reactor.ts'
import { nodeClock } from './reactor/timer-wheel.ts'
import { recordTo } from './record/file.ts'
import { createTape } from './record/tape.ts'
import { sharesOf } from './relay/descriptor-reserve.ts'
import type { LinkLog } from './toolbox/contract.ts'
import { openJournal } from './toolbox/journal.ts'
import { createLinuxToolbox } from './toolbox/linux.ts'
import { logOfLink, quietLog } from './toolbox/quiet-log.ts'

const whatIsMissing = (): string | undefined => {
  if (process.getuid?.() !== 0)
    return 'it needs root: entering containers and planting sockets there is not for others'
  if (!canResolveSafely())
    return 'it needs openat2 (Linux 5.6): without it a container could lead it out of its root'
  return undefined
}

/**
 * A bug nobody caught: say what it was where it will be read, and let init start us again. One of a third party's plugin
 * is no reason to take down everybody's links.
 */
const dieOfBugs = (root: Log, log: LinkLog, culprit: (error: unknown) => string | undefined): void => {
  const die = (error: unknown): void => {
    const plugin = culprit(error)
    if (plugin !== undefined) {
      log.warn({ plugin, err: error }, 'a plugin failed outside of its handlers')
      return
    }
    root.fatal({ err: error }, 'internal error')
    endProcess(70)
  }
  process.on('uncaughtException', die)
  process.on('unhandledRejection', die)
}

/**
 * Run until SIGTERM or SIGINT, which take every link down first; a second one does not wait. SIGHUP reads the graph at
 * once. Exit codes: 0 ended as asked, 1 could not start, or was told twice, 70 an internal error.
 * Ends the process itself: an answer of Pantavisor's that is still awaited must not hold it up.
 */
export const runDaemon = async (config: DaemonConfig): Promise<number> => {
  const { limits } = config
  const output = openOutput(process.stdout.fd, limits.logBacklogBytes)
  const root = await createLog({ level: config.logLevel, pretty: config.pretty, destination: output })
  const log = quietLog(root, {
    clock: nodeClock,
    burstLines: limits.logBurstLines,
    everyMs: limits.logEveryMs,
    isLevelEnabled: level => root.isLevelEnabled(level),
  })
  const missing = whatIsMissing()
  if (missing !== undefined) {
    root.fatal({ reason: missing }, 'cannot run here')
    return 1
  }
  const opened = createReactor(error =>
    log.error({ err: error }, 'internal error: one connection or timer gave up'),
  )
  if (E.isLeft(opened)) {
    root.fatal({ reason: describeError(opened.left) }, 'cannot run here')
    return 1
  }
  const reactor = opened.right
  const { pluginDir } = config
  const folder = pluginDir === null ? undefined : openPluginFolder(pluginDir)
  dieOfBugs(root, log, error => folder?.culprit(error))
  const events = createEventHub(Date.now)
  const audits = quietLog(auditEvents(events), {
    clock: nodeClock,
    burstLines: limits.logBurstLines,
    everyMs: limits.logEveryMs,
  })
  const host = createLinuxToolbox({
    reactor,
    limits,
    journal: openJournal(config.journal, log),
    log,
    logFor: link => {
      const key = keyOf(link)
      return hearingAudits(logOfLink(log, key), logOfLink(audits, key))
    },
  })
  const { file: policy, problem } = openPolicyFile(config.policy)
  let policyConditions: readonly Condition[] = []
  const notePolicy = (problem: PolicyError | undefined): void => {
    const finding = policy.finding()
    policyConditions = withCondition(policyConditions, finding, Date.now())
    if (problem !== undefined)
      log.error({ error: problem, reason: finding.message }, 'the policy cannot be taken')
  }
  notePolicy(problem)
  const tap = config.inspect === null ? undefined : createTap()
  const clock = createEventClock(reactor.clock, error =>
    log.error({ err: error }, 'internal error: a timer of the control plane gave up'),
  )
  const seed = randomInt(2 ** 32)
  const tape = createTape({
    clock,
    wallClock: Date.now,
    daemon: { version: VERSION, pid: process.pid },
    intervalMs: config.intervalMs,
    limits,
    control: { plugins: Object.keys(BUILT_IN), seed, policy: policy.reading() },
  })
  const controller = createController({
    env: { clock, wallClock: Date.now, random: chanceOf(seed) },
    source: sourceOf(tape.hearingFetch(graphReader({ socketPath: config.pvCtrl, limits })), limits),
    host,
    policy: policy.current,
    plugins: tape.hearingPlugins(
      createCatalogue(BUILT_IN, folder && { folder, clock: reactor.clock, log, loadMs: limits.pluginLoadMs }),
    ),
    limits,
    log,
    intervalMs: config.intervalMs,
    ...(tap === undefined ? {} : { inspect: tap.inspect }),
    onNotice: notice => {
      tape.onNotice(notice)
      events.onNotice(notice)
    },
  })
  tape.follow(controller)
  controller.onTransition(events.onTransition)
  const recording =
    config.record === null
      ? undefined
      : recordTo(tape, {
          path: config.record,
          maxBytes: config.recordMaxBytes,
          older: config.recordOlder,
          log,
        })
  const control = createControl({
    path: config.control,
    controller,
    conditions: () => policyConditions,
    events,
    tape,
    log: root,
    policyPath: config.policy,
    version: VERSION,
  })

  const end = (code: number): never => {
    recording?.close()
    control.close()
    log.flush()
    output.flush()
    return endProcess(code)
  }
  let draining = false
  const drain = async (signal: NodeJS.Signals): Promise<void> => {
    if (draining) {
      log.warn({ signal }, 'told twice: ending without tearing down')
      end(1)
    }
    draining = true
    log.info({ signal }, 'draining')
    host.beginDrain()
    await controller.drain(signal)
    host.close()
    tape.end()
    await control.farewell()
    log.flush()
    log.info({}, 'stopped')
    end(0)
  }
  process.on('SIGTERM', signal => void drain(signal))
  process.on('SIGINT', signal => void drain(signal))
  process.on('SIGHUP', () => {
    notePolicy(policy.reload())
    tape.policyRead(policy.reading())
    void controller.kick('sighup')
    void control.open()
  })

  // What was left to be worked out is said as it came out.
  const descriptors = { mayBeOpen: descriptorLimit, ...sharesOf(limits) }
  const { pvCtrl, control: controlPath } = config
  log.info({ version: VERSION, pid: process.pid, pvCtrl, control: controlPath, descriptors }, 'started')
  controller.start()
  // The first graph is being asked for by now: what follows takes nothing from it.
  void control.open()
  const { inspect } = config
  if (inspect !== null && tap !== undefined) {
    void import('./inspector/inspect-daemon.ts').then(({ inspectDaemon }) =>
      inspectDaemon({
        address: inspect,
        controller,
        tap,
        events,
        history: control.history,
        conditions: () => [...controller.conditions(), ...policyConditions],
        clock: nodeClock,
        log,
        controlPath,
        policyPath: config.policy,
        version: VERSION,
      }),
    )
  }
  return new Promise<number>(() => undefined)
}
