/**
 * Numbers of the Linux ABI, by their names in the man pages.
 * Those that differ between architectures are picked once, here; an architecture we do not know is refused by name.
 */

export const AF_UNIX = 1
export const SOCK_STREAM = 1
export const SOCK_DGRAM = 2
export const SOCK_SEQPACKET = 5
export const SOCK_NONBLOCK = 0o4000
export const SOCK_CLOEXEC = 0o2000000
export const SOL_SOCKET = 1
export const SO_OOBINLINE = 10
export const SO_PASSCRED = 16
export const SO_PEERCRED = 17
export const SO_SNDBUFFORCE = 32
/** Since Linux 6.16. */
export const SO_PASSRIGHTS = 83
export const SCM_RIGHTS = 1
export const SCM_CREDENTIALS = 2
/** The kernel takes no more in one message (`SCM_MAX_FD`, unix(7)). */
export const SCM_MAX_FD = 253
export const SHUT_RD = 0
export const SHUT_RDWR = 2
export const SHUT_WR = 1

export const MSG_PEEK = 0x02
export const MSG_CTRUNC = 0x08
export const MSG_TRUNC = 0x20
export const MSG_DONTWAIT = 0x40
export const MSG_NOSIGNAL = 0x4000
export const MSG_CMSG_CLOEXEC = 0x40000000

export const FIONREAD = 0x541b
/** TIOCOUTQ of tty(4), which sockets answer under this name. */
export const SIOCOUTQ = 0x5411
/** The file a socket is bound to (`linux/un.h`). */
export const SIOCUNIXFILE = 0x89e0

export const EPOLL_CLOEXEC = 0o2000000
export const EPOLL_CTL_ADD = 1
export const EPOLL_CTL_DEL = 2
export const EPOLL_CTL_MOD = 3
export const EPOLLIN = 0x001
export const EPOLLPRI = 0x002
export const EPOLLOUT = 0x004
export const EPOLLERR = 0x008
export const EPOLLHUP = 0x010
export const EPOLLRDHUP = 0x2000

export const O_RDONLY = 0
export const O_WRONLY = 1
export const O_CREAT = 0o100
export const O_EXCL = 0o200
export const O_NOCTTY = 0o400
export const O_NONBLOCK = 0o4000
export const O_CLOEXEC = 0o2000000
/** These two are swapped around on 32- and 64-bit arm (`asm/fcntl.h`). */
const arm = process.arch === 'arm' || process.arch === 'arm64'
export const O_DIRECTORY = arm ? 0o40000 : 0o200000
export const O_NOFOLLOW = arm ? 0o100000 : 0o400000
export const O_PATH = 0o10000000

export const AT_FDCWD = -100
export const AT_SYMLINK_NOFOLLOW = 0x100
export const AT_REMOVEDIR = 0x200
export const AT_EMPTY_PATH = 0x1000
/** Take what is known of a file: a network file system's server need not be asked (statx(2)). */
export const AT_STATX_DONT_SYNC = 0x4000

export const RESOLVE_NO_MAGICLINKS = 0x02
export const RESOLVE_IN_ROOT = 0x10
export const RENAME_NOREPLACE = 1
export const RENAME_EXCHANGE = 2

/** Type, mode, links, owner, inode: STATX_BASIC_STATS (statx(2)). */
export const STATX_BASIC_STATS = 0x7ff
/** When it changed last. */
export const STATX_CTIME = 0x80
/** When the file was made; not every file system knows. */
export const STATX_BTIME = 0x800
/** The mount that a file was reached through; the kernel ignores it before Linux 5.8. */
export const STATX_MNT_ID = 0x1000

export const S_IFMT = 0o170000
export const S_IFSOCK = 0o140000
export const S_IFLNK = 0o120000
export const S_IFBLK = 0o060000
export const S_IFDIR = 0o040000
export const S_IFCHR = 0o020000
export const S_IFIFO = 0o010000

export const CLONE_FS = 0x200
export const CLONE_NEWNS = 0x20000
export const CLONE_NEWUTS = 0x04000000
export const CLONE_NEWIPC = 0x08000000
export const CLONE_NEWPID = 0x20000000
export const CLONE_NEWNET = 0x40000000

export const MS_RDONLY = 1
export const MS_REMOUNT = 32
export const MS_BIND = 4096
export const MS_REC = 16384
export const MS_PRIVATE = 1 << 18
export const MNT_DETACH = 2
export const UMOUNT_NOFOLLOW = 8
/** A copy of the mount, attached nowhere; it goes with its descriptor (open_tree(2)). */
export const OPEN_TREE_CLONE = 1
export const MOVE_MOUNT_F_EMPTY_PATH = 0x04
export const MOVE_MOUNT_T_EMPTY_PATH = 0x40

/** bpf(2) */
export const BPF_PROG_QUERY = 16
export const BPF_CGROUP_DEVICE = 6
/** Those of the groups above count too. */
export const BPF_F_QUERY_EFFECTIVE = 1

export const SPLICE_F_MOVE = 1
export const SPLICE_F_NONBLOCK = 2
export const F_SETPIPE_SZ = 1031

/** A thread that sets its ids keeps its capabilities (capabilities(7)). */
export const SECBIT_NO_SETUID_FIXUP = 1 << 2
export const PR_GET_SECUREBITS = 27
export const PR_SET_SECUREBITS = 28

export const POLLIN = 1
export const RLIMIT_NOFILE = 7

interface SyscallNumbers {
  readonly bpf: number
  readonly memfd_create: number
  readonly mknodat: number
  readonly pivot_root: number
  readonly renameat2: number
  readonly statx: number
  /** These of ids of 32 bits: on 32-bit arm, those that end in `32`. */
  readonly setresuid: number
  readonly setresgid: number
  readonly getgroups: number
  readonly setgroups: number
}

/** As all architectures have them that came late (`asm-generic/unistd.h`). */
const GENERIC = {
  bpf: 280,
  memfd_create: 279,
  mknodat: 33,
  pivot_root: 41,
  renameat2: 276,
  statx: 291,
  setresuid: 147,
  setresgid: 149,
  getgroups: 158,
  setgroups: 159,
}

const BY_ARCHITECTURE: Readonly<Record<string, SyscallNumbers>> = {
  x64: {
    bpf: 321,
    memfd_create: 319,
    mknodat: 259,
    pivot_root: 155,
    renameat2: 316,
    statx: 332,
    setresuid: 117,
    setresgid: 119,
    getgroups: 115,
    setgroups: 116,
  },
  arm64: GENERIC,
  riscv64: GENERIC,
  arm: {
    bpf: 386,
    memfd_create: 385,
    mknodat: 324,
    pivot_root: 218,
    renameat2: 382,
    statx: 397,
    setresuid: 208,
    setresgid: 210,
    getgroups: 205,
    setgroups: 206,
  },
}

const numbers = (): SyscallNumbers => {
  const found = BY_ARCHITECTURE[process.arch]
  if (found === undefined) throw new Error(`system call numbers of ${process.arch} are not known`)
  return found
}

/** System calls that libc does not wrap everywhere (syscalls(2)); the newer ones have one number on all architectures. */
export const SYS = {
  ...numbers(),
  open_tree: 428,
  move_mount: 429,
  pidfd_open: 434,
  openat2: 437,
} as const

/** flock(2) */
export const LOCK_EX = 2
export const LOCK_NB = 4
