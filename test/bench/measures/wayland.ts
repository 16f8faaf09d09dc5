/** Wayland: messages of a client that does nothing else, and frames of real ones on a real compositor, direct and through a link. */
import { join } from 'node:path'
import { type Contender, direct, withLink } from '../contenders.ts'
import type { Bar, Bench, Lane, Measure, Role, Trial } from '../contract.ts'
import type { GraphDaemon } from '../graph-daemon.ts'
import { hostEntry } from '../graph-entries.ts'
import { isConnectable } from '../probe.ts'
import { type WaylandGenerator, waylandGenerator } from '../wayland-generator.ts'
import { bringUp, type Way, type Ways, withCore } from '../ways.ts'
import { type FrameClient, framesPerSecond, hasWeston, startWeston } from '../weston-frames.ts'

const DESCRIPTOR_EVERY = 64
const FRAMES = { full: 200, quick: 40 }

const AS_DIRECT: readonly Bar[] = [{ ratioTo: 'reference', bound: 'at least', value: 0.98 }]

const CLIENTS: readonly { readonly client: FrameClient; readonly key: string }[] = [
  { client: 'weston-simple-shm', key: 'shm' },
  { client: 'weston-simple-damage', key: 'damage' },
]

/** Direct, and through a link of each daemon: of type wayland, and of type unix, which only relays. */
const waysTo = ({ daemons, newPath }: Bench, provider: string): readonly Way[] => {
  const through = (daemon: GraphDaemon, type: 'wayland' | 'unix', role: Role): Way => ({
    name: daemon.role === 'peer' ? daemon.name : `${daemon.name} ${type}`,
    role,
    start: () => {
      const target = newPath()
      const entry = { ...hostEntry('display', provider, target), type, interface: type }
      return withLink(daemon, entry, target, isConnectable)
    },
  })
  return [
    { name: 'direct', role: 'reference', start: async () => direct(provider) },
    ...daemons.flatMap(daemon => [
      through(daemon, 'wayland', daemon.role),
      ...(daemon.role === 'ours' ? [through(daemon, 'unix', 'relay')] : []),
    ]),
  ]
}

type Field = Ways<Way>

const lanesOf = (field: Field | undefined, sample: (contender: Contender) => ReturnType<Lane['sample']>) =>
  field?.contenders.map(contender => ({
    contender: contender.name,
    role: contender.role,
    sample: () => sample(contender),
  })) ?? []

const streamTrial = (
  field: Field | undefined,
  load: WaylandGenerator | undefined,
  { settings }: Bench,
  descriptorEvery: number,
): Trial => {
  const key = descriptorEvery === 0 ? 'messages' : 'messages-fds'
  const title = descriptorEvery === 0 ? 'messages' : `messages, a descriptor with one in ${descriptorEvery}`
  return {
    figures: [
      { key, title, unit: 'M/s', better: 'more', bars: [] },
      {
        key: `core-${key}`,
        title: `${title}, time on a core for a million`,
        unit: 'ms',
        better: 'less',
        bars: [],
      },
    ],
    lanes:
      load === undefined
        ? []
        : lanesOf(field, async contender => {
            const { result, coreMs } = await withCore(contender, () =>
              load.stream(contender.target, descriptorEvery, settings.window),
            )
            const { warmMs, forMs } = settings.window
            const millions = (result * (warmMs + forMs)) / 1e9
            return {
              [key]: result / 1e6,
              ...(coreMs === undefined ? {} : { [`core-${key}`]: coreMs / millions }),
            }
          }),
  }
}

const tripTrial = (
  field: Field | undefined,
  load: WaylandGenerator | undefined,
  { settings }: Bench,
): Trial => ({
  figures: [
    { key: 'trip', title: 'a request and its answer, median', unit: 'us', better: 'less', bars: [] },
    {
      key: 'trip-p99',
      title: 'a request and its answer, 99 of 100 are faster than',
      unit: 'us',
      better: 'less',
      bars: [],
    },
  ],
  lanes:
    load === undefined
      ? []
      : lanesOf(field, async ({ target }) => {
          const { medianUs, p99Us } = await load.trip(target, settings.window)
          return { trip: medianUs, 'trip-p99': p99Us }
        }),
})

const frameTrials = (field: Field | undefined, { settings, scratch }: Bench): readonly Trial[] =>
  CLIENTS.map(({ client, key }) => ({
    figures: [{ key, title: `frames of ${client}`, unit: 'a second', better: 'more', bars: AS_DIRECT }],
    lanes: lanesOf(field, async ({ target }) => ({
      [key]: await framesPerSecond(client, target, settings.quick ? FRAMES.quick : FRAMES.full, scratch),
    })),
  }))

export const wayland: Measure = {
  name: 'wayland',
  title: 'messages of 16 to 48 bytes in writes of 4 KiB, and frames of clients of Weston, one connection',
  needsContenders: false,
  rounds: settings => settings.rounds,
  open: async bench => {
    const load = await waylandGenerator()
    const socket = bench.newPath()
    const provider = await load?.provide(socket)
    const field = provider === undefined ? undefined : await bringUp(waysTo(bench, socket))
    const folder = join(bench.scratch, 'weston')
    const weston = hasWeston() ? await startWeston(folder) : undefined
    const displays =
      weston === undefined ? undefined : await bringUp(waysTo(bench, join(folder, 'wayland-0')))
    return {
      trials: [
        streamTrial(field, load, bench, 0),
        streamTrial(field, load, bench, DESCRIPTOR_EVERY),
        tripTrial(field, load, bench),
        ...frameTrials(displays, bench),
        { figures: [], lanes: [...(field?.absent ?? []), ...(displays?.absent ?? [])] },
      ],
      close: async () => {
        await field?.stop()
        await displays?.stop()
        await provider?.stop()
        await weston?.stop()
      },
    }
  },
}
