/**
 * Makes fixtures/recordings anew, all of them or those that are named, as root:
 * `npm run build && npm run build:test && node build/test/recordings/main.js [NAME…]`.
 * A recording that does not replay is a bug that was just found: it is written all the same, and said.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BUILT_IN } from '../../src/built-in.ts'
import { E } from '../../src/fp.ts'
import { createCatalogue } from '../../src/plugin/catalogue.ts'
import { parseRecording } from '../../src/record/parse.ts'
import { openReplay } from '../../src/replay/replay.ts'
import { SITUATIONS } from './situations.ts'
import { recordingOf } from './stage.ts'

const FOLDER = 'fixtures/recordings'

const verdictOn = async (text: string): Promise<string> => {
  const recording = parseRecording(text)
  if (E.isLeft(recording)) return JSON.stringify(recording.left)
  const plugins = createCatalogue(BUILT_IN)
  await plugins.load(Object.keys(BUILT_IN))
  const replay = openReplay(recording.right, plugins)
  let moved = 0
  for (let step = await replay.next(); step !== undefined; step = await replay.next()) {
    moved += step.transitions.length
  }
  const [first] = replay.divergences()
  return first === undefined ? `${moved} transitions, as recorded` : JSON.stringify(first)
}

const wanted = process.argv.slice(2)
for (const situation of SITUATIONS) {
  if (wanted.length > 0 && !wanted.includes(situation.name)) continue
  const text = await recordingOf(situation)
  writeFileSync(join(FOLDER, `${situation.name}.rec`), text)
  process.stdout.write(`${situation.name}: ${text.split('\n').length - 1} lines, ${await verdictOn(text)}\n`)
}
