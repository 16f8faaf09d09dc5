/**
 * What to do about a link, in words for whoever misses its socket. Pure.
 * Promises an answer for every verdict, every error and every state; the errors' rows are those of docs/errors.md, with
 * the names of this link in them.
 */
import type { LinkView } from '../controller/links.ts'
import type { Condition } from '../model/condition.ts'
import type { Verdict } from '../model/desired.ts'
import type { InjectError, SyscallError } from '../model/errors.ts'
import type { Link } from '../model/link.ts'
import { type Counters, isDevice, NOTHING_COUNTED } from '../model/mediation.ts'
import { stateParts } from './views.ts'

/** What concerns every link of this daemon. */
export interface Circumstances {
  readonly conditions: readonly Condition[]
  /** Where the policy comes from. */
  readonly policyPath: string
  readonly now: number
}

/** One paragraph each, from the most pressing on; never none. */
export const adviceFor = (view: LinkView, around: Circumstances): readonly string[] => [
  ...aboutDaemon(around),
  ...aboutLink(view, around),
]

const failing = ({ conditions }: Circumstances, type: string): Condition | undefined =>
  conditions.find(condition => condition.type === type && condition.status === 'False')

const aboutDaemon = (around: Circumstances): readonly string[] => {
  const graph = failing(around, 'GraphAvailable')
  const policy = failing(around, 'PolicyValid')
  return [
    ...(graph === undefined
      ? []
      : [
          `Pantavisor's graph cannot be read: ${graph.message}. The last good one stays in force, so what started or changed since is not known here. See that Pantavisor runs, and that --pv-ctrl names its socket.`,
        ]),
    ...(policy === undefined
      ? []
      : [
          `The policy file cannot be taken: ${policy.message}. Mend ${around.policyPath}, then send the daemon SIGHUP.`,
        ]),
  ]
}

const aboutLink = (view: LinkView, around: Circumstances): readonly string[] => {
  const { link, verdict } = view.desired
  const { lastError } = view.context
  const refused = adviceForVerdict(verdict, around)
  if (refused !== null) return [refused]
  if (link.consumer_pid === null) return [adviceForError({ _tag: 'PeerNotRunning', peer: 'consumer' }, link)]
  if (lastError !== null) return [adviceForError(lastError, link), ...aboutRetry(view)]
  return adviceForState(view, around.now)
}

/** As a policy calls its rules; any other is the word of the type's plugin. */
const isOfPolicy = (rule: string): boolean => rule === 'default' || /^rule \d+: /.test(rule)

/** `null`: the verdict is no obstacle. */
export const adviceForVerdict = (verdict: Verdict, around: Circumstances): string | null => {
  switch (verdict._tag) {
    case 'Admitted':
      return null
    case 'Denied':
      if (!isOfPolicy(verdict.rule)) {
        return `Links of its type do not give this to this role: ${verdict.rule}. Assign another role, or another resource, in the manifest.`
      }
      if (verdict.rule !== 'default') {
        return `The policy denies it by ${verdict.rule}. If it should be connected, change that rule in ${around.policyPath}, or put one that allows it before it, then send the daemon SIGHUP.`
      }
      return failing(around, 'PolicyValid') === undefined
        ? `No rule of the policy allows it, and its default is to deny. If it should be connected, put a rule that allows it into ${around.policyPath}, then send the daemon SIGHUP.`
        : 'Until the policy file is mended, no link is admitted.'
    case 'Conflict':
      return `Another link comes first in the graph and has the same target in the same container: ${verdict.winner}. Give one of the two another target. When the other goes, this one takes over by itself.`
    case 'Unsupported':
      return `This daemon cannot carry it: ${verdict.reason}. Correct the type in the manifest, or use a version of pv-xconnect, or a plugin, that has it.`
  }
}

const providerOf = ({ provider }: Link): string => provider ?? 'the provider'

export const adviceForError = (error: InjectError, link: Link): string => {
  switch (error._tag) {
    case 'PeerNotRunning':
      return error.peer === 'consumer'
        ? `Nothing, if ${link.consumer} is about to start: the link comes up with it. Else find out why Pantavisor does not start it.`
        : `A link of type ${link.type} comes up when its provider runs: find out why Pantavisor does not start ${providerOf(link)}.`
    case 'PeerGone':
      return `Nothing: the next graph brings the new process. If this stays, the graph names one that is gone (${error.pid}): compare \`pv-xconnect graph\` with what runs.`
    case 'TargetOccupied':
      return error.by === 'live socket'
        ? `A program in ${link.consumer} listens on ${error.target} itself; it was left alone. Stop it, or assign another target.`
        : `Remove the ${error.by} at ${error.target} in ${link.consumer}, which was left as it is, or assign another target.`
    case 'TargetRefused':
      return adviceForRefusal(error.cause, error.target, link)
    case 'AddressInvalid':
      return `Correct the field ${error.field} of ${link.name} in the manifest: ${error.reason}.`
    case 'OptionRefused':
      return `Correct the option ${JSON.stringify(error.option)} in the manifest, or take it out: ${error.reason}.`
    case 'KindUnsupported':
      return `Let ${providerOf(link)} listen on ${error.socket} with a stream or seqpacket socket, or take out of the manifest what needs a connection (greeting, peercred, role-peercred).`
    case 'DeviceAbsent':
      return `Nothing, if the device is about to be plugged in, or its driver to be loaded: the link comes up with it. Else see that ${providerOf(link)} has a node at ${error.path}, in its own root.`
    case 'DeviceRefused':
      return `See what ${providerOf(link)} has at ${error.path}, in its own root, and which role the manifest assigns: ${error.reason}.`
    case 'PluginFailed':
      return `This is a bug in the plugin ${error.plugin}; to restart the containers will not help. Report it, with the lines of the daemon's log around it.`
  }
}

const adviceForRefusal = (cause: SyscallError, target: string, { consumer }: Link): string => {
  switch (cause.errno) {
    case 'EROFS':
      return `${target} is on a read-only file system in ${consumer}: assign a target on a writable one, or mount a tmpfs there.`
    case 'EACCES':
    case 'EPERM':
      return `The daemon may not do this in ${consumer}: it must be root in the host's namespaces, and no security module may forbid it.`
    case 'ENOSPC':
    case 'EDQUOT':
      return `Make room on the file system of ${target} in ${consumer}.`
    case 'ENOTDIR':
    case 'EEXIST':
    case 'ELOOP':
      return `A part of ${target} in ${consumer} is no directory: remove what is there, or assign another target.`
    default:
      return `Look at ${target} from inside ${consumer}: ${cause.call} failed there with ${cause.errno}.`
  }
}

const aboutRetry = ({ state, context }: LinkView): readonly string[] => {
  if (stateParts(state).state !== 'pending') return []
  return state === 'pending.blocked'
    ? ['It is tried again when its entry in the graph changes, and at each resync (--resync).']
    : [
        `It has failed ${context.attempt === 1 ? 'once' : `${context.attempt} times in a row`}, and is tried again by itself, at the latest after --retry-max.`,
      ]
}

/** What has just begun is given this long before it is called stuck. */
const PATIENCE_MS = 10_000

/** For an admitted link whose consumer runs and of which nothing failed. */
const adviceForState = (view: LinkView, now: number): readonly string[] => {
  const { link } = view.desired
  const forMs = now - view.context.since
  switch (stateParts(view.state).state) {
    case 'pending':
      return ['Nothing: it is about to be set up.']
    case 'injecting':
      return forMs < PATIENCE_MS
        ? ['Nothing: it is being set up right now.']
        : [
            `It has been in the making for ${Math.round(forMs / 1000)} s: a file system of ${link.consumer} may not answer. Look at ${link.target} from inside it.`,
          ]
    case 'mediating':
      return view.context.mediation !== null && isDevice(view.context.mediation.planted)
        ? aboutDevice(view)
        : aboutTraffic(view)
    default:
      return ['Nothing: it is being removed, or is set up anew right after.']
  }
}

const aboutDevice = ({ desired: { link } }: LinkView): readonly string[] => [
  `Nothing, for the daemon: the node is there. If a program in ${link.consumer} cannot open ${link.target}, see who owns it and its mode there, and look for warnings of its device cgroup in the daemon's log.`,
]

const aboutTraffic = ({ desired: { link }, counters }: LinkView): readonly string[] => {
  const provider = providerOf(link)
  if (link.provider_pid === null) {
    return [
      `The socket is there, but ${provider} is not running: a connection waits for it for --connect-timeout, then it is closed. Find out why Pantavisor does not start ${provider}.`,
    ]
  }
  const counted = counters ?? NOTHING_COUNTED
  // A protocol knows best what was wrong; what it has no word for, the connections tell.
  const told = adviceOf(counted)
  return told.length > 0 ? told : aboutConnections(link, counted)
}

/** What the protocol of the link has to say about what it counted, each once. */
const adviceOf = ({ figures }: Counters): readonly string[] => {
  const texts = figures.flatMap(({ advice, value }) => (advice === undefined || value === 0 ? [] : [advice]))
  return [...new Set(texts)]
}

const aboutConnections = (link: Link, counters: Counters): readonly string[] => {
  const { connectionsRefused: refused, connectionsTotal: total } = counters
  const provider = providerOf(link)
  if (refused > 0) {
    return [
      `The socket is there, but ${refused} of ${total} connections were closed because ${provider} did not take them. See that it listens on ${link.socket} in its own root; the daemon's log has a warning with the errno.`,
    ]
  }
  if (total === 0) {
    return [
      `Nothing, for the daemon: the socket is there, and nobody has connected yet. See that the client in ${link.consumer} uses ${link.target}, and that nothing is mounted over it there.`,
    ]
  }
  const tries = counters.figures.filter(({ of, name }) => of === 'link' && name === 'dial_retries')
  if (counters.bytesDown === 0 && tries.length > 0) {
    const errnos = tries.map(({ labels }) => labels['errno']).join(', ')
    return [
      `The socket is there, but ${provider} could not be reached so far (${errnos}); clients wait for it, and it is tried again. See that it listens on ${link.socket} in its own root.`,
    ]
  }
  return ['Nothing: it works.']
}
