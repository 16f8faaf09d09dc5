/**
 * Pantavisor in a soak: answers with the graph of the moment, or misbehaves for a while. Counts the good answers, for
 * whoever has to know that the daemon has read what was said.
 */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type PvCtrl, pvCtrlAt } from '../support/pv-ctrl.ts'
import { nap, now } from './clock.ts'
import { MOST_GRAPH_BYTES } from './daemon.ts'

/** Answers one request; resolves when the whole of a good graph has been given, or rejects it by other means. */
export type Mood = (response: ServerResponse, socket: Socket, body: string) => Promise<'good' | 'bad'>

const gives = (response: ServerResponse, body: string): Promise<'good' | 'bad'> =>
  new Promise(resolve => {
    response.once('finish', () => resolve('good'))
    response.once('close', () => resolve('bad'))
    response.end(body)
  })

const WELL: Mood = (response, _, body) => {
  response.writeHead(200, { 'content-type': 'application/json' })
  return gives(response, body)
}

const says =
  (status: number, text: (body: string) => string): Mood =>
  async (response, _, body) => {
    response.writeHead(status).end(text(body))
    return 'bad'
  }

const late =
  (ms: number): Mood =>
  async (response, socket, body) => {
    await nap(ms)
    return WELL(response, socket, body)
  }

const inDrops =
  (pieces: number, pauseMs: number): Mood =>
  async (response, _, body) => {
    const length = Math.ceil(body.length / pieces)
    for (let at = 0; at + length < body.length; at += length) {
      response.write(body.slice(at, at + length))
      await nap(pauseMs)
    }
    return gives(response, body.slice(-(body.length % length || length)))
  }

/** None of these may touch a link. */
export const MOODS: Readonly<Record<string, Mood>> = {
  'status 500': says(500, body => body),
  'no array': says(200, () => '{"error":"not ready"}'),
  'half a graph': says(200, body => body.slice(0, body.length / 2)),
  'not UTF-8': async response => {
    response.writeHead(200).end(Buffer.from([0x5b, 0x22, 0xff, 0x22, 0x5d]))
    return 'bad'
  },
  nothing: says(200, () => ''),
  'too much': says(200, () => ' '.repeat(2 * MOST_GRAPH_BYTES)),
  'a hang-up': async (_, socket) => {
    socket.destroy()
    return 'bad'
  },
  'no HTTP': async (_, socket) => {
    socket.end('no HTTP\n')
    return 'bad'
  },
  'after a while': late(700),
  'in drops': inDrops(10, 60),
}

export class Pantavisor {
  readonly #ctrl: PvCtrl
  #body = '[]'
  #mood: Mood = WELL
  #goodAnswers = 0
  #wellSince = now()
  constructor(path: string) {
    this.#ctrl = pvCtrlAt(path)
    this.#ctrl.answer((response, socket) => void this.#answer(response, socket))
  }

  async #answer(response: ServerResponse, socket: Socket): Promise<void> {
    if ((await this.#mood(response, socket, this.#body)) === 'good') this.#goodAnswers += 1
  }

  get path(): string {
    return this.#ctrl.path
  }

  get goodAnswers(): number {
    return this.#goodAnswers
  }

  /** Since when it has not misbehaved; now, while it does. */
  get wellSince(): number {
    return this.#mood === WELL ? this.#wellSince : now()
  }

  says(body: string): void {
    this.#body = body
  }

  start(): Promise<void> {
    return this.#ctrl.listen()
  }

  stop(): Promise<void> {
    return this.#ctrl.stop()
  }

  async isMoody(mood: Mood, ms: number): Promise<void> {
    this.#mood = mood
    await nap(ms)
    this.#mood = WELL
    this.#wellSince = now()
  }

  async isAway(ms: number): Promise<void> {
    await this.#ctrl.stop()
    await nap(ms)
    await this.#ctrl.listen()
    this.#wellSince = now()
  }
}
