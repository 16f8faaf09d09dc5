/**
 * The option string of a `wayland` link: `wayland+<interface>+…` in `interface` shows these globals too, beside those that
 * everybody sees. Any other value is a label for people. A grant that cannot be meant is an error: nobody would miss
 * what it does not do before a client fails.
 */
import { E } from '../../src/fp.ts'
import type { InjectError } from '../../src/model/errors.ts'
import { MOST_NAME_BYTES } from './wire.ts'

const PREFIX = 'wayland+'

/** As protocols name them: a word in C with the prefix of its namespace. */
const INTERFACE = /^[A-Za-z][A-Za-z0-9]*_[A-Za-z0-9_]+$/

const refuse = (option: string, reason: string): E.Either<InjectError, never> =>
  E.left({ _tag: 'OptionRefused', option, reason })

/** The interfaces that the link grants by name. */
export const grantsOf = (value: string): E.Either<InjectError, readonly string[]> => {
  if (!value.startsWith(PREFIX)) return E.right([])
  const grants = value.slice(PREFIX.length).split('+')
  for (const [at, grant] of grants.entries()) {
    if (!INTERFACE.test(grant) || grant.length > MOST_NAME_BYTES)
      return refuse(grant, 'not the name of a Wayland interface, as zwlr_screencopy_manager_v1 is')
    if (grants.indexOf(grant) < at) return refuse(grant, 'given twice')
  }
  return E.right(grants)
}
