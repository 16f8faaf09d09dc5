/** Child processes of a test: whether one has ended, and running one to its end. */
import type { ChildProcess, ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

export const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

export const untilEnded = async (child: ChildProcess): Promise<void> => {
  if (!hasEnded(child)) await once(child, 'exit')
}

/** What it printed. Throws with its complaints if it fails; `command` is how it is called then. */
export const runToEnd = async (
  child: ChildProcessWithoutNullStreams,
  command: readonly string[],
): Promise<string> => {
  child.stdin.end()
  const [output, complaints] = await Promise.all([text(child.stdout), text(child.stderr), untilEnded(child)])
  if (child.exitCode !== 0) {
    throw new Error(`${command.join(' ')}: exit ${child.exitCode ?? child.signalCode}: ${complaints}`)
  }
  return output
}
