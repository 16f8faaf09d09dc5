/** The terminal of a real process; the one place of the command line that touches `process`. */
import { createInterface } from 'node:readline'
import type { Terminal } from './command.ts'

export const processTerminal = (): Terminal => {
  // `pv-xconnect graph | head` closes the pipe early: that is no failure of ours.
  let closed = false
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    closed = true
  })
  return {
    out: text => void process.stdout.write(text),
    err: text => void process.stderr.write(text),
    // Asked each time: a terminal can change its size.
    get columns() {
      return process.stdout.columns
    },
    get rows() {
      return process.stdout.rows
    },
    get closed() {
      return closed
    },
    variables: process.env,
    readStdin,
    nextLine: lineReader(),
    stopAsked: () =>
      new Promise(resolve => {
        process.once('SIGINT', resolve)
        process.once('SIGTERM', resolve)
      }),
  }
}

/** Standard input is not touched before the first line is asked for. */
const lineReader = (): (() => Promise<string | null>) => {
  let lines: AsyncIterator<string> | undefined
  return async () => {
    lines ??= createInterface({ input: process.stdin })[Symbol.asyncIterator]()
    const { done, value } = await lines.next()
    return done === true ? null : value
  }
}

const readStdin = async (maxBytes: number): Promise<Buffer> => {
  const chunks: Buffer[] = []
  let total = 0
  for await (const chunk of process.stdin) {
    chunks.push(chunk)
    total += chunk.length
    if (total >= maxBytes) break
  }
  return Buffer.concat(chunks)
}
