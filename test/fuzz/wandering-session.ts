/**
 * A session that passes everything on as it is, by every way there is: forwarded, sent as a copy or as a slice, unseen,
 * in pieces, now or after a while. Its choices come from a seed, so that a run can be repeated.
 */
import type { Commands, Figure, Session, SessionInput, Side } from '../../src/relay/contract.ts'
import { type Random, randomOf } from '../support/random.ts'
import { opposite } from './conversation.ts'

/** Goes up and down without any order: nothing of it may be left when its connections are over. */
const DRIFT: Figure = { name: 'drift', help: 'Nothing in particular.', kind: 'gauge' }

type Bytes = SessionInput & { readonly kind: 'bytes' }

const isSide = (name: string): name is Side => name === 'consumer' || name === 'provider'

const pass = (random: Random, { from, view }: Bytes, bytes: number, fds: number, out: Commands): void => {
  switch (random.below(3)) {
    case 0:
      out.forward(from, bytes, fds)
      return
    case 1:
      out.send(opposite(from), [Buffer.from(view.subarray(0, bytes))], fds)
      out.drop(from, bytes, 0)
      return
    default:
      out.send(opposite(from), [view.subarray(0, bytes >> 1), view.subarray(bytes >> 1, bytes)], fds)
      out.drop(from, bytes, 0)
  }
}

export interface Wandering {
  /** The provider may be dialled only after a while. */
  readonly dialsLate: boolean
}

export const wanderingSession = (seed: number, { dialsLate }: Wandering): Session => {
  const random = randomOf(seed)

  const comeBack = (from: Side, out: Commands): void => {
    out.pause(from)
    out.setTimer(from, random.below(3))
  }

  const bytes = (input: Bytes, out: Commands): void => {
    const { from, view, fds } = input
    out.count(DRIFT, (view.length % 7) - 2)
    // Only the place of the first descriptors is told: they are passed on before more can come.
    if (fds.count > 0) {
      if (fds.at > 0) out.forward(from, fds.at, 0)
      const rest = view.length - fds.at
      pass(random, { ...input, view: view.subarray(fds.at) }, 1 + random.below(rest), fds.count, out)
      return
    }
    switch (random.below(6)) {
      case 0:
        comeBack(from, out)
        return
      case 1:
        pass(random, input, 1 + random.below(view.length), 0, out)
        comeBack(from, out)
        return
      case 2:
        out.opaque(from, 1 + random.below(3 * view.length))
        return
      case 3:
        pass(random, input, 1 + random.below(view.length), 0, out)
        out.pause(from)
        out.resume(from)
        return
      default:
        pass(random, input, 1 + random.below(view.length), 0, out)
    }
  }

  return {
    on: (input, out) => {
      switch (input.kind) {
        case 'opened':
          if (!dialsLate || random.chance(0.5)) out.dial('daemon')
          else out.setTimer('dial', random.below(3))
          return
        case 'bytes':
          bytes(input, out)
          return
        case 'timer':
          if (isSide(input.name)) out.resume(input.name)
          else out.dial('daemon')
          return
        case 'ended':
          out.endWrite(opposite(input.from))
          return
        case 'dialled':
        case 'drained':
          return
      }
    },
  }
}
