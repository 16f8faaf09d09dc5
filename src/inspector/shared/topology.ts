/**
 * Who is connected with whom: containers, and on each what it uses and what it offers. Pure.
 * One row stands for one link at its consumer, and for one resource at its provider, however many links lead there.
 */
import type { LinkRow } from './protocol.ts'

export interface Resource {
  /** Of its provider: name, type and socket. */
  readonly id: string
  readonly name: string
  readonly type: string
  readonly socket: string
}

export interface ContainerNode {
  readonly name: string
  /** Keys of the links it is the consumer of. */
  readonly uses: readonly string[]
  readonly offers: readonly Resource[]
}

export interface LinkEdge {
  readonly key: string
  readonly consumer: string
  readonly provider: string
  readonly resource: string
}

export interface Topology {
  readonly containers: readonly ContainerNode[]
  readonly edges: readonly LinkEdge[]
}

/** Pantavisor may not say who provides something. */
export const UNKNOWN_PROVIDER = '(unknown provider)'

interface Growing {
  readonly uses: string[]
  readonly offers: Map<string, Resource>
}

/** The same for the same links, in whichever order they come. */
export const topologyOf = (links: readonly LinkRow[]): Topology => {
  const containers = new Map<string, Growing>()
  const container = (name: string): Growing => {
    const known = containers.get(name) ?? { uses: [], offers: new Map<string, Resource>() }
    containers.set(name, known)
    return known
  }
  const edges: LinkEdge[] = []
  const ordered = [...links].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
  for (const { key, consumer, provider, name, type, socket } of ordered) {
    const from = provider ?? UNKNOWN_PROVIDER
    const resource = `${type} ${name} ${socket}`
    container(consumer).uses.push(key)
    container(from).offers.set(resource, { id: resource, name, type, socket })
    edges.push({ key, consumer, provider: from, resource })
  }
  return {
    containers: [...containers].map(([name, { uses, offers }]) => ({
      name,
      uses,
      offers: [...offers.values()],
    })),
    edges,
  }
}
