/**
 * Watches a process that runs rounds. An input may do anything to that process: break an invariant, end it, or block it
 * for ever; all three come out as a finding with the input, where it can be told.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { E } from '../../src/fp.ts'
import { News, type Tally } from './news.ts'
import { TARGETS } from './targets.ts'

const ROUNDS = fileURLToPath(new URL('./rounds.js', import.meta.url))

/** A round takes seconds, making an input smaller half a minute. Whoever says nothing for so long is blocked. */
const PATIENCE_MS = 120_000

export interface Finding {
  /** Of the round. */
  readonly seed: number
  readonly reason: string
  /** Where it is known which input it was. */
  readonly culprit: { readonly check: string; readonly input: unknown } | undefined
}

export interface Report {
  readonly rounds: number
  readonly tallies: Readonly<Record<string, Tally>>
  readonly finding: Finding | undefined
}

export interface Rounds {
  readonly target: string
  /** Of the first round; the next one has the next number. */
  readonly seed: number
  /** At least one round is run. */
  readonly seconds: number
  readonly folder?: string
  readonly patienceMs?: number
  /** Called about every round. */
  readonly onRound?: (rounds: number, seed: number) => void
}

interface Watched extends Report {
  readonly lastSeed: number
  readonly lastInput: Finding['culprit']
  /** How it ended, if not well. */
  readonly death: string | undefined
}

const isReadable = (stream: unknown): stream is Readable =>
  typeof stream === 'object' && stream !== null && 'read' in stream

const watch = async (rounds: Rounds, tellsInputs: boolean): Promise<Watched> => {
  const { target, seed, seconds, folder = TARGETS, patienceMs = PATIENCE_MS, onRound } = rounds
  const args = [folder, target, `${seed}`, `${seconds}`, ...(tellsInputs ? ['tell'] : [])]
  const child = spawn(process.execPath, ['--enable-source-maps', ROUNDS, ...args], {
    stdio: ['ignore', 'inherit', 'pipe', 'pipe'],
  })
  const ended = once(child, 'close')
  const told = child.stdio[3]
  if (child.stderr === null || !isReadable(told)) throw new Error('the process has no pipes')
  let complaints = ''
  child.stderr.on('data', (chunk: Buffer) => {
    complaints = (complaints + chunk.toString()).slice(-4000)
  })

  let report: Watched = {
    rounds: 0,
    tallies: {},
    finding: undefined,
    lastSeed: seed,
    lastInput: undefined,
    death: undefined,
  }
  let blocked = false
  const giveUp = (): void => {
    blocked = true
    child.kill('SIGKILL')
  }
  // To start may take its time; only an input can take too long.
  let impatient = setTimeout(giveUp, PATIENCE_MS)
  createInterface({ input: told }).on('line', line => {
    clearTimeout(impatient)
    impatient = setTimeout(giveUp, patienceMs)
    const news = News.decode(JSON.parse(line))
    if (E.isLeft(news)) throw new Error(`no news: ${line}`)
    switch (news.right.says) {
      case 'round':
        report = { ...report, rounds: report.rounds + 1, lastSeed: news.right.seed }
        onRound?.(report.rounds, news.right.seed)
        return
      case 'input':
        report = { ...report, lastInput: { check: news.right.check, input: news.right.input } }
        return
      case 'found': {
        const { check, input, seed: at, reason } = news.right
        report = { ...report, finding: { seed: at, reason, culprit: { check, input } } }
        return
      }
      case 'tried':
        report = { ...report, tallies: news.right.tallies }
    }
  })
  await ended
  clearTimeout(impatient)
  if (blocked) return { ...report, death: `one input has taken longer than ${patienceMs / 1000} s` }
  if (child.exitCode === 0) return report
  return { ...report, death: `the process ended with ${child.exitCode ?? child.signalCode}: ${complaints}` }
}

/** Run rounds until the time is over or something is found. */
export const runTarget = async (rounds: Rounds): Promise<Report> => {
  const { death, lastSeed, ...report } = await watch(rounds, false)
  if (death === undefined) return report
  // Once more, the input told each time: the last one was it.
  const again = await watch({ ...rounds, seed: lastSeed, seconds: 0 }, true)
  const culprit = again.death === undefined ? undefined : again.lastInput
  return { ...report, finding: { seed: lastSeed, reason: death, culprit } }
}
