/** Policies from a few lines of XML, and messages with a few fields, for tests that ask about both. */
import assert from 'node:assert/strict'
import { readConfigFile } from '../../../../plugins/dbus/policy/config-file.ts'
import {
  type Headers,
  type Party,
  type PolicyUser,
  policyFor,
  type RolePolicy,
} from '../../../../plugins/dbus/policy/evaluate.ts'
import type { Names, PlacedRule } from '../../../../plugins/dbus/policy/rules.ts'
import { E } from '../../../../src/fp.ts'

const NAMES: Names = {
  uidOf: name => ({ root: 0, web: 1000 })[name],
  gidOf: name => ({ root: 0, web: 1000, audio: 29, video: 44 })[name],
}

/** In two groups of its own. */
export const WEB: PolicyUser = { uid: 1000, groups: [1000, 29, 44] }

export const placed = (content: string): readonly PlacedRule[] => {
  const items = readConfigFile(Buffer.from(`<busconfig>${content}</busconfig>`), 'bus.conf', NAMES)
  assert.ok(E.isRight(items), E.isLeft(items) ? items.left : '')
  return items.right.flatMap(item => (item.kind === 'rule' ? [item.placed] : []))
}

export const policyOf = (content: string, user = WEB): RolePolicy => policyFor(placed(content), user)

/** Rules for everybody. */
export const rules = (...list: readonly string[]): string =>
  `<policy context="default">${list.map(rule => `<${rule}/>`).join('')}</policy>`

export const aCall = (fields: Partial<Headers> = {}): Headers => ({
  type: 1,
  path: '/a',
  interface: 'com.a.I',
  member: 'M',
  errorName: undefined,
  replySerial: undefined,
  destination: 'com.a.A',
  sender: ':1.9',
  unixFds: 0,
  ...fields,
})

export const aBroadcast = (fields: Partial<Headers> = {}): Headers =>
  aCall({ type: 4, destination: undefined, ...fields })

/** Somebody all of whose names are known. */
export const owner = (...names: readonly string[]): Party => ({
  kind: 'connection',
  names: new Set(names),
  complete: true,
})

/** Somebody of whom no more is known than these names. */
export const stranger = (...names: readonly string[]): Party => ({
  kind: 'connection',
  names: new Set(names),
  complete: false,
})

export const BUS: Party = { kind: 'bus' }
