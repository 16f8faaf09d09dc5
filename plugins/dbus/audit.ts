/** What the log is told of a denied message: who, what to whom, and why; never a body. Values are a client's and are cut. */
import type { AuditEvent } from '../../src/relay/contract.ts'
import type { DenialReason, MessageHead } from './contract.ts'
import { typeName } from './figures.ts'

const LONGEST_VALUE = 255

interface Denial {
  readonly role: string
  readonly uid: number
  readonly reason: DenialReason
  /** Where the rule of a policy stands. */
  readonly rule: string | undefined
}

export const denialFacts = (head: MessageHead, { role, uid, reason, rule }: Denial): AuditEvent['facts'] => {
  const facts: Record<string, string | number> = { role, uid, reason, type: typeName(head.type) }
  const texts = {
    dest: head.destination,
    iface: head.interface,
    member: head.member,
    path: head.path,
    sender: head.sender,
    rule,
  }
  for (const [key, text] of Object.entries(texts)) {
    if (text !== undefined) facts[key] = text.slice(0, LONGEST_VALUE)
  }
  return { ...facts, serial: head.serial }
}
