"""Connections to a message bus, byte by byte: what a test writes is sent as it is, and what comes is told as it came.

In Python and with the standard library only, as peer.py, whose operations are all here too. It knows nothing of D-Bus: a test
makes its messages itself, the wrong ones too. Bytes are base64 both ways.
"""

import base64
import errno
import os
import select

import peer
from peer import MOST_DESCRIPTORS, files, operation, receive, sockets, transmit

BLOCK = b'\0' * 65536


@operation
def put(name, data, descriptors=(), zeros=0, piece=0):
    """All of it, and so many zeros behind it. `piece`: so many bytes at a time; descriptors go with the first."""
    sock = sockets[name]
    raw = base64.b64decode(data)
    fds = [files[each] for each in descriptors]
    step = piece or max(1, len(raw))
    for at in range(0, len(raw), step):
        transmit(sock, raw[at : at + step], fds if at == 0 else [])
    while zeros > 0:
        zeros -= sock.send(BLOCK[: min(zeros, len(BLOCK))])
    return {}


def contents_of(fds):
    contents = []
    for fd in fds:
        try:
            contents.append(os.pread(fd, 4096, 0).decode())
        except OSError:
            contents.append('')
        os.close(fd)
    return contents


@operation
def come(name, patience_ms):
    """What has come, as soon as there is something. `end`: how it ended, if it has."""
    sock = sockets[name]
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    if not poll.poll(patience_ms):
        return {'data': '', 'descriptors': [], 'end': None}
    try:
        data, fds, cut, _, end = receive(sock, 1 << 20, MOST_DESCRIPTORS)
    except OSError as error:
        return {'data': '', 'descriptors': [], 'end': errno.errorcode.get(error.errno, str(error.errno))}
    told = 'cut' if cut else 'end' if end else None
    return {'data': base64.b64encode(data).decode(), 'descriptors': contents_of(fds), 'end': told}


peer.main()
