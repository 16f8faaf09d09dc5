/** Holds the sources against the table of docs/architecture.md: who imports whom, and who may touch the world. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, test } from 'node:test'

const ROOTS = ['src', 'machines', 'plugins']

interface Import {
  readonly file: string
  /** A path from the project's root without its suffix, or a package's name. */
  readonly of: string
}

const sources = (folder: string): readonly string[] =>
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter(entry => entry.isFile() && entry.name.endsWith('.ts'))
    .map(entry => join(entry.parentPath, entry.name))

const IMPORT = /(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g

const importsOf = (file: string): readonly Import[] =>
  [...readFileSync(file, 'utf8').matchAll(IMPORT)].map(([, from = '']) => ({
    file,
    of: from.startsWith('.') ? normalize(join(dirname(file), from)).replace(/\.ts$/, '') : from,
  }))

const files = ROOTS.flatMap(sources)
const imports = files.flatMap(importsOf)

/** Folder -> what it may import of the project, besides itself and `src/fp`. The longest matching folder counts. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  'src/model': [],
  'src/kernel': ['src/model'],
  'src/reactor': ['src/kernel', 'src/model'],
  'src/relay': ['src/kernel', 'src/reactor', 'src/model', 'src/toolbox/contract'],
  'src/toolbox': ['src/kernel', 'src/reactor', 'src/relay', 'src/model'],
  'src/toolbox/contract': ['src/model', 'src/relay/contract'],
  'src/relay/contract': [],
  'src/graph': ['src/model'],
  'src/access': ['src/model'],
  'src/desired': ['src/model', 'src/access', 'src/plugin/contract'],
  machines: ['src/model'],
  'src/plugin': ['src/model', 'src/toolbox/contract', 'src/relay/contract'],
  'src/controller': [
    'src/graph',
    'src/access',
    'src/desired',
    'machines',
    'src/plugin',
    'src/model',
    'src/toolbox/contract',
  ],
  'src/record': [
    'src/graph',
    'src/access',
    'src/controller',
    'src/plugin',
    'src/model',
    'src/toolbox/contract',
  ],
  'src/replay': [
    'src/record',
    'src/graph',
    'src/access',
    'src/controller',
    'machines',
    'src/plugin',
    'src/model',
    'src/toolbox/contract',
  ],
  'src/events': ['src/controller', 'src/model', 'src/toolbox/contract'],
  'src/control': ['src/controller', 'src/events', 'src/record/tape', 'src/model', 'src/toolbox/contract'],
  plugins: ['src/plugin/contract', 'src/toolbox/contract', 'src/relay/contract', 'src/model'],
}

const isIn = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`)

const ruleFor = (file: string): string | undefined =>
  Object.keys(ALLOWED)
    .filter(folder => isIn(file.replace(/\.ts$/, ''), folder))
    .sort((a, b) => b.length - a.length)[0]

const isProject = (path: string): boolean => ROOTS.some(root => isIn(path, root))

describe('the structure of the sources', () => {
  test('there is something to look at', () => {
    assert.ok(files.length > 40 && imports.length > 200, `${files.length} files, ${imports.length} imports`)
  })

  for (const folder of Object.keys(ALLOWED)) {
    test(`${folder} imports only what the table allows`, () => {
      const odd = imports
        .filter(({ file }) => ruleFor(file) === folder)
        .filter(({ of }) => isProject(of) && of !== 'src/fp')
        .filter(({ of }) => !isIn(of, folder) && !(ALLOWED[folder] ?? []).some(allowed => isIn(of, allowed)))
      assert.deepEqual(odd, [])
    })
  }

  test('koffi is imported by the kernel layer alone', () => {
    assert.deepEqual(
      [...new Set(imports.filter(({ of }) => of === 'koffi').map(({ file }) => dirname(file)))],
      ['src/kernel'],
    )
  })

  test('prom-client is imported by the metrics alone, and they are not loaded before they are asked for', () => {
    assert.deepEqual(
      imports.filter(({ of }) => of === 'prom-client').map(({ file }) => file),
      ['src/control/metrics.ts'],
    )
    const eager = files.filter(file => /from '[./a-z]*\/metrics\.ts'/.test(readFileSync(file, 'utf8')))
    assert.deepEqual(eager, [])
  })

  test('a plugin never imports another one', () => {
    const odd = imports.filter(({ file, of }) => {
      const own = file.split('/').slice(0, 2).join('/')
      return file.startsWith('plugins/') && of.startsWith('plugins/') && !isIn(of, own)
    })
    assert.deepEqual(odd, [])
  })

  test('what is pure imports no I/O, no log and no native code', () => {
    const pure = [
      'src/model',
      'src/desired',
      'src/access/rules',
      'src/access/verdict',
      'machines',
      'src/relay/contract',
      'src/graph/codec',
      'src/control/shapes',
      'src/control/views',
      'src/control/advice',
      'src/control/history',
      'src/record/format',
      'src/record/parse',
      'src/record/tape',
      'src/replay',
      'src/events',
    ]
    const odd = imports.filter(
      ({ file, of }) =>
        pure.some(folder => isIn(file.replace(/\.ts$/, ''), folder)) &&
        (of.startsWith('node:') || of === 'pino' || of === 'koffi'),
    )
    assert.deepEqual(odd, [])
  })

  test('what is pure asks no clock and rolls no dice', () => {
    const pure = [
      'src/model',
      'src/desired',
      'src/access',
      'machines',
      'src/control/views.ts',
      'src/control/advice.ts',
      'src/control/history.ts',
      'src/record/format.ts',
      'src/record/parse.ts',
      'src/record/tape.ts',
      'src/replay',
      'src/events',
    ]
    const odd = files.filter(
      file =>
        file !== 'src/model/clock.ts' &&
        pure.some(folder => isIn(file, folder)) &&
        /Date\.now|Math\.random|performance\.now|setTimeout\(/.test(readFileSync(file, 'utf8')),
    )
    assert.deepEqual(odd, [])
  })
})
