#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The table of hostile bootstrap messages, and seeds for the fuzzer.

Each row is one way to be wrong: name, dialect (or NX:EXEC), the errno that the
decoder must return, the exact text of the refusal, the bytes. Shares no code
with the codec. Run without arguments it rewrites hostile_bootstrap.txt beside
it; with --corpus DIR it writes every message as a seed there. In the text file
bytes are hexadecimal, "HH*N" is a byte N times.
"""
import os
import re
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
START, EXEC = 62000, 62001
NET, UTS, MNT, USER = 0x40000000, 0x04000000, 0x00020000, 0x10000000
rows = []


def a(number, value, length=None, pad=b"\0"):
    """One attribute; length overrides nla_len, pad the padding byte."""
    n = 4 + len(value) if length is None else length
    raw = struct.pack("=HH", n, number) + value
    return raw + pad * (-len(raw) % 4)


def u32(number, value):
    return a(number, struct.pack("=I", value))


def text(number, value):
    return a(number, value + b"\0")


def header(length, kind=START, flags=1, seq=1, pid=0):
    return struct.pack("=IHHII", length, kind, flags, seq, pid)


def m(*attrs, kind=START):
    body = b"".join(attrs)
    return header(16 + len(body), kind) + body


def bad(name, dialect, why, data, code="EBADMSG"):
    rows.append((name, dialect, code, why, data))


CLONE = u32(27281, 0)
UIDMAP = text(27283, b"0 1000 1\n")

# --- the header
bad("empty datagram", "M3", "message: shorter than its 16 byte header", b"")
bad("half a header", "M3", "message: shorter than its 16 byte header",
    header(16)[:15])
bad("length 0", "M3", "message: length below 16", header(0))
bad("length below the header", "M3", "message: length below 16", header(15))
bad("length of 4 GiB", "M3", "message: length over 131072",
    header(0xffffffff))
bad("length over 128 KiB", "M3", "message: length over 131072",
    header(131076) + bytes(131060))
bad("length beyond the datagram", "M3",
    "message: length beyond the bytes that came", header(24) + CLONE[:4])
bad("bytes after the message", "M3", "message: bytes after its end",
    header(24) + CLONE + bytes(4))
bad("NLMSG_ERROR", "M3", "message: type 2 is NLMSG_ERROR",
    m(CLONE, kind=2))
bad("another type", "M3", "message: type 62001, must be 62000",
    m(CLONE, kind=62001))
bad("type 0", "M3", "message: type 0, must be 62000", m(CLONE, kind=0))
bad("START where EXEC is due", "NX:EXEC",
    "message: type 62000, must be 62001", m(CLONE))
bad("odd length in a dialect of padded bools", "M3",
    "message: length 25 is no multiple of 4", m(CLONE, b"\0"))
bad("two stray bytes in 2016", "D2",
    "message: less than an attribute header at offset 24",
    m(CLONE, b"\0\0"))

# --- the chain of attributes
bad("nla_len 0, which runc reads for ever", "M3",
    "attribute clone flags (27281): nla_len below 4 at offset 16",
    m(a(27281, bytes(4), length=0)))
bad("nla_len 3", "M3",
    "attribute clone flags (27281): nla_len below 4 at offset 16",
    m(a(27281, bytes(4), length=3)))
bad("nla_len beyond the message", "M3",
    "attribute clone flags (27281): nla_len beyond the message at offset 16",
    m(a(27281, bytes(4), length=12)))
bad("nla_len 65535 in a short message", "M3",
    "attribute namespace paths (27282): nla_len beyond the message at "
    "offset 24", m(CLONE, a(27282, b"net:/a\0\0", length=65535)))
bad("nla_len wraps as in CVE-2021-43784", "M3",
    "attribute namespace paths (27282): does not end in NUL",
    m(u32(27281, NET), a(27282, u32(27281, 0) + b"x" * 65527 , length=4)))
bad("stray bytes after the last attribute", "M3",
    "message: nla_len below 4 at offset 24", m(CLONE, bytes(4)))
bad("padding not zero", "M3",
    "attribute oom score adj (27286): padding is not zero at offset 24",
    m(CLONE, a(27286, b"7\0", pad=b"\1")))
bad("unknown attribute", "M3",
    "attribute 27299: dialect M3 has no attribute of this number",
    m(CLONE, u32(27299, 0)))
bad("attribute number 0", "M3",
    "message: dialect M3 has no attribute of this number",
    m(CLONE, u32(0, 0)))
bad("number with NLA_F_NESTED", "M3",
    "attribute 60049: dialect M3 has no attribute of this number",
    m(u32(27281 | 0x8000, 0)))
bad("number without its bit 14", "M3",
    "attribute 10897: dialect M3 has no attribute of this number",
    m(u32(27281 & 0x3fff, 0)))
bad("our attribute in runc's dialect", "M3",
    "attribute 28001: dialect M3 has no attribute of this number",
    m(CLONE, text(28001, b"c")))
bad("attribute twice", "M3", "attribute clone flags (27281): is there twice",
    m(u32(27281, NET), CLONE))
bad("rootless in D1", "D1",
    "attribute 27287: dialect D1 has no attribute of this number",
    m(CLONE, u32(27287, 0)))
bad("idmap sources, never released", "M3",
    "attribute 27291: dialect M3 has no attribute of this number",
    m(CLONE, text(27291, b"x")))
bad("time offsets of M3 in M1", "M1",
    "attribute 27290: dialect M1 has no attribute of this number",
    m(CLONE, text(27290, b"monotonic 1 0\n")))
bad("mount sources of M2 in M3", "M3",
    "attribute time offsets (27290): has a NUL inside",
    m(CLONE, a(27290, b"\0/src\0\0")))
bad("one mount source of M2 in M3", "M3",
    "attribute time offsets (27290): row 0 is not: clock seconds nanoseconds",
    m(CLONE, a(27290, b"/src\0")))
bad("time offsets of M3 in M2", "M2",
    "attribute mount sources (27290): its last source does not end in NUL",
    m(CLONE, text(27290, b"monotonic 1 0\n")))
bad("ns paths of D2 read as a map", "M3",
    "attribute uid map (27283): row 0: container id is not a decimal number",
    m(CLONE, text(27283, b"net:/proc/1/ns/net")))
bad("uid map of M3 read as paths", "D2",
    "attribute namespace paths (27283): \"0 1000 1\\x0a\" is no type:path",
    m(CLONE, UIDMAP))

# --- scalars
bad("u32 of no bytes", "M3",
    "attribute clone flags (27281): value of 0 bytes, must be 4",
    m(a(27281, b"")))
bad("u32 of 3 bytes", "M3",
    "attribute clone flags (27281): value of 3 bytes, must be 4",
    m(a(27281, bytes(3))))
bad("u32 of 8 bytes", "M3",
    "attribute clone flags (27281): value of 8 bytes, must be 4",
    m(a(27281, bytes(8))))
bad("clone flags with CLONE_VM", "M3",
    "attribute clone flags (27281): 0x00000100 has bits that are no "
    "namespace (0x00000100)", m(u32(27281, 0x100)))
bad("clone flags with bit 31", "M3",
    "attribute clone flags (27281): 0xc0000000 has bits that are no "
    "namespace (0x80000000)", m(u32(27281, 0x80000000 | NET)))
bad("bool of 1 byte in M1", "M1",
    "attribute rootless (27287): bool of 1 bytes, must be 4",
    m(CLONE, a(27287, b"\1")))
bad("bool of no bytes", "M3",
    "attribute setgroup (27285): bool of 0 bytes, must be 4",
    m(CLONE, a(27285, b"")))
bad("bool of 4 bytes in 2016", "D2",
    "attribute setgroup (27286): bool of 4 bytes, must be 1",
    m(CLONE, u32(27286, 1)))
bad("padded bool in 2016", "D2",
    "attribute setgroup (27286): a bool of D2 has no padding and must be the "
    "last bytes of the message", m(CLONE, a(27286, b"\1")))
bad("bool before another attribute in M0", "M0",
    "attribute setgroup (27285): a bool of M0 has no padding and must be the "
    "last bytes of the message",
    m(CLONE, b"\5\0\x95\x6a\1", text(27286, b"5")[:8]))
bad("two bools of rc5", "M0",
    "attribute setgroup (27285): a bool of M0 has no padding and must be the "
    "last bytes of the message",
    m(CLONE, b"\5\0\x95\x6a\1", b"\5\0\x97\x6a\0"))
bad("text without its padding at the end", "D2",
    "attribute namespace paths (27283): its padding is missing",
    m(CLONE, a(27283, b"net:/abc\0")[:13]))

# --- texts
bad("text of no bytes", "M3",
    "attribute oom score adj (27286): does not end in NUL",
    m(CLONE, a(27286, b"")))
bad("text without NUL", "M3",
    "attribute namespace paths (27282): does not end in NUL",
    m(CLONE, a(27282, b"net:/abc")))
bad("empty text", "M3", "attribute newuidmap path (27288): is empty",
    m(CLONE, text(27288, b"")))
bad("NUL inside a text", "M3",
    "attribute newuidmap path (27288): has a NUL inside",
    m(CLONE, text(27288, b"/bin/true\0x")))
bad("two NULs at the end of a text", "M3",
    "attribute namespace paths (27282): has a NUL inside",
    m(CLONE, text(27282, b"net:/a\0")))
bad("empty console", "D2", "attribute console path (27282): is empty",
    m(CLONE, text(27282, b"")))

# --- namespace paths
bad("only commas", "M3", "attribute namespace paths (27282): has no path",
    m(CLONE, text(27282, b",,,")))
bad("empty paths attribute of runc", "M3",
    "attribute namespace paths (27282): is empty", m(CLONE, text(27282, b"")))
bad("path without type", "M3",
    "attribute namespace paths (27282): \"/proc/1/ns/net\" is no type:path",
    m(CLONE, text(27282, b"/proc/1/ns/net")))
bad("unknown namespace type", "M3",
    "attribute namespace paths (27282): \"mount\" is no namespace type of M3",
    m(CLONE, text(27282, b"mount:/proc/1/ns/mnt")))
bad("cgroup namespace in M0", "M0",
    "attribute namespace paths (27282): \"cgroup\" is no namespace type of M0",
    m(CLONE, text(27282, b"cgroup:/proc/1/ns/cgroup")))
bad("time namespace in M2", "M2",
    "attribute namespace paths (27282): \"time\" is no namespace type of M2",
    m(CLONE, text(27282, b"time:/proc/1/ns/time")))
bad("empty type", "M3",
    "attribute namespace paths (27282): \"\" is no namespace type of M3",
    m(CLONE, text(27282, b":/proc/1/ns/net")))
bad("type without path", "M3",
    "attribute namespace paths (27282): net has an empty path",
    m(CLONE, text(27282, b"uts:/a,net:")))
bad("control bytes in a type are escaped", "M3",
    "attribute namespace paths (27282): \"n\\x1b[2J\" is no namespace type "
    "of M3", m(CLONE, text(27282, b"n\x1b[2J:/a")))

# --- id maps
for label, number in (("uid map", 27283), ("gid map", 27284)):
    bad("341 rows of " + label, "M3",
        "attribute %s (%d): 341 rows, at most 340" % (label, number),
        m(CLONE, text(number, b"0 0 0\n" * 341)))
bad("map text of 4,095 bytes", "M3",
    "attribute uid map (27283): 4095 bytes of text, at most 4094",
    m(CLONE, text(27283, b"0 0 1" + b" " * 4089 + b"\n")))
bad("empty map", "M3", "attribute uid map (27283): is empty",
    m(CLONE, text(27283, b"")))
bad("blank map", "M3",
    "attribute uid map (27283): row 0: container id is not a decimal number",
    m(CLONE, text(27283, b"  \n")))
bad("blank row in a map", "M3",
    "attribute uid map (27283): row 1: container id is not a decimal number",
    m(CLONE, text(27283, b"0 0 1\n\n1 1 1\n")))
bad("two numbers in a row", "M3",
    "attribute gid map (27284): row 1: size is not a decimal number",
    m(CLONE, text(27284, b"0 0 1\n1 1\n")))
bad("four numbers in a row", "M3",
    "attribute gid map (27284): row 0: text after the size",
    m(CLONE, text(27284, b"0 0 1 1\n")))
bad("negative id", "M3",
    "attribute uid map (27283): row 0: host id is not a decimal number",
    m(CLONE, text(27283, b"0 -1 1\n")))
bad("hexadecimal id", "M3",
    "attribute uid map (27283): row 0: host id is not a decimal number",
    m(CLONE, text(27283, b"0x0 1 1\n")))
bad("id above 32 bits", "M3",
    "attribute uid map (27283): row 0: host id is above 4294967295",
    m(CLONE, text(27283, b"0 4294967296 1\n")))
bad("id above 64 bits", "M3",
    "attribute uid map (27283): row 0: size is above 4294967295",
    m(CLONE, text(27283, b"0 0 99999999999999999999999\n")))
bad("row of size 0", "M3", "attribute uid map (27283): row 0: size is 0",
    m(CLONE, text(27283, b"0 0 0\n")))
bad("row beyond the ids", "M3",
    "attribute uid map (27283): row 0: container ids 4294967295+1 go beyond "
    "4294967294", m(CLONE, text(27283, b"4294967295 0 1\n")))
bad("host ids that wrap", "M3",
    "attribute uid map (27283): row 0: host ids 4294967290+10 go beyond "
    "4294967294", m(CLONE, text(27283, b"0 4294967290 10\n")))
bad("rows overlap inside", "M3",
    "attribute uid map (27283): row 1: container ids 9..18 overlap row 0 "
    "(0..9)", m(CLONE, text(27283, b"0 100 10\n9 200 10\n")))
bad("rows overlap outside", "M3",
    "attribute gid map (27284): row 1: host ids 105..105 overlap row 0 "
    "(100..109)", m(CLONE, text(27284, b"0 100 10\n10 105 1\n")))

# --- oom, time offsets, mount sources
bad("oom above 1000", "M3",
    "attribute oom score adj (27286): is out of range -1000..1000",
    m(CLONE, text(27286, b"1001")))
bad("oom below -1000", "M3",
    "attribute oom score adj (27286): is out of range -1000..1000",
    m(CLONE, text(27286, b"-1001")))
bad("oom with a line feed", "M3",
    "attribute oom score adj (27286): is not a decimal number",
    m(CLONE, text(27286, b"5\n")))
bad("oom of letters", "M3",
    "attribute oom score adj (27286): is not a decimal number",
    m(CLONE, text(27286, b"max")))
bad("third clock", "M3",
    "attribute time offsets (27290): row 0: the clock is neither monotonic "
    "nor boottime", m(CLONE, text(27290, b"realtime 1 0\n")))
bad("clock twice", "M3",
    "attribute time offsets (27290): row 1: that clock is there twice",
    m(CLONE, text(27290, b"boottime 1 0\nboottime 1 0\n")))
bad("offset of two words", "M3",
    "attribute time offsets (27290): row 0 is not: clock seconds nanoseconds",
    m(CLONE, text(27290, b"boottime 1\n")))
bad("offset of four words", "M3",
    "attribute time offsets (27290): row 0 is not: clock seconds nanoseconds",
    m(CLONE, text(27290, b"boottime 1 0 0\n")))
bad("seconds beyond the kernel's", "M3",
    "attribute time offsets (27290): row 0: seconds are not a number of "
    "-9223372036..9223372036",
    m(CLONE, text(27290, b"boottime 9223372037 0\n")))
bad("nanoseconds of a second", "M3",
    "attribute time offsets (27290): row 0: nanoseconds are not a number of "
    "0..999999999", m(CLONE, text(27290, b"boottime 1 1000000000\n")))
bad("empty offset row", "M3",
    "attribute time offsets (27290): row 1 is empty",
    m(CLONE, text(27290, b"boottime 1 1\n\n")))
bad("empty mount sources", "M2", "attribute mount sources (27290): is empty",
    m(CLONE, a(27290, b"\0")))
bad("mount sources without NUL", "M2",
    "attribute mount sources (27290): does not end in NUL",
    m(CLONE, a(27290, b"/src")))

# --- ours: what START and EXEC need
ID = text(28001, b"c")
ARGV = a(28003, b"sh\0")


def nx(*attrs, kind=START):
    return m(ID, ARGV, *attrs, kind=kind)


def roles(*numbers):
    return a(28002, struct.pack("=%dI" % len(numbers), *numbers))


CHANNEL = roles(1, 2, 3) + u32(28027, 2)
bad("no container", "NX", "attribute container (28001): is missing", m(ARGV))
bad("no program", "NX", "attribute argv (28003): is missing", m(ID))
bad("container is a path", "NX",
    "attribute container (28001): is no id (1 to 64 of A-Z a-z 0-9 _ . -, "
    "the first alphanumeric)", m(text(28001, b"../x"), ARGV))
bad("container of 65 bytes", "NX",
    "attribute container (28001): 65 bytes, at most 64",
    m(text(28001, b"c" * 65), ARGV))
bad("argv of no bytes", "NX", "attribute argv (28003): has no string",
    m(ID, a(28003, b"")))
bad("argv without NUL", "NX", "attribute argv (28003): does not end in NUL",
    m(ID, a(28003, b"sh\0-c")))
bad("env without equals", "NX",
    "attribute env (28004): entry 1 is no NAME=VALUE",
    nx(a(28004, b"A=1\0B\0")))
bad("env with an empty name", "NX",
    "attribute env (28004): entry 0 has an empty name",
    nx(a(28004, b"=1\0")))
bad("env without NUL", "NX", "attribute env (28004): does not end in NUL",
    nx(a(28004, b"A=1")))
block = lambda argc, envc, size: a(28005, struct.pack("=IIQ", argc, envc,
                                                      size))
bad("argv and an exec block", "NX",
    "attribute exec block (28005): stands beside argv",
    nx(roles(4), block(1, 0, 10)))
bad("env and an exec block", "NX",
    "attribute exec block (28005): stands beside env",
    m(ID, roles(4), block(1, 0, 10), a(28004, b"")))
bad("exec block of no argument", "NX",
    "attribute exec block (28005): argc is 0", m(ID, block(0, 1, 10)))
bad("exec block over 4 MiB", "NX",
    "attribute exec block (28005): 4194305 bytes, at most 4194304",
    m(ID, block(1, 0, 4194305)))
bad("exec block with more strings than bytes", "NX",
    "attribute exec block (28005): 4294967295 + 4294967295 strings do not "
    "fit into 4096 bytes", m(ID, block(0xffffffff, 0xffffffff, 4096)))
bad("short exec block", "NX",
    "attribute exec block (28005): value of 12 bytes, must be 16",
    m(ID, a(28005, bytes(12))))
bad("exec block without its fd", "NX",
    "attribute exec block (28005): no fd has its role",
    m(ID, block(1, 0, 10)))
bad("fd of an exec block without it", "NX",
    "attribute exec block (28005): an fd has its role, but it is missing",
    nx(roles(4)))
bad("fd role 0", "NX", "attribute fd roles (28002): fd 1: no role 0",
    nx(roles(1, 0)))
bad("unknown fd role", "NX", "attribute fd roles (28002): fd 0: no role 5",
    nx(roles(5)))
bad("fd role twice", "NX", "attribute fd roles (28002): fd 1: role 1 twice",
    nx(roles(1, 1)))
bad("too many fd roles", "NX",
    "attribute fd roles (28002): 6 entries, at most 5",
    nx(roles(1, 2, 3, 4, 1, 1)))
bad("fd roles of 6 bytes", "NX",
    "attribute fd roles (28002): value of 6 bytes, must be a multiple of 4",
    nx(a(28002, bytes(6))))
bad("EXEC without pid", "NX:EXEC", "attribute pid (28033): is missing",
    nx(kind=EXEC))
bad("START with pid", "NX", "attribute pid (28033): is for EXEC only",
    nx(u32(28033, 1)))
bad("pid 0", "NX:EXEC",
    "attribute pid (28033): 0 is out of range 1..2147483647",
    nx(u32(28033, 0), kind=EXEC))
bad("negative pid", "NX:EXEC",
    "attribute pid (28033): 4294967295 is out of range 1..2147483647",
    nx(u32(28033, 0xffffffff), kind=EXEC))


def join(how, flag, number=0, path=b"", start=0, inode=0, size=None):
    return struct.pack("=IIIIQQ", how, flag, number,
                       len(path) if size is None else size, start,
                       inode) + path


def joins(*records):
    return a(28006, b"".join(records))


# --- joins
bad("join cut in its head", "NX",
    "attribute joins (28006): ends inside a record, 4 bytes short",
    nx(a(28006, bytes(12))))
bad("join cut before its inode", "NX",
    "attribute joins (28006): ends inside a record, 8 bytes short",
    nx(joins(join(1, NET)[:24])))
bad("join path beyond the value", "NX",
    "attribute joins (28006): a text of 4294967295 bytes goes beyond the "
    "value", nx(joins(join(1, NET, path=b"/a\0", size=0xffffffff))))
bad("join path without NUL", "NX",
    "attribute joins (28006): a text has its NUL elsewhere than at its end",
    nx(joins(join(1, NET, path=b"/abc"))))
bad("join path with a NUL inside", "NX",
    "attribute joins (28006): a text has its NUL elsewhere than at its end",
    nx(joins(join(1, NET, path=b"/a\0b\0"))))
bad("join of an empty path", "NX", "attribute joins (28006): a text is empty",
    nx(joins(join(1, NET, path=b"\0"))))
bad("join without path", "NX",
    "attribute joins (28006): net: path is not absolute",
    nx(joins(join(1, NET))))
bad("join of a relative path", "NX",
    "attribute joins (28006): net: path is not absolute",
    nx(joins(join(1, NET, path=b"ns/net\0"))))
bad("join of two kinds at once", "NX",
    "attribute joins (28006): 0x44000000 is not one namespace kind",
    nx(joins(join(1, NET | UTS, path=b"/a\0"))))
bad("join of no kind", "NX",
    "attribute joins (28006): 0x00000000 is not one namespace kind",
    nx(joins(join(1, 0, path=b"/a\0"))))
bad("join of CLONE_VM", "NX",
    "attribute joins (28006): 0x00000100 is not one namespace kind",
    nx(joins(join(1, 0x100, path=b"/a\0"))))
bad("kind joined twice", "NX", "attribute joins (28006): joins net twice",
    nx(joins(join(1, NET, path=b"/a\0"), join(2, NET, 5))))
bad("kind joined by both attributes", "NX",
    "attribute joins (28006): joins net twice",
    nx(text(27282, b"net:/a"), joins(join(2, NET, 5))))
bad("kind joined twice by paths", "NX",
    "attribute namespace paths (27282): joins net twice",
    nx(text(27282, b"net:/a,net:/b")))
bad("relative ns path", "NX",
    "attribute namespace paths (27282): path of net is not absolute",
    nx(text(27282, b"net:a")))
bad("kind joined and created", "NX",
    "attribute clone flags (27281): uts is both created and joined",
    nx(u32(27281, NET | UTS), joins(join(2, UTS, 5))))
bad("unknown way of joining", "NX",
    "attribute joins (28006): net: no way 4 of joining",
    nx(joins(join(4, NET))))
bad("join of pid 0", "NX", "attribute joins (28006): net: pid 0",
    nx(joins(join(2, NET, 0))))
bad("join of a negative pid", "NX",
    "attribute joins (28006): net: pid 2147483648",
    nx(joins(join(2, NET, 0x80000000))))
bad("join by path and pid", "NX",
    "attribute joins (28006): net: a path and a process or fd",
    nx(joins(join(1, NET, 5, path=b"/a\0"))))
bad("join by pid and path", "NX",
    "attribute joins (28006): net: a path and a process or fd",
    nx(joins(join(2, NET, 5, path=b"/a\0"))))
bad("join by fd and inode", "NX",
    "attribute joins (28006): net: an fd and a process",
    nx(CHANNEL, joins(join(3, NET, 0, inode=5))))
bad("join by an fd that is not announced", "NX",
    "attribute joins (28006): fd index 2, but 2 fds are announced",
    nx(CHANNEL, joins(join(3, NET, 2))))
bad("nine joins", "NX", "attribute joins (28006): more than 8 joins",
    nx(joins(*[join(2, f, 5) for f in (
        USER, 0x08000000, UTS, NET, 0x20000000, MNT, 0x02000000, 0x80)],
        join(2, USER, 5))))

# --- identity and limits
bad("relative cwd", "NX", "attribute cwd (28007): path is not absolute",
    nx(text(28007, b"tmp")))
bad("cwd of 4,096 bytes", "NX",
    "attribute cwd (28007): 4096 bytes, at most 4095",
    nx(text(28007, b"/" * 4096)))
bad("uid -1", "NX",
    "attribute uid (28008): 4294967295 is out of range 0..4294967294",
    nx(u32(28008, 0xffffffff)))
bad("gid -1", "NX",
    "attribute gid (28009): 4294967295 is out of range 0..4294967294",
    nx(u32(28009, 0xffffffff)))
bad("group -1", "NX",
    "attribute groups (28010): group 1 is 4294967295, which is no id",
    nx(a(28010, struct.pack("=II", 5, 0xffffffff))))
bad("1,025 groups", "NX",
    "attribute groups (28010): 1025 entries, at most 1024",
    nx(a(28010, bytes(4 * 1025))))
bad("groups of 7 bytes", "NX",
    "attribute groups (28010): value of 7 bytes, must be a multiple of 4",
    nx(a(28010, bytes(7))))
bad("our bool of 2", "NX",
    "attribute keep groups (28011): bool is 2, not 0 or 1",
    nx(u32(28011, 2)))
bad("our bool of 16777216", "NX",
    "attribute no new privs (28013): bool is 16777216, not 0 or 1",
    nx(u32(28013, 1 << 24)))
bad("short capabilities", "NX",
    "attribute capabilities (28012): value of 44 bytes, must be 48",
    nx(a(28012, bytes(44))))
bad("sixth capability set", "NX",
    "attribute capabilities (28012): 0x20 names no capability set",
    nx(a(28012, struct.pack("=II5Q", 32, 0, 0, 0, 0, 0, 0))))
bad("capabilities with reserved bits", "NX",
    "attribute capabilities (28012): reserved field is not 0",
    nx(a(28012, struct.pack("=II5Q", 1, 1, 0, 0, 0, 0, 0))))


def rlimit(resource, soft, hard, reserved=0):
    return struct.pack("=IIQQ", resource, reserved, soft, hard)


bad("resource 16", "NX",
    "attribute resource limits (28014): entry 0: no resource 16, at most 15",
    nx(a(28014, rlimit(16, 0, 0))))
bad("soft limit above hard limit", "NX",
    "attribute resource limits (28014): entry 0: soft limit above hard limit",
    nx(a(28014, rlimit(7, 2, 1))))
bad("resource twice", "NX",
    "attribute resource limits (28014): entry 1: resource 7 twice",
    nx(a(28014, rlimit(7, 1, 1) + rlimit(7, 1, 1))))
bad("resource limit with reserved bits", "NX",
    "attribute resource limits (28014): entry 0: reserved field is not 0",
    nx(a(28014, rlimit(7, 1, 1, 1))))
bad("17 resource limits", "NX",
    "attribute resource limits (28014): 17 entries, at most 16",
    nx(a(28014, bytes(24 * 17))))
bad("resource limits of 25 bytes", "NX",
    "attribute resource limits (28014): value of 25 bytes, must be a multiple "
    "of 24", nx(a(28014, bytes(25))))
bad("umask 01000", "NX",
    "attribute umask (28015): 512 is out of range 0..511",
    nx(u32(28015, 0o1000)))
bad("nice 20", "NX", "attribute nice (28016): 20 is out of range -20..19",
    nx(u32(28016, 20)))
bad("nice -21", "NX", "attribute nice (28016): -21 is out of range -20..19",
    nx(u32(28016, 0xffffffeb)))
bad("nice of 8 bytes", "NX",
    "attribute nice (28016): value of 8 bytes, must be 4",
    nx(a(28016, bytes(8))))
bad("hostname of 65 bytes", "NX",
    "attribute hostname (28017): 65 bytes, at most 64",
    nx(text(28017, b"h" * 65)))
bad("empty domain name", "NX", "attribute domain name (28018): is empty",
    nx(text(28018, b"")))
bad("parent death signal 0", "NX",
    "attribute parent death signal (28030): 0 is out of range 1..64",
    nx(u32(28030, 0)))
bad("parent death signal 65", "NX",
    "attribute parent death signal (28030): 65 is out of range 1..64",
    nx(u32(28030, 65)))
bad("gate 3", "NX", "attribute gate (28029): 3 is out of range 0..2",
    nx(u32(28029, 3)))
bad("setgroups mode 0", "NX",
    "attribute setgroups mode (28031): 0 is out of range 1..3",
    nx(u32(28031, 0)))
bad("phase timeout 0", "NX",
    "attribute phase timeout (28032): 0 is out of range 1..60000",
    nx(u32(28032, 0)))
bad("phase timeout of an hour", "NX",
    "attribute phase timeout (28032): 3600000 is out of range 1..60000",
    nx(u32(28032, 3600000)))

# --- root, mounts
bad("relative root", "NX",
    "attribute root file system (28020): path is not absolute",
    nx(text(28020, b"root")))
bad("propagation 0", "NX",
    "attribute propagation (28022): 0 is out of range 1..4",
    nx(u32(28022, 0)))


def mount(kind, flags=0, source=b"", destination=b"/d\0", data=b"",
          sizes=None):
    sizes = sizes or (len(source), len(destination), len(data))
    return struct.pack("=5I", kind, flags, *sizes) + source + destination + data


def mounts(*records):
    return a(28024, b"".join(records))


bad("mount kind 0", "NX", "attribute mounts (28024): mount 0: no kind 0",
    nx(mounts(mount(0))))
bad("mount kind 9", "NX", "attribute mounts (28024): mount 1: no kind 9",
    nx(mounts(mount(2), mount(9))))
bad("unknown mount flags", "NX",
    "attribute mounts (28024): mount 0: unknown flags 0x20",
    nx(mounts(mount(2, 32))))
bad("bind without source", "NX",
    "attribute mounts (28024): mount 0: source of a bind is not absolute",
    nx(mounts(mount(1))))
bad("bind of a relative source", "NX",
    "attribute mounts (28024): mount 0: source of a bind is not absolute",
    nx(mounts(mount(1, source=b"s\0"))))
bad("tmpfs with a source", "NX",
    "attribute mounts (28024): mount 0: only a bind has a source",
    nx(mounts(mount(2, source=b"/s\0"))))
bad("mount without destination", "NX",
    "attribute mounts (28024): mount 0: destination is not absolute",
    nx(mounts(mount(2, destination=b""))))
bad("relative mount destination", "NX",
    "attribute mounts (28024): mount 0: destination is not absolute",
    nx(mounts(mount(2, destination=b"d\0"))))
bad("mount destination with ..", "NX",
    "attribute mounts (28024): mount 0: \"..\" in the destination",
    nx(mounts(mount(2, destination=b"/a/../../b\0"))))
bad("mount destination ending in ..", "NX",
    "attribute mounts (28024): mount 0: \"..\" in the destination",
    nx(mounts(mount(2, destination=b"/a/..\0"))))
bad("mount cut in its head", "NX",
    "attribute mounts (28024): ends inside a record, 16 bytes short",
    nx(a(28024, bytes(4))))
bad("mount text beyond the value", "NX",
    "attribute mounts (28024): a text of 4096 bytes goes beyond the value",
    nx(mounts(mount(2, sizes=(0, 3, 4096)))))
bad("65 mounts", "NX", "attribute mounts (28024): more than 64 mounts",
    nx(mounts(*[mount(2)] * 65)))


def stdio(*records):
    return a(28025, b"".join(struct.pack("=3I", k, i, len(p)) + p
                             for k, i, p in records))


# --- descriptors
NULL = (1, 0, b"")
bad("stdio of two records", "NX",
    "attribute stdio (28025): ends inside a record, 12 bytes short",
    nx(stdio(NULL, NULL)))
bad("stdio of four records", "NX",
    "attribute stdio (28025): 12 bytes after its three records",
    nx(stdio(NULL, NULL, NULL, NULL)))
bad("stdio kind 0", "NX", "attribute stdio (28025): fd 0: no kind 0",
    nx(stdio((0, 0, b""), NULL, NULL)))
bad("stdio kind 4", "NX", "attribute stdio (28025): fd 2: no kind 4",
    nx(stdio(NULL, NULL, (4, 0, b""))))
bad("stdio path missing", "NX",
    "attribute stdio (28025): fd 1: path is not absolute",
    nx(stdio(NULL, (3, 0, b""), NULL)))
bad("stdio null with a path", "NX",
    "attribute stdio (28025): fd 0: a path, but kind 1",
    nx(stdio((1, 0, b"/a\0"), NULL, NULL)))
bad("stdio null with an index", "NX",
    "attribute stdio (28025): fd 0: an fd index, but kind 1",
    nx(stdio((1, 1, b""), NULL, NULL)))
bad("stdio fd that is not announced", "NX",
    "attribute stdio (28025): fd index 0, but 0 fds are announced",
    nx(stdio((2, 0, b""), NULL, NULL)))
bad("passed fd 2", "NX",
    "attribute passed fds (28026): entry 0: number 2 is out of range 3..1023",
    nx(CHANNEL, a(28026, struct.pack("=II", 0, 2))))
bad("passed fd 1024", "NX",
    "attribute passed fds (28026): entry 0: number 1024 is out of range "
    "3..1023", nx(CHANNEL, a(28026, struct.pack("=II", 0, 1024))))
bad("passed fd number twice", "NX",
    "attribute passed fds (28026): entry 1: number 3 twice",
    nx(CHANNEL, a(28026, struct.pack("=4I", 0, 3, 1, 3))))
bad("passed fd that is not announced", "NX",
    "attribute passed fds (28026): fd index 7, but 2 fds are announced",
    nx(CHANNEL, a(28026, struct.pack("=II", 7, 3))))
bad("33 passed fds", "NX",
    "attribute passed fds (28026): 33 entries, at most 32",
    nx(CHANNEL, a(28026, b"".join(struct.pack("=II", 0, 3 + i)
                                  for i in range(33)))))
bad("33 channel fds", "NX",
    "attribute number of channel fds (28027): 33 is out of range 0..32",
    nx(u32(28027, 33)))
bad("channel fds without the fd channel", "NX",
    "attribute number of channel fds (28027): fds or a pidfd are announced, "
    "but no fd has the role of the fd channel", nx(roles(1, 2),
                                                   u32(28027, 1)))
bad("pidfd asked for without the fd channel", "NX",
    "attribute number of channel fds (28027): fds or a pidfd are announced, "
    "but no fd has the role of the fd channel", nx(u32(28028, 1)))


def tokens(data):
    out = []
    for run in re.finditer(rb"(?s)(.)\1{15,}|(?:(?!(.)\2{15,}).)+", data):
        raw = run.group(0)
        if run.group(1):
            out.append("%02x*%d" % (raw[0], len(raw)))
        else:
            out.append(raw.hex())
    return " ".join(out) or "-"


def write_table():
    with open(os.path.join(HERE, "hostile_bootstrap.txt"), "w",
              encoding="utf-8") as out:
        out.write("# SPDX-License-Identifier: Apache-2.0\n"
                  "# Written by hostile_bootstrap.py. name TAB dialect TAB "
                  "errno TAB text TAB bytes\n")
        for name, dialect, code, why, data in rows:
            out.write("\t".join((name, dialect, code, why, tokens(data))) +
                      "\n")


def good():
    """Seeds that decode."""
    yield "D2", m(CLONE, text(27282, b"/dev/pts/1"),
                  text(27283, b"user:/proc/1/ns/user,net:/a:b"))
    yield "D1", m(CLONE, text(27283, b"/proc/1/ns/net"),
                  text(27284, b"0 1000 1\n"), text(27285, b"0 1000 1\n"),
                  b"\5\0\x96\x6a\1")
    yield "M0", m(u32(27281, USER), text(27283, b"0 0 1\n"),
                  text(27286, b"-5"), b"\5\0\x97\x6a\1")
    yield "M2", m(CLONE, u32(27287, 1), a(27290, bytes(6) + b"/src\0\0"))
    yield "M3", m(u32(27281, 0x30020080), text(27283, b"0 100000 65536\n"),
                  text(27284, b"0 100000 65536\n"), u32(27285, 1),
                  text(27286, b"500"), u32(27287, 0),
                  text(27290, b"monotonic 172800 0\nboottime 604800 0\n"))
    yield "NX", nx(CHANNEL, u32(27281, UTS), joins(
        join(1, NET, path=b"/run/netns/x\0"), join(3, MNT, 1)),
        a(28004, b"A=1\0"), text(28007, b"/"), u32(28008, 0),
        a(28010, bytes(8)),
        a(28012, struct.pack("=II5Q", 31, 0, 1, 2, 3, 4, 5)),
        a(28014, rlimit(7, 1, 2)), u32(28016, 0xfffffff6),
        mounts(mount(1, 31, b"/s\0"), mount(2, data=b"size=1M\0")),
        stdio(NULL, (2, 0, b""), (3, 0, b"/tmp/f\0")),
        a(28026, struct.pack("=II", 0, 3)), u32(28029, 2), u32(28032, 10000))
    yield "NX:EXEC", m(ID, roles(1, 2, 4), block(2, 3, 100), u32(28033, 7),
                       kind=EXEC)


def write_corpus(folder):
    index = {"D1": 0, "D2": 1, "M0": 2, "M1": 3, "M2": 4, "M3": 5, "NX": 6,
             "NX:EXEC": 0x86}
    # 0x86 and 0x7f: (6) % 7 = NX
    number = 0
    for dialect, data in good():
        with open(os.path.join(folder, "good-%02d" % number), "wb") as out:
            out.write(bytes([index[dialect]]) + data)
        number += 1
    for name, dialect, _, _, data in rows:
        if len(data) > 2048:
            continue
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        with open(os.path.join(folder, "bad-" + slug), "wb") as out:
            out.write(bytes([index[dialect]]) + data)


if __name__ == "__main__":
    names = [row[0] for row in rows]
    assert len(set(names)) == len(names), "a name twice"
    if len(sys.argv) == 3 and sys.argv[1] == "--corpus":
        write_corpus(sys.argv[2])
    else:
        write_table()
    print(len(rows), "rows")
