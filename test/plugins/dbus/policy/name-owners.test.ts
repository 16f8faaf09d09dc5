/** Who owns which name, as a bus says it, where it says more than anybody should keep. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MOST_NAMES_OF_ONE, NameOwners } from '../../../../plugins/dbus/policy/name-owners.ts'

const OWNER = ':1.1'

const crowded = (): NameOwners => {
  const owners = new NameOwners()
  for (let at = 0; at <= MOST_NAMES_OF_ONE; at += 1) owners.set(`com.a.A${at}`, OWNER)
  owners.sync()
  return owners
}

test('of one with more names than are kept it is not known that it has no others', () => {
  const party = crowded().partyOf(`com.a.A${MOST_NAMES_OF_ONE}`)
  assert.ok(party.kind === 'connection' && !party.complete)
  assert.equal(party.names.size, MOST_NAMES_OF_ONE + 1, 'its unique one among them')
})

test('that is so even if it gives up all but one, until it is gone', () => {
  const owners = crowded()
  for (let at = 1; at <= MOST_NAMES_OF_ONE; at += 1) owners.set(`com.a.A${at}`, '')
  const party = owners.partyOf(OWNER)
  assert.ok(party.kind === 'connection' && !party.complete)
  assert.deepEqual([...party.names], [OWNER, 'com.a.A0'])
  owners.set('com.a.A0', '')
  owners.set(OWNER, '')
  owners.set('com.a.A0', OWNER)
  const again = owners.partyOf('com.a.A0')
  assert.ok(again.kind === 'connection' && again.complete)
})
