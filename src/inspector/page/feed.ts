/** The page's ears: the server's events into the store, and the chosen link's details whenever it may have changed. */
import { effect } from '@preact/signals'
import { type CounterRow, type Details, type Messages, PATHS, type Timeline } from '../shared/protocol.ts'
import { takeChanges, takeCounters, takeSnapshot } from './messages.ts'
import { chosen, chosenRow, connection, details, downReason, position, settleRates } from './store.ts'

/** The server is this build's own: what it says needs no check. */
const parse = <Name extends keyof Messages>(event: MessageEvent<string>): Messages[Name] =>
  JSON.parse(event.data)

/** EventSource comes back by itself, and is told everything anew then. */
export const listen = (onReplay: () => void): void => {
  const source = new EventSource(PATHS.events)
  source.addEventListener('snapshot', event => {
    const snapshot = parse<'snapshot'>(event)
    takeSnapshot(snapshot, Date.now())
    if (snapshot.about.mode === 'replay') onReplay()
  })
  source.addEventListener('changes', event => takeChanges(parse<'changes'>(event)))
  source.addEventListener('counters', event => {
    const rows: readonly CounterRow[] = parse<'counters'>(event)
    takeCounters(rows, Date.now())
  })
  source.addEventListener('down', event => {
    downReason.value = parse<'down'>(event).reason
    connection.value = 'down'
  })
  source.onerror = () => {
    connection.value = 'lost'
  }
  setInterval(() => settleRates(Date.now()), 1000)
}

export const fetchTimeline = async (): Promise<Timeline> => {
  const answer = await fetch(PATHS.timeline)
  if (!answer.ok) throw new Error(await answer.text())
  return answer.json()
}

/** More often than this nobody can read them. */
const APART_MS = 120

/** Asks for the details of what is chosen, again and again as it moves, and never twice at once. */
export const followChosen = (): void => {
  let asking = false
  let again = false

  const ask = async (): Promise<void> => {
    const key = chosen.peek()
    if (key === null) return
    if (asking) {
      again = true
      return
    }
    asking = true
    again = false
    const at = position.peek()
    const query = new URLSearchParams({ key, ...(at === null ? {} : { at: String(at) }) })
    const found = await fetch(`${PATHS.details}?${query}`).then(
      answer => (answer.ok ? (answer.json() as Promise<Details | null>) : null),
      () => null,
    )
    if (chosen.peek() === key) details.value = found
    setTimeout(() => {
      asking = false
      if (again || chosen.peek() !== key) void ask()
    }, APART_MS)
  }

  effect(() => {
    // What the answer depends on.
    void chosenRow.value
    void chosen.value
    void position.value
    void ask()
  })
  // Contexts change without a row's changing, and counters of a protocol's own are told nowhere else.
  setInterval(() => {
    if (position.peek() === null && connection.peek() === 'open') void ask()
  }, 2000)
}
