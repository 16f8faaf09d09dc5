/**
 * The option string of a `unix` link: `unix+<option>+…` in `interface`. Any other value is a label for people.
 * What was asked for and cannot be given is an error: an identity or a restriction is never dropped in silence.
 */
import { E } from '../../src/fp.ts'
import type { InjectError } from '../../src/model/errors.ts'
import type { DialIdentity } from '../../src/relay/contract.ts'
import type { SocketKind } from '../../src/toolbox/contract.ts'

export interface UnixOptions {
  readonly kind: SocketKind | 'detected'
  /** Whoever sends descriptors is cut off. */
  readonly refusesDescriptors: boolean
  readonly greets: boolean
  readonly credentials: 'none' | 'writer' | 'role'
  readonly dialAs: DialIdentity
}

const PREFIX = 'unix+'

const PLAIN: UnixOptions = {
  kind: 'detected',
  refusesDescriptors: false,
  greets: false,
  credentials: 'none',
  dialAs: 'daemon',
}

interface Known {
  /** Of two options that answer the same question, only one can be meant. */
  readonly about: 'type' | 'descriptors' | 'greeting' | 'credentials' | 'peer'
  readonly choice: Partial<UnixOptions>
  /** What it gives a provider comes with a connection. */
  readonly needsConnection?: true
}

const OPTIONS: ReadonlyMap<string, Known> = new Map<string, Known>([
  ['stream', { about: 'type', choice: { kind: 'stream' } }],
  ['seqpacket', { about: 'type', choice: { kind: 'seqpacket' } }],
  ['dgram', { about: 'type', choice: { kind: 'dgram' } }],
  ['nofds', { about: 'descriptors', choice: { refusesDescriptors: true } }],
  ['greeting', { about: 'greeting', choice: { greets: true }, needsConnection: true }],
  ['creds', { about: 'credentials', choice: { credentials: 'writer' } }],
  ['role-creds', { about: 'credentials', choice: { credentials: 'role' } }],
  ['peercred', { about: 'peer', choice: { dialAs: 'peer' }, needsConnection: true }],
  ['role-peercred', { about: 'peer', choice: { dialAs: 'role' }, needsConnection: true }],
])

const refuse = (option: string, reason: string): E.Either<InjectError, never> =>
  E.left({ _tag: 'OptionRefused', option, reason })

export const optionsOf = (value: string): E.Either<InjectError, UnixOptions> => {
  if (!value.startsWith(PREFIX)) return E.right(PLAIN)
  const chosen = new Map<Known['about'], string>()
  let options = PLAIN
  let connected: string | undefined
  for (const option of value.slice(PREFIX.length).split('+')) {
    const known = OPTIONS.get(option)
    if (known === undefined) return refuse(option, 'not an option of unix links')
    const before = chosen.get(known.about)
    if (before === option) return refuse(option, 'given twice')
    if (before !== undefined) return refuse(option, `contradicts ${before}`)
    chosen.set(known.about, option)
    options = { ...options, ...known.choice }
    if (known.needsConnection === true) connected ??= option
  }
  return options.kind === 'dgram' && connected !== undefined
    ? refuse(connected, 'contradicts dgram: a datagram socket has no connections')
    : E.right(options)
}
