/**
 * What the tests of a load stand on: a folder for its sockets, its providers, and its program in C, where there is a compiler.
 * Knows neither load.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, type TestContext } from 'node:test'
import { mayGoOn } from '../support/requirements.ts'

interface Provides {
  provide(socket: string): Promise<{ stop(): Promise<unknown> }>
}

export interface LoadStage<G> {
  /** A path where nobody listens. */
  newSocket(): string
  /** Run this with a provider at a new socket, and stop it whatever happens. */
  provided(by: Provides, body: (socket: string) => Promise<void>): Promise<void>
  /** The program in C. `undefined`: there is no compiler, and the test has been skipped, or has failed. */
  inC(t: TestContext): G | undefined
}

/** To be called once for a file of tests. */
export const loadStage = <G>(compile: () => Promise<G | undefined>): LoadStage<G> => {
  let scratch = ''
  let compiled: G | undefined
  let sockets = 0

  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'pvx-load-'))
    compiled = await compile()
  })

  after(() => rmSync(scratch, { recursive: true, force: true }))

  const newSocket = (): string => {
    sockets += 1
    return join(scratch, `${sockets}.sock`)
  }

  return {
    newSocket,
    provided: async (by, body) => {
      const socket = newSocket()
      const provider = await by.provide(socket)
      try {
        await body(socket)
      } finally {
        await provider.stop()
      }
    },
    inC: t => {
      const needs = 'needs a C compiler, cc (Debian: apt-get install gcc libc6-dev)'
      mayGoOn(t, compiled === undefined ? needs : undefined)
      return compiled
    },
  }
}
