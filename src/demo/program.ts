import { realpathSync } from 'node:fs'

/** This program's own file, to be started again: where it is, not the link in a `bin` folder that led to it. */
export const programFile = (): string => realpathSync(process.argv[1] ?? '')
