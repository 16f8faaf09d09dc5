/**
 * Two containers with `rest` links between them, for many small tests on one daemon. Behind one link is a provider that
 * answers and records by itself, behind the other one that the test leads. What goes over them is told as bytes.
 */
import assert from 'node:assert/strict'
import * as codecs from 'io-ts'
import { E } from '../../src/fp.ts'
import type { Container } from './container.ts'
import { eventually } from './eventually.ts'
import { type HttpPeer, type Line, type Recorded, startHttpPeer, type Told } from './http-peer.ts'
import type { Entry } from './pv-ctrl.ts'
import { entryFor, inTurn, keyOf, type Rows, type ScenarioOptions, scenario, type World } from './scenario.ts'

/** Where the consumer finds the provider that answers by itself, and the one that the test leads. */
export const SERVED = '/run/pvx/served.sock'
export const LED = '/run/pvx/led.sock'
export const SERVED_SOCKET = '/run/svc/served.sock'
export const LED_SOCKET = '/run/svc/led.sock'

export interface Site extends World {
  readonly app: Container
  readonly svc: Container
  readonly client: HttpPeer
  /** Its listeners are `served` and `led`. */
  readonly provider: HttpPeer
  readonly entries: { readonly served: Entry; readonly led: Entry }
  readonly links: { readonly served: string; readonly led: string }
}

export interface SiteOptions {
  /** The consumer's name in the graph; `app` if nobody says otherwise. */
  readonly consumer?: string
  readonly role?: string
  /** Of the provider that the test leads. */
  readonly backlog?: number
  /** Nobody listens yet. */
  readonly absent?: true
}

const siteIn = async (world: World, options: SiteOptions = {}): Promise<Site> => {
  const [app, svc] = await Promise.all([world.container('app'), world.container('svc')])
  const [client, provider] = await Promise.all([startHttpPeer(app), startHttpPeer(svc)])
  for (const peer of [client, provider]) world.adopt(peer)
  const consumer = { ...app, name: options.consumer ?? app.name }
  const link = (name: string, socket: string, target: string): Entry =>
    entryFor({
      type: 'rest',
      interface: 'rest',
      name,
      consumer,
      provider: svc,
      socket,
      target,
      role: options.role ?? 'any',
    })
  const entries = {
    served: link('served', SERVED_SOCKET, SERVED),
    led: link('led', LED_SOCKET, LED),
  }
  const links = { served: keyOf(entries.served), led: keyOf(entries.led) }
  if (options.absent !== true) {
    await provider.listen('served', SERVED_SOCKET)
    await provider.serve('served', 'http')
    await provider.listen(
      'led',
      LED_SOCKET,
      options.backlog === undefined ? {} : { backlog: options.backlog },
    )
  }
  world.ctrl.serve([entries.served, entries.led])
  world.daemon.signal('SIGHUP')
  await Promise.all(Object.values(links).map(each => world.daemon.reaches(each, 'mediating')))
  return { ...world, app, svc, client, provider, entries, links }
}

/** A test on a site of its own. Its lines are closed at the end: the daemon gives an exchange that is running its time. */
export const onItsOwn = (
  name: string,
  body: (site: Site) => Promise<void>,
  options: ScenarioOptions & SiteOptions = {},
): void => {
  scenario(
    name,
    async world => {
      const site = await siteIn(world, options)
      await body(site)
      await site.client.closeLines()
    },
    options,
  )
}

/** Tests with one sentence each, on the same daemon and containers, one after the other. */
export const onOneSite = (
  name: string,
  rows: Rows<Site>,
  options: ScenarioOptions & SiteOptions = {},
): void => {
  scenario(
    name,
    async (world, context) => {
      const site = await siteIn(world, options)
      await inTurn(world, context, site, rows, async () => {
        await Promise.all([site.client.closeLines(), site.provider.closeLines()])
      })
    },
    options,
  )
}

/** Lines, each with its CRLF, and the empty one that ends a head. */
export const head = (...lines: readonly string[]): string => [...lines, '', ''].join('\r\n')

/** The shortest whole answer. */
export const OK = `${head('HTTP/1.1 200 OK', 'Content-Length: 2')}ok`

/** A request's head as a provider gets it: the identity follows the first line. */
export const identified = (line: string, ...fields: readonly string[]): string =>
  head(line, 'X-PV-Client: app', 'X-PV-Role: any', ...fields)

export const get = (target: string, ...fields: readonly string[]): string =>
  head(`GET ${target} HTTP/1.1`, 'Host: x', ...fields)

/** The same as a provider gets it. */
export const gotten = (target: string, ...fields: readonly string[]): string =>
  identified(`GET ${target} HTTP/1.1`, 'Host: x', ...fields)

/** What ends every answer of the provider that answers by itself. */
const END_OF_ANSWER = '"}\n'

/** Bytes of a consumer, and so many answers: what these were, and what the provider got meanwhile. */
export const exchange = async (
  { client, provider }: Site,
  text: string,
  answers = 1,
): Promise<{ readonly answer: string; readonly connections: readonly Recorded[] }> => {
  const before = (await provider.recorded('served')).length
  const line = await client.line(SERVED)
  await line.write(text)
  const { text: answer, ended } = await line.hears(END_OF_ANSWER, answers)
  assert.equal(answer.split(END_OF_ANSWER).length - 1, answers, `${ended} after ${answer}`)
  const connections = await provider.recorded('served', before)
  await line.close()
  return { answer, connections }
}

/** All that the provider got over the one connection that the bytes led to. */
export const forwardedOf = async (site: Site, text: string, answers = 1): Promise<string> => {
  const { connections } = await exchange(site, text, answers)
  assert.equal(connections.length, 1)
  return connections[0]?.text ?? ''
}

const Refusal = codecs.type({ error: codecs.string, reason: codecs.string })

export interface Refused {
  readonly status: number
  readonly reason: string
}

/** A refusal, down to its form. */
export const refusalIn = (text: string): Refused => {
  const [top = '', body = ''] = text.split('\r\n\r\n', 2)
  const [first = '', ...fields] = top.split('\r\n')
  const status = /^HTTP\/1\.1 ([0-9]{3}) [A-Z][A-Za-z -]+$/.exec(first)?.[1]
  assert.ok(status !== undefined, `no refusal: ${text}`)
  assert.deepEqual(fields, [
    'Server: pv-xconnect',
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
    ...(status === '503' ? ['Retry-After: 1'] : []),
    'Connection: close',
  ])
  assert.ok(body.length <= 1024)
  const told = Refusal.decode(JSON.parse(body))
  if (E.isLeft(told)) throw new Error(`no refusal: ${body}`)
  return { status: Number(status), reason: told.right.reason }
}

/** That the provider got nothing but this since it had taken so many connections. */
export const onlyProbed = async ({ client, provider }: Site, before: number): Promise<void> => {
  const line = await client.line(SERVED)
  await line.write(get('/probe', 'Connection: close'))
  await line.hearsToEnd()
  await line.close()
  // It takes connections in order: what came before this one is there already.
  const connections = await provider.recorded('served', before)
  assert.deepEqual(
    connections.map(({ text }) => text),
    [gotten('/probe', 'Connection: close')],
  )
}

/** Bytes that the daemon answers itself, and of which the provider gets nothing. */
export const refuses = async (
  site: Site,
  text: string,
  expected: Refused,
  halfClosed = false,
): Promise<Told> => {
  const before = (await site.provider.recorded('served')).length
  const line = await site.client.line(SERVED)
  await line.write(text)
  if (halfClosed) await line.halfClose()
  const told = await line.hearsToEnd()
  await line.close()
  assert.deepEqual({ text, ...refusalIn(told.text) }, { text, ...expected })
  // Else a client that still writes would be told of a reset before it reads the answer.
  if (!halfClosed) assert.equal(told.ended, 'half-close', text)
  await onlyProbed(site, before)
  return told
}

/** One connection over the link whose provider the test leads: both ends, and what the provider got first. */
export interface Led {
  readonly consumer: Line
  readonly upstream: Line
  readonly got: string
}

/** A consumer's line over the link whose provider the test leads, and the provider's end of it, after its first bytes. */
export const led = async ({ client, provider }: Site, text: string, mark = '\r\n\r\n'): Promise<Led> => {
  const consumer = await client.line(LED)
  const accepted = provider.accepts('led')
  await consumer.write(text)
  const upstream = await accepted
  const { text: got } = await upstream.hears(mark)
  return { consumer, upstream, got }
}

/** Until the other side has left a line, whatever it said before. */
export const isLeft = (line: Line): Promise<boolean> =>
  eventually('the line is closed', async () => (await line.state()) === 'close')
