/**
 * Stand-ins for the actors a machine invokes: whoever creates the machine provides the real ones, tests provide fakes.
 * A stand-in that runs rejects and names itself, so that a forgotten one is found at once.
 */
import type { PromiseActorLogic } from 'xstate'
import { fromPromise } from 'xstate'

export const notProvided = <Output, Input>(name: string): PromiseActorLogic<Output, Input> =>
  fromPromise<Output, Input>(() => Promise.reject(new Error(`actor ${name} was not provided`)))
