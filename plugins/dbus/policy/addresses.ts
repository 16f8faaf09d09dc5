/** Whether a bus that listens on an address is the one behind a link's socket. Pure (D-Bus specification, "Server Addresses"). */

/** `/var/run` is a symlink to `/run` wherever both are there, and configurations name either. */
const plainPath = (path: string): string => {
  const plain = path.replace(/\/{2,}/g, '/')
  return plain.startsWith('/var/run/') ? plain.slice('/var'.length) : plain
}

/** Where a system bus is looked for by every client library that nobody told otherwise. */
const SYSTEM_BUS = '/run/dbus/system_bus_socket'

export const isSystemBus = (socket: string): boolean => plainPath(socket) === SYSTEM_BUS

/** `%2f` is a slash; what is no such sequence is taken as it is. */
const unescaped = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch (error) {
    // Bytes that are no UTF-8: a link's socket, which is text, is none of these.
    if (error instanceof URIError) return text
    throw error
  }
}

/** The values of `key=value,…` of the first transport, where it is `unix`. */
const isOf = (address: string, socket: string): boolean => {
  const [transport, pairs = ''] = splitAt(address, ':')
  if (transport !== 'unix') return false
  return pairs.split(',').some(pair => {
    const [key, value = ''] = splitAt(pair, '=')
    if (key === 'path') return plainPath(unescaped(value)) === plainPath(socket)
    return key === 'abstract' && `@${unescaped(value)}` === socket
  })
}

const splitAt = (text: string, mark: string): readonly [string, string?] => {
  const at = text.indexOf(mark)
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)]
}

/** `listen` may be a list; `socket` is a path, or an abstract name with its `@`. */
export const listensOn = (listen: string, socket: string): boolean =>
  listen.split(';').some(address => isOf(address, socket))
