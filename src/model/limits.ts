/** Every limit the daemon holds, with its unit in its name. All can be set on the command line (`docs/operations.md`). */
export interface Limits {
  readonly graphBodyBytes: number
  readonly graphLinks: number
  readonly graphStringBytes: number
  readonly connectionsPerLink: number
  readonly connectionsTotal: number
  readonly listenBacklog: number
  /** How long a new connection waits for a provider that is not there. */
  readonly connectGraceMs: number
  /** A connection with one dead half and no byte moving is cut after this. */
  readonly lingerMs: number
  /** How long open connections are given when the daemon ends. */
  readonly drainMs: number
  /** What finding and importing a plugin of a third party may take before its links say so. */
  readonly pluginLoadMs: number
  /** How long a handler of a plugin may take to answer. */
  readonly pluginAnswerMs: number
}

export const DEFAULT_LIMITS: Limits = {
  graphBodyBytes: 8 * 1024 * 1024,
  graphLinks: 10_000,
  graphStringBytes: 4096,
  connectionsPerLink: 1024,
  connectionsTotal: 8192,
  listenBacklog: 4096,
  connectGraceMs: 5000,
  lingerMs: 60_000,
  drainMs: 1000,
  pluginLoadMs: 5000,
  pluginAnswerMs: 30_000,
}
