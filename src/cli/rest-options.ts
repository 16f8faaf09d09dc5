/** The daemon's options for `rest` links: what a message may have, and how long each of its parts may take. */
import type { Limits } from '../model/limits.ts'
import { DAY_MS, HOUR_MS, KIB, limitOption, MIB } from './limit-option.ts'
import type { Option } from './option-kinds.ts'

/** A head is held whole, and so is a trailer section: half of what a connection can hold is the most for either. */
export const restOptions = <C extends { readonly limits: Limits }>(): readonly Option<C>[] => [
  limitOption(
    'restHeadBytes',
    'rest-max-head-bytes',
    { min: KIB, max: 128 * KIB, unit: 'BYTES' },
    'Largest head of a request: its first line and all its fields.',
  ),
  limitOption(
    'restLineBytes',
    'rest-max-line-bytes',
    { min: 256, max: 128 * KIB, unit: 'BYTES' },
    'Longest first line of a request: method, target and version.',
  ),
  limitOption(
    'restFieldBytes',
    'rest-max-field-bytes',
    { min: 256, max: 128 * KIB, unit: 'BYTES' },
    'Longest field of a head.',
  ),
  limitOption('restFields', 'rest-max-fields', { min: 1, max: 1024, unit: 'N' }, 'Most fields of a head.'),
  limitOption(
    'restTrailerBytes',
    'rest-max-trailer-bytes',
    { min: 64, max: 128 * KIB, unit: 'BYTES' },
    'Largest trailer section of a chunked request.',
  ),
  limitOption(
    'restExtensionBytes',
    'rest-max-extension-bytes',
    { min: 0, max: 64 * MIB, unit: 'BYTES' },
    'Chunk extensions of one request, in all.',
  ),
  limitOption(
    'restResponseHeadBytes',
    'rest-max-response-head-bytes',
    { min: KIB, max: 128 * KIB, unit: 'BYTES' },
    "Largest head of a provider's response.",
  ),
  limitOption(
    'restHeadMs',
    'rest-head-timeout',
    { min: 100, max: HOUR_MS, unit: 'MS' },
    "How long a request's head may take, from its first byte to its end.",
  ),
  limitOption(
    'restIdleMs',
    'rest-idle-timeout',
    { min: 100, max: DAY_MS, unit: 'MS' },
    'How long a connection may be open without a request.',
  ),
  limitOption(
    'restBodyMs',
    'rest-body-timeout',
    { min: 100, max: DAY_MS, unit: 'MS' },
    "How long a request's body may stand still.",
  ),
  limitOption(
    'restResponseMs',
    'rest-response-timeout',
    { min: 0, max: DAY_MS, unit: 'MS' },
    'How long a response may stand still, or not begin; 0: for ever.',
  ),
  limitOption(
    'restHalfClosedMs',
    'rest-half-closed-timeout',
    { min: 100, max: DAY_MS, unit: 'MS' },
    'The same for a consumer that has half-closed.',
  ),
  limitOption(
    'restConnectMs',
    'rest-connect-timeout',
    { min: 0, max: HOUR_MS, unit: 'MS' },
    'How long a request waits for a provider that is not there.',
  ),
  limitOption(
    'restBacklogMs',
    'rest-backlog-timeout',
    { min: 0, max: HOUR_MS, unit: 'MS' },
    'How long a request waits for a provider whose backlog is full.',
  ),
  limitOption(
    'restGraceMs',
    'rest-grace',
    { min: 0, max: HOUR_MS, unit: 'MS' },
    'How long an exchange may go on when its link is withdrawn.',
  ),
]
