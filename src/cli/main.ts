/**
 * The command line: which verb is meant, and help. Answers with the exit code.
 * Verbs are loaded when they are run, so that the daemon starts without the others.
 */
import { asksForHelp } from './arguments.ts'
import { type Command, complain, type ExitCode, PROGRAM, type Terminal } from './command.ts'
import { meant, nearest } from './nearest.ts'
import { wrap } from './render.ts'

interface Verb {
  readonly name: string
  readonly summary: string
  readonly load: () => Promise<{ readonly command: Command }>
}

const DAEMON: Verb = {
  name: 'daemon',
  summary: 'connect containers as the graph says (this is what runs without a verb)',
  load: () => import('./commands/daemon.ts'),
}

const VERBS: readonly Verb[] = [
  DAEMON,
  {
    name: 'links',
    summary: 'show the links of the daemon: their states, and why one does not work',
    load: () => import('./commands/links.ts'),
  },
  {
    name: 'describe',
    summary: 'show all about one link, and what to do where it does not work',
    load: () => import('./commands/describe.ts'),
  },
  {
    name: 'graph',
    summary: 'show the graph of Pantavisor or of a file, and what is wrong with it',
    load: () => import('./commands/graph.ts'),
  },
  {
    name: 'policy',
    summary: "explain what the policy of a provider's D-Bus allows a role",
    load: () => import('./commands/policy.ts'),
  },
  {
    name: 'serve',
    summary: 'stand in for Pantavisor: serve a graph from a file',
    load: () => import('./commands/serve.ts'),
  },
  {
    name: 'events',
    summary: 'show what happens in the daemon, as it happens',
    load: () => import('./commands/events.ts'),
  },
  {
    name: 'record',
    summary: 'record what happens in the daemon, or the graphs of Pantavisor, into a file',
    load: () => import('./commands/record.ts'),
  },
  {
    name: 'replay',
    summary: 'play a recording again, and see why a link went where it went',
    load: () => import('./commands/replay.ts'),
  },
  {
    name: 'inspect',
    summary: 'show the links of the daemon on a page, live, with their state machines',
    load: () => import('./commands/inspect.ts'),
  },
  {
    name: 'demo',
    summary: 'connect two real containers and watch it happen',
    load: () => import('./commands/demo.ts'),
  },
  {
    name: 'version',
    summary: 'show the version',
    load: () => import('./commands/version.ts'),
  },
]

/** Beyond this, lines of help are hard to read. */
const HELP_COLUMNS = 100

export const main = async (args: readonly string[], terminal: Terminal): Promise<number> => {
  const [first, ...rest] = args
  if (first === '--help' || first === '-h') return show(terminal, globalHelp(columnsOf(terminal)))
  if (first === '--version') return run('version', rest, terminal)
  if (first === 'help') return help(rest, terminal)
  if (first === undefined || first.startsWith('-')) return runDaemon(args, terminal)
  return run(first, rest, terminal)
}

const runDaemon = (args: readonly string[], terminal: Terminal): Promise<number> => {
  const verb = args.find(arg => VERBS.some(({ name }) => name === arg))
  if (verb !== undefined && verb !== 'daemon' && args[args.length - 1] === verb) {
    complain(terminal, '', `${verb} comes first: ${PROGRAM} ${verb} [options]`)
    return Promise.resolve(2)
  }
  return run(DAEMON.name, args, terminal)
}

const run = async (name: string, args: readonly string[], terminal: Terminal): Promise<number> => {
  const verb = VERBS.find(known => known.name === name)
  if (verb === undefined) return unknownVerb(name, terminal)
  const { command } = await verb.load()
  if (asksForHelp(args)) return show(terminal, command.help(columnsOf(terminal)))
  return command.run(args, terminal)
}

const help = (args: readonly string[], terminal: Terminal): Promise<number> => {
  const [name] = args
  return name === undefined || name.startsWith('-')
    ? Promise.resolve(show(terminal, globalHelp(columnsOf(terminal))))
    : run(name, ['--help'], terminal)
}

const unknownVerb = (name: string, terminal: Terminal): ExitCode => {
  const near = nearest(name, ['help', ...VERBS.map(verb => verb.name)])
  complain(terminal, '', `unknown command ${name}${meant(near)}`)
  terminal.err(`See: ${PROGRAM} help\n`)
  return 2
}

const show = (terminal: Terminal, text: string): ExitCode => {
  terminal.out(text)
  return 0
}

const columnsOf = (terminal: Terminal): number => Math.min(terminal.columns ?? HELP_COLUMNS, HELP_COLUMNS)

const globalHelp = (columns: number): string => {
  const about =
    'Connects containers that cannot see each other: takes from Pantavisor the graph of who may reach what, plants sockets in the consumers, and carries bytes and file descriptors to the providers.'
  const verbs = VERBS.map(({ name, summary }) => `  ${name.padEnd(9)}${summary}`)
  return `Usage: ${PROGRAM} [VERB] [options]

${wrap(about, columns, '')}

Verbs:
${verbs.join('\n')}

Options of every verb:
  --help, -h   what the verb does and its options, as \`${PROGRAM} help VERB\` does
  --version    the version

Without a verb, options are the daemon's: ${PROGRAM} help daemon
Exit codes: 0 done, 1 found a problem, 2 used wrongly.
`
}
