/**
 * Native memory: the only bytes whose address may be given to the kernel.
 * A Buffer known to C by its address alone is garbage-collected and the address then points at somebody else's heap;
 * a block stays where it is until its owner frees it. No other module asks for an address.
 */
import koffi from 'koffi'

/** An address as a double: user space ends far below 2^53, and a number costs no allocation where a bigint does. */
export type Address = number & { readonly __brand: 'Address' }

/** The address of a byte inside; bounds are checked here because the kernel checks none of ours. */
const addressIn = (block: { readonly address: Address; readonly size: number }, offset: number): Address => {
  if (offset < 0 || offset > block.size)
    throw new RangeError(`offset ${offset} is outside a block of ${block.size}`)
  return (block.address + offset) as Address
}

/** Zeroed memory outside the JavaScript heap. Free it once, when neither a view nor the kernel can touch it any more. */
export class NativeBlock {
  readonly address: Address
  readonly size: number
  readonly bytes: Uint8Array
  readonly data: DataView
  readonly #pointer: unknown

  constructor(size: number) {
    this.#pointer = koffi.alloc('uint8_t', size)
    this.address = Number(koffi.address(this.#pointer)) as Address
    this.size = size
    const buffer = koffi.view(this.#pointer, size)
    this.bytes = new Uint8Array(buffer)
    this.data = new DataView(buffer)
    this.bytes.fill(0)
  }

  at(offset: number): Address {
    return addressIn(this, offset)
  }

  /** The bytes from `offset` on, as a block of their own that is not freed by itself. */
  part(offset: number, size: number): NativePart {
    return new NativePart(this.at(offset), this.bytes.subarray(offset, offset + size))
  }

  free(): void {
    koffi.free(this.#pointer)
  }
}

/** A piece of a block: its bytes have an address of their own. */
export class NativePart {
  readonly address: Address
  readonly size: number
  readonly bytes: Uint8Array

  constructor(address: Address, bytes: Uint8Array) {
    this.address = address
    this.size = bytes.length
    this.bytes = bytes
  }

  at(offset: number): Address {
    return addressIn(this, offset)
  }
}

const POINTER_BYTES = koffi.sizeof('void *')

/** An address or size_t into a structure, in the width of this machine. All machines koffi ships for are little-endian. */
export const setWord = (data: DataView, offset: number, value: number): void => {
  data.setUint32(offset, value >>> 0, true)
  if (POINTER_BYTES === 8) data.setUint32(offset + 4, Math.floor(value / 0x1_0000_0000), true)
}

/** A size_t out of a structure. */
export const getWord = (data: DataView, offset: number): number =>
  POINTER_BYTES === 8
    ? data.getUint32(offset, true) + data.getUint32(offset + 4, true) * 0x1_0000_0000
    : data.getUint32(offset, true)
