/** The command line under test: in place on a terminal made of strings, or as the process that is shipped. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { type IncomingHttpHeaders, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Terminal } from '../../src/cli/command.ts'
import { main } from '../../src/cli/main.ts'

/** Tests run from `build/test/cli`. */
const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
export const inRepository = (path: string): string => join(ROOT, path)

export interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Run the command line in this process. */
export const runInPlace = async (
  args: readonly string[],
  given: {
    readonly stdin?: string
    readonly columns?: number
    readonly variables?: Terminal['variables']
  } = {},
): Promise<Ran> => {
  let out = ''
  let err = ''
  const terminal: Terminal = {
    out: text => {
      out += text
    },
    err: text => {
      err += text
    },
    ...(given.columns === undefined ? {} : { columns: given.columns }),
    variables: given.variables ?? {},
    readStdin: async () => Buffer.from(given.stdin ?? ''),
    stopAsked: () => Promise.reject(new Error('a test that serves spawns a process')),
  }
  const code = await main(args, terminal)
  return { code, out, err }
}

export interface Spawned {
  readonly child: ChildProcess
  /** What standard output holds so far. */
  out(): string
  /** Resolves when standard output contains the text; rejects when the process ends before. */
  saw(text: string): Promise<void>
  readonly ended: Promise<Ran>
}

/** Run the bundle, as installed. */
export const spawnBundle = (args: readonly string[], variables: NodeJS.ProcessEnv = {}): Spawned => {
  const child = spawn(process.execPath, [inRepository('dist/pv-xconnect.js'), ...args], {
    env: { ...withoutOurs(process.env), ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  const ended = new Promise<Ran>(resolve => child.once('close', code => resolve({ code, out, err })))
  const saw = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (out.includes(text)) resolve()
      }
      child.stdout.on('data', look)
      look()
      void ended.then(() => reject(new Error(`ended without saying ${text}: ${out}${err}`)))
    })
  return { child, out: () => out, saw, ended }
}

export const runBundle = (args: readonly string[], variables: NodeJS.ProcessEnv = {}): Promise<Ran> =>
  spawnBundle(args, variables).ended

const withoutOurs = (variables: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(variables).filter(([name]) => !name.startsWith('PV_XCONNECT_')))

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export const ask = (socketPath: string, path: string, method = 'GET'): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, method, agent: false }, response => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
      )
    })
    asked.once('error', reject)
    asked.end()
  })

export const scratchDirectory = (): { readonly path: string; remove(): void } => {
  const path = mkdtempSync(join(tmpdir(), 'pvx-cli-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}
