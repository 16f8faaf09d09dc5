/** The documents say what the sources do: options, variables and errors are compared both ways, tests by their names. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { DRM_MAJOR, judge } from '../../plugins/drm/rules.ts'
import { FIGURES, RESPONSE_HEAD_TIME } from '../../plugins/rest/figures.ts'
import { REFUSALS } from '../../plugins/rest/refusals.ts'
import { FIGURES as WAYLAND_FIGURES } from '../../plugins/wayland/figures.ts'
import { VISIBLE_TO_ALL } from '../../plugins/wayland/interfaces.ts'
import { allowedOf, type Option, usageOf } from '../../src/cli/option-kinds.ts'
import { DAEMON_OPTIONS, type DaemonConfig, DEFAULT_CONFIG } from '../../src/cli/options.ts'
import { metricsText } from '../../src/control/metrics.ts'
import { CountersJson, GraphJson, LinkDetailsJson, TransitionJson } from '../../src/control/shapes.ts'
import { EVENT_CODECS } from '../../src/events/event.ts'
import { E } from '../../src/fp.ts'
import { LINE_CODECS } from '../../src/record/format.ts'
import type { Figure } from '../../src/relay/contract.ts'
import { aView, bench } from '../control/support.ts'
import { aLink } from '../support/builders.ts'
import { inRepository } from './support.ts'

const read = (path: string): string => readFileSync(inRepository(path), 'utf8')

const matchesOf = (text: string, pattern: RegExp): ReadonlySet<string> =>
  new Set([...text.matchAll(pattern)].flatMap(match => match[1] ?? []))

const sorted = (words: Iterable<string>): readonly string[] => [...words].sort()

/** Whether an option sets one of `Limits`. */
const isLimit = (option: Option<DaemonConfig>): boolean => {
  if (option.kind._tag !== 'integer') return false
  const set = option.assign(String(option.kind.max), DEFAULT_CONFIG)
  return E.isRight(set) && set.right.limits !== DEFAULT_CONFIG.limits
}

describe('docs/operations.md', () => {
  const operations = read('docs/operations.md')

  test('has a row for every option of the daemon, as --help shows it', () => {
    const rows = operations.split('\n').filter(line => line.startsWith('| `--'))
    assert.deepEqual(
      rows.map(row =>
        row
          .split('|')
          .slice(1, 5)
          .map(cell => cell.trim()),
      ),
      DAEMON_OPTIONS.map(option => [
        `\`${usageOf(option)}\``,
        `\`${option.variable}\``,
        option.show(DEFAULT_CONFIG),
        allowedOf(option.kind),
      ]),
    )
  })

  test('says of every limit what happens there, with its default', () => {
    const section = operations.slice(operations.indexOf('## Limits'), operations.indexOf('## Security'))
    const rows = section.split('\n').filter(line => /^\| .* \| `--/.test(line))
    const told = rows.map(row => row.split('|').map(cell => cell.trim()))
    for (const cells of told)
      assert.ok(cells.length === 7 && !cells.slice(1, -1).includes(''), cells.join('|'))
    assert.deepEqual(
      told.map(([, , flag, shown = '']) => [flag, /^\d+/.exec(shown)?.[0]]).sort(),
      DAEMON_OPTIONS.filter(isLimit)
        .map(option => [`\`--${option.flag}\``, option.show(DEFAULT_CONFIG)])
        .sort(),
    )
  })

  test('names no variable that does not exist', () => {
    const variables = DAEMON_OPTIONS.flatMap(({ variable }) => variable ?? [])
    assert.deepEqual(sorted(matchesOf(operations, /`(PV_XCONNECT_[A-Z_]+)/g)), sorted(variables))
  })

  /** The words in code that stand in the first cells of a section's tables. */
  const firstCells = (heading: string): ReadonlySet<string> => {
    const [, rest = ''] = operations.split(`\n${heading}\n`)
    const [section = ''] = rest.split(/^#+ /m)
    const cells = section.split('\n').flatMap(line => /^\| (`[^|]*) \|/.exec(line)?.[1] ?? [])
    return matchesOf(cells.join(' '), /`([^`]+)`/g)
  }

  test('has a row for every field of a link and of the graph, and for no other', () => {
    const [link, graph] = [LinkDetailsJson.type.props, GraphJson.type.props].map(Object.keys)
    assert.deepEqual(
      sorted(firstCells('### Fields of a link')),
      sorted(new Set([...(link ?? []), ...(graph ?? [])])),
    )
  })

  test('names every counter and every field of a transition', () => {
    for (const field of [CountersJson, TransitionJson].flatMap(shape => Object.keys(shape.type.props)))
      assert.ok(operations.includes(`\`${field}\``), field)
  })

  test('has a row for every metric with its labels, and for no other', async () => {
    const figure = { of: 'protocol', name: 'figure', help: 'F.', labels: { label: 'x' }, value: 1 } as const
    const ofProtocol = aView({
      link: aLink('proto').ofType('TYPE'),
      counters: {
        figures: [
          { ...figure, kind: 'total' },
          { ...figure, kind: 'gauge' },
          { ...figure, of: 'link', name: 'accept_pauses', labels: { reason: 'error' }, kind: 'total' },
          { ...figure, of: 'link', name: 'dial_retries', labels: { errno: 'ENOENT' }, kind: 'total' },
          { ...figure, of: 'link', name: 'datagrams_dropped', labels: {}, kind: 'total' },
          { ...figure, of: 'link', name: 'descriptors_dropped', labels: {}, kind: 'total' },
        ],
        histograms: [{ name: 'figure', help: 'F.', bucketsMs: [5], counts: [0, 1], sumMs: 6 }],
      },
    })
    const { text } = await metricsText({
      links: [aView({ counters: {} }), ofProtocol],
      graph: null,
      graphReadAt: null,
      conditions: [],
      passes: 0,
      logLinesDropped: 0,
      version: '1.2.3',
    })
    const samples = text.split('\n').filter(line => line !== '' && !line.startsWith('#'))
    const labelled = samples.map(line => {
      const [, name = '', labels = ''] = /^(\w+)(?:\{(.*)\})? /.exec(line) ?? []
      return `${name} ${[...matchesOf(labels, /(\w+)="/g)].join(', ')}`
        .replace('TYPE_figure', 'TYPE_NAME')
        .replace(', label', ", and the plugin's")
        .trim()
    })
    const rows = operations.split('\n').filter(line => /^\| `(?:pv_xconnect|process)_/.test(line))
    assert.deepEqual(
      sorted(
        rows.map(row => row.split('|').slice(1, 3).join('').replaceAll('`', '').replace(/\s+/g, ' ').trim()),
      ),
      sorted(new Set(labelled)),
    )
  })

  test('has a row for every route', async () => {
    const { body } = await bench().answer({ method: 'GET', url: '/', body: '', contentType: undefined })
    const served = matchesOf(body, /(\/[a-z-]+(?:\/KEY)?)[,.]/g)
    assert.ok(served.size > 5)
    assert.deepEqual(sorted(matchesOf(operations, /^\| `(?:GET|PUT|POST) (\S+)` \|/gm)), sorted(served))
  })

  test('has a row for every event with its fields, and for no other', () => {
    const [, section = ''] = operations.split('\n### Events\n')
    const rows = (section.split(/^#+ /m)[0] ?? '').split('\n').filter(line => line.startsWith('| `'))
    const told = rows.map(row => {
      const [, type = '', , fields = ''] = row.split('|')
      return `${sorted(matchesOf(type, /`([^`]+)`/g))}: ${sorted(matchesOf(fields, /`([^`]+)`/g))}`
    })
    const coded = Object.entries(EVENT_CODECS).map(
      ([type, codec]) => `${type}: ${sorted(Object.keys(codec.type.props).filter(name => name !== 'type'))}`,
    )
    assert.deepEqual(sorted(told), sorted(coded))
  })

  test('names every word of a refusal', () => {
    const words = matchesOf(
      ['src/control/routes.ts', 'src/control/server.ts'].map(read).join('\n'),
      /(?:refusal\(\s*\d+,\s*|error: )'([A-Z]\w+)'/g,
    )
    assert.ok(words.size > 8)
    for (const word of words) assert.ok(operations.includes(`\`${word}\``), word)
  })
})

describe('docs/rest.md', () => {
  const page = read('docs/rest.md')
  /** The cells of each row that begins so, in the tables under a heading, up to the next one. */
  const rowsOf = (heading: string, begin = '| `'): readonly (readonly string[])[] => {
    const [, rest = ''] = page.split(`\n## ${heading}\n`)
    const [section = ''] = rest.split(/^## /m)
    const rows = section.split('\n').filter(line => line.startsWith(begin))
    assert.ok(rows.length > 0, heading)
    return rows.map(row =>
      row
        .split('|')
        .slice(1, -1)
        .map(cell => cell.trim()),
    )
  }

  test('has each reason with its status, and no other', () => {
    const told = [...rowsOf('What is refused'), ...rowsOf('Answers of the daemon')].flatMap(
      ([reason, status = '']) => status.split(', ').map(one => `${reason} ${one}`),
    )
    const given = Object.values(REFUSALS).map(({ reason, status }) => `\`${reason}\` ${status}`)
    assert.deepEqual(sorted(told), sorted(given))
  })

  test('shows an answer as it is given', () => {
    const answers = Object.values(REFUSALS).map(({ answer }) =>
      Buffer.concat(answer).toString().replaceAll('\r\n', '\n'),
    )
    assert.ok(answers.some(answer => page.includes(`\`\`\`\n${answer}\n\`\`\``)))
  })

  test('has each counter with its labels, and no other', () => {
    const told = rowsOf('Counters').map(([name = '', labels]) => `${name} ${labels}`.trim())
    const errors = Object.values(REFUSALS).map(({ figure }) => figure)
    const counted = [...Object.values(FIGURES), errors].flat().map((figure: Figure) => {
      const labels = Object.keys(figure.labels ?? {}).map(label => `\`${label}\``)
      return `\`${figure.name}\`${figure.kind === 'gauge' ? ' (gauge)' : ''} ${labels.join(', ')}`.trim()
    })
    assert.deepEqual(sorted(told), sorted(new Set(counted)))
  })

  test('names the histogram by its metric', () => {
    assert.ok(page.includes(`\`pv_xconnect_link_rest_${RESPONSE_HEAD_TIME.name}_seconds\``))
  })

  test('has the default of each limit', () => {
    const [, , ...rows] = rowsOf('Limits and timeouts', '|')
    for (const [, option = '', shown = ''] of rows) {
      const [, size = '', unit = ''] = /^(\d+)(?: (KiB|s))?\b/.exec(shown) ?? []
      const known = DAEMON_OPTIONS.find(({ flag }) => option === `\`--${flag}\``)
      assert.equal(
        String(Number(size) * ({ KiB: 1024, s: 1000 }[unit] ?? 1)),
        known?.show(DEFAULT_CONFIG),
        option,
      )
    }
  })

  test('names every option of rest links, and none that does not exist', () => {
    const known = DAEMON_OPTIONS.map(({ flag }) => flag)
    const named = matchesOf(page, /`--([a-z-]+)`/g)
    for (const flag of named) assert.ok(known.includes(flag), flag)
    for (const flag of known.filter(flag => flag.startsWith('rest-'))) assert.ok(named.has(flag), flag)
  })
})

describe('docs/drm.md', () => {
  test('has the table of roles as it is', () => {
    const [, section = ''] = read('docs/drm.md').split('## Who may have what')
    const rows = section.split('\n').filter(line => /^\| .* \| (yes|no) \| (yes|no) \|$/.test(line))
    const told = rows.map(row => row.split('|').map(cell => cell.trim().replaceAll('`', '')))
    assert.deepEqual(
      told.map(([, role]) => role),
      ['master', 'render', 'any', 'admin', 'any other'],
    )
    const gets = (role: string, minor: number): string =>
      E.isRight(judge(role, '/x', { type: 'character', major: DRM_MAJOR, minor, kernelName: null }))
        ? 'yes'
        : 'no'
    for (const [, role = '', card, render] of told)
      assert.deepEqual([card, render], [gets(role, 0), gets(role, 128)], role)
  })
})

describe('docs/wayland.md', () => {
  const page = read('docs/wayland.md')
  const sectionOf = (heading: string): string => page.split(`\n## ${heading}\n`)[1]?.split(/^## /m)[0] ?? ''

  test('has every interface that everybody sees, in its group, and no other', () => {
    const groups = [...sectionOf('What everybody sees').matchAll(/^\*\*([\w ]+)\*\*: ((?:`\w+`\s+)+)/gm)]
    const told = groups.map(([, group, names = '']) => [group, [...matchesOf(names, /`(\w+)`/g)]])
    assert.deepEqual(told, Object.entries(VISIBLE_TO_ALL))
  })

  test('has each counter, and each reason of a refusal', () => {
    const counters = sectionOf('Counters')
    const figures: readonly Figure[] = Object.values(WAYLAND_FIGURES)
    assert.deepEqual(
      sorted(matchesOf(counters, /^\| `(\w+)` \|/gm)),
      sorted(new Set(figures.map(({ name }) => name))),
    )
    for (const { labels = {} } of figures) {
      for (const reason of Object.values(labels)) assert.ok(counters.includes(`\`${reason}\``), reason)
    }
  })

  test('names every option of wayland links with its default, and none that does not exist', () => {
    const limits = sectionOf('Limits')
    for (const option of DAEMON_OPTIONS.filter(({ flag }) => flag.startsWith('wayland-')))
      assert.ok(limits.includes(`\`--${option.flag}\` | ${option.show(DEFAULT_CONFIG)} |`), option.flag)
    const known = DAEMON_OPTIONS.map(({ flag }) => flag)
    for (const flag of matchesOf(page, /`--([a-z-]+)[`\s]/g)) assert.ok(known.includes(flag), flag)
  })
})

describe('docs/debugging.md', () => {
  test('has a row for every kind of line of a recording, and for no other', () => {
    const [, section = ''] = read('docs/debugging.md').split('\n## What is in a recording\n')
    assert.deepEqual(sorted(matchesOf(section, /^\| `([a-z-]+)` \|/gm)), sorted(Object.keys(LINE_CODECS)))
  })
})

describe('docs/errors.md', () => {
  const sources = [
    'src/model/errors.ts',
    'src/graph/errors.ts',
    'src/access/errors.ts',
    'src/control/errors.ts',
    'src/record/errors.ts',
    'src/inspector/errors.ts',
  ]
  const tags = matchesOf(sources.map(read).join('\n'), /_tag: '(\w+)'/g)
  const rows = read('docs/errors.md')
    .split('\n')
    .filter(line => /^\| `\w+` \|/.test(line))

  test('has a line for every tag, and no line without one', () => {
    assert.ok(tags.size > 0)
    assert.deepEqual(sorted(rows.flatMap(row => [...matchesOf(row, /^\| `(\w+)`/g)])), sorted(tags))
  })

  test('leaves no cell of a line empty', () => {
    for (const row of rows) {
      const cells = row.split('|').slice(1, -1)
      assert.equal(cells.length, 4, row)
      for (const cell of cells) assert.notEqual(cell.trim(), '', row)
    }
  })
})

describe('docs/security.md', () => {
  /** As the page writes them: what a template fills in is one sign. */
  const namesIn = (file: string): ReadonlySet<string> =>
    new Set(
      // A test is a statement of its own, or a row of several; what is awaited, or a method's, is not.
      [
        /^ *(?!describe\b)\w+\(\s*(['"`])((?:\\.|(?!\1).)+)\1\s*,/gm,
        /^ *(['"])((?:\\.|(?!\1).)+)\1:\s*(?:async\b|\w+\()/gm,
      ].flatMap(test =>
        [...read(file).matchAll(test)].map(([, , name = '']) =>
          name.replace(/\$\{[^}]*\}/g, '…').replace(/\\(.)/g, '$1'),
        ),
      ),
    )

  interface Named {
    readonly file: string
    readonly names: readonly string[]
  }

  /** In code: a file of tests, and behind it the names of some of them. */
  const namedIn = (line: string): readonly Named[] => {
    const words = [...line.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word)
    const isFile = (word: string): boolean => /^test\/\S+\.test\.ts$/.test(word)
    return words.flatMap((file, at) => {
      if (!isFile(file)) return []
      const behind = words.slice(at + 1)
      const end = behind.findIndex(isFile)
      return [{ file, names: end < 0 ? behind : behind.slice(0, end) }]
    })
  }

  const lines = read('docs/security.md').split('\n')
  const attempts = lines
    .map(line => line.split('|').map(cell => cell.trim()))
    .filter(cells => cells.length === 5 && cells[3] !== 'test' && cells[3] !== '---')

  test('names only tests that there are', () => {
    const named = lines.flatMap(namedIn)
    assert.ok(named.length > 0)
    for (const { file, names } of named) {
      assert.ok(existsSync(inRepository(file)), `there is no ${file}`)
      const there = namesIn(file)
      for (const name of names) assert.ok(there.has(name), `${file} has no test "${name}"`)
    }
  })

  test('says of every attempt what stops it and which test shows it', () => {
    assert.ok(attempts.length > 0)
    for (const [, attempt, means, shown = ''] of attempts) {
      assert.ok(attempt !== '' && means !== '', shown)
      const named = namedIn(shown)
      assert.ok(named.length > 0, `no test: ${attempt}`)
      for (const { file, names } of named) assert.ok(names.length > 0, `no test of ${file}: ${attempt}`)
    }
  })
})
