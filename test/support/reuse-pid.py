"""Starts a program under a pid of choice, as if the number had come round: clone3(2) with set_tid, which needs Linux 5.5
and CAP_SYS_ADMIN. Waits until the number is free, and for the program's end; it is killed with this one.

    reuse-pid.py [--init] PID COMMAND...

    --init  the program is the first process of a pid namespace of its own, as the init of a container is

Exits with 77 where the kernel does not let it.
"""

import ctypes
import errno
import os
import signal
import struct
import sys
import time

SYS_CLONE3 = 435
CLONE_NEWPID = 0x20000000
PR_SET_PDEATHSIG = 1
PATIENCE_S = 10

libc = ctypes.CDLL(None, use_errno=True)


def clone(pids, flags):
    """The child's pid, 0 in the child, or an errno as a negative number. `pids`: the innermost namespace's first."""
    numbers = (ctypes.c_int * len(pids))(*pids)
    arguments = struct.pack(
        '=10Q', flags, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, ctypes.addressof(numbers), len(pids)
    )
    result = libc.syscall(SYS_CLONE3, arguments, len(arguments))
    return result if result >= 0 else -ctypes.get_errno()


def main():
    arguments = sys.argv[1:]
    init = arguments[0] == '--init'
    if init:
        arguments = arguments[1:]
    pid = int(arguments[0])
    deadline = time.monotonic() + PATIENCE_S
    while True:
        child = clone([1, pid] if init else [pid], CLONE_NEWPID if init else 0)
        if child != -errno.EEXIST or time.monotonic() > deadline:
            break
        time.sleep(0.001)
    if child == 0:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.execvp(arguments[1], arguments[1:])
    if child < 0:
        print(os.strerror(-child), file=sys.stderr)
        sys.exit(77 if child in (-errno.EPERM, -errno.ENOSYS, -errno.EINVAL, -errno.E2BIG) else 1)
    os.waitpid(child, 0)


main()
