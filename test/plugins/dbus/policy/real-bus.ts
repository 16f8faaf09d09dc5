/**
 * What a real dbus-daemon makes of a configuration: whether it starts with it, and what becomes of messages. Its clients are in
 * `test/support/peers/bus-parties.py`.
 */
import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PYTHON } from '../../../support/requirements.ts'
import { NAMES, type PartyMessage, USERS } from './policies.ts'

const DAEMON = '/usr/bin/dbus-daemon'
const PATIENCE_MS = 60_000
const PARTIES = 'test/support/peers/bus-parties.py'

export interface Outcome {
  readonly connected: readonly boolean[]
  readonly owned: readonly (readonly string[])[]
  /** `null`: it could not be sent, because an end of it is not there. */
  readonly delivered: readonly (boolean | null)[]
}

/** A folder of the bus's own, removed when `use` is done. */
const inFolder = async <A>(use: (folder: string) => Promise<A>): Promise<A> => {
  const folder = mkdtempSync(join(tmpdir(), 'pvx-bus-'))
  // Its clients are other users.
  chmodSync(folder, 0o755)
  try {
    return await use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** It prints its address when it listens, and ends when it has none of what it needs. */
const withBus = async <A>(config: string, use: (started: boolean) => Promise<A>): Promise<A> => {
  const bus = spawn(DAEMON, [`--config-file=${config}`, '--nofork', '--nopidfile', '--print-address'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const ended = new Promise<void>(resolve => bus.once('exit', () => resolve()))
  const started = await new Promise<boolean>(resolve => {
    bus.stdout.once('data', () => resolve(true))
    bus.once('exit', () => resolve(false))
  })
  try {
    return await use(started)
  } finally {
    bus.kill('SIGKILL')
    await ended
  }
}

export const configOf = (socket: string, policies: string): string =>
  `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path=${socket}</listen>
${policies}
</busconfig>
`

/** `asked` as the clients take it; rejects with their complaint. */
const runParties = (asked: object): Promise<Outcome> =>
  new Promise((resolve, reject) => {
    const clients = spawn(PYTHON, [PARTIES], { stdio: ['pipe', 'pipe', 'pipe'], timeout: PATIENCE_MS })
    let said = ''
    let complaint = ''
    clients.stdout.on('data', chunk => {
      said += chunk
    })
    clients.stderr.on('data', chunk => {
      complaint += chunk
    })
    clients.once('close', code => {
      if (code === 0) resolve(JSON.parse(said))
      else reject(new Error(`the clients of the bus ended with ${code}: ${complaint}`))
    })
    clients.stdin.end(JSON.stringify(asked))
  })

/** What becomes of these messages on a bus with these policies. */
export const outcomeOf = (policies: string, messages: readonly PartyMessage[]): Promise<Outcome> =>
  inFolder(folder => {
    const config = join(folder, 'bus.conf')
    const socket = join(folder, 'socket')
    writeFileSync(config, configOf(socket, policies))
    return withBus(config, async started => {
      if (!started) throw new Error(`dbus-daemon does not start with:\n${policies}`)
      const parties = USERS.map((user, index) => ({ ...user, socket, names: NAMES[index] ?? [] }))
      return await runParties({ parties, messages })
    })
  })

/** Whether dbus-daemon starts with a file of this text, where `@LISTEN@` stands for an address. */
export const startsWith = (text: string): Promise<boolean> =>
  inFolder(folder => {
    const config = join(folder, 'bus.conf')
    writeFileSync(config, text.replaceAll('@LISTEN@', `unix:path=${join(folder, 'socket')}`))
    return withBus(config, started => Promise.resolve(started))
  })
