/** `ProviderFiles` over a plain folder of the test's own: no container, no symlinks that leave it. */
import { lstatSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { E } from '../../src/fp.ts'
import type { FileProblem, ProviderFiles } from '../../src/toolbox/contract.ts'

const problemOf = (error: unknown): FileProblem => {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' ? 'absent' : 'unreadable'
}

export const folderFiles = (root: string): ProviderFiles => ({
  read: (path, mostBytes) => {
    try {
      const stat = statSync(join(root, path))
      if (!stat.isFile()) return E.left('not a file')
      return stat.size > mostBytes ? E.left('too long') : E.right(readFileSync(join(root, path)))
    } catch (error) {
      return E.left(problemOf(error))
    }
  },
  list: (path, mostNames) => {
    try {
      if (!statSync(join(root, path)).isDirectory()) return E.left('not a file')
      const names = readdirSync(join(root, path)).sort((a, b) =>
        Buffer.compare(Buffer.from(a), Buffer.from(b)),
      )
      return names.length > mostNames ? E.left('too many') : E.right(names)
    } catch (error) {
      return E.left(problemOf(error))
    }
  },
  stamp: path => {
    try {
      const { ino, size, mtimeNs, ctimeNs } = lstatSync(join(root, path), { bigint: true })
      return `${ino} ${size} ${mtimeNs} ${ctimeNs}`
    } catch {
      return ''
    }
  },
})
