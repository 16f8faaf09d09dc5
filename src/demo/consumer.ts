/** The consumer of the demo: does what it is ordered, through the links alone, and reports what came of it. */
import { existsSync, readdirSync, statSync, writeSync } from 'node:fs'
import { connect } from 'node:net'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { E } from '../fp.ts'
import { openMemoryFile } from '../kernel/container.ts'
import { Readiness } from '../kernel/epoll.ts'
import type { OwnedFd } from '../kernel/fd.ts'
import { addCopy, beginParts, inputBytes, receiveWithRights, sendPartsTo } from '../kernel/message.ts'
import { connectToPath, openSocket } from '../kernel/socket.ts'
import { describeError } from '../model/errors.ts'
import type { Reactor, Watch } from '../reactor/contract.ts'
import {
  MESSAGE_BYTES,
  must,
  type Order,
  type PeerEvent,
  runExample,
  say,
  startReactor,
  untilInputEnds,
} from './peer.ts'
import { BUS, DISPLAY, ECHO, GREETER, RENDER, WHO } from './places.ts'

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
