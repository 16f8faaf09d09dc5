/** Texts to choose from, for what the fuzzer puts together of words. */
import * as fc from 'fast-check'

export const pick = (...texts: readonly string[]): fc.Arbitrary<string> => fc.constantFrom(...texts)

/** One of these, each with its weight. */
export const oneOf = (
  ...parts: readonly (readonly [weight: number, texts: fc.Arbitrary<string>])[]
): fc.Arbitrary<string> => fc.oneof(...parts.map(([weight, arbitrary]) => ({ weight, arbitrary })))
