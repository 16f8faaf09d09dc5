/**
 * `wayland` links: a compositor's socket, message by message, without the globals that the link's role is not for. The protocol is
 * in `session.ts`; here is only what a link has to say for it, and what it asks of the toolbox.
 */
import { E, pipe, TE } from '../../src/fp.ts'
import type { InjectError } from '../../src/model/errors.ts'
import type { Link } from '../../src/model/link.ts'
import { providerSocketOf } from '../../src/model/provider-socket.ts'
import type { Plugin } from '../../src/plugin/contract.ts'
import type { ProviderAddress, SocketRequest, Toolbox } from '../../src/toolbox/contract.ts'
import { visibleTo } from './interfaces.ts'
import { noticesOf } from './notices.ts'
import { grantsOf } from './options.ts'
import { waylandSessions } from './session.ts'

const providerOf = (link: Link): E.Either<InjectError, ProviderAddress> =>
  pipe(
    providerSocketOf(link),
    E.map(socket => ({ pid: link.provider_pid, socket })),
  )

const requestFor = (link: Link, { limits, log }: Toolbox): E.Either<InjectError, SocketRequest> => {
  const grants = grantsOf(link.interface)
  if (E.isLeft(grants)) return grants
  const session = waylandSessions(visibleTo(link.role, grants.right), limits, noticesOf(link, log))
  return pipe(
    providerOf(link),
    E.map(provider => ({
      kind: 'stream' as const,
      target: link.target,
      provider,
      descriptors: 'queued' as const,
      session,
    })),
  )
}

const plugin: Plugin = {
  name: 'wayland',
  type: 'wayland',

  onLinkAdded: (link, box, kept) =>
    pipe(
      TE.fromEither(requestFor(link, box)),
      TE.flatMap(request => box.injectSocket(request, kept)),
    ),

  // Role and grants are those that the link was added with: a link with others is another one.
  onLinkChanged: (link, mediation, box) =>
    pipe(
      TE.fromEither(providerOf(link)),
      TE.flatMap(provider => box.retargetSocket(mediation, provider)),
    ),

  onLinkRemoved: (_link, mediation, box) => box.withdraw(mediation),
}

export default plugin
