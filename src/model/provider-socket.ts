/** The provider's socket, with `{role}`, `{consumer}` and `{name}` replaced: one socket per role, chosen by the link. */
import { E } from '../fp.ts'
import { abstractProblem, isAbstract } from './address.ts'
import type { InjectError } from './errors.ts'
import type { Link } from './link.ts'

/** No separator and no `..`: a value must stay one component, or part of one. */
const SAFE = /^[A-Za-z0-9_.-]{1,64}$/

export const providerSocketOf = (link: Link): E.Either<InjectError, string> => {
  let refused: InjectError | undefined
  const socket = link.socket.replace(
    /\{(role|consumer|name)\}/g,
    (_marker, field: 'role' | 'consumer' | 'name') => {
      const value = link[field]
      if (!SAFE.test(value) || value === '.' || value === '..') {
        const reason = 'a value in a socket path has 1 to 64 letters, digits, or any of _ . -'
        refused ??= { _tag: 'AddressInvalid', field, value, reason }
      }
      return value
    },
  )
  if (refused !== undefined) return E.left(refused)
  // It was within bounds before its markers were replaced. A path that has become too long is the kernel's to refuse.
  const problem = isAbstract(socket) ? abstractProblem(socket) : null
  return problem === null
    ? E.right(socket)
    : E.left({ _tag: 'AddressInvalid', field: 'socket', value: socket, reason: `expected ${problem}` })
}
