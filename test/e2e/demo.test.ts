/** The demo, as it is shipped: what it claims on the screen, and that nothing of it is left. */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
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
    if (!isInstalled('weston')) return
    const refused = answers.indexOf('refused: invalid global weston_screenshooter (17)')
    assert.ok(
      refused > 0 && answers.slice(refused).includes('weston_screenshooter is bound'),
      answers.join('\n'),
    )
  })
})
