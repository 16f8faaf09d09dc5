/** `inspect`: the inspector's page for a daemon that runs already, by way of its control socket. */
import { LinksJson } from '../../control/shapes.ts'
import { E } from '../../fp.ts'
import { DEFAULT_ADDRESS, type ListenAddress } from '../../inspector/listen-address.ts'
import { decodeArguments, NO_OPERANDS } from '../arguments.ts'
import { type Command, complain, helpFor, refuseUsage } from '../command.ts'
import { askControl, describeAskError } from '../control-client.ts'
import { createControlSubject } from '../control-subject.ts'
import { addressOption, type Option } from '../option-kinds.ts'
import { controlOption, DEFAULT_CONFIG } from '../options.ts'
import { LINK_DEFINITION, serveInspector } from '../serve-inspector.ts'
import { VERSION } from '../version.ts'

export interface InspectConfig {
  readonly control: string
  readonly listen: ListenAddress
}

const DEFAULTS: InspectConfig = { control: DEFAULT_CONFIG.control, listen: DEFAULT_ADDRESS }
const ANSWER_WITHIN_MS = 5000

export const INSPECT_OPTIONS: readonly Option<InspectConfig>[] = [
  controlOption("The daemon's control socket."),
  addressOption(
    {
      flag: 'listen',
      variable: null,
      help: 'Where to serve the page, on this machine alone; port 0 is any that is free.',
    },
    {
      get: config => config.listen,
      set: (config, listen) => ({ ...config, listen: listen ?? DEFAULT_ADDRESS }),
    },
  ),
]

export const command: Command = {
  help: columns =>
    helpFor(
      {
        verb: 'inspect',
        operands: NO_OPERANDS,
        about: [
          'Serves a page that shows the links of a running daemon live: who is connected with whom, the state machine of a link and where it is in it, what happened, and what to do. Prints the URL of the page; whoever has it may look, nobody may change anything.',
          'The page is served to this machine alone. Ends with Ctrl-C; with 1 if the daemon cannot be asked, or the page not be served.',
        ],
        options: INSPECT_OPTIONS,
        defaults: DEFAULTS,
        examples: ['pv-xconnect inspect', 'pv-xconnect inspect --listen 127.0.0.1:9300'],
      },
      columns,
    ),
  run: async (args, terminal) => {
    const decoded = decodeArguments(INSPECT_OPTIONS, NO_OPERANDS, DEFAULTS, args, terminal.variables)
    if (E.isLeft(decoded)) return refuseUsage(terminal, 'inspect', decoded.left)
    const { control, listen } = decoded.right.config
    const asked = await askControl({ path: control, timeoutMs: ANSWER_WITHIN_MS }, '/links', LinksJson)
    if (E.isLeft(asked)) {
      complain(terminal, 'inspect', ...describeAskError(asked.left))
      return 1
    }
    const subject = createControlSubject({
      about: { mode: 'live', subject: control, version: VERSION },
      path: control,
      definition: LINK_DEFINITION,
    })
    return serveInspector('inspect', subject, listen, terminal)
  },
}
