/**
 * The two kinds of address a Unix socket has: a path, or an abstract name (unix(7)), spelled `@name` with the `@` in the
 * place of its leading NUL, as /proc/net/unix does. Pure: how either is reached is the toolbox's business.
 */

/** `sun_path` has 108 bytes, of which an abstract name spends one on its leading NUL (unix(7)). */
const MAX_ABSTRACT_BYTES = 107

export const isAbstract = (address: string): boolean => address.startsWith('@')

/** What keeps an address with an `@` from being an abstract name, or `null`. */
export const abstractProblem = (address: string): string | null => {
  const bytes = Buffer.byteLength(address.slice(1), 'utf8')
  return bytes >= 1 && bytes <= MAX_ABSTRACT_BYTES
    ? null
    : `an abstract name of 1 to ${MAX_ABSTRACT_BYTES} bytes`
}
