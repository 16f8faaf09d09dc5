/** Providers and clients of a test's own, anywhere: on the host, or through the root of a container. */
import { Io } from '../../src/kernel/errno.ts'
import { type BorrowedFd, OwnedFd } from '../../src/kernel/fd.ts'
import { openDirectory, pathOf, resolveIn } from '../../src/kernel/files.ts'
import { openProcess } from '../../src/kernel/process.ts'
import {
  accept,
  bindHere,
  connectTo,
  openSocket,
  receiveCredentials,
  type SocketType,
  startListening,
} from '../../src/kernel/socket.ts'
import { pid } from './builders.ts'
import { must } from './descriptors.ts'
import { until, Wire } from './relay.ts'

/** Run with a root directory: the host's for pid 0, else that of the process. */
const withRootOf = <A>(at: number, body: (root: BorrowedFd) => A): A => {
  if (at === 0) {
    const root = must(openDirectory('/'))
    try {
      return body(root.borrowed)
    } finally {
      root.close()
    }
  }
  const handle = must(openProcess(pid(at)))
  try {
    return body(handle.root.borrowed)
  } finally {
    handle.pidfd?.close()
    handle.root.close()
    handle.mountNamespace?.close()
  }
}

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

/** Bind a name, and listen unless it is a dgram socket. */
export const serverAt = (path: string, type: SocketType = 'stream', at = 0, backlog = 100): Server => {
  const socket = must(openSocket(type, path))
  const slash = path.lastIndexOf('/')
  const directory = withRootOf(at, root =>
    must(resolveIn(root, path.slice(0, slash) || '/', 'directory', path)),
  )
  const back = process.cwd()
  process.chdir(pathOf(directory.borrowed))
  must(bindHere(socket.borrowed, path.slice(slash + 1), path))
  process.chdir(back)
  directory.close()
  if (type === 'seqpacket') receiveCredentials(socket.borrowed)
  if (type !== 'dgram') must(startListening(socket.borrowed, backlog, path))
  return new Server(socket)
}

/** Connect as a client there would; throws where it could not. */
export const clientAt = (path: string, type: SocketType = 'stream', at = 0): Wire => {
  const socket = must(openSocket(type, path))
  if (type === 'seqpacket') receiveCredentials(socket.borrowed)
  try {
    const inode = withRootOf(at, root => must(resolveIn(root, path, 'any', path)))
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
