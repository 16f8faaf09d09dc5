/**
 * Whose fault an error is that nobody caught: a timer of a plugin's own, or a promise it left alone, fails where no
 * handler of ours could catch it. Pure: reads the error's stack, which Node writes for every `Error`.
 */
import { fileURLToPath } from 'node:url'

const FRAME = /^\s+at (?:.*\()?(\S+?)(?:\?[^():]*)?:\d+:\d+\)?$/

/** The file that threw, without Node's own on top of it. */
const origin = (stack: string): string | undefined => {
  for (const line of stack.split('\n')) {
    const [, place] = FRAME.exec(line) ?? []
    if (place === undefined || place.startsWith('node:')) continue
    return place.startsWith('file://') ? fileURLToPath(place) : place
  }
  return undefined
}

/** The plugin, of those in `folder`, whose code threw it; `undefined`: it is our own, or nobody can tell. */
export const pluginToBlame = (error: unknown, folder: string): string | undefined => {
  try {
    const file = error instanceof Error && typeof error.stack === 'string' ? origin(error.stack) : undefined
    return file?.startsWith(`${folder}/`) === true ? file.slice(folder.length + 1).split('/')[0] : undefined
  } catch {
    return undefined
  }
}
