/** The daemon's options for connections of every type: how many, how long each may take, and what may wait in one. */
import type { Limits } from '../model/limits.ts'
import { DAY_MS, HOUR_MS, KIB, limitOption, MIB, MILLION, MINUTE_MS } from './limit-option.ts'
import type { Option } from './option-kinds.ts'

export const relayOptions = <C extends { readonly limits: Limits }>(): readonly Option<C>[] => [
  limitOption(
    'connectionsPerLink',
    'max-connections-per-link',
    { min: 1, max: MILLION, unit: 'N' },
    'Most connections open at once through one link.',
  ),
  limitOption(
    'connectionsTotal',
    'max-connections',
    { min: 1, max: MILLION, unit: 'N' },
    'Most connections open at once through all links.',
  ),
  limitOption(
    'listenBacklog',
    'backlog',
    { min: 1, max: 65_535, unit: 'N' },
    'Connections the kernel queues per planted socket; it clamps this to net.core.somaxconn.',
  ),
  limitOption(
    'acceptPauseMs',
    'accept-pause',
    { min: 1, max: MINUTE_MS, unit: 'MS' },
    'How long a link accepts nobody when descriptors are short; doubles up to --accept-pause-max.',
  ),
  limitOption(
    'acceptPauseMaxMs',
    'accept-pause-max',
    { min: 1, max: MINUTE_MS, unit: 'MS' },
    'The longest of these pauses.',
  ),
  limitOption(
    'connectGraceMs',
    'connect-timeout',
    { min: 0, max: HOUR_MS, unit: 'MS' },
    'How long a new connection waits for a provider that is not there.',
  ),
  limitOption(
    'connectRetryMs',
    'connect-retry',
    { min: 1, max: MINUTE_MS, unit: 'MS' },
    'When that provider is tried again; doubles up to --connect-retry-max.',
  ),
  limitOption(
    'connectRetryMaxMs',
    'connect-retry-max',
    { min: 1, max: MINUTE_MS, unit: 'MS' },
    'The longest time between two of these tries.',
  ),
  limitOption(
    'handshakeMs',
    'handshake-timeout',
    { min: 100, max: HOUR_MS, unit: 'MS' },
    'How long a client may take to say enough that its provider can be dialled, where a protocol waits for that.',
  ),
  limitOption(
    'lingerMs',
    'linger',
    { min: 100, max: DAY_MS, unit: 'MS' },
    'A connection with one dead half and no byte moving is cut after this.',
  ),
  limitOption(
    'drainMs',
    'drain',
    { min: 0, max: HOUR_MS, unit: 'MS' },
    'How long open connections are given when the daemon ends.',
  ),
  limitOption(
    'queueBytes',
    'queue-bytes',
    { min: 4 * KIB, max: 64 * MIB, unit: 'BYTES' },
    'Bytes that may wait in one direction of a connection; its sender blocks meanwhile.',
  ),
  limitOption(
    'queueDescriptors',
    'queue-descriptors',
    { min: 1, max: 65_536, unit: 'N' },
    'Descriptors that may wait likewise.',
  ),
  limitOption(
    'queuePackets',
    'queue-packets',
    { min: 1, max: 65_536, unit: 'N' },
    'Packets of a seqpacket link, or messages of one with credentials, that may wait likewise.',
  ),
  limitOption(
    'packetBytes',
    'max-packet-bytes',
    { min: 4 * KIB, max: 256 * MIB, unit: 'BYTES' },
    'Longest packet of a seqpacket link, which ends its connection if it is longer, and longest datagram.',
  ),
  limitOption(
    'datagramClients',
    'max-datagram-clients',
    { min: 1, max: 65_536, unit: 'N' },
    'Most clients of a datagram link that have a socket to its provider; the one quiet longest makes room.',
  ),
  limitOption(
    'datagramIdleMs',
    'datagram-idle',
    { min: 100, max: DAY_MS, unit: 'MS' },
    'Such a socket is closed when its client was quiet for so long.',
  ),
  limitOption(
    'heldDescriptorsPerLink',
    'max-held-descriptors-per-link',
    { min: 0, max: MILLION, unit: 'N' },
    'Most descriptors that wait in the queues of one link; 0: half of --max-held-descriptors.',
  ),
  limitOption(
    'heldDescriptors',
    'max-held-descriptors',
    { min: 0, max: MILLION, unit: 'N' },
    'Most descriptors that wait in the queues of all links; 0: half of RLIMIT_NOFILE.',
  ),
  limitOption(
    'descriptorReserve',
    'descriptor-reserve',
    { min: 16, max: MILLION, unit: 'N' },
    'Descriptors that messages leave to the daemon; at most a quarter of RLIMIT_NOFILE counts.',
  ),
]
