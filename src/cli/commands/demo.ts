/** `demo`: two containers, a graph and the real daemon, on one screen. */
import { E } from '../../fp.ts'
import { decodeArguments, NO_OPERANDS } from '../arguments.ts'
import { type Command, helpFor, refuseUsage } from '../command.ts'
import { type Option, switchOption } from '../option-kinds.ts'

export interface DemoConfig {
  /** Leave the containers and the daemon running to play with. */
  readonly keep: boolean
}

const DEFAULTS: DemoConfig = { keep: false }

export const DEMO_OPTIONS: readonly Option<DemoConfig>[] = [
  switchOption(
    {
      flag: 'keep',
      variable: null,
      help: 'Leave the containers and the daemon running to play with, until Ctrl-C.',
    },
    { get: config => config.keep, set: (config, keep) => ({ ...config, keep }) },
  ),
]

export const command: Command = {
  help: columns =>
    helpFor(
      {
        verb: 'demo',
        operands: NO_OPERANDS,
        about: [
          'Makes two containers that cannot see each other, runs the daemon between them, sends bytes and a file descriptor through a link, stops and starts each side, lets a consumer lie about its role on a rest link, and shows what happens. Cleans up after itself. Needs root.',
        ],
        options: DEMO_OPTIONS,
        defaults: DEFAULTS,
        examples: ['sudo pv-xconnect demo', 'sudo pv-xconnect demo --keep'],
      },
      columns,
    ),
  run: async (args, terminal) => {
    if (args[0] === 'inside') {
      // How the demo's own containers start; not for people.
      const { runInside } = await import('../../demo/inside.ts')
      return runInside(args.slice(1))
    }
    const decoded = decodeArguments(DEMO_OPTIONS, NO_OPERANDS, DEFAULTS, args, terminal.variables)
    if (E.isLeft(decoded)) return refuseUsage(terminal, 'demo', decoded.left)
    const { runDemo } = await import('../../demo/demo.ts')
    return runDemo(decoded.right.config.keep, terminal)
  },
}
