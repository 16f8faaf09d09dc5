/**
 * Whatever containers and Pantavisor do again and again, who reads the log at `info` gets few lines, and knows how things
 * are in the end. (These daemons log at `debug`, where all is told; what counts is what stands above it.)
 */
import assert from 'node:assert/strict'
import type { LogLine } from '../support/daemon.ts'
import { asText } from '../support/daemon.ts'
import { eventually } from '../support/eventually.ts'
import type { Entry } from '../support/pv-ctrl.ts'
import {
  connectedPair,
  echoes,
  exists,
  type Pair,
  type PairOptions,
  type ScenarioOptions,
  SOCKET,
  scenario,
  TARGET,
  type World,
} from '../support/scenario.ts'

const BURST = 6
const EVERY_MS = 1000
/** First lines of their kind: a link has nine states and few errors. */
const KINDS = 12
/** How long each of the loops goes on. */
const LOOP_MS = 3000

const QUIET: ScenarioOptions = {
  intervalMs: 50,
  args: [
    ...['--log-burst', `${BURST}`, '--log-every', `${EVERY_MS}`],
    ...['--resync', '1000', '--connect-timeout', '50', '--max-packet-bytes', '4096'],
  ],
}

/** Lines that are about the same: a link, or else a message. */
const subjectOf = (line: LogLine): string => String(line['link'] ?? line['msg'])

const isShown = (line: LogLine): boolean => line['level'] !== 'debug'

/** The state of a link as those lines tell it, be it in one of its own or as the last that was held back. */
const toldState = (lines: readonly LogLine[], link: string): unknown => {
  const told = lines.flatMap(line => {
    if (line['link'] !== link) return []
    const last: unknown = line['last']
    return [line, ...(Array.isArray(last) ? last : [])].flatMap((each: LogLine) => each['to'] ?? [])
  })
  return told.at(-1)
}

/** A pair whose link must survive what `loop` does to it without end, and its log. */
const quietly = (
  name: string,
  loop: (world: World, pair: Pair, until: number) => Promise<void>,
  options: PairOptions = {},
): void => {
  scenario(
    name,
    async world => {
      const pair = await connectedPair(world, { service: 'echo', ...options })
      const { consumer, entry, link } = pair
      const since = world.daemon.log().length
      const started = Date.now()
      await loop(world, pair, started + LOOP_MS)
      world.ctrl.serve([entry])
      await world.daemon.reaches(link, 'mediating', 10_000)
      await eventually('the log tells how things are', () => {
        const shown = world.daemon.log().filter(isShown)
        return toldState(shown, link) === world.daemon.stateOf(link)
      })
      const tookMs = Date.now() - started

      const lines = world.daemon.log().slice(since)
      const counts = new Map<string, number>()
      for (const line of lines.filter(isShown)) {
        counts.set(subjectOf(line), (counts.get(subjectOf(line)) ?? 0) + 1)
      }
      for (const [subject, count] of counts) {
        const most = BURST + KINDS + Math.ceil(tookMs / EVERY_MS)
        assert.ok(count <= most, `${count} lines about ${subject} in ${tookMs} ms`)
      }
      const suppressed = lines.reduce((sum, line) => sum + Number(line['suppressed'] ?? 0), 0)
      assert.ok(
        suppressed > 0,
        `nothing had to be held back: ${lines.filter(isShown).map(asText).join('\n')}`,
      )
      if (options.kind === 'seqpacket') return
      let attempt = 0
      await eventually('new connections are served', async () => {
        attempt += 1
        await echoes(consumer, `in the end ${attempt}`)
        return true
      })
    },
    QUIET,
  )
}

/** For as long as the loop goes on. */
const rounds = async (until: number, round: (n: number) => Promise<unknown>): Promise<void> => {
  for (let n = 0; Date.now() < until; n += 1) await round(n)
}

quietly('a consumer that deletes its socket without end', async (_world, { app }, until) => {
  await rounds(until, () => app.exec('rm', '-f', TARGET))
})

quietly(
  'a consumer that puts a file in the place of its socket without end',
  async (world, { app, link }, until) => {
    await rounds(until, async () => {
      // By a rename: between a removal and another step the socket may be back.
      await app.exec('sh', '-c', `touch /run/own && mv -f /run/own ${TARGET}`)
      await world.daemon.reaches(link, 'pending.blocked')
      await app.exec('rm', '-f', TARGET)
      await world.daemon.reaches(link, 'mediating')
    })
  },
)

quietly(
  'a provider that comes and goes, and clients that come back and back',
  async (world, { svc, provider, consumer }, until) => {
    await provider.close('door')
    const clients = consumer.reconnect(TARGET, until - Date.now())
    await rounds(until, async () => {
      await provider.listen('flapping', SOCKET, { replace: true })
      await provider.close('flapping')
      await svc.exec('rm', '-f', SOCKET)
      await world.ctrl.askedAgain()
    })
    await clients
    await provider.listen('door', SOCKET)
    await provider.serve('door', 'echo')
  },
)

quietly(
  'a consumer whose packets are too long',
  async (_world, { consumer }, until) => {
    await rounds(until, async n => {
      await consumer.connect(`long${n}`, TARGET, { kind: 'seqpacket' })
      await consumer.send(`long${n}`, '!', { size: 5000 })
      await consumer.close(`long${n}`)
    })
  },
  { kind: 'seqpacket' },
)

/** Say something else each time Pantavisor is asked. */
const saying = (graphs: (entry: Entry, n: number) => readonly unknown[] | string) => {
  return async (world: World, { entry }: Pair, until: number): Promise<void> => {
    let n = 0
    world.ctrl.answer(response => {
      n += 1
      const graph = graphs(entry, n)
      response.writeHead(200)
      response.end(typeof graph === 'string' ? graph : JSON.stringify(graph))
    })
    await rounds(until, () => world.ctrl.askedAgain())
  }
}

quietly(
  'a graph whose entries are rejected for another reason each time',
  saying((entry, n) => [entry, ...Array.from({ length: 30 }, (_, index) => ({ bad: n, index, name: n }))]),
)

quietly(
  'a Pantavisor that answers nonsense every other time',
  saying((entry, n) => (n % 2 === 0 ? [entry] : 'nonsense')),
)

quietly(
  'a graph that has a link every other time',
  saying((entry, n) => (n % 2 === 0 ? [entry] : [])),
)

quietly(
  'a graph in which another link has the same target every other time',
  saying((entry, n) => (n % 2 === 0 ? [entry] : [{ ...entry, name: 'rival' }, entry])),
)

quietly(
  'a provider that is said to run every other time',
  saying((entry, n) => [{ ...entry, provider_pid: n % 2 === 0 ? entry['provider_pid'] : -1 }]),
)

scenario(
  'what is held back is told within a while, and what a reader was told last is how things are',
  async world => {
    const { app, link } = await connectedPair(world)
    const since = world.daemon.log().length
    await rounds(Date.now() + 1500, async () => {
      await app.exec('rm', '-f', TARGET)
      await eventually('it is planted again', () => exists(app.path(TARGET)))
    })
    const told = await world.daemon.logged(
      'what was held back',
      line => line['msg'] === 'log lines were held back' && line['link'] === link,
      { since },
    )
    assert.ok(Number(told['suppressed']) > 0)
    assert.match(asText(told), /"last":\[\{"msg":"link moved","times":\d+,"from":"[a-z.-]+","to":"[a-z.-]+"/)
    await eventually('the log tells how things are', () => {
      const shown = world.daemon.log().filter(isShown)
      return toldState(shown, link) === world.daemon.stateOf(link)
    })
  },
  QUIET,
)
