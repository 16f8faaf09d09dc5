/**
 * Who is connected to the control API, and how long they may still take.
 * A connection that does not get on with it is cut, and the oldest makes room for a new one where there are too many:
 * who stalls costs a descriptor and a timer for a moment, and keeps nobody else out.
 */
import type { Socket } from 'node:net'

export class Connections {
  readonly #most: number
  readonly #patienceMs: number
  /** From the oldest. */
  readonly #deadlines = new Map<Socket, NodeJS.Timeout>()

  constructor(most: number, patienceMs: number) {
    this.#most = most
    this.#patienceMs = patienceMs
  }

  add(socket: Socket): void {
    const [oldest] = this.#deadlines.keys()
    if (oldest !== undefined && this.#deadlines.size >= this.#most) this.#cut(oldest)
    this.#deadlines.set(socket, this.#deadlineOf(socket))
    socket.once('close', () => this.#forget(socket))
  }

  /** It is our turn: however long we take, the client is not to blame. */
  waitsForUs(socket: Socket): void {
    clearTimeout(this.#deadlines.get(socket))
  }

  /** It is the client's turn, with all the time there is from now on. */
  weWaitFor(socket: Socket): void {
    if (!this.#deadlines.has(socket)) return
    this.waitsForUs(socket)
    this.#deadlines.set(socket, this.#deadlineOf(socket))
  }

  /** Its answer goes on for as long as it likes: it is not cut for that, and makes room for nobody. */
  keep(socket: Socket): void {
    this.#forget(socket)
  }

  #deadlineOf(socket: Socket): NodeJS.Timeout {
    return setTimeout(() => this.#cut(socket), this.#patienceMs).unref()
  }

  #cut(socket: Socket): void {
    this.#forget(socket)
    socket.destroy()
  }

  #forget(socket: Socket): void {
    clearTimeout(this.#deadlines.get(socket))
    this.#deadlines.delete(socket)
  }
}
