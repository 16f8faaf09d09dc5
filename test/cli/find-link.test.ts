import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { findLink, looksLike } from '../../src/cli/find-link.ts'
import { keyOf } from '../../src/model/link.ts'
import { aLink } from '../support/builders.ts'

const LINKS = [
  aLink('app').named('raw').at('/run/raw.sock'),
  aLink('app').named('rawer').at('/run/rawer.sock'),
  aLink('web').named('bus').at('/run/bus.sock'),
  aLink('web').named('db').at('/run/db.sock'),
  aLink('solo').named('bus').at('/run/system.sock'),
].map(link => ({ ...link.build(), key: keyOf(link.build()) }))

describe('a link', () => {
  for (const [typed, key] of [
    ['app/raw@/run/raw.sock', 'app/raw@/run/raw.sock'],
    ['raw', 'app/raw@/run/raw.sock'],
    ['app/raw', 'app/raw@/run/raw.sock'],
    ['/run/bus.sock', 'web/bus@/run/bus.sock'],
    ['solo', 'solo/bus@/run/system.sock'],
    ['rawer.s', 'app/rawer@/run/rawer.sock'],
    ['web/b', 'web/bus@/run/bus.sock'],
  ]) {
    test(`is found by ${typed}`, () => {
      assert.deepEqual(findLink(typed ?? '', LINKS), { _tag: 'One', key })
    })
  }

  test('is asked back where more than one fits equally well', () => {
    assert.deepEqual(findLink('bus', LINKS), {
      _tag: 'Several',
      keys: ['web/bus@/run/bus.sock', 'solo/bus@/run/system.sock'],
    })
    assert.equal(findLink('/run/', LINKS)._tag, 'Several')
  })

  test('that is not there is told from the nearest name', () => {
    assert.deepEqual(findLink('rwa', LINKS), { _tag: 'None', near: 'raw' })
    assert.deepEqual(findLink('app/ra@/run/raw.sock', LINKS), { _tag: 'None', near: 'app/raw@/run/raw.sock' })
    assert.deepEqual(findLink('something-else', LINKS), { _tag: 'None', near: undefined })
    assert.deepEqual(findLink('raw', []), { _tag: 'None', near: undefined })
  })

  test('may be a rejected entry that calls itself nearly so', () => {
    for (const typed of ['app/raw', 'raw', 'RAW', 'app/raw@/run/x', 'app/rwa', 'rwa'])
      assert.ok(looksLike(typed, 'app/raw'), typed)
    for (const typed of ['web', 'bus', 'web/bus']) assert.equal(looksLike(typed, 'app/raw'), false, typed)
  })
})
