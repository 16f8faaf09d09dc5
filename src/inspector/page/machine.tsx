/** The machine of the chosen link as it is defined, with where the link is, what it went through, and how often. */
import { computed } from '@preact/signals'
import { isWithin } from '../shared/definition.ts'
import { canvasMeasure } from './canvas-measure.ts'
import { Drawing } from './drawing.tsx'
import type { Box } from './geometry.ts'
import { taken } from './happened.ts'
import { type EdgeDrawing, LINE, layoutMachine, NAME_LINE, type StateBox, WORDS } from './machine-layout.ts'
import { createPanZoom } from './pan-zoom.ts'
import { toneOf } from './state-mark.tsx'
import { chosenRow, machine } from './store.ts'
import { words } from './views.ts'

const measure = canvasMeasure()
const panZoom = createPanZoom()

const candidates = computed(() => {
  const definition = machine.value
  if (definition === null) return []
  const levels = words.value === 'auto' ? WORDS : [words.value]
  return levels.flatMap(level =>
    (['TB', 'LR'] as const).map(direction => layoutMachine(definition, { direction, words: level, measure })),
  )
})

/** Below this, words are hard to read: rather a part is shown, with the state in which the link is. */
const READABLE = 0.8

/** Of those that can be read the one that says most, in the direction in which it is larger; else the one of which most is seen. */
const drawing = computed(() => {
  const { width, height } = panZoom.size.value
  const fits = candidates.value.map(each => ({
    each,
    scale: Math.min(width / each.width, height / each.height),
    seen: Math.min(1, width / each.width / READABLE) * Math.min(1, height / each.height / READABLE),
    level: WORDS.indexOf(each.words),
  }))
  const readable = fits.filter(({ scale }) => scale >= READABLE)
  const most = Math.max(...readable.map(({ level }) => level))
  if (readable.length === 0) return fits.sort((a, b) => b.seen - a.seen)[0]?.each ?? null
  return readable.filter(({ level }) => level === most).sort((a, b) => b.scale - a.scale)[0]?.each ?? null
})

const bounds = computed<Box>(() => ({
  x: 0,
  y: 0,
  width: drawing.value?.width ?? 1,
  height: drawing.value?.height ?? 1,
}))

/** Where the chosen link is; in a recording it may have gone. */
const current = computed(() => chosenRow.value?.state ?? taken.value.lastEntry?.to ?? null)

/** What must be seen: the innermost state that is lit. */
const focus = computed<Box | null>(
  () => drawing.value?.states.findLast(({ state }) => state.id === current.value) ?? null,
)

const State = ({ box }: { readonly box: StateBox }) => {
  const { state, compound, lines, x, y, width, height } = box
  const lit = current.value !== null && isWithin(current.value, state.id)
  return (
    <g
      class="state"
      data-state={state.id}
      data-lit={lit}
      data-compound={compound}
      data-tone={toneOf(state.id)}
    >
      <rect class="state-back" x={x} y={y} width={width} height={height} rx={compound ? 14 : 9} />
      {state.final && (
        <rect class="state-final" x={x + 4} y={y + 4} width={width - 8} height={height - 8} rx="6" />
      )}
      {state.initial && <circle class="state-initial" cx={x + 13} cy={y + 16} r="3.5" />}
      <text class="state-name" x={x + (state.initial ? 22 : 12)} y={y + NAME_LINE}>
        {state.name}
      </text>
      {lines.map((line, at) => (
        <text
          class="state-line"
          data-kind={line.kind}
          data-taken={line.transition !== null && taken.value.last.some(({ id }) => id === line.transition)}
          key={`${line.text} ${line.transition}`}
          x={x + 12}
          y={y + NAME_LINE + (at + 1) * LINE + 3}
        >
          {line.kind === 'effect' ? `▸ ${line.text}` : line.text}
        </text>
      ))}
    </g>
  )
}

const Edge = ({ edge }: { readonly edge: EdgeDrawing }) => {
  const { label, path, transitions } = edge
  const { counts, last, lastEntry } = taken.value
  const count = transitions.reduce((sum, { id }) => sum + (counts.get(id) ?? 0), 0)
  const isLast = transitions.some(({ id }) => last.some(taken => taken.id === id))
  return (
    <g class="edge" data-edge={edge.id} data-count={count} data-last={isLast}>
      <path
        class="edge-stroke"
        d={path}
        marker-end={isLast ? 'url(#arrow-last)' : count > 0 ? 'url(#arrow-taken)' : 'url(#arrow)'}
      />
      {/* A new element for each transition, so that its animation begins anew. */}
      {isLast && <path class="edge-pulse" d={path} key={lastEntry?.n} pathLength={1} />}
      <rect
        class="edge-label-back"
        x={label.x}
        y={label.y}
        width={label.width}
        height={label.height}
        rx="6"
      />
      {label.lines.map((line, at) => (
        <text
          class="edge-line"
          data-kind={line.kind}
          key={`${at} ${line.text}`}
          x={label.x + 6}
          y={label.y + 4 + (at + 1) * LINE - 4}
        >
          {line.text}
        </text>
      ))}
      {count > 0 && (
        <g class="edge-count">
          <rect
            x={label.x + label.width - 3}
            y={label.y - 8}
            width={count > 99 ? 30 : 20}
            height="16"
            rx="8"
          />
          <text x={label.x + label.width - 3 + (count > 99 ? 15 : 10)} y={label.y + 3.5}>
            {count > 999 ? '999+' : count}
          </text>
        </g>
      )}
    </g>
  )
}

const Arrow = ({ id }: { readonly id: string }) => (
  <marker
    id={id}
    viewBox="0 0 10 10"
    refX="9"
    refY="5"
    markerWidth="7"
    markerHeight="7"
    orient="auto-start-reverse"
  >
    <path d="M0.5 1L9.5 5L0.5 9z" />
  </marker>
)

export const Machine = () => {
  const drawn = drawing.value
  const row = chosenRow.value
  const ordered = drawn === null ? [] : [...drawn.edges].sort((a, b) => weight(a) - weight(b))
  return (
    <section class="panel machine" aria-label="Machine">
      <header class="panel-head">
        <h2>Machine</h2>
        <span class="count">{row === null ? 'no link is chosen' : row.name}</span>
        <label class="check">
          words
          <select
            value={words}
            onChange={event => {
              const { value } = event.currentTarget
              words.value = WORDS.find(known => known === value) ?? 'auto'
            }}
          >
            {['auto', ...WORDS].map(each => (
              <option key={each} value={each}>
                {each}
              </option>
            ))}
          </select>
        </label>
      </header>
      <Drawing
        label={describe(current.value)}
        panZoom={panZoom}
        bounds={bounds}
        focus={focus}
        smallest={READABLE}
        class={row === null && current.value === null ? 'idle' : ''}
      >
        <defs>
          <Arrow id="arrow" />
          <Arrow id="arrow-taken" />
          <Arrow id="arrow-last" />
        </defs>
        {drawn?.states.map(box => (
          <State key={box.state.id} box={box} />
        ))}
        {ordered.map(edge => (
          <Edge key={edge.id} edge={edge} />
        ))}
      </Drawing>
    </section>
  )
}

/** What was taken lies above what was not. */
const weight = ({ transitions }: EdgeDrawing): number => {
  const { counts, last } = taken.value
  if (transitions.some(({ id }) => last.some(each => each.id === id))) return 2
  return transitions.some(({ id }) => counts.has(id)) ? 1 : 0
}

const describe = (state: string | null): string =>
  state === null ? 'The machine of a link' : `The machine of the chosen link, which is ${state}`
