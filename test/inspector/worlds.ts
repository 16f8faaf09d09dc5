/** Worlds for the inspector to look at: a device as one might be, and one with as many links as there may be. */
import { keyOf, type Link } from '../../src/model/link.ts'
import { aLink } from '../support/builders.ts'
import type { SimulatedDaemon } from './support.ts'

const link = (consumer: string, name: string, type: string, provider: string): Link =>
  aLink(consumer)
    .named(name)
    .ofType(type)
    .from(provider, 200)
    .socket(`/run/${provider}/${name}.sock`)
    .at(`/run/pv/${name}.sock`)
    .build()

export interface Household {
  readonly links: readonly Link[]
  /** Its target is taken. */
  readonly blocked: Link
}

const BLOCKED = link('voice', 'audio', 'unix', 'audiod')

/** Some containers of a device. */
export const householdLinks = (): readonly Link[] => [
  link('dashboard', 'telemetry', 'rest', 'collector'),
  link('dashboard', 'config', 'rest', 'settings'),
  link('dashboard', 'display', 'unix', 'compositor'),
  link('camera', 'frames', 'unix', 'recorder'),
  link('camera', 'config', 'rest', 'settings'),
  link('camera', 'telemetry', 'rest', 'collector'),
  link('recorder', 'storage', 'unix', 'storaged'),
  link('recorder', 'config', 'rest', 'settings'),
  link('gateway', 'modem', 'unix', 'modemd'),
  link('gateway', 'telemetry', 'rest', 'collector'),
  link('updater', 'storage', 'unix', 'storaged'),
  link('updater', 'config', 'rest', 'settings'),
  link('voice', 'config', 'rest', 'settings'),
  link('collector', 'storage', 'unix', 'storaged'),
  link('kiosk', 'display', 'unix', 'compositor'),
  link('kiosk', 'audio', 'unix', 'audiod'),
  BLOCKED,
]

/** They come up, all but one. */
export const household = async (daemon: SimulatedDaemon): Promise<Household> => {
  const links = householdLinks()
  const blocked = BLOCKED
  daemon.world.failNext(keyOf(blocked), {
    _tag: 'TargetOccupied',
    target: blocked.target,
    by: 'live socket',
  })
  await daemon.shows(links)
  return { links, blocked }
}

const PROVIDERS = 20

/** Ten to a consumer. */
export const manyLinks = (count: number): readonly Link[] =>
  Array.from({ length: count }, (_, at) => {
    const consumer = `container-${Math.floor(at / 10)}`
    const provider = `service-${(at * 7 + Math.floor(at / 10)) % PROVIDERS}`
    return link(consumer, `resource-${at % 10}`, at % 3 === 0 ? 'rest' : 'unix', provider)
  })
