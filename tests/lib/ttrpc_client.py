# SPDX-License-Identifier: Apache-2.0
"""A ttrpc client on raw frames in the standard library, streams included.

Client(path) is one connection. call() is a unary call; stream() a server
stream; send_request() with recv_response() leaves several calls in flight.
send_frame() and recv_frame() are for what no decent client sends. Messages
are dictionaries (tests/lib/pb.py). It shares no code with the daemon.
"""
import os
import socket
import struct

from pb import TOP, Schema

SERVICE = "nsexec.v1.Nsexec"
REQUEST, RESPONSE, DATA = 1, 2, 3
REMOTE_CLOSED, REMOTE_OPEN, NO_DATA = 1, 2, 4
HEADER = struct.Struct(">IIBB")
SLOW = float(os.environ.get("NSX_SLOW", "4" if os.environ.get(
    "NSX_SANITIZED") == "1" else "1"))

API = Schema()
TTRPC = Schema(os.path.join(TOP, "proto", "ttrpc.proto"))
DETAIL_URL = "type.googleapis.com/nsexec.v1.ErrorDetail"


class RpcError(Exception):
    """A failed call: ttrpc code, message, and ErrorDetail as a dictionary."""

    def __init__(self, status):
        self.code = status.get("code", 0)
        self.message = status.get("message", "")
        self.detail = {}
        for item in status.get("details", []):
            if item.get("type_url") == DETAIL_URL:
                self.detail = API.decode("ErrorDetail", item["value"])
        super().__init__(f"code {self.code}: {self.message} {self.detail}")


class Closed(Exception):
    """The daemon closed the connection."""


class Client:
    def __init__(self, path, timeout=60):
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout * SLOW)
        self.sock.connect(path)
        self.next_id = 1

    def close(self):
        self.sock.close()

    # --- frames

    def send_frame(self, stream, kind, flags, data):
        self.sock.sendall(HEADER.pack(len(data), stream, kind, flags) + data)

    def recv_frame(self):
        """(stream, type, flags, data); Closed at end of file."""
        size, stream, kind, flags = HEADER.unpack(self._read(HEADER.size))
        return stream, kind, flags, self._read(size)

    def _read(self, size):
        parts = []
        while size:
            part = self.sock.recv(min(size, 1 << 20))
            if not part:
                raise Closed()
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    # --- calls

    def envelope(self, method, request, timeout_nano=0):
        """The data of a Request frame."""
        message = {"service": SERVICE, "method": method,
                   "payload": API.encode(API.methods[method][0], request)}
        if timeout_nano:
            message["timeout_nano"] = timeout_nano
        return TTRPC.encode("Request", message)

    def send_request(self, method, request, flags=0, timeout_nano=0):
        """Send without waiting; the stream id."""
        stream = self.next_id
        self.next_id += 2
        self.send_frame(stream, REQUEST, flags,
                        self.envelope(method, request, timeout_nano))
        return stream

    def recv_response(self):
        """(stream, payload) of the next Response; raises RpcError."""
        stream, kind, _, data = self.recv_frame()
        if kind != RESPONSE:
            raise AssertionError(f"type {kind} on stream {stream}")
        return stream, self.payload(data)

    @staticmethod
    def payload(data):
        """The payload of a Response's data; raises RpcError."""
        response = TTRPC.decode("Response", data)
        if response.get("status", {}).get("code", 0):
            raise RpcError(response["status"])
        return response.get("payload", b"")

    @staticmethod
    def decode(method, payload):
        return API.decode(API.methods[method][1], payload)

    def call(self, method, request, timeout_nano=0):
        stream = self.send_request(method, request, 0, timeout_nano)
        got, payload = self.recv_response()
        if got != stream:
            raise AssertionError(f"answer to {got}, asked {stream}")
        return self.decode(method, payload)

    def stream(self, method, request):
        """Begin a server stream at once; an iterator of its messages."""
        stream = self.send_request(method, request, REMOTE_CLOSED)
        return self._messages(method, stream)

    def _messages(self, method, stream):
        while True:
            got, kind, flags, data = self.recv_frame()
            if got != stream:
                raise AssertionError(f"frame of {got} on stream {stream}")
            if kind == RESPONSE:
                self.payload(data)
                return
            if not flags & NO_DATA:
                yield self.decode(method, data)
            if flags & REMOTE_CLOSED:
                return

    # --- descriptors

    def pass_fds(self, fds):
        """Send descriptors on the fd socket: (token, open channel)."""
        token = os.urandom(16)
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        channel.settimeout(30 * SLOW)
        channel.connect(os.path.join(os.path.dirname(self.path), "fd.sock"))
        channel.send(token)
        if fds:
            socket.send_fds(channel, [b"F"], fds)
        return token, channel
