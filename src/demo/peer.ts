/**
 * What the two programs of the demo have in common. They talk with each other through nothing but the links, and with the demo through
 * lines of JSON; beside them they run the example programs of other types of links (fixtures/examples), as they are.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { readdirSync, writeSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { E } from '../fp.ts'
import { describeError, type SyscallError } from '../model/errors.ts'
import type { Reactor } from '../reactor/contract.ts'
import { createReactor } from '../reactor/reactor.ts'
import { exampleFolder } from './program.ts'

/** More than any message of the demo has. */
export const MESSAGE_BYTES = 64 * 1024

/** What a peer tells the demo. */
export type PeerEvent =
  | { readonly event: 'container'; readonly name: string; readonly pid: number }
  | { readonly event: 'ready'; readonly host: string; readonly sees: readonly string[] }
  | { readonly event: 'got'; readonly text: string; readonly memory: string | null }
  | { readonly event: 'answer'; readonly text: string; readonly inode: string }
  /** The greeter saw a request. */
  | { readonly event: 'saw'; readonly request: string }
  /** The postbox was called, by the uid that the bus says. */
  | { readonly event: 'answered'; readonly call: string }
  /** An example's client has ended. */
  | { readonly event: 'asked'; readonly code: number | null; readonly lines: readonly string[] }
  | { readonly event: 'failed'; readonly why: string }

/** What the consumer is told to do. */
export type Order =
  | { readonly order: 'echo'; readonly text: string }
  | { readonly order: 'ask'; readonly words: readonly string[] }
  /** See what the bus has, and use the postbox. */
  | { readonly order: 'visit' }
  /** Say hello to who tells whom it hears. */
  | { readonly order: 'introduce' }
  /** See which graphics devices there are. */
  | { readonly order: 'devices' }
  /** See which globals there are, and try to bind one. */
  | { readonly order: 'look'; readonly wanted: string }

export const say = (event: PeerEvent): void => {
  writeSync(1, `${JSON.stringify(event)}\n`)
}

export const must = <A>(result: E.Either<SyscallError, A>): A => {
  if (E.isLeft(result)) throw new Error(describeError(result.left))
  return result.right
}

export const startReactor = (): Reactor =>
  must(
    createReactor(error => {
      say({ event: 'failed', why: String(error) })
      process.exit(1)
    }),
  )

/** Run an example program, and hand on its lines as they come. */
export const runExample = (
  file: string,
  args: readonly string[],
  onLine: (line: string) => void,
): ChildProcessByStdio<null, Readable, null> => {
  const child = spawn(process.execPath, [join(exampleFolder(), file), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  createInterface({ input: child.stdout }).on('line', onLine)
  return child
}

/** Tell the demo that it is there, then take orders, a line each, until nobody is left to give any. */
export const untilInputEnds = (reactor: Reactor, onLine: (line: string) => void): Promise<number> => {
  say({ event: 'ready', host: hostname(), sees: readdirSync('/run') })
  return new Promise(resolve => {
    createInterface({ input: process.stdin })
      .on('line', onLine)
      .on('close', () => {
        reactor.close()
        resolve(0)
      })
  })
}
