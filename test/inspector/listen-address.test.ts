import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { E } from '../../src/fp.ts'
import { DEFAULT_ADDRESS, inUrl, isLoopback, parseListenAddress } from '../../src/inspector/listen-address.ts'

describe('where the inspector may listen', () => {
  const taken: Readonly<Record<string, string>> = {
    '': '127.0.0.1:0',
    '9300': '127.0.0.1:9300',
    ':9300': '127.0.0.1:9300',
    '127.0.0.1:9300': '127.0.0.1:9300',
    '127.0.0.1': '127.0.0.1:0',
    '127.1.2.3:65535': '127.1.2.3:65535',
    'localhost:9300': '127.0.0.1:9300',
    '[::1]:9300': '[::1]:9300',
  }
  for (const [text, shown] of Object.entries(taken)) {
    test(`${JSON.stringify(text)} is ${shown}`, () => {
      const address = parseListenAddress(text)
      assert.equal(E.isRight(address) ? inUrl(address.right) : address.left._tag, shown)
    })
  }

  const refused = [
    '0.0.0.0:9300',
    '[::]:9300',
    '10.0.0.1:9300',
    '192.168.1.1',
    '[fe80::1]:9300',
    '[::ffff:127.0.0.1]:9300',
    'device.example:9300',
    'localhost.example:9300',
    '127.0.0.1.example:9300',
    '127.0.0.256:9300',
    '127.1:9300',
    '2130706433:9300',
    '127.0.0.1:65536',
    '127.0.0.1:http',
    '127.0.0.1:9300/',
    '::1:9300',
    '*:9300',
  ]
  for (const text of refused) {
    test(`${text} is refused`, () => {
      const address = parseListenAddress(text)
      assert.equal(E.isLeft(address) && address.left._tag, 'InspectorAddressRefused')
    })
  }

  test('by default any free port of 127.0.0.1', () => {
    assert.deepEqual(DEFAULT_ADDRESS, { host: '127.0.0.1', port: 0 })
    assert.ok(isLoopback(DEFAULT_ADDRESS.host))
  })
})
