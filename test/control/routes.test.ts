/** Every route and every refusal, as values: how they travel is server.test.ts's business. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import type { Answer } from '../../src/control/routes.ts'
import { GraphJson, LinkDetailsJson, LinksJson, RefusalJson } from '../../src/control/shapes.ts'
import { E } from '../../src/fp.ts'
import { EMPTY_GRAPH } from '../../src/model/graph.ts'
import { keyOf } from '../../src/model/link.ts'
import { LOG_LEVELS } from '../../src/model/log-level.ts'
import { aGraph, aLink } from '../support/builders.ts'
import { at, linkUrl } from '../support/control.ts'
import { settled } from '../support/fakes.ts'
import { type Bench, bench, serving } from './support.ts'

interface Asked extends Answer {
  readonly json: unknown
}

const ask = async (
  b: Bench,
  method: string,
  url: string,
  body = '',
  contentType?: string,
): Promise<Asked> => {
  const answer = await b.answer({ method, url, body, contentType })
  const isJson = answer.headers['content-type'] === 'application/json'
  const json: unknown = isJson ? JSON.parse(answer.body) : undefined
  if (answer.status >= 400) assert.ok(E.isRight(RefusalJson.decode(json)), answer.body)
  return { ...answer, json }
}

const refused = (answer: Asked): readonly unknown[] => [answer.status, at(answer.json, 'error')]

const app = aLink('app')
const web = aLink('web').running(110)
const appKey = keyOf(app.build())

describe('GET /links', () => {
  it('has every link, as shapes.ts has it', async () => {
    const { status, json } = await ask(await serving(web, app), 'GET', '/links')
    assert.equal(status, 200)
    const read = LinksJson.decode(json)
    assert.ok(E.isRight(read))
    assert.deepEqual(
      read.right.links.map(({ key, state }) => [key, state]),
      [
        [appKey, 'mediating'],
        [keyOf(web.build()), 'mediating'],
      ],
    )
  })

  it('is empty before the first graph', async () => {
    assert.deepEqual((await ask(bench(), 'GET', '/links?all')).json, { links: [] })
  })
})

describe('GET /links/KEY', () => {
  it('has its transitions and what to do', async () => {
    const b = await serving(app)
    for (const url of [linkUrl(appKey), `/links/${appKey}`]) {
      const { status, json } = await ask(b, 'GET', url)
      assert.equal(status, 200, url)
      const read = LinkDetailsJson.decode(json)
      assert.ok(E.isRight(read))
      assert.deepEqual(
        read.right.transitions.map(({ to }) => to),
        ['injecting.wanted', 'mediating.steady'],
      )
      assert.equal(read.right.advice.length, 1)
    }
  })

  it('takes any name a graph may have', async () => {
    for (const name of ['a b', 'a%2Fb', '?#&=', 'ü\u0001\u202e箱', '..', '__proto__', '\'"<']) {
      const odd = aLink(name).named(name)
      const b = await serving(odd)
      assert.equal((await ask(b, 'GET', linkUrl(keyOf(odd.build())))).status, 200, name)
    }
  })

  it('of a link that never was is 404, and of one that went 410 with its last transitions', async () => {
    const b = await serving(app)
    assert.deepEqual(refused(await ask(b, 'GET', linkUrl('app/none@/t'))), [404, 'NoSuchLink'])
    assert.deepEqual(refused(await ask(b, 'GET', '/links/')), [404, 'NoSuchLink'])
    assert.deepEqual(refused(await ask(b, 'GET', '/links/__proto__')), [404, 'NoSuchLink'])
    await b.shows(EMPTY_GRAPH)
    const gone = await ask(b, 'GET', linkUrl(appKey))
    assert.deepEqual(refused(gone), [410, 'LinkGone'])
    assert.equal(at(gone.json, 'transitions', 0, 'to'), 'injecting.wanted')
  })

  it('that is not percent-encoded UTF-8 is 400, and says how to encode it', async () => {
    const b = await serving(app)
    for (const url of ['/links/%', '/links/%zz', '/links/%ff', '/%c3%28', '/links/%ed%a0%80']) {
      const answer = await ask(b, 'GET', url)
      assert.deepEqual(refused(answer), [400, 'BadPath'], url)
      assert.match(String(at(answer.json, 'message')), /encodeURIComponent/)
    }
  })
})

describe('GET /graph', () => {
  it('has the last good graph with what was rejected of it, though the next one cannot be read', async () => {
    const b = bench()
    b.controller.start()
    await b.shows({ ...aGraph(app), rejected: [{ index: 1, reason: 'no target', called: 'app/x' }] })
    b.source.fails()
    await b.controller.kick('asked')
    const { status, json } = await ask(b, 'GET', '/graph')
    assert.equal(status, 200)
    const read = GraphJson.decode(json)
    assert.ok(E.isRight(read))
    assert.equal(read.right.links.length, 1)
    assert.deepEqual(read.right.rejected, [{ index: 1, reason: 'no target', called: 'app/x' }])
    const [available] = read.right.conditions
    assert.deepEqual(
      [available?.type, available?.status, available?.reason],
      ['GraphAvailable', 'False', 'Unreachable'],
    )
  })
})

describe('health', () => {
  it('is alive whatever happens', async () => {
    assert.equal((await ask(bench(), 'GET', '/healthz')).status, 200)
  })

  it('is ready from the first graph on, and no longer once it drains', async () => {
    const b = bench()
    assert.deepEqual(refused(await ask(b, 'GET', '/readyz')), [503, 'NotSynced'])
    b.controller.start()
    await settled()
    const waiting = await ask(b, 'GET', '/readyz')
    assert.match(String(at(waiting.json, 'message')), /\/pv\/pv-ctrl does not answer: ENOENT/)
    await b.shows(EMPTY_GRAPH)
    assert.equal((await ask(b, 'GET', '/readyz')).status, 200)
    b.source.fails()
    await b.controller.kick('asked')
    assert.equal((await ask(b, 'GET', '/readyz')).status, 200)
    await b.controller.drain()
    assert.deepEqual(refused(await ask(b, 'GET', '/readyz')), [503, 'Draining'])
  })
})

describe('POST /reconcile', () => {
  it('answers when a pass that began after it has ended', async () => {
    const b = await serving()
    b.source.says(aGraph(app))
    const open = b.source.hold()
    let answered = false
    const asked = ask(b, 'POST', '/reconcile').then(answer => {
      answered = true
      return answer
    })
    await settled()
    assert.equal(answered, false)
    open()
    const { status, json } = await asked
    assert.deepEqual([status, at(json, 'outcome'), at(json, 'pass')], [200, 'done', 3])
    assert.equal(b.controller.links().length, 1)
  })

  it('says that the graph could not be read, and why', async () => {
    const b = await serving(app)
    b.source.fails()
    const { status, json } = await ask(b, 'POST', '/reconcile')
    assert.deepEqual([status, at(json, 'outcome'), at(json, 'links')], [200, 'read-failed', { mediating: 1 }])
    assert.match(String(at(json, 'message')), /ENOENT/)
  })

  it('is refused once the daemon drains', async () => {
    const b = await serving(app)
    await b.controller.drain()
    assert.deepEqual(refused(await ask(b, 'POST', '/reconcile')), [503, 'Draining'])
  })
})

describe('/log-level', () => {
  it('is shown with what may be put', async () => {
    const { json } = await ask(await serving(), 'GET', '/log-level')
    assert.deepEqual(json, { level: 'info', allowed: LOG_LEVELS })
  })

  for (const [body, contentType] of [
    ['{"level":"debug"}', 'application/json'],
    ['{"level":"debug"}', undefined],
    ['"debug"', 'application/json; charset=utf-8'],
    ['debug\n', 'text/plain'],
    ['debug', 'application/x-www-form-urlencoded'],
  ] as const) {
    it(`takes ${JSON.stringify(body)} as ${contentType ?? 'no type at all'}`, async () => {
      const b = await serving()
      const { status, json } = await ask(b, 'PUT', '/log-level', body, contentType)
      assert.deepEqual([status, at(json, 'level')], [200, 'debug'])
      assert.equal(b.level(), 'debug')
    })
  }

  it('names the words that are allowed where it is given none of them', async () => {
    const b = await serving()
    for (const body of [
      '',
      'loud',
      '{"level":7}',
      '{"level":"DEBUG"}',
      '{"lvl":"debug"}',
      '{"level',
      '[]',
      '{"level":{}}',
    ]) {
      const answer = await ask(b, 'PUT', '/log-level', body)
      assert.deepEqual(refused(answer), [400, 'BadLevel'], body)
      assert.ok(String(at(answer.json, 'message')).includes(LOG_LEVELS.join(', ')), body)
    }
    assert.equal(b.level(), 'info')
  })

  it('takes no other type of content', async () => {
    const answer = await ask(await serving(), 'PUT', '/log-level', 'debug', 'image/png')
    assert.deepEqual(refused(answer), [415, 'UnsupportedMediaType'])
  })
})

describe('what is not served', () => {
  it('is 404 and names what is', async () => {
    const b = await serving()
    for (const url of ['/', '', '/link', '/links2', '/event', '*', '/healthz/', 'http://pv/links']) {
      const answer = await ask(b, 'GET', url)
      assert.deepEqual(refused(answer), [404, 'NoSuchPath'], url)
      assert.match(String(at(answer.json, 'message')), /\/links, \/links\/KEY, \/graph/)
    }
  })

  it('is 405 where only the method is another, and names those there are', async () => {
    const b = await serving(app)
    const rows = [
      ['POST', '/links', 'GET, HEAD'],
      ['DELETE', linkUrl(appKey), 'GET, HEAD'],
      ['GET', '/reconcile', 'POST'],
      ['HEAD', '/reconcile', 'POST'],
      ['POST', '/log-level', 'GET, HEAD, PUT'],
      ['OPTIONS', '/metrics', 'GET, HEAD'],
      ['constructor', '/graph', 'GET, HEAD'],
    ] as const
    for (const [method, url, allow] of rows) {
      const answer = await ask(b, method, url)
      assert.deepEqual(refused(answer), [405, 'MethodNotAllowed'], `${method} ${url}`)
      assert.equal(answer.headers['allow'], allow)
    }
  })

  it('never breaks anything, whatever is asked', async () => {
    const b = await serving(app)
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', '__proto__'),
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.string().map(text => `/links/${text}`),
          fc.constant('/log-level'),
        ),
        fc.string({ unit: 'binary' }),
        async (method, url, body) => {
          const { status } = await ask(b, method, url, body)
          assert.ok(status >= 200 && status < 500, `${status}`)
        },
      ),
    )
  })
})
