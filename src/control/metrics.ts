/**
 * The daemon's figures in the text format of Prometheus. Loaded at the first `GET /metrics`, prom-client with it.
 * Nothing is kept between two scrapes: what must only grow is counted where it happens, and read here.
 * Names and labels are for users to depend on; docs/operations.md lists them, and a test compares the two.
 */
import { readdirSync } from 'node:fs'
import { Counter, Gauge, Registry } from 'prom-client'
import type { LinkView } from '../controller/links.ts'
import type { Condition } from '../model/condition.ts'
import type { Graph } from '../model/graph.ts'
import { type Counters, NOTHING_COUNTED } from '../model/mediation.ts'
import { figuresText } from './figures-text.ts'
import { LINK_STATES } from './shapes.ts'
import { stateParts } from './views.ts'

export interface MetricsFacts {
  readonly links: readonly LinkView[]
  readonly graph: Graph | null
  /** Milliseconds since the epoch; `null`: never yet. */
  readonly graphReadAt: number | null
  readonly conditions: readonly Condition[]
  readonly passes: number
  readonly logLinesDropped: number
  readonly version: string
}

export interface MetricsText {
  readonly contentType: string
  readonly text: string
}

export const metricsText = async (facts: MetricsFacts): Promise<MetricsText> => {
  const registry = new Registry()
  const register = registering(registry)
  aboutLinks(register, facts.links)
  aboutGraph(register, facts)
  aboutProcess(register, facts)
  const figures = figuresText(
    facts.links,
    registry.getMetricsAsArray().map(({ name }) => name),
  )
  return { contentType: registry.contentType, text: (await registry.metrics()) + figures }
}

type Labels = Readonly<Record<string, string>>

/** One metric with all its values; a counter takes what it has come to, not what was added. */
interface Register {
  gauge(name: string, help: string, values: readonly Value[]): void
  counter(name: string, help: string, values: readonly Value[]): void
}

interface Value {
  readonly value: number
  readonly labels?: Labels
}

const registering = (registry: Registry): Register => {
  const config = (name: string, help: string, values: readonly Value[]) => ({
    name,
    help,
    labelNames: Object.keys(values[0]?.labels ?? {}),
    registers: [registry],
  })
  return {
    gauge(name, help, values) {
      if (values.length === 0) return
      const gauge = new Gauge(config(name, help, values))
      for (const { value, labels = {} } of values) gauge.set(labels, value)
    },
    counter(name, help, values) {
      if (values.length === 0) return
      const counter = new Counter(config(name, help, values))
      for (const { value, labels = {} } of values) counter.inc(labels, value)
    },
  }
}

const LINK_COUNTERS: readonly {
  readonly name: string
  readonly help: string
  readonly of: (counters: Counters) => readonly Value[]
}[] = [
  {
    name: 'connections_total',
    help: 'Connections accepted through the link.',
    of: ({ connectionsTotal: value }) => [{ value }],
  },
  {
    name: 'connections_refused_total',
    help: 'Connections closed because the provider did not take them.',
    of: ({ connectionsRefused: value }) => [{ value }],
  },
  {
    name: 'bytes_total',
    help: 'Bytes passed on: up is from consumer to provider.',
    of: ({ bytesUp, bytesDown }) => [
      { value: bytesUp, labels: { direction: 'up' } },
      { value: bytesDown, labels: { direction: 'down' } },
    ],
  },
  {
    name: 'descriptors_passed_total',
    help: 'File descriptors passed on.',
    of: ({ descriptorsPassed: value }) => [{ value }],
  },
  {
    name: 'messages_total',
    help: 'Messages passed on, where the type of the link has messages.',
    of: ({ messages: value }) => [{ value }],
  },
  {
    name: 'denials_total',
    help: 'Messages or requests that the plugin of the link denied.',
    of: ({ denials: value }) => [{ value }],
  },
]

const aboutLinks = (register: Register, links: readonly LinkView[]): void => {
  const perState = new Map<string, number>()
  for (const { state, desired } of links) {
    const key = JSON.stringify([stateParts(state).state, desired.link.type])
    perState.set(key, (perState.get(key) ?? 0) + 1)
  }
  // Every state of a type that is there, so that a series does not vanish when its last link moves on.
  const types = [...new Set(links.map(({ desired }) => desired.link.type))].sort()
  register.gauge(
    'pv_xconnect_links',
    'Links by state and type.',
    types.flatMap(type =>
      LINK_STATES.map(state => ({
        value: perState.get(JSON.stringify([state, type])) ?? 0,
        labels: { state, type },
      })),
    ),
  )
  register.gauge(
    'pv_xconnect_link_info',
    'One for each link: what it is, to be joined on the label link.',
    links.map(
      ({
        key: link,
        desired: {
          link: { consumer, provider, name, type, role },
        },
      }) => ({
        value: 1,
        labels: { link, consumer, provider: provider ?? '', name, type, role },
      }),
    ),
  )
  register.gauge(
    'pv_xconnect_link_mediating',
    'Whether the link is mediating: 1 or 0.',
    links.map(({ key: link, state }) => ({
      value: stateParts(state).state === 'mediating' ? 1 : 0,
      labels: { link },
    })),
  )
  register.gauge(
    'pv_xconnect_link_connections_open',
    'Connections that are open through the link.',
    links.map(({ key: link, counters }) => ({ value: counters?.connectionsOpen ?? 0, labels: { link } })),
  )
  for (const { name, help, of } of LINK_COUNTERS) {
    register.counter(
      `pv_xconnect_link_${name}`,
      help,
      links.flatMap(({ key: link, counters }) =>
        of(counters ?? NOTHING_COUNTED).map(({ value, labels }) => ({ value, labels: { link, ...labels } })),
      ),
    )
  }
}

const holds = (conditions: readonly Condition[], type: string): number =>
  conditions.some(condition => condition.type === type && condition.status === 'True') ? 1 : 0

const aboutGraph = (register: Register, facts: MetricsFacts): void => {
  const { graph, graphReadAt, conditions, passes } = facts
  register.gauge('pv_xconnect_graph_available', 'Whether the last read of the graph succeeded: 1 or 0.', [
    { value: holds(conditions, 'GraphAvailable') },
  ])
  register.gauge(
    'pv_xconnect_graph_last_read_timestamp_seconds',
    'When the graph could be read last, in seconds since the epoch; 0: never yet.',
    [{ value: (graphReadAt ?? 0) / 1000 }],
  )
  register.gauge(
    'pv_xconnect_graph_rejected_entries',
    'Entries of the last good graph that cannot be understood.',
    [{ value: graph?.rejected.length ?? 0 }],
  )
  register.gauge('pv_xconnect_policy_valid', 'Whether the policy file could be taken: 1 or 0.', [
    { value: holds(conditions, 'PolicyValid') },
  ])
  register.counter('pv_xconnect_passes_total', 'Looks at the graph and at the world that have begun.', [
    { value: passes },
  ])
}

/** The names that Prometheus gives to what every process has; prom-client's own would start timers and observers. */
const aboutProcess = (register: Register, { version, logLinesDropped }: MetricsFacts): void => {
  const { user, system } = process.cpuUsage()
  register.gauge('pv_xconnect_build_info', 'One: the version, and the Node that runs it.', [
    { value: 1, labels: { version, node: process.versions.node } },
  ])
  register.counter(
    'pv_xconnect_log_lines_dropped_total',
    'Log lines lost because nobody read them in time.',
    [{ value: logLinesDropped }],
  )
  register.counter('process_cpu_seconds_total', 'Processor time, of user and system.', [
    { value: (user + system) / 1e6 },
  ])
  register.gauge('process_resident_memory_bytes', 'Resident memory.', [{ value: process.memoryUsage.rss() }])
  register.gauge('process_open_fds', 'Open file descriptors.', [
    // Without the one that reads this list.
    { value: readdirSync('/proc/self/fd').length - 1 },
  ])
  register.gauge('process_start_time_seconds', 'When the process started, in seconds since the epoch.', [
    { value: Math.round(Date.now() / 1000 - process.uptime()) },
  ])
}
