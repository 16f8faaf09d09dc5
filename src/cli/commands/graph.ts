/** `graph`: what Pantavisor, or a file, says should be connected, and what of it cannot be understood. */
import { readFile } from 'node:fs/promises'
import { E } from '../../fp.ts'
import { readGraph } from '../../graph/client.ts'
import { decodeGraph } from '../../graph/codec.ts'
import { describeReadError } from '../../graph/errors.ts'
import type { Graph } from '../../model/graph.ts'
import { HOST, type Pid } from '../../model/identity.ts'
import { DEFAULT_LIMITS, type Limits } from '../../model/limits.ts'
import type { Link } from '../../model/link.ts'
import { decodeArguments, type Operands } from '../arguments.ts'
import { type Command, complain, helpFor, refuseUsage, type Terminal } from '../command.ts'
import { type Option, switchOption } from '../option-kinds.ts'
import { DEFAULT_CONFIG, graphLimitOptions, pvCtrlOption } from '../options.ts'
import { type Column, counted, renderTable } from '../render.ts'

export interface GraphConfig {
  readonly pvCtrl: string
  readonly json: boolean
  readonly limits: Limits
}

const DEFAULTS: GraphConfig = {
  pvCtrl: DEFAULT_CONFIG.pvCtrl,
  json: false,
  limits: DEFAULT_LIMITS,
}

const OPERANDS: Operands = { min: 0, max: 1, shown: '[FILE|-]' }

export const GRAPH_OPTIONS: readonly Option<GraphConfig>[] = [
  pvCtrlOption('The Unix socket to fetch the graph from; a FILE counts before it.'),
  switchOption(
    { flag: 'json', variable: null, help: 'Print JSON, with every field, instead of a table.' },
    { get: config => config.json, set: (config, json) => ({ ...config, json }) },
  ),
  ...graphLimitOptions<GraphConfig>(),
]

export const command: Command = {
  help: columns =>
    helpFor(
      {
        verb: 'graph',
        operands: OPERANDS,
        about: [
          'Fetches the graph as the daemon does, or reads it from FILE (or standard input, with -), and shows its links and the entries that cannot be understood, with the reason.',
          'Ends with 1 if the graph cannot be read or an entry is rejected, else with 0.',
        ],
        options: GRAPH_OPTIONS,
        defaults: DEFAULTS,
        examples: ['pv-xconnect graph', 'pv-xconnect graph --json', 'pv-xconnect graph graph.json'],
      },
      columns,
    ),
  run: async (args, terminal) => {
    const decoded = decodeArguments(GRAPH_OPTIONS, OPERANDS, DEFAULTS, args, terminal.variables)
    if (E.isLeft(decoded)) return refuseUsage(terminal, 'graph', decoded.left)
    const { config, operands } = decoded.right
    const source = sourceOf(operands[0], config.pvCtrl)

    const body = await readBody(source, config, terminal)
    if (E.isLeft(body)) {
      complain(terminal, 'graph', ...body.left)
      return 1
    }
    const graph = decodeGraph(body.right, config.limits)
    if (E.isLeft(graph)) {
      complain(
        terminal,
        'graph',
        `${nameOf(source)} cannot be used: ${describeReadError(graph.left)}`,
        'A graph is a JSON array of links; the daemon keeps the last good one when it reads this.',
      )
      return 1
    }
    terminal.out(config.json ? graphJson(graph.right) : graphText(graph.right, terminal.columns))
    return graph.right.rejected.length > 0 ? 1 : 0
  },
}

type Source =
  | { readonly _tag: 'PvCtrl'; readonly path: string }
  | { readonly _tag: 'File'; readonly path: string }
  | { readonly _tag: 'Stdin' }

const sourceOf = (operand: string | undefined, pvCtrl: string): Source => {
  if (operand === undefined) return { _tag: 'PvCtrl', path: pvCtrl }
  return operand === '-' ? { _tag: 'Stdin' } : { _tag: 'File', path: operand }
}

const nameOf = (source: Source): string => {
  switch (source._tag) {
    case 'PvCtrl':
      return `the answer of ${source.path}`
    case 'File':
      return source.path
    case 'Stdin':
      return 'standard input'
  }
}

type Lines = readonly [string, ...string[]]

const readBody = async (
  source: Source,
  config: GraphConfig,
  terminal: Terminal,
): Promise<E.Either<Lines, Buffer>> => {
  switch (source._tag) {
    case 'Stdin':
      return E.right(await terminal.readStdin(config.limits.graphBodyBytes + 1))
    case 'File':
      return readFile(source.path).then(E.right, error => E.left(fileProblem(source.path, error)))
    case 'PvCtrl': {
      const read = await readGraph({ socketPath: source.path, limits: config.limits })()
      if (E.isRight(read)) return read
      return E.left([
        `the graph cannot be read: ${describeReadError(read.left)}`,
        'Is Pantavisor running? Give its socket with --pv-ctrl PATH, or a FILE; `pv-xconnect serve FILE` stands in for it.',
      ])
    }
  }
}

const fileProblem = (path: string, error: NodeJS.ErrnoException): Lines => [
  `${path} cannot be read: ${error.code ?? error.message}`,
  'Give a file with a graph, or - for standard input.',
]

const COLUMNS: readonly Column[] = [
  { title: 'CONSUMER', cut: 'end' },
  { title: 'PID', cut: 'never' },
  { title: 'TYPE', cut: 'never' },
  { title: 'NAME', cut: 'end' },
  { title: 'TARGET', cut: 'middle' },
  { title: 'PROVIDER', cut: 'end' },
  { title: 'PID', cut: 'never' },
  { title: 'SOCKET', cut: 'middle' },
  { title: 'ROLE', cut: 'end' },
  { title: 'INTERFACE', cut: 'end' },
]

const REJECTED_COLUMNS: readonly Column[] = [
  { title: 'ENTRY', cut: 'never' },
  { title: 'REASON', cut: 'never' },
]

export const graphText = (graph: Graph, width?: number): string => {
  const links =
    graph.links.length === 0
      ? 'The graph has no links.\n'
      : renderTable(COLUMNS, graph.links.map(rowOf), width)
  if (graph.rejected.length === 0) return links
  const rejected = graph.rejected.map(({ index, reason }) => [String(index), reason])
  const heading = `${counted(graph.rejected.length, 'entry', 'entries')} rejected (counted from 0); the others are not affected:`
  return `${links}\n${heading}\n${renderTable(REJECTED_COLUMNS, rejected, width)}`
}

const rowOf = (link: Link): readonly string[] => [
  link.consumer,
  pidText(link.consumer_pid),
  link.type,
  link.name,
  link.target,
  link.provider ?? '-',
  pidText(link.provider_pid),
  link.socket,
  link.role,
  link.interface,
]

/** `down` as in: nothing can be planted or dialled there yet. */
const pidText = (pid: Pid | null): string => (pid === null ? 'down' : pid === HOST ? 'host' : String(pid))

export const graphJson = (graph: Graph): string =>
  `${JSON.stringify({ links: graph.links, rejected: graph.rejected }, null, 2)}\n`
