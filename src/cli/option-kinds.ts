/**
 * What an option is, and the kinds there are: each knows how its value is typed, shown, allowed and refused, in words.
 * Knows no verb and no command line: a verb makes a table of these, and `arguments.ts` reads a line by it.
 */
import { resolve } from 'node:path'
import { E } from '../fp.ts'
import { describeInspectorError } from '../inspector/errors.ts'
import { inUrl, type ListenAddress, parseListenAddress } from '../inspector/listen-address.ts'
import { meant, nearest } from './nearest.ts'

/** sun_path holds 108 bytes with its final NUL (unix(7)). */
const MAX_SOCKET_PATH_BYTES = 107

export type OptionKind =
  | { readonly _tag: 'path' }
  | { readonly _tag: 'text' }
  | {
      readonly _tag: 'integer'
      readonly min: number
      readonly max: number
      readonly unit: 'MS' | 'BYTES' | 'N'
    }
  | { readonly _tag: 'choice'; readonly values: readonly string[] }
  | { readonly _tag: 'switch' }
  /** Text of a form of its own: what stands for it in usage, and what may be given, in words. */
  | { readonly _tag: 'form'; readonly placeholder: string; readonly allowed: string }

/** One option of a verb whose configuration is a `C`. */
export interface Option<C> {
  /** Without its dashes. */
  readonly flag: string
  /** The environment variable that sets it too; `null` where a standing setting would make no sense. */
  readonly variable: string | null
  /** One letter that does the same. */
  readonly short?: string
  /** Its value may be left out: only what fits this is one, where it does not follow `=`. */
  readonly bare?: RegExp
  /** May be given several times: each is assigned, in order. */
  readonly many?: true
  readonly kind: OptionKind
  readonly help: string
  /** The value a configuration holds, as one would type it. */
  readonly show: (config: C) => string
  /** The configuration with this value in it, or what is wrong with the value. */
  readonly assign: (text: string, config: C) => E.Either<string, C>
}

export const VARIABLE_PREFIX = 'PV_XCONNECT_'

export const variableOf = (flag: string): string => VARIABLE_PREFIX + flag.toUpperCase().replaceAll('-', '_')

interface Lens<C, A> {
  readonly get: (config: C) => A
  readonly set: (config: C, value: A) => C
}

interface Description {
  readonly flag: string
  readonly help: string
  readonly variable?: null
  readonly short?: string
}

const named = ({ flag, help, variable, short }: Description) => ({
  flag,
  help,
  variable: variable === null ? null : variableOf(flag),
  ...(short === undefined ? {} : { short }),
})

export const socketPathOption = <C>(about: Description, lens: Lens<C, string>): Option<C> => ({
  ...named(about),
  kind: { _tag: 'path' },
  show: lens.get,
  assign: (text, config) => {
    if (text === '') return E.left('is empty; give the path of a Unix socket')
    if (text.includes('\0')) return E.left('has a NUL byte in it; give the path of a Unix socket')
    const path = resolve(text)
    const bytes = Buffer.byteLength(path)
    return bytes > MAX_SOCKET_PATH_BYTES
      ? E.left(
          `is ${bytes} bytes long (${path}); the path of a Unix socket has at most ${MAX_SOCKET_PATH_BYTES}`,
        )
      : E.right(lens.set(config, path))
  },
})

/** A file that need not be there yet. */
export const filePathOption = <C>(about: Description, lens: Lens<C, string>): Option<C> => ({
  ...named(about),
  kind: { _tag: 'path' },
  show: lens.get,
  assign: (text, config) => {
    if (text === '') return E.left('is empty; give the path of a file')
    if (text.includes('\0')) return E.left('has a NUL byte in it; give the path of a file')
    return E.right(lens.set(config, resolve(text)))
  },
})

/** A name, taken as it is. */
export const textOption = <C>(about: Description, lens: Lens<C, string>): Option<C> => ({
  ...named(about),
  kind: { _tag: 'text' },
  show: lens.get,
  assign: (text, config) => (text === '' ? E.left('is empty; give a name') : E.right(lens.set(config, text))),
})

const NONE = 'none'

const pathOrNoneOption =
  (what: string) =>
  <C>(about: Description, lens: Lens<C, string | null>): Option<C> => ({
    ...named(about),
    kind: { _tag: 'path' },
    show: config => lens.get(config) ?? NONE,
    assign: (text, config) => {
      if (text === '') return E.left(`is empty; give the path of a ${what}, or ${NONE}`)
      if (text.includes('\0')) return E.left(`has a NUL byte in it; give the path of a ${what}, or ${NONE}`)
      return E.right(lens.set(config, text === NONE ? null : resolve(text)))
    },
  })

/** A folder that need not be there yet, or the word `none`. */
export const folderPathOption = pathOrNoneOption('folder')

/** The same for a file. */
export const fileOrNoneOption = pathOrNoneOption('file')

type IntegerKind = Omit<Extract<OptionKind, { readonly _tag: 'integer' }>, '_tag'>

export const integerOption = <C>(
  about: Description,
  range: IntegerKind,
  lens: Lens<C, number>,
): Option<C> => ({
  ...named(about),
  kind: { _tag: 'integer', ...range },
  show: config => String(lens.get(config)),
  assign: (text, config) => {
    const { min, max } = range
    const unit = UNIT_WORDS[range.unit]
    if (!/^[+-]?\d+$/.test(text)) {
      return E.left(`is ${quote(text)}, which is no whole number; give ${min} to ${max}${unit}, digits only`)
    }
    const value = Number(text)
    return value < min || value > max
      ? E.left(`is ${text}, which is out of range; give ${min} to ${max}${unit}`)
      : E.right(lens.set(config, value))
  },
})

const UNIT_WORDS = { MS: ' (milliseconds)', BYTES: ' (bytes)', N: '' } as const

export const choiceOption = <C, const V extends string>(
  about: Description,
  values: readonly V[],
  lens: Lens<C, V>,
): Option<C> => ({
  ...named(about),
  kind: { _tag: 'choice', values },
  show: lens.get,
  assign: (text, config) => {
    const value = values.find(known => known === text)
    if (value !== undefined) return E.right(lens.set(config, value))
    return E.left(`is ${quote(text)}; give one of ${values.join(', ')}${meant(nearest(text, values))}`)
  },
})

export const switchOption = <C>(about: Description, lens: Lens<C, boolean>): Option<C> => ({
  ...named(about),
  kind: { _tag: 'switch' },
  show: config => (lens.get(config) ? 'on' : 'off'),
  assign: (text, config) => {
    const value = SWITCH_WORDS.get(text.toLowerCase())
    return value === undefined
      ? E.left(`is ${quote(text)}; give one of ${[...SWITCH_WORDS.keys()].join(', ')}`)
      : E.right(lens.set(config, value))
  },
})

const OFF = 'off'
const LOOKS_LIKE_ADDRESS = /^(\[[0-9a-fA-F:.]*\]|[\w.-]*):\d+$|^\d+$/

/** Where to listen on this machine; `null`: nowhere. Without a value: anywhere that is free. */
export const addressOption = <C>(about: Description, lens: Lens<C, ListenAddress | null>): Option<C> => ({
  ...named(about),
  kind: { _tag: 'form', placeholder: '[HOST:PORT]', allowed: 'off, or an address of this machine alone' },
  bare: LOOKS_LIKE_ADDRESS,
  show: config => {
    const address = lens.get(config)
    return address === null ? OFF : inUrl(address)
  },
  assign: (text, config) => {
    if (text === OFF) return E.right(lens.set(config, null))
    const address = parseListenAddress(text === 'on' ? '' : text)
    return E.isLeft(address)
      ? E.left(describeInspectorError(address.left))
      : E.right(lens.set(config, address.right))
  },
})

const SWITCH_WORDS = new Map([
  ['1', true],
  ['true', true],
  ['yes', true],
  ['on', true],
  ['0', false],
  ['false', false],
  ['no', false],
  ['off', false],
])

/** What stands for the value in usage and documents: `--interval MS`. */
const placeholderOf = (kind: OptionKind): string => {
  switch (kind._tag) {
    case 'path':
      return 'PATH'
    case 'text':
      return 'NAME'
    case 'integer':
      return kind.unit
    case 'choice':
      return 'WORD'
    case 'switch':
      return ''
    case 'form':
      return kind.placeholder
  }
}

export const allowedOf = (kind: OptionKind): string => {
  switch (kind._tag) {
    case 'path':
      return 'a path'
    case 'text':
      return 'a name'
    case 'integer':
      return `${kind.min} to ${kind.max}`
    case 'choice':
      return kind.values.join(', ')
    case 'switch':
      return 'on, off'
    case 'form':
      return kind.allowed
  }
}

/** `--interval MS`, `--pretty`. */
export const usageOf = (option: Pick<Option<never>, 'flag' | 'kind'>): string =>
  `--${option.flag} ${placeholderOf(option.kind)}`.trimEnd()

const quote = (text: string): string => JSON.stringify(text)
