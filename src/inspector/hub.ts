/**
 * Between a subject and those who look at it: the subject is watched while there is somebody, and is left alone otherwise.
 * Keeps, meanwhile, what a newcomer is told: every link, the last entries of the log, the last counters. A viewer that does
 * not keep up is told nothing more until it does, and then everything anew, so it costs one bounded queue.
 */
import type { Happening, Subject, Update, Whole } from './contract.ts'
import type { MachineDefinition } from './shared/definition.ts'
import type { Around, Changes, CounterRow, LinkRow, LogEntry, Messages, Snapshot } from './shared/protocol.ts'

export interface Viewer {
  send<Name extends keyof Messages>(name: Name, message: Messages[Name]): void
  /** Takes no more for now; calls `onReady` of the hub's when it does again. */
  isBehind(): boolean
}

export interface Hub {
  /** Returns how to leave. `ready`: to be called when a viewer that was behind can take more. */
  join(viewer: Viewer): { readonly leave: () => void; readonly ready: () => void }
  readonly viewers: () => number
}

/** As many entries as a newcomer is told; the page keeps more. */
const LOG_ENTRIES_KEPT = 2000

export const createHub = (subject: Subject, machine: MachineDefinition, most = LOG_ENTRIES_KEPT): Hub => {
  /** Those who are behind have a `true`. */
  const viewers = new Map<Viewer, boolean>()
  let links = new Map<string, LinkRow>()
  let counters = new Map<string, CounterRow>()
  let log: LogEntry[] = []
  let around: Around = { daemonState: null, conditions: [] }
  let entries = 0
  let known = false
  let down: string | undefined
  let stop: (() => void) | undefined

  const numbered = (happenings: readonly Happening[]): readonly LogEntry[] => {
    const fresh = happenings.map(happening => {
      entries += 1
      return { n: entries, ...happening }
    })
    log.push(...fresh)
    if (log.length > most) log = log.slice(-most)
    return fresh
  }

  const snapshot = (): Snapshot => ({
    about: subject.about,
    machine,
    links: [...links.values()],
    log,
    counters: [...counters.values()],
    ...around,
  })

  const tell = <Name extends keyof Messages>(name: Name, message: Messages[Name]): void => {
    for (const [viewer, missed] of viewers) {
      if (missed) continue
      viewer.send(name, message)
      if (viewer.isBehind()) viewers.set(viewer, true)
    }
  }

  const greet = (viewer: Viewer): void => {
    if (down !== undefined) viewer.send('down', { reason: down })
    else if (known) viewer.send('snapshot', snapshot())
  }

  const watcher = {
    onWhole(whole: Whole) {
      links = new Map(whole.links.map(row => [row.key, row]))
      counters = new Map()
      around = { daemonState: whole.daemonState, conditions: whole.conditions }
      // What is known already is not told twice where a subject comes back.
      const since = log.at(-1)?.at ?? Number.NEGATIVE_INFINITY
      numbered(whole.log.filter(({ at }) => at > since))
      known = true
      down = undefined
      tell('snapshot', snapshot())
    },
    onUpdate(update: Update) {
      for (const row of update.links) links.set(row.key, row)
      for (const key of update.gone) {
        links.delete(key)
        counters.delete(key)
      }
      if (update.around !== undefined) around = update.around
      const changes: Changes = {
        links: update.links,
        gone: update.gone,
        log: numbered(update.log),
        ...(update.around === undefined ? {} : { around: update.around }),
      }
      tell('changes', changes)
    },
    onCounters(rows: readonly CounterRow[]) {
      for (const row of rows) counters.set(row[0], row)
      tell('counters', rows)
    },
    onDown(reason: string) {
      down = reason
      tell('down', { reason })
    },
  }

  const leave = (viewer: Viewer): void => {
    viewers.delete(viewer)
    if (viewers.size > 0 || stop === undefined) return
    stop()
    stop = undefined
    known = false
    down = undefined
    links = new Map()
    counters = new Map()
    log = []
  }

  return {
    join(viewer) {
      viewers.set(viewer, false)
      if (stop === undefined) stop = subject.watch(watcher)
      else greet(viewer)
      return {
        leave: () => leave(viewer),
        ready: () => {
          if (viewers.get(viewer) !== true) return
          viewers.set(viewer, false)
          greet(viewer)
        },
      }
    },
    viewers: () => viewers.size,
  }
}
