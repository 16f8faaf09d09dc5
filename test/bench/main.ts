/**
 * `npm run bench`: everything is measured in one run, in turn, and held against what else ran in it. Prints a table, and
 * writes JSON where asked to (docs/benchmarks.md). Exit codes: 0 all worked, whatever the figures; 1 something did not
 * work: bytes lost or garbled, a link not up; 2 used wrongly, or cannot run here.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { E } from '../../src/fp.ts'
import { DAEMON, isInstalled } from '../support/requirements.ts'
import { decodeOptions, type Options, USAGE } from './arguments.ts'
import { compiled } from './compile.ts'
import { type Contender, direct, LIBEVENT, libevent, linked, SOCAT, socat } from './contenders.ts'
import type { Bench, Measure, Role } from './contract.ts'
import { openGenerator } from './generator.ts'
import { type GraphDaemon, ours, peer } from './graph-daemon.ts'
import { openHttpGenerator } from './http-generator.ts'
import { MEASURES } from './measures/index.ts'
import { hasFailed, type Machine, measureReport, type Report } from './report.ts'
import { type MeasureResult, type Problem, runMeasure, wordsOf } from './runner.ts'
import { renderReport } from './table.ts'

const complain = (...lines: readonly string[]): void => {
  process.stderr.write(lines.map(line => `bench: ${line}\n`).join(''))
}

/** What keeps it from running here, in words; `undefined` if nothing does. */
const obstacle = (): string | undefined => {
  if (process.platform !== 'linux') return 'it needs Linux'
  if (process.geteuid?.() !== 0) return 'it needs root: daemons enter containers, and containers are made'
  const missing = ['unshare', 'nsenter', 'mount', 'setpriv'].filter(tool => !isInstalled(tool))
  if (missing.length > 0) return `it needs ${missing.join(', ')} (util-linux)`
  return existsSync(DAEMON) ? undefined : `it needs ${DAEMON}: npm run build`
}

/** Sockets are planted on a tmpfs, as on a device: where they are on a disk, its file system would be measured. */
const scratchParent = (): string => (existsSync('/dev/shm') ? '/dev/shm' : tmpdir())

const machine = (load: string): Machine => ({
  kernel: release(),
  cpu: cpus()[0]?.model ?? 'unknown processor',
  cores: availableParallelism(),
  memoryBytes: totalmem(),
  node: process.version,
  load,
  loadAverage: loadavg()[0] ?? Number.NaN,
})

/** What has to be undone, last first, however the run ends. */
class Undo {
  readonly #steps: (() => unknown)[] = []

  add(step: () => unknown): void {
    this.#steps.push(step)
  }

  /** A step that fails is told, and the others are taken all the same. */
  async all(): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step()
      } catch (error) {
        complain(`could not clean up: ${wordsOf(error)}`)
      }
    }
  }
}

const namer = (folder: string): (() => string) => {
  let count = 0
  return () => {
    count += 1
    return join(folder, `t${count}`)
  }
}

/** Those that take part, and why others do not. */
interface Field {
  readonly contenders: Contender[]
  readonly daemons: GraphDaemon[]
  readonly problems: Problem[]
}

/** Bring everybody up that can be; who cannot is told, and takes no part. */
const startEverybody = async (
  scratch: string,
  provider: string,
  peers: readonly string[],
): Promise<Field> => {
  const field: Field = { contenders: [direct(provider)], daemons: [], problems: [] }
  const bringUp = async (contender: string, role: Role, start: () => Promise<Contender>) => {
    try {
      field.contenders.push(await start())
      return true
    } catch (error) {
      const what = `did not come up: ${wordsOf(error)}`
      field.problems.push({ measure: 'all', contender, role, what })
      return false
    }
  }
  const everyDaemon = [ours(scratch), ...peers.map((command, i) => peer(scratch, command, i))]
  for (const [position, daemon] of everyDaemon.entries()) {
    const start = () => linked(daemon, scratch, provider, position)
    if (await bringUp(daemon.name, daemon.role, start)) field.daemons.push(daemon)
  }
  const proxy = await compiled('libevent-proxy', 'event_core').catch(() => undefined)
  if (proxy !== undefined) await bringUp(LIBEVENT, 'peer', () => libevent(proxy, scratch, provider))
  if (isInstalled(SOCAT)) await bringUp(SOCAT, 'tool', () => socat(scratch, provider))
  return field
}

/** Idempotent. One that had ended before is a problem, and no reason to leave the others running. */
const stopContenders = async ({ contenders, problems }: Field): Promise<void> => {
  for (let next = contenders.pop(); next !== undefined; next = contenders.pop()) {
    const { name, role, stop } = next
    await stop().catch((error: unknown) => {
      problems.push({ measure: 'all', contender: name, role, what: wordsOf(error) })
    })
  }
}

const chosen = ({ only }: Options): readonly Measure[] =>
  MEASURES.filter(({ name }) => only === null || only.includes(name))

/** Contenders are stopped as soon as no further measure needs them, so that they do not disturb what follows. */
const runAll = async (
  measures: readonly Measure[],
  bench: Bench,
  stop: () => Promise<void>,
): Promise<readonly MeasureResult[]> => {
  const results: MeasureResult[] = []
  for (const [position, measure] of measures.entries()) {
    if (!measures.slice(position).some(({ needsContenders }) => needsContenders)) await stop()
    results.push(
      await runMeasure(measure, bench, (round, rounds) =>
        complain(`${measure.name}, round ${round} of ${rounds}`),
      ),
    )
  }
  return results
}

const run = async (options: Options, undo: Undo): Promise<Report> => {
  const startedAt = new Date()
  const { settings } = options
  const scratch = mkdtempSync(join(scratchParent(), 'pvx-bench-'))
  undo.add(() => rmSync(scratch, { recursive: true, force: true }))
  const generator = await openGenerator()
  const described = machine(generator.described)
  const provider = join(scratch, 'provider.sock')
  const providing = await generator.provide(provider)
  undo.add(providing.stop)

  const field = await startEverybody(scratch, provider, options.peers)
  const { daemons } = field
  const stop = (): Promise<void> => stopContenders(field)
  undo.add(stop)

  const bench: Bench = {
    settings,
    scratch,
    newPath: namer(scratch),
    generator,
    http: await openHttpGenerator(),
    provider,
    contenders: [...field.contenders],
    daemons,
  }
  const results = await runAll(chosen(options), bench, stop)
  await stop()
  return {
    format: 'pv-xconnect-bench',
    version: 1,
    startedAt: startedAt.toISOString(),
    tookSeconds: (Date.now() - startedAt.getTime()) / 1000,
    settings: { rounds: settings.rounds, ...settings.window },
    machine: described,
    measures: results.map(measureReport),
    problems: [...field.problems, ...results.flatMap(result => result.problems)],
  }
}

const main = async (args: readonly string[]): Promise<number> => {
  const options = decodeOptions(
    args,
    MEASURES.map(({ name }) => name),
  )
  if (E.isLeft(options)) {
    complain(...options.left, 'see: npm run bench -- --help')
    return 2
  }
  if (options.right.help) {
    const names = MEASURES.map(({ name, title }) => `  ${name.padEnd(12)}  ${title}\n`).join('')
    process.stdout.write(`${USAGE}\nMeasures:\n${names}`)
    return 0
  }
  const reason = obstacle()
  if (reason !== undefined) {
    complain(`cannot run here: ${reason}`)
    return 2
  }
  const undo = new Undo()
  const interrupted = (): void => {
    void undo.all().finally(() => process.exit(130))
  }
  process.once('SIGINT', interrupted)
  process.once('SIGTERM', interrupted)
  try {
    const report = await run(options.right, undo)
    process.stdout.write(`${renderReport(report)}\n`)
    if (options.right.jsonFile !== null) {
      writeFileSync(options.right.jsonFile, `${JSON.stringify(report, null, 2)}\n`)
    }
    return hasFailed(report.problems) ? 1 : 0
  } catch (error) {
    complain(`gave up: ${wordsOf(error)}`)
    return 1
  } finally {
    await undo.all()
  }
}

process.exitCode = await main(process.argv.slice(2))
