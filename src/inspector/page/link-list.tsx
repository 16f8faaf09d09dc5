/** All links, to filter and to choose from. */

import type { LinkRow } from '../shared/protocol.ts'
import { LINK_FILTER_ID } from './keyboard.ts'
import { StateMark, toneOf } from './state-mark.tsx'
import { choose, chosen, hovered, linkFilter, listedRows, shownRows } from './store.ts'
import { VirtualList } from './virtual-list.tsx'

const ROW_PX = 46

const optionId = (index: number): string => `link-option-${index}`

const LinkOption = ({
  row,
  index,
  of,
}: {
  readonly row: LinkRow
  readonly index: number
  readonly of: number
}) => (
  <button
    type="button"
    class="link-option"
    role="option"
    id={optionId(index)}
    data-key={row.key}
    data-tone={toneOf(row.state)}
    aria-selected={chosen.value === row.key}
    aria-label={`${row.name}, ${row.consumer} to ${row.provider ?? 'an unknown provider'}, ${row.type}, ${row.state}`}
    aria-posinset={index + 1}
    aria-setsize={of}
    tabIndex={-1}
    title={row.key}
    onClick={() => choose(row.key)}
    onPointerEnter={() => {
      hovered.value = row.key
    }}
    onPointerLeave={() => {
      hovered.value = null
    }}
  >
    <StateMark state={row.state} />
    <span class="link-name">
      <b>{row.name}</b>
      <small>
        {row.consumer} <i>→</i> {row.provider ?? '?'}
      </small>
    </span>
    <code class="type">{row.type}</code>
  </button>
)

export const LinkList = () => {
  const rows = shownRows.value
  const all = listedRows.value.length
  const current = rows.findIndex(({ key }) => key === chosen.value)
  return (
    <section class="panel links" aria-label="Links">
      <header class="panel-head">
        <h2>Links</h2>
        <span class="count">{rows.length === all ? all : `${rows.length} of ${all}`}</span>
      </header>
      <div class="search">
        <input
          id={LINK_FILTER_ID}
          type="search"
          placeholder="Filter: state:pending app"
          aria-label="Filter the links"
          spellcheck={false}
          value={linkFilter}
          onInput={event => {
            linkFilter.value = event.currentTarget.value
          }}
        />
        <kbd>/</kbd>
      </div>
      <VirtualList
        items={rows}
        rowPx={ROW_PX}
        label="Links"
        role="listbox"
        activeId={current < 0 ? undefined : optionId(current)}
        current={current}
        keyOf={row => row.key}
        row={(row, index) => <LinkOption row={row} index={index} of={rows.length} />}
        empty={all === 0 ? 'There is no link.' : 'No link fits the filter.'}
      />
    </section>
  )
}
