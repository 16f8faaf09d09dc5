/** What sessions count of one link: summed, bounded, and never a reason to fail a connection. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MOST_FIGURES, MOST_HISTOGRAMS } from '../../src/model/figures.ts'
import type { Figure, Histogram } from '../../src/relay/contract.ts'
import { createCounters, snapshotOf } from '../../src/relay/counters.ts'
import { ConnectionFigures, LinkFigures } from '../../src/relay/figures.ts'
import { fakeLog } from '../support/fakes.ts'

const total = (name: string, labels?: Readonly<Record<string, string>>): Figure => ({
  name,
  help: 'What happened.',
  kind: 'total',
  ...(labels === undefined ? {} : { labels }),
})

const TUNNELS: Figure = { name: 'tunnels', help: 'Open tunnels.', kind: 'gauge' }
const RESPONSE: Histogram = { name: 'response', help: 'How long.', bucketsMs: [5, 50, 500] }

const bench = () => {
  const log = fakeLog()
  const figures = new LinkFigures(log)
  return {
    log,
    figures,
    connection: () => new ConnectionFigures(figures),
    /** As `name value`, in the order in which they were met. */
    shown: () => figures.figures().map(({ name, value }) => `${name} ${value}`),
  }
}

describe('figures', () => {
  it('are nothing before anything was counted', () => {
    const { figures } = bench()
    assert.deepEqual([figures.figures(), figures.histograms()], [[], []])
  })

  it('are there with their words from the first count on, also of nothing', () => {
    const { figures, connection } = bench()
    connection().count(total('errors', { status: '400' }), 0)
    assert.deepEqual(figures.figures(), [
      {
        of: 'protocol',
        name: 'errors',
        help: 'What happened.',
        labels: { status: '400' },
        kind: 'total',
        value: 0,
      },
    ])
  })

  it('bring what to do about them, where there is something to do', () => {
    const { figures, connection } = bench()
    connection().count({ ...total('errors'), advice: 'Mend it.' }, 1)
    assert.equal(figures.figures()[0]?.advice, 'Mend it.')
  })

  it('are one where name and labels are the same, whichever object they are', () => {
    const { connection, shown } = bench()
    connection().count(total('errors', { status: '400', reason: 'odd' }), 1)
    connection().count(total('errors', { reason: 'odd', status: '400' }), 2)
    connection().count(total('errors', { status: '404' }), 4)
    assert.deepEqual(shown(), ['errors 3', 'errors 4'])
  })

  it('are a snapshot: what is counted later is not in it', () => {
    const { figures, connection, shown } = bench()
    const one = total('errors')
    connection().count(one, 1)
    const before = figures.figures()
    connection().count(one, 1)
    assert.equal(before[0]?.value, 1)
    assert.deepEqual(shown(), ['errors 2'])
  })

  it('stay what they were when a plugin changes its object', () => {
    const { figures, connection } = bench()
    const labels = { status: '400' }
    const one = { ...total('errors'), labels }
    connection().count(one, 1)
    one.name = 'Odd name'
    labels.status = ''
    connection().count(one, 1)
    assert.deepEqual(
      figures.figures().map(({ name, labels: { status }, value }) => [name, status, value]),
      [['errors', '400', 2]],
    )
  })

  it('are beside the common counters of the link', () => {
    const counters = createCounters(fakeLog())
    counters.messages = 2
    counters.counted.countOwn(total('dial_retries', { errno: 'ENOENT' }))
    const { messages, figures, histograms } = snapshotOf(counters)
    assert.equal(messages, 2)
    assert.deepEqual(
      figures.map(({ of, name, value }) => [of, name, value]),
      [['link', 'dial_retries', 1]],
    )
    assert.deepEqual(histograms, [])
  })
})

describe('a gauge', () => {
  it('has what the open connections added to it', () => {
    const { connection, shown } = bench()
    const [a, b] = [connection(), connection()]
    a.count(TUNNELS, 1)
    b.count(TUNNELS, 2)
    a.count(TUNNELS, -1)
    assert.deepEqual(shown(), ['tunnels 2'])
  })

  it('loses with a connection what that added, and no more', () => {
    const { connection, shown } = bench()
    const [a, b] = [connection(), connection()]
    a.count(TUNNELS, 3)
    a.count(TUNNELS, -1)
    b.count(TUNNELS, 1)
    a.closed()
    a.closed()
    assert.deepEqual(shown(), ['tunnels 1'])
  })

  it('is left alone by the last words of a session whose connection is over; a total is not', () => {
    const { connection, shown } = bench()
    const a = connection()
    a.count(TUNNELS, 1)
    a.closed()
    a.count(TUNNELS, -1)
    a.count(total('ends'), 1)
    assert.deepEqual(shown(), ['tunnels 0', 'ends 1'])
  })
})

describe('times', () => {
  it('fall into the first bucket that they fit in', () => {
    const { figures, connection } = bench()
    for (const ms of [0, 5, 5.1, 500, 501, 1e9]) {
      const each = connection()
      each.mark(1000)
      each.observe(RESPONSE, 1000 + ms)
    }
    const [times] = figures.histograms()
    assert.deepEqual(times?.counts, [2, 1, 1, 2])
    assert.deepEqual([times?.name, times?.bucketsMs], ['response', [5, 50, 500]])
  })

  it('are added up, and count from the last mark', () => {
    const { figures, connection } = bench()
    const each = connection()
    each.mark(0)
    each.mark(100)
    each.observe(RESPONSE, 110)
    each.observe({ ...RESPONSE }, 120)
    assert.equal(figures.histograms()[0]?.sumMs, 30)
    assert.equal(figures.histograms().length, 1)
  })

  it('are not told without a mark', () => {
    const { figures, connection } = bench()
    connection().observe(RESPONSE, 110)
    assert.deepEqual(figures.histograms(), [])
  })
})

describe('what a plugin may not count', () => {
  /** What plain JavaScript may give: the compiler would not let it pass. */
  const untyped = (value: unknown): never => value as never
  const reasonIn = (facts: object = {}): string => String(Reflect.get(facts, 'reason'))

  const unfit: readonly (readonly [string, unknown, RegExp])[] = [
    ['nothing', null, /no object/],
    ['a word that is no counter', 'bytesUp', /no object/],
    ['a name with a sign', total('requests-total'), /its name/],
    ['a name of capitals', total('Requests'), /its name/],
    ['a name that Prometheus keeps to itself', total('__name__'), /its name/],
    ['a name without end', total('x'.repeat(65)), /its name/],
    ['no name', { help: 'H.', kind: 'total' }, /its name/],
    ['no help', { name: 'a', kind: 'total' }, /its help/],
    ['advice without end', { ...total('a'), advice: 'x'.repeat(513) }, /its advice/],
    ['advice that is no text', { ...total('a'), advice: 7 }, /its advice/],
    ['no kind', { name: 'a', help: 'H.' }, /its kind/],
    ['the label of the daemon', total('a', { link: 'x' }), /its label "link" is one of the daemon's/],
    ['a label with a sign', total('a', { 'x-y': 'z' }), /its label "x-y" is no/],
    ['a label without a value', total('a', { x: '' }), /value of its label "x"/],
    ['a label that is a number', { ...total('a'), labels: { status: 400 } }, /value of its label "status"/],
    ['what a client said', total('a', { path: '/'.repeat(65) }), /value of its label "path"/],
    [
      'many labels',
      total('a', Object.fromEntries(Array.from({ length: 9 }, (_, at) => [`l${at}`, 'x']))),
      /more than 8/,
    ],
  ]
  for (const [what, figure, why] of unfit) {
    it(`${what}: it is left out, and said once`, () => {
      const { log, connection, shown } = bench()
      connection().count(untyped(figure), 1)
      connection().count(untyped(figure), 1)
      assert.deepEqual(shown(), [])
      assert.equal(log.lines.length, 1)
      assert.match(reasonIn(log.lines[0]?.facts), why)
    })
  }

  for (const by of [Number.NaN, Number.POSITIVE_INFINITY, '1', null]) {
    it(`by ${JSON.stringify(by)} (${typeof by}): the figure stays, and that is said once`, () => {
      const { log, connection, shown } = bench()
      for (const figure of [total('errors'), TUNNELS]) {
        connection().count(figure, 2)
        connection().count(figure, untyped(by))
      }
      assert.deepEqual(shown(), ['errors 2', 'tunnels 2'])
      assert.equal(log.lines.length, 1)
    })
  }

  it('backwards in a total', () => {
    const { log, connection, shown } = bench()
    connection().count(total('errors'), 2)
    connection().count(total('errors'), -1)
    assert.deepEqual(shown(), ['errors 2'])
    assert.deepEqual(log.lines[0]?.facts, { figure: 'errors', by: '-1' })
  })

  for (const bucketsMs of [
    undefined,
    [],
    [5, 5],
    [10, 5],
    [-1, 5],
    [0, 5],
    [5, Number.POSITIVE_INFINITY],
    ['5'],
  ]) {
    it(`buckets ${JSON.stringify(bucketsMs)}: the histogram is left out`, () => {
      const { log, figures, connection } = bench()
      const each = connection()
      each.mark(0)
      each.observe(untyped({ ...RESPONSE, bucketsMs }), 1)
      each.observe(RESPONSE, 1)
      assert.deepEqual(figures.histograms()[0]?.counts, [1, 0, 0, 0])
      assert.match(reasonIn(log.lines[0]?.facts), /its buckets/)
    })
  }

  it('two histograms of one name with other buckets: the first stays', () => {
    const { log, figures, connection } = bench()
    const each = connection()
    each.mark(0)
    each.observe(RESPONSE, 1)
    each.observe({ ...RESPONSE, bucketsMs: [1, 2] }, 1)
    assert.deepEqual(
      figures.histograms().map(({ counts }) => counts),
      [[1, 0, 0, 0]],
    )
    assert.match(reasonIn(log.lines[0]?.facts), /other buckets/)
  })

  for (const [what, make] of [
    ['figures of new names', (at: number) => total(`made_up_${at}`)],
    ['figures made anew for each message', () => total('errors')],
    ['figures that are unfit', () => total('')],
  ] as const) {
    it(`more ${what} than there may be: the rest is left out, and that is said once`, () => {
      const { log, figures, connection, shown } = bench()
      const first = total('first')
      connection().count(first, 1)
      for (let at = 0; at < 3 * MOST_FIGURES; at += 1) connection().count(make(at), 1)
      connection().count(first, 1)
      assert.ok(figures.figures().length <= MOST_FIGURES)
      assert.equal(shown()[0], 'first 2', 'those that are there go on')
      assert.equal(log.lines.filter(({ message }) => /more figures/.test(message)).length, 1)
    })
  }

  it("so many that the daemon's own find no place", () => {
    const { figures, connection } = bench()
    for (let at = 0; at < 2 * MOST_FIGURES; at += 1) connection().count(total(`made_up_${at}`), 1)
    figures.countOwn(total('dial_retries'))
    assert.equal(figures.figures().at(-1)?.name, 'dial_retries')
  })

  it('more gauges than there may be, kept by a connection either', () => {
    const { connection, figures } = bench()
    const each = connection()
    for (let at = 0; at < 2 * MOST_FIGURES; at += 1) each.count({ ...TUNNELS, name: `made_up_${at}` }, 1)
    each.closed()
    assert.equal(figures.figures().length, MOST_FIGURES)
    assert.ok(figures.figures().every(({ value }) => value === 0))
  })

  it('more histograms than there may be', () => {
    const { log, figures, connection } = bench()
    const each = connection()
    each.mark(0)
    for (let at = 0; at < 2 * MOST_HISTOGRAMS; at += 1)
      each.observe({ ...RESPONSE, name: `made_up_${at}` }, 1)
    assert.equal(figures.histograms().length, MOST_HISTOGRAMS)
    assert.equal(log.lines.length, 1)
  })
})
