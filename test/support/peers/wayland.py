"""Both ends of Wayland, byte by byte, led by a test: bytes go as hexadecimal text, and what came says where descriptors were.

In Python and with the standard library only, as peer.py, whose operations are all here too. Of Wayland it knows the header of
a message and how libwayland reads: with room for 28 descriptors.
"""

import errno
import select
import socket
import struct

import peer
from peer import files, operation, receive, seen, sockets, transmit

ROOM = 28
READ_BYTES = 64 * 1024
# Of a flood: a message has its number behind its header, and nothing else that says anything.
FLOOD_BYTES = 4096


@operation
def write(name, hex, descriptors=(), piece=None):
    """All at once, or so many bytes at a time; the descriptors go with the first."""
    data = bytes.fromhex(hex)
    step = piece or len(data)
    fds = [files[each] for each in descriptors]
    for at in range(0, len(data), step):
        transmit(sockets[name], data[at : at + step], fds)
        fds = []
    return {}


@operation
def write_with_each(name, hex, descriptor, copies):
    """A byte at a time, each with so many copies of a descriptor: how many bytes were taken before the other end closed."""
    for at, byte in enumerate(bytes.fromhex(hex)):
        try:
            transmit(sockets[name], bytes([byte]), [files[descriptor]] * copies)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                raise
            return {'count': at}
    return {'count': len(hex) // 2}


def take(sock, size):
    """Until so much came, or the end: what it was, where descriptors came, and how it ended."""
    data, reads, ended = b'', [], None
    while size is None or len(data) < size:
        most = READ_BYTES if size is None else min(READ_BYTES, size - len(data))
        try:
            part, fds, cut, _, end = receive(sock, most, ROOM)
        except OSError as error:
            ended = errno.errorcode[error.errno]
            break
        if end:
            ended = 'end'
            break
        if fds or cut:
            reads.append({'at': len(data), 'descriptors': [seen(fd) for fd in fds], 'cut': cut})
        for fd in fds:
            peer.os.close(fd)
        data += part
    return {'hex': data.hex(), 'reads': reads, 'ended': ended}


@operation
def hear(name, size):
    return take(sockets[name], size)


@operation
def hear_to_end(name):
    return take(sockets[name], None)


def flooding(object, number):
    return struct.pack('=III', object, FLOOD_BYTES << 16 | 9, number) + bytes(FLOOD_BYTES - 12)


@operation
def flood(name, object, quiet_ms):
    """Numbered messages until nothing was taken for a while: how many bytes were."""
    sock = sockets[name]
    sock.setblocking(False)
    sent, number, rest = 0, 0, b''
    try:
        while True:
            if not rest:
                rest = flooding(object, number)
                number += 1
            try:
                n = sock.send(rest, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                if not select.select([], [sock], [], quiet_ms / 1000)[1]:
                    return {'bytes': sent}
                continue
            sent += n
            rest = rest[n:]
    finally:
        sock.setblocking(True)


@operation
def hear_flood(name, object, size):
    """As many messages as are whole in so many bytes: the first that is not what it should be, or -1."""
    whole = size // FLOOD_BYTES
    got = take(sockets[name], whole * FLOOD_BYTES)
    data = bytes.fromhex(got['hex'])
    for number in range(whole):
        if data[number * FLOOD_BYTES :][:FLOOD_BYTES] != flooding(object, number):
            return {'count': number}
    return {'count': -1}


if __name__ == '__main__':
    peer.main()
