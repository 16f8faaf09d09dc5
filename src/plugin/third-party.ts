/**
 * Plugins of third parties: looked for when the first link of their type appears, loaded beside the passes, and looked
 * for again when asked. Promises that nobody ever waits for one, that each failure is words about one type, and that a
 * module which has been taken stays. Refuses to know who asks, and where plugins lie.
 */
import type { Clock } from '../model/clock.ts'
import { messageOf } from '../model/errors.ts'
import type { LinkLog } from '../toolbox/contract.ts'
import type { Plugin } from './contract.ts'
import type { Found, PluginFolder } from './folder.ts'
import { pluginOf } from './manifest.ts'

export interface ThirdPartyOptions {
  readonly folder: PluginFolder
  readonly clock: Clock
  readonly log: LinkLog
  /** What looking for a plugin and importing it may take together. One that comes later is taken all the same. */
  readonly loadMs: number
}

export interface ThirdParties {
  /** Look for what was not looked for yet, and forget what nobody wants; `again`: also for what was not to be had. */
  want(types: ReadonlySet<string>, again: boolean): void
  /** Say once what is wrong with the folder, whatever the links want. `builtIn`: types that it cannot serve. */
  inspect(builtIn: readonly string[]): void
  plugin(type: string): Plugin | undefined
  /** Why a type has no plugin; `undefined` also where nobody has one to offer. */
  reason(type: string): string | undefined
}

/** One module that was imported, and why it is not used. The same file is not tried twice. */
interface Attempt {
  readonly version: string
  reason: string
}

/** What is known about one type. */
interface Candidate {
  readonly type: string
  plugin?: Plugin
  reason: string | undefined
  attempt?: Attempt
  /** The folder has not answered yet, however long ago it was asked. */
  finding: boolean
  /** The bound of the look that is still within its time. */
  bound: unknown
}

/** `changed` is called whenever the answer for some type has become another one. */
export const createThirdParties = (
  { folder, clock, log, loadMs }: ThirdPartyOptions,
  changed: () => void,
): ThirdParties => {
  const candidates = new Map<string, Candidate>()
  let said: ReadonlySet<string> = new Set()

  const tooSlow = (type: string): string => `plugin ${type} did not load within ${loadMs / 1000} s`

  const conclude = (candidate: Candidate, reason: string | undefined, error?: unknown): void => {
    if (candidate.plugin !== undefined || candidate.reason === reason) return
    const { type: plugin } = candidate
    candidate.reason = reason
    if (reason !== undefined) {
      log.warn({ plugin, reason, ...(error instanceof Error ? { err: error } : {}) }, 'a plugin is not used')
    }
    changed()
  }

  const accept = (candidate: Candidate, plugin: Plugin, path: string): void => {
    candidate.plugin = plugin
    candidate.reason = undefined
    log.info({ plugin: candidate.type, path }, 'a plugin was loaded')
    changed()
  }

  const take = async (candidate: Candidate, found: Extract<Found, { _tag: 'Module' }>): Promise<void> => {
    const { type } = candidate
    if (candidate.attempt?.version === found.version) {
      conclude(candidate, candidate.attempt.reason)
      return
    }
    const attempt = { version: found.version, reason: tooSlow(type) }
    candidate.attempt = attempt
    try {
      const plugin = pluginOf(await found.load(), type)
      // One that hung until a newer file was imported in its place is of no interest any more.
      if (candidate.attempt === attempt) accept(candidate, plugin, found.path)
    } catch (error) {
      attempt.reason = `plugin ${type} failed to load: ${messageOf(error)} (${found.path})`
      if (candidate.attempt === attempt) conclude(candidate, attempt.reason, error)
    }
  }

  const find = async (candidate: Candidate): Promise<Found> => {
    candidate.finding = true
    try {
      return await folder.find(candidate.type)
    } catch (error) {
      return { _tag: 'Refused', reason: `${folder.path} cannot be looked into: ${messageOf(error)}` }
    } finally {
      candidate.finding = false
    }
  }

  const lookFor = async (candidate: Candidate): Promise<void> => {
    const found = await find(candidate)
    switch (found._tag) {
      case 'Absent':
        conclude(candidate, undefined)
        return
      case 'Refused':
        conclude(candidate, `plugin ${candidate.type} is refused: ${found.reason}`)
        return
      case 'Module':
        await take(candidate, found)
    }
  }

  const look = (candidate: Candidate): void => {
    const bound = clock.setTimeout(() => {
      candidate.bound = undefined
      conclude(candidate, tooSlow(candidate.type))
    }, loadMs)
    candidate.bound = bound
    void lookFor(candidate).then(() => {
      clock.clearTimeout(bound)
      if (candidate.bound === bound) candidate.bound = undefined
    })
  }

  const isWorthALook = ({ plugin, finding, bound }: Candidate): boolean =>
    plugin === undefined && !finding && bound === undefined

  const complain = async (builtIn: readonly string[]): Promise<void> => {
    const complaints = await folder.complaints(builtIn)
    for (const { plugin, reason } of complaints) {
      if (said.has(reason)) continue
      if (plugin === undefined) log.warn({ pluginDir: folder.path, reason }, 'no plugin can be loaded')
      else log.warn({ plugin, reason }, 'a plugin is not used')
    }
    said = new Set(complaints.map(({ reason }) => reason))
  }

  return {
    want(types, again) {
      for (const candidate of candidates.values()) {
        // Types are text from the graph: what came of nothing must not be remembered for ever.
        const isNothing = candidate.attempt === undefined && isWorthALook(candidate)
        if (isNothing && !types.has(candidate.type)) candidates.delete(candidate.type)
      }
      for (const type of types) {
        const known = candidates.get(type)
        if (known !== undefined && !(again && isWorthALook(known))) continue
        const reason = `plugin ${type} is still loading`
        const candidate = known ?? { type, reason, finding: false, bound: undefined }
        candidates.set(type, candidate)
        look(candidate)
      }
    },
    inspect(builtIn) {
      void complain(builtIn).catch((error: unknown) => {
        log.warn({ pluginDir: folder.path, reason: messageOf(error) }, 'no plugin can be loaded')
      })
    },
    plugin: type => candidates.get(type)?.plugin,
    reason: type => candidates.get(type)?.reason,
  }
}
