/**
 * What a plugin is written against: `pv-xconnect/plugin`. Types alone: there is nothing here at run time.
 * Its declarations are shipped, so nothing that is reachable from here may need a package or a file that is not.
 */
export type { Verdict } from '../model/desired.ts'
export type { InjectError, Occupant, SyscallError } from '../model/errors.ts'
export type { CountedFigure, CountedTimes } from '../model/figures.ts'
export type { Pid, Uid } from '../model/identity.ts'
export type { ProtocolLimits } from '../model/limits.ts'
export type { Link, LinkKey } from '../model/link.ts'
export type {
  CommonCounters,
  Counters,
  Mediation,
  MediationId,
  Planted,
  TeardownReport,
} from '../model/mediation.ts'
export type { Either, Task, TaskEither } from '../model/task.ts'
export type {
  AuditEvent,
  ByteView,
  Commands,
  CommonCounter,
  DialError,
  DialIdentity,
  DialledAs,
  FdTokens,
  Figure,
  Histogram,
  PeerCredentials,
  Session,
  SessionFactory,
  SessionHandle,
  SessionInput,
  Side,
  TimerName,
} from '../relay/contract.ts'
export type {
  ConnectRequest,
  DeviceNode,
  Dialing,
  FileProblem,
  IntroductionRequest,
  LinkLog,
  NodeRequest,
  OwnConnection,
  ProviderAddress,
  ProviderFiles,
  RoleUser,
  Shared,
  SocketKind,
  SocketRequest,
  Toolbox,
} from '../toolbox/contract.ts'
export type { Plugin } from './contract.ts'
