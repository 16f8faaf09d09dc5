/** A folder of plugins as an operator makes one: root's, and closed to others. Gone after the tests of its file. */
import { chmodSync, cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'

export interface PluginSandbox {
  readonly path: string
  /** A path below it. */
  readonly at: (...names: readonly string[]) => string
  /** A plugin of one module; the path of its folder. */
  readonly install: (type: string, source: string, entry?: string) => string
  /** The one of `fixtures/plugins`. */
  readonly installExample: (type: string) => string
}

export const pluginSandbox = (): PluginSandbox => {
  // Two levels, so that there is something beside the folder that nobody may be led to.
  const outside = realpathSync(mkdtempSync(join(tmpdir(), 'pvx-plugins-')))
  const path = join(outside, 'plugins')
  const makeFolder = (folder: string): void => {
    mkdirSync(folder, { recursive: true })
    // Whatever the umask is here.
    chmodSync(folder, 0o755)
  }
  makeFolder(path)
  after(() => rmSync(outside, { recursive: true, force: true }))
  const at = (...names: readonly string[]): string => join(path, ...names)
  return {
    path,
    at,
    install: (type, source, entry = 'index.mjs') => {
      makeFolder(at(type))
      writeFileSync(at(type, entry), source)
      chmodSync(at(type, entry), 0o644)
      return at(type)
    },
    installExample: type => {
      cpSync(join('fixtures/plugins', type), at(type), { recursive: true })
      makeFolder(at(type))
      chmodSync(at(type, 'index.mjs'), 0o644)
      return at(type)
    },
  }
}
