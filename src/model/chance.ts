/**
 * Chance that can be had again: a number for each draw, made of a seed and of what is drawn for, and of nothing else.
 * So it does not matter in which order, or how often, anybody else draws.
 */

/** In [0, 1). `of` says what is drawn for; the same words give the same number. */
export type Chance = (of: string) => number

/** FNV-1a, 32 bits. */
const digestOf = (text: string, basis: number): number => {
  let digest = basis
  for (let at = 0; at < text.length; at += 1) {
    digest = Math.imul(digest ^ text.charCodeAt(at), 0x01000193)
  }
  return digest >>> 0
}

/** The last steps of MurmurHash3: words that differ in one character must not give neighbouring numbers. */
const mixed = (digest: number): number => {
  let bits = digest
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return (bits ^ (bits >>> 16)) >>> 0
}

/** Seeds count modulo 2^32. */
export const chanceOf =
  (seed: number): Chance =>
  of =>
    mixed(digestOf(of, mixed(seed ^ 0x811c9dc5))) / 2 ** 32
