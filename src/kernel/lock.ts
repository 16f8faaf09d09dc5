/** Having a file alone among processes that ask the same way (flock(2)); the kernel lets go when its descriptor is closed. */
import { E } from '../fp.ts'
import type { SyscallError } from '../model/errors.ts'
import { LOCK_EX, LOCK_NB } from './constants.ts'
import { c } from './declarations.ts'
import { lastError } from './errno.ts'

/** EWOULDBLOCK: somebody else has it. Does not wait. */
export const lockExclusively = (fd: number): E.Either<SyscallError, void> =>
  c.flock(fd, LOCK_EX | LOCK_NB) < 0 ? E.left(lastError('flock', 'lock')) : E.right(undefined)
