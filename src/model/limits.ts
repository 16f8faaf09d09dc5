/**
 * Every limit the daemon holds, with its unit in its name. All can be set on the command line; `docs/operations.md` says
 * what happens at each. What only shares out a turn or a call (bytes a turn, accepts a turn) is a constant where it acts.
 */
export interface Limits extends ProtocolLimits {
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

  // Of a datagram socket, which has clients but no connections.
  /** Sockets to its provider, one for each client that can be answered; the one that was unused longest goes first. */
  readonly datagramClients: number
  /** One that is not used is closed after this. */
  readonly datagramIdleMs: number

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
  /** A link whose device is not there is tried again at least this often. */
  readonly deviceRetryMs: number
  /** Cgroups of one container that a device is granted to, from the topmost on. */
  readonly deviceGroups: number
  /** Everything wanted is repeated this often. */
  readonly resyncMs: number
  /** What was planted, and the provider's device nodes, are looked up by their whole path this often. */
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

/** Limits whose value is a number, with its unit in its name. */
export type NumericLimit = Exclude<keyof Limits, 'dbusPolicy'>

/** What becomes of a message that a provider's bus policy denies: it is refused, only reported, or the policy is not looked at. */
export const DBUS_POLICY_MODES = ['enforce', 'audit', 'off'] as const
export type DbusPolicyMode = (typeof DBUS_POLICY_MODES)[number]

/** Limits of single protocols, and how strictly one of them is held to: all that a plugin is shown of the daemon's. */
export interface ProtocolLimits {
  // Of a `rest` link's requests. A head is the request line and the fields; a line over its limit is not read to its end.
  readonly restHeadBytes: number
  readonly restLineBytes: number
  readonly restFieldBytes: number
  readonly restFields: number
  /** Of a chunked body's trailer section, which is held until it is known to be good. */
  readonly restTrailerBytes: number
  /** Chunk extensions of one request, in all. They are cut out. */
  readonly restExtensionBytes: number
  /** Of a provider's response. */
  readonly restResponseHeadBytes: number
  /** From the first byte of a request's head to its end, however many bytes come meanwhile. */
  readonly restHeadMs: number
  /** Without a request. */
  readonly restIdleMs: number
  /** Within a request's body, without a byte. */
  readonly restBodyMs: number
  /** Waiting for a byte of the response; 0: for ever. */
  readonly restResponseMs: number
  /** Waiting for a byte of the response to a consumer that has half-closed. */
  readonly restHalfClosedMs: number
  /** A request waits so long for a provider that is not there. */
  readonly restConnectMs: number
  /** A request waits so long for a provider whose backlog is full. */
  readonly restBacklogMs: number
  /** An exchange that is running when its link is withdrawn. */
  readonly restGraceMs: number

  // Of a `dbus` link's connections.
  readonly dbusConnections: number
  /** From a client's connection to its BEGIN. */
  readonly dbusHandshakeMs: number
  /** Connections to one provider's socket, over all links, that are not past BEGIN; more wait in line. */
  readonly dbusHandshakes: number
  /** Before BEGIN: of one line, and of lines in all. */
  readonly dbusLineBytes: number
  readonly dbusLines: number
  /** Of a message's header: its fields, without what is fixed. The specification's own bound is 64 MiB. */
  readonly dbusFieldBytes: number
  /** Calls of one connection, each way, that wait for their reply: filtered links only. */
  readonly dbusCalls: number
  /** Connections of the bus that a filtered client has heard from, and may ask about. */
  readonly dbusSeen: number
  /** A connection waits so long for a bus that is not there. */
  readonly dbusConnectMs: number
  /** Descriptors that wait so long for the rest of their message end its connection. */
  readonly dbusDescriptorsMs: number
  /** What a client that is gone has sent may take so long to be delivered. */
  readonly dbusCloseMs: number

  // Of a provider's bus policy.
  readonly dbusPolicy: DbusPolicyMode
  readonly dbusPolicyFileBytes: number
  readonly dbusPolicyFiles: number
  readonly dbusPolicyRules: number
  /** Files are looked at again this often while connections exist. */
  readonly dbusPolicyLookMs: number

  // Of a `wayland` link's connections.
  /** Registries, and objects that destroy them, of one connection. */
  readonly waylandObjects: number
  /** Globals that are hidden from one connection. */
  readonly waylandHiddenGlobals: number
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

  datagramClients: 256,
  datagramIdleMs: 30_000,

  heldDescriptorsPerLink: 0,
  heldDescriptors: 0,
  // The 253 that one message may bring (SCM_MAX_FD), and some for what the daemon opens itself.
  descriptorReserve: 253 + 16,

  retryMs: 250,
  retryMaxMs: 5000,
  deviceRetryMs: 1000,
  deviceGroups: 4096,
  resyncMs: 30_000,
  deepLookMs: 5000,
  looksApartMs: 250,

  logBacklogBytes: 256 * KIB,
  logBurstLines: 20,
  logEveryMs: 5000,

  pluginLoadMs: 5000,
  pluginAnswerMs: 30_000,

  restHeadBytes: 32 * KIB,
  restLineBytes: 8192,
  restFieldBytes: 16 * KIB,
  restFields: 128,
  restTrailerBytes: 8 * KIB,
  restExtensionBytes: 16 * KIB,
  restResponseHeadBytes: 64 * KIB,
  restHeadMs: 10_000,
  restIdleMs: 60_000,
  restBodyMs: 60_000,
  restResponseMs: 300_000,
  restHalfClosedMs: 60_000,
  restConnectMs: 2000,
  restBacklogMs: 5000,
  restGraceMs: 10_000,

  dbusConnections: 256,
  dbusHandshakeMs: 30_000,
  dbusHandshakes: 16,
  dbusLineBytes: 16 * KIB,
  dbusLines: 64,
  dbusFieldBytes: MIB,
  dbusCalls: 4096,
  dbusSeen: 1024,
  dbusConnectMs: 10_000,
  dbusDescriptorsMs: 150_000,
  dbusCloseMs: 5000,

  dbusPolicy: 'enforce',
  dbusPolicyFileBytes: MIB,
  dbusPolicyFiles: 512,
  dbusPolicyRules: 20_000,
  dbusPolicyLookMs: 5000,

  // A library that forgets its registries makes thousands in a day, and each is a burst of events for the compositor.
  waylandObjects: 4096,
  waylandHiddenGlobals: 4096,
}
