/** Chance that can be repeated: the same seed makes the same choices. */

export interface Random {
  /** A whole number from 0 up to, not including, `limit`. */
  below(limit: number): number
  /** From `min` to `max`, both included. */
  between(min: number, max: number): number
  /** True so often, of one. */
  chance(probability: number): boolean
  pick<A>(choices: readonly [A, ...A[]]): A
  /** A generator of its own, so that what one asks for does not change what another is given. */
  fork(name: string): Random
}

/** mulberry32: 32 bits of state, and far more even than these uses need. */
const mulberry = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let z = state
    z = Math.imul(z ^ (z >>> 15), z | 1)
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61)
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32
  }
}

/** FNV-1a: neighbouring names must not give neighbouring seeds. */
const digestOf = (text: string): number => {
  let digest = 0x811c9dc5
  for (const byte of Buffer.from(text)) digest = Math.imul(digest ^ byte, 0x01000193) >>> 0
  return digest
}

export const randomOf = (seed: number): Random => {
  const next = mulberry(seed)
  const random: Random = {
    below: limit => Math.floor(next() * limit),
    between: (min, max) => min + Math.floor(next() * (max - min + 1)),
    chance: probability => next() < probability,
    pick: choices => choices[Math.floor(next() * choices.length)] ?? choices[0],
    fork: name => randomOf(digestOf(`${seed}/${name}`)),
  }
  return random
}
