#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Messages that no parent should send to nsexec: one row, one class.

Each must end nsexec with status 1 and one fatal record that matches, within
seconds, with no process left running and nothing joined or made.
"""
import os
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), HERE]
import nsexec_driver as drv  # noqa: E402
from harness import SLOW, main  # noqa: E402
from test_nsexec import NsexecCase  # noqa: E402

CLONE, PATHS, UIDMAP, GIDMAP, SETGROUP, OOM, ROOTLESS = range(27281, 27288)
TOOL, LAST = 27288, 27290


def att(kind, value):
    return drv.attribute(kind, value)


def raw(nla_len, kind, value=b""):
    return struct.pack("=HH", nla_len, kind) + value


def u32(number):
    return struct.pack("=I", number)


def msg(*parts):
    return drv.message(b"".join(parts))


def maps(text):
    return msg(att(CLONE, u32(drv.NEWUSER)), att(UIDMAP, text),
               att(GIDMAP, b"0 100000 10\n\0"))


C0 = att(CLONE, u32(0))
CU = att(CLONE, u32(drv.NEWUTS))
ROWS_341 = b"".join(b"%d %d 1\n" % (i, i + 1) for i in range(341)) + b"\0"
LONG_MAP = b"".join(b"%d %d 1\n" % (10000000 + 2 * i, 2000000 + 3 * i)
                    for i in range(230)) + b"\0"

# name, dialect, message, what the fatal record must match. A message that is
# shorter than it says is followed by the end of file.
ROWS = (
    ("nothing", "M3", b"", "netlink header .got 0 of 16"),
    ("one byte", "M3", b"\x20", "netlink header .got 1 of 16"),
    ("half a header", "M3", drv.header(32)[:15], "got 15 of 16"),
    ("a header alone", "M3", drv.header(32), "payload .got 0 of 16"),
    ("half a payload", "M3", msg(CU)[:-3], "payload .got 5 of 8"),
    ("length 0", "M3", drv.header(0), "length 0"),
    ("length below the header", "M3", drv.header(15) + C0, "length 15"),
    ("length 4 GiB", "M3", drv.header(0xffffffff) + C0, "length 4294967295"),
    ("length over the cap", "M3", drv.header(131073), "length 131073"),
    ("type error", "M3", drv.message(C0, 2), "netlink message"),
    ("type noop", "M3", drv.message(C0, 1), "type 1"),
    ("type 0", "M3", drv.message(C0, 0), "type 0"),
    ("an attribute header cut", "M3", msg(C0, b"\x08\0\x91"), "length 27"),
    ("nla_len 0", "M3", msg(raw(0, CLONE, u32(0))), "clone flags.*nla_len below 4"),
    ("nla_len 0 behind a good one", "M3", msg(CU, raw(0, PATHS)), "paths.*nla_len below 4"),
    ("nla_len 3", "M3", msg(raw(3, CLONE, u32(0))), "nla_len below 4"),
    ("nla_len beyond the end", "M3", msg(raw(12, CLONE, u32(0))), "nla_len beyond"),
    ("nla_len 65535 in 24 bytes", "M3", msg(raw(65535, PATHS, u32(0))), "nla_len beyond"),
    ("clone flags of no bytes", "M3", msg(raw(4, CLONE)), "clone flags"),
    ("clone flags of 2 bytes", "M3", msg(att(CLONE, b"\0\0")), "clone flags"),
    ("clone flags of 8 bytes", "M3", msg(att(CLONE, b"\0" * 8)),
     "clone flags"),
    ("clone flags twice", "M3", msg(CU, C0), "clone flags"),
    ("clone flags twice, the same", "M3", msg(C0, C0), "clone flags"),
    ("paths twice", "M3", msg(C0, att(PATHS, b"uts:/a\0"),
                              att(PATHS, b"uts:/b\0")), "paths"),
    ("rootless twice", "M3", msg(C0, att(ROOTLESS, u32(0)),
                                 att(ROOTLESS, u32(1))), "rootless"),
    ("CLONE_VM", "M3", msg(att(CLONE, u32(0x100))), "clone flags"),
    ("CLONE_THREAD", "M3", msg(att(CLONE, u32(0x10000))), "clone flags"),
    ("bit 31", "M3", msg(att(CLONE, u32(0x80000000))), "clone flags"),
    ("an unknown attribute", "M3", msg(C0, att(27299, b"x\0")), "27299"),
    ("attribute 0", "M3", msg(C0, att(0, b"")), "no attribute"),
    ("attribute 27280", "M3", msg(C0, att(27280, u32(0))), "27280"),
    ("a masked attribute number", "M3", msg(att(CLONE & 0x3fff, u32(0))),
     "10897"),
    ("paths without their NUL", "M3", msg(C0, att(PATHS, b"uts:/a")), "paths"),
    ("paths with an inner NUL", "M3", msg(C0, att(PATHS, b"uts\0/a\0")),
     "paths"),
    ("paths of no bytes", "M3", msg(C0, raw(4, PATHS)), "paths"),
    ("a map without its NUL", "M3", maps(b"0 100000 10\n"), "uid map"),
    ("a map with an inner NUL", "M3", maps(b"0 1\0 10\n\0"), "uid map"),
    ("an empty map", "M3", maps(b"\0"), "uid map"),
    ("a map of words", "M3", maps(b"zero one two\n\0"), "uid map"),
    ("a map of two columns", "M3", maps(b"0 100000\n\0"), "uid map"),
    ("a map of four columns", "M3", maps(b"0 100000 10 7\n\0"), "uid map"),
    ("a map with a blank line", "M3", maps(b"0 1 1\n\n1 2 1\n\0"), "uid map"),
    ("a negative map", "M3", maps(b"-1 100000 10\n\0"), "uid map"),
    ("a map over 32 bits", "M3", maps(b"0 4294967296 1\n\0"), "uid map"),
    ("341 rows", "M3", maps(ROWS_341), "uid map"),
    ("a map over the page", "M3", maps(LONG_MAP), "uid map"),
    ("overlapping rows", "M3", maps(b"0 100000 10\n5 200000 10\n\0"),
     "uid"),
    ("a row of no ids", "M3", maps(b"0 100000 0\n\0"), "uid"),
    ("oom of words", "M3", msg(C0, att(OOM, b"much\0")), "oom"),
    ("oom 99999", "M3", msg(C0, att(OOM, b"99999\0")), "oom"),
    ("oom empty", "M3", msg(C0, att(OOM, b"\0")), "oom"),
    ("offsets of words", "M3",
     msg(att(CLONE, u32(drv.NEWTIME)), att(LAST, b"soon\0")), "offset"),
    ("offsets of an unknown clock", "M3",
     msg(att(CLONE, u32(drv.NEWTIME)), att(LAST, b"realtime 1 0\n\0")),
     "offset"),
    ("offsets that wrap", "M3",
     msg(att(CLONE, u32(drv.NEWTIME)),
         att(LAST, b"boottime 9223372036854775807 0\n\0")), "offset"),
    ("M2's mount sources in M3", "M3", msg(C0, att(LAST, b"/src\0\0")),
     "offset"),
    ("M3's offsets in M2", "M2",
     msg(att(CLONE, u32(drv.NEWNS)), att(LAST, b"boottime 1 0\n\0")),
     "MOUNT_FDS|mount sources"),
    ("mount sources in M1", "M1", msg(C0, att(LAST, b"/src\0\0")), "27290"),
    ("tools in D2", "D2", msg(C0, att(TOOL, b"/x\0")), "27288"),
    ("D2's joins in M3", "M3", msg(C0, att(27283, b"uts:/proc/1/ns/uts\0")),
     "uid map"),
    ("M3's joins in D2", "D2", msg(C0, att(27282, b"uts:/proc/1/ns/uts\0")),
     "console"),
    ("M3's maps in D2", "D2", msg(C0, att(27283, b"0 1 1\n\0")), "paths"),
    ("a short bool in M3", "M3", msg(C0, raw(5, SETGROUP, b"\x01")), "length 29"),
    ("a bool of no bytes", "M3", msg(C0, raw(4, SETGROUP)), "setgroup"),
    ("rc5's bool before another", "M0",
     msg(C0, raw(5, SETGROUP, b"\x01"), raw(5, ROOTLESS, b"\x01")), "setgroup.*last bytes"),
    ("a join of an unknown kind", "M3", msg(C0, att(PATHS, b"cat:/a\0")),
     "cat"),
    ("a join without a kind", "M3", msg(C0, att(PATHS, b"/proc/1/ns/uts\0")),
     "no type:path"),
    ("a join of a directory", "M3", msg(C0, att(PATHS, b"uts:/tmp\0")),
     "/tmp"),
    ("a join of another kind", "M3",
     msg(C0, att(PATHS, b"net:/proc/self/ns/uts\0")), "net"),
    ("a join that is missing", "M3", msg(C0, att(PATHS, b"uts:/none\0")),
     "/none.*No such file"),
    ("a hundred joins", "M3",
     msg(C0, att(PATHS, b"uts:/proc/self/ns/uts," * 100 + b"\0")), "proc/self/ns/uts"),
    ("an attribute injected by a wrapped length", "M3",
     msg(raw(4, PATHS), CU, C0), "paths"),
    ("D1 with a typed path", "D1",
     msg(C0, att(27283, b"uts:/proc/self/ns/uts\0")), "No such file"),
)


class Hostile(NsexecCase):
    def test_each_class_of_message_is_refused_with_its_cause(self):
        for name, dialect, data, pattern in ROWS:
            with self.subTest(name):
                began = time.monotonic()
                run = self.failing(dialect, data, pattern, close=True)
                self.assertEqual(run.report, b"")
                self.assertLess(time.monotonic() - began, 4 * SLOW)
                run.end()

    def test_there_are_enough_classes(self):
        self.assertGreaterEqual(len({row[0] for row in ROWS}), 70)

    def test_a_refused_message_leaves_no_reset_for_the_parent(self):
        run = self.boot("M3")
        run.send(drv.header(4096, kind=7) + b"x" * 4096)
        self.assertEqual(run.finish().code, 1)
        self.assertEqual(run.parent.recv(1), b"")

    def test_a_message_that_stops_is_given_up_after_a_deadline(self):
        run = self.boot("M3")
        began = time.monotonic()
        run.send(drv.header(32) + b"\x08")
        self.assertEqual(run.finish().code, 1)
        self.assertGreater(time.monotonic() - began, 4)
        self.assertLess(time.monotonic() - began, 9 * SLOW)
        self.assertRegex(run.fatal()[0], "got 1 of 16 bytes.*timed out")

    def test_the_largest_message_is_taken_and_one_byte_more_refused(self):
        body = drv.value_of("M3", "clone", 0) + b"".join(
            drv.value_of("M3", name, "/" + "x" * 65000)
            for name in ("uidtool", "gidtool"))
        run = self.boot("M3")
        run.run(drv.message(body))
        self.assertEqual((run.code, run.fatal()), (0, []))
        run = self.boot("M3")
        run.run(drv.header(128 * 1024 + 1) + body, close=True)
        self.assertEqual(run.code, 1)
        self.assertRegex(run.fatal()[0], "length 131073")


if __name__ == "__main__":
    main()
