/**
 * Something planted for a link: a listener in its consumer, and how to look after it. What the two ways of planting
 * share: at a path (`plant-path.ts`) and under an abstract name (`plant-abstract.ts`).
 */
import { E } from '../fp.ts'
import { closeListener } from '../kernel/closing.ts'
import type { BorrowedFd, OwnedFd } from '../kernel/fd.ts'
import { startListening } from '../kernel/socket.ts'
import type { InjectError, SyscallError } from '../model/errors.ts'
import type { Planted } from '../model/mediation.ts'
import type { Container } from './containers.ts'
import type { SocketKind } from './contract.ts'
import type { AtMoment } from './moments.ts'
import type { Scribe } from './scribe.ts'

export interface PlantRequest {
  readonly container: Container
  readonly target: string
  readonly kind: SocketKind
  readonly backlog: number
  /** Its clients' messages shall carry who wrote them (SO_PASSCRED, unix(7)). */
  readonly credentials: boolean
  /** For messages: `consumer app, /run/nm/api.sock`. */
  readonly subject: string
  readonly scribe: Scribe
  /** What to do about a socket that stands in the way, by its place: one of our links may listen on it. */
  readonly ours: (place: string) => 'replace' | 'busy' | 'not-ours'
  readonly at: AtMoment
}

export interface Plant {
  readonly planted: Planted
  /** To be taken over; whoever does closes it. */
  readonly listener: OwnedFd
  /** Where it is, as no two sockets can be at a time: tells whose a socket is that was found. */
  readonly place: string
  /**
   * Whether clients that use the target still come here: by its name, or (deep) by looking the whole path up again. By
   * name it is only looked at where something has changed beside it, so a mount on top of it is found by a deep look.
   */
  isStillOurs(deep: boolean): boolean
  /** Remove it where it is still ours, and all that was made for it. What stays is said, one item each. */
  unplant(): readonly string[]
}

/** On SEQPACKET they tell an empty message from the end of the stream. */
export const asksForCredentials = ({ kind, credentials }: PlantRequest): boolean =>
  credentials || kind === 'seqpacket'

/** A datagram socket needs none of that: what is sent to it waits in it. */
export const listen = (
  socket: BorrowedFd,
  { kind, backlog, subject }: PlantRequest,
): E.Either<SyscallError, void> =>
  kind === 'dgram' ? E.right(undefined) : startListening(socket, backlog, subject)

/** Of no use after all. */
export const discard = (plant: Plant): void => {
  closeListener(plant.listener)
  plant.unplant()
}

export const refused = (target: string, cause: SyscallError): InjectError => ({
  _tag: 'TargetRefused',
  target,
  cause,
})

/** The container may change the way to its target while we go it; this often is bad luck, more is a fight. */
const ATTEMPTS = 3

/** The container made or removed something on the way that we were going. */
const wasInTheWay = (error: InjectError): boolean =>
  error._tag === 'TargetRefused' && (error.cause.errno === 'EEXIST' || error.cause.errno === 'ENOENT')

/** Try until what was planted is where the path leads. The last try counts, wherever it went: a look at the path finds out. */
export const plantPersistently = <P>(
  plantOnce: () => E.Either<InjectError, P>,
  isThere: (plant: P) => boolean,
  discardIt: (plant: P) => unknown,
): E.Either<InjectError, P> => {
  for (let attempt = 1; ; attempt += 1) {
    const plant = plantOnce()
    if (attempt === ATTEMPTS) return plant
    if (E.isLeft(plant) && !wasInTheWay(plant.left)) return plant
    if (E.isRight(plant)) {
      if (isThere(plant.right)) return plant
      discardIt(plant.right)
    }
  }
}
