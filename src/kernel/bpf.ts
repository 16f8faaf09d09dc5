/** Asking the kernel which BPF programs judge the devices of a cgroup (bpf(2), version 2 of cgroups(7)). Loads none. */
import { E } from '../fp.ts'
import type { SyscallError } from '../model/errors.ts'
import { BPF_CGROUP_DEVICE, BPF_F_QUERY_EFFECTIVE, BPF_PROG_QUERY, SYS } from './constants.ts'
import { c } from './declarations.ts'
import { lastError } from './errno.ts'
import type { BorrowedFd } from './fd.ts'
import { NativeBlock } from './memory.ts'
import { BPF_QUERY } from './structs.ts'

/** Newer kernels write answers behind what they were given. */
const query = new NativeBlock(2 * BPF_QUERY.size)

/**
 * How many programs are asked when a process of this group opens a device, those of the groups above it too. EINVAL: this
 * kernel has no such programs.
 */
export const devicePrograms = (group: BorrowedFd, subject: string): E.Either<SyscallError, number> => {
  query.bytes.fill(0)
  query.data.setUint32(BPF_QUERY.target, group, true)
  query.data.setUint32(BPF_QUERY.attachType, BPF_CGROUP_DEVICE, true)
  query.data.setUint32(BPF_QUERY.queryFlags, BPF_F_QUERY_EFFECTIVE, true)
  return c.bpf(SYS.bpf, BPF_PROG_QUERY, query.address, BPF_QUERY.size) < 0
    ? E.left(lastError('bpf', subject))
    : E.right(query.data.getUint32(BPF_QUERY.programCount, true))
}
