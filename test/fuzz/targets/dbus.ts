/** The session of `dbus` links, without any socket: its reader against the letter of the specification, and whole conversations. */
import assert from 'node:assert/strict'
import * as t from 'io-ts'
import { type Found, MessageReader } from '../../../plugins/dbus/message-reader.ts'
import { decode } from '../../support/dbus-wire.ts'
import { owesBothEndsOfBus, Script, scripts } from '../dbus-conversation.ts'
import { Handshakes, handshakes, nobodySpeaksForUs } from '../dbus-handshake.ts'
import { mutated } from '../dbus-messages.ts'
import { areReadAsTheBusDoes, Rules, rules } from '../match-rules.ts'
import { check, targetOf } from '../target.ts'

const MOST_FIELD_BYTES = 64 * 1024
const reader = new MessageReader(MOST_FIELD_BYTES)

const kindOf = (found: Found): string => (found === 'whole' || found === 'more' ? found : 'bad')

const readsAsSpecified = (hex: string): void => {
  const bytes = Buffer.from(hex, 'hex')
  const decoded = decode(bytes, MOST_FIELD_BYTES)
  const found = kindOf(reader.read(Uint8Array.from(bytes), 0))
  assert.equal(found, typeof decoded === 'string' ? decoded : 'whole')
  if (typeof decoded === 'string') return
  const { named, headerBytes, bodyBytes, serial, type } = decoded
  assert.deepEqual(
    [reader.headerBytes, reader.bodyBytes, reader.serial, reader.type],
    [headerBytes, bodyBytes, serial, type],
  )
  for (const name of ['path', 'interface', 'member', 'errorName', 'destination', 'sender'] as const)
    assert.equal(reader[name], named[name])
  assert.equal(reader.signature, named.signature ?? '')
  assert.equal(reader.unixFds, named.unixFds ?? 0)
}

export const target = targetOf('dbus', 'messages and what becomes of them', [
  check({
    name: 'reading',
    inputs: mutated.map(bytes => bytes.toString('hex')),
    kept: t.string,
    tries: 3000,
    holds: readsAsSpecified,
  }),
  check({ name: 'handshake', inputs: handshakes, kept: Handshakes, tries: 200, holds: nobodySpeaksForUs }),
  check({ name: 'match-rules', inputs: rules, kept: Rules, tries: 1000, holds: areReadAsTheBusDoes }),
  check({ name: 'conversation', inputs: scripts, kept: Script, tries: 300, holds: owesBothEndsOfBus }),
])
