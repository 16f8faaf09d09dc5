/** A value as a tree that can be folded, for contexts. */

export const JsonTree = ({
  value,
  name,
  open = false,
}: {
  readonly value: unknown
  readonly name?: string
  readonly open?: boolean
}) => {
  const label = name === undefined ? null : <span class="json-name">{name}</span>
  if (typeof value !== 'object' || value === null) {
    return (
      <div class="json-leaf">
        {label}
        <span class="json-value" data-type={value === null ? 'null' : typeof value}>
          {typeof value === 'string' ? value || '""' : String(value)}
        </span>
      </div>
    )
  }
  const entries = Object.entries(value)
  if (entries.length === 0) {
    return (
      <div class="json-leaf">
        {label}
        <span class="json-value" data-type="null">
          {Array.isArray(value) ? '[ ]' : '{ }'}
        </span>
      </div>
    )
  }
  return (
    <details class="json-branch" open={open}>
      <summary>
        {label}
        <span class="json-hint">{hintOf(value, entries.length)}</span>
      </summary>
      {entries.map(([key, inner]) => (
        <JsonTree key={key} name={key} value={inner} />
      ))}
    </details>
  )
}

/** What tells one value from another without unfolding it. */
const hintOf = (value: object, count: number): string => {
  if (Array.isArray(value)) return `${count} ${count === 1 ? 'item' : 'items'}`
  for (const tell of ['_tag', 'type', 'key', 'id']) {
    const told: unknown = Reflect.get(value, tell)
    if (typeof told === 'string') return told
  }
  return `${count} fields`
}
