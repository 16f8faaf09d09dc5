/** Serving the inspector's page from a verb, until somebody ends it: what `inspect` and `replay --inspect` have in common. */
import { linkMachine } from '../../machines/link.machine.ts'
import { E } from '../fp.ts'
import type { Subject } from '../inspector/contract.ts'
import { describeInspectorError } from '../inspector/errors.ts'
import type { ListenAddress } from '../inspector/listen-address.ts'
import { definitionOf } from '../inspector/machine-definition.ts'
import { PAGE_FOLDER } from '../inspector/page-folder.ts'
import { openInspector } from '../inspector/server.ts'
import { definitionText } from '../inspector/stately-events.ts'
import { complain, type ExitCode, type Terminal } from './command.ts'

const MACHINE = linkMachine({ now: Date.now, random: Math.random })

/** For Stately's inspector. */
export const LINK_DEFINITION = definitionText(MACHINE, 'link')

/** Serve the page until Ctrl-C; 1 if that cannot be. */
export const serveInspector = async (
  verb: string,
  subject: Subject,
  address: ListenAddress,
  terminal: Terminal,
): Promise<ExitCode> => {
  const stop = terminal.stopAsked()
  const opened = await openInspector({
    subject,
    machine: definitionOf(MACHINE),
    address,
    pageFolder: PAGE_FOLDER,
    log: { error: (_, message) => complain(terminal, verb, message) },
  })
  if (E.isLeft(opened)) {
    complain(terminal, verb, describeInspectorError(opened.left))
    return 1
  }
  const { url } = opened.right
  const { port } = new URL(url)
  terminal.out(`${url}\n`)
  terminal.err(
    `Open it in a browser on this machine; from another one, after: ssh -L ${port}:127.0.0.1:${port} root@DEVICE\nEnd with Ctrl-C.\n`,
  )
  await stop
  opened.right.close()
  return 0
}
