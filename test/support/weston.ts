/**
 * Weston without a display in a container, and its own clients anywhere. A client says each message it sends or gets
 * (WAYLAND_DEBUG), which is how a test sees it draw.
 */
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import type { TestContext } from 'node:test'
import { type Container, type Place, untilEnded } from './container.ts'
import { eventually } from './eventually.ts'
import { isInstalled, mayGoOn } from './requirements.ts'

const FOLDER = '/run/svc'
export const DISPLAY = `${FOLDER}/wayland-0`

const WANTED = { weston: 'weston', 'weston-simple-shm': 'weston', 'wayland-info': 'wayland-utils' } as const

/** Whether a test that needs Weston may go on. */
export const hasWeston = (t: TestContext): boolean => {
  const missing = Object.entries(WANTED).filter(([tool]) => !isInstalled(tool))
  const packages = [...new Set(missing.map(([, from]) => from))].join(' ')
  const what = missing.map(([tool]) => tool).join(', ')
  return mayGoOn(t, missing.length === 0 ? undefined : `needs ${what} (Debian: apt-get install ${packages})`)
}

export interface Program {
  /** All that it wrote so far. */
  readonly said: () => string
  readonly ended: () => Promise<number | null>
  /** Killed, with what runs in it, as the end of its container would do it. */
  readonly kill: () => Promise<void>
}

/** Runs a command until it ends, or standard input does: what can be killed from here is nsenter, and that may end alone. */
const GUARDED = `
exec 4<&0
"$@" </dev/null 4<&- &
command=$!
{ read -r _ <&4; kill -9 $command; } 2>/dev/null &
guard=$!
wait $command
code=$?
kill $guard 2>/dev/null
exit $code`

const run = (
  place: Place,
  variables: Readonly<Record<string, string>>,
  command: readonly string[],
): Program => {
  const settings = Object.entries(variables).map(([name, value]) => `${name}=${value}`)
  const child: ChildProcessWithoutNullStreams = place.spawn([
    ...['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/tmp', ...settings],
    ...['sh', '-c', GUARDED, 'sh', ...command],
  ])
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
  }
  child.stdin.on('error', () => undefined)
  return {
    said: () => text,
    ended: async () => {
      await untilEnded(child)
      return child.exitCode
    },
    kill: async () => {
      child.stdin.destroy()
      await untilEnded(child)
    },
  }
}

/** Returns when clients can connect. Its socket is `DISPLAY`. */
export const startWeston = async (place: Container): Promise<Program> => {
  await place.exec('mkdir', '-p', '-m', '700', FOLDER)
  const weston = run(place, { XDG_RUNTIME_DIR: FOLDER }, [
    'weston',
    '--backend=headless-backend.so',
    '--socket=wayland-0',
    '--no-config',
    '--idle-time=0',
  ])
  await eventually(
    'weston is up',
    async () => {
      await place.exec('env', `XDG_RUNTIME_DIR=${FOLDER}`, 'wayland-info')
      return true
    },
    20_000,
  )
  return weston
}

/** A client of the display at this path. */
export const startClient = (place: Place, display: string, ...command: readonly string[]): Program =>
  run(place, { XDG_RUNTIME_DIR: '/tmp', WAYLAND_DISPLAY: display, WAYLAND_DEBUG: '1' }, command)

/** How often the compositor asked it for another frame. */
export const framesOf = (client: Program): number =>
  client.said().match(/wl_callback@\d+\.done\(/g)?.length ?? 0

/** What wayland-info says of each global, by the global's interface and number. */
export const globalsAt = async (place: Container, display: string): Promise<ReadonlyMap<string, string>> => {
  const said = await place.exec('env', 'XDG_RUNTIME_DIR=/tmp', `WAYLAND_DISPLAY=${display}`, 'wayland-info')
  const blocks = said.split(/^(?=interface: )/m)
  return new Map(
    blocks.flatMap(block => {
      const [, name = '', number = ''] = /^interface: '(\w+)', .* name: +(\d+)/.exec(block) ?? []
      return name === '' ? [] : [[`${name} ${number}`, block] as const]
    }),
  )
}
