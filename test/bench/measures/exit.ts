/**
 * How soon the end of a consumer is noticed: from the kill of its container's init to the cut of a connection through the
 * link that was planted in it. The client of that connection is on the host, so it does not end with the container.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type Container, startContainer } from '../../support/container.ts'
import type { Entry } from '../../support/pv-ctrl.ts'
import { hostEntry } from '../contenders.ts'
import type { Bench, Measure } from '../contract.ts'
import { NOTHING_TO_CLOSE } from '../contract.ts'
import type { Running } from '../graph-daemon.ts'
import { median } from '../statistics.ts'
import { untilAllExist } from '../until.ts'

const KEY = 'noticed'
const CONTAINERS = 3
const TARGET = '/run/bench.sock'
const PATIENCE_MS = 10_000

const entryFor = (container: Container, provider: string): Entry => ({
  ...hostEntry('exit', provider, TARGET),
  consumer: container.name,
  consumer_pid: container.pid,
})

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
    await running.serve(containers.map(container => entryFor(container, provider)))
    const targets = containers.map(container => container.path(TARGET))
    await untilAllExist(targets, PATIENCE_MS)
    const took: number[] = []
    for (const container of containers) {
      const client = connect(container.path(TARGET))
      client.write(Buffer.from('E\0\0\0\0\0\0\0x'))
      await once(client, 'data')
      took.push(await cutAfter(container, client))
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
