/** The C programs of the benchmark, compiled with the system's compiler into the build folder when a source is newer. */
import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, renameSync, statSync } from 'node:fs'
import { promisify } from 'node:util'

const SOURCES = 'test/bench'
const FOLDER = 'build/bench'
const FLAGS = ['-O2', '-Wall', '-Wextra', '-pthread']

const run = promisify(execFile)

const changedAt = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0

/** Of the program's own source, and of the headers, whichever it includes. */
const sourcesChangedAt = (source: string): number => {
  const headers = readdirSync(SOURCES).filter(name => name.endsWith('.h'))
  return Math.max(changedAt(source), ...headers.map(name => changedAt(`${SOURCES}/${name}`)))
}

/** As it calls itself; `undefined` if there is none. */
export const compilerVersion = (): Promise<string | undefined> =>
  run('cc', ['--version']).then(
    ({ stdout }) => stdout.split('\n')[0],
    () => undefined,
  )

/** The program's path. Rejects with the compiler's complaints, as where a library's headers are not installed. */
export const compiled = async (name: string, ...libraries: readonly string[]): Promise<string> => {
  const source = `${SOURCES}/${name}.c`
  const program = `${FOLDER}/${name}`
  if (changedAt(program) > sourcesChangedAt(source)) return program
  mkdirSync(FOLDER, { recursive: true })
  // Another run may be starting the same one.
  const own = `${program}.${process.pid}`
  await run('cc', [...FLAGS, '-o', own, source, ...libraries.map(library => `-l${library}`)])
  renameSync(own, program)
  return program
}
