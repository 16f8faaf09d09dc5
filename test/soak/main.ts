/** `npm run soak -- [--minutes N] [--seed N] [--kill-daemon] [--drain-daemon]` */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { E } from '../../src/fp.ts'
import { obstacle } from '../support/requirements.ts'
import { decodeOptions } from './options.ts'
import { SoakFailed, type Summary, soak } from './soak.ts'

const SHOWN_POINTS = 12

const say = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

const shownGrowth = ({ memoryGrowth, memorySlope, points }: Summary): string => {
  const end = points.at(-1)?.memory ?? 0
  const trend =
    memoryGrowth === undefined
      ? 'too few quiet points for a trend'
      : `the last third ${memoryGrowth} kB above the first`
  const step = Math.max(1, Math.ceil(points.length / SHOWN_POINTS))
  const some = points.filter((_, index) => index % step === 0).map(({ memory }) => memory)
  return `memory         ${some.join(', ')} kB\n                       ${end} kB at the end, ${memorySlope.toFixed(1)} kB a minute; ${trend}`
}

const describe = (summary: Summary): string => {
  const { ledger, descriptors, points, lives, logLines, recordings } = summary
  const loads = points.map(({ load }) => Math.round(load * 1000) / 10)
  return [
    ...ledger.lines,
    `quiet points   ${points.length}, at most ${Math.max(...loads)} % of a processor`,
    shownGrowth(summary),
    `descriptors    ${descriptors.base} at first, ${descriptors.peak} at most, ${descriptors.end} at the end`,
    `the daemon     ${lives} ${lives === 1 ? 'life' : 'lives'}, ${logLines} lines of log, ${recordings} recordings replayed`,
  ].join('\n')
}

const main = async (args: readonly string[]): Promise<number> => {
  const options = decodeOptions(args, Math.floor(Math.random() * 2 ** 31))
  if (E.isLeft(options)) {
    for (const problem of options.left.problems) process.stderr.write(`soak: ${problem}\n`)
    return 2
  }
  const reason = obstacle()
  if (reason !== undefined) {
    process.stderr.write(`soak: ${reason}\n`)
    return 1
  }
  const { minutes, seed, killDaemon, drainDaemon } = options.right
  const logs = mkdtempSync(join(tmpdir(), 'pvx-soak-log-'))
  say(`soak: ${minutes} min, seed ${seed}, logs in ${logs}`)
  try {
    const summary = await soak({ seconds: minutes * 60, seed, killDaemon, drainDaemon, logs, say })
    say(`\n${describe(summary)}`)
    return 0
  } catch (error) {
    if (!(error instanceof SoakFailed)) throw error
    say(`\nLast actions:\n${error.lastActions.join('\n')}`)
    say(`\nThe daemon's last lines:\n${error.lastWords.join('\n')}`)
    say(`\nMemory at quiet points: ${error.memory.join(', ')} kB`)
    say(`\nFAILED: ${error.message}\nseed ${seed}; logs are in ${logs}`)
    return 1
  }
}

process.exitCode = await main(process.argv.slice(2))
