/** A target whose inputs, from some size on, never come to an end. */
import * as fc from 'fast-check'
import * as t from 'io-ts'
import { check, targetOf } from '../target.ts'

export const target = targetOf('blocks', 'never comes to an end', [
  check({
    name: 'numbers',
    inputs: fc.nat(100),
    kept: t.number,
    tries: 200,
    holds: size => {
      while (size > 50);
    },
  }),
])
