/** Who takes part in a soak: consumers and providers in all kinds of containers, and the links between them. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Kind } from '../support/peer.ts'
import { SoakLink } from './links.ts'
import { type Service, Site } from './site.ts'

export interface Cast {
  readonly consumers: readonly Site[]
  readonly providers: readonly Site[]
  readonly services: readonly [Service, ...Service[]]
  readonly links: readonly SoakLink[]
}

const serviceOn = (site: Site, name: string, kind: Kind): Service => {
  const service: Service = { name, path: `/run/svc/${name}.sock`, site, kind }
  site.services.push(service)
  return service
}

/** Some targets share folders that have to be made, some have one of their own, some stand where there are others. */
const link = (name: string, consumer: Site, service: Service, own: string): SoakLink =>
  new SoakLink(name, consumer, service, [`/run/pvx/${name}.sock`, `/run/pvx/deep/er/${name}.sock`, own])

/** `scratch`: a folder on the host in which their roots may be. */
export const castIn = (scratch: string): Cast => {
  const disk = join(scratch, 'cellar.disk')
  mkdirSync(disk)
  const app = new Site('app', scratch)
  const attic = new Site('attic', scratch, { style: 'chroot', sealed: true })
  const cellar = new Site('cellar', scratch, { disk })
  const net = new Site('net', scratch)
  const db = new Site('db', scratch, { style: 'chroot' })
  const media = new Site('media', scratch, { sealed: true })
  const api = serviceOn(net, 'api', 'stream')
  const events = serviceOn(net, 'events', 'seqpacket')
  const query = serviceOn(db, 'query', 'stream')
  const video = serviceOn(media, 'video', 'stream')
  const frames = serviceOn(media, 'frames', 'seqpacket')
  return {
    consumers: [app, attic, cellar],
    providers: [net, db, media],
    services: [api, events, query, video, frames],
    links: [
      link('api', app, api, '/tmp/api.sock'),
      link('events', app, events, '/opt/pvx/events.sock'),
      link('video', app, video, '/run/video.sock'),
      link('query', attic, query, '/tmp/query.sock'),
      link('frames', attic, frames, '/run/frames.sock'),
      link('api', cellar, api, '/opt/pvx/api.sock'),
      link('query', cellar, query, '/tmp/query.sock'),
      link('events', cellar, events, '/opt/pvx/events.sock'),
    ],
  }
}
