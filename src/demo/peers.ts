/**
 * The two programs of the demo: a provider that answers what it is sent, and a consumer that sends what it is told to.
 * Beside them they run the example programs of other types of links (fixtures/examples), as they are, with dbus-daemon, Weston and
 * Python where there are such.
 * They talk with each other through nothing but the links, and with the demo through lines of JSON.
 */
import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readSync, statSync, writeSync } from 'node:fs'
import { connect } from 'node:net'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { E } from '../fp.ts'
import { openMemoryFile } from '../kernel/container.ts'
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
import { accept, bindHere, connectToPath, openSocket, startListening } from '../kernel/socket.ts'
import { describeError, type SyscallError } from '../model/errors.ts'
import type { Reactor, Watch } from '../reactor/contract.ts'
import { createReactor } from '../reactor/reactor.ts'
import { exampleFolder } from './program.ts'

export const PROVIDER_FOLDER = '/run/svc'
/** Nobody makes this folder: the daemon does, and removes it again. */
const CONSUMER_FOLDER = '/run/services'

export interface Place {
  readonly provider: string
  readonly consumer: string
}
/** The demo's two services, and where they are on either side of the wall. */
export const ECHO: Place = {
  provider: `${PROVIDER_FOLDER}/echo.sock`,
  consumer: `${CONSUMER_FOLDER}/echo.sock`,
}
export const GREETER: Place = {
  provider: `${PROVIDER_FOLDER}/greeter.sock`,
  consumer: `${CONSUMER_FOLDER}/greeter.sock`,
}
/** Where there is a bus to play with. */
export const BUS: Place = {
  provider: `${PROVIDER_FOLDER}/bus`,
  consumer: `${CONSUMER_FOLDER}/bus`,
}
/** Where there is a compositor to play with. */
export const DISPLAY: Place = {
  provider: `${PROVIDER_FOLDER}/wayland-0`,
  consumer: `${CONSUMER_FOLDER}/wayland-0`,
}

/** Where there is Python to play with. */
export const WHO: Place = {
  provider: `${PROVIDER_FOLDER}/who.sock`,
  consumer: `${CONSUMER_FOLDER}/who.sock`,
}
/** Nodes of a graphics device that has no driver: they look like any others. */
export const CARD: Place = { provider: `${PROVIDER_FOLDER}/card0`, consumer: '/dev/dri/card0' }
export const RENDER: Place = { provider: `${PROVIDER_FOLDER}/renderD128`, consumer: '/dev/dri/renderD128' }

const PYTHON = '/usr/bin/python3'
const DBUS_DAEMON = '/usr/bin/dbus-daemon'
const WESTON = '/usr/bin/weston'

// The containers see the same programs as the host does.

export const hasBus = (): boolean => existsSync(DBUS_DAEMON)

export const hasCompositor = (): boolean => existsSync(WESTON)

export const hasPython = (): boolean => existsSync(PYTHON)

const MESSAGE_BYTES = 64 * 1024

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

const say = (event: PeerEvent): void => {
  writeSync(1, `${JSON.stringify(event)}\n`)
}

const must = <A>(result: E.Either<SyscallError, A>): A => {
  if (E.isLeft(result)) throw new Error(describeError(result.left))
  return result.right
}

const startReactor = (): Reactor =>
  must(
    createReactor(error => {
      say({ event: 'failed', why: String(error) })
      process.exit(1)
    }),
  )

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

/** Run an example program, and hand on its lines as they come. */
const runExample = (
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

const send = (connection: OwnedFd, text: string): void => {
  const memory = must(openMemoryFile('demo'))
  writeSync(memory.borrowed, `memory of ${hostname()}`)
  beginParts()
  addCopy(Buffer.from(text))
  sendPartsTo(connection.borrowed, [memory.borrowed])
  memory.close()
}

const exchange = (reactor: Reactor, text: string): void => {
  const connection = must(openSocket('stream', ECHO.consumer))
  const connected = connectToPath(connection.borrowed, ECHO.consumer)
  if (E.isLeft(connected)) {
    connection.close()
    say({ event: 'failed', why: describeError(connected.left) })
    return
  }
  send(connection, text)
  const finish = (event: PeerEvent): void => {
    watch.close()
    connection.close()
    say(event)
  }
  const watch: Watch = reactor.watch(connection.borrowed, Readiness.in, {
    ready: () => {
      const n = receiveWithRights(connection.borrowed, 0, MESSAGE_BYTES)
      const reply = Buffer.from(inputBytes().subarray(0, Math.max(0, n))).toString()
      const inode = String(statSync(ECHO.consumer).ino)
      finish(
        n > 0
          ? { event: 'answer', text: reply, inode }
          : { event: 'failed', why: 'the connection was closed' },
      )
    },
    failed: () => finish({ event: 'failed', why: 'internal error' }),
  })
}

/** Run an example's client to its end, and report all that it said. */
const runClient = (file: string, args: readonly string[]): void => {
  const lines: string[] = []
  runExample(file, args, line => lines.push(line)).once('close', code => say({ event: 'asked', code, lines }))
}

/** What is read at once is answered by a line: the greeting that goes before us may be in that of what we say. */
const introduce = (): void => {
  const lines: string[] = []
  const connection = connect(WHO.consumer, () => connection.write('hello'))
  connection.once('error', error => say({ event: 'failed', why: String(error) }))
  createInterface({ input: connection }).on('line', line => {
    lines.push(line)
    if (!line.includes("hello' written by")) return
    connection.end()
    say({ event: 'asked', code: 0, lines })
  })
}

const listDevices = (): void => {
  const folder = dirname(RENDER.consumer)
  say({ event: 'asked', code: 0, lines: existsSync(folder) ? readdirSync(folder) : [] })
}

/** Carry out each order of standard input, and report what came of it: a text goes to the echo with a memfd. */
export const runConsumer = (): Promise<number> => {
  const reactor = startReactor()
  return untilInputEnds(reactor, line => {
    const order = JSON.parse(line) as Order
    switch (order.order) {
      case 'echo':
        exchange(reactor, order.text)
        return
      case 'ask':
        runClient('rest/consumer.mjs', [GREETER.consumer, ...order.words])
        return
      case 'visit':
        runClient('dbus/client.mjs', [BUS.consumer])
        return
      case 'introduce':
        introduce()
        return
      case 'devices':
        listDevices()
        return
      case 'look':
        runClient('wayland/globals.mjs', [DISPLAY.consumer, order.wanted])
    }
  })
}

const untilInputEnds = (reactor: Reactor, onLine: (line: string) => void): Promise<number> => {
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
