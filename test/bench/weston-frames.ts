/**
 * Weston without a display, and how many frames a second one of its clients draws at a socket. Each frame is a line of the
 * client's log of messages (WAYLAND_DEBUG) with the time on it, so a rate needs no whole number of frames.
 */
import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { untilEnded } from '../support/container.ts'
import { isInstalled } from '../support/requirements.ts'
import { isConnectable } from './probe.ts'
import type { Provider } from './program.ts'
import { until } from './until.ts'

export type FrameClient = 'weston-simple-shm' | 'weston-simple-damage'

const PATIENCE_MS = 20_000
/** A line of the log has its time in microseconds of 32 bits, written as milliseconds. */
const CLOCK_MS = 2 ** 32 / 1000
/** What is drawn first takes longer: a window appears. */
const WARM_UP_FRAMES = 10

export const hasWeston = (): boolean =>
  ['weston', 'weston-simple-shm', 'weston-simple-damage'].every(isInstalled)

/** Its socket is `wayland-0` in the folder, which is made. */
export const startWeston = async (folder: string): Promise<Provider> => {
  mkdirSync(folder, { mode: 0o700 })
  const command = [
    'weston',
    '--backend=headless-backend.so',
    '--socket=wayland-0',
    '--no-config',
    '--idle-time=0',
  ]
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...command], {
    stdio: 'ignore',
    env: { ...process.env, XDG_RUNTIME_DIR: folder },
  })
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL')
    await untilEnded(child)
  }
  try {
    await until('weston comes up', () => isConnectable(`${folder}/wayland-0`), PATIENCE_MS)
  } catch (error) {
    await stop()
    throw error
  }
  return { stop }
}

/** Frames a second over at least so many. `folder` is where the client may make its files. */
export const framesPerSecond = async (
  client: FrameClient,
  target: string,
  frames: number,
  folder: string,
): Promise<number> => {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', client], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, XDG_RUNTIME_DIR: folder, WAYLAND_DISPLAY: target, WAYLAND_DEBUG: '1' },
  })
  const at: number[] = []
  const rest: string[] = []
  try {
    await new Promise<void>((resolve, reject) => {
      const impatient = setTimeout(
        () => reject(new Error(`${client} drew ${at.length} frames`)),
        PATIENCE_MS + frames * 100,
      )
      const finish = (done: () => void): void => {
        clearTimeout(impatient)
        done()
      }
      createInterface({ input: child.stderr }).on('line', line => {
        const [, ms] = /^\[ *(\d+\.\d+)\] wl_callback@\d+\.done\(/.exec(line) ?? []
        if (ms !== undefined) at.push(Number(ms))
        else if (!line.startsWith('[')) rest.push(line)
        if (at.length > WARM_UP_FRAMES + frames) finish(resolve)
      })
      child.once('exit', () => finish(() => reject(new Error(`${client} ended: ${rest.join(' ')}`))))
    })
  } finally {
    child.kill('SIGKILL')
    await untilEnded(child)
  }
  const [first = 0, last = 0] = [at[WARM_UP_FRAMES], at.at(-1)]
  const tookMs = (last - first + CLOCK_MS) % CLOCK_MS
  return ((at.length - 1 - WARM_UP_FRAMES) * 1000) / tookMs
}
