/** Graphs for the daemons under measurement: links on the host itself, or in containers, and where their targets show. */
import type { Container } from '../support/container.ts'
import type { Entry } from '../support/pv-ctrl.ts'

export interface Graph {
  readonly entries: readonly Entry[]
  /** Where the host sees each target, in the same order. */
  readonly targets: readonly string[]
}

/** No container takes part: consumer and provider are the host. */
export const hostEntry = (name: string, provider: string, target: string): Entry => ({
  type: 'unix',
  name,
  consumer: 'host',
  consumer_pid: 0,
  provider: 'host',
  provider_pid: 0,
  role: 'any',
  interface: 'unix',
  socket: provider,
  target,
})

/** `prefix` is a path; a number follows it. */
export const onTheHost = (prefix: string, provider: string, count: number): Graph => {
  const targets = Array.from({ length: count }, (_, i) => `${prefix}-${i}`)
  return { entries: targets.map((target, i) => hostEntry(`link-${i}`, provider, target)), targets }
}

/** So many in each, provided by the host. */
export const inContainers = (containers: readonly Container[], provider: string, each: number): Graph => {
  const links = containers.flatMap(container =>
    Array.from({ length: each }, (_, i) => {
      const target = `/run/bench-${i}.sock`
      const entry = hostEntry(`link-${i}`, provider, target)
      return {
        entry: { ...entry, consumer: container.name, consumer_pid: container.pid },
        target: container.path(target),
      }
    }),
  )
  return { entries: links.map(({ entry }) => entry), targets: links.map(({ target }) => target) }
}
