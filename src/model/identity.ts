/** Numbers that name processes and users. Branded, because both are plain integers and neither may stand for the other. */

/** A process id as the daemon's own pid namespace counts; 0 stands for the host itself. */
export type Pid = number & { readonly __brand: 'Pid' }
export type Uid = number & { readonly __brand: 'Uid' }

/** Linux never hands out more (`PID_MAX_LIMIT`, proc_sys_kernel(5)). */
const MAX_PID = 4_194_304
export const HOST = 0 as Pid

export const isPid = (value: number): value is Pid =>
  Number.isInteger(value) && value >= 0 && value <= MAX_PID
/** (uid_t) -1 means "leave unchanged" to the kernel (setresuid(2)), so it is no uid. */
export const isUid = (value: number): value is Uid =>
  Number.isInteger(value) && value >= 0 && value < 0xffff_ffff
