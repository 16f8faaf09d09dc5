/**
 * The text of a file -> a recording. Pure.
 * A last line that is not whole is left out, as it comes of a daemon that was killed; so are lines of kinds that are not known,
 * as they come of a later version. Any other line that is none makes the file useless: what follows would be guesswork.
 * A graph alone (what `curl` gets from pv-ctrl) is a recording of one read.
 */
import type * as t from 'io-ts'
import { E } from '../fp.ts'
import { shown } from '../model/shown.ts'
import type { RecordingError } from './errors.ts'
import {
  FORMAT,
  type Header,
  HeaderCodec,
  LINE_CODECS,
  type Line,
  type LineKind,
  type NumberedLine,
  type Recording,
  VERSION,
} from './format.ts'

/** The header of what has none: a graph that somebody saved. */
const NO_HEADER: Header = {
  format: FORMAT,
  version: VERSION,
  startedAt: '1970-01-01T00:00:00.000Z',
  daemon: null,
}

export const parseRecording = (text: string): E.Either<RecordingError, Recording> => {
  if (/^\s*\[/.test(text)) return E.right(ofGraph(text))
  const firstEnd = endOfLine(text, 0)
  const header = headerIn(text.slice(0, firstEnd))
  if (E.isLeft(header)) return header
  const lines: NumberedLine[] = []
  const end = text.trimEnd().length
  let torn = false
  let unknown = 0
  let latest = 0
  // One after the other: there may be millions.
  for (let number = 2, start = firstEnd + 1; start < end; number += 1) {
    const stop = endOfLine(text, start)
    const each = text.slice(start, stop)
    start = stop + 1
    if (each.trim() === '') continue
    const read = lineIn(each)
    const problem = E.isLeft(read)
      ? read.left
      : read.right !== null && read.right.t < latest
        ? `it goes back in time, from ${latest} to ${read.right.t}`
        : undefined
    if (problem !== undefined) {
      if (start < end) return E.left({ _tag: 'LineMalformed', number, reason: problem })
      torn = true
    } else if (E.isRight(read)) {
      if (read.right === null) unknown += 1
      else {
        latest = read.right.t
        lines.push({ number, line: read.right })
      }
    }
  }
  return E.right({ header: header.right, lines, torn, unknown })
}

/** Where its newline is, or would be. */
const endOfLine = (text: string, start: number): number => {
  const end = text.indexOf('\n', start)
  return end === -1 ? text.length : end
}

const ofGraph = (body: string): Recording => ({
  header: NO_HEADER,
  lines: [{ number: 1, line: { t: 0, kind: 'graph', body } }],
  torn: false,
  unknown: 0,
})

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** As we write it. Other forms mean another moment elsewhere, or under another version of Node. */
const UTC = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,3})?Z$/

const headerIn = (text: string): E.Either<RecordingError, Header> => {
  const value = parsed(text)
  if (!isObject(value) || value['format'] !== FORMAT) {
    return E.left({
      _tag: 'NotARecording',
      reason: `its first line is neither a header ({"format":"${FORMAT}",…}) nor the beginning of a graph`,
    })
  }
  const { version } = value
  if (typeof version === 'number' && version > VERSION) return E.left({ _tag: 'RecordingTooNew', version })
  const decoded = HeaderCodec.decode(value)
  if (E.isLeft(decoded)) return E.left({ _tag: 'NotARecording', reason: `its header: ${why(decoded.left)}` })
  const { startedAt } = decoded.right
  return UTC.test(startedAt) && !Number.isNaN(Date.parse(startedAt))
    ? decoded
    : E.left({ _tag: 'NotARecording', reason: `its header: startedAt is no time: ${shown(startedAt)}` })
}

const isKind = (kind: string): kind is LineKind => Object.hasOwn(LINE_CODECS, kind)

/** `null`: of a kind that is not known. */
const lineIn = (text: string): E.Either<string, Line | null> => {
  const value = parsed(text)
  if (!isObject(value)) return E.left(`expected an object, got ${shown(text)}`)
  const { kind } = value
  if (typeof kind !== 'string') return E.left(`kind: expected a word, got ${shown(kind)}`)
  if (!isKind(kind)) return E.right(null)
  const decoded: t.Validation<Line> = LINE_CODECS[kind].decode(value)
  return E.isLeft(decoded) ? E.left(`${kind}: ${why(decoded.left)}`) : decoded
}

const why = (errors: t.Errors): string => {
  // Of several forms that were tried, the last is told of: the most particular one.
  const error = errors.at(-1)
  const place = (error?.context ?? []).flatMap(({ key }) => (/^\d*$/.test(key) ? [] : [key])).join('.')
  return `${place}: ${shown(error?.value)} is not what belongs there`
}
