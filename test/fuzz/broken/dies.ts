/** A target as a fault in native code would make one: an input ends the process. */
import * as fc from 'fast-check'
import * as t from 'io-ts'
import { check, targetOf } from '../target.ts'

export const target = targetOf('dies', 'ends its process', [
  check({
    name: 'letters',
    inputs: fc.string({ maxLength: 3 }),
    kept: t.string,
    tries: 200,
    holds: text => {
      if (text.length > 2) process.kill(process.pid, 'SIGSEGV')
    },
  }),
])
