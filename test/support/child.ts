/** Child processes of a test: whether one has ended, and running one to its end. */
import type { ChildProcess, ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

export const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

export const untilEnded = async (child: ChildProcess): Promise<void> => {
  if (!hasEnded(child)) await once(child, 'exit')
}

export interface Ended {
  /** The exit code, or the signal's name. */
  readonly code: number | string
  readonly out: string
  readonly complaints: string
}

/** Run it to its end, whatever that is. */
export const untilDone = async (child: ChildProcessWithoutNullStreams): Promise<Ended> => {
  child.stdin.end()
  const [out, complaints] = await Promise.all([text(child.stdout), text(child.stderr), untilEnded(child)])
  return { code: child.exitCode ?? child.signalCode ?? '', out, complaints }
}

/** What it printed. Throws with its complaints if it fails; `command` is how it is called then. */
export const runToEnd = async (
  child: ChildProcessWithoutNullStreams,
  command: readonly string[],
): Promise<string> => {
  const { code, out, complaints } = await untilDone(child)
  if (code !== 0) throw new Error(`${command.join(' ')}: exit ${code}: ${complaints}`)
  return out
}
