/**
 * Calling the handlers of plugins: waiting for an answer, but not for ever.
 * Promises that a plugin is never asked about a link while it owes an answer about that link, and that an answer which
 * comes after its time is still handed to somebody. What an answer means is its caller's business.
 */
import { E } from '../fp.ts'
import type { Clock } from '../model/clock.ts'
import { keyOf, type Link, type LinkKey } from '../model/link.ts'
import type { Plugin } from '../plugin/contract.ts'

/** What a handler answered; or what it threw, or why there is no answer, in words. */
export type Answer<A> = E.Either<unknown, A>

export interface HandlerCall<A> {
  readonly handler: Extract<keyof Plugin, `on${string}`>
  readonly limitMs: number
  /** Anything may come of it: it is a third party's code. */
  readonly call: () => Promise<A>
  /** For an answer that comes after its time: called in the link's turn, and must not reject. */
  readonly afterwards: (late: Answer<A>) => Promise<void>
}

export interface HandlerCalls {
  /** To be called in the link's turn. */
  ask<A>(link: Link, call: HandlerCall<A>): Promise<Answer<A>>
}

const answerOf = async <A>(call: () => Promise<A>): Promise<Answer<A>> => {
  try {
    return E.right(await call())
  } catch (thrown) {
    return E.left(thrown)
  }
}

/** `undefined` if nothing came within the time. `answer` must not reject. */
const within = <A>(clock: Clock, limitMs: number, answer: Promise<A>): Promise<A | undefined> =>
  new Promise(resolve => {
    const bound = clock.setTimeout(() => resolve(undefined), limitMs)
    void answer.then(given => {
      clock.clearTimeout(bound)
      resolve(given)
    })
  })

/** `inTurn`: how the effects of one link wait for each other. */
export const createHandlerCalls = (
  clock: Clock,
  inTurn: (key: LinkKey, effect: () => Promise<void>) => Promise<void>,
): HandlerCalls => {
  const owed = new Map<string, HandlerCall<never>['handler']>()

  return {
    async ask(link, { handler, limitMs, call, afterwards }) {
      const key = keyOf(link)
      // A link that got another type is another plugin's, which owes nothing.
      const debt = `${link.type}\0${key}`
      const earlier = owed.get(debt)
      if (earlier !== undefined) return E.left(`it has not answered ${earlier} yet`)
      const answer = answerOf(call)
      const given = await within(clock, limitMs, answer)
      if (given !== undefined) return given
      owed.set(debt, handler)
      void answer.then(late =>
        inTurn(key, () => {
          owed.delete(debt)
          return afterwards(late)
        }),
      )
      return E.left(`it did not answer ${handler} within ${limitMs / 1000} s`)
    },
  }
}
