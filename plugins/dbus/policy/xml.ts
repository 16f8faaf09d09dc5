/**
 * The text of a configuration file of a bus -> its elements, with where they stand. Pure, and it never throws.
 * Strict XML 1.0 in UTF-8. No DTD is loaded and no entity of a document's own is known: a DOCTYPE may name the public
 * one, as all these files do; one that brings declarations along makes the file malformed.
 */
import { parseXml, XmlDocumentType, XmlElement, XmlError, XmlText } from '@rgrove/parse-xml'
import { E } from '../../../src/fp.ts'

/** An element as it stands in its file. */
export interface Element {
  readonly name: string
  readonly attributes: ReadonlyMap<string, string>
  readonly children: readonly Element[]
  /** All character data that is directly in it; references and CDATA sections are resolved. */
  readonly text: string
  /** Of its beginning, from 1. */
  readonly line: number
  /** It as written but for its line ends, of an element with children too. */
  readonly source: string
}

const UTF_8 = new TextDecoder('utf-8', { fatal: true })

/**
 * Every line end is one LF (XML 1.0, section 2.11). The parser would see to that too, but it copies the whole text for each CR: a
 * megabyte of them would hold the daemon up for minutes.
 */
const decode = (bytes: Uint8Array): E.Either<string, string> =>
  E.tryCatch(
    () => UTF_8.decode(bytes).replace(/\r\n?/g, '\n'),
    () => 'it is not UTF-8',
  )

/** The root element, or why there is none. */
export const readXml = (bytes: Uint8Array): E.Either<string, Element> => {
  const text = decode(bytes)
  if (E.isLeft(text)) return text
  return E.chain((document: Document) => rootOf(document, text.right))(parse(text.right))
}

type Document = ReturnType<typeof parseXml>

const parse = (text: string): E.Either<string, Document> =>
  E.tryCatch(
    () => parseXml(text, { includeOffsets: true, preserveDocumentType: true }),
    // Its only other error is that of a stack which overflows: elements are read by recursion, and text may nest them for ever.
    error => (error instanceof XmlError ? firstLine(error.message) : 'its elements are nested too deeply'),
  )

/** Of the parser's complaint, which may quote any part of the file. */
const MOST_CHARACTERS = 300

/** What follows is an excerpt with a caret under it. */
const firstLine = (message: string): string => (message.split('\n', 1)[0] ?? '').slice(0, MOST_CHARACTERS)

const rootOf = (document: Document, text: string): E.Either<string, Element> => {
  const doctype = document.children.find(node => node instanceof XmlDocumentType)
  if (doctype !== undefined && doctype.internalSubset !== null) {
    return E.left('its DOCTYPE has declarations of its own, and none are read')
  }
  return document.root === null ? E.left('it has no element') : elementOf(document.root, text, linesOf(text))
}

/** Offsets of line ends, in order. */
const linesOf = (text: string): readonly number[] => {
  const ends: number[] = []
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) ends.push(at)
  return ends
}

const lineAt = (ends: readonly number[], offset: number): number => {
  let low = 0
  let high = ends.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ends[middle] ?? 0) < offset) low = middle + 1
    else high = middle
  }
  return low + 1
}

/** No such file has more levels than root, policy and rule; a file that does is refused for what stands at the fourth. */
const MOST_LEVELS = 8

const elementOf = (
  node: XmlElement,
  text: string,
  lines: readonly number[],
  level = 1,
): E.Either<string, Element> => {
  if (level > MOST_LEVELS) return E.left('its elements are nested too deeply')
  const children: Element[] = []
  let content = ''
  for (const child of node.children) {
    if (child instanceof XmlText) content += child.text
    if (!(child instanceof XmlElement)) continue
    const element = elementOf(child, text, lines, level + 1)
    if (E.isLeft(element)) return element
    children.push(element.right)
  }
  return E.right({
    name: node.name,
    attributes: new Map(Object.entries(node.attributes)),
    children,
    text: content,
    line: lineAt(lines, node.start),
    source: text.slice(node.start, node.end),
  })
}
