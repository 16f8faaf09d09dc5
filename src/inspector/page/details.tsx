/** All about the chosen link: what it is, why it is in its state, what it counts, what can happen next. */
import { computed, useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect } from 'preact/hooks'
import { isWithin, type TransitionDefinition, triggerOf } from '../shared/definition.ts'
import { COUNTER_NAMES, type LinkRow } from '../shared/protocol.ts'
import { bytesInWords, clockTime, durationInWords } from '../shared/words.ts'
import { JsonTree } from './json-tree.tsx'
import { playhead } from './replay.ts'
import { StateChip, toneOf } from './state-mark.tsx'
import { about, chosen, chosenRow, countersOf, details, machine, traffic } from './store.ts'

const Since = ({ row }: { readonly row: LinkRow }) => {
  const now = useSignal(Date.now())
  const isReplay = about.value?.mode === 'replay'
  useEffect(() => {
    if (isReplay) return
    const timer = setInterval(() => {
      now.value = Date.now()
    }, 1000)
    return () => clearInterval(timer)
  }, [isReplay, now])
  const until = isReplay ? playhead.value : now.value
  return <span title={new Date(row.since).toISOString()}>for {durationInWords(until - row.since)}</span>
}

const Fact = ({
  name,
  value,
  code = false,
}: {
  readonly name: string
  readonly value: string | null
  readonly code?: boolean
}) => (
  <div class="fact">
    <dt>{name}</dt>
    <dd>{code ? <code>{value ?? 'unknown'}</code> : (value ?? 'unknown')}</dd>
  </div>
)

const pidInWords = (pid: number | null): string =>
  pid === null ? 'not running' : pid === 0 ? 'the host' : `pid ${pid}`

const Conditions = () => (
  <ul class="conditions">
    {(details.value?.link.conditions ?? []).map(({ type, status, reason, message, lastTransitionTime }) => (
      <li key={type} data-status={status} title={`since ${lastTransitionTime}`}>
        <span class="condition-status" aria-hidden="true" />
        <b>{type}</b>
        <span class="condition-reason">{reason}</span>
        {message !== '' && <p>{message}</p>}
      </li>
    ))}
  </ul>
)

const LABELS: Readonly<Record<(typeof COUNTER_NAMES)[number], string>> = {
  connectionsOpen: 'open now',
  connectionsTotal: 'connections',
  connectionsRefused: 'refused',
  bytesUp: 'up',
  bytesDown: 'down',
  descriptorsPassed: 'descriptors',
  messages: 'messages',
  denials: 'denials',
}

const isBytes = (name: string): boolean => name.startsWith('bytes')

const Counters = ({ link }: { readonly link: string }) => {
  const counted = countersOf(link).value
  if (about.value?.mode === 'replay')
    return <p class="note">A recording holds no traffic: nothing was counted.</p>
  return (
    <>
      <dl class="counters">
        {COUNTER_NAMES.map((name, at) => {
          const value = counted?.row[at + 1]
          const rate = counted?.rates[at + 1] ?? 0
          const shown = typeof value === 'number' ? value : 0
          return (
            <div key={name} data-counter={name} data-zero={shown === 0}>
              <dd>{isBytes(name) ? bytesInWords(shown) : shown.toLocaleString('en')}</dd>
              <dt>{LABELS[name]}</dt>
              {rate > 0 && name !== 'connectionsOpen' && (
                <small>
                  {isBytes(name) ? `${bytesInWords(Math.round(rate))}/s` : `${rate.toFixed(1)}/s`}
                </small>
              )}
            </div>
          )
        })}
      </dl>
      <Traffic />
      <Figures />
    </>
  )
}

const CHART = { width: 300, height: 36 }

/** The last minute of bytes through the link. */
const Traffic = () => {
  const seen = traffic.value
  const most = Math.max(1024, ...seen)
  const points = seen.map((bytes, at) => {
    const x = CHART.width - (seen.length - 1 - at) * (CHART.width / 59)
    return `${x.toFixed(1)},${(CHART.height - 2 - (bytes / most) * (CHART.height - 6)).toFixed(1)}`
  })
  if (seen.every(bytes => bytes === 0)) return null
  return (
    <figure class="traffic">
      <svg
        viewBox={`0 0 ${CHART.width} ${CHART.height}`}
        preserveAspectRatio="none"
        role="img"
        aria-label="Bytes a second, the last minute"
      >
        <polyline points={points.join(' ')} />
      </svg>
      <figcaption>at most {bytesInWords(Math.round(most))}/s in the last minute</figcaption>
    </figure>
  )
}

/** What the link's protocol counts besides. */
const Figures = () => {
  const figures = details.value?.link.counters?.figures ?? []
  if (figures.length === 0) return null
  return (
    <dl class="figures">
      {figures.map(({ name, labels, value, help }) => {
        const label = Object.values(labels).join(' ')
        return (
          <div key={`${name} ${label}`} title={help}>
            <dt>
              {name} {label !== '' && <small>{label}</small>}
            </dt>
            <dd>{value.toLocaleString('en')}</dd>
          </div>
        )
      })}
    </dl>
  )
}

/** The transitions that the chosen link's state has, and those of the states around it. */
const possible = computed<readonly TransitionDefinition[]>(() => {
  const state = chosenRow.value?.state
  const definition = machine.value
  if (state === undefined || definition === null) return []
  return definition.transitions.filter(
    ({ from, kind }) => from !== '' && isWithin(state, from) && kind !== 'done' && kind !== 'error',
  )
})

const Next = () => (
  <ul class="next">
    {possible.value.map(transition => (
      <li key={transition.id}>
        <b>{triggerOf(transition)}</b>
        {transition.guard !== null && <span class="guard">{transition.guard}</span>}
        <span class="arrow">→</span>
        {transition.to === null ? <span class="stays">stays</span> : <StateChip state={transition.to} />}
        {transition.actions.length > 0 && <small>{transition.actions.join(', ')}</small>}
      </li>
    ))}
  </ul>
)

const Section = ({
  title,
  open = true,
  children,
}: {
  readonly title: string
  readonly open?: boolean
  readonly children: ComponentChildren
}) => (
  <details class="section" open={open}>
    <summary>{title}</summary>
    {children}
  </details>
)

const Chosen = ({ row }: { readonly row: LinkRow }) => {
  const found = details.value
  return (
    <div class="chosen" data-tone={toneOf(row.state)}>
      <div class="chosen-head">
        <h3>{row.name}</h3>
        <code class="type">{row.type}</code>
        <p>
          {row.consumer} <i>→</i> {row.provider ?? 'unknown provider'}
        </p>
        <div class="chosen-state">
          <StateChip state={row.state} />
          <Since row={row} />
          {row.attempt > 0 && <span class="attempt">{row.attempt} failed in a row</span>}
        </div>
        {row.reason !== null && <p class="reason">{row.reason}</p>}
      </div>
      {found !== null && found.link.advice.length > 0 && (
        <Section title="What to do">
          {found.link.advice.map(text => (
            <p class="advice" key={text}>
              {text}
            </p>
          ))}
        </Section>
      )}
      <Section title="Conditions">
        <Conditions />
      </Section>
      <Section title="Counters">
        <Counters link={row.key} />
      </Section>
      <Section title="What can happen next" open={false}>
        <Next />
      </Section>
      <Section title="Assigned">
        <dl class="facts">
          <Fact name="consumer" value={`${row.consumer}, ${pidInWords(row.consumerPid)}`} />
          <Fact name="provider" value={`${row.provider ?? 'unknown'}, ${pidInWords(row.providerPid)}`} />
          <Fact name="target" value={row.target} code />
          <Fact name="socket" value={row.socket} code />
          <Fact name="role" value={row.role} />
        </dl>
      </Section>
      <Section title="Context" open={false}>
        {found === null ? <p class="note">Not known any more.</p> : <JsonTree value={found.context} open />}
      </Section>
    </div>
  )
}

const Absent = ({ link }: { readonly link: string }) => (
  <div class="chosen" data-tone="absent">
    <div class="chosen-head">
      <h3>{link.split('@', 1)[0]}</h3>
      <p class="reason">
        {about.value?.mode === 'replay'
          ? `There is no such link at ${clockTime(playhead.value)}.`
          : 'The link is gone: the graph no longer has it.'}
      </p>
    </div>
  </div>
)

export const LinkDetails = () => {
  const row = chosenRow.value
  return (
    <section class="panel details" aria-label="Chosen link">
      <header class="panel-head">
        <h2>Link</h2>
      </header>
      <div class="scroll">
        {chosen.value === null ? (
          <p class="empty">
            Choose a link: in the list, in the topology, or with <kbd>j</kbd> and <kbd>k</kbd>.
          </p>
        ) : row === null ? (
          <Absent link={chosen.value} />
        ) : (
          <Chosen row={row} />
        )}
      </div>
    </section>
  )
}
