/** The daemon's options for the policies of providers' buses: whether they are applied, and how much of them is read. */
import { DBUS_POLICY_MODES, type Limits } from '../model/limits.ts'
import { DAY_MS, KIB, limitOption, MIB, MILLION } from './limit-option.ts'
import { choiceOption, type Option } from './option-kinds.ts'

/** What `policy explain` holds to as well. */
export const dbusPolicyLimitOptions = <C extends { readonly limits: Limits }>(): readonly Option<C>[] => [
  limitOption(
    'dbusPolicyFileBytes',
    'dbus-policy-max-file-bytes',
    { min: KIB, max: 16 * MIB, unit: 'BYTES' },
    'Largest file of a policy; all of them together may have twice as much.',
  ),
  limitOption(
    'dbusPolicyFiles',
    'dbus-policy-max-files',
    { min: 1, max: 65_536, unit: 'N' },
    'Most files of a policy.',
  ),
  limitOption(
    'dbusPolicyRules',
    'dbus-policy-max-rules',
    { min: 1, max: MILLION, unit: 'N' },
    'Most rules of a policy.',
  ),
]

export const dbusPolicyOptions = <C extends { readonly limits: Limits }>(): readonly Option<C>[] => [
  choiceOption(
    {
      flag: 'dbus-policy',
      help: "What becomes of messages that a provider's bus policy denies: they are refused, only reported, or it is not looked at.",
    },
    DBUS_POLICY_MODES,
    {
      get: config => config.limits.dbusPolicy,
      set: (config, dbusPolicy) => ({ ...config, limits: { ...config.limits, dbusPolicy } }),
    },
  ),
  ...dbusPolicyLimitOptions<C>(),
  limitOption(
    'dbusPolicyLookMs',
    'dbus-policy-look',
    { min: 100, max: DAY_MS, unit: 'MS' },
    'How often the files of a policy are looked at while there are connections.',
  ),
]
