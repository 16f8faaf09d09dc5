/**
 * `rest` links: HTTP/1.1 over a stream socket, each request with the identity of its link. The protocol is in `session.ts`;
 * here is only what a link has to say for it, and what it asks of the toolbox.
 */
import { E, pipe, TE } from '../../src/fp.ts'
import type { InjectError } from '../../src/model/errors.ts'
import type { ProtocolLimits } from '../../src/model/limits.ts'
import type { Link } from '../../src/model/link.ts'
import type { Plugin } from '../../src/plugin/contract.ts'
import type { ProviderAddress, SocketRequest } from '../../src/toolbox/contract.ts'
import { type Identity, nameProblem } from './identity.ts'
import { restSessions } from './session.ts'

/** A provider that starts is to be found soon: its clients wait for an answer, not for a connection. */
const RETRY_MAX_MS = 200

const identityOf = ({ consumer, role }: Link): E.Either<InjectError, Identity> => {
  for (const [field, value] of Object.entries({ consumer, role })) {
    const reason = nameProblem(value, field === 'role')
    if (reason !== null) return E.left({ _tag: 'AddressInvalid', field, value, reason })
  }
  return E.right({ consumer, role })
}

const providerOf = (link: Link): ProviderAddress => ({ pid: link.provider_pid, socket: link.socket })

const requestFor = (link: Link, limits: ProtocolLimits): E.Either<InjectError, SocketRequest> =>
  pipe(
    identityOf(link),
    E.map(identity => ({
      kind: 'stream' as const,
      target: link.target,
      provider: providerOf(link),
      descriptors: 'none' as const,
      session: restSessions(identity, limits),
      dialing: {
        graceMs: limits.restConnectMs,
        retryMaxMs: RETRY_MAX_MS,
        backlogMs: limits.restBacklogMs,
      },
      graceMs: limits.restGraceMs,
    })),
  )

const plugin: Plugin = {
  name: 'rest',
  type: 'rest',

  onLinkAdded: (link, box, kept) =>
    pipe(
      TE.fromEither(requestFor(link, box.limits)),
      TE.flatMap(request => box.injectSocket(request, kept)),
    ),

  // Consumer and role are those that the link was added with: a link with others is another one.
  onLinkChanged: (link, mediation, box) => box.retargetSocket(mediation, providerOf(link)),

  onLinkRemoved: (_link, mediation, box) => box.withdraw(mediation),
}

export default plugin
