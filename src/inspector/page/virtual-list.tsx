/** A list of which only what is to be seen is in the document: a thousand rows cost as much as thirty. */
import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks'
import { scrolledTo, windowOf } from '../shared/windowing.ts'

export interface VirtualListProps<A> {
  readonly items: readonly A[]
  readonly rowPx: number
  readonly label: string
  readonly keyOf: (item: A) => string | number
  readonly row: (item: A, index: number) => ComponentChildren
  /** The row that is to be kept in sight; absent or -1: none. */
  readonly current?: number
  /** New rows come at the end, and whoever is there stays there. */
  readonly followsEnd?: boolean
  readonly role?: 'listbox' | 'log'
  readonly activeId?: string | undefined
  readonly empty: string
}

export const VirtualList = <A,>(props: VirtualListProps<A>) => {
  const { items, rowPx, keyOf, row, current = -1, followsEnd = false } = props
  const box = useRef<HTMLDivElement>(null)
  const scrolled = useSignal(0)
  const height = useSignal(600)
  const atEnd = useRef(true)

  useEffect(() => {
    const element = box.current
    if (element === null) return
    const observer = new ResizeObserver(() => {
      height.value = element.clientHeight
    })
    observer.observe(element)
    return () => observer.disconnect()
  }, [height])

  useLayoutEffect(() => {
    const element = box.current
    if (element !== null && current >= 0) {
      element.scrollTop = scrolledTo(current, element.scrollTop, element.clientHeight, rowPx)
    }
  }, [current, rowPx])

  useLayoutEffect(() => {
    const element = box.current
    if (element !== null && followsEnd && atEnd.current) element.scrollTop = element.scrollHeight
  }, [items, followsEnd])

  const { start, end } = windowOf(scrolled.value, height.value, rowPx, items.length)
  return (
    // biome-ignore lint/a11y/useAriaPropsSupportedByRole: lists with a chosen row are listboxes
    <div
      ref={box}
      class="virtual"
      role={props.role}
      aria-label={props.label}
      // Read out as they come, hundreds of events would drown all else.
      aria-live={props.role === 'log' ? 'off' : undefined}
      aria-activedescendant={props.activeId}
      tabIndex={0}
      onScroll={event => {
        const { scrollTop, clientHeight, scrollHeight } = event.currentTarget
        scrolled.value = scrollTop
        atEnd.current = scrollTop + clientHeight >= scrollHeight - rowPx
      }}
    >
      {items.length === 0 && <p class="empty">{props.empty}</p>}
      <div class="virtual-all" style={{ height: `${items.length * rowPx}px` }}>
        <div class="virtual-window" style={{ transform: `translateY(${start * rowPx}px)` }}>
          {items.slice(start, end).map((item, index) => (
            <div class="virtual-row" style={{ height: `${rowPx}px` }} key={keyOf(item)}>
              {row(item, start + index)}
            </div>
          ))}
        </div>
      </div>
    </div>
  )
}
