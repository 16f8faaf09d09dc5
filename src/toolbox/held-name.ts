/**
 * The name of something of ours in a directory that is held open: whether it still is ours, asked in every pass, so that
 * asking costs next to nothing. Knows nothing of what it is.
 */
import { E } from '../fp.ts'
import { type FileStatus, isStill, resolveIn, sameFile, statusOf } from '../kernel/files.ts'
import type { Container } from './containers.ts'
import { type HeldDirectory, nameOf } from './directories.ts'

export class HeldName {
  readonly name: string
  readonly #container: Container
  readonly #directory: HeldDirectory
  readonly #target: string
  readonly #status: FileStatus
  /** The status again, in the form that comparing it in every pass wants. */
  readonly #inode: bigint
  readonly #deviceMajor: number
  readonly #deviceMinor: number
  /** What the last look by name said, and the contents of the directory that it was about. */
  #wasOurs = true
  #lookedAt = 0

  /** `status`: of what shows there. */
  constructor(container: Container, directory: HeldDirectory, target: string, status: FileStatus) {
    this.#container = container
    this.#directory = directory
    this.#target = target
    this.name = nameOf(target)
    this.#status = status
    this.#inode = BigInt(status.inode)
    const [major, minor] = status.device.split(':').map(Number)
    this.#deviceMajor = major ?? 0
    this.#deviceMinor = minor ?? 0
  }

  /**
   * By name, looked at only where something has changed beside it, so a mount on top of it is found by a deep look alone; or
   * (deep) by looking the whole path up again.
   */
  isStillOurs(deep: boolean): boolean {
    if (deep) return this.nameIsOurs() && this.#pathIsOurs()
    const contents = this.#directory.contents()
    if (contents !== this.#lookedAt) {
      this.#lookedAt = contents
      this.#wasOurs = this.nameIsOurs()
    }
    return this.#wasOurs
  }

  nameIsOurs(): boolean {
    return isStill(this.#directory.fd, this.name, this.#inode, this.#deviceMajor, this.#deviceMinor)
  }

  /** Whether the whole path still leads to ours: a mount over a parent hides it from the container, not from us. */
  #pathIsOurs(): boolean {
    const target = this.#target
    const found = resolveIn(this.#container.handle.root.borrowed, target, 'unfollowed', target)
    if (E.isLeft(found)) return false
    const status = statusOf(found.right.borrowed, target)
    found.right.close()
    return E.isRight(status) && sameFile(status.right, this.#status)
  }
}
