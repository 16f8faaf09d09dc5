/**
 * `dbus` links: D-Bus connections to a provider's bus, as the user that the link's role stands for, and to one service of it where
 * the link names one. The protocol is in `session.ts`; here is only what a link has to say for it, and what it asks of the toolbox.
 */
import { E, pipe, T, TE } from '../../src/fp.ts'
import type { InjectError } from '../../src/model/errors.ts'
import type { ProtocolLimits } from '../../src/model/limits.ts'
import type { Link } from '../../src/model/link.ts'
import type { Mediation } from '../../src/model/mediation.ts'
import type { Plugin } from '../../src/plugin/contract.ts'
import type { ProviderAddress, SocketRequest } from '../../src/toolbox/contract.ts'
import { createFilter } from './filter/filter.ts'
import { type WantedName, wantedNameOf } from './filter/wanted-name.ts'
import { ProviderSide } from './provider-side.ts'
import { dbusSessions } from './session.ts'

/** A bus that restarts is to be found soon, and is not to be hammered meanwhile. */
const RETRY_MAX_MS = 1000

/** What is known of the provider goes with the mediation, from one look at the link to the next. */
interface DbusMediation extends Mediation {
  readonly side: ProviderSide
}

const providerOf = (link: Link): ProviderAddress => ({ pid: link.provider_pid, socket: link.socket })

/** `null`: all of the bus. */
const wantedBy = ({ interface: value }: Link): E.Either<InjectError, WantedName | null> =>
  pipe(
    wantedNameOf(value),
    E.mapLeft(reason => ({ _tag: 'AddressInvalid' as const, field: 'interface', value, reason })),
  )

const requestFor = (
  link: Link,
  wanted: WantedName | null,
  side: ProviderSide,
  limits: ProtocolLimits,
): SocketRequest => ({
  kind: 'stream',
  target: link.target,
  provider: providerOf(link),
  descriptors: 'queued',
  session: dbusSessions({
    limits,
    role: link.role,
    gate: () => side.gate,
    dialled: as => side.dialled(as),
    policy: handle => side.policyFor(handle),
    filter: wanted === null ? undefined : mayOwn => createFilter({ wanted, mayOwn, limits }),
  }),
  dialing: {
    graceMs: limits.dbusConnectMs,
    retryMaxMs: RETRY_MAX_MS,
    backlogMs: limits.dbusConnectMs,
    credentialsByte: true,
  },
  mostConnections: limits.dbusConnections,
})

const plugin: Plugin<DbusMediation> = {
  name: 'dbus',
  type: 'dbus',

  onLinkAdded: (link, box, kept) => {
    const wanted = wantedBy(link)
    if (E.isLeft(wanted)) return TE.left(wanted.left)
    const side = kept?.side ?? new ProviderSide(box, link)
    if (kept !== undefined) side.retarget(box, link)
    return pipe(
      box.injectSocket(requestFor(link, wanted.right, side, box.limits), kept),
      TE.map(mediation => {
        side.shownBy(mediation)
        return { ...mediation, side }
      }),
      TE.mapLeft(error => {
        if (kept === undefined) side.close()
        return error
      }),
    )
  },

  onLinkChanged: (link, mediation, box) => {
    mediation.side.retarget(box, link)
    return pipe(
      box.retargetSocket(mediation, providerOf(link)),
      TE.map(changed => ({ ...changed, side: mediation.side })),
    )
  },

  onLinkRemoved: (_link, mediation, box) =>
    pipe(
      box.withdraw(mediation),
      T.map(report => {
        mediation.side.close()
        return report
      }),
    ),
}

export default plugin
