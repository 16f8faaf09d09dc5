/**
 * `unix` links: a raw socket, stream or seqpacket, whose bytes and descriptors pass as they are.
 * The smallest whole plugin: decide from the link what to ask for, and let the toolbox do it.
 */
import { E, pipe, TE } from '../../src/fp.ts'
import type { InjectError } from '../../src/model/errors.ts'
import type { Link } from '../../src/model/link.ts'
import { providerSocketOf } from '../../src/model/provider-socket.ts'
import type { Plugin } from '../../src/plugin/contract.ts'
import type { SocketRequest } from '../../src/toolbox/contract.ts'
import { optionsOf } from './options.ts'

const requestFor = (link: Link): E.Either<InjectError, SocketRequest> =>
  pipe(
    optionsOf(link.interface),
    E.flatMap(({ kind }) =>
      pipe(
        providerSocketOf(link),
        E.map(socket => ({
          kind,
          target: link.target,
          provider: { pid: link.provider_pid, socket },
          descriptors: 'exact' as const,
        })),
      ),
    ),
  )

const plugin: Plugin = {
  name: 'unix',
  type: 'unix',

  onLinkAdded: (link, box, kept) =>
    pipe(
      TE.fromEither(requestFor(link)),
      TE.flatMap(request => box.injectSocket(request, kept)),
    ),

  onLinkChanged: (link, mediation, box) =>
    pipe(
      TE.fromEither(requestFor(link)),
      TE.flatMap(request => box.retargetSocket(mediation, request.provider)),
    ),

  onLinkRemoved: (_link, mediation, box) => box.withdraw(mediation),
}

export default plugin
