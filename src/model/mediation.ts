/** What is alive for one link, in plain data: safe to log, record and show. */
import type { CountedFigure, CountedTimes } from './figures.ts'

/** Names a live mediation; the resources behind it are kept outside every snapshot. */
export type MediationId = string & { readonly __brand: 'MediationId' }

/** What was put into the consumer. */
export interface Planted {
  /** A path, or an abstract name (`@…`). */
  readonly target: string
  /**
   * `stream`, `seqpacket` or `dgram` for sockets. For devices `node`, or `mounted node` where only a mount can be opened, or `found node`
   * for one of the container's own that was right and stays when the link goes.
   */
  readonly kind: string
  /** The device, as `226:0`; absent for sockets. */
  readonly represents?: string
  /**
   * Device and inode as decimal strings: a device number may need all 64 bits. Empty for an abstract name, which is no
   * file: it goes with its listener and leaves nothing to remove.
   */
  readonly device: string
  readonly inode: string
  /** Directories of the target's path that we made, from the outermost; removed again when empty. */
  readonly directoriesMade: readonly string[]
}

/** Whether it is a device: nothing passes through us then, who opens it talks to its driver. */
export const isDevice = ({ represents }: Pick<Planted, 'represents'>): boolean => represents !== undefined

/** All monotonic but `connectionsOpen`. Bytes up go from consumer to provider; refused is what the provider did not take. */
export interface CommonCounters {
  readonly connectionsOpen: number
  readonly connectionsTotal: number
  readonly connectionsRefused: number
  readonly bytesUp: number
  readonly bytesDown: number
  readonly descriptorsPassed: number
  readonly messages: number
  readonly denials: number
}

export interface Counters extends CommonCounters {
  /** What not every link counts, in the order in which it began to. */
  readonly figures: readonly CountedFigure[]
  readonly histograms: readonly CountedTimes[]
}

export const NO_TRAFFIC: CommonCounters = {
  connectionsOpen: 0,
  connectionsTotal: 0,
  connectionsRefused: 0,
  bytesUp: 0,
  bytesDown: 0,
  descriptorsPassed: 0,
  messages: 0,
  denials: 0,
}

export const NOTHING_COUNTED: Counters = { ...NO_TRAFFIC, figures: [], histograms: [] }

export interface Mediation {
  readonly id: MediationId
  readonly planted: Planted
  readonly counters: () => Counters
}

/** Always given: what could not be undone is said, not thrown. */
export interface TeardownReport {
  readonly connectionsClosed: number
  /** In words, one per thing that is still there. */
  readonly leftBehind: readonly string[]
}

export const CLEAN_TEARDOWN: TeardownReport = {
  connectionsClosed: 0,
  leftBehind: [],
}
