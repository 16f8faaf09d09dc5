/** The ways from a client to the provider that are held against each other. All are up at once, and idle but for one. */
import { spawn } from 'node:child_process'
import { connect } from 'node:net'
import { join } from 'node:path'
import { untilEnded } from '../support/container.ts'
import type { Entry } from '../support/pv-ctrl.ts'
import type { Role } from './contract.ts'
import { type GraphDaemon, startUp } from './graph-daemon.ts'
import { isConnectable, until } from './until.ts'

export interface Contender {
  readonly name: string
  readonly role: Role
  /** Where a client connects. */
  readonly target: string
  readonly stop: () => Promise<void>
}

export const DIRECT = 'direct'
export const SOCAT = 'socat'

const PATIENCE_MS = 10_000
/** As much as the kernel queues on a socket; its default of 8 KiB would be unfair. */
const SOCAT_BUFFER_BYTES = 256 * 1024

/** A link on the host itself: no container takes part in what is measured. */
export const hostEntry = (name: string, provider: string, target: string): Entry => ({
  type: 'unix',
  name,
  consumer: 'host',
  consumer_pid: 0,
  provider: 'host',
  provider_pid: 0,
  role: 'any',
  interface: 'unix',
  socket: provider,
  target,
})

export const direct = (provider: string): Contender => ({
  name: DIRECT,
  role: 'reference',
  target: provider,
  stop: () => Promise.resolve(),
})

/** One byte there and back: a socket may be connectable before anybody serves it. */
const carries = (target: string): Promise<boolean> =>
  new Promise(resolve => {
    const socket = connect(target)
    socket.once('data', () => socket.end(() => resolve(true)))
    socket.once('error', () => resolve(false))
    socket.write(Buffer.from('E\0\0\0\0\0\0\0x'))
  })

const untilUp = (target: string): Promise<number> =>
  until(
    'its target is there and leads to the provider',
    async () => (await isConnectable(target)) && carries(target),
    PATIENCE_MS,
  )

/** The daemon with one link of its own. */
export const linked = async (
  daemon: GraphDaemon,
  scratch: string,
  provider: string,
  position: number,
): Promise<Contender> => {
  const target = join(scratch, `target-${position}.sock`)
  const running = await startUp(
    () => daemon.start([hostEntry('bench', provider, target)]),
    () => untilUp(target),
  )
  return { name: daemon.name, role: daemon.role, target, stop: running.stop }
}

export const socat = async (scratch: string, provider: string): Promise<Contender> => {
  const target = join(scratch, 'socat.sock')
  const child = spawn(
    'setpriv',
    [
      ...['--pdeathsig', 'KILL', '--', 'socat', '-b', `${SOCAT_BUFFER_BYTES}`, '-t', '10'],
      `UNIX-LISTEN:${target},fork,backlog=4096`,
      `UNIX-CONNECT:${provider}`,
    ],
    { stdio: 'ignore' },
  )
  const stop = async (): Promise<void> => {
    child.kill()
    await untilEnded(child)
  }
  try {
    await untilUp(target)
  } catch (error) {
    await stop()
    throw error
  }
  return { name: SOCAT, role: 'tool', target, stop }
}
