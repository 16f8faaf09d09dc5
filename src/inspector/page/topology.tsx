/** Containers and the links between them, each link in the colour of its state. */
import { computed, signal, useSignalEffect } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { topologyOf } from '../shared/topology.ts'
import { canvasMeasure } from './canvas-measure.ts'
import { Drawing } from './drawing.tsx'
import { type Box, overlaps } from './geometry.ts'
import { createPanZoom } from './pan-zoom.ts'
import { toneOf } from './state-mark.tsx'
import {
  choose,
  chosen,
  connection,
  countersOf,
  foremost,
  hovered,
  isInFocus,
  isLeftOut,
  knownLinks,
  rowOf,
  somethingInFocus,
} from './store.ts'
import { type Card, HEADER, type Line, layoutTopology, ROW } from './topology-layout.ts'

const measure = canvasMeasure()
const panZoom = createPanZoom()

const shape = (): number => {
  const { width, height } = panZoom.size.peek()
  return width > 1 && height > 1 ? width / height : 1
}

const drawing = computed(() => {
  const links = knownLinks.value
  const byKey = new Map(links.map(row => [row.key, row]))
  return layoutTopology(
    topologyOf(links),
    key => {
      const row = byKey.get(key)
      return { name: row?.name ?? key, type: row?.type ?? '' }
    },
    measure,
    // As it is now: to lay everything out anew whenever the window changes would confuse more than help.
    shape(),
  )
})
const bounds = computed(() => drawing.value.bounds)

/** It needs little room: what else is shown may have the rest. */
export const isSmall = computed(() => bounds.value.height < SMALL_PX)
const SMALL_PX = 240

/** Below this, words could not be read: they are left out. */
const READABLE = 0.55
const coarse = computed(() => panZoom.view.value.scale < READABLE)

/** Grown, so that what is to be drawn changes only now and then while the drawing is moved. */
const GRAIN = 400

const visibleBox = computed<Box>(() => {
  const { x, y, scale } = panZoom.view.value
  const { width, height } = panZoom.size.value
  const grain = GRAIN / scale
  const left = Math.floor(-x / scale / grain) - 1
  const top = Math.floor(-y / scale / grain) - 1
  const columns = Math.ceil(width / scale / grain) + 3
  const rows = Math.ceil(height / scale / grain) + 3
  return { x: left * grain, y: top * grain, width: columns * grain, height: rows * grain }
})

/** Compared by what it says, or every movement would draw everything anew. */
const visibleKey = computed(() => JSON.stringify(visibleBox.value))
const visible = computed(() => {
  visibleKey.value
  const box = visibleBox.peek()
  const { cards, lines } = drawing.value
  return {
    cards: cards.filter(card => overlaps(card, box)),
    lines: lines.filter(line => overlaps(line, box)),
  }
})

/** What a link looks like beside the others; whether any stands out is told by what is around them all. */
const emphasis = (key: string): string => {
  if (isInFocus(key).value) return 'strong'
  return isLeftOut(key).value ? 'faint' : 'plain'
}

const BYTES_UP = 4
const BYTES_DOWN = 5

/** More lines than these hide one another: those that are up step back. */
const MANY = 150

const LinkLine = ({ line }: { readonly line: Line }) => {
  const { key } = line.edge
  const state = rowOf(key).value?.state ?? null
  const rates = countersOf(key).value?.rates
  const flows = (rates?.[BYTES_UP] ?? 0) + (rates?.[BYTES_DOWN] ?? 0) > 0
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: links are chosen by keys in their list
    <g
      class="line"
      data-key={key}
      data-tone={toneOf(state)}
      data-emphasis={emphasis(key)}
      onClick={event => {
        event.stopPropagation()
        choose(key)
      }}
      onPointerEnter={() => {
        hovered.value = key
      }}
      onPointerLeave={() => {
        hovered.value = null
      }}
    >
      <path class="line-reach" d={line.path} />
      <path class="line-stroke" d={line.path} />
      {flows && <path class="line-flow" d={line.path} />}
    </g>
  )
}

const UseRow = ({
  card,
  id,
  text,
  type,
  y,
}: {
  readonly card: Card
  readonly id: string
  readonly text: string
  readonly type: string
  readonly y: number
}) => {
  const tone = toneOf(rowOf(id).value?.state)
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: links are chosen by keys in their list
    <g
      class="card-row"
      data-tone={tone}
      data-emphasis={emphasis(id)}
      onClick={event => {
        event.stopPropagation()
        choose(id)
      }}
      onPointerEnter={() => {
        hovered.value = id
      }}
      onPointerLeave={() => {
        hovered.value = null
      }}
    >
      <rect
        class="card-row-back"
        x={card.x + 4}
        y={card.y + y - ROW / 2}
        width={card.width - 8}
        height={ROW}
        rx="5"
      />
      <rect
        class="card-row-bar"
        x={card.x + 10}
        y={card.y + y - 4}
        width={card.width - 26}
        height="8"
        rx="4"
      />
      <text class="row-name" x={card.x + 14} y={card.y + y + 4}>
        {text}
      </text>
      <text class="row-type" x={card.x + card.width - 16} y={card.y + y + 4}>
        {type}
      </text>
      <circle class="port" cx={card.x + card.width} cy={card.y + y} r="4.5" />
    </g>
  )
}

const ContainerCard = ({ card }: { readonly card: Card }) => (
  <g class="card" data-container={card.name}>
    <rect class="card-back" x={card.x} y={card.y} width={card.width} height={card.height} rx="10" />
    <text
      class="card-name"
      x={card.x + 12}
      y={card.y + 20}
      style={{ '--afar': `${card.nameSize.toFixed(1)}px` }}
    >
      {card.name}
    </text>
    <line
      class="card-rule"
      x1={card.x}
      x2={card.x + card.width}
      y1={card.y + HEADER - 2}
      y2={card.y + HEADER - 2}
    />
    {card.rows.map(({ id, side, text, type, y }) =>
      side === 'uses' ? (
        <UseRow key={id} card={card} id={id} text={text} type={type} y={y} />
      ) : (
        <g key={id} class="card-row offer">
          <rect
            class="card-row-bar"
            x={card.x + 16}
            y={card.y + y - 4}
            width={card.width - 32}
            height="8"
            rx="4"
          />
          <text class="row-name" x={card.x + 16} y={card.y + y + 4}>
            {text}
          </text>
          <text class="row-type" x={card.x + card.width - 14} y={card.y + y + 4}>
            {type}
          </text>
          <circle class="port" cx={card.x} cy={card.y + y} r="4.5" />
        </g>
      ),
    )}
  </g>
)

/** The link that stands out once more, above the cards that its line passes behind. */
const Foremost = () => {
  const key = foremost.value
  const line = drawing.value.lines.find(({ edge }) => edge.key === key)
  if (line === undefined) return null
  return (
    <g class="lines foremost">
      <g class="line" data-tone={toneOf(rowOf(line.edge.key).value?.state)} data-emphasis="strong">
        <path class="line-stroke" d={line.path} />
      </g>
    </g>
  )
}

/** Set once the first drawing is on the screen: what a benchmark waits for. */
const drawn = signal(false)

export const Topology = () => {
  const { cards, lines } = visible.value
  const frame = useRef<number>(0)
  useEffect(() => {
    if (drawn.value || cards.length === 0) return
    frame.current = requestAnimationFrame(() => {
      drawn.value = true
      performance.mark('topology-drawn')
    })
    return () => cancelAnimationFrame(frame.current)
  }, [cards])

  // A link that is chosen elsewhere is brought into sight.
  useSignalEffect(() => {
    const key = chosen.value
    const line = drawing.peek().lines.find(({ edge }) => edge.key === key)
    if (line === undefined || panZoom.untouched.peek()) return
    const card = drawing.peek().cards.find(({ name }) => name === line.edge.consumer)
    if (card !== undefined) panZoom.reveal(card)
  })

  return (
    <section class="panel topology" aria-label="Topology" data-coarse={coarse.value} data-drawn={drawn.value}>
      <header class="panel-head">
        <h2>Topology</h2>
        <span class="count">{drawing.value.cards.length} containers</span>
      </header>
      <Drawing
        label={`${drawing.value.cards.length} containers and ${drawing.value.lines.length} links`}
        panZoom={panZoom}
        bounds={bounds}
        onBackground={() => choose(null)}
      >
        <g class="lines" data-many={drawing.value.lines.length > MANY} data-focus={somethingInFocus}>
          {lines.map(line => (
            <LinkLine key={line.edge.key} line={line} />
          ))}
        </g>
        <g class="cards">
          {cards.map(card => (
            <ContainerCard key={card.name} card={card} />
          ))}
        </g>
        {lines.length > MANY && <Foremost />}
      </Drawing>
      {drawing.value.cards.length === 0 && connection.value === 'open' && (
        <p class="empty over">Nothing is connected: the graph has no links.</p>
      )}
    </section>
  )
}
