/** `version`: what this is, for a bug report. */
import { E } from '../../fp.ts'
import { decodeArguments, NO_OPERANDS } from '../arguments.ts'
import { type Command, helpFor, PROGRAM, refuseUsage } from '../command.ts'
import { VERSION } from '../version.ts'

export const command: Command = {
  help: columns =>
    helpFor(
      {
        verb: 'version',
        operands: NO_OPERANDS,
        about: ['Shows the version of pv-xconnect, and of the Node that runs it.'],
        options: [],
        defaults: {},
        examples: ['pv-xconnect version'],
      },
      columns,
    ),
  run: async (args, terminal) => {
    const decoded = decodeArguments([], NO_OPERANDS, {}, args, terminal.variables)
    if (E.isLeft(decoded)) return refuseUsage(terminal, 'version', decoded.left)
    terminal.out(
      `${PROGRAM} ${VERSION} (node ${process.versions.node}, ${process.platform} ${process.arch})\n`,
    )
    return 0
  },
}
