/** What Pantavisor says: links come, go and change; entries that are none; answers that are none; SIGHUP. */
import { nap, now } from '../clock.ts'
import { Violation } from '../ledger.ts'
import type { Extra, SoakLink } from '../links.ts'
import { MOODS } from '../pantavisor.ts'
import type { Service } from '../site.ts'
import type { Stage } from '../stage.ts'
import { busy, type Disturbance, idleOne } from './disturbance.ts'

/** What left the graph is gone from the consumer within this time. */
const GONE_WITHIN_MS = 30_000

/** The link has left the graph: wait until its socket has left the consumer. */
const untilUnplanted = async (stage: Stage, link: SoakLink, target: string): Promise<void> => {
  const { consumer } = link
  const { daemon, pantavisor } = stage.parts
  const from = now()
  const { lives } = daemon
  while (!stage.over && daemon.lives === lives) {
    if (consumer.wasDisturbedSince(from)) return
    const left = consumer.nodes().find(({ path }) => path === target)
    if (left === undefined || consumer.orphans.get(target) === left.inode) return
    if (now() - Math.max(from, pantavisor.wellSince) > GONE_WITHIN_MS) {
      throw new Violation(`${link.name} has left the graph, yet ${target} is still in ${consumer.name}`)
    }
    await nap(50)
  }
}

const linkLeaves: Disturbance = {
  name: 'link leaves and comes back',
  weight: 4,
  run: async (stage, random) => {
    const link = idleOne(random, stage.parts.links)
    if (link === undefined || link.consumer.busy) return false
    await busy(link, () =>
      stage.disturb([link], 'cuts', async () => {
        stage.note(`${link.name} leaves the graph`)
        link.inGraph = false
        stage.publish()
        if (random.chance(0.5)) await nap(random.below(300))
        else if (await stage.isRead()) await untilUnplanted(stage, link, link.target)
        link.inGraph = true
        stage.publish()
        stage.note(`${link.name} is back in the graph`)
      }),
    )
    return true
  },
}

/** Services that a link of the same type can have. */
const alike = (stage: Stage, service: Service): readonly [Service, ...Service[]] => [
  service,
  ...stage.parts.services.filter(each => each.type === service.type && each !== service),
]

const linkChanges: Disturbance = {
  name: 'link changes',
  weight: 5,
  run: async (stage, random) => {
    const link = idleOne(random, stage.parts.links)
    if (link === undefined) return false
    const change = random.pick(['role', 'interface', 'target', 'provider'] as const)
    await busy(link, () =>
      stage.disturb([link], 'cuts', async () => {
        if (change === 'role') link.role = link.otherRole()
        else if (change === 'interface') link.interface = link.otherInterface()
        else if (change === 'target') link.target = random.pick(link.targets)
        else link.service = random.pick(alike(stage, link.service))
        stage.note(
          `${link.name} is given ${change} ${change === 'provider' ? link.service.name : link[change]}`,
        )
        stage.publish()
      }),
    )
    return true
  },
}

/** A link of another name wants the same target, and comes first: it has it for a while. */
const usurped: Disturbance = {
  name: 'link loses its target to another one',
  weight: 2,
  run: async (stage, random) => {
    const link = idleOne(random, stage.parts.links)
    if (link === undefined) return false
    const extra: Extra = { where: 'before', value: () => ({ ...link.entry, name: `${link.name}-first` }) }
    await busy(link, () =>
      stage.disturb([link], 'cuts', async () => {
        stage.note(`${link.name} loses ${link.target} to another link`)
        stage.extras.add(extra)
        stage.publish()
        await nap(random.below(1000))
        stage.extras.delete(extra)
        stage.publish()
        stage.note(`${link.name} may have ${link.target} again`)
      }),
    )
    return true
  },
}

const GARBAGE: readonly unknown[] = [
  null,
  7,
  'text',
  [],
  {},
  { type: 'unix' },
  { type: 'unix', name: 'relative', consumer: 'app', socket: 'run/s', target: '/t' },
  { type: 'unix', name: 'up', consumer: 'app', socket: '/run/../s', target: '/t' },
  { type: 'drm', name: 'card', consumer: 'app', consumer_pid: 1, socket: '/dev/dri/card0' },
  { type: '__proto__', name: 'constructor', consumer: 'toString', socket: '/s' },
  {
    type: 'unix',
    name: 'nobody',
    consumer: 'nobody',
    consumer_pid: -1,
    socket: '/s',
    target: '/run/pvx/nobody',
  },
  { type: 'unix', name: 'creds', consumer: 'app', consumer_pid: 1, interface: 'unix+nonsense', socket: '/s' },
]

/** Entries that cannot be understood, or come second: none of them may touch a link. */
const garbage: Disturbance = {
  name: 'odd entries come and go',
  weight: 4,
  run: async (stage, random) => {
    const { links } = stage.parts
    const added: Extra[] = Array.from({ length: random.between(1, 8) }, () => {
      const link = links[random.below(links.length)]
      const where = random.pick(['before', 'behind'] as const)
      const odd = GARBAGE[random.below(GARBAGE.length)]
      switch (random.below(3)) {
        case 0:
          return { where: 'behind', value: () => (link?.inGraph === true ? link.entry : undefined) }
        case 1: {
          const second = () => ({ ...link?.entry, name: `${link?.name}-second`, role: 'second' })
          return { where: 'behind', value: () => (link?.inGraph === true ? second() : undefined) }
        }
        default:
          return { where, value: () => odd }
      }
    })
    stage.note(`${added.length} odd entries in the graph`)
    for (const extra of added) stage.extras.add(extra)
    stage.publish()
    await nap(random.below(1500))
    for (const extra of added) stage.extras.delete(extra)
    stage.publish()
    stage.note(`${added.length} odd entries less`)
    return true
  },
}

const answersBadly: Disturbance = {
  name: 'Pantavisor answers badly',
  weight: 4,
  run: async (stage, random) => {
    if (stage.pantavisorIsBusy) return false
    const moods = Object.entries(MOODS)
    const [name, mood] = moods[random.below(moods.length)] ?? []
    if (name === undefined || mood === undefined) return false
    stage.note(`Pantavisor answers with ${name}`)
    stage.pantavisorIsBusy = true
    await stage.parts.pantavisor.isMoody(mood, random.between(200, 1500))
    stage.pantavisorIsBusy = false
    stage.note('Pantavisor answers well')
    return true
  },
}

const isAway: Disturbance = {
  name: 'Pantavisor is away',
  weight: 2,
  run: async (stage, random) => {
    if (stage.pantavisorIsBusy) return false
    stage.note('Pantavisor is away')
    stage.pantavisorIsBusy = true
    await stage.parts.pantavisor.isAway(random.between(100, 1500))
    stage.pantavisorIsBusy = false
    stage.note('Pantavisor is back')
    return true
  },
}

const hangUps: Disturbance = {
  name: 'SIGHUP',
  weight: 3,
  run: async (stage, random) => {
    if (stage.daemonIsBusy) return false
    const times = random.between(1, 20)
    stage.note(`SIGHUP, ${times} times`)
    for (let i = 0; i < times; i += 1) {
      if (!stage.parts.daemon.runs) return true
      stage.parts.daemon.hangUp()
      if (random.chance(0.5)) await nap(random.below(20))
    }
    return true
  },
}

export const GRAPH: readonly Disturbance[] = [
  linkLeaves,
  linkChanges,
  usurped,
  garbage,
  answersBadly,
  isAway,
  hangUps,
]
