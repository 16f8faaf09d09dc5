/**
 * Faults to try out: `link=app/raw,effect=inject,error=TargetOccupied`, as they are typed. Pure.
 * Refuses what would never happen: an effect that there is not, an error that no link can have.
 */
import { E } from '../fp.ts'
import type { InjectError } from '../model/errors.ts'
import { syscallError } from '../model/errors.ts'
import { HOST } from '../model/identity.ts'
import type { Link, LinkKey } from '../model/link.ts'
import type { Fault } from './contract.ts'

/** The plugin's calls, and what the link's machine calls them. */
const CALLS: Readonly<Record<string, Fault['call']>> = {
  inject: 'onLinkAdded',
  change: 'onLinkChanged',
  teardown: 'onLinkRemoved',
  onLinkAdded: 'onLinkAdded',
  onLinkChanged: 'onLinkChanged',
  onLinkRemoved: 'onLinkRemoved',
}

const BY_FAULT = 'by --fault'

/** One of each kind, with the facts that the link gives. */
const ERRORS: Readonly<Record<InjectError['_tag'], (link: Link) => InjectError>> = {
  PeerNotRunning: () => ({ _tag: 'PeerNotRunning', peer: 'consumer' }),
  PeerGone: ({ consumer_pid }) => ({ _tag: 'PeerGone', peer: 'consumer', pid: consumer_pid ?? HOST }),
  TargetOccupied: ({ target }) => ({ _tag: 'TargetOccupied', target, by: 'file' }),
  TargetRefused: ({ consumer, target }) => ({
    _tag: 'TargetRefused',
    target,
    cause: syscallError('bind', 'EACCES', `consumer ${consumer}, ${target}`),
  }),
  AddressInvalid: ({ socket }) => ({
    _tag: 'AddressInvalid',
    field: 'socket',
    value: socket,
    reason: BY_FAULT,
  }),
  OptionRefused: link => ({ _tag: 'OptionRefused', option: link.interface, reason: BY_FAULT }),
  KindUnsupported: ({ socket }) => ({ _tag: 'KindUnsupported', socket, kind: 'dgram' }),
  DeviceAbsent: ({ socket }) => ({ _tag: 'DeviceAbsent', path: socket, reason: BY_FAULT }),
  DeviceRefused: ({ socket }) => ({ _tag: 'DeviceRefused', path: socket, reason: BY_FAULT }),
  PluginFailed: ({ type }) => ({ _tag: 'PluginFailed', plugin: type, message: BY_FAULT }),
}

export const FAULT_ERRORS: readonly string[] = Object.keys(ERRORS)
const FAULT_EFFECTS: readonly string[] = Object.keys(CALLS)

const isTag = (text: string): text is InjectError['_tag'] => Object.hasOwn(ERRORS, text)

export const errorFor = ({ error }: Fault, link: Link): InjectError => ERRORS[error](link)

export const fits = ({ link, call }: Fault, called: Fault['call'], key: LinkKey): boolean =>
  call === called && (link === undefined || key === link || key.split('@')[0] === link)

/** What is wrong with the words, or the fault. A link is its key, or `consumer/name`. */
export const faultIn = (text: string): E.Either<string, Fault> => {
  const given = new Map<string, string>()
  // A key may have commas and equals signs of its own: a part begins with a word that is known.
  for (const part of text.split(/,(?=(?:link|effect|error|times)=)/)) {
    const [, name, value] = /^(link|effect|error|times)=(.*)$/s.exec(part) ?? []
    if (name === undefined || value === undefined || value === '') {
      return E.left(`has ${JSON.stringify(part)}; give link=KEY, effect=WORD, error=TAG, times=N`)
    }
    if (given.has(name)) return E.left(`has ${name} twice`)
    given.set(name, value)
  }
  const effect = given.get('effect') ?? 'inject'
  const call = Object.hasOwn(CALLS, effect) ? CALLS[effect] : undefined
  if (call === undefined) return E.left(`has effect=${effect}; give one of ${FAULT_EFFECTS.join(', ')}`)
  const error = given.get('error')
  if (error === undefined || !isTag(error)) {
    return E.left(
      `has ${error === undefined ? 'no error' : `error=${error}`}; give one of ${FAULT_ERRORS.join(', ')}`,
    )
  }
  const times = given.get('times')
  if (times !== undefined && !/^[1-9]\d{0,8}$/.test(times))
    return E.left(`has times=${times}; give a number from 1`)
  const link = given.get('link')
  return E.right({
    call,
    error,
    ...(link === undefined ? {} : { link }),
    ...(times === undefined ? {} : { times: Number(times) }),
  })
}
