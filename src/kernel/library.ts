/**
 * libc, found under the name this system gives it.
 * The only place that loads a native library; `declarations.ts` is the only one that asks it for functions.
 */
import { readdirSync } from 'node:fs'
import koffi, { type LibraryHandle } from 'koffi'

/** musl has one file per architecture, `libc.musl-x86_64.so.1`; the directory says which. */
const muslNames = (): readonly string[] => {
  try {
    return readdirSync('/lib').filter(name => /^libc\.musl-.*\.so\.1$/.test(name))
  } catch (error) {
    // No /lib to look into is no reason to give up: the fixed names are tried either way.
    return error instanceof Error ? [] : []
  }
}

const openLibc = (): LibraryHandle => {
  const tried: string[] = []
  for (const name of ['libc.so.6', ...muslNames(), 'libc.so']) {
    try {
      return koffi.load(name)
    } catch (error) {
      tried.push(`${name} (${error instanceof Error ? error.message : String(error)})`)
    }
  }
  throw new Error(`no C library could be loaded; tried ${tried.join(', ')}`)
}

export const libc: LibraryHandle = openLibc()
