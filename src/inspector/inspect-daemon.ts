/** The inspector of the daemon that this process is. Imported when it is asked for: nobody else pays for its parts. */
import { linkMachine } from '../../machines/link.machine.ts'
import { adviceFor } from '../control/advice.ts'
import type { History } from '../control/history.ts'
import type { Controller } from '../controller/controller.ts'
import type { EventHub } from '../events/hub.ts'
import { E } from '../fp.ts'
import type { Clock } from '../model/clock.ts'
import type { Condition } from '../model/condition.ts'
import type { LinkLog } from '../toolbox/contract.ts'
import { createDaemonSubject } from './daemon-subject.ts'
import { describeInspectorError } from './errors.ts'
import { ofEvent } from './happenings.ts'
import type { ListenAddress } from './listen-address.ts'
import { definitionOf } from './machine-definition.ts'
import { PAGE_FOLDER } from './page-folder.ts'
import { openInspector } from './server.ts'
import type { Tap } from './tap.ts'

export interface InspectDaemonOptions {
  readonly address: ListenAddress
  readonly controller: Controller
  readonly tap: Tap
  readonly events: Pick<EventHub, 'since' | 'listen'>
  readonly history: History
  readonly conditions: () => readonly Condition[]
  readonly clock: Clock
  readonly log: LinkLog
  readonly controlPath: string
  readonly policyPath: string
  readonly version: string
}

/** Says in the log where the page is, or why there is none; the links are not affected. */
export const inspectDaemon = async (options: InspectDaemonOptions): Promise<void> => {
  const { address, controller, tap, events, history, conditions, clock, log, policyPath, version } = options
  const subject = createDaemonSubject({
    about: { mode: 'live', subject: options.controlPath, version },
    controller,
    tap,
    history,
    conditions,
    advice: view => adviceFor(view, { conditions: conditions(), policyPath, now: Date.now() }),
    past: () => events.since(0).map(ofEvent),
    listen: listener => events.listen(event => listener(ofEvent(event))),
    clock,
    wallClock: Date.now,
  })
  const machine = definitionOf(linkMachine({ now: Date.now, random: Math.random }))
  const opened = await openInspector({ subject, machine, address, pageFolder: PAGE_FOLDER, log })
  if (E.isRight(opened)) log.info({ url: opened.right.url }, 'the inspector is open')
  else {
    log.error(
      { error: opened.left, reason: describeInspectorError(opened.left) },
      'there is no inspector: it cannot be opened',
    )
  }
}
