/**
 * The blocks by which both ends of a load in Node know that what arrives is what was sent: the same as in load.h, whose
 * head says what is looked at and what is not.
 */

export const BLOCK = 256
const WHOLE_BYTES = 1024 * 1024
/** Of a block, after its position. */
const PATTERN = Buffer.from(Array.from({ length: BLOCK }, (_, i) => (i * 37 + 11) & 255)).subarray(8)

/** A multiple of BLOCK, as everywhere here; positions are not in it yet. */
export const patterned = (bytes: number): Buffer => {
  const buffer = Buffer.alloc(bytes)
  for (let at = 0; at < bytes; at += BLOCK) PATTERN.copy(buffer, at + 8)
  return buffer
}

export const markPositions = (blocks: Buffer, position: number): void => {
  for (let at = 0; at < blocks.length; at += BLOCK) blocks.writeBigUInt64LE(BigInt(position + at), at)
}

/** Checks what arrives, however it was cut. */
export class Checked {
  position = 0
  #garbled = 0
  #rest: Buffer = Buffer.alloc(0)

  /** Blocks. One that never came whole is one. */
  get garbled(): number {
    return this.#garbled + (this.#rest.length > 0 ? 1 : 0)
  }

  take(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = this.position - this.#rest.length
    this.position += chunk.length
    let offset = 0
    for (; offset + BLOCK <= bytes.length; offset += BLOCK, at += BLOCK) {
      // A block that fails for its place is not compared any further.
      const placed = bytes.readUInt32LE(offset) + bytes.readUInt32LE(offset + 4) * 2 ** 32 === at
      const whole =
        at >= WHOLE_BYTES || bytes.compare(PATTERN, 0, BLOCK - 8, offset + 8, offset + BLOCK) === 0
      if (!placed || !whole) this.#garbled += 1
    }
    this.#rest = Buffer.from(bytes.subarray(offset))
  }
}
