/** A program of the tests': becomes somebody else, and gives up what it takes to come back. It is expected to be aborted. */
import { actingAs } from '../../src/kernel/credentials.ts'
import { libc } from '../../src/kernel/library.ts'
import { NativeBlock } from '../../src/kernel/memory.ts'

/** capset(2) by its number, with all sets empty (`_LINUX_CAPABILITY_VERSION_3`). */
const CAPSET: Readonly<Record<string, number>> = { x64: 126, arm64: 91, riscv64: 91, arm: 185 }
const VERSION_3 = 0x2008_0522

const dropAll = (): void => {
  const header = new NativeBlock(8)
  header.data.setUint32(0, VERSION_3, true)
  const sets = new NativeBlock(24)
  const capset = libc.func('long syscall(long, uintptr_t, uintptr_t)')
  if (capset(CAPSET[process.arch] ?? -1, header.address, sets.address) !== 0) throw new Error('capset failed')
}

actingAs({ uid: 1001, gid: 1001, supplementary: [1001] }, 'somebody', dropAll)
console.log('it goes on')
