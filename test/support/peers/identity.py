"""Who is who at the ends of a link: connecting and writing as other users, by children, and being told by the kernel who did.
And datagrams, which have senders instead of connections.

In Python and with the standard library only, as peer.py, whose operations are all here too.
"""

import array
import os
import socket
import struct

import peer
from peer import KINDS, adopt, body, dial, files, keep, operation, seen, short_path, sockets, told

SO_PEERGROUPS = 59
UCRED = struct.Struct('iII')

senders = {}


# ------------------------------------------------------------------ what the kernel says


@operation
def peer_of(name):
    """Whom the kernel vouches for at the other end (SO_PEERCRED, SO_PEERGROUPS)."""
    sock = sockets[name]
    pid, uid, gid = UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size))
    groups = array.array('I')
    groups.frombytes(sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, 1024))
    return {'pid': pid, 'uid': uid, 'gid': gid, 'groups': list(groups)}


@operation
def ask_credentials(name):
    """Of every message from now on; a listener's connections inherit it."""
    sockets[name].setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return {}


@operation
def receive_attested(name, size=65536, keep_as=None):
    """One recvmsg: what came, who wrote it, and, of a datagram, from where."""
    space = socket.CMSG_SPACE(253 * 4) + socket.CMSG_SPACE(UCRED.size)
    data, control, flags, sender = sockets[name].recvmsg(size, space, socket.MSG_CMSG_CLOEXEC)
    fds = array.array('i')
    writer = None
    for level, kind, payload in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            writer = dict(zip(('pid', 'uid', 'gid'), UCRED.unpack(payload)))
    senders[name] = sender
    answer = {
        **told(data),
        'writer': writer,
        'descriptors': [seen(fd) for fd in fds],
        'named': bool(sender),
        'cut': bool(flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC)),
        'end': len(data) == 0 and writer is None,
    }
    if keep_as is None:
        for fd in fds:
            os.close(fd)
    else:
        keep(keep_as, fds)
    return answer


# ------------------------------------------------------------------ being others


def as_child(act, uid=None, gid=None, stays=False):
    """Let a child act, as another user where one is named; its pid. Unless it stays, nothing is left of it."""
    pid = os.fork()
    if pid != 0 and stays:
        return pid
    if pid != 0:
        _, status = os.waitpid(pid, 0)
        if status != 0:
            raise OSError(os.waitstatus_to_exitcode(status), 'the child failed')
        return pid
    try:
        if gid is not None:
            os.setgroups([])
            os.setresgid(gid, gid, gid)
        if uid is not None:
            os.setresuid(uid, uid, uid)
        act()
        if stays:
            os.execv('/bin/sleep', ['sleep', '600'])
        os._exit(0)
    except OSError as error:
        os._exit(error.errno)
    except BaseException:
        os._exit(255)


@operation
def connect_as(name, path, uid=None, gid=None, kind='stream', stays=False):
    """A child connects and gives the connection to us; its pid. Unless it stays it is gone when this returns."""
    ours, theirs = socket.socketpair()

    def act():
        sock = dial(path, kind)
        socket.send_fds(theirs, [b'.'], [sock.fileno()])

    pid = as_child(act, uid, gid, stays)
    _, fds, _, _ = socket.recv_fds(ours, 1, 1)
    ours.close()
    theirs.close()
    adopt(name, socket.socket(fileno=fds[0]))
    return {'pid': pid}


@operation
def send_as(name, text='', uid=None, gid=None, descriptors=()):
    """A child writes one message and is gone when this returns; its pid."""
    sock = sockets[name]
    fds = [files[each] for each in descriptors]
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else []
    return {'pid': as_child(lambda: sock.sendmsg([text.encode()], control), uid, gid)}


@operation
def send_and_linger(name, text, uid, gid):
    """A child writes one message and stays; its pid."""
    return {'pid': as_child(lambda: sockets[name].send(text.encode()), uid, gid, stays=True)}


@operation
def own_ids():
    return {'pid': os.getpid(), 'uid': os.getuid(), 'gid': os.getgid()}


# ------------------------------------------------------------------ datagrams


@operation
def open_datagram(name, path=None, relative=False):
    """A datagram socket with a name of its own (a path, or `@name`), or with none."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if path is not None and relative:
        os.chdir(os.path.dirname(path))
        path = os.path.basename(path)
    if path is not None:
        sock.bind(short_path(path, of_file=False)[0])
    sockets[name] = sock
    return {}


@operation
def connect_datagram(name, path):
    sockets[name].connect(short_path(path, of_file=True)[0])
    return {}


@operation
def send_to(name, path, text='', size=None, descriptors=()):
    """One datagram to a path, or to an abstract name."""
    fds = [files[each] for each in descriptors]
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else []
    sockets[name].sendmsg([body(text, size)], control, socket.MSG_NOSIGNAL, short_path(path, of_file=True)[0])
    return {}


@operation
def try_to_send(name, path, text, count):
    """As many as are taken without waiting, at most `count`."""
    sock = sockets[name]
    sent = 0
    try:
        while sent < count:
            sock.sendmsg([f'{text}{sent}'.encode()], [], socket.MSG_DONTWAIT, path)
            sent += 1
    except BlockingIOError:
        pass
    return {'count': sent}


@operation
def answer(name, text='', descriptors=()):
    """One datagram back to where the last one came from."""
    fds = [files[each] for each in descriptors]
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else []
    sockets[name].sendmsg([text.encode()], control, socket.MSG_NOSIGNAL, senders[name])
    return {}


@operation
def wait_quietly(name, ms):
    """Whether nothing came for so long."""
    sock = sockets[name]
    sock.settimeout(ms / 1000)
    try:
        sock.recv(1, socket.MSG_PEEK)
        return {'quiet': False}
    except TimeoutError:
        return {'quiet': True}
    finally:
        sock.settimeout(None)


if __name__ == '__main__':
    peer.main()
