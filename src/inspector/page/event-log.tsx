/** What happened, from the oldest; in a recording, up to where its clock stands. */
import type { LogEntry } from '../shared/protocol.ts'
import { clockTime } from '../shared/words.ts'
import { logFilter, onlyChosen, shownEntries } from './happened.ts'
import { LOG_FILTER_ID } from './keyboard.ts'
import { goTo, recording } from './replay.ts'
import { toneOf } from './state-mark.tsx'
import { choose, chosen, hovered, position } from './store.ts'
import { VirtualList } from './virtual-list.tsx'

const ROW_PX = 44

const shortName = (key: string): string => key.split('@', 1)[0] ?? key

const Entry = ({ entry }: { readonly entry: LogEntry }) => (
  <button
    type="button"
    class="entry"
    data-kind={entry.kind}
    data-chosen={entry.link !== null && entry.link === chosen.value}
    data-now={position.value !== null && entry.n === position.value - 1}
    tabIndex={-1}
    title={`${new Date(entry.at).toISOString()}\n${entry.link ?? ''}\n${entry.event}\n${entry.reason}`}
    onClick={() => {
      if (entry.link !== null) choose(entry.link)
      if (recording.value !== null) goTo(entry.n + 1)
    }}
    onPointerEnter={() => {
      hovered.value = entry.link
    }}
    onPointerLeave={() => {
      hovered.value = null
    }}
  >
    <span class="entry-head">
      <time>{clockTime(entry.at)}</time>
      <b>{entry.link === null ? entry.kind : shortName(entry.link)}</b>
    </span>
    <span class="entry-what">
      {entry.kind === 'transition' ? (
        <>
          <span data-tone={toneOf(entry.from)}>{entry.from ?? 'new'}</span>
          <i>→</i>
          <span data-tone={toneOf(entry.to)}>{entry.to}</span>
        </>
      ) : (
        <b>{entry.event}</b>
      )}
      <small>{entry.reason}</small>
    </span>
  </button>
)

export const EventLog = () => {
  const entries = shownEntries.value
  return (
    <section class="panel log" aria-label="Events">
      <header class="panel-head">
        <h2>Events</h2>
        <span class="count">{entries.length}</span>
        <label class="check">
          <input
            type="checkbox"
            checked={onlyChosen}
            onChange={event => {
              onlyChosen.value = event.currentTarget.checked
            }}
          />
          chosen link
        </label>
      </header>
      <div class="search">
        <input
          id={LOG_FILTER_ID}
          type="search"
          placeholder="Filter: to:blocked kind:graph -resync"
          aria-label="Filter the events"
          spellcheck={false}
          value={logFilter}
          onInput={event => {
            logFilter.value = event.currentTarget.value
          }}
        />
        <kbd>f</kbd>
      </div>
      <VirtualList
        items={entries}
        rowPx={ROW_PX}
        label="Events"
        role="log"
        followsEnd
        keyOf={entry => entry.n}
        row={entry => <Entry entry={entry} />}
        empty={
          logFilter.value.trim() === '' && !onlyChosen.value
            ? 'Nothing has happened yet.'
            : 'No event fits the filter.'
        }
      />
    </section>
  )
}
