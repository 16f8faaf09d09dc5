/**
 * What clients of the links do that are not `unix`, by type: plans for `soak_types.py`, which carries them out and says what
 * became of them. Also what Pantavisor may say about such links. Pure.
 */
import type { Random } from '../support/random.ts'
import type { LinkType, Plan, UseType } from './peer.ts'

interface Use {
  readonly plan: (random: Random) => Plan
  /** A short one, to see whether the link works. */
  readonly probe: Plan
}

const KIB = 1024

const USES: Readonly<Record<Exclude<UseType, 'drm'>, Use>> = {
  rest: {
    plan: random => ({
      seed: random.below(1_000_000),
      requests: random.between(1, 8),
      up: random.below(random.chance(0.1) ? 500 * KIB : 4 * KIB),
      down: random.below(random.chance(0.1) ? 500 * KIB : 4 * KIB),
      chunked: random.chance(0.4),
      leaves: random.chance(0.2),
    }),
    probe: { seed: 1, requests: 1, up: 10, down: 10, chunked: false, leaves: false },
  },
  dbus: {
    plan: random => ({
      seed: random.below(1_000_000),
      calls: random.between(1, 10),
      size: random.below(random.chance(0.1) ? 300 * KIB : KIB),
      rights: random.chance(0.4) ? random.between(1, 8) : 0,
      leaves: random.chance(0.25),
    }),
    probe: { seed: 1, calls: 1, size: 10, rights: 0, leaves: false },
  },
  wayland: {
    plan: random => ({
      seed: random.below(1_000_000),
      messages: random.between(1, 60),
      size: random.below(random.chance(0.3) ? 4000 : 100),
      rights: random.below(4),
      leaves: random.chance(0.25),
    }),
    probe: { seed: 1, messages: 1, size: 8, rights: 1, leaves: false },
  },
}

/** What the provider of a link is, as far as a client has to know it. */
interface Known {
  readonly consumer: string
  /** Of its node, where the link is one of a device. */
  readonly number: string
}

const completed = (type: UseType, plan: Plan, { consumer }: Known): Plan =>
  type === 'rest' ? { ...plan, consumer } : plan

export const planFor = (type: UseType, random: Random, known: Known): Plan =>
  type === 'drm' ? { number: known.number } : completed(type, USES[type].plan(random), known)

export const probeFor = (type: UseType, known: Known): Plan =>
  type === 'drm' ? { number: known.number } : completed(type, USES[type].probe, known)

interface Words {
  readonly roles: readonly [string, ...string[]]
  readonly interfaces: readonly [string, ...string[]]
}

/** Roles and interfaces with which the clients get what they expect. Roles of `dbus` are users of the provider. */
export const WORDS: Readonly<Record<LinkType, Words>> = {
  unix: { roles: ['any', 'monitor'], interfaces: ['unix', 'a label'] },
  rest: { roles: ['any', 'monitor'], interfaces: ['rest', 'a label'] },
  dbus: { roles: ['nobody', 'daemon'], interfaces: ['dbus', 'org.pantavisor.Soak'] },
  wayland: { roles: ['any', 'kiosk'], interfaces: ['wayland', 'wayland+ext_idle_notifier_v1'] },
  drm: { roles: ['any', 'admin'], interfaces: ['drm', 'a label'] },
}
