/** The demo, as it is shipped: what it claims on the screen, and that nothing of it is left. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { describe, test } from 'node:test'
import { runBundle } from '../cli/support.ts'
import { needsRoot } from '../support/privileges.ts'
import { isInstalled } from '../support/requirements.ts'

const demoFolders = (): readonly string[] =>
  readdirSync(tmpdir()).filter(name => name.startsWith('pv-xconnect-demo-'))

/** Lines of one of those who speak in it, without their time. */
const saidBy = (who: string, out: string): readonly string[] =>
  out.split('\n').flatMap(line => new RegExp(`^ +[\\d.]+s  ${who} +(.*)$`).exec(line)?.[1] ?? [])

/** What a client that says it is root could do as `nobody`, and then as `mail`. */
const assertBus = (out: string): void => {
  const answers = saidBy('consumer', out)
  const answersTo = (call: string): readonly string[] =>
    answers.flatMap(line => (line.startsWith(`${call} `) ? [line.slice(call.length).trim()] : []))
  assert.deepEqual(answersTo('ListNames'), Array(2).fill('org.freedesktop.DBus, org.example.Postbox'))
  assert.deepEqual(answersTo('NameHasOwner Safe'), ['0', '0'])
  assert.deepEqual(answersTo('Postbox.Count'), ['0', '0'])
  const [asNobody, asMail] = answersTo('Postbox.Put')
  // The bus's own words: the daemon let it pass.
  assert.match(asNobody ?? '', /^refused: .*AccessDenied: Rejected send message, .*uid=65534/)
  assert.equal(asMail, '1')
  for (const denied of ['Safe.Open', 'DBus.ReloadConfig']) {
    const both = answersTo(denied)
    assert.equal(both.length, 2)
    for (const answer of both) assert.match(answer, /^refused: .*AccessDenied: The link does not allow/)
  }
  assert.deepEqual(
    saidBy('provider', out).filter(line => line.startsWith('answered ')),
    ['Count | uid 65534', 'Count | uid 8', 'Put | uid 8'].map(call => `answered org.example.Postbox.${call}`),
  )
  assert.match(
    saidBy('policy', out).join('\n'),
    /^denied by .*system\.conf:\d+, <policy context="default">:$/m,
  )
}

describe('the demo', () => {
  test('plays to its end, shows that no lie on a rest link is believed, and leaves nothing behind', async t => {
    if (!needsRoot(t)) return
    const before = demoFolders()
    const { code, out, err } = await runBundle(['demo'])
    assert.equal(err, '')
    assert.equal(code, 0)
    assert.match(out, /Done: nothing is left behind\.\n$/)
    assert.deepEqual(demoFolders(), before)

    const answers = saidBy('consumer', out)
    const [truth, ...afterLies] = answers.filter(line => line.startsWith('GET /info'))
    assert.match(truth ?? '', /200 {"client":"app","role":"reader",/)
    assert.equal(afterLies.length, 2)
    for (const answer of afterLies) assert.match(answer, /200 {"client":"app","role":"reader",/)
    assert.deepEqual(
      answers.flatMap(line => /^PUT \/greeting +(\d+)/.exec(line)?.[1] ?? []),
      ['403', '200'],
    )
    assert.ok(answers.some(line => line.endsWith('400 {"error":"bad_request","reason":"te-and-cl"}')))

    const seen = saidBy('provider', out).filter(line => line.startsWith('saw '))
    assert.equal(seen.length, 4)
    for (const request of seen) {
      assert.match(request, / \| X-PV-Client: app \| X-PV-Role: reader \| /)
      assert.doesNotMatch(request, /root|admin/)
    }

    assert.deepEqual(
      answers.filter(line => line.endsWith('in /dev/dri')),
      ['has renderD128 in /dev/dri', 'has card0 in /dev/dri'],
    )
    if (existsSync('/usr/bin/python3'))
      assert.ok(answers.some(line => line.includes('{"pvx":1,"consumer":"app"')))
    if (isInstalled('dbus-daemon')) assertBus(out)
    if (!isInstalled('weston')) return
    const refused = answers.indexOf('refused: invalid global weston_screenshooter (17)')
    assert.ok(
      refused > 0 && answers.slice(refused).includes('weston_screenshooter is bound'),
      answers.join('\n'),
    )
  })
})
