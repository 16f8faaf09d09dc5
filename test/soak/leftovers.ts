/** What must not be in a container when no link is: sockets of the daemon's, and folders that it made for them. */
import { dirname } from 'node:path'
import { Violation } from './ledger.ts'
import type { SoakLink } from './links.ts'
import type { Node, Site } from './site.ts'
import type { Stage } from './stage.ts'

/** Names that only the daemon gives, while it plants. */
const PRIVATE_NAME = /\/\.pvx-[^/]*$/

/** There before the daemon came, and for everybody. */
const COMMON: ReadonlySet<string> = new Set(['/', '/run', '/tmp', '/opt', '/etc', '/dev'])

/** Folders above the targets that a container does not have by itself. */
const foldersAbove = (targets: readonly string[]): ReadonlySet<string> => {
  const folders = new Set<string>()
  for (const target of targets) {
    for (let folder = dirname(target); !COMMON.has(folder); folder = dirname(folder)) folders.add(folder)
  }
  return folders
}

const targetsIn = (links: readonly SoakLink[], site: Site): readonly string[] =>
  links.filter(({ consumer }) => consumer === site).flatMap(({ targets }) => targets)

/** In words, what is in a container that should not be. */
export const leftIn = (
  nodes: readonly Node[],
  targets: readonly string[],
  site: Pick<Site, 'keepsFolders' | 'orphans'>,
): readonly string[] => {
  const wanted = new Set(targets)
  const folders = foldersAbove(targets)
  return nodes
    .filter(({ path, inode, kind }) => {
      // A killed daemon's successor replaces what is still wanted, and does not know of the rest.
      if (site.orphans.get(path) === inode) return false
      if (PRIVATE_NAME.test(path) || wanted.has(path)) return true
      return kind === 'directory' && folders.has(path) && !site.keepsFolders && site.orphans.size === 0
    })
    .map(({ path, kind }) => `${path} (${kind})`)
}

/** Throws a violation for what is left, in any container that runs and is left alone at the moment. */
export const nothingIsPlanted = (stage: Stage): void => {
  for (const site of stage.parts.consumers) {
    if (!site.runs || site.busy) continue
    const left = leftIn(site.nodes(), targetsIn(stage.parts.links, site), site)
    if (left.length > 0) throw new Violation(`left behind in ${site.name}: ${left.join(', ')}`)
  }
}

/** To be called when nothing is planted: also what is rightly left goes. */
export const tidyUp = (stage: Stage): void => {
  for (const site of stage.parts.consumers) {
    const targets = targetsIn(stage.parts.links, site)
    site.tidy([...foldersAbove(targets), ...[...site.orphans.keys()].filter(path => targets.includes(path))])
  }
}
