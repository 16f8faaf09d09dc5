import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  lchownSync,
  linkSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { describe, test } from 'node:test'
import { type Found, openPluginFolder } from '../../src/plugin/folder.ts'
import { pluginSandbox } from '../support/plugin-folder.ts'
import { needsRoot } from '../support/privileges.ts'

const MODULE = 'export default 1'

const reasonOf = (found: Found): string => (found._tag === 'Refused' ? found.reason : found._tag)

/** Its exports: whatever a module has them as. */
const exportOf = async (found: Found): Promise<unknown> => {
  const module: unknown = found._tag === 'Module' ? await found.load() : undefined
  assert.ok(typeof module === 'object' && module !== null, reasonOf(found))
  return Reflect.get(module, 'default')
}

/** Only root can make files that are root's, or somebody else's. */
const it = (name: string, body: () => Promise<void>): void => {
  test(name, async t => {
    if (needsRoot(t)) await body()
  })
}

describe('the folder of plugins', () => {
  it("a module of root's is found, and imported when it is asked for", async () => {
    const plugins = pluginSandbox()
    const folder = plugins.install('tally', MODULE)
    const found = await openPluginFolder(plugins.path).find('tally')
    assert.ok(found._tag === 'Module')
    assert.equal(found.path, `${folder}/index.mjs`)
    assert.equal(await exportOf(found), 1)
  })

  it('index.js will do, and index.mjs is preferred', async () => {
    const plugins = pluginSandbox()
    plugins.install('tally', MODULE, 'index.js')
    const folder = openPluginFolder(plugins.path)
    const first = await folder.find('tally')
    assert.equal(first._tag === 'Module' && first.path, plugins.at('tally', 'index.js'))
    plugins.install('tally', MODULE)
    const second = await folder.find('tally')
    assert.equal(second._tag === 'Module' && second.path, plugins.at('tally', 'index.mjs'))
  })

  it('a module that was exchanged has another version, and is imported anew', async () => {
    const plugins = pluginSandbox()
    plugins.install('tally', 'throw new Error("not yet")')
    const folder = openPluginFolder(plugins.path)
    const before = await folder.find('tally')
    assert.ok(before._tag === 'Module')
    await assert.rejects(before.load(), /not yet/)
    plugins.install('tally', 'export default "mended"')
    const after = await folder.find('tally')
    assert.ok(after._tag === 'Module')
    assert.notEqual(after.version, before.version)
    assert.equal(await exportOf(after), 'mended')
  })

  it('what is not there is absent, be it the plugin or the whole folder', async () => {
    const plugins = pluginSandbox()
    assert.equal((await openPluginFolder(plugins.path).find('tally'))._tag, 'Absent')
    assert.equal((await openPluginFolder(plugins.at('nowhere')).find('tally'))._tag, 'Absent')
  })

  it('a type that is no plain name is not looked for, whatever stands there', async () => {
    const plugins = pluginSandbox()
    plugins.install('../outside', MODULE)
    plugins.install('deep/er', MODULE)
    plugins.install('.hidden', MODULE)
    const folder = openPluginFolder(plugins.path)
    for (const type of [
      '../outside',
      'deep/er',
      '.hidden',
      '.',
      '..',
      '',
      'tally\0',
      'tally\n',
      'x'.repeat(65),
    ]) {
      assert.equal((await folder.find(type))._tag, 'Absent', JSON.stringify(type))
    }
  })

  const spoilt: readonly (readonly [string, (folder: string) => void, RegExp])[] = [
    [
      'a folder that others can write',
      folder => chmodSync(folder, 0o777),
      /tally can be written .*mode 0777/,
    ],
    ['a folder of somebody else', folder => chownSync(folder, 1000, 1000), /tally does not belong to root/],
    [
      'a module that its group can write',
      folder => chmodSync(`${folder}/index.mjs`, 0o664),
      /index\.mjs can be written .*mode 0664.*chmod go-w \S+\/index\.mjs$/,
    ],
    [
      'a module of somebody else',
      folder => chownSync(`${folder}/index.mjs`, 1000, 0),
      /index\.mjs does not belong to root \(owner 1000:0, mode 0644\).*chown root:root/,
    ],
    [
      'a module that is a symlink',
      folder => {
        rmSync(`${folder}/index.mjs`)
        writeFileSync(`${folder}/real.mjs`, MODULE)
        symlinkSync('real.mjs', `${folder}/index.mjs`)
      },
      /index\.mjs is a symlink/,
    ],
    [
      'a file beside the module that others can write',
      folder => {
        mkdirSync(`${folder}/lib`, { mode: 0o755 })
        writeFileSync(`${folder}/lib/part.mjs`, MODULE)
        chmodSync(`${folder}/lib/part.mjs`, 0o666)
      },
      /lib\/part\.mjs can be written/,
    ],
    [
      'a folder without a module',
      folder => rmSync(`${folder}/index.mjs`),
      /tally has no index\.mjs or index\.js$/,
    ],
    [
      'a module that is a folder',
      folder => {
        rmSync(`${folder}/index.mjs`)
        mkdirSync(`${folder}/index.mjs`, { mode: 0o755 })
      },
      /tally has no index\.mjs or index\.js$/,
    ],
    [
      'a folder with hundreds of files',
      folder => {
        for (let n = 0; n < 300; n += 1) linkSync(`${folder}/index.mjs`, `${folder}/${n}.mjs`)
      },
      /holds more than 256 files/,
    ],
  ]
  for (const [what, spoil, reason] of spoilt) {
    it(`${what} is refused`, async () => {
      const plugins = pluginSandbox()
      spoil(plugins.install('tally', MODULE))
      assert.match(reasonOf(await openPluginFolder(plugins.path).find('tally')), reason)
    })
  }

  it("a plugin's folder that is a symlink is refused, even to a good one", async () => {
    const plugins = pluginSandbox()
    plugins.install('tally', MODULE)
    symlinkSync('tally', plugins.at('other'))
    assert.match(reasonOf(await openPluginFolder(plugins.path).find('other')), /other is a symlink/)
  })

  it('the folder of plugins may be a symlink, and is then looked at where it leads', async () => {
    const plugins = pluginSandbox()
    plugins.install('tally', MODULE)
    symlinkSync('plugins', plugins.at('..', 'current'))
    const folder = openPluginFolder(plugins.at('..', 'current'))
    const found = await folder.find('tally')
    assert.equal(found._tag === 'Module' && found.path, plugins.at('tally', 'index.mjs'))
    chmodSync(plugins.path, 0o775)
    assert.match(reasonOf(await folder.find('tally')), /plugins can be written/)
  })

  it("the folder of plugins must not be somebody else's symlink", async () => {
    const plugins = pluginSandbox()
    plugins.install('tally', MODULE)
    const link = plugins.at('..', 'theirs')
    symlinkSync('plugins', link)
    lchownSync(link, 1000, 1000)
    assert.match(reasonOf(await openPluginFolder(link).find('tally')), /theirs does not belong to root/)
  })

  it('a directory above that others can write is refused: they could exchange all below it', async () => {
    const plugins = pluginSandbox()
    plugins.install('tally', MODULE)
    chmodSync(plugins.at('..'), 0o777)
    const reason = reasonOf(await openPluginFolder(plugins.path).find('tally'))
    assert.match(reason, /pvx-plugins-\w+ can be written by others than root/)
    chmodSync(plugins.at('..'), 0o1777)
    assert.equal((await openPluginFolder(plugins.path).find('tally'))._tag, 'Module')
  })

  it('what is wrong with it as a whole is told without any link', async () => {
    const plugins = pluginSandbox()
    plugins.install('unix', MODULE)
    plugins.install('tally', MODULE)
    const folder = openPluginFolder(plugins.path)
    const reason = `${plugins.at('unix')} is not used: links of type unix have a built-in plugin, which always wins`
    assert.deepEqual(await folder.complaints(['unix', 'rest']), [{ plugin: 'unix', reason }])
    chmodSync(plugins.path, 0o777)
    assert.match((await folder.complaints(['unix']))[0]?.reason ?? '', /plugins can be written/)
    rmSync(plugins.path, { recursive: true })
    assert.match((await folder.complaints(['unix']))[0]?.reason ?? '', /does not exist/)
  })

  it('an error that nobody caught is laid at the door of the plugin that threw it', async () => {
    const plugins = pluginSandbox()
    plugins.install(
      'tally',
      'import { readFileSync } from "node:fs"\nexport default () => readFileSync("/nowhere")',
    )
    const folder = openPluginFolder(plugins.path)
    const found = await folder.find('tally')
    const fail = await exportOf(found)
    assert.ok(typeof fail === 'function')
    let thrown: unknown
    try {
      fail()
    } catch (error) {
      thrown = error
    }
    assert.equal(folder.culprit(thrown), 'tally')
    assert.equal(folder.culprit(new Error('ours')), undefined)
    assert.equal(folder.culprit('no error at all'), undefined)
    assert.equal(openPluginFolder('/elsewhere').culprit(thrown), undefined)
  })
})
