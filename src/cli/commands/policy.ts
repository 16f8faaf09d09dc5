/**
 * `policy explain`: what the policy of a provider's bus says to one question, and which rule says so. It asks no daemon and no
 * bus: it reads the files as the daemon would, below any directory that holds a provider's root.
 */
import {
  type AskedMessage,
  type Explanation,
  explain,
  type Question,
} from '../../../plugins/dbus/policy/explain.ts'
import { ProviderPolicy } from '../../../plugins/dbus/policy/provider-policy.ts'
import type { Rule } from '../../../plugins/dbus/policy/rules.ts'
import { E } from '../../fp.ts'
import { openDirectory } from '../../kernel/files.ts'
import { type Account, accountOfRole } from '../../model/accounts.ts'
import { isUid } from '../../model/identity.ts'
import { DEFAULT_LIMITS, type Limits } from '../../model/limits.ts'
import type { ProviderFiles } from '../../toolbox/contract.ts'
import { filesUnder } from '../../toolbox/provider-files.ts'
import { type Arguments, decodeArguments, type Operands, type UsageError, usageError } from '../arguments.ts'
import { type Command, complain, helpFor, refuseUsage, type Terminal } from '../command.ts'
import { dbusPolicyLimitOptions } from '../dbus-policy-options.ts'
import { integerOption, type Option, switchOption, textOption } from '../option-kinds.ts'
import { type Column, counted, printable, renderTable } from '../render.ts'

interface Asked {
  readonly root: string
  readonly role: string
  readonly uid: string
  readonly socket: string
  readonly call: string
  readonly signal: string
  readonly receive: string
  readonly own: string
  readonly connect: boolean
  readonly fds: number
  readonly alsoOwns: string
  readonly all: boolean
  readonly limits: Limits
}

const DEFAULTS: Asked = {
  root: '/',
  role: 'any',
  uid: '',
  socket: '/run/dbus/system_bus_socket',
  call: '',
  signal: '',
  receive: '',
  own: '',
  connect: false,
  fds: 0,
  alsoOwns: '',
  all: false,
  limits: DEFAULT_LIMITS,
}

/** What one message may bring (SCM_MAX_FD). */
const MOST_FDS = 253

const OPERANDS: Operands = { min: 1, max: 1, shown: 'explain' }

type TextKey = 'root' | 'role' | 'uid' | 'socket' | 'call' | 'signal' | 'receive' | 'own' | 'alsoOwns'

const text = (key: TextKey, flag: string, help: string): Option<Asked> =>
  textOption(
    { flag, variable: null, help },
    { get: asked => asked[key], set: (asked, value) => ({ ...asked, [key]: value }) },
  )

export const POLICY_OPTIONS: readonly Option<Asked>[] = [
  text('root', 'provider-root', "The root directory of the provider: a container's, or an unpacked image."),
  text('role', 'role', 'Who asks, as the link has it: a user of the provider, or a uid.'),
  text('uid', 'uid', "The link's uid, where the graph has one; it counts before the role."),
  text('socket', 'socket', "The bus's socket, as the link has it."),
  text('call', 'call', "A method call: 'DESTINATION PATH INTERFACE MEMBER'; - as INTERFACE: it has none."),
  text('signal', 'signal', 'A signal that the role sends, as a call; - as DESTINATION: it is a broadcast.'),
  text('receive', 'receive', "A signal that the role would get: 'SENDER PATH INTERFACE MEMBER'."),
  text('own', 'own', 'A name that the role asks for.'),
  switchOption(
    { flag: 'connect', variable: null, help: 'Whether the role may connect at all.' },
    { get: ({ connect }) => connect, set: (asked, connect) => ({ ...asked, connect }) },
  ),
  integerOption(
    { flag: 'fds', variable: null, help: 'File descriptors that the message brings.' },
    { min: 0, max: MOST_FDS, unit: 'N' },
    { get: ({ fds }) => fds, set: (asked, fds) => ({ ...asked, fds }) },
  ),
  text(
    'alsoOwns',
    'also-owns',
    'Further names that whoever is at the other end owns, with commas between them.',
  ),
  switchOption(
    { flag: 'all', variable: null, help: 'Show every rule that has a say, not only the one that decides.' },
    { get: ({ all }) => all, set: (asked, all) => ({ ...asked, all }) },
  ),
  ...dbusPolicyLimitOptions<Asked>(),
]

export const command: Command = {
  help: columns =>
    helpFor(
      {
        verb: 'policy',
        operands: OPERANDS,
        about: [
          "Says what the policy of a provider's D-Bus (docs/dbus.md) allows a role, and which rule decides. It reads the configuration, passwd and group below --provider-root as the daemon does, needs no root, and asks neither the daemon nor the bus.",
          'Exactly one of --call, --signal, --receive, --own and --connect says what is asked.',
          'Whoever has the name that a message goes to, or comes from, is taken to have no other one but those of --also-owns.',
          'Ends with 0 where it is allowed, and with 1 where it is denied or the policy cannot be read.',
        ],
        options: POLICY_OPTIONS,
        defaults: DEFAULTS,
        examples: [
          "pv-xconnect policy explain --provider-root /proc/640/root --role web --call 'org.bluez /org/bluez/hci0 org.bluez.Adapter1 StartDiscovery'",
          'pv-xconnect policy explain --provider-root rootfs --role 1000 --own com.example.Service --all',
        ],
      },
      columns,
    ),
  run: (args, terminal) => {
    const decoded = decodeArguments(POLICY_OPTIONS, OPERANDS, DEFAULTS, args, terminal.variables)
    const question = E.chain(questionOf)(decoded)
    if (E.isLeft(decoded)) return Promise.resolve(refuseUsage(terminal, 'policy', decoded.left))
    if (E.isLeft(question)) return Promise.resolve(refuseUsage(terminal, 'policy', question.left))
    return Promise.resolve(answer(decoded.right.config, question.right, terminal))
  },
}

const QUESTIONS = ['call', 'signal', 'receive', 'own', 'connect'] as const

const questionOf = ({ config, operands }: Arguments<Asked>): E.Either<UsageError, Question> => {
  const [verb = ''] = operands
  if (verb !== 'explain') return E.left(usageError(`it can explain, and nothing else: not ${verb}`))
  if (config.uid !== '' && !(/^\d+$/.test(config.uid) && isUid(Number(config.uid)))) {
    return E.left(usageError('--uid takes a number from 0 to 4294967294'))
  }
  const [kind, ...more] = QUESTIONS.filter(name => config[name] !== '' && config[name] !== false)
  if (kind === undefined || more.length > 0) {
    return E.left(usageError(`give exactly one of ${QUESTIONS.map(name => `--${name}`).join(', ')}`))
  }
  if (kind === 'connect') return E.right({ kind })
  if (kind === 'own') return E.right({ kind, name: config.own })
  const message = messageOf(config[kind], config)
  return message === undefined
    ? E.left(usageError(`--${kind} takes four words, in quotes: a name, a path, an interface and a member`))
    : E.right({ kind, message })
}

const messageOf = (given: string, { fds, alsoOwns }: Asked): AskedMessage | undefined => {
  const [peer, path, face, member, ...more] = given.split(/\s+/).filter(word => word !== '')
  if (peer === undefined || path === undefined || face === undefined || member === undefined) return undefined
  if (more.length > 0) return undefined
  return {
    peer: peer === '-' ? undefined : peer,
    path,
    interface: face === '-' ? undefined : face,
    member,
    fds,
    alsoOwns: alsoOwns.split(',').filter(name => name !== ''),
  }
}

const answer = (asked: Asked, question: Question, terminal: Terminal): 0 | 1 => {
  const root = openDirectory(asked.root)
  if (E.isLeft(root)) {
    complain(terminal, 'policy', `${asked.root} cannot be opened: ${root.left.errno}`, 'Give a directory.')
    return 1
  }
  try {
    return answerFrom(filesUnder(root.right.borrowed, asked.root), asked, question, terminal)
  } finally {
    root.right.close()
  }
}

const TEXT = new TextDecoder()

const userOf = (files: ProviderFiles, { role, uid, limits }: Asked): Account => {
  const textOf = (path: string): string => {
    const bytes = files.read(path, limits.dbusPolicyFileBytes)
    return E.isRight(bytes) ? TEXT.decode(bytes.right) : ''
  }
  const accounts = { passwd: textOf('/etc/passwd'), group: textOf('/etc/group') }
  return accountOfRole(role, uid === '' ? null : Number(uid), accounts)
}

const answerFrom = (files: ProviderFiles, asked: Asked, question: Question, terminal: Terminal): 0 | 1 => {
  const policy = new ProviderPolicy(asked.socket, asked.limits)
  policy.look(files)
  for (const warning of policy.warnings) complain(terminal, 'policy', `left out, as the bus does: ${warning}`)
  const user = userOf(files, asked)
  terminal.out(
    `role ${printable(asked.role)}: uid ${user.uid}, groups ${user.groups.join(', ')} (${user.source})\n`,
  )
  const { state } = policy
  if (state.kind === 'inactive') {
    terminal.out(`allowed: there is no policy to apply: ${printable(state.reason)}\n`)
    return 0
  }
  const standing = policy.standingOf(user)
  if (standing.kind !== 'ruled') {
    complain(
      terminal,
      'policy',
      `the policy cannot be read: ${'reason' in state ? state.reason : ''}`,
      'The daemon would refuse every message to this bus, because nobody knows what it runs on.',
    )
    return 1
  }
  const explanation = explain(standing.policy, user, question)
  terminal.out(explanationText(explanation, asked.all, terminal.columns))
  return explanation.allowed ? 0 : 1
}

const COLUMNS: readonly Column[] = [
  { title: '', cut: 'never' },
  { title: 'RULE', cut: 'never' },
  { title: 'POLICY', cut: 'end' },
  { title: 'AT', cut: 'middle' },
]

const oneLine = (source: string): string => printable(source.replace(/\s+/g, ' '))

const placeOf = ({ origin }: Rule): string => printable(`${origin.file}:${origin.line}`)

export const explanationText = (
  { allowed, by, chain }: Explanation,
  all: boolean,
  width: number | undefined,
): string => {
  const word = allowed ? 'allowed' : 'denied'
  const reason =
    by === undefined
      ? `${word}: no rule has a say\n`
      : `${word} by ${placeOf(by)}, <policy ${oneLine(by.origin.policy)}>:\n  ${oneLine(by.origin.source)}\n`
  if (!all || chain.length === 0) return reason
  const rows = chain.map(rule => [
    rule === by ? '>' : '',
    oneLine(rule.origin.source),
    oneLine(rule.origin.policy),
    placeOf(rule),
  ])
  const heading = `${counted(chain.length, 'rule has', 'rules have')} a say; later ones override earlier ones:`
  return `${reason}\n${heading}\n${renderTable(COLUMNS, rows, width)}`
}
