/** Peers who are somebody (`peers/identity.py`), and links with an option string between them. */
import * as t from 'io-ts'
import type { Container, ContainerOptions, Place } from './container.ts'
import { type Kind, type Peer, peerOf, startPeerProcess } from './peer.ts'
import type { Entry } from './pv-ctrl.ts'
import { entryFor, keyOf, SOCKET, TARGET, type World } from './scenario.ts'

const Ids = t.type({ pid: t.number, uid: t.number, gid: t.number })
const PeerOf = t.intersection([Ids, t.type({ groups: t.array(t.number) })])
const Child = t.type({ pid: t.number })
const Nothing = t.type({})
const Attested = t.type({
  text: t.string,
  bytes: t.number,
  writer: t.union([Ids, t.null]),
  descriptors: t.array(t.type({ dev: t.string, ino: t.string, content: t.union([t.string, t.null]) })),
  /** Of a datagram: it can be answered. */
  named: t.boolean,
  cut: t.boolean,
  end: t.boolean,
})
const Quiet = t.type({ quiet: t.boolean })
const Count = t.type({ count: t.number })

export type Attested = t.TypeOf<typeof Attested>

export interface As {
  readonly uid?: number
  readonly gid?: number
  /** Else it is gone when it is done. */
  readonly stays?: true
}

export interface Person extends Peer {
  peerOf(name: string): Promise<t.TypeOf<typeof PeerOf>>
  askCredentials(name: string): Promise<unknown>
  receiveAttested(name: string, size?: number): Promise<Attested>
  /** By a child: its pid. */
  connectAs(name: string, path: string, as: As, kind?: Kind): Promise<number>
  sendAs(name: string, text: string, as?: Omit<As, 'stays'>, descriptors?: readonly string[]): Promise<number>
  /** By a child, which stays. */
  sendAndLinger(name: string, text: string, uid: number, gid: number): Promise<number>
  ownIds(): Promise<t.TypeOf<typeof Ids>>
  openDatagram(name: string, path?: string, relative?: boolean): Promise<unknown>
  connectDatagram(name: string, path: string): Promise<unknown>
  sendTo(
    name: string,
    path: string,
    text: string,
    options?: { readonly size?: number; readonly descriptors?: readonly string[] },
  ): Promise<unknown>
  tryToSend(name: string, path: string, text: string, count: number): Promise<number>
  answer(name: string, text: string, descriptors?: readonly string[]): Promise<unknown>
  isQuiet(name: string, ms: number): Promise<boolean>
}

export const startPerson = async (place: Place): Promise<Person> => {
  const process = await startPeerProcess(place, 'identity.py')
  const { ask } = process
  return {
    ...peerOf(place, process),
    peerOf: name => ask(PeerOf, 'peer_of', { name }),
    askCredentials: name => ask(Nothing, 'ask_credentials', { name }),
    receiveAttested: (name, size) => ask(Attested, 'receive_attested', { name, size }),
    connectAs: async (name, path, as, kind) =>
      (await ask(Child, 'connect_as', { name, path, ...as, kind })).pid,
    sendAs: async (name, text, as = {}, descriptors = []) =>
      (await ask(Child, 'send_as', { name, text, ...as, descriptors })).pid,
    sendAndLinger: async (name, text, uid, gid) =>
      (await ask(Child, 'send_and_linger', { name, text, uid, gid })).pid,
    ownIds: () => ask(Ids, 'own_ids', {}),
    openDatagram: (name, path, relative) => ask(Nothing, 'open_datagram', { name, path, relative }),
    connectDatagram: (name, path) => ask(Nothing, 'connect_datagram', { name, path }),
    sendTo: (name, path, text, options) => ask(Nothing, 'send_to', { name, path, text, ...options }),
    tryToSend: async (name, path, text, count) =>
      (await ask(Count, 'try_to_send', { name, path, text, count })).count,
    answer: (name, text, descriptors = []) => ask(Nothing, 'answer', { name, text, descriptors }),
    isQuiet: async (name, ms) => (await ask(Quiet, 'wait_quietly', { name, ms }, ms + 10_000)).quiet,
  }
}

export interface MeetingOptions {
  readonly interface: string
  readonly role?: string
  readonly kind?: Kind
  readonly app?: ContainerOptions
  readonly svc?: ContainerOptions
  readonly socket?: string
  readonly target?: string
  /** Nobody listens yet. */
  readonly absent?: true
}

export interface Meeting {
  readonly app: Container
  readonly svc: Container
  readonly consumer: Person
  /** Its socket is `door`. */
  readonly provider: Person
  readonly entry: Entry
  readonly link: string
}

/** Two containers with a person in each, and a link between them that is up. */
export const meeting = async (world: World, options: MeetingOptions): Promise<Meeting> => {
  const [app, svc] = await Promise.all([
    world.container('app', options.app),
    world.container('svc', options.svc),
  ])
  const [consumer, provider] = await Promise.all([startPerson(app), startPerson(svc)])
  world.adopt(consumer)
  world.adopt(provider)
  const { socket = SOCKET, target = TARGET, role = 'any' } = options
  const entry = entryFor({ consumer: app, provider: svc, interface: options.interface, socket, target, role })
  const link = keyOf(entry)
  if (options.absent !== true) await provider.listen('door', socket, { kind: options.kind ?? 'stream' })
  world.ctrl.serve([entry])
  world.daemon.signal('SIGHUP')
  await world.daemon.reaches(link, 'mediating')
  return { app, svc, consumer, provider, entry, link }
}
