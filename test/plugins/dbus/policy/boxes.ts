/**
 * A toolbox over a plain folder that stands for the provider's root, and a socket that stands for its bus. Its connections are
 * real ones, of the test's own user; its clock goes when it is told to.
 */
import { createConnection } from 'node:net'
import { SimulatedClock } from 'xstate'
import { E } from '../../../../src/fp.ts'
import { accountOfRole } from '../../../../src/model/accounts.ts'
import { syscallError } from '../../../../src/model/errors.ts'
import { DEFAULT_LIMITS, type ProtocolLimits } from '../../../../src/model/limits.ts'
import type { Link } from '../../../../src/model/link.ts'
import type { Figure, SessionHandle } from '../../../../src/relay/contract.ts'
import type { ConnectRequest, OwnConnection, Toolbox } from '../../../../src/toolbox/contract.ts'
import { repeat } from '../../../../src/toolbox/repeat.ts'
import { createSharedValues } from '../../../../src/toolbox/shared.ts'
import { fakeLog } from '../../../support/fakes.ts'
import { folderFiles } from '../../../support/folder-files.ts'
import { RecordingCommands } from '../../../support/recording-commands.ts'

/** Who the bus takes the test for. */
const OURSELVES = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 }

const HANDLE: SessionHandle = { wake: () => undefined }

/** Runs a session on a real socket. */
const connectTo = (path: string, { session, onClosed }: ConnectRequest): OwnConnection => {
  const commands = new RecordingCommands(session(HANDLE), 0, { dials: 'when told', as: OURSELVES })
  const socket = createConnection(path)
  let written = 0
  let isOver = false
  const over = (): void => {
    if (isOver) return
    isOver = true
    socket.destroy()
    onClosed?.()
  }
  const flush = (): void => {
    const bytes = commands.bytesTo('provider')
    if (bytes.length > written) socket.write(bytes.subarray(written))
    written = bytes.length
    if (commands.closed) over()
  }
  socket.once('connect', () => {
    if (isOver) return
    socket.write('\0')
    commands.dialled()
    flush()
  })
  socket.on('data', data => {
    commands.arrive('provider', data)
    flush()
  })
  socket.once('error', () => {
    if (commands.dialling) commands.dialled('refused')
    flush()
    over()
  })
  socket.once('close', () => {
    commands.end('provider', true)
    flush()
    over()
  })
  return { close: over }
}

export interface FolderBox extends Toolbox {
  readonly log: ReturnType<typeof fakeLog>
  readonly clock: SimulatedClock
  /** What each figure has come to. */
  readonly figures: ReadonlyMap<Figure, number>
  /** Connections to the bus that were asked for. */
  readonly asked: number
  /** And of these, how many are over. */
  readonly over: number
  /** The provider is not running. */
  isGone: boolean
}

const cannot = (): never => {
  throw new Error('a policy plants nothing')
}

interface World {
  readonly root: string
  /** Where its bus really is. */
  readonly bus: string
  readonly link: Link
  readonly limits?: Partial<ProtocolLimits>
  /** Of another link's box: what they share, and the time. */
  readonly beside?: { readonly shared: Toolbox['shared']; readonly clock: SimulatedClock }
}

export const folderBox = ({ root, bus, link, limits, beside }: World): FolderBox => {
  const files = folderFiles(root)
  const clock = beside?.clock ?? new SimulatedClock()
  const values = createSharedValues()
  const figures = new Map<Figure, number>()
  const gone = E.left(syscallError('pidfd_open', 'ESRCH', 'the provider'))
  const textOf = (path: string): string => {
    const bytes = files.read(path, 65_536)
    return E.isRight(bytes) ? Buffer.from(bytes.right).toString() : ''
  }
  let asked = 0
  let over = 0
  const box: FolderBox = {
    log: fakeLog(),
    limits: { ...DEFAULT_LIMITS, ...limits },
    clock,
    figures,
    get asked() {
      return asked
    },
    get over() {
      return over
    },
    isGone: false,
    injectSocket: cannot,
    retargetSocket: cannot,
    injectNode: cannot,
    withdraw: cannot,
    connect: request => {
      asked += 1
      return connectTo(bus, {
        ...request,
        onClosed: () => {
          over += 1
          request.onClosed?.()
        },
      })
    },
    lookInto: (_provider, look) => (box.isGone ? gone : E.right(look(files))),
    userOfRole: () =>
      box.isGone
        ? gone
        : E.right(
            accountOfRole(link.role, link.uid, {
              passwd: textOf('/etc/passwd'),
              group: textOf('/etc/group'),
            }),
          ),
    shared: beside?.shared ?? ((name, make) => values.of('dbus', name, make)),
    repeat: (everyMs, body) => repeat(clock, everyMs, body),
    count: (_mediation, figure, by = 1) => {
      figures.set(figure, (figures.get(figure) ?? 0) + by)
    },
  }
  return box
}
