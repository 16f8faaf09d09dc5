/** Whatever comes from pv-ctrl, good links go on, and what cannot be connected says why. */
import assert from 'node:assert/strict'
import { asText } from '../support/daemon.ts'
import { eventually, staysTrue } from '../support/eventually.ts'
import type { Answer, Entry } from '../support/pv-ctrl.ts'
import {
  connectedPair,
  echoes,
  entryFor,
  exists,
  inodeOf,
  keyOf,
  type Pair,
  SOCKET,
  scenario,
  stillEchoes,
  TARGET,
  unconnectedPair,
  type World,
} from '../support/scenario.ts'

const MIB = 1024 * 1024

const textual =
  (body: string): Answer =>
  response => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(body)
  }

/** Serve the answer for some readings: the link must not notice, and a good graph must be understood right after. */
const isHarmless = async (world: World, answer: (entry: Entry) => Answer): Promise<void> => {
  const { app, consumer, entry, link } = await connectedPair(world, { service: 'echo' })
  await echoes(consumer, 'line')
  const planted = inodeOf(app.path(TARGET))
  const states = world.daemon.statesOf(link).length
  world.ctrl.answer(answer(entry))
  world.daemon.signal('SIGHUP')
  await world.ctrl.askedAgain(2)
  await stillEchoes(consumer, 'line')
  assert.equal(inodeOf(app.path(TARGET)), planted)
  assert.equal(world.daemon.statesOf(link).length, states)
  const second = { ...entry, name: 'second', target: '/run/pvx/second.sock' }
  world.ctrl.serve([entry, second])
  await world.daemon.reaches(keyOf(second), 'mediating', 15_000)
  await stillEchoes(consumer, 'line')
}

scenario('a graph that is not JSON harms no link', world =>
  isHarmless(world, () => textual('[{"type": unix}]')),
)

scenario('an empty body harms no link', world => isHarmless(world, () => textual('')))

scenario('a graph that is not an array harms no link', world =>
  isHarmless(world, () => textual('{"links":[]}')),
)

scenario('null in place of a graph harms no link', world => isHarmless(world, () => textual('null')))

scenario('a graph in which text is not UTF-8 harms no link', world =>
  isHarmless(world, () => response => {
    response.writeHead(200)
    response.end(Buffer.from([0x5b, 0x22, 0xff, 0xfe, 0xc0, 0x22]))
  }),
)

scenario('an answer cut off in the middle of its announced length harms no link', world =>
  isHarmless(world, entry => (_, socket) => {
    const body = JSON.stringify([entry])
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, -9)}`)
    socket.destroySoon()
  }),
)

scenario('an empty array cut off after its first chunk harms no link', world =>
  isHarmless(world, () => (_, socket) => {
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n')
    socket.destroySoon()
  }),
)

scenario('an answer that is not HTTP harms no link', world =>
  isHarmless(world, () => (_, socket) => {
    socket.end('[]\n')
  }),
)

scenario('a connection closed without an answer harms no link', world =>
  isHarmless(world, () => (_, socket) => {
    socket.destroy()
  }),
)

scenario('an error of the server harms no link', world =>
  isHarmless(world, () => response => {
    response.writeHead(500)
    response.end('[]')
  }),
)

scenario('a graph of more than 8 MiB harms no link', world =>
  isHarmless(world, entry => textual(`[${JSON.stringify(entry)}${' '.repeat(8 * MIB)}]`)),
)

scenario('an answer that never ends harms no link and does not fill the memory', async world => {
  const pair = await connectedPair(world, { service: 'echo' })
  const before = world.daemon.anonymousMemory()
  let sent = 0
  world.ctrl.answer((response, socket) => {
    response.writeHead(200)
    const more = (): void => {
      if (socket.destroyed || sent > 256 * MIB) return
      sent += MIB
      response.write(' '.repeat(MIB), more)
    }
    more()
  })
  await eventually('it is cut off', () => sent > 8 * MIB)
  await echoes(pair.consumer, 'line')
  assert.ok(sent < 64 * MIB, `${sent} bytes were read`)
  const grown = world.daemon.anonymousMemory() - before
  assert.ok(grown < 40 * MIB, `grown by ${grown} bytes`)
})

scenario('a server that accepts and never answers harms no link', async world => {
  const { consumer, link } = await connectedPair(world, { service: 'echo' })
  world.ctrl.answer(() => undefined)
  await world.ctrl.askedAgain()
  await echoes(consumer, 'line')
  await staysTrue('the link is up', 500, () => world.daemon.isIn(link, 'mediating'))
  world.daemon.signal('SIGTERM')
  assert.equal(await world.daemon.ended(), 0)
})

scenario('a bad reading is logged once, not at every interval', async world => {
  await connectedPair(world)
  const since = world.daemon.log().length
  world.ctrl.answer(textual('no graph'))
  await world.ctrl.askedAgain(6)
  const lines = world.daemon
    .log()
    .slice(since)
    .filter(line => line['level'] !== 'debug')
  assert.ok(lines.length >= 1 && lines.length <= 2, lines.map(asText).join('\n'))
})

scenario('a graph that arrives byte by byte and without a length is understood', async world => {
  const { consumer, provider, entry, link } = await unconnectedPair(world)
  await provider.listen('door', SOCKET)
  await provider.serve('door', 'echo')
  const body = JSON.stringify([{ ...entry, note: 'ünï©ödé' }])
  world.ctrl.answer(response => {
    response.writeHead(200)
    const bytes = Buffer.from(body)
    const one = (index: number): void => {
      if (index === bytes.length) response.end()
      else response.write(bytes.subarray(index, index + 1), () => setImmediate(one, index + 1))
    }
    one(0)
  })
  await world.daemon.reaches(link, 'mediating')
  await echoes(consumer, 'line')
})

scenario('a graph that ends with its connection is understood', async world => {
  const { entry, link } = await unconnectedPair(world)
  world.ctrl.answer((_, socket) => {
    socket.end(`HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n${JSON.stringify([entry])}`)
  })
  await world.daemon.reaches(link, 'mediating')
})

scenario('an empty array tears everything down', async world => {
  const { app, link } = await connectedPair(world)
  world.ctrl.serve([])
  await world.daemon.reaches(link, 'released')
  assert.equal(exists(app.path(TARGET)), false)
})

scenario('bad entries are named with their place and reason and do not hide the good ones', async world => {
  const { consumer, provider, entry, link } = await unconnectedPair(world)
  await provider.listen('door', SOCKET)
  await provider.serve('door', 'echo')
  const bad: readonly unknown[] = [
    17,
    null,
    [],
    'a string',
    {},
    { ...entry, name: undefined },
    { ...entry, consumer: 5 },
    { ...entry, type: ['unix'] },
    { ...entry, target: '/run/../../etc/evil.sock' },
    { ...entry, target: 'relative.sock' },
    { ...entry, target: '/run/nul\0.sock' },
    { ...entry, target: `/run/${'x'.repeat(5000)}` },
    { ...entry, socket: '' },
  ]
  const graph = [...bad.slice(0, 6), entry, ...bad.slice(6)]
  world.ctrl.serve(graph)
  await world.daemon.reaches(link, 'mediating')
  await echoes(consumer, 'line')
  const told = world.daemon.log().map(asText).join('\n')
  assert.match(told, /"entry":7,"reason":"consumer: /)
})

scenario('unknown fields are ignored', async world => {
  const { entry, link } = await unconnectedPair(world)
  world.ctrl.serve([{ ...entry, colour: 'blue', status: { deep: [1, 2, { __proto__: null }] } }])
  await world.daemon.reaches(link, 'mediating')
})

scenario('names that mean something to JavaScript are names like any other', async world => {
  const { app, svc } = await unconnectedPair(world)
  const entries = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'].map(name =>
    entryFor({ name, consumer: app, provider: svc, target: `/run/${name}.sock` }),
  )
  world.ctrl.serve(entries)
  for (const entry of entries) await world.daemon.reaches(keyOf(entry), 'mediating')
})

scenario('a graph of a thousand links comes up and goes down', async world => {
  const { app, svc, consumer, provider } = await unconnectedPair(world)
  await provider.listen('door', SOCKET)
  await provider.serve('door', 'echo')
  const entries = Array.from({ length: 1000 }, (_, index) =>
    entryFor({ name: `n${index}`, consumer: app, provider: svc, target: `/run/pvx/${index}.sock` }),
  )
  world.ctrl.serve(entries)
  await eventually(
    'all are up',
    () => entries.every(entry => world.daemon.isIn(keyOf(entry), 'mediating')),
    15_000,
  )
  await echoes(consumer, 'last', '/run/pvx/999.sock')
  world.ctrl.serve([])
  await eventually('nothing is left', () => !exists(app.path('/run/pvx')), 15_000)
})

/** The link stands in `pending.blocked`, the log says why, and nothing was planted. */
const isBlocked = async (
  world: World,
  pair: Pair,
  change: Readonly<Record<string, unknown>>,
  why: RegExp,
): Promise<void> => {
  const { app, consumer, entry } = pair
  const wrong = { ...entry, name: 'wrong', target: '/run/wrong/raw.sock', ...change }
  world.ctrl.serve([entry, wrong])
  await world.daemon.reaches(keyOf(wrong), 'pending.blocked')
  await world.daemon.logged(
    `the reason ${why}`,
    line => line['link'] === keyOf(wrong) && why.test(asText(line)),
  )
  assert.equal(exists(app.path('/run/wrong')), false)
  await echoes(consumer, 'line')
}

scenario('a type that no plugin serves blocks its link', async world => {
  const pair = await connectedPair(world, { service: 'echo' })
  await isBlocked(world, pair, { type: 'carrier-pigeon' }, /carrier-pigeon/)
})

scenario('a type that is no file name but a path blocks its link', async world => {
  const pair = await connectedPair(world, { service: 'echo' })
  await isBlocked(world, pair, { type: '../../../etc' }, /etc/)
})

scenario('an option that nobody knows blocks its link', async world => {
  const pair = await connectedPair(world, { service: 'echo' })
  await isBlocked(world, pair, { interface: 'unix+telepathy' }, /telepathy/)
})

scenario('two identities at once block their link', async world => {
  const pair = await connectedPair(world, { service: 'echo' })
  await isBlocked(world, pair, { interface: 'unix+creds+role-creds' }, /role-creds/)
})

scenario('two options that contradict each other block their link', async world => {
  const pair = await connectedPair(world, { service: 'echo' })
  await isBlocked(world, pair, { interface: 'unix+stream+seqpacket' }, /seqpacket/)
})

scenario('a DGRAM provider blocks a link that needs connections', async world => {
  const pair = await connectedPair(world, { service: 'echo' })
  await pair.provider.listen('mail', '/run/svc/mail.sock', { kind: 'dgram' })
  await isBlocked(world, pair, { socket: '/run/svc/mail.sock', interface: 'unix+peercred' }, /dgram/i)
})

scenario('an interface that is a label for people is no option', async world => {
  const { consumer } = await connectedPair(world, { service: 'echo', interface: 'org.example.Unix+More' })
  await echoes(consumer, 'line')
})

scenario('a blocked link comes up when its entry is put right', async world => {
  const { consumer, provider, entry, link } = await unconnectedPair(world)
  await provider.listen('door', SOCKET)
  await provider.serve('door', 'echo')
  world.ctrl.serve([{ ...entry, interface: 'unix+telepathy' }])
  await world.daemon.reaches(link, 'pending.blocked')
  world.ctrl.serve([entry])
  await world.daemon.reaches(link, 'mediating')
  await echoes(consumer, 'line')
})
