/** Numbers of processes that come round: a process under the pid that another one had (`reuse-pid.py`). */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { TestContext } from 'node:test'
import { eventually } from './eventually.ts'
import { mayGoOn, PYTHON } from './requirements.ts'

const SCRIPT = resolve('test/support/reuse-pid.py')
const NOT_ALLOWED = 77

/** The command that runs another one under that pid, once it is free. `--init`: in a pid namespace of its own. */
export const underPid = (
  pid: number,
  command: readonly string[],
  ...options: readonly '--init'[]
): readonly string[] => [PYTHON, '-S', '-B', SCRIPT, ...options, `${pid}`, ...command]

/** Whether the test may go on. If not it has been skipped, or on a build machine it has failed. */
export const canChoosePids = (t: TestContext): boolean => {
  const [program = '', ...args] = underPid(spawnSync('true').pid, ['true'])
  const refused = spawnSync(program, args).status === NOT_ALLOWED
  const needs = 'needs a kernel that lets it choose pids (clone3 with set_tid, Linux 5.5)'
  return mayGoOn(t, refused ? needs : undefined)
}

export interface Successor {
  /** Returns when it is gone. */
  kill(): Promise<void>
}

/**
 * Start a process with that pid, as soon as it is free: in our own namespaces, or in the mounts and the root of another
 * process, which is not its own.
 */
export const startUnder = async (pid: number, among?: number): Promise<Successor> => {
  const idle = ['sh', '-c', 'echo ready; exec cat >/dev/null']
  const [program = '', ...args] = underPid(
    pid,
    among === undefined ? idle : ['nsenter', '-t', `${among}`, '-m', '-r', '-w', '--', ...idle],
  )
  const child = spawn(program, args)
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  await eventually(`a process ${pid} runs`, () => said.includes('ready\n'))
  return {
    kill: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const closed = once(child, 'close')
      child.kill('SIGKILL')
      await closed
      await eventually(`there is no process ${pid}`, () => !existsSync(`/proc/${pid}`))
    },
  }
}
