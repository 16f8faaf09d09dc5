/** Providers and clients of a test's own, anywhere: on the host, or in the root or the network of a container. */
import { Io } from '../../src/kernel/errno.ts'
import { OwnedFd } from '../../src/kernel/fd.ts'
import { pathOf, resolveIn } from '../../src/kernel/files.ts'
import { creatingAs, inNetworkNamespaceOf } from '../../src/kernel/namespace.ts'
import {
  closeProcess,
  openHost,
  openProcess,
  ownerFor,
  type ProcessHandle,
} from '../../src/kernel/process.ts'
import {
  accept,
  bindAbstract,
  bindHere,
  connectTo,
  connectToAbstract,
  openSocket,
  receiveCredentials,
  type SocketType,
  startListening,
} from '../../src/kernel/socket.ts'
import { pid } from './builders.ts'
import { must } from './descriptors.ts'
import { until, Wire } from './relay.ts'

/** Run with a process held: the host for pid 0. */
const withProcess = <A>(at: number, body: (handle: ProcessHandle) => A): A => {
  const handle = must(at === 0 ? openHost() : openProcess(pid(at)))
  try {
    return body(handle)
  } finally {
    closeProcess(handle)
  }
}

/** A socket in the network namespace of a process, where abstract names are looked up. */
const socketAt = (at: number, type: SocketType, address: string): OwnedFd =>
  withProcess(at, handle =>
    must(must(inNetworkNamespaceOf(handle, address, () => openSocket(type, address)))),
  )

/** A listening socket; whoever makes it closes it. */
export class Server {
  readonly #fd: OwnedFd
  readonly #accepted: Wire[] = []

  constructor(fd: OwnedFd) {
    this.#fd = fd
  }

  /** The next client, once there is one. */
  async accept(): Promise<Wire> {
    let taken: number = Io.again
    await until('a client comes', () => {
      taken = accept(this.#fd.borrowed)
      return taken >= 0
    })
    const wire = new Wire(new OwnedFd(taken))
    this.#accepted.push(wire)
    return wire
  }

  /** The first words of the next client that has any: to be asked for its type may cost a server one that has none. */
  async hears(): Promise<string> {
    for (;;) {
      const { bytes } = await (await this.accept()).next()
      if (bytes.length > 0) return String(bytes)
    }
  }

  /** Of every message to it, and to those that are accepted from now on. */
  askCredentials(): void {
    receiveCredentials(this.#fd.borrowed)
  }

  /** Whether a client waits; it is taken if so. */
  get visited(): boolean {
    const fd = accept(this.#fd.borrowed)
    if (fd >= 0) this.#accepted.push(new Wire(new OwnedFd(fd)))
    return fd >= 0
  }

  /** Those accepted are closed too. The name stays, as of a service that crashed. */
  close(): void {
    for (const wire of this.#accepted) wire.close()
    this.#fd.close()
  }
}

const bindAtPath = (socket: OwnedFd, path: string, at: number): void => {
  const slash = path.lastIndexOf('/')
  const directory = withProcess(at, ({ root }) =>
    must(resolveIn(root.borrowed, path.slice(0, slash) || '/', 'directory', path)),
  )
  const back = process.cwd()
  process.chdir(pathOf(directory.borrowed))
  const owner = withProcess(at, handle => must(ownerFor(pid(at), handle)))
  must(creatingAs(owner, () => bindHere(socket.borrowed, path.slice(slash + 1), path)))
  process.chdir(back)
  directory.close()
}

/** Bind a path, or an abstract name with an `@`, and listen unless it is a dgram socket. */
export const serverAt = (path: string, type: SocketType = 'stream', at = 0, backlog = 100): Server => {
  const socket = socketAt(at, type, path)
  if (path.startsWith('@')) must(bindAbstract(socket.borrowed, path.slice(1), path))
  else bindAtPath(socket, path, at)
  if (type === 'seqpacket') receiveCredentials(socket.borrowed)
  if (type !== 'dgram') must(startListening(socket.borrowed, backlog, path))
  return new Server(socket)
}

/** Connect as a client there would; throws where it could not. */
export const clientAt = (path: string, type: SocketType = 'stream', at = 0): Wire => {
  const socket = socketAt(at, type, path)
  if (type === 'seqpacket') receiveCredentials(socket.borrowed)
  try {
    if (path.startsWith('@')) {
      must(connectToAbstract(socket.borrowed, path.slice(1), path))
      return new Wire(socket)
    }
    const inode = withProcess(at, ({ root }) => must(resolveIn(root.borrowed, path, 'any', path)))
    try {
      must(connectTo(socket.borrowed, inode.borrowed, path))
    } finally {
      inode.close()
    }
    return new Wire(socket)
  } catch (error) {
    socket.close()
    throw error
  }
}
