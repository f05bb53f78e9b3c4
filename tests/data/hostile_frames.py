# SPDX-License-Identifier: Apache-2.0
"""The table of hostile frames and requests, one class a row.

A row is (name, steps, expected). steps is a list of bytes to send on a fresh
connection; EOF ends the sending side. expected is a list of what the daemon
answers, in order: (stream id, ttrpc code, part of the text); CLOSE: it closes
the connection without a word; ALIVE: after all of it the same connection must
answer a Version call (checked for every row that does not end in CLOSE).
Bytes are built here by hand: nothing is shared with the daemon's code.
"""
import struct

EOF = "end of file"
CLOSE = "close"

REQUEST, RESPONSE, DATA = 1, 2, 3
SERVICE = b"nsexec.v1.Nsexec"
MIB = 1 << 20
INVALID, DEADLINE, NOT_FOUND, FULL, UNKNOWN, INTERNAL = 3, 4, 5, 8, 12, 13


# --- bytes

def varint(n):
    n &= (1 << 64) - 1
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    """A field: bytes are length-delimited, numbers are varints."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def header(length, stream, kind, flags=0):
    return struct.pack(">IIBB", length, stream, kind, flags)


def frame(stream, kind, flags, data):
    return header(len(data), stream, kind, flags) + data


def request(stream, data, flags=0):
    return frame(stream, REQUEST, flags, data)


def envelope(method, payload=b"", service=SERVICE, extra=b""):
    return (field(1, service) + field(2, method) + field(3, payload) + extra)


def call(method, payload=b"", stream=1, flags=0, extra=b""):
    return request(stream, envelope(method, payload, extra=extra), flags)


VERSION = call(b"Version")
# Waits for what never comes: there is a call in flight. Events has no need of
# a container; NextEvents is the unary one.
PARKED = call(b"NextEvents", field(2, 60000))
STREAM = call(b"Events", flags=1)
STREAM_OPEN = call(b"Events", flags=2)

# --- requests of starts, by their parts

CREATE = {b"Create", b"Run"}


def spec(*parts, args=(b"/bin/true",), process=b"", method=b"Run",
         outer=b""):
    """A Run of a spec: field 15 is the process, field 1 its arguments."""
    body = b"".join(parts)
    inner = b"".join(field(1, arg) for arg in args) + process
    return call(method, field(1, body + field(15, inner)) + outer)


def namespace(kind, *parts):
    return field(3, field(1, kind) + b"".join(parts))


def mapping(inside, outside, size):
    return field(1, inside) + field(2, outside) + field(3, size)


def maps(*rows, preset=1, kind=2):
    return field(4, field(1, preset) + b"".join(field(kind, row)
                                                for row in rows))


USER = namespace(1, field(2, 1))
MNT = namespace(6, field(2, 1))

ROWS = []


def row(name, steps, *expected):
    ROWS.append((name, steps if isinstance(steps, list) else [steps],
                 list(expected)))


# --- headers and ids

row("first byte is not 0: a web request", b"GET / HTTP/1.1\r\n\r\n", CLOSE)
row("first byte is not 0: TLS", b"\x16\x03\x01\x02\x00\x01", CLOSE)
row("first byte is 1", header(1 << 24, 1, REQUEST), CLOSE)
row("first byte is 255", b"\xff" * 10, CLOSE)
row("first byte is not 0 after a good call",
    [VERSION, b"\x80"], (1, 0, ""), CLOSE)
row("stream id 0", call(b"Version", stream=0), (0, INVALID, "must be odd"))
row("even stream id", call(b"Version", stream=2), (2, INVALID, "must be odd"))
row("highest even stream id", call(b"Version", stream=0xfffffffe),
    (0xfffffffe, INVALID, "must be odd"))
row("stream id used again", VERSION + VERSION,
    (1, 0, ""), (1, INVALID, "cannot be re-used"))
row("stream id lower than the last",
    call(b"Version", stream=9) + call(b"Version", stream=7),
    (9, 0, ""), (7, INVALID, "must increment"))
row("stream id of a call in flight used again", PARKED + VERSION, CLOSE)
row("even id, oversize", header(5 * MIB, 2, REQUEST) + b"\0" * (5 * MIB),
    (2, INVALID, "must be odd"))
row("type 0", frame(1, 0, 0, b"x" * 9))
row("type 4", frame(1, 4, 0, b"x" * 9))
row("type 255 with all flags", frame(1, 255, 255, b"x" * 9))
row("a Response to the server", frame(1, RESPONSE, 0, field(2, b"x")))
row("a Response of a call in flight", PARKED + frame(1, RESPONSE, 0, b""))
row("an empty frame of an unknown type", frame(0, 99, 0, b""))
row("a million bytes of an unknown type", frame(1, 77, 0, b"\xff" * 1000000))
row("a Request without data", request(1, b""), (1, UNKNOWN, "service "))
row("unary with flag remote closed", call(b"Version", flags=1), (1, 0, ""))
row("unary with every flag", call(b"Version", flags=255), (1, 0, ""))

# --- lengths

row("4 MiB and 1 byte", header(4 * MIB + 1, 1, REQUEST) +
    b"\0" * (4 * MIB + 1), (1, FULL, "exceeds the maximum"))
row("16 MiB less 1 byte", header(16 * MIB - 1, 1, REQUEST) +
    b"\0" * (16 * MIB - 1), (1, FULL, "exceeds the maximum"))
row("a length of 4 GiB less 1", header(0xffffffff, 1, REQUEST), CLOSE)
row("a small method with a large frame", call(b"State", b"\0" * (300 << 10)),
    (1, FULL, "exceeds the maximum"))
row("an unknown method with a large frame",
    call(b"Nope", b"\0" * (300 << 10)), (1, FULL, "exceeds the maximum"))
row("a small method with a large frame, method last",
    request(1, field(3, b"\0" * (300 << 10)) + field(1, SERVICE) +
            field(2, b"State")), (1, FULL, "exceeds the maximum"))
row("a large Data frame on no stream", frame(1, DATA, 0, b"\0" * (3 * MIB)),
    (1, INVALID, "no longer active"))
row("an oversize Data frame on a call in flight",
    PARKED + header(5 * MIB, 1, DATA) + b"\0" * (5 * MIB),
    (1, FULL, "exceeds the maximum"))
row("half a header, then the end", [b"\0\0\0\x05\0", EOF], CLOSE)
row("a frame cut off by the end", [VERSION[:-3], EOF], CLOSE)
row("an oversize frame cut off by the end",
    [header(5 * MIB, 1, REQUEST) + b"\0" * MIB, EOF], CLOSE)
row("an answer and then a frame cut off",
    [VERSION + call(b"Version", stream=3)[:20], EOF], (1, 0, ""), CLOSE)
row("nothing at all", [EOF], CLOSE)

# --- Data and streams

row("Data on no stream", frame(1, DATA, 0, b"x"),
    (1, INVALID, "no longer active"))
row("Data on an even stream", frame(2, DATA, 0, b"x"),
    (2, INVALID, "no longer active"))
row("the end of no stream", frame(1, DATA, 5, b""),
    (1, INVALID, "no longer active"))
row("Data on a unary call in flight", PARKED + frame(1, DATA, 0, b"x"),
    (1, INVALID, "Data on a unary call"))
row("Data twice on a unary call in flight",
    PARKED + frame(1, DATA, 0, b"x") * 2,
    (1, INVALID, "Data on a unary call"), (1, INVALID, "no longer active"))
row("the end of a unary call in flight", PARKED + frame(1, DATA, 5, b""),
    (1, INVALID, "Data on a unary call"))
row("Data on a unary call that is over", VERSION + frame(1, DATA, 1, b"x"),
    (1, 0, ""), (1, INVALID, "no longer active"))
row("Data on a stream that the client closed",
    STREAM + frame(1, DATA, 0, b"x"), (1, INVALID, "stream closed"))
row("Data with an end on a stream that is open",
    STREAM_OPEN + frame(1, DATA, 1, b"x"), (1, INVALID, "one message"))
row("an empty message on a stream that is open",
    STREAM_OPEN + frame(1, DATA, 0, b""), (1, INVALID, "one message"))
row("a half-close, then Data",
    STREAM_OPEN + frame(1, DATA, 5, b"") + frame(1, DATA, 0, b"x"),
    (1, INVALID, "stream closed"))
row("two half-closes", STREAM_OPEN + frame(1, DATA, 5, b"") * 2,
    (1, INVALID, "stream closed"))
row("a half-close that has data", STREAM_OPEN + frame(1, DATA, 5, b"x"),
    (1, INVALID, "one message"))
row("64 faults", call(b"Version", stream=2) * 64,
    *[(2, INVALID, "must be odd")] * 64, CLOSE)

# --- the envelope

row("a field that is cut off", request(1, b"\x0a\x20nsexec"),
    (1, INVALID, "unmarshal request error"))
row("a length of 2^63", request(1, b"\x0a" + varint(1 << 63)),
    (1, INVALID, "unmarshal request error"))
row("a number of 11 bytes", request(1, b"\x20" + b"\xff" * 10 + b"\x01"),
    (1, INVALID, "unmarshal request error"))
row("a number that never ends", request(1, b"\x20" + b"\x80" * 4000),
    (1, INVALID, "unmarshal request error"))
row("field number 0", request(1, b"\x02\x00"),
    (1, INVALID, "unmarshal request error"))
row("a field number of 32 bits", request(1, varint((1 << 35) | 2) + b"\0"),
    (1, INVALID, "unmarshal request error"))
row("a group", request(1, b"\x0b\x0c"),
    (1, INVALID, "unmarshal request error"))
row("wire type 7", request(1, b"\x0f\x00"),
    (1, INVALID, "unmarshal request error"))
row("the service as a number", request(1, field(1, 7)),
    (1, INVALID, "wrong wire type"))
row("the timeout as text", request(1, envelope(b"Version", extra=b"\x22\0")),
    (1, INVALID, "wrong wire type"))
row("two methods", request(1, envelope(b"Version", extra=field(2, b"Run"))),
    (1, INVALID, "method is given twice"))
row("two payloads", request(1, envelope(b"Version", extra=field(3, b""))),
    (1, INVALID, "payload is given twice"))
row("65 unknown fields",
    request(1, envelope(b"Version", extra=field(99, 1) * 65)),
    (1, INVALID, "unknown fields"))
row("64 unknown fields are ignored",
    request(1, envelope(b"Version", extra=field(99, 1) * 64)), (1, 0, ""))
row("100,000 metadata pairs",
    request(1, envelope(b"Version", extra=field(5, b"") * 100000)),
    (1, FULL, "decoding"))
row("a metadata pair that is cut off",
    request(1, envelope(b"Version", extra=field(5, b"\x0a\x05x"))),
    (1, INVALID, "unmarshal request error"))
row("no service", request(1, field(2, b"Version")), (1, UNKNOWN, "service "))
row("another service",
    request(1, envelope(b"Version", service=b"nsexec.v2.Nsexec")),
    (1, UNKNOWN, "service nsexec.v2.Nsexec"))
row("no method", request(1, field(1, SERVICE)), (1, UNKNOWN, "method "))
row("an unknown method", call(b"Checkpoint"),
    (1, UNKNOWN, "method Checkpoint"))
row("a method in another case", call(b"version"),
    (1, UNKNOWN, "method version"))
row("a method with a slash", call(b"/nsexec.v1.Nsexec/Version"),
    (1, UNKNOWN, "method /nsexec"))
row("a method that is no UTF-8", call(b"\xff\xfe\n"),
    (1, UNKNOWN, "method \\xff\\xfe\\x0a"))
row("a method with a NUL byte", call(b"Version\0x"),
    (1, INVALID, "a NUL byte in a text"))
row("an id with a NUL byte", call(b"State", field(1, b"a\0b")),
    (1, INTERNAL, "field id: a NUL byte in a text"))
row("a name with a NUL byte", spec(field(2, b"a\0b")),
    (1, INTERNAL, "field name: a NUL byte in a text"))
row("a label with a NUL byte", spec(field(17, b"A=b\0c")),
    (1, INTERNAL, "field labels: a NUL byte in a text"))
row("a method of 200,000 bytes", call(b"M" * 200000),
    (1, UNKNOWN, "method MMMM"))
row("a timeout below 0",
    request(1, envelope(b"Version", extra=field(4, -1))),
    (1, DEADLINE, "deadline exceeded"))
row("the lowest timeout",
    request(1, envelope(b"NextEvents", extra=field(4, -(1 << 63)))),
    (1, DEADLINE, "deadline exceeded"))
row("a timeout of 1 ns",
    request(1, envelope(b"NextEvents", field(2, 60000), extra=field(4, 1))),
    (1, DEADLINE, "deadline exceeded"))
row("the highest timeout",
    request(1, envelope(b"Version", extra=field(4, (1 << 63) - 1))),
    (1, 0, ""))

# --- the payload's wire

row("a payload that is cut off", call(b"State", b"\x0a\x05x"),
    (1, INTERNAL, "unmarshal payload error"))
row("a payload of zeros", call(b"Run", b"\0" * 1000),
    (1, INTERNAL, "unmarshal payload error"))
row("a payload of random bytes", call(b"Run", bytes(range(255, 0, -1))),
    (1, INTERNAL, "unmarshal payload error"))
row("an id given as a number", call(b"State", field(1, 7)),
    (1, INTERNAL, "field id: wrong wire type"))
row("an id given twice", call(b"Delete", field(1, b"a") + field(1, b"b")),
    (1, INTERNAL, "field id is given twice"))
row("a uid given twice", spec(process=field(4, 1000) + field(4, 0)),
    (1, INTERNAL, "field uid is given twice"))
row("two specs in one Run",
    call(b"Run", field(1, b"") + field(1, b"")),
    (1, INTERNAL, "field spec is given twice"))
row("a group inside a spec", call(b"Run", field(1, b"\x0b\x0c")),
    (1, INTERNAL, "unmarshal payload error"))
row("a packed list that is cut off", spec(process=field(6, b"\x01\xff")),
    (1, INTERNAL, "field groups: a number is cut off"))
row("a million empty namespaces",
    call(b"Run", field(1, field(3, b"") * 1000000)), (1, FULL, "decoding"))
row("a million empty arguments", spec(args=(), process=field(1, b"") *
                                      1000000), (1, FULL, "decoding"))
row("a million groups", spec(process=field(6, b"\x01" * 3000000)),
    (1, FULL, "decoding"))
row("65 unknown fields in a spec",
    call(b"Run", field(1, field(999, 1) * 65)),
    (1, INTERNAL, "unknown fields"))

# --- requests that are well formed and wrong

row("a Run without a spec", call(b"Run"), (1, INVALID, "spec"))
row("a spec without a process", call(b"Run", field(1, field(1, b"a"))),
    (1, INVALID, "process"))
row("no arguments", spec(args=()), (1, INVALID, "args"))
row("an argument with a NUL byte", spec(args=(b"/bin/true", b"a\0b")),
    (1, INVALID, "NUL"))
row("an argument over 128 KiB", spec(args=(b"/bin/true", b"a" * (1 << 17))),
    (1, INVALID, "args"))
row("more than 2 MiB of environment",
    spec(process=b"".join(field(2, b"V%d=" % i + b"x" * 65000)
                          for i in range(33))), (1, INVALID, "env"))
row("an environment entry without a name", spec(process=field(2, b"=x")),
    (1, INVALID, "env"))
row("an environment entry without =", spec(process=field(2, b"PATH")),
    (1, INVALID, "env"))
row("an environment name given twice",
    spec(process=field(2, b"A=1") + field(2, b"A=2")), (1, INVALID, "env"))
row("runc's own environment names",
    spec(process=field(2, b"_LIBCONTAINER_INITPIPE=3")),
    (1, INVALID, "_LIBCONTAINER_"))
row("an id that is a path", spec(field(1, b"../x")), (1, INVALID, "id"))
row("an id of 65 bytes", spec(field(1, b"a" * 65)), (1, INVALID, "id"))
row("an empty id", spec(field(1, b"")), (1, INVALID, "id"))
row("an id with a newline", spec(field(1, b"a\nb")), (1, INVALID, "id"))
row("a name that is no UTF-8", spec(field(2, b"a\xff")),
    (1, INVALID, "name"))
row("a namespace without a kind", spec(field(3, field(2, 1))),
    (1, INVALID, "kind"))
row("a namespace kind that is none", spec(namespace(9, field(2, 1))),
    (1, INVALID, "kind"))
row("a namespace with no way to it", spec(namespace(4)),
    (1, INVALID, "namespaces"))
row("a namespace with two ways to it",
    spec(namespace(4, field(2, 1), field(3, b"/proc/1/ns/net"))),
    (1, INVALID, "namespaces"))
row("one namespace kind twice", spec(USER, USER), (1, INVALID, "namespaces"))
row("a namespace path that is relative",
    spec(namespace(4, field(3, b"net"))), (1, INVALID, "absolute"))
row("a namespace path with a NUL byte",
    spec(namespace(4, field(3, b"/a\0b"))), (1, INVALID, "NUL"))
row("a namespace of pid 0", spec(namespace(4, field(4, field(1, 0)))),
    (1, INVALID, "pid"))
row("a namespace of pid -1", spec(namespace(4, field(4, field(1, -1)))),
    (1, INVALID, "pid"))
row("a namespace by a descriptor that was not sent",
    spec(namespace(4, field(5, 0))), (1, INVALID, "fd_index"))
row("id maps without a user namespace", spec(maps(mapping(0, 0, 1))),
    (1, INVALID, "id_maps"))
row("an id map row of size 0", spec(USER, maps(mapping(0, 1000, 0))),
    (1, INVALID, "uid[0]"))
row("id map rows that overlap",
    spec(USER, maps(mapping(0, 1000, 10), mapping(5, 2000, 10))),
    (1, INVALID, "uid"))
row("an id map row beyond 32 bits",
    spec(USER, maps(mapping(0, 4294967290, 10))), (1, INVALID, "uid[0]"))
row("341 id map rows",
    spec(USER, maps(*[mapping(i, i, 1) for i in range(341)])),
    (1, INVALID, "uid"))
row("an id map preset that is none", spec(USER, maps(preset=99)),
    (1, INVALID, "preset"))
row("a root directory without a mnt namespace", spec(field(10, b"/tmp")),
    (1, INVALID, "rootfs"))
row("a mount without a mnt namespace",
    spec(field(13, field(1, 3) + field(3, b"/proc"))), (1, INVALID, "mount"))
row("a mount on a relative path",
    spec(MNT, field(13, field(1, 3) + field(3, b"proc"))),
    (1, INVALID, "absolute"))
row("65 mounts",
    spec(MNT, field(13, field(1, 3) + field(3, b"/proc")) * 65),
    (1, INVALID, "mounts"))
row("a hostname without a uts namespace", spec(field(7, b"h")),
    (1, INVALID, "hostname"))
row("a hostname of 65 bytes",
    spec(namespace(3, field(2, 1)), field(7, b"h" * 65)),
    (1, INVALID, "hostname"))
row("time offsets without a time namespace", spec(field(5, field(1, 1))),
    (1, INVALID, "monotonic"))
row("a working directory that is relative", spec(process=field(3, b"tmp")),
    (1, INVALID, "cwd"))
row("a uid that stands for none",
    spec(process=field(4, 0xffffffff) + field(5, 0)), (1, INVALID, "uid"))
row("1,025 groups", spec(process=field(6, b"\x01" * 1025)),
    (1, INVALID, "groups"))
row("a resource limit that is none",
    spec(process=field(10, field(1, 99) + field(2, 1) + field(3, 1))),
    (1, INVALID, "rlimits"))
row("a resource limit whose soft part is over the hard",
    spec(process=field(10, field(1, 7) + field(2, 9) + field(3, 1))),
    (1, INVALID, "rlimits"))
row("a resource limit given twice",
    spec(process=field(10, field(1, 7) + field(2, 1) + field(3, 1)) * 2),
    (1, INVALID, "rlimits"))
row("a nice value of 20", spec(process=field(12, 20)), (1, INVALID, "nice"))
row("an oom_score_adj of 1001", spec(process=field(13, 1001)),
    (1, INVALID, "oom_score_adj"))
row("a umask over 0777", spec(process=field(11, 0o1000)),
    (1, INVALID, "umask"))
row("stdio by a descriptor that was not sent",
    spec(process=field(14, field(1, 2) + field(2, 0))),
    (1, INVALID, "fd_index"))
row("a capability that does not exist",
    spec(process=field(8, field(2, 1 << 63))), (1, INVALID, "capabilit"))
row("a key that is too short", spec(outer=field(2, b"k")),
    (1, INVALID, "key"))
row("an fd token that is too short",
    spec(outer=field(3, b"t") + field(4, 1)), (1, INVALID, "fd_token"))
row("descriptors without a token", spec(outer=field(4, 1)),
    (1, INVALID, "fd_token"))
row("33 descriptors", spec(outer=field(3, b"t" * 16) + field(4, 33)),
    (1, INVALID, "n_fds"))
row("a List of a state that is none", call(b"List", field(1, 5)),
    (1, INVALID, "states"))
row("a List of state 0 among others", call(b"List", field(1, b"\2\0\3")),
    (1, INVALID, "states"))
row("a Cancel with a key that is too short",
    call(b"Cancel", field(1, b"nope") + field(2, b"k")), (1, INVALID, "key"))
row("an epoch that is too short",
    call(b"NextEvents", field(1, field(1, b"e"))), (1, INVALID, "epoch"))
row("a State without an id", call(b"State"), (1, INVALID, "id"))
row("a State of an id that is a path", call(b"State", field(1, b"../..")),
    (1, INVALID, "id"))
row("a State of nothing", call(b"State", field(1, b"nope")),
    (1, NOT_FOUND, "nope"))
row("a Start of nothing", call(b"Start", field(1, b"nope")),
    (1, NOT_FOUND, "nope"))
row("a Wait for nothing", call(b"Wait", field(1, b"nope")),
    (1, NOT_FOUND, "nope"))
row("a Delete of nothing", call(b"Delete", field(1, b"nope")),
    (1, NOT_FOUND, "nope"))
row("a Signal to nothing", call(b"Signal", field(1, b"nope") + field(2, 9)),
    (1, NOT_FOUND, "nope"))
row("a Signal of 65 to nothing",
    call(b"Signal", field(1, b"nope") + field(2, 65)),
    (1, NOT_FOUND, "nope"))
row("an Exec into nothing",
    call(b"Exec", field(1, b"nope") + field(2, field(1, b"/bin/true"))),
    (1, NOT_FOUND, "nope"))
row("a Cancel of neither an id nor a key", call(b"Cancel"),
    (1, INVALID, "id"))
row("more events than one answer may have",
    call(b"NextEvents", field(2, 0) + field(3, 0xffffffff)), (1, 0, ""))
row("a wait for events of 49 days, given up after 1 ns",
    call(b"NextEvents", field(2, 0xffffffff), extra=field(4, 1)),
    (1, DEADLINE, "deadline exceeded"))
