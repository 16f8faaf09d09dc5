/** The checks of `rest`, for the session that it is and, to prove them, for one that is broken. */
import * as t from 'io-ts'
import type { Session } from '../../src/relay/contract.ts'
import { requests } from './http-messages.ts'
import { owesBothEnds, Script, scripts } from './rest-conversation.ts'
import { holdsAgainstNode } from './rest-reading.ts'
import { type Check, check } from './target.ts'

const Text = t.string

export const restChecks = (session?: () => Session): readonly Check[] => [
  check({
    name: 'reading',
    inputs: requests,
    kept: Text,
    tries: 2000,
    holds: async text => {
      await holdsAgainstNode(text, session?.())
    },
  }),
  check({
    name: 'conversation',
    inputs: scripts,
    kept: Script,
    tries: 500,
    holds: script => owesBothEnds(script, session?.()),
  }),
]
