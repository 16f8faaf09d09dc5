/**
 * `replay`: a recording played again with the daemon's own control plane, to see why a link went where it went, and what
 * it would have done otherwise. Composed here as the daemon is composed elsewhere; touches nothing but the terminal.
 */
import { open } from 'node:fs/promises'
import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { BUILT_IN } from '../../built-in.ts'
import { E } from '../../fp.ts'
import type { ListenAddress } from '../../inspector/listen-address.ts'
import { createCatalogue } from '../../plugin/catalogue.ts'
import { describeRecordingError } from '../../record/errors.ts'
import type { Recording } from '../../record/format.ts'
import { parseRecording } from '../../record/parse.ts'
import type { Fault, Replay, Step } from '../../replay/contract.ts'
import { FAULT_ERRORS, faultIn } from '../../replay/faults.ts'
import { openReplay } from '../../replay/replay.ts'
import { decodeArguments, type Operands } from '../arguments.ts'
import { type Command, complain, type ExitCode, helpFor, refuseUsage, type Terminal } from '../command.ts'
import { addressOption, type Option, switchOption, textOption } from '../option-kinds.ts'
import { byteCount, counted } from '../render.ts'
import {
  divergenceText,
  linksText,
  secondsText,
  summaryText,
  transitionLine,
  transitionText,
} from '../replay-text.ts'
import { type Moment, momentIn, TIME_FORM } from '../time-option.ts'
import { VERSION } from '../version.ts'

export interface ReplayConfig {
  readonly json: boolean
  /** Empty: all. */
  readonly link: string
  /** `null`: to the end. */
  readonly until: { readonly text: string; readonly moment: Moment } | null
  readonly step: boolean
  /** How many times as fast as it was; `null`: as fast as can be. */
  readonly speed: number | null
  readonly faults: readonly Fault[]
  /** Where the inspector's page is served; `null`: the terminal is enough. */
  readonly inspect: ListenAddress | null
}

const DEFAULTS: ReplayConfig = {
  json: false,
  link: '',
  until: null,
  step: false,
  speed: null,
  faults: [],
  inspect: null,
}
const OPERANDS: Operands = { min: 1, max: 1, shown: 'FILE|-' }

/** More than the largest that a daemon's own may be told to become (`--record-max-bytes`), and still one string. */
const MOST_BYTES = 384 * 1024 * 1024
const CHUNK_BYTES = 1024 * 1024

export const REPLAY_OPTIONS: readonly Option<ReplayConfig>[] = [
  switchOption(
    { flag: 'json', variable: null, help: 'Print each transition as a line of JSON, as a recording has it.' },
    { get: config => config.json, set: (config, json) => ({ ...config, json }) },
  ),
  textOption(
    { flag: 'link', variable: null, help: 'Show only links whose key contains this.' },
    { get: config => config.link, set: (config, link) => ({ ...config, link }) },
  ),
  {
    flag: 'until',
    variable: null,
    kind: { _tag: 'form', ...TIME_FORM },
    help: 'Stop there, and show how the links are at that moment.',
    show: config => config.until?.text ?? '',
    assign: (text, config) => {
      const moment = momentIn(text)
      return E.isLeft(moment) ? moment : E.right({ ...config, until: { text, moment: moment.right } })
    },
  },
  switchOption(
    { flag: 'step', variable: null, help: 'Wait for Enter before each step.' },
    { get: config => config.step, set: (config, step) => ({ ...config, step }) },
  ),
  {
    flag: 'speed',
    variable: null,
    kind: { _tag: 'form', placeholder: 'N', allowed: '0.01 to 10000' },
    help: 'Play at N times the speed at which it happened; without it, as fast as can be.',
    show: config => (config.speed === null ? '' : String(config.speed)),
    assign: (text, config) => {
      const speed = Number(text)
      return /^\d+(\.\d+)?$/.test(text) && speed >= 0.01 && speed <= 10_000
        ? E.right({ ...config, speed })
        : E.left(`is ${JSON.stringify(text)}; give 0.01 to 10000`)
    },
  },
  {
    flag: 'fault',
    variable: null,
    many: true,
    kind: { _tag: 'form', placeholder: 'FAULT', allowed: '[link=KEY,][effect=WORD,]error=TAG[,times=N]' },
    help: `Let an effect (inject, change or teardown) fail instead of what was recorded; may be given several times. TAG is one of ${FAULT_ERRORS.join(', ')}.`,
    show: () => '',
    assign: (text, config) => {
      const fault = faultIn(text)
      return E.isLeft(fault) ? fault : E.right({ ...config, faults: [...config.faults, fault.right] })
    },
  },
  addressOption(
    {
      flag: 'inspect',
      variable: null,
      help: 'Show the recording on a page with a timeline instead, until Ctrl-C; served to this machine alone. Without an address: 127.0.0.1 and any free port.',
    },
    { get: config => config.inspect, set: (config, inspect) => ({ ...config, inspect }) },
  ),
]

export const command: Command = {
  help: columns =>
    helpFor(
      {
        verb: 'replay',
        operands: OPERANDS,
        about: [
          'Plays a recording (of `daemon --record` or `pv-xconnect record`) with the real control plane and shows how the links moved. A graph alone, as `curl` gets it from Pantavisor, is a recording of one read. Nothing is touched, and root is not needed.',
          'A recording holds the transitions that there were. Where the replay goes another way, the first difference is shown side by side, and it ends with 1; so it does if FILE cannot be replayed. With a --fault nothing is compared.',
        ],
        options: REPLAY_OPTIONS,
        defaults: DEFAULTS,
        examples: [
          'pv-xconnect replay /var/log/pv-xconnect.rec --link app/raw',
          'pv-xconnect replay tuesday.rec --until 2030-01-01T12:00:00Z',
          'pv-xconnect replay graph.json --fault link=app/raw,error=TargetOccupied',
          'pv-xconnect replay tuesday.rec --inspect',
        ],
      },
      columns,
    ),
  run: async (args, terminal) => {
    const decoded = decodeArguments(REPLAY_OPTIONS, OPERANDS, DEFAULTS, args, terminal.variables)
    if (E.isLeft(decoded)) return refuseUsage(terminal, 'replay', decoded.left)
    const { config, operands } = decoded.right
    const [file = ''] = operands
    const recording = await readRecording(file, terminal)
    if (E.isLeft(recording)) {
      complain(terminal, 'replay', ...recording.left)
      return 1
    }
    return replay(recording.right, file, config, terminal)
  },
}

type Lines = readonly [string, ...string[]]

const readRecording = async (file: string, terminal: Terminal): Promise<E.Either<Lines, Recording>> => {
  const bytes = file === '-' ? E.right(await terminal.readStdin(MOST_BYTES + 1)) : await bytesOf(file)
  if (E.isLeft(bytes)) return bytes
  const name = file === '-' ? 'standard input' : file
  if (bytes.right.length > MOST_BYTES) return E.left(tooLarge(name))
  const recording = parseRecording(bytes.right.toString())
  if (E.isRight(recording)) return recording
  return E.left([
    `${name} cannot be replayed: ${describeRecordingError(recording.left)}`,
    'Give a recording of `daemon --record` or `pv-xconnect record`, or a graph.',
  ])
}

const tooLarge = (name: string): Lines => [
  `${name} has more than ${byteCount(MOST_BYTES)}, too much to be replayed`,
  'Give a recording of `daemon --record`, which is followed by a new one before it has grown so large.',
]

/** More than may be, if there is one: what has no size, as a pipe, may have no end either. */
const bytesOf = async (file: string): Promise<E.Either<Lines, Buffer>> => {
  try {
    const handle = await open(file)
    try {
      if ((await handle.stat()).size > MOST_BYTES) return E.left(tooLarge(file))
      const chunks: Buffer[] = []
      for (let total = 0; total <= MOST_BYTES; ) {
        const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(CHUNK_BYTES))
        if (bytesRead === 0) break
        chunks.push(buffer.subarray(0, bytesRead))
        total += bytesRead
      }
      return E.right(Buffer.concat(chunks))
    } finally {
      await handle.close()
    }
  } catch (error) {
    const errno = (error as NodeJS.ErrnoException).code ?? String(error)
    return E.left([`${file} cannot be read: ${errno}`, 'Give a recording, or - for standard input.'])
  }
}

const endOf = ({ header }: Recording, until: ReplayConfig['until']): number => {
  if (until === null) return Number.POSITIVE_INFINITY
  const { moment } = until
  return moment._tag === 'Since' ? moment.ms : moment.ms - Date.parse(header.startedAt)
}

const replay = async (
  recording: Recording,
  file: string,
  config: ReplayConfig,
  terminal: Terminal,
): Promise<ExitCode> => {
  const plugins = createCatalogue(BUILT_IN)
  // A recording of a daemon tells itself what its plugins said.
  if (!recording.lines.some(({ line }) => line.kind === 'plugins')) await plugins.load(Object.keys(BUILT_IN))
  const played = openReplay(recording, plugins, { faults: config.faults })
  if (config.inspect !== null) return inspect(played, recording, file, config.inspect, terminal)
  const stop = config.speed === null ? undefined : terminal.stopAsked()
  const shown = await play(played, endOf(recording, config.until), config, terminal, stop)
  sayWhatIsMissing(recording, file, terminal)
  for (const { call, link } of played.unusedFaults()) {
    const whose = link === undefined ? '' : ` of ${link}`
    complain(terminal, 'replay', `a fault was never used: there was no ${call}${whose} up to there`)
  }
  const divergences = config.faults.length > 0 ? [] : played.divergences()
  const [first] = divergences
  if (!config.json) {
    const views = played.controller.links().filter(({ key }) => key.includes(config.link))
    const compared = comparedText(recording, config, first !== undefined)
    terminal.out(`\n${linksText(views, terminal.columns)}`)
    terminal.out(`\n${summaryText(shown.transitions, shown.links.size, played.now(), compared)}`)
  }
  if (first === undefined) return 0
  const place = first.number === null ? '' : ` (line ${first.number})`
  const others = divergences.length === 1 ? '' : `; so did ${counted(divergences.length - 1, 'other link')}`
  complain(terminal, 'replay', `${first.link} went another way than was recorded${place}${others}:`)
  terminal.err(divergenceText(first))
  return 1
}

/** Imported when it is asked for: whoever reads transitions in a terminal needs no page. */
const inspect = async (
  played: Replay,
  recording: Recording,
  file: string,
  address: ListenAddress,
  terminal: Terminal,
): Promise<ExitCode> => {
  const [{ createReplaySubject }, { LINK_DEFINITION, serveInspector }] = await Promise.all([
    import('../../inspector/replay-subject.ts'),
    import('../serve-inspector.ts'),
  ])
  const name = file === '-' ? 'standard input' : basename(file)
  const subject = await createReplaySubject({
    replay: played,
    name,
    version: VERSION,
    definition: LINK_DEFINITION,
  })
  sayWhatIsMissing(recording, file, terminal)
  return serveInspector('replay', subject, address, terminal)
}

const comparedText = ({ lines }: Recording, { faults, until }: ReplayConfig, differs: boolean): string => {
  if (differs) return ', not as recorded'
  if (faults.length > 0) return ', with faults'
  return lines.some(({ line }) => line.kind === 'transition')
    ? `, as recorded${until === null ? '' : ' up to there'}`
    : ''
}

const sayWhatIsMissing = ({ torn, unknown }: Recording, file: string, terminal: Terminal): void => {
  if (torn) complain(terminal, 'replay', `the last line of ${file} is not whole, and was left out`)
  if (unknown > 0) {
    complain(
      terminal,
      'replay',
      `left out of ${file}: ${counted(unknown, 'line')} of a kind that this version does not know`,
    )
  }
}

interface Shown {
  readonly transitions: number
  readonly links: ReadonlySet<string>
}

const play = async (
  played: Replay,
  end: number,
  config: ReplayConfig,
  terminal: Terminal,
  stop: Promise<unknown> | undefined,
): Promise<Shown> => {
  const stopped = new AbortController()
  void stop?.then(() => stopped.abort())
  const links = new Set<string>()
  let transitions = 0
  for (let at = played.nextAt(); at !== undefined && at <= end; at = played.nextAt()) {
    if (config.speed !== null) {
      const waitMs = (at - played.now()) / config.speed
      await sleep(waitMs, undefined, { signal: stopped.signal }).catch(() => undefined)
    }
    if (stopped.signal.aborted || terminal.closed === true) break
    if (config.step && !(await mayGoOn(played, terminal))) break
    const step = await played.next()
    if (step === undefined) break
    if (config.step) terminal.out(causeText(step))
    for (const transition of step.transitions) {
      if (!transition.link.includes(config.link)) continue
      transitions += 1
      links.add(transition.link)
      terminal.out(config.json ? transitionLine(transition, step.t) : transitionText(transition, step.t))
    }
  }
  return { transitions, links }
}

const mayGoOn = async (played: Replay, terminal: Terminal): Promise<boolean> => {
  terminal.err(`${secondsText(played.now())}  Enter for the next step, Ctrl-D to end `)
  return (await terminal.nextLine?.()) !== null
}

/** What made it move. */
const causeText = ({ t, cause }: Step): string =>
  cause._tag === 'Timer'
    ? `${secondsText(t)}  a timer\n`
    : `${secondsText(t)}  line ${cause.number}: ${lineText(cause.line)}\n`

const lineText = (line: Extract<Step['cause'], { readonly _tag: 'Line' }>['line']): string => {
  switch (line.kind) {
    case 'effect':
      return `${line.call} of ${line.link}`
    case 'process-exited':
      return `process ${line.pid} exited`
    case 'signal':
      return line.signal
    default:
      return line.kind
  }
}
