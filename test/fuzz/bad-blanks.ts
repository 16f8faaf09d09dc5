/**
 * Blanks around the signs of a chunk's extensions are legal, and bad (RFC 9112 section 7.1.1: BWS). Node refuses them; a `rest`
 * link takes them, for no extension is ever forwarded. To compare the two, these blanks are taken out of what was written.
 */

/** Up to its end, from wherever the extensions of a chunk's size begin. */
const SIZE = /([0-9a-f]{1,16})([ \t]*;[^\r\n]*)?\r\n/iy

const withoutBlanks = (extensions: string): string =>
  extensions.replace(/("(?:\\.|[^"\\])*")|[ \t]*([;=])[ \t]*/g, '$1$2')

/** Requests as they should be are walked through; from the first that is not, all stays as it is. */
export const withoutBadBlanks = (input: Buffer): Buffer => {
  const text = input.toString('latin1')
  const parts: string[] = []
  let copied = 0

  const endOf = (sign: string, from: number): number => {
    const at = text.indexOf(sign, from)
    return at < 0 ? text.length : at + sign.length
  }

  /** Where the body ends, or all does. */
  const chunksEnd = (from: number): number => {
    SIZE.lastIndex = from
    for (let found = SIZE.exec(text); found !== null; found = SIZE.exec(text)) {
      const [, size = '', extensions = ''] = found
      const at = found.index + size.length
      parts.push(text.slice(copied, at), withoutBlanks(extensions))
      copied = at + extensions.length
      const length = Number.parseInt(size, 16)
      if (length === 0) return endOf('\r\n\r\n', SIZE.lastIndex - 2)
      SIZE.lastIndex += length + 2
    }
    return text.length
  }

  let at = 0
  while (at < text.length) {
    while (text.startsWith('\r\n', at)) at += 2
    const headEnd = endOf('\r\n\r\n', at)
    const head = text.slice(at, headEnd)
    const [, length = '0'] = /\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n/i.exec(head) ?? []
    const isChunked = /\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n/i.test(head)
    at = isChunked ? chunksEnd(headEnd) : headEnd + Number(length)
  }
  return Buffer.from([...parts, text.slice(copied)].join(''), 'latin1')
}
