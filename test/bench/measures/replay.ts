/** How long an hour takes to be replayed. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { FORMAT, type Header, type Line, VERSION } from '../../../src/record/format.ts'
import { DAEMON } from '../../support/requirements.ts'
import { type Bench, type Measure, NOTHING_TO_CLOSE } from '../contract.ts'
import { hostEntry } from '../graph-entries.ts'

const LINKS = 100
const SECONDS = 3600
const RESTARTS_EVERY = 10

const HEADER: Header = {
  format: FORMAT,
  version: VERSION,
  startedAt: '2030-01-01T00:00:00.000Z',
  daemon: null,
  policy: null,
  plugins: ['unix'],
  seed: 1,
}

const bodyOf = (providerPid: number): string =>
  JSON.stringify(
    Array.from({ length: LINKS }, (_, n) => ({
      ...hostEntry(`link-${n}`, '/run/svc/raw.sock', `/run/pvx/${n}.sock`),
      consumer: `app-${n}`,
      consumer_pid: 1000 + n,
      provider_pid: providerPid,
    })),
  )

const hour = (restarts: boolean): readonly Line[] =>
  Array.from({ length: SECONDS }, (_, second): Line => {
    const t = second * 1000
    const isNew = second === 0 || (restarts && second % RESTARTS_EVERY === 0)
    return isNew ? { t, kind: 'graph', body: bodyOf(5000 + second) } : { t, kind: 'same-graph' }
  })

const writeHour = ({ newPath }: Bench, restarts: boolean): string => {
  const path = newPath()
  writeFileSync(path, [HEADER, ...hour(restarts)].map(line => `${JSON.stringify(line)}\n`).join(''))
  return path
}

/** The whole process, as somebody at a terminal waits for it. */
const msToReplay = async (path: string): Promise<number> => {
  const began = performance.now()
  const child = spawn(process.execPath, [DAEMON, 'replay', path], { stdio: 'ignore' })
  const [code]: readonly unknown[] = await once(child, 'exit')
  if (code !== 0) throw new Error(`it ended with ${code}`)
  return performance.now() - began
}

export const replay: Measure = {
  name: 'replay',
  title: 'an hour of 100 links, replayed',
  needsContenders: false,
  rounds: settings => settings.rounds,
  open: async bench => {
    const [quiet, restless] = [writeHour(bench, false), writeHour(bench, true)]
    return {
      trials: [
        {
          figures: [
            {
              key: 'quiet',
              title: 'in which nothing changes',
              unit: 'ms',
              better: 'less',
              bars: [{ ratioTo: null, bound: 'at most', value: 1000 }],
            },
            {
              key: 'restless',
              title: 'in which their provider restarts every 10 s',
              unit: 'ms',
              better: 'less',
              bars: [],
            },
          ],
          lanes: [
            {
              contender: 'pv-xconnect',
              role: 'ours',
              sample: async () => ({
                quiet: await msToReplay(quiet),
                restless: await msToReplay(restless),
              }),
            },
          ],
        },
      ],
      close: NOTHING_TO_CLOSE,
    }
  },
}
