/** The whole benchmark, as short as can be: that it runs, not what it measures. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { canRunHere, isInstalled } from '../support/requirements.ts'
import { hasWeston } from '../support/weston.ts'
import { HAPROXY } from './haproxy.ts'

const MAIN = 'build/test/bench/main.js'
const SHORT = ['--quick', '--rounds', '1', '--seconds', '0.02']

interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

const bench = (...args: readonly string[]): Promise<Ended> =>
  new Promise(resolve => {
    const child = execFile(process.execPath, [MAIN, ...args], (_error, out, err) =>
      resolve({ code: child.exitCode ?? -1, out, err }),
    )
  })

interface Shape {
  readonly format: string
  readonly version: number
  readonly measures: readonly {
    readonly name: string
    readonly figures: readonly {
      readonly key: string
      readonly contenders: readonly { readonly contender: string; readonly median: number }[]
    }[]
  }[]
  readonly problems: readonly { readonly contender: string; readonly what: string }[]
}

let scratch = ''
before(() => {
  scratch = mkdtempSync(join(tmpdir(), 'pvx-smoke-'))
})
after(() => rmSync(scratch, { recursive: true, force: true }))

const reportOf = async (...args: readonly string[]): Promise<Shape> => {
  const file = join(scratch, 'report.json')
  const { code, out, err } = await bench(...SHORT, '--json', file, ...args)
  assert.equal(code, 0, `${out}\n${err}`)
  return JSON.parse(readFileSync(file, 'utf8'))
}

/** The contenders of every figure, by measure and key. */
const figuresIn = ({ measures }: Shape): ReadonlyMap<string, readonly string[]> =>
  new Map(
    measures.flatMap(({ name, figures }) =>
      figures.map(
        ({ key, contenders }) => [`${name}.${key}`, contenders.map(({ contender }) => contender)] as const,
      ),
    ),
  )

/** Our own daemon, started as a peer is: it reads the graph at its default place. */
const PEER = `peer 1: ${basename(process.execPath)}`

describe('the benchmark', () => {
  test('gives every figure of what it carries, with every byte intact', { timeout: 60_000 }, async t => {
    if (!canRunHere(t)) return
    const report = await reportOf(
      '--only',
      'bulk,descriptors,round-trip,connections,start',
      '--peer',
      `${process.execPath} dist/pv-xconnect.js`,
    )
    assert.deepEqual([report.format, report.version, report.problems], ['pv-xconnect-bench', 1, []])
    const figures = figuresIn(report)
    assert.ok(figures.size >= 11, [...figures.keys()].join(', '))
    for (const [figure, contenders] of figures) {
      for (const wanted of [figure.startsWith('start.') ? 'node -e 0' : 'direct', 'pv-xconnect', PEER]) {
        assert.ok(contenders.includes(wanted), `${figure}: ${contenders.join(', ')}`)
      }
    }
    const medians = report.measures.flatMap(measure => measure.figures.flatMap(each => each.contenders))
    assert.ok(medians.some(({ median }) => median > 0))
  })

  test('gives every figure of HTTP, with every identity in place', { timeout: 60_000 }, async t => {
    if (!canRunHere(t)) return
    const report = await reportOf('--only', 'rest,rest-bulk')
    const others = isInstalled(HAPROXY) ? [HAPROXY] : []
    const missing = { contender: HAPROXY, what: 'did not come up: it is not installed' }
    assert.deepEqual(
      report.problems.map(({ contender, what }) => ({ contender, what: what.replace(/ \(.*/, '') })),
      isInstalled(HAPROXY) ? [] : [missing, missing],
    )
    const figures = figuresIn(report)
    assert.ok(figures.size >= 38, [...figures.keys()].join(', '))
    for (const [figure, contenders] of figures) {
      const proxies = ['pv-xconnect rest', 'pv-xconnect unix', ...others]
      const isOfAProxy = /\.(core-.*|stuck)$/.test(figure)
      assert.deepEqual(contenders, isOfAProxy ? proxies : ['direct', ...proxies], figure)
    }
  })

  test('gives every figure of Wayland, with every message in its place', { timeout: 60_000 }, async t => {
    if (!canRunHere(t) || !hasWeston(t)) return
    const report = await reportOf('--only', 'wayland')
    assert.deepEqual(report.problems, [])
    const figures = figuresIn(report)
    assert.ok(figures.size >= 8, [...figures.keys()].join(', '))
    for (const [figure, contenders] of figures) {
      const links = ['pv-xconnect wayland', 'pv-xconnect unix']
      assert.deepEqual(contenders, figure.includes('.core-') ? links : ['direct', ...links], figure)
    }
  })

  test('measures a daemon in real containers', { timeout: 60_000 }, async t => {
    if (!canRunHere(t)) return
    const report = await reportOf('--only', 'exit')
    assert.deepEqual([...figuresIn(report)], [['exit.noticed', ['pv-xconnect']]])
  })

  test('gives a peer a /run of its own, and leaves out one that does not come up', {
    timeout: 60_000,
  }, async t => {
    if (!canRunHere(t)) return
    const trace = join(scratch, 'seen')
    const good = `sh -c "touch /run/mine; ls /run >${trace}; exec ${process.execPath} dist/pv-xconnect.js"`
    const bad = 'sh -c "echo no graph >&2; exit 3"'
    const { problems } = await reportOf('--only', 'connections', '--peer', good, '--peer', bad)
    assert.deepEqual(readFileSync(trace, 'utf8').trim().split('\n'), ['log', 'mine', 'pantavisor'])
    assert.ok(!existsSync('/run/mine'))
    const [problem, ...others] = problems
    assert.deepEqual(others, [])
    assert.equal(problem?.contender, 'peer 2: sh')
    assert.match(problem?.what ?? '', /did not come up: .*\(3\): no graph/)
  })

  test('refuses what it does not know, and does nothing', async () => {
    const { code, out, err } = await bench('--only', 'swim')
    assert.equal(code, 2)
    assert.equal(out, '')
    assert.match(err, /there is no measure swim/)
  })

  test('names its measures', async () => {
    const { code, out } = await bench('--help')
    assert.equal(code, 0)
    for (const name of ['bulk', 'links', 'idle']) assert.match(out, new RegExp(`^  ${name} `, 'm'))
  })
})
