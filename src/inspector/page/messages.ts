/** What the server says, put where it belongs: links and counters into the store, events into the log. */
import { batch } from '@preact/signals'
import type { Changes, CounterRow, Snapshot } from '../shared/protocol.ts'
import { addEntries, setEntries } from './happened.ts'
import { about, around, changeRows, connection, count, machine, replaceRows } from './store.ts'

export const takeSnapshot = (snapshot: Snapshot, now: number): void =>
  batch(() => {
    about.value = snapshot.about
    machine.value = snapshot.machine
    around.value = { daemonState: snapshot.daemonState, conditions: snapshot.conditions }
    connection.value = 'open'
    // A recording's links come with its timeline.
    if (snapshot.about.mode === 'replay') return
    replaceRows(snapshot.links)
    setEntries(snapshot.log)
    for (const row of snapshot.counters) count(row, now)
  })

export const takeChanges = (changes: Changes): void =>
  batch(() => {
    if (changes.around !== undefined) around.value = changes.around
    changeRows(changes.links, changes.gone)
    addEntries(changes.log)
  })

export const takeCounters = (counted: readonly CounterRow[], now: number): void =>
  batch(() => {
    for (const row of counted) count(row, now)
  })
