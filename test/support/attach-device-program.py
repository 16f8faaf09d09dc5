"""Attach a BPF program to a cgroup (version 2) that judges devices, and allows all: attach-device-program.py DIRECTORY

It stays as long as the group. With bpf(2) as it is, so that the test needs nothing that is not there.
"""
import ctypes
import os
import platform
import struct
import sys

BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "armv7l": 386}[platform.machine()]
PROG_LOAD, PROG_ATTACH = 5, 8
CGROUP_DEVICE_PROGRAM, CGROUP_DEVICE = 15, 6
ALLOW_MULTI = 2

libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result = libc.syscall(BPF, command, buffer, len(attributes))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


# r0 = 1; exit
code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xB7, 0, 0, 1, 0x95, 0, 0, 0))
licence = ctypes.create_string_buffer(b"GPL")
program = bpf(
    PROG_LOAD,
    struct.pack("<IIQQIIQI", CGROUP_DEVICE_PROGRAM, 2, ctypes.addressof(code), ctypes.addressof(licence), 0, 0, 0, 0),
)
group = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
bpf(PROG_ATTACH, struct.pack("<IIII", group, program, CGROUP_DEVICE, ALLOW_MULTI))
