/**
 * The functions of libc that we call, with the types JavaScript sees. A table and nothing else: what a call means and
 * how its failure reads is said by the modules beside this one.
 * Addresses go in as numbers (`uintptr_t`), so that no object has to be wrapped on a hot path.
 */
import { libc } from './library.ts'
import type { Address } from './memory.ts'

type N = number

const declare = <F extends (...args: never[]) => N>(definition: string): F => {
  const native: (...args: never[]) => N = libc.func(definition)
  return native as F
}

/** Absent pointer. */
export const NULL = 0 as Address

export const c = {
  close: declare<(fd: N) => N>('int close(int)'),
  read: declare<(fd: N, to: Address, size: N) => N>('long read(int, uintptr_t, size_t)'),
  write: declare<(fd: N, from: Address, size: N) => N>('long write(int, uintptr_t, size_t)'),
  openat: declare<(dir: N, path: string, flags: N, mode: N) => N>(
    'int openat(int, const char *, int, uint32_t)',
  ),
  mkdirat: declare<(dir: N, path: string, mode: N) => N>('int mkdirat(int, const char *, uint32_t)'),
  unlinkat: declare<(dir: N, path: string, flags: N) => N>('int unlinkat(int, const char *, int)'),
  fchownat: declare<(dir: N, path: string, uid: N, gid: N, flags: N) => N>(
    'int fchownat(int, const char *, uint32_t, uint32_t, int)',
  ),
  fchmodat: declare<(dir: N, path: string, mode: N, flags: N) => N>(
    'int fchmodat(int, const char *, uint32_t, int)',
  ),
  umask: declare<(mask: N) => N>('uint32_t umask(uint32_t)'),
  fchdir: declare<(fd: N) => N>('int fchdir(int)'),
  chroot: declare<(path: string) => N>('int chroot(const char *)'),
  exit: declare<(code: N) => N>('void _exit(int)'),
  flock: declare<(fd: N, operation: N) => N>('int flock(int, int)'),
  ftruncate: declare<(fd: N, size: N) => N>('int ftruncate(int, long)'),

  socket: declare<(domain: N, type: N, protocol: N) => N>('int socket(int, int, int)'),
  socketpair: declare<(domain: N, type: N, protocol: N, pair: Address) => N>(
    'int socketpair(int, int, int, uintptr_t)',
  ),
  bind: declare<(fd: N, address: Address, length: N) => N>('int bind(int, uintptr_t, uint32_t)'),
  listen: declare<(fd: N, backlog: N) => N>('int listen(int, int)'),
  accept4: declare<(fd: N, address: Address, length: Address, flags: N) => N>(
    'int accept4(int, uintptr_t, uintptr_t, int)',
  ),
  connect: declare<(fd: N, address: Address, length: N) => N>('int connect(int, uintptr_t, uint32_t)'),
  shutdown: declare<(fd: N, how: N) => N>('int shutdown(int, int)'),
  // ssize_t in C: no message is longer than an int, and a small integer is a number that costs no allocation.
  recv: declare<(fd: N, to: Address, size: N, flags: N) => N>('int recv(int, uintptr_t, size_t, int)'),
  send: declare<(fd: N, from: Address, size: N, flags: N) => N>('int send(int, uintptr_t, size_t, int)'),
  recvmsg: declare<(fd: N, header: Address, flags: N) => N>('int recvmsg(int, uintptr_t, int)'),
  sendmsg: declare<(fd: N, header: Address, flags: N) => N>('int sendmsg(int, uintptr_t, int)'),
  getsockopt: declare<(fd: N, level: N, name: N, value: Address, length: Address) => N>(
    'int getsockopt(int, int, int, uintptr_t, uintptr_t)',
  ),
  setsockopt: declare<(fd: N, level: N, name: N, value: Address, length: N) => N>(
    'int setsockopt(int, int, int, uintptr_t, uint32_t)',
  ),

  getrlimit: declare<(resource: N, to: Address) => N>('int getrlimit(int, uintptr_t)'),
  ioctl: declare<(fd: N, request: N, value: Address) => N>('int ioctl(int, ulong, uintptr_t)'),
  fcntl: declare<(fd: N, command: N, value: N) => N>('int fcntl(int, int, long)'),
  pipe2: declare<(pair: Address, flags: N) => N>('int pipe2(uintptr_t, int)'),
  splice: declare<(from: N, fromOffset: Address, to: N, toOffset: Address, size: N, flags: N) => N>(
    'long splice(int, uintptr_t, int, uintptr_t, size_t, uint32_t)',
  ),
  poll: declare<(fds: Address, count: N, timeoutMs: N) => N>('int poll(uintptr_t, ulong, int)'),

  epollCreate: declare<(flags: N) => N>('int epoll_create1(int)'),
  epollControl: declare<(epoll: N, operation: N, fd: N, event: Address) => N>(
    'int epoll_ctl(int, int, int, uintptr_t)',
  ),
  epollWait: declare<(epoll: N, events: Address, max: N, timeoutMs: N) => N>(
    'int epoll_wait(int, uintptr_t, int, int)',
  ),

  unshare: declare<(flags: N) => N>('int unshare(int)'),
  setns: declare<(fd: N, type: N) => N>('int setns(int, int)'),
  geteuid: declare<() => N>('uint32_t geteuid()'),
  getegid: declare<() => N>('uint32_t getegid()'),
  setfsuid: declare<(uid: N) => N>('int setfsuid(uint32_t)'),
  setfsgid: declare<(gid: N) => N>('int setfsgid(uint32_t)'),
  prctl: declare<(option: N, value: N, third: N, fourth: N, fifth: N) => N>(
    'int prctl(int, ulong, ulong, ulong, ulong)',
  ),
  mount: declare<
    (source: string | null, target: string, type: string | null, flags: N, data: string | null) => N
  >('int mount(const char *, const char *, const char *, ulong, const char *)'),
  umount2: declare<(target: string, flags: N) => N>('int umount2(const char *, int)'),
  sethostname: declare<(name: string, length: N) => N>('int sethostname(const char *, size_t)'),

  // syscall(2) is variadic; declaring each shape in full costs less per call than naming the types every time.
  pidfdOpen: declare<(number: N, pid: N, flags: N) => N>('long syscall(long, int, uint32_t)'),
  openat2: declare<(number: N, dir: N, path: string, how: Address, size: N) => N>(
    'long syscall(long, int, const char *, uintptr_t, size_t)',
  ),
  renameat2: declare<(number: N, fromDir: N, from: string, toDir: N, to: string, flags: N) => N>(
    'long syscall(long, int, const char *, int, const char *, uint32_t)',
  ),
  statx: declare<(number: N, dir: N, path: string, flags: N, mask: N, to: Address) => N>(
    'long syscall(long, int, const char *, int, uint32_t, uintptr_t)',
  ),
  memfdCreate: declare<(number: N, name: string, flags: N) => N>(
    'long syscall(long, const char *, uint32_t)',
  ),
  mknodat: declare<(number: N, dir: N, path: string, mode: N, device: N) => N>(
    'long syscall(long, int, const char *, uint32_t, uint32_t)',
  ),
  openTree: declare<(number: N, dir: N, path: string, flags: N) => N>(
    'long syscall(long, int, const char *, uint32_t)',
  ),
  moveMount: declare<(number: N, fromDir: N, from: string, toDir: N, to: string, flags: N) => N>(
    'long syscall(long, int, const char *, int, const char *, uint32_t)',
  ),
  bpf: declare<(number: N, command: N, attributes: Address, size: N) => N>(
    'long syscall(long, int, uintptr_t, uint32_t)',
  ),
  setresuid: declare<(number: N, real: N, effective: N, saved: N) => N>(
    'long syscall(long, uint32_t, uint32_t, uint32_t)',
  ),
  setresgid: declare<(number: N, real: N, effective: N, saved: N) => N>(
    'long syscall(long, uint32_t, uint32_t, uint32_t)',
  ),
  getgroups: declare<(number: N, count: N, groups: Address) => N>('long syscall(long, int, uintptr_t)'),
  setgroups: declare<(number: N, count: N, groups: Address) => N>('long syscall(long, size_t, uintptr_t)'),
  pivotRoot: declare<(number: N, newRoot: string, putOld: string) => N>(
    'long syscall(long, const char *, const char *)',
  ),
} as const

const nativeClose = libc.func('int close(int)')

/** close(2) on one of libuv's threads; `done` is called here, whatever it said. */
export const closeOnAnotherThread = (fd: N, done: () => void): void => {
  nativeClose.async(fd, done)
}
