/** All about one link, as text for people. Pure; nothing of it is cut, for here is where one looks for the rest. */
import type {
  CountersJson,
  LinkDetailsJson,
  PlantedJson,
  TransitionJson,
  VerdictJson,
} from '../control/shapes.ts'
import { figuresTable, timesTable } from './figure-tables.ts'
import {
  byteCount,
  type Column,
  counted,
  duration,
  indented,
  printable,
  renderTable,
  wrap,
} from './render.ts'

export interface Page {
  readonly now: number
  /** Of a terminal: prose is wrapped to it, and what stands in tables is never cut. */
  readonly width: number | undefined
}

const INDENT = '  '
/** Where advice is not read on a terminal, it is wrapped all the same: it is prose. */
const PROSE_COLUMNS = 100

export const linkPage = (link: LinkDetailsJson, page: Page): string =>
  [
    printable(link.key),
    facts(link, page),
    ...sections('Counted', figuresTable(link.counters)),
    ...sections('Timed', timesTable(link.counters)),
    section('Conditions', conditionsTable(link, page)),
    section('Transitions, from the oldest', transitionsTable(link, page)),
    section('What to do', advice(link, page)),
  ].join('\n')

const section = (title: string, text: string): string => `${title}:\n${indented(text, INDENT)}`

const sections = (title: string, text: string | null): readonly string[] =>
  text === null ? [] : [section(title, text)]

/** `null`: there is nothing to say. */
type Row = readonly [name: string, value: string | null]

const facts = (link: LinkDetailsJson, { now }: Page): string => {
  const { provider, state, substate, since } = link
  const rows: readonly Row[] = [
    [
      'State',
      `${substate === null ? state : `${state}.${substate}`} for ${duration(now - Date.parse(since))}, since ${since}`,
    ],
    ['Reason', link.reason],
    ['Type', `${link.type}, role ${link.role}, interface ${link.interface}`],
    ['Consumer', `${link.consumer} (${pidText(link.consumer_pid)})`],
    ['Target', link.target],
    ['Provider', `${provider ?? 'not named'} (${pidText(link.provider_pid)})`],
    ['Socket', link.socket],
    ['Verdict', verdictText(link.verdict)],
    ['Planted', plantedText(link)],
    ['Attempts', attemptsText(link, now)],
    ...(isDevice(link.planted) ? [] : trafficRows(link.counters)),
  ]
  return rows
    .flatMap(([name, value]) =>
      value === null ? [] : [`${INDENT}${`${name}:`.padEnd(FACT_NAME_WIDTH)}${printable(value)}\n`],
    )
    .join('')
}

/** Nothing passes through the daemon then. */
const isDevice = (planted: PlantedJson | null): boolean => planted?.represents !== undefined

const FACT_NAME_WIDTH = 'Consumer:  '.length

const pidText = (pid: number | null): string =>
  pid === null ? 'not running' : pid === 0 ? 'the host' : `pid ${pid}`

const verdictText = ({ decision, rule, winner, reason }: VerdictJson): string => {
  if (rule !== undefined) return `${decision} by ${rule}`
  return winner === undefined ? `${decision}: ${reason ?? ''}` : `${decision}: ${winner} has the target`
}

const plantedText = ({ planted }: LinkDetailsJson): string | null =>
  planted === null
    ? null
    : `${planted.kind}${planted.represents === undefined ? '' : ` of ${planted.represents}`}, inode ${planted.inode} of device ${planted.device}`

const attemptsText = ({ attempt, nextRetry }: LinkDetailsJson, now: number): string | null => {
  if (attempt === 0) return null
  const next = nextRetry === null ? '' : `, next in ${duration(Date.parse(nextRetry) - now)}`
  return `failed ${attempt === 1 ? 'once' : `${attempt} times in a row`}${next}`
}

const trafficRows = (counters: CountersJson | null): readonly Row[] =>
  counters === null
    ? [['Traffic', 'none yet']]
    : [
        [
          'Traffic',
          `${counted(counters.connectionsTotal, 'connection')}, ${counters.connectionsOpen} open, ${counters.connectionsRefused} not taken by the provider`,
        ],
        ['Bytes', `${byteCount(counters.bytesUp)} up, ${byteCount(counters.bytesDown)} down`],
        [
          'Passed',
          `${counted(counters.descriptorsPassed, 'descriptor')}, ${counted(counters.messages, 'message')}, ${counted(counters.denials, 'denial')}`,
        ],
      ]

const uncut = (...titles: readonly string[]): readonly Column[] =>
  titles.map(title => ({ title, cut: 'never' }))

const CONDITION_COLUMNS = uncut('TYPE', 'STATUS', 'REASON', 'FOR', 'MESSAGE')

const conditionsTable = ({ conditions }: LinkDetailsJson, { now }: Page): string =>
  renderTable(
    CONDITION_COLUMNS,
    conditions.map(({ type, status, reason, message, lastTransitionTime }) => [
      type,
      status,
      reason,
      duration(now - Date.parse(lastTransitionTime)),
      message,
    ]),
  )

const TRANSITION_COLUMNS = uncut('AGO', 'TIMES', 'FROM', 'TO', 'WHY')

const transitionsTable = ({ transitions }: LinkDetailsJson, { now }: Page): string =>
  renderTable(TRANSITION_COLUMNS, transitions.map(transitionRow(now)))

/** The events of the link machine's table, for whoever does not know it. */
const EVENT_WORDS: ReadonlyMap<string, string> = new Map([
  ['link.wanted', 'the graph wants it so'],
  ['link.unwanted', 'the graph no longer has it'],
  ['after retryDelay', 'time to try again'],
  ['inject: Right', 'it was planted'],
  ['change: Right', 'it follows its provider'],
  ['target.lost', 'what was planted was gone, hidden or out of date'],
  ['consumer.exited', "the consumer's process ended"],
  ['teardown done', 'it was taken down'],
])

const transitionRow =
  (now: number) =>
  ({ at, from, to, event, reason, times, lastAt }: TransitionJson): readonly string[] => {
    const ago = (time: string): string => duration(now - Date.parse(time))
    const why = reason === event ? (EVENT_WORDS.get(event) ?? event) : reason
    return [times === 1 ? ago(at) : `${ago(at)} to ${ago(lastAt)}`, String(times), from ?? '-', to, why]
  }

const advice = ({ advice }: LinkDetailsJson, { width = PROSE_COLUMNS }: Page): string => {
  const columns = Math.min(width, PROSE_COLUMNS) - INDENT.length
  return `${advice.map(text => wrap(printable(text), columns, '')).join('\n')}\n`
}
