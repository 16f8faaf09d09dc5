/** Datagram sockets of a consumer's, by the paths that they are bound to there: where its clients are answered. */
import { E } from '../fp.ts'
import { resolveIn, statusOf } from '../kernel/files.ts'
import { addressOf } from '../kernel/socket.ts'
import type { ClientSockets } from '../relay/ports.ts'
import type { Container } from './containers.ts'

/** Paths never lead out of the consumer's root, whatever symlinks it has (openat2(2)). */
export const clientSocketsOf = (consumer: () => Container): ClientSockets => ({
  at: (path, body) => {
    const { pid, handle } = consumer()
    const subject = `consumer process ${pid}, ${path}`
    const inode = resolveIn(handle.root.borrowed, path, 'any', subject)
    if (E.isLeft(inode)) return undefined
    const status = statusOf(inode.right.borrowed, subject)
    const isSocket = E.isRight(status) && status.right.kind === 'socket'
    const answer = isSocket ? body(addressOf(inode.right.borrowed)) : undefined
    inode.right.close()
    return answer
  },
})
