/** The frame of a drawing: an SVG that can be moved and magnified, with its buttons. */
import { type ReadonlySignal, useSignalEffect } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import type { Box } from './geometry.ts'
import type { PanZoom } from './pan-zoom.ts'

export interface DrawingProps {
  readonly label: string
  readonly panZoom: PanZoom
  readonly bounds: ReadonlySignal<Box>
  readonly children: ComponentChildren
  /** Where not everything fits at the smallest scale: what stands in the middle. */
  readonly focus?: ReadonlySignal<Box | null>
  readonly smallest?: number
  readonly class?: string
  readonly onBackground?: () => void
}

const PAN_PX = 60
const ZOOM = 1.25

export const Drawing = ({
  label,
  panZoom,
  bounds,
  focus,
  smallest,
  children,
  class: name,
  onBackground,
}: DrawingProps) => {
  const svg = useRef<SVGSVGElement>(null)

  useEffect(() => (svg.current === null ? undefined : panZoom.attach(svg.current)), [panZoom])

  // Until somebody moves it, it always fits.
  useSignalEffect(() => {
    const all = bounds.value
    const middle = focus?.value
    const { width } = panZoom.size.value
    if (width <= 1) return
    if (panZoom.untouched.peek()) panZoom.fit(all, middle, smallest)
    else if (middle) panZoom.reveal(middle)
  })

  const onKey = (event: KeyboardEvent): void => {
    const moves: Readonly<Record<string, () => void>> = {
      ArrowLeft: () => panZoom.pan(PAN_PX, 0),
      ArrowRight: () => panZoom.pan(-PAN_PX, 0),
      ArrowUp: () => panZoom.pan(0, PAN_PX),
      ArrowDown: () => panZoom.pan(0, -PAN_PX),
      '+': () => panZoom.zoom(ZOOM),
      '-': () => panZoom.zoom(1 / ZOOM),
      '0': () => panZoom.fit(bounds.peek()),
    }
    const move = moves[event.key]
    if (move === undefined) return
    event.preventDefault()
    move()
  }

  return (
    <div class={`drawing ${name ?? ''}`}>
      <svg ref={svg} role="img" aria-label={label} tabindex={0} onKeyDown={onKey} onClick={onBackground}>
        <g transform={panZoom.transform}>{children}</g>
      </svg>
      <div class="zoom">
        <button type="button" title="Larger (+)" aria-label="Larger" onClick={() => panZoom.zoom(ZOOM)}>
          +
        </button>
        <button type="button" title="Smaller (-)" aria-label="Smaller" onClick={() => panZoom.zoom(1 / ZOOM)}>
          −
        </button>
        <button
          type="button"
          title="All of it (0)"
          aria-label="All of it"
          onClick={() => panZoom.fit(bounds.peek())}
        >
          <svg viewBox="0 0 16 16" aria-hidden="true">
            <path d="M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10" />
          </svg>
        </button>
      </div>
    </div>
  )
}
