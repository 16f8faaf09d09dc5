/** The page as a whole: what stands where. */
import { useEffect, useRef } from 'preact/hooks'
import { LinkDetails } from './details.tsx'
import { EventLog } from './event-log.tsx'
import { SHORTCUTS } from './keyboard.ts'
import { LinkList } from './link-list.tsx'
import { Machine } from './machine.tsx'
import { recording } from './replay.ts'
import { StateMark } from './state-mark.tsx'
import { about, around, chosen, connection, downReason, linkFilter, STATES, stateCounts } from './store.ts'
import { nextTheme, theme } from './theme.ts'
import { TimelineBar } from './timeline-bar.tsx'
import { isSmall, Topology } from './topology.tsx'
import { type CentreView, helpOpen, view } from './views.ts'

const toggleFilter = (wanted: string): void => {
  linkFilter.value = linkFilter.peek() === wanted ? '' : wanted
}

const Counts = () => (
  <div class="states">
    {[...STATES, 'blocked'].map(state => {
      const count = stateCounts.value[state] ?? 0
      const filter = `state:${state}`
      if (state === 'blocked' && count === 0) return null
      return (
        <button
          type="button"
          key={state}
          class="state-count"
          data-tone={state}
          data-zero={count === 0}
          aria-pressed={linkFilter.value === filter}
          title={`Show the links that are ${state} alone`}
          onClick={() => toggleFilter(filter)}
        >
          <StateMark state={state === 'blocked' ? 'pending.blocked' : state} />
          <b>{count}</b>
          <span>{state}</span>
        </button>
      )
    })}
  </div>
)

const MODES = { live: 'Live', replay: 'Replay' } as const

const Mode = () => {
  const looking = about.value
  const lost = connection.value === 'lost' || connection.value === 'down'
  const words = lost ? 'Away' : looking === null ? 'Connecting' : MODES[looking.mode]
  return (
    <span class="mode" role="status" data-mode={lost ? 'lost' : (looking?.mode ?? 'connecting')}>
      <i aria-hidden="true" />
      {words}
    </span>
  )
}

const Subject = () => {
  const failing = around.value.conditions.filter(({ status }) => status === 'False')
  const { daemonState } = around.value
  return (
    <div class="subject">
      <span class="subject-name" title={`${about.value?.subject}, version ${about.value?.version}`}>
        {about.value?.subject}
      </span>
      {daemonState !== null && <span class="subject-state">{daemonState}</span>}
      {failing.map(({ type, message }) => (
        <span class="failing" key={type} title={message}>
          {type}: {message}
        </span>
      ))}
    </div>
  )
}

const VIEWS: readonly { readonly view: CentreView; readonly label: string }[] = [
  { view: 'both', label: 'Both' },
  { view: 'topology', label: 'Topology' },
  { view: 'machine', label: 'Machine' },
]

const Header = () => (
  <header class="top">
    <div class="brand">
      <svg viewBox="0 0 24 24" aria-hidden="true">
        <path d="M4 6h5c4 0 2 12 6 12h5M4 18h5c4 0 2-12 6-12h5" />
        <circle cx="4" cy="6" r="2" />
        <circle cx="4" cy="18" r="2" />
        <circle cx="20" cy="6" r="2" />
        <circle cx="20" cy="18" r="2" />
      </svg>
      <h1>
        pv-xconnect <span>inspector</span>
      </h1>
    </div>
    <Mode />
    <Subject />
    <Counts />
    <div class="tools">
      <fieldset class="segments" aria-label="What the middle shows">
        {VIEWS.map((each, at) => (
          <button
            type="button"
            key={each.view}
            aria-pressed={view.value === each.view}
            title={`${each.label} (${at + 1})`}
            onClick={() => {
              view.value = each.view
            }}
          >
            {each.label}
          </button>
        ))}
      </fieldset>
      <button
        type="button"
        class="icon"
        title={`Theme: ${theme.value} (t)`}
        aria-label={`Theme: ${theme.value}`}
        onClick={nextTheme}
      >
        <svg viewBox="0 0 16 16" aria-hidden="true">
          {theme.value === 'system' && <path d="M8 2.5a5.5 5.5 0 1 0 0 11zM8 2.5a5.5 5.5 0 0 1 0 11" />}
          {theme.value === 'light' && (
            <path d="M8 5a3 3 0 1 0 0 6a3 3 0 1 0 0-6M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1" />
          )}
          {theme.value === 'dark' && <path d="M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z" />}
        </svg>
      </button>
      <button
        type="button"
        class="icon"
        title="Keys (?)"
        aria-label="Keys"
        onClick={() => {
          helpOpen.value = true
        }}
      >
        ?
      </button>
    </div>
  </header>
)

const KEY_WORDS: Readonly<Record<string, string>> = {
  ' ': 'space',
  ArrowDown: '↓',
  ArrowUp: '↑',
  ArrowLeft: '←',
  ArrowRight: '→',
  Escape: 'Esc',
}

const Help = () => {
  const dialog = useRef<HTMLDialogElement>(null)
  const open = helpOpen.value
  useEffect(() => {
    if (open) dialog.current?.showModal()
    else dialog.current?.close()
  }, [open])
  return (
    <dialog
      ref={dialog}
      class="help"
      aria-label="Keys"
      // `close` comes later than the dialog goes: a key in between would be taken for one of its own.
      onCancel={() => {
        helpOpen.value = false
      }}
      onClose={() => {
        helpOpen.value = false
      }}
    >
      <h2>Keys</h2>
      <dl>
        {SHORTCUTS.filter(({ replayOnly }) => !replayOnly || recording.value !== null).map(
          ({ keys, what }) => (
            <div key={what}>
              <dt>
                {keys.map(key => (
                  <kbd key={key}>{KEY_WORDS[key] ?? key}</kbd>
                ))}
              </dt>
              <dd>{what}</dd>
            </div>
          ),
        )}
      </dl>
      <p>
        Filters take words, <code>-words</code> to leave out, and <code>field:word</code>: state, type,
        consumer, provider, name, role, target for links; kind, link, from, to, event for events. In a
        drawing, arrows move, <kbd>+</kbd> <kbd>-</kbd> magnify, <kbd>0</kbd> shows all of it.
      </p>
      <button
        type="button"
        onClick={() => {
          helpOpen.value = false
        }}
      >
        Close
      </button>
    </dialog>
  )
}

const Away = () => {
  if (connection.value === 'open') return null
  if (connection.value === 'connecting') return null
  const words =
    connection.value === 'down'
      ? downReason.value
      : 'The inspector does not answer: it may have ended. It is asked again.'
  return (
    <p class="away" role="alert">
      {words}
    </p>
  )
}

export const App = () => (
  <div
    class="page"
    data-halves={view.value === 'both' && chosen.value !== null}
    data-replay={recording.value !== null}
  >
    <Header />
    <Away />
    <main>
      <LinkList />
      <div class="centre" data-small={isSmall.value}>
        {view.value !== 'machine' && <Topology />}
        {(view.value === 'machine' || (view.value === 'both' && chosen.value !== null)) && <Machine />}
      </div>
      <div class="side">
        <LinkDetails />
        <EventLog />
      </div>
    </main>
    <TimelineBar />
    <Help />
  </div>
)
