/**
 * `drm` links: a graphics card's device node for a consumer, by its role. There is no traffic to carry: `rules.ts` says who may
 * have what, and the toolbox plants the node and looks after it.
 */
import { E, pipe, TE } from '../../src/fp.ts'
import type { InjectError } from '../../src/model/errors.ts'
import { HOST } from '../../src/model/identity.ts'
import type { Link } from '../../src/model/link.ts'
import type { Plugin } from '../../src/plugin/contract.ts'
import type { NodeRequest } from '../../src/toolbox/contract.ts'
import { judge, nameProblem } from './rules.ts'

const requestFor = (link: Link): E.Either<InjectError, NodeRequest> => {
  const { role, socket, target, consumer_pid, provider_pid } = link
  if (consumer_pid === HOST) {
    const reason = 'the host has its devices already'
    return E.left({ _tag: 'AddressInvalid', field: 'consumer_pid', value: '0', reason })
  }
  return E.right({
    target,
    provider: { pid: provider_pid, socket },
    judge: device => judge(role, socket, device),
  })
}

const plugin: Plugin = {
  name: 'drm',
  type: 'drm',

  admits: ({ role, socket }) => {
    const problem = nameProblem(role, socket)
    return problem === null ? { _tag: 'Admitted', rule: 'drm' } : { _tag: 'Denied', rule: `drm: ${problem}` }
  },

  onLinkAdded: (link, box, kept) =>
    pipe(
      TE.fromEither(requestFor(link)),
      TE.flatMap(request => box.injectNode(request, kept)),
    ),

  // What the new provider has may be the same device: its node stays then.
  onLinkChanged: (link, mediation, box) =>
    pipe(
      TE.fromEither(requestFor(link)),
      TE.flatMap(request => box.injectNode(request, mediation)),
    ),

  onLinkRemoved: (_link, mediation, box) => box.withdraw(mediation),
}

export default plugin
