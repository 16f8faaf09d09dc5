/**
 * Inputs that once broke an invariant, as files: `fixtures/crashes/TARGET/CHECK-DIGEST.json`.
 * Written by the fuzzer, committed with the fix, and tried again in every run of the tests.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import * as t from 'io-ts'
import { E } from '../../src/fp.ts'

const CRASHES = resolve('fixtures/crashes')

const Crash = t.type({
  check: t.string,
  /** The round it was found in; from the input alone it can be tried again too. */
  seed: t.number,
  /** What did not hold then. */
  reason: t.string,
  input: t.unknown,
})
export type Crash = t.TypeOf<typeof Crash>

export interface CrashFile {
  readonly target: string
  readonly path: string
}

/** Keep it; where. The same input of a check is kept once. */
export const keepCrash = (target: string, crash: Crash, folder = CRASHES): string => {
  const digest = createHash('sha256').update(JSON.stringify(crash.input)).digest('hex').slice(0, 8)
  const path = join(folder, target, `${crash.check}-${digest}.json`)
  mkdirSync(join(folder, target), { recursive: true })
  writeFileSync(path, `${JSON.stringify(crash, null, 2)}\n`)
  return relative('.', path)
}

export const readCrash = (path: string): Crash => {
  const content: unknown = JSON.parse(readFileSync(path, 'utf8'))
  const crash = Crash.decode(content)
  if (E.isLeft(crash)) throw new Error(`${path} is no crash file: it needs check, seed, reason and input`)
  return crash.right
}

export const crashFiles = (folder = CRASHES): readonly CrashFile[] => {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true })
    .filter(entry => entry.isDirectory())
    .flatMap(({ name: target }) =>
      readdirSync(join(folder, target))
        .filter(name => name.endsWith('.json'))
        .map(name => ({ target, path: join(folder, target, name) })),
    )
}
