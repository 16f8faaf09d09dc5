/**
 * What must not be left when no link is, beside what is planted: mounts in containers and on the host, devices that a cgroup still
 * grants; and connections that the daemon counts though nobody has one.
 */
import { readFileSync } from 'node:fs'
import { askControl } from '../support/control.ts'
import { hasDeviceControl, openGroup, restrict, type TestGroup } from '../support/device-cgroup.ts'
import type { SoakDaemon } from './daemon.ts'
import { Violation } from './ledger.ts'
import type { Site } from './site.ts'
import type { Stage } from './stage.ts'

/** Device cgroups for these sites, where the machine has them, and what they allow by themselves. */
export class Groups {
  readonly #all: readonly { readonly site: Site; readonly group: TestGroup }[]
  #allowed: readonly string[] = []

  constructor(sites: readonly Site[]) {
    this.#all = hasDeviceControl() ? sites.map(site => ({ site, group: restrict(openGroup()) })) : []
    for (const { site, group } of this.#all) site.group = group
    this.#allowed = this.#all[0]?.group.list() ?? []
  }

  /** Throws a violation for a device that one of them grants beyond that. */
  look(): void {
    for (const { site, group } of this.#all) {
      const more = group.list().filter(each => !this.#allowed.includes(each))
      if (more.length > 0) throw new Violation(`${site.name} is still granted ${more.join(', ')}`)
    }
  }

  remove(): void {
    for (const { group } of this.#all) group.remove()
  }
}

/** Throws a violation for a mount that is still in a container which runs and is left alone, or on the host. */
export const nothingIsMounted = (stage: Stage, scratch: string, daemonPid: number): void => {
  for (const site of stage.sites) {
    // A killed daemon's mounts are found again by its journal only as long as they are wanted.
    if (!site.runs || site.busy || site.orphans.size > 0) continue
    const more = site.moreMounts
    if (more.length > 0) throw new Violation(`still mounted in ${site.name}: ${more.join(', ')}`)
  }
  const ours = readFileSync(`/proc/${daemonPid}/mountinfo`, 'utf8')
    .split('\n')
    .filter(line => line.includes(scratch))
  if (ours.length > 0) throw new Violation(`still mounted where the daemon is: ${ours.join('; ')}`)
}

const OPEN = /^(pv_xconnect_link_connections_open\{.*\}) ([1-9]\d*)$/gm

/** In words, which links count connections although no client is there. */
export const stillCounted = async (daemon: SoakDaemon): Promise<readonly string[]> =>
  [...(await askControl(daemon.control, '/metrics')).body.matchAll(OPEN)].map(
    ([, series, count]) => `${series}: ${count}`,
  )
