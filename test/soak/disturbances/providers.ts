/** What happens to providers: they restart, crash, stall, leave, and come back as something else. */
import { DEVICES } from '../cast.ts'
import { nap } from '../clock.ts'
import type { SoakLink } from '../links.ts'
import { provide, type Service } from '../site.ts'
import type { Stage } from '../stage.ts'
import { busy, type Disturbance, idleOne } from './disturbance.ts'

const usersOf = (stage: Stage, service: Service): readonly SoakLink[] =>
  stage.parts.links.filter(link => link.service === service)

const restarts: Disturbance = {
  name: 'provider restarts',
  weight: 4,
  run: async (stage, random) => {
    const site = idleOne(random, stage.parts.providers)
    if (site === undefined) return false
    await busy(site, () =>
      stage.disturb(stage.linksOf(site), 'cuts', async () => {
        stage.note(`${site.name} is killed`)
        await site.kill()
        if (random.chance(0.6)) stage.publish()
        await nap(random.below(800))
        await site.start()
        stage.publish()
        stage.note(`${site.name} runs again`)
      }),
    )
    return true
  },
}

const crashes: Disturbance = {
  name: 'provider crashes in its container',
  weight: 3,
  run: async (stage, random) => {
    const site = idleOne(random, stage.parts.providers)
    if (site === undefined) return false
    await busy(site, () =>
      stage.disturb(stage.linksOf(site), 'cuts', async () => {
        stage.note(`the process in ${site.name} crashes`)
        await site.replacePeer(() => nap(random.below(500)))
        stage.note(`the process in ${site.name} is back`)
      }),
    )
    return true
  },
}

/** Nothing may come of it but that things take longer. */
const stalls: Disturbance = {
  name: 'provider stalls',
  weight: 3,
  run: async (stage, random) => {
    const site = idleOne(random, stage.parts.providers)
    if (site === undefined) return false
    const ms = random.between(50, 1500)
    stage.note(`${site.name} stalls for ${ms} ms`)
    await busy(site, async () => {
      await site.peer.stall(ms)
    })
    return true
  },
}

/** Pantavisor says that it does not run, and again that it does: open connections are kept. */
const leaves: Disturbance = {
  name: 'provider is said to be gone',
  weight: 2,
  run: async (stage, random) => {
    const link = idleOne(random, stage.parts.links)
    if (link === undefined) return false
    await busy(link, () =>
      stage.disturb([link], 'refuses', async () => {
        stage.note(`the provider of ${link.name} is said to be gone`)
        link.providerHidden = true
        stage.publish()
        await nap(random.between(50, 1200))
        link.providerHidden = false
        stage.publish()
        stage.note(`the provider of ${link.name} is said to be back`)
      }),
    )
    return true
  },
}

const changesType: Disturbance = {
  name: 'provider changes its type',
  weight: 2,
  run: async (stage, random) => {
    const service = random.pick(stage.parts.services)
    const { site } = service
    if (site.busy || service.type !== 'unix') return false
    await busy(site, () =>
      stage.disturb(usersOf(stage, service), 'cuts', async () => {
        await site.peer.close(service.name)
        service.kind = service.kind === 'stream' ? 'seqpacket' : 'stream'
        stage.note(`${service.name} comes back as ${service.kind}`)
        await nap(random.below(200))
        await site.peer.provide(service.name, service.path, service.kind)
      }),
    )
    return true
  },
}

/** Hotplug: the device goes, and comes back as another one or the same. A look every five seconds finds out. */
const replugs: Disturbance = {
  name: 'device goes and comes back',
  weight: 3,
  run: async (stage, random) => {
    const service = stage.parts.services.find(({ type }) => type === 'drm')
    if (service === undefined || service.site.busy) return false
    const { site, name, path } = service
    await busy(site, () =>
      stage.disturb(usersOf(stage, service), 'cuts', async () => {
        stage.note(`${name} of ${site.name} is gone`)
        await site.peer.unplug(path)
        await nap(random.below(stage.parts.isPatient && random.chance(0.3) ? 8000 : 1500))
        service.number = random.pick(DEVICES)
        await provide(site.peer, service)
        stage.note(`${name} of ${site.name} is ${service.number}`)
      }),
    )
    return true
  },
}

export const PROVIDERS: readonly Disturbance[] = [restarts, crashes, stalls, leaves, changesType, replugs]
