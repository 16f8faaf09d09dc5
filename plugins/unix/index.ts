/**
 * `unix` links: a raw socket of any type, whose bytes and descriptors pass as they are, and whose provider is told who comes
 * where the link wants that (docs/identity.md).
 * The smallest whole plugin: decide from the link what to ask for, and let the toolbox do it.
 */
import { E, pipe, TE } from '../../src/fp.ts'
import type { InjectError } from '../../src/model/errors.ts'
import type { Link } from '../../src/model/link.ts'
import { providerSocketOf } from '../../src/model/provider-socket.ts'
import type { Plugin } from '../../src/plugin/contract.ts'
import type { IntroductionRequest, SocketRequest } from '../../src/toolbox/contract.ts'
import { greetingFor } from './greeting.ts'
import { optionsOf, type UnixOptions } from './options.ts'

/** `undefined`: the provider is told nothing. */
const introductionFor = (
  link: Link,
  { greets, credentials, dialAs }: UnixOptions,
): E.Either<InjectError, IntroductionRequest | undefined> => {
  if (greets) {
    return pipe(
      greetingFor(link),
      E.map(greeting => ({ dialAs, credentials, greeting })),
    )
  }
  return E.right(credentials === 'none' && dialAs === 'daemon' ? undefined : { dialAs, credentials })
}

const requestFor = (link: Link): E.Either<InjectError, SocketRequest> => {
  const options = optionsOf(link.interface)
  if (E.isLeft(options)) return options
  const introduction = introductionFor(link, options.right)
  if (E.isLeft(introduction)) return introduction
  return pipe(
    providerSocketOf(link),
    E.map(socket => ({
      kind: options.right.kind,
      target: link.target,
      provider: { pid: link.provider_pid, socket },
      descriptors: options.right.refusesDescriptors ? 'refused' : 'exact',
      ...(introduction.right === undefined ? {} : { introduction: introduction.right }),
    })),
  )
}

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
