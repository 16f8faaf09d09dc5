import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Admission, type Ask, admit } from '../../src/inspector/gate.ts'

const TOKEN = 'abcdefghijklmnopqrstuv'

const asked = (changes: Partial<Ask> = {}): Admission =>
  admit(TOKEN, { method: 'GET', url: `/${TOKEN}/`, headers: { host: '127.0.0.1:9300' }, ...changes })

const statusOf = (admission: Admission): number => (admission._tag === 'Refused' ? admission.status : 200)

const withHeaders = (headers: Ask['headers']): number =>
  statusOf(asked({ headers: { host: '127.0.0.1:9300', ...headers } }))

describe('the gate of the inspector', () => {
  test('lets through who knows the token, and says what is asked for', () => {
    const admission = asked({ url: `/${TOKEN}/link?key=a%2Fb%40c&at=7` })
    assert.ok(admission._tag === 'Admitted')
    assert.equal(admission.path, 'link')
    assert.equal(admission.query.get('key'), 'a/b@c')
    assert.equal(admission.query.get('at'), '7')
  })

  const wrongTokens: Readonly<Record<string, string>> = {
    'none at all': '/',
    'an empty one': '//',
    'a shorter one': `/${TOKEN.slice(1)}/`,
    'a longer one': `/${TOKEN}x/`,
    'one of the same length': `/${TOKEN.replace('a', 'b')}/`,
    'one in the query': `/?${TOKEN}`,
    'one behind a path': `/page.js/${TOKEN}/`,
    'the whole URL of somewhere else': `http://127.0.0.1:9300/${TOKEN}/`,
  }
  for (const [name, url] of Object.entries(wrongTokens)) {
    test(`refuses a wrong token: ${name}`, () => {
      assert.equal(statusOf(asked({ url })), 403)
    })
  }

  const ownNames = [
    '127.0.0.1:1',
    '127.0.0.1',
    'localhost:9300',
    'LOCALHOST:9300',
    '[::1]:9300',
    '127.8.8.8:80',
  ]
  for (const host of ownNames) {
    test(`takes the loopback name ${host}, as a tunnel may bring any port`, () => {
      assert.equal(withHeaders({ host }), 200)
    })
  }

  const foreignNames = [
    'evil.example',
    'evil.example:9300',
    '127.0.0.1.evil.example',
    'localhost.evil.example:9300',
    '10.0.0.1:9300',
    '127.0.0.1:9300:1',
    '127.0.0.1:9300, evil.example',
    '',
  ]
  for (const host of foreignNames) {
    test(`refuses the Host ${JSON.stringify(host)}: somebody's name may resolve to this machine`, () => {
      assert.equal(withHeaders({ host }), 403)
    })
  }

  test('refuses a request without a Host', () => {
    assert.equal(statusOf(asked({ headers: {} })), 403)
  })

  test('takes its own origin', () => {
    assert.equal(withHeaders({ origin: 'http://127.0.0.1:9300' }), 200)
  })

  const foreignOrigins = [
    'http://evil.example',
    'http://127.0.0.1:9301',
    'http://localhost:9300',
    'https://127.0.0.1:9300',
    'null',
    '',
  ]
  for (const origin of foreignOrigins) {
    test(`refuses the origin ${JSON.stringify(origin)}`, () => {
      assert.equal(withHeaders({ origin }), 403)
    })
  }

  test('refuses what a page of another site asks for, whatever it says of its origin', () => {
    for (const mode of ['no-cors', 'cors', 'websocket'])
      assert.equal(withHeaders({ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': mode }), 403)
    assert.equal(withHeaders({ 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'cors' }), 403)
  })

  test('takes what its own page asks for, and what a person opened', () => {
    assert.equal(withHeaders({ 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' }), 200)
    assert.equal(withHeaders({ 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate' }), 200)
    const followed = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }
    assert.equal(withHeaders({ ...followed, 'sec-fetch-dest': 'document' }), 200)
    assert.equal(withHeaders({ ...followed, 'sec-fetch-dest': 'iframe' }), 403)
  })

  test('takes nothing but GET', () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD', ''])
      assert.equal(statusOf(asked({ method })), 405, method)
  })

  test('wants the slash that relative names need', () => {
    assert.equal(statusOf(asked({ url: `/${TOKEN}` })), 404)
  })
})
