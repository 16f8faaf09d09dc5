/** The metrics as Prometheus would read them (its text format, version 0.0.4). */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type MetricsFacts, metricsText } from '../../src/control/metrics.ts'
import type { LinkView } from '../../src/controller/links.ts'
import type { CountedFigure } from '../../src/model/figures.ts'
import { EMPTY_GRAPH } from '../../src/model/graph.ts'
import { aLink } from '../support/builders.ts'
import { aView, bench, SINCE, serving } from './support.ts'

interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

interface Family {
  readonly help: string
  readonly type: string
  readonly samples: Sample[]
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)/

const unescaped = (text: string): string =>
  text.replace(/\\([\\"n])/g, (_, char: string) => (char === 'n' ? '\n' : char))

const labelsOf = (text: string): Readonly<Record<string, string>> => {
  const labels: Record<string, string> = {}
  let rest = text
  while (rest !== '') {
    const [whole = '', name = '', value = ''] = LABEL.exec(rest) ?? []
    assert.notEqual(whole, '', `no label: ${rest}`)
    labels[name] = unescaped(value)
    rest = rest.slice(whole.length)
  }
  return labels
}

/** The metric that a line belongs to: those of a histogram are named for what they tell of it. */
const familyOf = (families: ReadonlyMap<string, Family>, name: string): Family | undefined => {
  const histogram = families.get(name.replace(/_(bucket|sum|count)$/, ''))
  return histogram?.type === 'histogram' ? histogram : families.get(name)
}

/** Strict, as a scraper is: a line that is none fails, and so does a sample that is there twice. */
const parse = (text: string, comments: string[] = []): ReadonlyMap<string, Family> => {
  const families = new Map<string, Family>()
  const helps = new Map<string, string>()
  const seen = new Set<string>()
  assert.ok(text.endsWith('\n'))
  for (const line of text.split('\n')) {
    if (line === '') continue
    const [, keyword, named = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? []
    if (keyword === 'HELP') helps.set(named, rest)
    else if (keyword === 'TYPE') {
      assert.ok(!families.has(named), `${named} is there twice`)
      families.set(named, { help: helps.get(named) ?? '', type: rest, samples: [] })
    } else if (line.startsWith('# ')) comments.push(line)
    else {
      const [name = ''] = NAME.exec(line) ?? []
      const [, inner, value] = /^(?:\{(.*)\})? (\S+)$/.exec(line.slice(name.length)) ?? []
      assert.ok(value !== undefined && Number.isFinite(Number(value)), line)
      const family = familyOf(families, name)
      assert.ok(family !== undefined, `${line}: neither HELP nor TYPE before it`)
      const labels = labelsOf(inner ?? '')
      family.samples.push({ name, labels, value: Number(value) })
      const series = JSON.stringify([name, Object.entries(labels).sort()])
      assert.ok(!seen.has(series), `${line}: is there twice`)
      seen.add(series)
    }
  }
  return families
}

const FACTS: MetricsFacts = {
  links: [
    aView({ counters: { connectionsTotal: 5, connectionsOpen: 2, bytesUp: 10, bytesDown: 20, denials: 1 } }),
    aView({ link: aLink('web'), state: 'pending.blocked' }),
    aView({ link: aLink('usb').ofType('drm'), state: 'injecting.wanted' }),
  ],
  graph: { links: [], rejected: [{ index: 0, reason: 'odd' }] },
  graphReadAt: SINCE,
  conditions: [
    { type: 'GraphAvailable', status: 'True', reason: 'Read', message: '', lastTransitionTime: 0 },
    { type: 'PolicyValid', status: 'False', reason: 'PolicyMalformed', message: '', lastTransitionTime: 0 },
  ],
  passes: 7,
  logLinesDropped: 3,
  version: '1.2.3',
}

const scraped = async (facts: Partial<MetricsFacts> = {}): Promise<ReadonlyMap<string, Family>> =>
  parse((await metricsText({ ...FACTS, ...facts })).text)

const sampleOf = (
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined =>
  families
    .get(name)
    ?.samples.find(sample => Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
    ?.value

describe('metrics', () => {
  it('are text of version 0.0.4, which every scraper reads', async () => {
    assert.equal((await metricsText(FACTS)).contentType, 'text/plain; version=0.0.4; charset=utf-8')
  })

  it('are named as Prometheus wants it: prefix, base unit, and _total for what only grows', async () => {
    for (const [name, { help, type }] of await scraped()) {
      assert.match(name, /^(pv_xconnect|process)_[a-z_]+$/)
      assert.match(help, /^[A-Z].*\.$/, name)
      assert.ok(type === 'counter' || type === 'gauge', name)
      assert.equal(name.endsWith('_total'), type === 'counter', name)
      assert.doesNotMatch(name, /_ms|milli|_kb/i)
    }
  })

  it('count links by state and type, the states in which there is none too', async () => {
    const families = await scraped()
    const count = (state: string, type: string) => sampleOf(families, 'pv_xconnect_links', { state, type })
    assert.deepEqual(
      ['pending', 'injecting', 'mediating', 'tearing-down'].map(state => [
        count(state, 'unix'),
        count(state, 'drm'),
      ]),
      [
        [1, 0],
        [0, 1],
        [1, 0],
        [0, 0],
      ],
    )
  })

  it('have the counters of each link', async () => {
    const families = await scraped()
    const link = aView().key
    const of = (name: string, labels = {}) =>
      sampleOf(families, `pv_xconnect_link_${name}`, { link, ...labels })
    assert.equal(of('connections_total'), 5)
    assert.equal(of('connections_open'), 2)
    assert.equal(of('connections_refused_total'), 0)
    assert.equal(of('bytes_total', { direction: 'up' }), 10)
    assert.equal(of('bytes_total', { direction: 'down' }), 20)
    assert.equal(of('descriptors_passed_total'), 0)
    assert.equal(of('messages_total'), 0)
    assert.equal(of('denials_total'), 1)
    assert.equal(of('mediating'), 1)
    assert.equal(of('info', { consumer: 'app', provider: 'net', name: 'api', type: 'unix', role: 'any' }), 1)
  })

  it('have the daemon itself', async () => {
    const families = await scraped()
    assert.equal(sampleOf(families, 'pv_xconnect_graph_available'), 1)
    assert.equal(sampleOf(families, 'pv_xconnect_graph_last_read_timestamp_seconds'), SINCE / 1000)
    assert.equal(sampleOf(families, 'pv_xconnect_graph_rejected_entries'), 1)
    assert.equal(sampleOf(families, 'pv_xconnect_policy_valid'), 0)
    assert.equal(sampleOf(families, 'pv_xconnect_passes_total'), 7)
    assert.equal(sampleOf(families, 'pv_xconnect_log_lines_dropped_total'), 3)
    assert.equal(sampleOf(families, 'pv_xconnect_build_info', { version: '1.2.3' }), 1)
    for (const name of ['cpu_seconds_total', 'resident_memory_bytes', 'open_fds', 'start_time_seconds']) {
      assert.ok((sampleOf(families, `process_${name}`) ?? 0) > 0, name)
    }
  })

  it('of a daemon without links, before its first graph, have no sample without its labels', async () => {
    const families = await scraped({ links: [], graph: null, graphReadAt: null, conditions: [] })
    assert.equal(families.has('pv_xconnect_links'), false)
    assert.equal(sampleOf(families, 'pv_xconnect_graph_last_read_timestamp_seconds'), 0)
    assert.equal(sampleOf(families, 'pv_xconnect_graph_available'), 0)
  })

  it('carry any name a graph may have', async () => {
    for (const name of ['a"b', 'a\\b', 'a\nb', '{},="', 'ü箱', '__proto__', '\\n']) {
      const families = await scraped({ links: [aView({ link: aLink(name).named(name), counters: {} })] })
      assert.equal(
        sampleOf(families, 'pv_xconnect_link_info', { consumer: name, name }),
        1,
        JSON.stringify(name),
      )
    }
  })

  it('two scrapes keep nothing of each other', async () => {
    await scraped()
    const families = await scraped({
      links: [aView({ link: aLink('new'), counters: { connectionsTotal: 1 } })],
    })
    assert.equal(families.get('pv_xconnect_link_connections_total')?.samples.length, 1)
    assert.equal(sampleOf(families, 'pv_xconnect_link_connections_total'), 1)
  })

  it('never go back when a link goes and comes', async () => {
    const b = await serving(aLink())
    const counted = async (): Promise<number> => {
      const { body } = await b.answer({ method: 'GET', url: '/metrics', body: '', contentType: undefined })
      return sampleOf(parse(body), 'pv_xconnect_link_connections_total') ?? -1
    }
    const [planted] = b.world.planted.values()
    assert.ok(planted !== undefined)
    Object.assign(planted.mediation, {
      counters: () => ({ ...FACTS.links[0]?.counters, connectionsTotal: 5 }),
    })
    assert.equal(await counted(), 5)
    await b.shows(EMPTY_GRAPH)
    assert.equal(await counted(), -1)
    await b.shows({ links: [aLink().build()], rejected: [] })
    assert.equal(await counted(), 5)
  })

  it('are answered before anything was read', async () => {
    const { status } = await bench().answer({
      method: 'GET',
      url: '/metrics',
      body: '',
      contentType: undefined,
    })
    assert.equal(status, 200)
  })
})

const figure = (name: string, value: number, more: Partial<CountedFigure> = {}): CountedFigure => ({
  of: 'protocol',
  name,
  help: `All ${name}.`,
  labels: {},
  kind: 'total',
  value,
  ...more,
})

const rest = (consumer: string, ...figures: readonly CountedFigure[]) =>
  aView({ link: aLink(consumer).ofType('rest'), counters: { figures } })

describe('metrics of what a protocol counts', () => {
  it('are named for the type, with the labels of the plugin behind the link', async () => {
    const view = rest(
      'app',
      figure('requests', 7),
      figure('errors', 2, { labels: { status: '404', reason: 'no_route' } }),
      figure('errors', 1, { labels: { status: '400', reason: 'bad_field' } }),
      figure('tunnels', 3, { kind: 'gauge' }),
    )
    const families = await scraped({ links: [view] })
    const link = view.key
    assert.deepEqual(families.get('pv_xconnect_link_rest_requests_total'), {
      help: 'All requests.',
      type: 'counter',
      samples: [{ name: 'pv_xconnect_link_rest_requests_total', labels: { link }, value: 7 }],
    })
    assert.deepEqual(
      families.get('pv_xconnect_link_rest_errors_total')?.samples.map(({ labels, value }) => [labels, value]),
      [
        [{ link, status: '404', reason: 'no_route' }, 2],
        [{ link, status: '400', reason: 'bad_field' }, 1],
      ],
    )
    assert.equal(families.get('pv_xconnect_link_rest_tunnels')?.type, 'gauge')
    assert.equal(sampleOf(families, 'pv_xconnect_link_rest_tunnels', { link }), 3)
  })

  it("have no type in their name where they are the daemon's own", async () => {
    const own = figure('dial_retries', 4, { of: 'link', labels: { errno: 'ENOENT' } })
    const families = await scraped({ links: [rest('app', own)] })
    assert.equal(sampleOf(families, 'pv_xconnect_link_dial_retries_total', { errno: 'ENOENT' }), 4)
  })

  it('are histograms in seconds, their buckets added up', async () => {
    const histograms = [
      { name: 'response', help: 'How long.', bucketsMs: [5, 250, 2500], counts: [3, 0, 2, 1], sumMs: 4321 },
    ]
    const view = aView({ link: aLink().ofType('rest'), counters: { histograms } })
    const family = (await scraped({ links: [view] })).get('pv_xconnect_link_rest_response_seconds')
    assert.equal(family?.type, 'histogram')
    assert.deepEqual(
      family.samples.map(({ name, labels, value }) => [
        name.replace('pv_xconnect_link_rest_response_seconds', ''),
        labels['le'],
        value,
      ]),
      [
        ['_bucket', '0.005', 3],
        ['_bucket', '0.25', 3],
        ['_bucket', '2.5', 5],
        ['_bucket', '+Inf', 6],
        ['_sum', undefined, 4.321],
        ['_count', undefined, 6],
      ],
    )
    for (const { labels } of family.samples) assert.equal(labels['link'], view.key)
  })

  it('carry any text in a label, and any help', async () => {
    for (const text of ['a"b', 'a\\b', 'a\nb', '{},="', 'ü箱', '__proto__', '\\n']) {
      const odd = figure('odd', 1, { labels: { constructor: text }, help: text })
      const families = await scraped({ links: [rest(text, odd)] })
      const [sample] = families.get('pv_xconnect_link_rest_odd_total')?.samples ?? []
      assert.deepEqual(sample?.labels, { link: rest(text).key, constructor: text })
    }
  })

  it('stay apart where links of one name count with other labels', async () => {
    const families = await scraped({
      links: [
        rest('app', figure('errors', 1), figure('errors', 2, { labels: { status: '400' } })),
        rest('web', figure('errors', 4, { labels: { reason: 'odd,status:400' } })),
      ],
    })
    assert.deepEqual(
      families.get('pv_xconnect_link_rest_errors_total')?.samples.map(({ value }) => value),
      [1, 2, 4],
    )
  })

  it('take any type that a plugin may be for, and share a name where that can be', async () => {
    const links = ['my-type', 'my.type', 'my_type'].map(type =>
      aView({ link: aLink(type).ofType(type), counters: { figures: [figure('seen', 1)] } }),
    )
    const families = await scraped({ links })
    assert.equal(families.get('pv_xconnect_link_my_type_seen_total')?.samples.length, 3)
  })

  const clashes: readonly (readonly [string, LinkView, string])[] = [
    [
      'a metric of the daemon',
      aView({
        link: aLink().ofType('connections'),
        counters: { figures: [figure('open', 99, { kind: 'gauge' })] },
      }),
      'pv_xconnect_link_connections_open',
    ],
    [
      "a figure of the daemon's own",
      aView({
        link: aLink().ofType('dial'),
        counters: { figures: [figure('retries', 99), figure('dial_retries', 4, { of: 'link' })] },
      }),
      'pv_xconnect_link_dial_retries_total',
    ],
    [
      'a figure of another kind',
      rest('app', figure('odd', 4), figure('odd_total', 99, { kind: 'gauge' })),
      'pv_xconnect_link_rest_odd_total',
    ],
    [
      'a part of a histogram',
      aView({
        link: aLink().ofType('rest'),
        counters: {
          figures: [figure('time_seconds_sum', 4, { kind: 'gauge' })],
          histograms: [{ name: 'time', help: 'H.', bucketsMs: [5], counts: [99, 0], sumMs: 99 }],
        },
      }),
      'pv_xconnect_link_rest_time_seconds',
    ],
  ]
  for (const [what, view, name] of clashes) {
    it(`give way to ${what} of the same name, and the text says so`, async () => {
      const { text } = await metricsText({ ...FACTS, links: [view] })
      const comments: string[] = []
      const families = parse(text, comments)
      for (const { samples } of families.values()) for (const { value } of samples) assert.notEqual(value, 99)
      assert.deepEqual(comments, [`# Left out, as the name means something else already: ${name}`])
    })
  }
})
