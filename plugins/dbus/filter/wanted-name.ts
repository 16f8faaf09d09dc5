/**
 * What the `interface` of a dbus link asks for: one service, or one with everything below its name. A value that is
 * neither that nor a known way to ask for everything is an error: a typo must not open a link.
 */
import { E } from '../../../src/fp.ts'
import { BUS_NAME } from '../contract.ts'

/** A well-known bus name, which is the name of an interface too, unless it has a hyphen. */
export interface WantedName {
  readonly name: string
  /** Written with `.*`: names below it are wanted just as it is. */
  readonly below: boolean
}

/** The longest there is, of buses and interfaces alike (D-Bus specification, "Valid Names"). */
export const LONGEST_NAME = 255

/** As a well-known name is written (ibid.): two elements at least, none empty, none that begins with a digit. */
const WELL_KNOWN = /^[A-Za-z_-][A-Za-z0-9_-]*(\.[A-Za-z_-][A-Za-z0-9_-]*)+$/
const BELOW = '.*'

/** A label of old graphs, and one that people write to say that there is no filter. */
const isUnfiltered = (text: string): boolean => text === '' || text === 'dbus' || text.startsWith('/')

/** `null`: nothing is filtered. `Left`: in words, why it is no name to filter for. */
export const wantedNameOf = (text: string): E.Either<string, WantedName | null> => {
  if (isUnfiltered(text)) return E.right(null)
  const below = text.endsWith(BELOW)
  const name = below ? text.slice(0, -BELOW.length) : text
  if (name.length > LONGEST_NAME) return E.left(`a bus name has at most ${LONGEST_NAME} characters`)
  if (!WELL_KNOWN.test(name)) {
    return E.left('not a bus name, as org.example.Service, nor one with .* at its end; empty: no filter')
  }
  return E.right({ name, below })
}

/** Whether an INTERFACE may be called so (ibid.): one with a hyphen would end the connection at the bus. */
export const isInterfaceName = (name: string): boolean => !name.includes('-')

/**
 * The names of services that may have the wanted one as an interface: what stands before its dots, of two elements at
 * least. The bus itself is none of them: what it may be asked is decided call by call.
 */
export const prefixesOf = ({ name }: WantedName): readonly string[] => {
  const elements = name.split('.')
  return elements
    .slice(2)
    .map((_, index) => elements.slice(0, index + 2).join('.'))
    .filter(prefix => prefix !== BUS_NAME)
}
