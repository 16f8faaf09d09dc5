/** Who takes part in a soak: consumers and providers in all kinds of containers, and the links between them. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Kind } from '../support/peer.ts'
import { isInstalled } from '../support/requirements.ts'
import { SoakLink } from './links.ts'
import type { LinkType } from './peer.ts'
import { type Service, Site } from './site.ts'

export interface Cast {
  readonly consumers: readonly Site[]
  readonly providers: readonly Site[]
  readonly services: readonly [Service, ...Service[]]
  readonly links: readonly SoakLink[]
}

/** DRM devices without a driver: to open one gives ENXIO, or EPERM where a device cgroup denies it. */
export const DEVICES = ['226:0', '226:1'] as const

/** Where a provider of such links has them; a bus where its policy says, so that this is in force. */
const PATHS: Readonly<Partial<Record<LinkType, (name: string) => string>>> = {
  drm: name => `/dev/dri/${name}`,
  dbus: () => '/run/dbus/system_bus_socket',
}

const serviceOn = (site: Site, name: string, kind: Kind, type: LinkType = 'unix'): Service => {
  const path = PATHS[type]?.(name) ?? `/run/svc/${name}.sock`
  const service: Service = { name, path, site, kind, type, number: DEVICES[0] }
  site.services.push(service)
  return service
}

/** Some targets share folders that have to be made, some have one of their own, some stand where there are others. */
const link = (name: string, consumer: Site, service: Service, own: string): SoakLink =>
  new SoakLink(name, consumer, service, [`/run/pvx/${name}.sock`, `/run/pvx/deep/er/${name}.sock`, own])

/** Nodes go where nodes are; their folders are made as well. */
const device = (name: string, consumer: Site, service: Service): SoakLink =>
  new SoakLink(name, consumer, service, [`/dev/pvx/${name}`, `/dev/pvx/deep/${name}`, `/run/${name}`])

/** `scratch`: a folder on the host in which their roots may be. */
export const castIn = (scratch: string): Cast => {
  const disk = join(scratch, 'cellar.disk')
  mkdirSync(disk)
  const app = new Site('app', scratch)
  const attic = new Site('attic', scratch, { style: 'chroot', sealed: true })
  const cellar = new Site('cellar', scratch, { disk })
  // What is planted there belongs to a user of the host's, and nodes are mounted: one that is made could not be opened.
  const guest = new Site('guest', scratch, { user: '0 100000 65536' })
  const net = new Site('net', scratch)
  const db = new Site('db', scratch, { style: 'chroot' })
  const media = new Site('media', scratch, { sealed: true })
  const api = serviceOn(net, 'api', 'stream')
  const events = serviceOn(net, 'events', 'seqpacket')
  const query = serviceOn(db, 'query', 'stream')
  const video = serviceOn(media, 'video', 'stream')
  const frames = serviceOn(media, 'frames', 'seqpacket')
  const web = serviceOn(db, 'web', 'stream', 'rest')
  const shop = serviceOn(net, 'shop', 'stream', 'rest')
  const screen = serviceOn(media, 'screen', 'stream', 'wayland')
  const card = serviceOn(media, 'card0', 'stream', 'drm')
  const buses = isInstalled('dbus-daemon') ? [serviceOn(net, 'bus', 'stream', 'dbus')] : []
  return {
    consumers: [app, attic, cellar, guest],
    providers: [net, db, media],
    services: [api, events, query, video, frames, web, shop, screen, card, ...buses],
    links: [
      link('api', app, api, '/tmp/api.sock'),
      link('events', app, events, '/opt/pvx/events.sock'),
      link('video', app, video, '/run/video.sock'),
      link('query', attic, query, '/tmp/query.sock'),
      link('frames', attic, frames, '/run/frames.sock'),
      link('api', cellar, api, '/opt/pvx/api.sock'),
      link('query', cellar, query, '/tmp/query.sock'),
      link('events', cellar, events, '/opt/pvx/events.sock'),
      link('web', app, web, '/tmp/web.sock'),
      link('shop', attic, shop, '/run/shop.sock'),
      link('screen', cellar, screen, '/tmp/screen.sock'),
      link('screen', guest, screen, '/run/screen.sock'),
      device('card', app, card),
      device('card', guest, card),
      ...buses.flatMap(bus => [
        link('bus', app, bus, '/run/bus.sock'),
        link('bus', guest, bus, '/tmp/bus.sock'),
      ]),
    ],
  }
}
