/**
 * How soon the end of a consumer is noticed: from the kill of its container's init to the cut of a connection through the
 * link that was planted in it. The client of that connection is on the host, so it does not end with the container.
 */
import type { Socket } from 'node:net'
import { type Container, startContainer } from '../../support/container.ts'
import type { Bench, Measure } from '../contract.ts'
import { NOTHING_TO_CLOSE } from '../contract.ts'
import type { Running } from '../graph-daemon.ts'
import { inContainers } from '../graph-entries.ts'
import { opened } from '../probe.ts'
import { median } from '../statistics.ts'
import { areThere, until } from '../until.ts'

const KEY = 'noticed'
const CONTAINERS = 3
const PATIENCE_MS = 10_000

/** Kill it; how long until its connection was cut, by an end or by a reset. */
const cutAfter = async (container: Container, client: Socket): Promise<number> => {
  let inVain = false
  const cut = new Promise<number>(resolve => client.once('close', () => resolve(performance.now())))
  client.on('error', () => undefined)
  client.setTimeout(PATIENCE_MS, () => {
    inVain = true
    client.destroy()
  })
  client.resume()
  const began = performance.now()
  const gone = container.kill()
  const cutAt = await cut
  await gone
  if (inVain) throw new Error(`its connection was not cut in ${PATIENCE_MS / 1000} s`)
  return cutAt - began
}

const sample = async (running: Running, { scratch, provider }: Bench, name: string): Promise<number> => {
  const containers: Container[] = []
  try {
    for (let i = 0; i < CONTAINERS; i += 1) containers.push(await startContainer(`${name}-${i}`, scratch))
    const { entries, targets } = inContainers(containers, provider, 1)
    await running.serve(entries)
    await until('its targets are there', areThere(targets), PATIENCE_MS)
    const took: number[] = []
    for (const [i, container] of containers.entries()) {
      took.push(await cutAfter(container, await opened(targets[i] ?? '')))
    }
    return median(took)
  } finally {
    await Promise.all(containers.map(container => container.kill()))
  }
}

export const exit: Measure = {
  name: 'exit',
  title: 'the end of a consumer',
  needsContenders: false,
  rounds: settings => settings.rounds,
  open: async bench => ({
    trials: [
      {
        figures: [
          {
            key: KEY,
            title: 'from the kill of its init to the cut of a connection',
            unit: 'ms',
            better: 'less',
            bars: [{ ratioTo: null, bound: 'at most', value: 10 }],
          },
        ],
        lanes: bench.daemons.map((daemon, position) => {
          let round = 0
          return {
            contender: daemon.name,
            role: daemon.role,
            sample: async () => {
              round += 1
              const running = await daemon.start([])
              try {
                return { [KEY]: await sample(running, bench, `mortal-${position}-${round}`) }
              } finally {
                await running.stop()
              }
            },
          }
        }),
      },
    ],
    close: NOTHING_TO_CLOSE,
  }),
}
