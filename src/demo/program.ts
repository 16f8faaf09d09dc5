/** Where the demo's programs are: this one, and the examples that come with it. */
import { realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** This program's own file, to be started again: where it is, not the link in a `bin` folder that led to it. */
export const programFile = (): string => realpathSync(process.argv[1] ?? '')

/** The example programs, a folder for each type of link: beside `dist`, in a checkout as in the package. */
export const exampleFolder = (): string => join(dirname(programFile()), '../fixtures/examples')
