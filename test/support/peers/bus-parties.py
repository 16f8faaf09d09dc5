"""Connections to a message bus that are somebody, own names and send each other messages, one step after the other.

Standard input: {"socket": path, "parties": [{"uid", "gid", "groups", "names": [...], "socket": its own}], "messages": [...]} as JSON, where a message
has "from" and "to" (numbers of parties, "bus", or null: a broadcast), "by" ("unique" or a name) and header fields.
Standard output: {"connected": [bool], "owned": [[name]], "delivered": [bool]} as JSON.
It speaks the wire protocol itself, so that nothing of what is tested is needed to test it.
"""
import array
import json
import os
import socket
import struct
import sys

BUS = "org.freedesktop.DBus"
BUS_PATH = "/org/freedesktop/DBus"
CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
NO_REPLY = 1
DENIED = "org.freedesktop.DBus.Error.AccessDenied"
FIELDS = {1: "path", 2: "interface", 3: "member", 4: "error", 5: "reply_serial", 6: "destination", 7: "sender", 8: "signature", 9: "fds"}


def padded(data, to):
    return data + b"\0" * (-len(data) % to)


def string(text):
    raw = text.encode()
    return struct.pack("<I", len(raw)) + raw + b"\0"


def field(code, signature, value):
    return bytes([code, len(signature)]) + signature.encode() + b"\0" + value


def header_fields(path, interface, member, destination, signature, fds):
    fields = b""
    for code, kind, text in ((1, "o", path), (2, "s", interface), (3, "s", member), (6, "s", destination)):
        if text is not None:
            fields = padded(fields, 8) + field(code, kind, string(text))
    if signature:
        fields = padded(fields, 8) + field(8, "g", bytes([len(signature)]) + signature.encode() + b"\0")
    if fields is not None and fds:
        fields = padded(fields, 8) + field(9, "u", struct.pack("<I", fds))
    return fields


def aligned_value(data, at, kind):
    if kind in "so":
        at += -at % 4
        (length,) = struct.unpack_from("<I", data, at)
        return data[at + 4 : at + 4 + length].decode(), at + 4 + length + 1
    if kind == "u":
        at += -at % 4
        return struct.unpack_from("<I", data, at)[0], at + 4
    length = data[at]
    return data[at + 1 : at + 1 + length].decode(), at + 1 + length + 1


class Party:
    def __init__(self, path, who):
        self.serial = 0
        self.buffer = b""
        self.kept = []
        self.closed = False
        self.unique = None
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.settimeout(10)
        os.setgroups(who["groups"])
        os.setegid(who["gid"])
        os.seteuid(who["uid"])
        try:
            self.connection.connect(path)
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups([0])
        try:
            self.authenticate(who["uid"])
            reply = self.call(BUS, BUS_PATH, BUS, "Hello")
            self.unique = reply["first"]
        except (ConnectionError, EOFError):
            self.closed = True

    def authenticate(self, uid):
        self.connection.sendall(b"\0AUTH EXTERNAL " + str(uid).encode().hex().encode() + b"\r\n")
        if not self.line().startswith(b"OK"):
            raise EOFError
        self.connection.sendall(b"NEGOTIATE_UNIX_FD\r\n")
        self.line()
        self.connection.sendall(b"BEGIN\r\n")

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def more(self):
        room = socket.CMSG_SPACE(64 * 4)
        data, control, _, _ = self.connection.recvmsg(65536, room)
        for _, _, rights in control:
            held = array.array("i")
            held.frombytes(rights[: len(rights) - len(rights) % 4])
            for descriptor in held:
                os.close(descriptor)
        if not data:
            raise EOFError
        self.buffer += data

    def message(self):
        while len(self.buffer) < 16:
            self.more()
        kind = self.buffer[1]
        body_length, _, fields_length = struct.unpack_from("<III", self.buffer, 4)
        body_at = 16 + fields_length + -fields_length % 8
        while len(self.buffer) < body_at + body_length:
            self.more()
        data, self.buffer = self.buffer[: body_at + body_length], self.buffer[body_at + body_length :]
        found = {"type": kind}
        at = 16
        while at < 16 + fields_length:
            at += -at % 8
            code = data[at]
            value_kind = chr(data[at + 2])
            found[FIELDS.get(code, code)], at = aligned_value(data, at + 4, value_kind)
        signature = found.get("signature", "")
        if signature[:1] in ("s", "u"):
            found["first"] = aligned_value(data[body_at:], 0, signature[0])[0]
        return found

    def send(self, kind, path, interface, member, destination, arguments=(), flags=0, fds=0):
        self.serial += 1
        body = b""
        signature = ""
        for argument in arguments:
            if isinstance(argument, str):
                body, signature = padded(body, 4) + string(argument), signature + "s"
            else:
                body, signature = padded(body, 4) + struct.pack("<I", argument), signature + "u"
        fields = header_fields(path, interface, member, destination, signature, fds)
        fixed = struct.pack("<BBBBIII", ord("l"), kind, flags, 1, len(body), self.serial, len(fields))
        data = padded(fixed + fields, 8) + body
        if fds:
            descriptor = os.open("/dev/null", os.O_RDONLY)
            rights = array.array("i", [descriptor] * fds).tobytes()
            self.connection.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
            os.close(descriptor)
        else:
            self.connection.sendall(data)
        return self.serial

    def call(self, destination, path, interface, member, arguments=(), fds=0):
        """The reply; whatever comes before it is kept."""
        serial = self.send(CALL, path, interface, member, destination, arguments, 0, fds)
        while True:
            message = self.message()
            if message["type"] in (RETURN, ERROR) and message.get("reply_serial") == serial:
                return message
            self.kept.append(message)

    def settle(self):
        """Everything that was sent to it until now is in `kept`."""
        self.call(BUS, BUS_PATH, "org.freedesktop.DBus.Peer", "Ping")

    def own(self, name):
        reply = self.call(BUS, BUS_PATH, BUS, "RequestName", [name, 4])
        return reply["type"] == RETURN and reply["first"] == 1


def is_delivered(parties, message, number):
    sender = parties[message["from"]]
    kind = SIGNAL if message["type"] == "signal" else CALL
    marker = "marker %d" % number
    fields = (message["path"], message["interface"], message["member"])
    if message["to"] == "bus":
        reply = sender.call(BUS, *fields, [marker], message["fds"])
        return reply.get("error") != DENIED
    to = message["to"]
    destination = None
    if not message["broadcast"]:
        destination = parties[to].unique if message["by"] == "unique" else message["by"]
    sender.send(kind, *fields, destination, [marker], NO_REPLY, message["fds"])
    sender.settle()
    receiver = parties[to]
    receiver.settle()
    found = any(kept.get("first") == marker for kept in receiver.kept)
    receiver.kept.clear()
    sender.kept.clear()
    return found


def main():
    asked = json.load(sys.stdin)
    parties = [Party(who.get("socket") or asked["socket"], who) for who in asked["parties"]]
    owned = [
        [] if party.closed else [name for name in who["names"] if party.own(name)]
        for party, who in zip(parties, asked["parties"])
    ]
    for party in parties:
        if not party.closed:
            party.call(BUS, BUS_PATH, BUS, "AddMatch", ["type='signal',path_namespace='/test'"])
    delivered = []
    for number, message in enumerate(asked["messages"]):
        ends = [end for end in (message["from"], message["to"]) if end != "bus"]
        if any(parties[end].closed for end in ends):
            delivered.append(None)
        elif message["by"] not in (None, "unique") and message["by"] not in owned[message["to"]]:
            delivered.append(None)
        else:
            delivered.append(is_delivered(parties, message, number))
    json.dump({"connected": [not party.closed for party in parties], "owned": owned, "delivered": delivered}, sys.stdout)


main()
