/**
 * What a filtered client may ask of the bus itself, and what of the answers it is shown: only of names that it knows.
 * Where the bus would tell about another one, the client is told what it would be told if nobody had that name.
 */
import type { ByteView } from '../../../src/relay/contract.ts'
import { MESSAGE_TYPE, type MessageHead, type Verdict } from '../contract.ts'
import type { Acquaintances } from './acquaintances.ts'
import { firstString, stringList, stringListBody, uint32At } from './arguments.ts'
import { type BusMethod, busMethodOf, LONGEST_MATCH_RULE } from './bus-methods.ts'
import { asksToEavesdrop, MatchRules } from './match-rules.ts'
import { OwnNames } from './own-names.ts'
import { type Awaited, type ExpectedReplies, FROM_BUS, LIST_FROM_BUS, wantsReply } from './replies.ts'
import type { Scope } from './scope.ts'
import {
  DENY,
  NO_SUCH_RULE,
  NOT_OWNED,
  NOTHING_TO_RELEASE,
  nameHasNoOwner,
  PASS,
  SWALLOW,
  serviceUnknown,
} from './verdicts.ts'
import { LONGEST_NAME } from './wanted-name.ts'

export class BusCalls {
  readonly #scope: Scope
  readonly #known: Acquaintances
  readonly #expected: ExpectedReplies
  readonly #mayOwn: (name: string) => boolean
  readonly #rules: MatchRules
  readonly #ownNames = new OwnNames()
  #greeted = false

  constructor(
    scope: Scope,
    known: Acquaintances,
    expected: ExpectedReplies,
    mayOwn: (name: string) => boolean,
  ) {
    this.#scope = scope
    this.#known = known
    this.#expected = expected
    this.#mayOwn = mayOwn
    this.#rules = new MatchRules(scope)
  }

  /** The client has its unique name: there is no second Hello. */
  greeted(): void {
    this.#greeted = true
  }

  bodyWanted(head: MessageHead): number {
    return busMethodOf(head.interface, head.member)?.bodyWanted ?? 0
  }

  judge(head: MessageHead, body: ByteView): Verdict {
    const method = busMethodOf(head.interface, head.member)
    if (method === undefined) return DENY.busMethod
    switch (method.rule) {
      case 'once':
        return this.#hello(head)
      case 'always':
        return this.#pass(head, FROM_BUS)
      case 'list':
        // Some buses reply all the same, and that would be a list that nobody waits to shorten.
        return wantsReply(head) ? this.#pass(head, LIST_FROM_BUS) : SWALLOW
      default:
        return this.#judgeText(method, head, body)
    }
  }

  /** Of a call of this client's, and from the bus. */
  bodyWantedOfReply({ kind }: Awaited): number {
    switch (kind) {
      case 'list':
        return Number.POSITIVE_INFINITY
      case 'request-name':
      case 'release-name':
        return 4
      default:
        return 0
    }
  }

  judgeReply({ kind, text }: Awaited, head: MessageHead, body: ByteView): Verdict {
    const isReturn = head.type === MESSAGE_TYPE.return
    switch (kind) {
      case 'list':
        return isReturn ? this.#shortened(head, body) : PASS
      case 'add-match':
        // To some calls that want no reply the bus sends one all the same, and it may come under this serial: none is empty.
        this.#rules.answered(text, isReturn && head.signature === '')
        return PASS
      case 'request-name':
        this.#ownNames.requested(text, isReturn ? (uint32At(body, 0, head.littleEndian) ?? 0) : 0)
        return PASS
      case 'release-name':
        if (isReturn) this.#ownNames.released(text)
        return PASS
      default:
        return PASS
    }
  }

  /** There will be no reply: it has not been asked. */
  recall({ kind, text }: Awaited): void {
    if (kind === 'request-name') this.#ownNames.requested(text, 0)
    else if (kind === 'add-match') this.#rules.answered(text, false)
  }

  #hello(head: MessageHead): Verdict {
    if (this.#greeted) return DENY.busMethod
    // Nothing else has gone to the bus: what is waited for is a Hello that the bus has refused.
    this.#expected.clear()
    return this.#pass(head, FROM_BUS)
  }

  #judgeText(method: BusMethod, head: MessageHead, body: ByteView): Verdict {
    const isRule = method.rule === 'add-match' || method.rule === 'remove-match'
    const longest = isRule ? LONGEST_MATCH_RULE : LONGEST_NAME
    const text =
      method.signature === head.signature ? firstString(body, head.littleEndian, longest) : undefined
    if (text === undefined) return isRule ? DENY.match : DENY.busMethod
    switch (method.rule) {
      case 'has-owner':
        return this.#known.isVisible(text) ? this.#pass(head, FROM_BUS) : NOT_OWNED
      case 'about-name':
        return this.#known.isVisible(text) ? this.#pass(head, FROM_BUS) : nameHasNoOwner(text)
      case 'start':
        return this.#scope.standingOf(text) === 'none' ? serviceUnknown(text) : this.#pass(head, FROM_BUS)
      case 'add-match':
        return this.#addMatch(text, head)
      case 'remove-match':
        return this.#removeMatch(text, head)
      case 'request-name':
        return this.#requestName(text, head)
      case 'release-name':
        return this.#releaseName(text, head)
      default:
        return DENY.busMethod
    }
  }

  #addMatch(text: string, head: MessageHead): Verdict {
    if (asksToEavesdrop(text)) return DENY.match
    const refusal = this.#expected.refusal(head)
    if (refusal !== undefined) return refusal
    const isOfInterest = wantsReply(head) && this.#rules.ask(text)
    return this.#pass(head, isOfInterest ? { from: 'bus', kind: 'add-match', text } : FROM_BUS)
  }

  #removeMatch(text: string, head: MessageHead): Verdict {
    if (!this.#rules.resemblesOurs(text)) return this.#pass(head, FROM_BUS)
    if (!this.#rules.has(text)) return NO_SUCH_RULE
    const verdict = this.#pass(head, FROM_BUS)
    if (verdict === PASS) this.#rules.removed(text)
    return verdict
  }

  #requestName(name: string, head: MessageHead): Verdict {
    if (!this.#scope.isService(name) || !this.#mayOwn(name)) return DENY.own
    const verdict = this.#pass(head, { from: 'bus', kind: 'request-name', text: name })
    if (verdict === PASS) this.#ownNames.request(name, wantsReply(head))
    return verdict
  }

  #releaseName(name: string, head: MessageHead): Verdict {
    if (!this.#ownNames.mayRelease(name)) return NOTHING_TO_RELEASE
    return this.#pass(head, { from: 'bus', kind: 'release-name', text: name })
  }

  #shortened({ littleEndian, signature }: MessageHead, body: ByteView): Verdict {
    const names = signature === 'as' ? stringList(body, littleEndian) : undefined
    if (names === undefined) return { kind: 'violation', reason: 'the list of names cannot be read' }
    const visible = names.filter(name => this.#known.isVisible(name))
    if (visible.length === names.length) return PASS
    return { kind: 'rewrite', body: stringListBody(visible, littleEndian) }
  }

  #pass(head: MessageHead, awaited: Awaited): Verdict {
    const refusal = this.#expected.refusal(head)
    if (refusal !== undefined) return refusal
    this.#expected.add(head, awaited)
    return PASS
  }
}
