/**
 * The provider of the demo: answers what it is sent, with the greeter and two device nodes beside it, and a bus with the postbox
 * on it, a compositor and an example of identity where there are such programs.
 */
import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process'
import { mkdirSync, readSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { Readiness } from '../kernel/epoll.ts'
import { closeRaw, OwnedFd } from '../kernel/fd.ts'
import {
  addCopy,
  beginParts,
  inputBytes,
  received,
  receiveWithRights,
  sendPartsTo,
} from '../kernel/message.ts'
import { accept, bindHere, openSocket, startListening } from '../kernel/socket.ts'
import type { Reactor, Watch } from '../reactor/contract.ts'
import { MESSAGE_BYTES, must, runExample, say, startReactor, untilInputEnds } from './peer.ts'
import {
  BUS,
  CARD,
  DBUS_DAEMON,
  ECHO,
  GREETER,
  hasBus,
  hasCompositor,
  hasPython,
  PROVIDER_FOLDER,
  PYTHON,
  RENDER,
  WESTON,
  WHO,
} from './places.ts'
import { exampleFolder } from './program.ts'

/** The first descriptor of the last read, as text; the rest is closed. */
const readMemory = (): string | null => {
  const [first, ...rest] = Array.from(received.fds.subarray(0, received.fdCount))
  for (const fd of rest) closeRaw(fd)
  if (first === undefined) return null
  const content = Buffer.alloc(MESSAGE_BYTES)
  const length = readSync(first, content, 0, content.length, 0)
  closeRaw(first)
  return content.toString('utf8', 0, length)
}

const answer = (connection: OwnedFd, text: string): void => {
  beginParts()
  addCopy(Buffer.from(text))
  sendPartsTo(connection.borrowed, [])
}

const serve = (reactor: Reactor, connection: OwnedFd): void => {
  const close = (): void => {
    watch.close()
    connection.close()
  }
  const watch: Watch = reactor.watch(connection.borrowed, Readiness.in, {
    ready: () => {
      const n = receiveWithRights(connection.borrowed, 0, MESSAGE_BYTES)
      if (n <= 0) {
        close()
        return
      }
      const text = Buffer.from(inputBytes().subarray(0, n)).toString()
      const memory = readMemory()
      say({ event: 'got', text, memory })
      answer(
        connection,
        `${hostname()} read ${n} bytes${memory === null ? '' : ` and ${memory.length} from the memfd`}`,
      )
    },
    failed: close,
  })
}

const startGreeter = (): ChildProcessByStdio<null, Readable, null> =>
  runExample('rest/provider.mjs', [GREETER.provider], request => say({ event: 'saw', request })).once(
    'close',
    code => say({ event: 'failed', why: `the greeter ended with ${code}` }),
  )

/** A bus of its own with the postbox on it; resolves when that is there. Both end with this container. */
const startBus = (): Promise<void> => {
  const config = join(exampleFolder(), 'dbus/rootfs/etc/dbus-1/system.conf')
  // What it says of refusals its clients are told, too.
  spawn(DBUS_DAEMON, [`--config-file=${config}`, `--address=unix:path=${BUS.provider}`, '--nofork'], {
    stdio: 'ignore',
  })
  return new Promise(resolve => {
    let isThere = false
    runExample('dbus/service.mjs', [BUS.provider], line => {
      // Its first line says that it is on the bus.
      if (isThere) say({ event: 'answered', call: line })
      isThere = true
      resolve()
    }).once('close', code => say({ event: 'failed', why: `the postbox ended with ${code}` }))
  })
}

/** Without a display, and with all that it has: by itself it lets nobody take screenshots. What it says is of no interest here, and neither is its end: who plays with it would notice. */
const startCompositor = (): void => {
  const child = spawn(
    WESTON,
    ['--backend=headless-backend.so', '--socket=wayland-0', '--no-config', '--idle-time=0', '--debug'],
    { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, XDG_RUNTIME_DIR: PROVIDER_FOLDER } },
  )
  for (const stream of [child.stdout, child.stderr]) stream.resume()
}

/** It says to whoever comes what it was told of him. */
const startWho = (): void => {
  spawn(PYTHON, [join(exampleFolder(), 'identity/provider.py'), WHO.provider], { stdio: 'ignore' })
}

const makeDevices = (): void => {
  execFileSync('mknod', ['-m', '660', CARD.provider, 'c', '226', '0'])
  execFileSync('mknod', ['-m', '666', RENDER.provider, 'c', '226', '128'])
}

/** Listen in this container and answer every message until standard input ends. */
export const runProvider = async (): Promise<number> => {
  mkdirSync(PROVIDER_FOLDER, { recursive: true, mode: 0o700 })
  process.chdir(PROVIDER_FOLDER)
  const reactor = startReactor()
  const listener = must(openSocket('stream', ECHO.provider))
  must(bindHere(listener.borrowed, 'echo.sock', ECHO.provider))
  must(startListening(listener.borrowed, 16, ECHO.provider))
  reactor.watch(listener.borrowed, Readiness.in, {
    ready: () => {
      const fd = accept(listener.borrowed)
      if (fd >= 0) serve(reactor, new OwnedFd(fd))
    },
    failed: () => process.exit(1),
  })
  const greeter = startGreeter()
  if (hasBus()) await startBus()
  if (hasCompositor()) startCompositor()
  if (hasPython()) startWho()
  makeDevices()
  const code = await untilInputEnds(reactor, () => undefined)
  greeter.removeAllListeners('close').kill()
  return code
}
