/**
 * Live events as a text of server-sent events (WHATWG HTML, 9.2), for one listener after another. Promises that a listener
 * that does not read costs a bounded queue and nobody else anything: what it cannot take is left out, and how
 * much that was is the first thing it is told when it reads again.
 */
import type { StreamEvent } from './event.ts'
import type { EventHub } from './hub.ts'

/** Somebody at the other end of a connection. */
export interface Reader {
  /** `false`: it has too much to read already, and this was not taken. */
  write(text: string): boolean
  /** `again` is called when it has read everything. */
  onDrained(again: () => void): void
}

const textOf = (event: StreamEvent): string => {
  const id = 'seq' in event && event.type !== 'hello' ? `id: ${event.seq}\n` : ''
  return `${id}event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`
}

/**
 * Tell a reader who it hears, what happened after event number `since` as far as it is remembered (`null`: nothing), and from then on everything.
 * Returns how to stop.
 */
export const stream = (
  hub: EventHub,
  reader: Reader,
  hello: { readonly version: string; readonly daemonState: string },
  since: number | null,
): (() => void) => {
  let missed = 0

  const tellMissed = (): void => {
    if (missed > 0 && reader.write(textOf({ type: 'missed', count: missed }))) missed = 0
  }

  const tell = (event: StreamEvent): void => {
    tellMissed()
    if (missed > 0 || !reader.write(textOf(event))) missed += 1
  }

  tell({ type: 'hello', seq: hub.seq(), ...hello })
  if (since !== null) {
    const remembered = hub.since(since)
    const first = remembered[0]?.seq ?? hub.seq() + 1
    // A number that was never given is of another daemon, whose events nobody here knows.
    if (since < hub.seq()) missed = first - since - 1
    for (const event of remembered) tell(event)
    tellMissed()
  }
  reader.onDrained(tellMissed)
  return hub.listen(tell)
}
