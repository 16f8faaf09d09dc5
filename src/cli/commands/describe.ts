/** `describe`: all there is to know about one link, and what to do where it does not work. */
import { GraphJson, LinkDetailsJson, LinksJson } from '../../control/shapes.ts'
import { E } from '../../fp.ts'
import { decodeArguments, type Operands } from '../arguments.ts'
import { type Command, complain, type ExitCode, helpFor, refuseUsage, type Terminal } from '../command.ts'
import { type AskError, type Asked, askControl, describeAskError } from '../control-client.ts'
import { findLink, looksLike } from '../find-link.ts'
import { linkPage } from '../link-page.ts'
import { meant } from '../nearest.ts'
import { type Option, switchOption } from '../option-kinds.ts'
import { controlOption, DEFAULT_CONFIG } from '../options.ts'
import { counted } from '../render.ts'

export interface DescribeConfig {
  readonly control: string
  readonly json: boolean
}

const DEFAULTS: DescribeConfig = { control: DEFAULT_CONFIG.control, json: false }
const OPERANDS: Operands = { min: 1, max: 1, shown: 'LINK' }
const ANSWER_WITHIN_MS = 5000

export const DESCRIBE_OPTIONS: readonly Option<DescribeConfig>[] = [
  controlOption("The daemon's control socket."),
  switchOption(
    { flag: 'json', variable: null, help: 'Print JSON, with every field, instead of text.' },
    { get: config => config.json, set: (config, json) => ({ ...config, json }) },
  ),
]

export const command: Command = {
  help: columns =>
    helpFor(
      {
        verb: 'describe',
        operands: OPERANDS,
        about: [
          'Asks the daemon about one link and shows what it is, why it is in its state, what happened to it lately, and what to do. LINK is its key as `pv-xconnect links --json` has it, its name, consumer/name, its target, its consumer, or any part of the key, as long as only one link fits.',
          'Ends with 0 if there is such a link, whatever its state; with 1 if there is none or the daemon cannot be asked; with 2 if LINK fits more than one.',
        ],
        options: DESCRIBE_OPTIONS,
        defaults: DEFAULTS,
        examples: ['pv-xconnect describe app/raw', 'pv-xconnect describe app/raw@/run/pv/raw.sock --json'],
      },
      columns,
    ),
  run: async (args, terminal) => {
    const decoded = decodeArguments(DESCRIBE_OPTIONS, OPERANDS, DEFAULTS, args, terminal.variables)
    if (E.isLeft(decoded)) return refuseUsage(terminal, 'describe', decoded.left)
    const { config, operands } = decoded.right
    const [typed = ''] = operands
    const asked: Asked = { path: config.control, timeoutMs: ANSWER_WITHIN_MS }

    const links = await askControl(asked, '/links', LinksJson)
    if (E.isLeft(links)) return cannotAsk(links.left, terminal)
    const found = findLink(typed, links.right.links)
    switch (found._tag) {
      case 'One':
        return describe(found.key, asked, config, terminal)
      case 'Several':
        complain(
          terminal,
          'describe',
          `${typed} fits ${counted(found.keys.length, 'link')}; say more of the one that is meant:`,
          ...found.keys,
        )
        return 2
      case 'None':
        return sayWhyNot(typed, found.near, asked, terminal)
    }
  },
}

const cannotAsk = (error: AskError, terminal: Terminal): ExitCode => {
  complain(terminal, 'describe', ...describeAskError(error))
  return 1
}

const describe = async (
  key: string,
  asked: Asked,
  { json }: DescribeConfig,
  terminal: Terminal,
): Promise<ExitCode> => {
  const link = await askControl(asked, `/links/${encodeURIComponent(key)}`, LinkDetailsJson)
  // It may have gone since it was found: the daemon's own words say so.
  if (E.isLeft(link)) return cannotAsk(link.left, terminal)
  terminal.out(
    json
      ? `${JSON.stringify(link.right, null, 2)}\n`
      : linkPage(link.right, { now: Date.now(), width: terminal.columns }),
  )
  return 0
}

/** No such link: whatever the daemon knows that may be the reason. */
const sayWhyNot = async (
  typed: string,
  near: string | undefined,
  asked: Asked,
  terminal: Terminal,
): Promise<ExitCode> => {
  const graph = await askControl(asked, '/graph', GraphJson)
  if (E.isLeft(graph)) return cannotAsk(graph.left, terminal)
  complain(
    terminal,
    'describe',
    `there is no link ${typed}${meant(near)}`,
    ...(await wasThere(typed, asked)),
    ...whyNot(typed, graph.right),
  )
  return 1
}

/** A link that has gone lately is remembered, by its whole key. */
const wasThere = async (typed: string, asked: Asked): Promise<readonly string[]> => {
  const gone = await askControl(asked, `/links/${encodeURIComponent(typed)}`, LinkDetailsJson)
  return E.isLeft(gone) && gone.left._tag === 'Refused' && gone.left.error === 'LinkGone'
    ? [gone.left.message]
    : []
}

const whyNot = (typed: string, graph: GraphJson): readonly string[] => {
  const failing = graph.conditions.filter(({ status }) => status === 'False')
  const alike = graph.rejected.filter(({ called }) => called !== undefined && looksLike(typed, called))
  const reasons = [
    ...(graph.readAt === null ? ['The daemon has not read any graph yet, so it knows of no link.'] : []),
    ...failing.map(({ type, message }) => `${CONDITION_WORDS.get(type) ?? type}: ${message}.`),
    ...alike.map(
      ({ index, called, reason }) =>
        `Entry ${index} of the graph looks like it, ${called}, but was rejected: ${reason}.`,
    ),
    ...(alike.length === 0 && graph.rejected.length > 0
      ? [
          `The graph has ${counted(graph.rejected.length, 'rejected entry', 'rejected entries')}, by another name or none: pv-xconnect graph shows why.`,
        ]
      : []),
  ]
  return [
    ...reasons,
    `The graph in force has ${counted(graph.links.length, 'link')}, which pv-xconnect links shows. What is not among them, Pantavisor did not assign: look at the manifests.`,
  ]
}

const CONDITION_WORDS: ReadonlyMap<string, string> = new Map([
  ['GraphAvailable', "Pantavisor's graph cannot be read"],
  ['PolicyValid', 'The policy file cannot be taken'],
])
