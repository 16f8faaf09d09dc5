/**
 * Both ends of HTTP over a link, byte by byte (`peers/rest.py`): a raw client, and a provider that a test leads line by
 * line, or that answers by itself and records what it got. Texts are bytes in latin-1. Knows nothing of links.
 */
import * as t from 'io-ts'
import type { Place } from './container.ts'
import { type Peer, peerOf, startPeerProcess } from './peer.ts'

/** Longer than any answer of the daemon that a test waits for. */
const PATIENCE_MS = 20_000

const Told = t.type({
  /** All that came, but for what is beyond 256 KiB. */
  text: t.string,
  bytes: t.number,
  /** What followed the first head. */
  body: t.type({ bytes: t.number, sha256: t.string }),
  /** `open`, `half-close`, `close` (the other side cannot hear us either), or the errno's name. */
  ended: t.string,
  /** From the first byte to the end. */
  tookMs: t.number,
})
export type Told = t.TypeOf<typeof Told>

const Recorded = t.intersection([
  Told,
  /** `sent`: the checksums of the bodies that were sent back. */
  t.type({ sent: t.array(t.string), open: t.boolean }),
])
export type Recorded = t.TypeOf<typeof Recorded>

const Nothing = t.type({})
const Count = t.type({ count: t.number })
const Text = t.type({ text: t.string })
const Yes = t.type({ yes: t.boolean })
const Answers = t.type({ answers: t.record(t.string, t.number) })

/** One connection, at a test's end of it. */
export interface Line {
  readonly name: string
  write(text: string, descriptors?: readonly string[]): Promise<void>
  /** Until the mark came so often, else until the end. All that came. */
  hears(mark: string, times?: number): Promise<Told>
  /** Until so many bytes followed the first head, else until the end. */
  hearsBody(bytes: number): Promise<Told>
  hearsToEnd(): Promise<Told>
  /** All that came so far. */
  heard(): Promise<Told>
  /** What the other side did with the line, whatever of it was read: `open`, `half-close` or `close`. */
  state(): Promise<string>
  halfClose(): Promise<void>
  close(): Promise<void>
  /** A byte at a time until the other side says something or is gone: how many it took. */
  drip(text: string, everyMs: number): Promise<number>
}

export interface HttpPeer extends Peer {
  /** A new connection to a path. */
  line(path: string): Promise<Line>
  /** The next connection that a listener gets. */
  accepts(listener: string): Promise<Line>
  /** So many connections at once, each with these bytes and read to its end: how often which answer came. */
  askMany(path: string, text: string, count: number): Promise<Readonly<Record<string, number>>>
  backlogIsFull(path: string): Promise<boolean>
  /** What the connections of a listener that serves `http` brought, from the so-manieth on. */
  recorded(listener: string, since?: number): Promise<readonly Recorded[]>
  /** Every line that is still open. */
  closeLines(): Promise<void>
}

export const startHttpPeer = async (place: Place): Promise<HttpPeer> => {
  const program = await startPeerProcess(place, 'rest.py')
  const { ask } = program
  const peer = peerOf(place, program)
  const open = new Set<Line>()
  let lastLine = 0

  const hangUp = (name: string): Promise<unknown> => ask(Nothing, 'hang_up', { name })
  const nextName = (): string => {
    lastLine += 1
    return `line ${lastLine}`
  }
  const lineOf = (name: string): Line => {
    const line: Line = {
      name,
      write: async (text, descriptors = []) => {
        await ask(Nothing, 'write', { name, text, descriptors }, PATIENCE_MS)
      },
      hears: (mark, times = 1) => ask(Told, 'hear', { name, mark, times }, PATIENCE_MS),
      hearsBody: bytes => ask(Told, 'hear_body', { name, size: bytes }, 2 * PATIENCE_MS),
      hearsToEnd: () => ask(Told, 'hear_to_end', { name }, PATIENCE_MS),
      heard: () => ask(Told, 'heard', { name }),
      state: async () => (await ask(Text, 'state_of', { name })).text,
      halfClose: async () => {
        await peer.shutdown(name, 'write')
      },
      close: async () => {
        open.delete(line)
        await hangUp(name)
      },
      drip: async (text, everyMs) =>
        (await ask(Count, 'drip', { name, text, every_ms: everyMs }, text.length * everyMs + PATIENCE_MS))
          .count,
    }
    open.add(line)
    return line
  }

  return {
    ...peer,
    line: async path => {
      const name = nextName()
      await peer.connect(name, path)
      return lineOf(name)
    },
    accepts: async listener => {
      const name = nextName()
      await peer.accept(listener, name)
      return lineOf(name)
    },
    askMany: async (path, text, count) =>
      (await ask(Answers, 'ask_many', { path, text, count }, 2 * PATIENCE_MS)).answers,
    backlogIsFull: async path => (await ask(Yes, 'backlog_is_full', { path })).yes,
    recorded: async (listener, since = 0) =>
      (await ask(t.type({ connections: t.array(Recorded) }), 'recorded', { listener, since })).connections,
    closeLines: async () => {
      // Those of a peer that is gone were closed with it.
      await Promise.allSettled([...open].map(line => line.close()))
    },
  }
}
