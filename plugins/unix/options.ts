/**
 * The option string of a `unix` link: `unix+<option>+…` in `interface`. Any other value is a label for people.
 * What was asked for and cannot be given is an error: an identity or a restriction is never dropped in silence.
 */
import { E } from '../../src/fp.ts'
import type { InjectError } from '../../src/model/errors.ts'
import type { SocketKind } from '../../src/toolbox/contract.ts'

export interface UnixOptions {
  readonly kind: SocketKind | 'detected'
}

const PREFIX = 'unix+'

const KINDS: ReadonlyMap<string, SocketKind> = new Map([
  ['stream', 'stream'],
  ['seqpacket', 'seqpacket'],
])

/** Options of the contract that a later version brings. */
const LATER: ReadonlySet<string> = new Set([
  'dgram',
  'nofds',
  'greeting',
  'creds',
  'role-creds',
  'peercred',
  'role-peercred',
])

const refuse = (option: string, reason: string): E.Either<InjectError, never> =>
  E.left({ _tag: 'OptionRefused', option, reason })

export const optionsOf = (value: string): E.Either<InjectError, UnixOptions> => {
  if (!value.startsWith(PREFIX)) return E.right({ kind: 'detected' })
  const seen = new Set<string>()
  let kind: SocketKind | undefined
  for (const option of value.slice(PREFIX.length).split('+')) {
    if (seen.has(option)) return refuse(option, 'given twice')
    seen.add(option)
    if (LATER.has(option)) return refuse(option, 'not supported by this version')
    const chosen = KINDS.get(option)
    if (chosen === undefined) return refuse(option, 'not an option of unix links')
    if (kind !== undefined) return refuse(option, `contradicts ${kind}`)
    kind = chosen
  }
  return E.right({ kind: kind ?? 'detected' })
}
