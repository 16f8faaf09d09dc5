/**
 * A toolbox on loan: what a plugin does for one link goes through it, until the link is torn down or the plugin is
 * given up. Promises that nothing is left then of what was planted through it, and that nothing is planted any more,
 * however late a plugin asks. Knows what toolboxes give, not what plugins make of it.
 */
import { E } from '../fp.ts'
import type { InjectError } from '../model/errors.ts'
import type { Link } from '../model/link.ts'
import type { Mediation, MediationId, TeardownReport } from '../model/mediation.ts'
import { CLEAN_TEARDOWN } from '../model/mediation.ts'
import type { Either, TaskEither } from '../model/task.ts'
import type { Toolbox, ToolboxHost } from '../toolbox/contract.ts'

export interface Lease {
  /** For the link as it is now: its provider may have changed since the loan began. */
  toolboxFor(link: Link): Toolbox
  /** The toolbox's own word for what was planted through this and is not withdrawn. */
  planted(id: MediationId): Mediation | undefined
  /** Take it back. What the plugin has not withdrawn is withdrawn, and reported. */
  end(): Promise<TeardownReport>
}

const overFor = (link: Link): Either<InjectError, never> =>
  E.left({ _tag: 'PluginFailed', plugin: link.type, message: 'it used a toolbox that it no longer has' })

export const joined = (a: TeardownReport, b: TeardownReport): TeardownReport => ({
  connectionsClosed: a.connectionsClosed + b.connectionsClosed,
  leftBehind: [...a.leftBehind, ...b.leftBehind],
})

export const createLease = (host: ToolboxHost): Lease => {
  const planted = new Map<MediationId, { readonly box: Toolbox; readonly mediation: Mediation }>()
  /** What else is out: each is given back once, by the plugin or at the end. */
  const out = new Set<() => void>()
  let over = false

  const lent = (giveBack: () => void): (() => void) => {
    const once = (): void => {
      if (out.delete(once)) giveBack()
    }
    out.add(once)
    // Nobody would ever give it back.
    if (over) once()
    return once
  }

  const withdraw = (box: Toolbox, mediation: Mediation): Promise<TeardownReport> => {
    planted.delete(mediation.id)
    return box.withdraw(mediation)()
  }

  /** `plant` may take its time, and the loan may end meanwhile. */
  const planting = async (
    link: Link,
    box: Toolbox,
    plant: TaskEither<InjectError, Mediation>,
  ): Promise<Either<InjectError, Mediation>> => {
    if (over) return overFor(link)
    const result = await plant()
    if (E.isLeft(result)) return result
    if (over) {
      await withdraw(box, result.right)
      return overFor(link)
    }
    planted.set(result.right.id, { box, mediation: result.right })
    return result
  }

  return {
    toolboxFor: link => {
      const box = host.toolboxFor(link)
      // Tool by tool, so that one which is added to the contract cannot slip past.
      return {
        log: box.log,
        limits: box.limits,
        injectSocket: (request, kept) => () => planting(link, box, box.injectSocket(request, kept)),
        retargetSocket: (mediation, provider) => () =>
          planting(link, box, box.retargetSocket(mediation, provider)),
        injectNode: (request, kept) => () => planting(link, box, box.injectNode(request, kept)),
        withdraw: mediation => () => withdraw(box, mediation),
        connect: request => {
          const connection = box.connect(request)
          return { close: lent(() => connection.close()) }
        },
        lookInto: (provider, look) => box.lookInto(provider, look),
        userOfRole: provider => box.userOfRole(provider),
        shared: (name, make) => {
          const { value, release } = box.shared(name, make)
          return { value, release: lent(release) }
        },
        repeat: (everyMs, body) => lent(box.repeat(everyMs, body)),
        count: (mediation, figure, by) => box.count(mediation, figure, by),
      }
    },
    planted: id => planted.get(id)?.mediation,
    async end() {
      over = true
      let report = CLEAN_TEARDOWN
      for (const { box, mediation } of [...planted.values()]) {
        report = joined(report, await withdraw(box, mediation))
      }
      for (const giveBack of [...out]) giveBack()
      return report
    },
  }
}
