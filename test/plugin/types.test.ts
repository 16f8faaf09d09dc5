/** `pv-xconnect/plugin` as its users get it: packed, unpacked in a project elsewhere, and read by a strict compiler. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)
const TSC = resolve('node_modules/.bin/tsc')
const EXAMPLES = 'fixtures/plugins'

const PLUGIN = `
import type { Either, InjectError, Mediation, Plugin, Session } from 'pv-xconnect/plugin'

interface Counted extends Mediation { readonly since: number }

const session = (): Session => ({
  on(input, out) {
    if (input.kind === 'opened') out.dial(input.peer.uid === 0 ? 'role' : 'peer')
    else if (input.kind === 'bytes') out.forward(input.from, input.view.length, input.fds.count)
  },
})

const counted = (planted: Either<InjectError, Mediation>): Either<InjectError, Counted> =>
  planted._tag === 'Left' ? planted : { _tag: 'Right', right: { ...planted.right, since: Date.now() } }

const plugin: Plugin<Counted> = {
  name: 'tally',
  type: 'tally',
  admits: link => link.role === 'any' ? { _tag: 'Denied', rule: 'a role is needed' } : { _tag: 'Admitted', rule: 'tally' },
  onLinkAdded: (link, box, kept) => async () => {
    if (link.socket === '') return { _tag: 'Left', left: { _tag: 'OptionRefused', option: 'socket', reason: 'empty' } }
    const provider = { pid: link.provider_pid, socket: link.socket }
    return counted(await box.injectSocket({ kind: 'stream', target: link.target, provider, descriptors: 'none', session }, kept)())
  },
  onLinkRemoved: (_link, mediation, box) => async () => {
    box.log.info({ since: mediation.since }, 'gone')
    return box.withdraw(mediation)()
  },
}
export default plugin
`

/** Each differs from the good one in one thing that a compiler must find. */
const MISTAKES: readonly (readonly [string, string, string, RegExp])[] = [
  ['a handler that is missing', 'onLinkRemoved:', 'onLinkGone:', /onLinkGone/],
  ['a kind that is none', "kind: 'stream'", "kind: 'streem'", /streem/],
  ['an error that the core does not know', "_tag: 'OptionRefused'", "_tag: 'Odd'", /Odd/],
  ['a command that is none', 'out.forward', 'out.foward', /forward/],
]

describe('pv-xconnect/plugin', () => {
  const project = mkdtempSync(join(tmpdir(), 'pvx-types-'))
  const packed = join(project, 'node_modules', 'pv-xconnect')

  before(async () => {
    assert.ok(existsSync('dist/types'), 'needs dist/types (npm run build)')
    await run('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', project])
    const [archive = ''] = readdirSync(project).filter(name => name.endsWith('.tgz'))
    mkdirSync(packed, { recursive: true })
    await run('tar', ['-xzf', join(project, archive), '-C', packed, '--strip-components=1'])
    writeFileSync(join(project, 'package.json'), JSON.stringify({ type: 'module' }))
  })
  after(() => rmSync(project, { recursive: true, force: true }))

  /** What the compiler says about one file of the project; nothing if all is well. */
  const complaintsAbout = async (file: string, source: string, options: object): Promise<string> => {
    writeFileSync(join(project, file), source)
    const compilerOptions = {
      target: 'es2023',
      lib: ['es2023', 'dom'],
      types: [],
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      // The declarations themselves are under test.
      skipLibCheck: false,
      ...options,
    }
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [file] }))
    try {
      return (await run(TSC, ['-p', project])).stdout
    } catch (error) {
      if (typeof error === 'object' && error !== null && 'stdout' in error) return String(error.stdout)
      throw error
    }
  }

  const resolutions = [
    { module: 'nodenext', moduleResolution: 'nodenext' },
    { module: 'esnext', moduleResolution: 'bundler' },
  ]
  for (const options of resolutions) {
    test(`type-checks a plugin with moduleResolution ${options.moduleResolution}`, async () => {
      assert.equal(await complaintsAbout('tally.ts', PLUGIN, options), '')
    })
  }

  for (const [what, good, bad, complaint] of MISTAKES) {
    test(`finds ${what}`, async () => {
      assert.ok(PLUGIN.includes(good))
      const source = PLUGIN.replace(good, bad)
      assert.match(await complaintsAbout('tally.ts', source, { module: 'nodenext' }), complaint)
    })
  }

  for (const example of readdirSync(EXAMPLES)) {
    test(`type-checks the example ${example}, which is shipped`, async () => {
      cpSync(join(packed, EXAMPLES, example, 'index.mjs'), join(project, 'index.mjs'))
      const source = readFileSync(join(project, 'index.mjs'), 'utf8')
      const options = { module: 'nodenext', allowJs: true, checkJs: true }
      assert.equal(await complaintsAbout('index.mjs', source, options), '')
    })
  }

  test('needs no file and no package that is not shipped', () => {
    const folder = join(packed, 'dist', 'types')
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry =>
      entry.isFile(),
    )
    assert.ok(files.length > 5)
    for (const { parentPath, name } of files) {
      const source = readFileSync(join(parentPath, name), 'utf8')
      for (const [, from = ''] of source.matchAll(/from '([^']+)'/g)) {
        assert.match(from, /^\..*\.js$/, `${name} imports ${from}`)
        assert.ok(existsSync(join(parentPath, from.replace(/\.js$/, '.d.ts'))), `${name} imports ${from}`)
      }
    }
  })
})
