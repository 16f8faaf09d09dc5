/** Moving and magnifying a drawing: wheel, drag, keys. Holds the view as a signal, so that to move draws nothing anew. */
import { computed, type ReadonlySignal, type Signal, signal } from '@preact/signals'
import type { Box } from './geometry.ts'

export interface View {
  readonly x: number
  readonly y: number
  readonly scale: number
}

export interface PanZoom {
  readonly view: Signal<View>
  /** For the group that holds the drawing. */
  readonly transform: ReadonlySignal<string>
  /** The drawing's window on the screen, in pixels. */
  readonly size: Signal<{ readonly width: number; readonly height: number }>
  /** Nobody has moved it since it was made to fit. */
  readonly untouched: Signal<boolean>
  /** All of it; where that would be smaller than `smallest`, as much as there is room for around `middle`. */
  fit(bounds: Box, middle?: Box | null, smallest?: number): void
  zoom(factor: number, x?: number, y?: number): void
  pan(x: number, y: number): void
  /** Just so far that a part is to be seen. */
  reveal(part: Box): void
  /** Listen on an element. Returns how to stop. */
  attach(element: SVGSVGElement): () => void
}

const SMALLEST = 0.05
const LARGEST = 3
/** Nothing is drawn larger than this only because there is room. */
const LARGEST_FIT = 1.15

const MARGIN = 24

/** Where a drawing begins in its window: in the middle if it fits, else with its `middle` there, and no more empty than needed. */
const placed = (start: number, length: number, middle: number, scale: number, window: number): number => {
  const rest = window - length * scale
  if (rest >= 0) return rest / 2 - start * scale
  const wanted = window / 2 - middle * scale
  return Math.max(rest - MARGIN - start * scale, Math.min(MARGIN - start * scale, wanted))
}

const bounded = (scale: number): number => Math.max(SMALLEST, Math.min(LARGEST, scale))

export const createPanZoom = (): PanZoom => {
  const view = signal<View>({ x: 0, y: 0, scale: 1 })
  const size = signal({ width: 1, height: 1 })
  const untouched = signal(true)
  const transform = computed(() => {
    const { x, y, scale } = view.value
    return `translate(${x},${y}) scale(${scale})`
  })

  const zoom = (factor: number, x = size.value.width / 2, y = size.value.height / 2): void => {
    const before = view.value
    const scale = bounded(before.scale * factor)
    const by = scale / before.scale
    untouched.value = false
    view.value = { scale, x: x - (x - before.x) * by, y: y - (y - before.y) * by }
  }

  const pan = (x: number, y: number): void => {
    untouched.value = false
    view.value = { ...view.value, x: view.value.x + x, y: view.value.y + y }
  }

  return {
    view,
    transform,
    size,
    untouched,
    zoom,
    pan,
    fit(bounds, middle = null, smallest = 0) {
      const { width, height } = size.value
      const scale = bounded(
        Math.min(
          LARGEST_FIT,
          Math.max(
            middle === null ? 0 : smallest,
            Math.min(
              (width - 2 * MARGIN) / Math.max(1, bounds.width),
              (height - 2 * MARGIN) / Math.max(1, bounds.height),
            ),
          ),
        ),
      )
      const part = middle ?? bounds
      untouched.value = true
      view.value = {
        scale,
        x: placed(bounds.x, bounds.width, part.x + part.width / 2, scale, width),
        y: placed(bounds.y, bounds.height, part.y + part.height / 2, scale, height),
      }
    },
    reveal(part) {
      const { width, height } = size.value
      const { x, y, scale } = view.value
      const [left, top] = [part.x * scale + x, part.y * scale + y]
      const [right, bottom] = [left + part.width * scale, top + part.height * scale]
      const inside = left >= 0 && top >= 0 && right <= width && bottom <= height
      if (inside) return
      view.value = { scale, x: x + width / 2 - (left + right) / 2, y: y + height / 2 - (top + bottom) / 2 }
    },
    attach(element) {
      const stop = new AbortController()
      const { signal: aborted } = stop
      element.addEventListener(
        'wheel',
        event => {
          event.preventDefault()
          const box = element.getBoundingClientRect()
          if (event.ctrlKey || Math.abs(event.deltaY) > Math.abs(event.deltaX)) {
            zoom(Math.exp(-event.deltaY * 0.0016), event.clientX - box.x, event.clientY - box.y)
          } else pan(-event.deltaX, 0)
        },
        { passive: false, signal: aborted },
      )
      let from: { readonly x: number; readonly y: number } | undefined
      element.addEventListener(
        'pointerdown',
        event => {
          if (event.button !== 0) return
          from = { x: event.clientX, y: event.clientY }
        },
        { signal: aborted },
      )
      element.addEventListener(
        'pointermove',
        event => {
          if (from === undefined) return
          const [x, y] = [event.clientX - from.x, event.clientY - from.y]
          // A click that trembles is a click.
          if (!element.hasPointerCapture(event.pointerId) && Math.hypot(x, y) < 4) return
          element.setPointerCapture(event.pointerId)
          pan(x, y)
          from = { x: event.clientX, y: event.clientY }
        },
        { signal: aborted },
      )
      const end = (): void => {
        from = undefined
      }
      element.addEventListener('pointerup', end, { signal: aborted })
      element.addEventListener('pointercancel', end, { signal: aborted })
      const observer = new ResizeObserver(([entry]) => {
        if (entry === undefined) return
        const { width, height } = entry.contentRect
        size.value = { width, height }
      })
      observer.observe(element)
      return () => {
        stop.abort()
        observer.disconnect()
      }
    },
  }
}
