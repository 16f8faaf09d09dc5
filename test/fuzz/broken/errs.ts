/** A target with an invariant that does not hold for all of its inputs. */
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import * as t from 'io-ts'
import { check, targetOf } from '../target.ts'

export const target = targetOf('errs', 'takes all numbers for small', [
  check({ name: 'true', inputs: fc.nat(), kept: t.number, tries: 50, holds: n => assert.ok(n >= 0) }),
  check({
    name: 'small',
    inputs: fc.nat(100_000),
    kept: t.number,
    tries: 200,
    holds: n => assert.ok(n < 1000, `${n} is large`),
  }),
])
