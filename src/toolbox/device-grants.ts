/**
 * Who has been allowed which device in which cgroup. What a group does not allow by itself is allowed to it with the first
 * node that needs it, and denied again after the last; it is in the journal meanwhile.
 * Never an obstacle to a link: where a group cannot be told, that is said, and the node is planted all the same.
 */
import { E } from '../fp.ts'
import type { DeviceNumber } from '../kernel/files.ts'
import { startOf } from '../kernel/process.ts'
import { HOST, type Pid } from '../model/identity.ts'
import type { Limits } from '../model/limits.ts'
import type { Link } from '../model/link.ts'
import { spelled } from './cgroup-format.ts'
import type { Container } from './containers.ts'
import type { LinkLog } from './contract.ts'
import {
  allow,
  allows,
  type DeviceGroup,
  deny,
  groupNoted,
  groupPathOf,
  judgesOf,
  stillThere,
} from './device-cgroup.ts'
import type { Journal } from './journal.ts'
import type { GrantTrace } from './journal-format.ts'
import type { Scribe } from './scribe.ts'

export interface GrantRequest {
  readonly container: Container
  readonly device: DeviceNumber
  /** Of the node, in the container. */
  readonly path: string
  readonly scribe: Scribe
  readonly log: LinkLog
}

export interface Grant {
  /** The process is in another group by now, or its group no longer allows what it did: time to ask anew. */
  isStale(): boolean
  /** What stays is said, one item each. Idempotent. */
  withdraw(): readonly string[]
}

export interface DeviceGrants {
  hold(request: GrantRequest): Grant
  /** Withdraw what an earlier run allowed for a node at this place, which may not be had for now. */
  forsake(consumer: Pid, path: string): void
  /** Withdraw what an earlier run allowed and none of these links, the admitted ones, has a use for. */
  sweep(links: () => readonly Link[]): void
  /** Withdraw what an earlier run allowed and nobody took over. */
  close(): void
}

export interface DeviceGrantsOptions {
  readonly journal: Journal
  readonly limits: Pick<Limits, 'deviceGroups'>
  readonly log: LinkLog
}

/** One of those who need an entry. */
interface User {
  readonly path: string
  readonly scribe: Scribe
}

interface Entry {
  readonly group: DeviceGroup
  readonly device: DeviceNumber
  readonly users: Set<User>
  /** `undefined`: the group allows it by itself. Else in whose name the journal has it. */
  noted: { id: number; path: string } | undefined
}

const keyOf = (inode: string, device: string): string => `${inode}/${device}`

const runs = ({ pid, started }: GrantTrace): boolean => {
  const now = startOf(pid)
  return E.isRight(now) && now.right === started
}

const isOf = (trace: GrantTrace, { pid, handle }: Container): boolean =>
  trace.pid === pid && trace.started === handle.started

export const createDeviceGrants = ({ journal, limits, log }: DeviceGrantsOptions): DeviceGrants => {
  const entries = new Map<string, Entry>()
  const left = new Map<string, GrantTrace>(
    journal.leftGrants.map(trace => [keyOf(trace.inode, trace.device), trace]),
  )
  /** What was said once is known. */
  const said = new Set<string>()

  const sayOnce = (
    linkLog: LinkLog,
    facts: { group: string; device: string; errno?: string },
    message: string,
  ) => {
    const id = JSON.stringify([facts.group, facts.device, message])
    if (said.has(id)) return
    said.add(id)
    linkLog.warn(facts, message)
  }

  const withdrawLeft = (trace: GrantTrace): void => {
    left.delete(keyOf(trace.inode, trace.device))
    const group = groupNoted(trace.group, trace.inode)
    const errno = group === undefined ? undefined : deny(group, trace.device)
    journal.gone(trace.id)
    const { consumer, device } = trace
    if (errno !== undefined)
      log.warn({ consumer, device, errno }, 'what an earlier run left cannot be removed')
    else if (group !== undefined) log.info({ consumer, device }, 'removed what an earlier run left')
  }

  /** Tell the group, which does not allow it; the journal's number for that. */
  const tell = (group: DeviceGroup, { device, path, scribe, log: linkLog }: GrantRequest): Entry['noted'] => {
    const facts = { group: group.path, device: spelled(device) }
    const id = scribe.granted({ path, group: group.path, inode: group.inode, device: spelled(device) })
    const told = allow(group, device, limits.deviceGroups)
    if (told.errno !== undefined) {
      scribe.gone(id)
      sayOnce(
        linkLog,
        { ...facts, errno: told.errno },
        "the consumer's device cgroup cannot allow the device, so it cannot be opened there: allow it in the container's configuration",
      )
      return undefined
    }
    if (told.tooMany)
      sayOnce(
        linkLog,
        facts,
        'the consumer has more cgroups than are told of its device: it opens in some only',
      )
    return { id, path }
  }

  const entryFor = (group: DeviceGroup, request: GrantRequest): Entry | undefined => {
    const { device } = request
    const key = keyOf(group.inode, spelled(device))
    const known = entries.get(key)
    if (known !== undefined && allows(group, device)) return known
    const before = left.get(key)
    let noted = known?.noted
    if (before !== undefined) {
      left.delete(key)
      noted = { id: before.id, path: before.path }
    }
    if (!allows(group, device)) {
      if (noted !== undefined) journal.gone(noted.id)
      noted = tell(group, request)
      if (known !== undefined) known.noted = noted
      if (noted === undefined) return undefined
    }
    const entry: Entry = known ?? { group, device, users: new Set(), noted }
    entry.noted = noted
    entries.set(key, entry)
    return entry
  }

  /** In the name of one who stays, so that a later run sees who needs it. */
  const noteAnew = (entry: Entry, leaving: User): void => {
    if (entry.noted === undefined || entry.noted.path !== leaving.path) return
    const [heir] = entry.users
    if (heir === undefined || heir.path === leaving.path) return
    const { group, device } = entry
    const before = entry.noted.id
    const note = { path: heir.path, group: group.path, inode: group.inode, device: spelled(device) }
    entry.noted = { id: heir.scribe.granted(note), path: heir.path }
    journal.gone(before)
  }

  const leave = (entry: Entry, user: User): readonly string[] => {
    if (!entry.users.delete(user)) return []
    if (entry.users.size > 0) {
      noteAnew(entry, user)
      return []
    }
    const { group, device, noted } = entry
    entries.delete(keyOf(group.inode, spelled(device)))
    if (noted === undefined) return []
    const there = stillThere(group)
    const errno = there === undefined ? undefined : deny(there, spelled(device))
    journal.gone(noted.id)
    return errno === undefined ? [] : [`${spelled(device)} in cgroup ${group.path}: ${errno}`]
  }

  return {
    hold: request => {
      const { container, device, path, scribe, log: linkLog } = request
      if (container.pid === HOST) return { isStale: () => false, withdraw: () => [] }
      const judges = judgesOf(container.pid)
      if (judges.programs !== undefined) {
        sayOnce(
          linkLog,
          { group: judges.programs, device: spelled(device) },
          "device access is governed by a BPF program: allow the device in the container's configuration",
        )
      }
      if (judges.hidden !== undefined) {
        sayOnce(
          linkLog,
          { group: judges.hidden, device: spelled(device) },
          "the consumer's device cgroup cannot be reached: allow the device in the container's configuration",
        )
      }
      const { group } = judges
      const entry = group === undefined ? undefined : entryFor(group, request)
      const user: User = { path, scribe }
      entry?.users.add(user)
      for (const trace of [...left.values()]) {
        if (trace.path === path && isOf(trace, container)) withdrawLeft(trace)
      }
      return {
        isStale: () =>
          groupPathOf(container.pid) !== judges.path ||
          (entry !== undefined && stillThere(entry.group) !== undefined && !allows(entry.group, device)),
        withdraw: () => (entry === undefined ? [] : leave(entry, user)),
      }
    },
    forsake: (consumer, path) => {
      for (const trace of [...left.values()]) {
        if (trace.pid === consumer && trace.path === path) withdrawLeft(trace)
      }
    },
    sweep: admitted => {
      if (left.size === 0) return
      const wanted = new Set(admitted().map(({ consumer_pid, target }) => `${consumer_pid}${target}`))
      for (const trace of [...left.values()]) {
        if (!wanted.has(`${trace.pid}${trace.path}`) || !runs(trace)) withdrawLeft(trace)
      }
    },
    close: () => {
      for (const trace of [...left.values()]) withdrawLeft(trace)
    },
  }
}
