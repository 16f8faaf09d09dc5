/** What a policy says to one question, and why, in words for people. Pure. */
import { BUS_NAME, MESSAGE_TYPE } from '../contract.ts'
import {
  chainOf,
  type Decision,
  type Headers,
  mayConnect,
  mayOwn,
  mayReceive,
  maySend,
  type Party,
  type PolicyUser,
  type RolePolicy,
} from './evaluate.ts'
import type { Rule } from './rules.ts'

/** A message in the words of somebody who asks about it. */
export interface AskedMessage {
  /** Whom it goes to, or whom it comes from; `undefined`: everybody. */
  readonly peer: string | undefined
  readonly path: string
  readonly interface: string | undefined
  readonly member: string
  readonly fds: number
  /** Further names that the peer owns. */
  readonly alsoOwns: readonly string[]
}

export type Question =
  | { readonly kind: 'connect' }
  | { readonly kind: 'own'; readonly name: string }
  | { readonly kind: 'call' | 'signal' | 'receive'; readonly message: AskedMessage }

export interface Explanation {
  readonly allowed: boolean
  /** `undefined`: no rule has a say. */
  readonly by: Rule | undefined
  /** All rules that have a say, in the order in which they count. */
  readonly chain: readonly Rule[]
}

const headersOf = (kind: 'call' | 'signal' | 'receive', asked: AskedMessage): Headers => ({
  type: kind === 'call' ? MESSAGE_TYPE.call : MESSAGE_TYPE.signal,
  path: asked.path,
  interface: asked.interface,
  member: asked.member,
  errorName: undefined,
  replySerial: undefined,
  destination: kind === 'receive' ? undefined : asked.peer,
  sender: kind === 'receive' ? asked.peer : undefined,
  unixFds: asked.fds,
})

const partyOf = ({ peer, alsoOwns }: AskedMessage): Party => {
  if (peer === BUS_NAME) return { kind: 'bus' }
  if (peer === undefined) return { kind: 'connection', names: new Set(alsoOwns), complete: false }
  return { kind: 'connection', names: new Set([peer, ...alsoOwns]), complete: true }
}

const explained = <R extends Rule>({ allowed, by }: Decision<R>, chain: readonly R[]): Explanation => ({
  allowed,
  by,
  chain,
})

export const explain = (policy: RolePolicy, user: PolicyUser, question: Question): Explanation => {
  switch (question.kind) {
    case 'connect':
      return explained(mayConnect(policy, user), chainOf.connect(policy, user))
    case 'own':
      return explained(mayOwn(policy, question.name), chainOf.own(policy, question.name))
    case 'call':
    case 'signal':
    case 'receive': {
      const headers = headersOf(question.kind, question.message)
      const party = partyOf(question.message)
      return question.kind === 'receive'
        ? explained(mayReceive(policy, headers, party), chainOf.receive(policy, headers, party))
        : explained(maySend(policy, headers, party), chainOf.send(policy, headers, party))
    }
  }
}
