/**
 * The place of the control socket: taken when nobody else has it, given back while it is still ours.
 * Promises that the socket has mode 0600 from its first moment, that its name appears only once it can be connected to,
 * and that nothing is replaced but a socket on which nobody listens.
 */
import { chmodSync, closeSync, constants, linkSync, lstatSync, mkdirSync, openSync, rmSync } from 'node:fs'
import { connect, type Server } from 'node:net'
import { basename, dirname } from 'node:path'
import { E } from '../fp.ts'
import type { ControlError } from './errors.ts'

export interface ControlPlace {
  /** Remove the name, if it still is that of our socket. Idempotent; the server stays the caller's, to be closed. */
  release(): void
}

/** Let the server listen at `path`, whose directory is made if it is missing. After a Left the caller closes the server. */
export const listenAt = async (
  server: Server,
  path: string,
): Promise<E.Either<ControlError, ControlPlace>> => {
  const made = attempt(path, 'mkdir', () => makeDirectory(dirname(path)))
  if (E.isLeft(made)) return made
  const cleared = await clearStale(path)
  if (E.isLeft(cleared)) return cleared
  const directory = attempt(path, 'open', () =>
    openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY),
  )
  if (E.isLeft(directory)) return directory
  const place = await listenIn(`/proc/self/fd/${directory.right}`, server, path)
  closeSync(directory.right)
  return place
}

/** So that no two private names are the same. */
let attempts = 0

/**
 * Bound under a private name, and linked to its own once it listens: a link replaces nothing. The private name goes by
 * way of the open directory, which fits into an address however long the path is. And that name, gone by then, is what
 * libuv removes when the server is closed, not what somebody else may have put at `path` meanwhile.
 */
const listenIn = async (
  directory: string,
  server: Server,
  path: string,
): Promise<E.Either<ControlError, ControlPlace>> => {
  attempts += 1
  const hidden = `${directory}/.pv-xconnect-control-${process.pid}-${attempts}`
  const listening = await listen(server, hidden, path)
  if (E.isLeft(listening)) return listening
  const named = attempt(path, 'link', () => {
    linkSync(hidden, `${directory}/${basename(path)}`)
    return nodeAt(hidden)
  })
  rmSync(hidden, { force: true })
  if (E.isRight(named)) return E.right({ release: () => removeIfOurs(path, named.right) })
  return E.left(named.left.errno === 'EEXIST' ? { _tag: 'ControlInUse', path } : named.left)
}

type Refused = Extract<ControlError, { readonly _tag: 'ControlRefused' }>

const errnoOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : String(error)

const attempt = <A>(path: string, call: string, what: () => A): E.Either<Refused, A> => {
  try {
    return E.right(what())
  } catch (error) {
    return E.left({ _tag: 'ControlRefused', path, call, errno: errnoOf(error) })
  }
}

const DIRECTORY_MODE = 0o755

const makeDirectory = (directory: string): void => {
  try {
    mkdirSync(directory)
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return
    throw error
  }
  // Whatever the umask says: others may see that the socket is there, and that it is not theirs.
  chmodSync(directory, DIRECTORY_MODE)
}

const clearStale = async (path: string): Promise<E.Either<ControlError, void>> => {
  const found = attempt(path, 'lstat', () => lstatSync(path, { throwIfNoEntry: false }))
  if (E.isLeft(found)) return found
  if (found.right === undefined) return E.right(undefined)
  if (!found.right.isSocket()) return E.left({ _tag: 'ControlOccupied', path })
  // Whatever else a connection says, somebody is there.
  if ((await knock(path)) !== 'ECONNREFUSED') return E.left({ _tag: 'ControlInUse', path })
  return attempt(path, 'unlink', () => rmSync(path, { force: true }))
}

const knock = (path: string): Promise<string> =>
  new Promise(resolve => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve('connected')
    })
    socket.once('error', error => resolve(errnoOf(error)))
  })

/** Everything but reading and writing for the owner is masked out of a new socket's mode (unix(7), umask(2)). */
const OWNER_ONLY = 0o177

const listen = (server: Server, address: string, path: string): Promise<E.Either<Refused, void>> =>
  new Promise(resolve => {
    const failed = (error: Error): void =>
      resolve(E.left({ _tag: 'ControlRefused', path, call: 'bind', errno: errnoOf(error) }))
    server.once('error', failed)
    rmSync(address, { force: true })
    // Node binds and listens within the call, so that nothing else is created under this mask.
    const umask = process.umask(OWNER_ONLY)
    try {
      server.listen(address, () => {
        server.off('error', failed)
        resolve(E.right(undefined))
      })
    } finally {
      process.umask(umask)
    }
  })

interface Node {
  readonly device: bigint
  readonly inode: bigint
}

const nodeAt = (path: string): Node => {
  const { dev, ino } = lstatSync(path, { bigint: true })
  return { device: dev, inode: ino }
}

const removeIfOurs = (path: string, ours: Node): void => {
  const found = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  if (found?.dev === ours.device && found.ino === ours.inode) rmSync(path, { force: true })
}
