/** Bodies and tunnels over HTTP, which nobody has to look into; and what it costs to hold answers that nobody reads. */
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bar, Bench, Figure, Lane, Measure, Sample, Trial } from '../contract.ts'
import type { Way } from '../http-generator.ts'
import { type HttpContender, type HttpWay, openHttpField } from '../http-ways.ts'
import { anonymousBytes } from '../processes.ts'
import { withCore } from '../ways.ts'

/** With which it moves bodies best; its default is made for small requests. */
const HAPROXY_BUFFER_BYTES = 64 * 1024
const MIB = 1024 * 1024
const BODY_BYTES = { full: 100 * MIB, quick: 8 * MIB }
const READERS = 20
const UNREAD_BYTES = 32 * MIB
const PATIENCE_MS = 10_000
const SETTLE_MS = 300

const BARS: readonly Bar[] = [
  { ratioTo: 'reference', bound: 'at least', value: 0.85 },
  { ratioTo: 'peer', bound: 'at least', value: 1 },
]

const TITLES: Readonly<Record<Way, string>> = {
  counted: 'a body down, with a length',
  chunked: 'a body down, in chunks of 64 KiB',
  upload: 'a body up, with a length',
  tunnel: 'a body up, through a tunnel',
}

const figuresOf = (way: Way): readonly Figure[] => [
  {
    key: way,
    title: TITLES[way],
    unit: 'GB/s',
    better: 'more',
    bars: way === 'chunked' ? [] : BARS,
  },
  {
    key: `core-${way}`,
    title: `${TITLES[way]}, time on a core a GB`,
    unit: 'ms',
    better: 'less',
    bars: [],
  },
]

const SHARE: Figure = {
  key: 'share-chunked',
  title: 'in chunks instead of with a length',
  unit: 'of the speed',
  better: 'more',
  bars: [{ ratioTo: null, bound: 'at least', value: 0.8 }],
}

const sampleOf = async (
  way: Way,
  contender: HttpContender,
  { http, settings }: Bench,
): Promise<Sample & { readonly speed: number }> => {
  const window = { ...settings.window, forMs: Math.ceil(settings.window.forMs / 2) }
  const bodyBytes = settings.quick ? BODY_BYTES.quick : BODY_BYTES.full
  const { result, coreMs } = await withCore(contender, () =>
    http.move(contender.target, way, bodyBytes, window),
  )
  const speed = result.bytesPerSecond / 1e9
  return {
    speed,
    [way]: speed,
    ...(coreMs === undefined ? {} : { [`core-${way}`]: coreMs / (result.bytes / 1e9) }),
  }
}

const lanesOf = (
  contenders: readonly HttpContender[],
  sample: (contender: HttpContender) => Promise<Sample>,
): readonly Lane[] =>
  contenders.map(contender => ({
    contender: contender.name,
    role: contender.role,
    sample: () => sample(contender),
  }))

/** Its answer has begun, and is not read any further. */
const stuckReader = async (target: string): Promise<Socket> => {
  const socket = connect(target)
  socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error('no answer came')))
  socket.write(`GET /counted/${UNREAD_BYTES} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
  const beginning = await new Promise<Buffer>((resolve, reject) => {
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the connection was closed without an answer')))
    socket.once('data', (bytes: Buffer) => {
      socket.pause()
      resolve(bytes)
    })
  })
  socket.setTimeout(0)
  socket.on('error', () => undefined)
  if (!beginning.toString('latin1').startsWith('HTTP/1.1 200')) throw new Error(`it answered ${beginning}`)
  return socket
}

/** In a process of its own each time: one that has held them once has the memory already. */
const sampleStuck = async ({ start }: HttpWay): Promise<Sample> => {
  const { pid, target, stop } = await start()
  const sockets: Socket[] = []
  try {
    if (pid === undefined) return {}
    await sleep(SETTLE_MS)
    const before = anonymousBytes(pid)
    for (let i = 0; i < READERS; i += 1) sockets.push(await stuckReader(target))
    await sleep(SETTLE_MS)
    return { stuck: (anonymousBytes(pid) - before) / 1e6 }
  } finally {
    for (const socket of sockets) socket.destroy()
    await stop()
  }
}

const stuckTrial = (ways: readonly HttpWay[]): Trial => ({
  figures: [
    {
      key: 'stuck',
      title: 'memory added by 20 readers that stopped, of 32 MiB each',
      unit: 'MB',
      better: 'less',
      bars: [{ ratioTo: null, bound: 'at most', value: 16 }],
    },
  ],
  lanes: ways.map(way => ({ contender: way.name, role: way.role, sample: () => sampleStuck(way) })),
})

export const restBulk: Measure = {
  name: 'rest-bulk',
  title: 'bodies and tunnels over HTTP, one connection, in writes of 1 MiB',
  needsContenders: false,
  rounds: settings => settings.rounds,
  open: async bench => {
    const { ways, contenders, absent, close } = await openHttpField(bench, HAPROXY_BUFFER_BYTES)
    const cameUp = ways.filter(({ name }) => contenders.some(contender => contender.name === name))
    const alone = (way: Way): Trial => ({
      figures: figuresOf(way),
      lanes: lanesOf(contenders, contender => sampleOf(way, contender, bench)),
    })
    const down: Trial = {
      figures: [...figuresOf('counted'), ...figuresOf('chunked'), SHARE],
      lanes: lanesOf(contenders, async contender => {
        const counted = await sampleOf('counted', contender, bench)
        const chunked = await sampleOf('chunked', contender, bench)
        return { ...counted, ...chunked, [SHARE.key]: chunked.speed / counted.speed }
      }),
    }
    const trials = [down, alone('upload'), alone('tunnel'), stuckTrial(cameUp)]
    return { trials: [...trials, { figures: [], lanes: absent }], close }
  },
}
