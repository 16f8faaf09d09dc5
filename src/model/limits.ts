/**
 * Every limit the daemon holds, with its unit in its name. All can be set on the command line; `docs/operations.md` says
 * what happens at each. What only shares out a turn or a call (bytes a turn, accepts a turn) is a constant where it acts.
 */
export interface Limits {
  // Of the graph.
  readonly graphBodyBytes: number
  readonly graphLinks: number
  readonly graphStringBytes: number
  /** For the whole answer: a server that trickles is cut too. */
  readonly graphTimeoutMs: number

  // Of connections.
  readonly connectionsPerLink: number
  readonly connectionsTotal: number
  readonly listenBacklog: number
  /** Without descriptors, accepting stops for the first, doubling to the second. */
  readonly acceptPauseMs: number
  readonly acceptPauseMaxMs: number
  /** How long a new connection waits for a provider that is not there. */
  readonly connectGraceMs: number
  /** When it is tried again meanwhile: after the first, doubling to the second. */
  readonly connectRetryMs: number
  readonly connectRetryMaxMs: number
  /** How long a session may take to ask for its provider. */
  readonly handshakeMs: number
  /** A connection with one dead half and no byte moving is cut after this. */
  readonly lingerMs: number
  /** How long open connections are given when the daemon ends. */
  readonly drainMs: number

  // Of what waits to be written, in one direction of one connection: reading stops at or above, and resumes at half.
  readonly queueBytes: number
  readonly queueDescriptors: number
  readonly queuePackets: number
  /** A packet is held whole. */
  readonly packetBytes: number

  // Of the descriptor table.
  /** In the queues of one link; 0: half of those of all links. */
  readonly heldDescriptorsPerLink: number
  /** In the queues of all links; 0: half of RLIMIT_NOFILE. */
  readonly heldDescriptors: number
  /** Kept free for the daemon's own needs; at most a quarter of RLIMIT_NOFILE. */
  readonly descriptorReserve: number

  // Of the control plane's work.
  /** A link that failed is tried again after the first, doubling to the second. */
  readonly retryMs: number
  readonly retryMaxMs: number
  /** Everything wanted is repeated this often. */
  readonly resyncMs: number
  /** Planted sockets are looked up by their whole path this often. */
  readonly deepLookMs: number
  /** Looks that containers cause are this far apart. */
  readonly looksApartMs: number

  // Of the log.
  /** For a reader that is behind. */
  readonly logBacklogBytes: number
  /** Lines about one link that are logged as they come; then one per `logEveryMs`. */
  readonly logBurstLines: number
  readonly logEveryMs: number

  // Of plugins.
  /** What finding and importing a plugin of a third party may take before its links say so. */
  readonly pluginLoadMs: number
  /** How long a handler of a plugin may take to answer. */
  readonly pluginAnswerMs: number
}

const KIB = 1024
const MIB = 1024 * KIB

export const DEFAULT_LIMITS: Limits = {
  graphBodyBytes: 8 * MIB,
  graphLinks: 10_000,
  graphStringBytes: 4096,
  // Pantavisor answers from memory; one that takes longer is stuck, and the next pass asks again.
  graphTimeoutMs: 5000,

  connectionsPerLink: 1024,
  connectionsTotal: 8192,
  listenBacklog: 4096,
  acceptPauseMs: 100,
  acceptPauseMaxMs: 2000,
  connectGraceMs: 5000,
  connectRetryMs: 20,
  connectRetryMaxMs: 500,
  // Longer than any built-in protocol gives its clients: this bounds the sessions that forget to.
  handshakeMs: 120_000,
  lingerMs: 60_000,
  drainMs: 1000,

  queueBytes: 256 * KIB,
  queueDescriptors: 512,
  queuePackets: 256,
  packetBytes: 16 * MIB,

  heldDescriptorsPerLink: 0,
  heldDescriptors: 0,
  // The 253 that one message may bring (SCM_MAX_FD), and some for what the daemon opens itself.
  descriptorReserve: 253 + 16,

  retryMs: 250,
  retryMaxMs: 5000,
  resyncMs: 30_000,
  deepLookMs: 5000,
  looksApartMs: 250,

  logBacklogBytes: 256 * KIB,
  logBurstLines: 20,
  logEveryMs: 5000,

  pluginLoadMs: 5000,
  pluginAnswerMs: 30_000,
}
