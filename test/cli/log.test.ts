import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createLog, type LogDestination } from '../../src/log.ts'

interface Captured extends LogDestination {
  readonly lines: string[]
  /** From now on, lines are dropped; or taken again. */
  block(blocked: boolean): void
}

const capture = (): Captured => {
  const lines: string[] = []
  let blocked = false
  let dropped = 0
  return {
    lines,
    block: on => {
      blocked = on
    },
    write: line => {
      if (blocked) dropped += 1
      else lines.push(line)
    },
    dropped: () => dropped,
    flush: () => undefined,
  }
}

const parsed = (line: string | undefined): Record<string, unknown> => JSON.parse(line ?? '')

describe('the log', () => {
  test('is one JSON object a line: level by name, time in ISO form, no pid and no host', async () => {
    const destination = capture()
    const log = await createLog({ level: 'info', pretty: false, destination })
    log.info({ link: 'app/nm@/run/nm.sock' }, 'link is mediating')
    const [line = ''] = destination.lines
    assert.ok(line.endsWith('\n'))
    const { time, ...rest } = parsed(line)
    assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    assert.deepEqual(rest, {
      level: 'info',
      name: 'pv-xconnect',
      link: 'app/nm@/run/nm.sock',
      msg: 'link is mediating',
    })
  })

  test('carries the facts of a child on every line of its', async () => {
    const destination = capture()
    const log = await createLog({ level: 'debug', pretty: false, destination })
    log.child({ link: 'a/b@/c' }).debug({ bytes: 1 }, 'moved')
    assert.equal(parsed(destination.lines[0])['link'], 'a/b@/c')
  })

  test('leaves out what is below its level', async () => {
    const destination = capture()
    const log = await createLog({ level: 'warn', pretty: false, destination })
    log.info({}, 'no')
    log.error({}, 'yes')
    assert.deepEqual(
      destination.lines.map(line => parsed(line)['msg']),
      ['yes'],
    )
  })

  test('takes another level while it runs, for children that were made before too', async () => {
    const destination = capture()
    const log = await createLog({ level: 'info', pretty: false, destination })
    const early = log.child({ link: 'a/b@/c' }).child({ pass: 1 })
    early.debug({}, 'held back')
    log.setLevel('debug')
    early.debug({}, 'shown')
    log.child({}).debug({}, 'shown too')
    assert.equal(log.level(), 'debug')
    assert.equal(early.isLevelEnabled('debug'), true)
    log.setLevel('error')
    early.warn({}, 'held back')
    early.error({}, 'shown at last')
    assert.deepEqual(
      destination.lines.map(line => parsed(line)['msg']),
      ['the log level changed', 'shown', 'shown too', 'the log level changed', 'shown at last'],
    )
  })

  test('tells how many lines nobody read', async () => {
    const destination = capture()
    const log = await createLog({ level: 'info', pretty: false, destination })
    assert.equal(log.droppedLines(), 0)
    destination.block(true)
    log.info({}, 'lost')
    assert.equal(log.droppedLines(), 1)
  })

  test('a line break in a fact stays inside its line', async () => {
    const destination = capture()
    const log = await createLog({ level: 'info', pretty: false, destination })
    log.info({ name: 'a\nb' }, 'said %s')
    assert.equal(destination.lines.length, 1)
    assert.equal(destination.lines[0]?.indexOf('\n'), (destination.lines[0]?.length ?? 0) - 1)
    assert.equal(parsed(destination.lines[0])['msg'], 'said %s')
  })

  test('says how many lines were dropped, once lines are taken again', async () => {
    const destination = capture()
    const log = await createLog({ level: 'info', pretty: false, destination })
    destination.block(true)
    log.info({}, 'lost')
    log.info({}, 'lost too')
    destination.block(false)
    log.info({}, 'heard')
    log.info({}, 'heard too')
    const facts = destination.lines.map(line => [parsed(line)['msg'], parsed(line)['lines']])
    assert.deepEqual(facts, [
      ['heard', undefined],
      ['log lines were dropped: they were not read fast enough', 2],
      ['heard too', undefined],
    ])
  })

  test('for people is text, a line an event', async () => {
    const destination = capture()
    const log = await createLog({ level: 'info', pretty: true, destination })
    log.warn({ link: 'a/b@/c', error: { _tag: 'PeerGone' } }, 'link is pending')
    assert.equal(destination.lines.length, 1)
    assert.equal(destination.lines[0]?.trimEnd().includes('\n'), false)
    assert.match(destination.lines[0] ?? '', /WARN.*link is pending.*a\/b@\/c/)
  })
})
