/**
 * The methods of the bus itself that a filtered client may call, and by which rule. What is not in this table is denied.
 * The object path does not matter, as it does not to the bus.
 */
import { BUS_NAME } from '../contract.ts'
import { stringBytes } from './arguments.ts'
import { LONGEST_NAME } from './wanted-name.ts'

export type BusRule =
  | 'once'
  | 'always'
  | 'list'
  | 'has-owner'
  | 'about-name'
  | 'start'
  | 'add-match'
  | 'remove-match'
  | 'request-name'
  | 'release-name'

export interface BusMethod {
  readonly rule: BusRule
  /** What its arguments must be, where they are looked at. */
  readonly signature: string | undefined
  /** Of its body. */
  readonly bodyWanted: number
}

/** No bus takes a match rule of more than 1024 bytes; one that is longer than this is not read to its end. */
export const LONGEST_MATCH_RULE = 4096 - stringBytes(0)

const unread = (rule: BusRule): BusMethod => ({ rule, signature: undefined, bodyWanted: 0 })
const named = (rule: BusRule, signature: 's' | 'su'): BusMethod => ({
  rule,
  signature,
  bodyWanted: stringBytes(LONGEST_NAME),
})
const matching = (rule: BusRule): BusMethod => ({
  rule,
  signature: 's',
  bodyWanted: stringBytes(LONGEST_MATCH_RULE),
})

const ALWAYS = unread('always')
const LIST = unread('list')
const ABOUT_NAME = named('about-name', 's')

/** D-Bus specification, "Message Bus Messages". */
const OWN_METHODS: ReadonlyMap<string, BusMethod> = new Map([
  ['Hello', unread('once')],
  ['GetId', ALWAYS],
  ['ListNames', LIST],
  ['ListActivatableNames', LIST],
  ['NameHasOwner', named('has-owner', 's')],
  ['GetNameOwner', ABOUT_NAME],
  ['ListQueuedOwners', ABOUT_NAME],
  ['GetConnectionUnixUser', ABOUT_NAME],
  ['GetConnectionUnixProcessID', ABOUT_NAME],
  ['GetConnectionCredentials', ABOUT_NAME],
  ['GetAdtAuditSessionData', ABOUT_NAME],
  ['GetConnectionSELinuxSecurityContext', ABOUT_NAME],
  ['StartServiceByName', named('start', 'su')],
  ['AddMatch', matching('add-match')],
  ['RemoveMatch', matching('remove-match')],
  ['RequestName', named('request-name', 'su')],
  ['ReleaseName', named('release-name', 's')],
])

/** Ibid., "Standard Interfaces". */
const METHODS: ReadonlyMap<string, ReadonlyMap<string, BusMethod>> = new Map([
  [BUS_NAME, OWN_METHODS],
  [
    'org.freedesktop.DBus.Peer',
    new Map([
      ['Ping', ALWAYS],
      ['GetMachineId', ALWAYS],
    ]),
  ],
  ['org.freedesktop.DBus.Introspectable', new Map([['Introspect', ALWAYS]])],
  [
    'org.freedesktop.DBus.Properties',
    new Map([
      ['Get', ALWAYS],
      ['GetAll', ALWAYS],
    ]),
  ],
])

/** `undefined`: it is not for this client. Without an interface, a member of the bus's own one is meant. */
export const busMethodOf = (
  interfaceName: string | undefined,
  member: string | undefined,
): BusMethod | undefined => METHODS.get(interfaceName ?? BUS_NAME)?.get(member ?? '')
