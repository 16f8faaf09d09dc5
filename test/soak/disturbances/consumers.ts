/** What consumers do: they restart, and get in the way of what is planted in them. */
import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { PeerRefused } from '../../support/peer.ts'
import { nap } from '../clock.ts'
import type { SoakLink } from '../links.ts'
import type { Site } from '../site.ts'
import type { Stage } from '../stage.ts'
import { busy, type Disturbance, idleOne } from './disturbance.ts'

const restarts: Disturbance = {
  name: 'consumer restarts',
  weight: 4,
  run: async (stage, random) => {
    const site = idleOne(random, stage.parts.consumers)
    if (site === undefined) return false
    await busy(site, () =>
      stage.disturb(stage.linksOf(site), 'cuts', async () => {
        stage.note(`${site.name} is killed`)
        await site.kill()
        if (random.chance(0.5)) stage.publish()
        await nap(random.below(800))
        await site.start()
        stage.publish()
        stage.note(`${site.name} runs again`)
      }),
    )
    return true
  },
}

/** Of the links planted in a consumer that nobody is at, those below a folder. */
const linksIn = (stage: Stage, site: Site, folder: string): readonly SoakLink[] =>
  stage.parts.links.filter(({ consumer, target }) => consumer === site && target.startsWith(`${folder}/`))

const deletes: Disturbance = {
  name: 'consumer deletes',
  weight: 5,
  run: async (stage, random) => {
    const site = idleOne(random, stage.parts.consumers)
    if (site === undefined) return false
    const link = idleOne(
      random,
      stage.parts.links.filter(({ consumer }) => consumer === site),
    )
    if (link === undefined) return false
    const folder = dirname(link.target)
    const all = folder.startsWith('/run/') && random.chance(0.3)
    const path = all ? folder : link.target
    await busy(site, () =>
      stage.disturb(all ? linksIn(stage, site, folder) : [link], 'refuses', async () => {
        stage.note(`${site.name} deletes ${path}`)
        rmSync(site.container.path(path), { recursive: true, force: true })
      }),
    )
    return true
  },
}

/** The folder of a target is there only while the link is planted; and what is mounted cannot be replaced. */
const NO_PLACE: ReadonlySet<string> = new Set(['ENOENT', 'EBUSY'])

const hasNoPlace = (error: unknown): undefined => {
  if (error instanceof PeerRefused && NO_PLACE.has(error.errno)) return undefined
  throw error
}

/**
 * Something of the consumer's own stands where the socket was, and goes again. It blocks the link until the next resync,
 * or until its entry changes.
 */
const occupies: Disturbance = {
  name: 'consumer occupies its target',
  weight: 2,
  run: async (stage, random) => {
    const link = idleOne(
      random,
      stage.parts.links.filter(({ consumer }) => !consumer.busy),
    )
    if (link === undefined) return false
    const { consumer: site, target } = link
    await busy(site, () =>
      busy(link, () =>
        stage.disturb([link], 'cuts', async () => {
          const how = random.pick(['socket', 'file'] as const)
          stage.note(`${site.name} puts a ${how} of its own at ${target}`)
          site.keepsFolders = true
          const vacate = await site.peer.occupy(target, how).catch(hasNoPlace)
          if (vacate === undefined) return
          await nap(random.below(1500))
          await vacate()
          if (!stage.parts.isPatient || random.chance(0.7)) {
            link.role = link.otherRole()
            stage.publish()
          }
          stage.note(`${site.name} takes it away from ${target}`)
        }),
      ),
    )
    return true
  },
}

/** The folder may go with the last link of it just before. */
const MOUNT_OVER = `
for attempt in 1 2 3 4 5; do
  mkdir -p "$1"
  mount -t tmpfs over "$1" && exit 0
done
exit 1`

const mountsOver: Disturbance = {
  name: 'consumer mounts over its target',
  weight: 3,
  run: async (stage, random) => {
    const site = idleOne(random, stage.parts.consumers)
    if (site === undefined) return false
    const folders = ['/run', '/run/pvx', '/tmp', '/dev/pvx'].filter(
      folder => linksIn(stage, site, folder).length > 0,
    )
    const folder = folders[random.below(Math.max(1, folders.length))]
    if (folder === undefined) return false
    const links = linksIn(stage, site, folder)
    await busy(site, () =>
      stage.disturb(links, 'refuses', async () => {
        site.keepsFolders = true
        stage.note(`${site.name} mounts over ${folder}`)
        await site.container.exec('sh', '-c', MOUNT_OVER, 'sh', folder)
        await nap(random.below(1500))
        await site.container.exec('umount', '--lazy', folder)
        stage.note(`${site.name} unmounts ${folder}`)
      }),
    )
    return true
  },
}

export const CONSUMERS: readonly Disturbance[] = [restarts, deletes, occupies, mountsOver]
