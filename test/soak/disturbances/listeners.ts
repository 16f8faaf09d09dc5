/** Who asks the daemon how things are: readers of events and recordings that come, stay for a while, fall behind, and go. */
import { type ClientRequest, request } from 'node:http'
import { nap } from '../clock.ts'
import { Violation } from '../ledger.ts'
import type { Disturbance } from './disturbance.ts'

const URLS = ['/events', '/recording', '/links', '/metrics', '/events', '/graph'] as const

/** Most that are there at once; the daemon takes 16 that stay. */
const MOST = 6

/** What came, or why nothing did. It may be over before its listener leaves. */
const listen = (
  control: string,
  url: string,
  reads: boolean,
): { readonly asked: ClientRequest; readonly heard: () => number | undefined } => {
  let status: number | undefined
  const asked = request({ socketPath: control, path: url, agent: false }, response => {
    status = response.statusCode
    response.on('error', () => undefined)
    if (reads) response.resume()
  })
  // The daemon may be killed, or cut who falls behind.
  asked.on('error', () => undefined)
  asked.end()
  return { asked, heard: () => status }
}

const listeners: Disturbance = {
  name: 'listeners come and go',
  weight: 5,
  run: async (stage, random) => {
    const { daemon } = stage.parts
    if (!daemon.runs || stage.daemonIsBusy) return false
    const { lives } = daemon
    const all = Array.from({ length: random.between(1, MOST) }, () => {
      const url = random.pick(URLS)
      return { url, ...listen(daemon.control, url, random.chance(0.8)) }
    })
    stage.note(`${all.length} listeners: ${all.map(({ url }) => url).join(', ')}`)
    await nap(random.between(20, 4000))
    for (const { url, asked, heard } of all) {
      asked.destroy()
      const status = heard()
      if (status !== undefined && status !== 200 && lives === daemon.lives)
        throw new Violation(`${url} was answered with ${status}`)
    }
    return true
  },
}

export const LISTENERS: readonly Disturbance[] = [listeners]
