"""dbus-broker as the system bus of a container without systemd: what its launcher expects of systemd is made here.

    broker.py SOCKET

A socket that listens is handed over as sd_listen_fds(3) has it; the journal is a socket that is read and shown on standard error.
Says "ready" once the launcher has told the journal so, and ends with its standard input, the bus with it.
"""
import os
import select
import signal
import socket
import sys

JOURNAL = '/run/systemd/journal/socket'
MACHINE_ID = '/etc/machine-id'

os.makedirs(os.path.dirname(JOURNAL), exist_ok=True)
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind(JOURNAL)
if not os.path.exists(MACHINE_ID):
    with open(MACHINE_ID, 'w') as file:
        file.write('0123456789abcdef' * 2 + '\n')
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
listener.listen(128)

launcher = os.fork()
if launcher == 0:
    os.setpgid(0, 0)
    if listener.fileno() == 3:
        os.set_inheritable(3, True)
    else:
        os.dup2(listener.fileno(), 3)
    os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
    os.execvp('dbus-broker-launch', ['dbus-broker-launch', '--scope', 'system'])
listener.close()

ended = os.pidfd_open(launcher)
while True:
    ready, _, _ = select.select([journal, sys.stdin, ended], [], [])
    if journal in ready:
        said = journal.recv(65536)
        print(said.decode(errors='replace'), file=sys.stderr, flush=True)
        if b'MESSAGE=Ready' in said:
            print('ready', flush=True)
    if ended in ready:
        sys.exit('the launcher has ended')
    if sys.stdin in ready and sys.stdin.readline() == '':
        os.killpg(launcher, signal.SIGKILL)
        sys.exit()
