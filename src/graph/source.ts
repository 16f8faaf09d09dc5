/**
 * Where graphs come from, as a port: Pantavisor's socket here, a recording in a replay, a list in a test.
 * Promises that a body equal byte for byte to the last good one is reported as unchanged and not decoded again.
 */
import type { TE } from '../fp.ts'
import { E } from '../fp.ts'
import type { Graph } from '../model/graph.ts'
import type { GraphLimits } from './codec.ts'
import { decodeGraph } from './codec.ts'
import type { GraphError, ReadError } from './errors.ts'

export type GraphReading =
  | { readonly _tag: 'Unchanged' }
  /** `body` as it was received, for the recorder. */
  | { readonly _tag: 'Graph'; readonly graph: Graph; readonly body: Buffer }

export interface GraphSource {
  read(): TE.TaskEither<ReadError | GraphError, GraphReading>
}

/** A source over anything that yields bodies. */
export const sourceOf = (fetch: TE.TaskEither<ReadError, Buffer>, limits: GraphLimits): GraphSource => {
  let lastGood: Buffer | null = null
  return {
    read: () => async () => {
      const body = await fetch()
      if (E.isLeft(body)) return body
      if (lastGood?.equals(body.right)) return E.right({ _tag: 'Unchanged' })
      const graph = decodeGraph(body.right, limits)
      if (E.isLeft(graph)) return graph
      lastGood = body.right
      return E.right({ _tag: 'Graph', graph: graph.right, body: body.right })
    },
  }
}
