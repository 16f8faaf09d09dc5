/**
 * The plugins as a recording tells of them: what there was a plugin for, which could follow a change, what they thought
 * of a link. No code of theirs runs. A recording that says nothing of a type leaves it to the plugins of this version.
 */
import type { Verdict } from '../model/desired.ts'
import { keyOf, type LinkKey } from '../model/link.ts'
import type { PluginCatalogue } from '../plugin/catalogue.ts'
import type { Header, LineOf } from '../record/format.ts'

type Told = LineOf<'plugins'>['types'][number]

export interface RecordedPlugins extends PluginCatalogue {
  /** What the catalogue says from now on. Whoever waits for it goes on. */
  tell(line: LineOf<'plugins'>): void
  opine(line: LineOf<'opinion'>): void
  /** The pass that comes waits for what will be told next, or does not. */
  expect(awaited: boolean): void
}

/** `own`: of this version, everything loaded that the recording may ask for. */
export const recordedPlugins = ({ plugins }: Header, own: PluginCatalogue): RecordedPlugins => {
  const told = new Map<string, Told>(
    (plugins ?? []).map(type => [
      type,
      { type, supported: true, canChange: own.canChange(type), problem: null },
    ]),
  )
  const opinions = new Map<LinkKey, Verdict>()
  let revision = 0
  let awaited = false
  let goOn = (): void => undefined

  return {
    tell: ({ types }) => {
      for (const each of types) told.set(each.type, each)
      revision += 1
      awaited = false
      goOn()
    },
    opine: ({ link, verdict }) => {
      if (verdict === null) opinions.delete(link)
      else opinions.set(link, verdict)
    },
    expect: next => {
      awaited = next
    },
    load: () =>
      awaited
        ? new Promise(resolve => {
            goOn = resolve
          })
        : Promise.resolve(),
    plugin: () => undefined,
    failure: type => (told.has(type) ? (told.get(type)?.problem ?? undefined) : own.failure(type)),
    revision: () => revision,
    // A pass comes when the recording has one.
    onChange: () => undefined,
    supports: type => told.get(type)?.supported ?? own.supports(type),
    canChange: type => told.get(type)?.canChange ?? own.canChange(type),
    admits: link => {
      const of = told.get(link.type)
      return of === undefined ? own.admits(link) : opinions.get(keyOf(link))
    },
  }
}
