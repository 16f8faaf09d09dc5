/** Recordings: any file is taken or refused in words, one that was cut off is what it was until then, and all can be replayed. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import * as t from 'io-ts'
import { E } from '../../../src/fp.ts'
import { createCatalogue } from '../../../src/plugin/catalogue.ts'
import { LINE_CODECS, type Recording } from '../../../src/record/format.ts'
import { parseRecording } from '../../../src/record/parse.ts'
import { openReplay } from '../../../src/replay/replay.ts'
import { inRepository } from '../../cli/support.ts'
import { entryTexts } from '../graphs.ts'
import { arrayText, KeptBytes, mutated } from '../json-text.ts'
import { check, targetOf } from '../target.ts'

const FOLDER = inRepository('fixtures/recordings')

const FIXTURES: readonly string[] = readdirSync(FOLDER)
  .filter(name => name.endsWith('.rec'))
  .map(name => readFileSync(join(FOLDER, name), 'utf8'))

/** A few lines tell as much as many, and are made small sooner. */
const MOST_LINES = 60

const fixture = fc.constantFrom(...FIXTURES.map(text => text.split('\n').slice(0, MOST_LINES).join('\n')))

/** Past this a replay is told to go no further: time alone goes on as long as somebody writes. */
const MOST_STEPS = 2000
const LATEST_MS = 10 * 60_000

const odd = fc.oneof(
  entryTexts(4).map(texts => JSON.stringify({ kind: 'graph', body: arrayText(texts) })),
  fc.constantFrom(...Object.keys(LINE_CODECS)).map(kind => JSON.stringify({ kind })),
  fc.constantFrom(
    '{"kind":"same-graph"}',
    '{"kind":"process-exited","pid":100}',
    '{"kind":"signal","signal":"SIGHUP"}',
    '{"kind":"signal","signal":"SIGTERM"}',
    '{"kind":"reconcile-asked"}',
    '{"kind":"policy","text":null}',
    '{"kind":"policy","text":"{\\"default\\":\\"deny\\"}"}',
    '{"kind":"clock","wall":-1}',
    '{"kind":"clock","wall":1e300}',
    '{"kind":"joined","links":{"__proto__":"mediating.steady"}}',
    '{"kind":"end"}',
    '{"kind":"__proto__"}',
  ),
)

const Line = t.type({ text: t.string, afterMs: t.number })

const Kept = t.type({ header: t.string, lines: t.readonlyArray(Line) })
type Kept = t.TypeOf<typeof Kept>

const timeOf = (line: string): number => {
  const [, time = '0'] = /"t":(\d+)/.exec(line) ?? []
  return Number(time)
}

/** Lines of a real one: some left out, given twice or out of their order, others put between. */
const shuffled: fc.Arbitrary<Kept> = fc
  .tuple(
    fixture,
    fc.array(fc.tuple(fc.nat(MOST_LINES), fc.constantFrom('drop', 'twice', 'swap', 'odd'), odd), {
      maxLength: 6,
    }),
  )
  .map(([text, changes]) => {
    const [header = '', ...rest] = text.split('\n').filter(line => line !== '')
    const lines = rest.map((line, index) => ({
      text: line,
      afterMs: timeOf(line) - timeOf(rest[index - 1] ?? ''),
    }))
    for (const [place, change, other] of changes) {
      const at = place % (lines.length + 1)
      const line = lines[at]
      if (change === 'odd' || line === undefined) lines.splice(at, 0, { text: other, afterMs: place })
      else if (change === 'drop') lines.splice(at, 1)
      else if (change === 'twice') lines.splice(at, 0, line)
      else lines.splice(at, 2, ...lines.slice(at, at + 2).reverse())
    }
    return { header, lines }
  })

const textOf = ({ header, lines }: Kept): string => {
  let time = 0
  const timed = lines.map(({ text, afterMs }) => {
    time = Math.min(LATEST_MS, time + Math.max(0, afterMs))
    return text.replace(/^\{(?:"t":\d+,)?/, `{"t":${time},`)
  })
  return [header, ...timed].join('\n')
}

const anyFileIsAnswered = (bytes: Uint8Array): void => {
  const text = Buffer.from(bytes).toString()
  const parsed = parseRecording(text)
  if (E.isLeft(parsed)) return
  const { lines, torn } = parsed.right
  assert.ok(
    lines.every(({ line }, index) => line.t >= (lines[index - 1]?.line.t ?? 0)),
    'time goes back',
  )
  if (torn || text.startsWith('[')) return
  // Whatever is cut off its end, it is what it was until then.
  const cut = parseRecording(text.slice(0, text.length - Math.min(40, text.length >> 1)))
  if (E.isRight(cut)) assert.deepEqual(cut.right.lines, lines.slice(0, cut.right.lines.length))
}

const played = async (recording: Recording): Promise<readonly string[]> => {
  const replay = openReplay(recording, createCatalogue({}))
  const steps: string[] = []
  while (steps.length < MOST_STEPS) {
    const step = await replay.next()
    if (step === undefined) break
    steps.push(JSON.stringify([step.t, step.transitions]))
  }
  steps.push(JSON.stringify(replay.divergences()))
  return steps
}

const isReplayedTheSame = async (kept: Kept): Promise<void> => {
  const parsed = parseRecording(textOf(kept))
  if (E.isLeft(parsed)) return
  assert.deepEqual(await played(parsed.right), await played(parsed.right))
}

export const target = targetOf('recording', 'recordings, and their replay', [
  check({
    name: 'file',
    inputs: mutated(fixture.map(text => Buffer.from(text))),
    kept: KeptBytes,
    tries: 200,
    holds: anyFileIsAnswered,
  }),
  check({ name: 'replay', inputs: shuffled, kept: Kept, tries: 30, holds: isReplayedTheSame }),
])
