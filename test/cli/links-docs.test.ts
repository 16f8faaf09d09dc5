/** The documents as a whole: every link within them leads somewhere, and what there is a folder of is told in full. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'
import { inRepository } from './support.ts'

const read = (path: string): string => readFileSync(inRepository(path), 'utf8')

const within = (folder: string): readonly string[] =>
  readdirSync(inRepository(folder), { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith('.md'))
    .map(path => join(folder, path))

const PAGES = ['README.md', 'CHANGELOG.md', ...within('docs'), ...within('fixtures')]

/** What stands in blocks of code is no link and no heading. */
const proseOf = (page: string): string => read(page).replace(/^```.*?^```/gms, '')

/** As GitHub makes them. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_ -]/gu, '')
    .replaceAll(' ', '-')

const anchorsOf = (page: string): readonly string[] =>
  [...proseOf(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchorOf(heading))

test('every link within the documents leads to a file, and to a heading in it', () => {
  const anchors = new Map(PAGES.map(page => [page, anchorsOf(page)]))
  const links = PAGES.flatMap(page =>
    [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => ({ page, link })),
  ).filter(({ link }) => !link.startsWith('https://'))
  assert.ok(links.length > 100)
  for (const { page, link } of links) {
    const [path = '', anchor] = link.split('#')
    const target = path === '' ? page : normalize(join(dirname(page), path))
    assert.ok(existsSync(inRepository(target)), `${page}: ${link}`)
    if (anchor !== undefined) assert.ok(anchors.get(target)?.includes(anchor), `${page}: ${link}`)
  }
})

test('docs/testing.md has a row for every target of the fuzzer, and for no other', () => {
  const [, section = ''] = read('docs/testing.md').split('\n## Fuzz\n')
  const told = [...(section.split(/^## /m)[0] ?? '').matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, name]) => name)
  const there = readdirSync(inRepository('test/fuzz/targets')).map(file => file.replace('.ts', ''))
  assert.deepEqual(told.sort(), there.sort())
})

test('docs/adr has a line for every decision', () => {
  const told = [...read('docs/adr/README.md').matchAll(/\]\((\d{4}-[^)]+)\)/g)].map(([, file]) => file)
  const there = readdirSync(inRepository('docs/adr')).filter(file => /^\d/.test(file))
  assert.deepEqual(told, there.sort())
})
