/** The name that something of ours has in a container until it is complete: told apart from all others by chance alone. */
import { randomBytes } from 'node:crypto'

/** `.pvx-` and 8 hexadecimal digits. */
export const privateName = (): string => `.pvx-${randomBytes(4).toString('hex')}`
