/** `links`: every link of the daemon, its state, and why it does not work; once, or for as long as one looks. */
import { setTimeout as sleep } from 'node:timers/promises'
import { LINK_STATES, type LinkJson, LinksJson } from '../../control/shapes.ts'
import { E } from '../../fp.ts'
import { decodeArguments, NO_OPERANDS } from '../arguments.ts'
import { type Command, complain, helpFor, refuseUsage, type Terminal } from '../command.ts'
import { type AskError, askControl, describeAskError } from '../control-client.ts'
import { choiceOption, type Option, switchOption, textOption } from '../option-kinds.ts'
import { controlOption, DEFAULT_CONFIG } from '../options.ts'
import { type Column, counted, duration, printable, renderTable } from '../render.ts'
import { openScreen } from '../screen.ts'

type StateFilter = (typeof LINK_STATES)[number] | 'any'

export interface LinksConfig {
  readonly control: string
  readonly json: boolean
  readonly watch: boolean
  readonly state: StateFilter
  /** Empty: of all. */
  readonly consumer: string
}

const DEFAULTS: LinksConfig = {
  control: DEFAULT_CONFIG.control,
  json: false,
  watch: false,
  state: 'any',
  consumer: '',
}

const STATE_FILTERS: readonly StateFilter[] = ['any', ...LINK_STATES]

const ANSWER_WITHIN_MS = 5000
const LOOK_EVERY_MS = 1000

export const LINKS_OPTIONS: readonly Option<LinksConfig>[] = [
  controlOption("The daemon's control socket."),
  switchOption(
    { flag: 'json', variable: null, help: 'Print JSON, with every field, instead of a table.' },
    { get: config => config.json, set: (config, json) => ({ ...config, json }) },
  ),
  switchOption(
    { flag: 'watch', variable: null, help: 'Go on until Ctrl-C, and show what changes.' },
    { get: config => config.watch, set: (config, watch) => ({ ...config, watch }) },
  ),
  choiceOption({ flag: 'state', variable: null, help: 'Only links in this state.' }, STATE_FILTERS, {
    get: config => config.state,
    set: (config, state) => ({ ...config, state }),
  }),
  textOption(
    { flag: 'consumer', variable: null, help: 'Only links of this container.' },
    { get: config => config.consumer, set: (config, consumer) => ({ ...config, consumer }) },
  ),
]

export const command: Command = {
  help: columns =>
    helpFor(
      {
        verb: 'links',
        operands: NO_OPERANDS,
        about: [
          'Asks the daemon for its links and shows the state of each, and why one does not work. What to do about it is said by `pv-xconnect describe LINK`.',
          'With --watch it looks every second: on a terminal the table stays in its place, elsewhere a new one is printed when a state or a reason changes.',
          'Ends with 0, whatever state the links are in, and with 1 only if the daemon cannot be asked.',
        ],
        options: LINKS_OPTIONS,
        defaults: DEFAULTS,
        examples: [
          'pv-xconnect links',
          'pv-xconnect links --watch --consumer app',
          'pv-xconnect links --state pending --json',
        ],
      },
      columns,
    ),
  run: async (args, terminal) => {
    const decoded = decodeArguments(LINKS_OPTIONS, NO_OPERANDS, DEFAULTS, args, terminal.variables)
    if (E.isLeft(decoded)) return refuseUsage(terminal, 'links', decoded.left)
    const { config } = decoded.right
    const stop = config.watch ? terminal.stopAsked() : undefined
    const first = await ask(config)
    if (E.isLeft(first)) {
      complain(terminal, 'links', ...describeAskError(first.left))
      return 1
    }
    if (stop === undefined) terminal.out(textOf(first.right, config, terminal.columns))
    else await watch(first.right, config, terminal, stop)
    return 0
  },
}

type Links = readonly LinkJson[]

const ask = async ({ control, state, consumer }: LinksConfig): Promise<E.Either<AskError, Links>> => {
  const answer = await askControl({ path: control, timeoutMs: ANSWER_WITHIN_MS }, '/links', LinksJson)
  return E.map(({ links }: LinksJson) =>
    links.filter(
      link => (state === 'any' || link.state === state) && (consumer === '' || link.consumer === consumer),
    ),
  )(answer)
}

/** A daemon that goes away may come back: the last that was seen of it stays, with why it is old. */
const watch = async (
  first: Links,
  config: LinksConfig,
  terminal: Terminal,
  stop: Promise<unknown>,
): Promise<void> => {
  const show = terminal.columns === undefined ? printing(config, terminal) : drawing(config, terminal)
  const stopped = new AbortController()
  void stop.then(() => stopped.abort())
  let links = first
  let problem: AskError | undefined
  for (;;) {
    show.update(links, problem)
    await sleep(LOOK_EVERY_MS, undefined, { signal: stopped.signal }).catch(() => undefined)
    if (stopped.signal.aborted || terminal.closed === true) break
    const next = await ask(config)
    problem = E.isLeft(next) ? next.left : undefined
    if (E.isRight(next)) links = next.right
  }
  show.end(links)
}

interface Show {
  update(links: Links, problem: AskError | undefined): void
  end(links: Links): void
}

const drawing = (config: LinksConfig, terminal: Terminal): Show => {
  const screen = openScreen(terminal)
  return {
    update: (links, problem) => {
      const text = textOf(links, config, terminal.columns)
      screen.draw(
        problem === undefined ? text : `${printable(describeAskError(problem)[0])}; as it was last:\n${text}`,
      )
    },
    end: links => {
      screen.leave()
      terminal.out(textOf(links, config, terminal.columns))
    },
  }
}

const printing = (config: LinksConfig, terminal: Terminal): Show => {
  let printed: string | undefined
  let told: string | undefined
  return {
    update: (links, problem) => {
      const message = problem === undefined ? undefined : describeAskError(problem)[0]
      if (message !== undefined && message !== told) complain(terminal, 'links', message)
      told = message
      const changeable = JSON.stringify(
        links.map(({ key, state, substate, reason }) => [key, state, substate, reason]),
      )
      if (changeable === printed) return
      terminal.out(
        config.json
          ? `${JSON.stringify({ links })}\n`
          : `${printed === undefined ? '' : '\n'}${textOf(links, config)}`,
      )
      printed = changeable
    },
    end: () => undefined,
  }
}

const textOf = (links: Links, config: LinksConfig, width?: number): string =>
  config.json ? `${JSON.stringify({ links }, null, 2)}\n` : linksText(links, Date.now(), width)

const COLUMNS: readonly Column[] = [
  { title: 'STATE', cut: 'never' },
  { title: 'TYPE', cut: 'never' },
  { title: 'CONSUMER', cut: 'end' },
  { title: 'NAME', cut: 'end' },
  { title: 'PROVIDER', cut: 'end' },
  { title: 'TARGET', cut: 'middle' },
  { title: 'ROLE', cut: 'end' },
  { title: 'SINCE', cut: 'never' },
  { title: 'OPEN', cut: 'never' },
  { title: 'TOTAL', cut: 'never' },
  { title: 'REASON', cut: 'end' },
]

/** The table, and how many of the links work. */
export const linksText = (links: Links, now: number, width?: number): string => {
  if (links.length === 0) return 'There are no links.\n'
  const mediating = links.filter(({ state }) => state === 'mediating').length
  const table = renderTable(COLUMNS, links.map(rowOf(now)), width)
  return `${table}\n${counted(links.length, 'link')}, ${mediating} mediating\n`
}

/** Through a device node nothing passes that could be counted. */
const connectionCells = ({ planted, counters }: LinkJson): readonly string[] =>
  planted?.represents === undefined
    ? [String(counters?.connectionsOpen ?? 0), String(counters?.connectionsTotal ?? 0)]
    : ['-', '-']

const rowOf =
  (now: number) =>
  (link: LinkJson): readonly string[] => [
    // Waiting and blocked are different things to whoever waits.
    link.state === 'pending' && link.substate !== null ? `${link.state}.${link.substate}` : link.state,
    link.type,
    link.consumer,
    link.name,
    link.provider ?? '-',
    link.target,
    link.role,
    duration(now - Date.parse(link.since)),
    ...connectionCells(link),
    link.reason ?? '',
  ]
