/** `daemon`, what runs when no verb is given: decode the options, hand the configuration to the daemon. */
import { E } from '../../fp.ts'
import { keepHeapSmall } from '../../heap.ts'
import { NO_OPERANDS, unknownVariables } from '../arguments.ts'
import { type Command, complain, helpFor, refuseUsage } from '../command.ts'
import { DAEMON_OPTIONS, DEFAULT_CONFIG, decodeDaemonConfig } from '../options.ts'

export const command: Command = {
  help: columns =>
    helpFor(
      {
        verb: 'daemon',
        operands: NO_OPERANDS,
        about: [
          'Reads the graph from Pantavisor and keeps its links connected until it is told to end. This is also what runs without a verb; Pantavisor starts it so, as root and without arguments.',
          'SIGHUP reads the graph at once. SIGTERM and SIGINT take down every link and end with 0; a second one ends at once. A variable sets what its option sets; where both are given, the option counts.',
        ],
        options: DAEMON_OPTIONS,
        defaults: DEFAULT_CONFIG,
        examples: ['pv-xconnect', 'pv-xconnect --pv-ctrl /tmp/pv-ctrl --log-level debug --pretty'],
      },
      columns,
    ),
  run: async (args, terminal) => {
    const config = decodeDaemonConfig(args, terminal.variables)
    if (E.isLeft(config)) return refuseUsage(terminal, 'daemon', config.left)
    for (const variable of unknownVariables(DAEMON_OPTIONS, terminal.variables)) {
      complain(
        terminal,
        'daemon',
        `variable ${variable} sets nothing: no option has that name; it is ignored`,
      )
    }
    keepHeapSmall()
    const { runDaemon } = await import('../../daemon.ts')
    return runDaemon(config.right)
  },
}
