#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nsexec, the drop-in for runc's bootstrap program, in every dialect.

Driven by nsexec_driver (an encoder of its own); what came of it is read from
outside, through /proc. Hostile messages are in test_nsexec_hostile.py.
"""
import ctypes
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), HERE]
import nsexec_driver as drv  # noqa: E402
from harness import (SLOW, TestCase, alive, main, program,  # noqa: E402
                     wait_for)

NOBODY = 65534
MAP = "0 100000 65536\n"
KINDS_OF = {"D1": ("user", "ipc", "uts", "net", "pid", "mnt")}
KINDS_OF["D2"] = KINDS_OF["M0"] = KINDS_OF["D1"]
KINDS_OF["M1"] = KINDS_OF["M2"] = KINDS_OF["D1"] + ("cgroup",)
KINDS_OF["M3"] = KINDS_OF["M1"] + ("time",)
REPORTS = {"D1": rb'\{"pid": \d+\}\n', "D2": rb'\{"pid": \d+\}\n',
           "M0": rb'\{"pid": \d+, "pid_first": \d+\}\n'}
REPORT_STAGES = rb'\{"stage1_pid":\d+,"stage2_pid":\d+\}\n'
LIBC = ctypes.CDLL(None, use_errno=True)
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
PR_SET_PDEATHSIG = 1


def mounted(source, target, kind=None, flags=0):
    """mount(2), in a child before its exec."""
    def raw(text):
        return None if text is None else os.fsencode(text)
    if LIBC.mount(raw(source), raw(target), raw(kind),
                  ctypes.c_ulong(flags), None) != 0:
        raise OSError(ctypes.get_errno(), f"mount {target}")


def own_mounts():
    if LIBC.unshare(drv.NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    mounted("none", "/", None, MS_REC | MS_PRIVATE)


def become_nobody():
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


class NsexecCase(TestCase):
    INSTANCE = False

    def boot(self, dialect, argv=("sleep", "60"), **keywords):
        run = drv.Bootstrap(program("nsexec"), dialect, argv, **keywords)
        self.addCleanup(run.end)
        return run

    def holder(self, flags, **maps):
        held = drv.Holder(flags, **maps)
        self.addCleanup(held.end)
        return held

    def start(self, dialect, values, byte=None, argv=("sleep", "60"),
              **keywords):
        """A start that must succeed; its Bootstrap, program running."""
        run = self.boot(dialect, argv, **keywords)
        if byte is None and dialect == "M1" and \
                values.get("clone", 0) & drv.NEWCGROUP:
            byte = b"\x80"
        run.run(drv.encode(dialect, **values), byte=byte)
        self.assertEqual((run.code, run.fatal()), (0, []), run.stderr)
        self.assertTrue(run.pid)
        return run

    def failing(self, dialect, data, pattern, **keywords):
        """A start that must fail: status 1, one fatal record, no process."""
        close = keywords.pop("close", False)
        run = self.boot(dialect, **keywords)
        run.run(data, close=close)
        self.assertEqual(run.code, 1, run.fatal())
        self.assertEqual(len(run.fatal()), 1, run.fatal())
        self.assertRegex(run.fatal()[0], pattern)
        wait_for(lambda: set(run.strays().values()) <= {"Z"},
                 what="the end of all stages")
        return run

    @staticmethod
    def values(dialect, flags, **more):
        values = dict(clone=flags, **more)
        if dialect not in ("D1", "D2"):
            values.setdefault("rootless", 0)
        return values

    def with_user(self, dialect, flags, text=MAP, **more):
        return self.values(dialect, flags | drv.NEWUSER, uidmap=text,
                           gidmap=text, **more)


class Dialects(NsexecCase):
    def test_every_dialect_reports_in_the_words_of_its_era(self):
        for dialect in drv.DIALECTS:
            with self.subTest(dialect):
                run = self.start(dialect, self.with_user(
                    dialect, drv.NEWPID | drv.NEWNS))
                self.assertRegex(run.report,
                                 REPORTS.get(dialect, REPORT_STAGES))
                self.assertEqual(run.nul, b"\0" if dialect in ("M1", "M2")
                                 else b"")
                self.assertEqual(drv.read_map(run.pid), [(0, 100000, 65536)])
                self.assertEqual(run.strays(), {})

    def test_each_namespace_kind_is_new_alone(self):
        for dialect in drv.DIALECTS:
            for kind in KINDS_OF[dialect]:
                with self.subTest(dialect=dialect, kind=kind):
                    flag = drv.FLAGS[kind]
                    values = self.with_user(dialect, flag) \
                        if kind == "user" else self.values(dialect, flag)
                    run = self.start(dialect, values)
                    changed = [k for k in drv.FLAGS
                               if drv.ns_inode(run.pid, k) !=
                               drv.ns_inode("self", k)]
                    self.assertEqual(changed, [kind])
                    run.end()

    def test_each_namespace_kind_is_joined_by_path(self):
        for dialect in drv.DIALECTS:
            for kind in KINDS_OF[dialect]:
                with self.subTest(dialect=dialect, kind=kind):
                    held = self.holder(
                        drv.FLAGS[kind],
                        **({"uid_map": MAP, "gid_map": MAP}
                           if kind == "user" else {}))
                    run = self.start(dialect, self.values(
                        dialect, 0, paths=drv.paths(
                            dialect, [(kind, held.ns(kind))])))
                    self.assertEqual(drv.ns_inode(run.pid, kind),
                                     os.stat(held.ns(kind)).st_ino)
                    changed = [k for k in drv.FLAGS
                               if drv.ns_inode(run.pid, k) !=
                               drv.ns_inode("self", k)]
                    self.assertEqual(changed, [kind])
                    run.end()
                    held.end()

    def test_all_kinds_are_joined_at_once(self):
        for dialect in drv.DIALECTS:
            with self.subTest(dialect):
                kinds = KINDS_OF[dialect]
                flags = 0
                for kind in kinds:
                    flags |= drv.FLAGS[kind]
                held = self.holder(flags, uid_map=MAP, gid_map=MAP)
                order = kinds[1:] + kinds[:1] if dialect == "D1" else kinds
                run = self.start(dialect, self.values(
                    dialect, 0, paths=drv.paths(
                        dialect, [(k, held.ns(k)) for k in order])))
                for kind in kinds:
                    self.assertEqual(drv.ns_inode(run.pid, kind),
                                     os.stat(held.ns(kind)).st_ino, kind)
                self.assertEqual(drv.status_field(run.pid, "Uid").split()[0],
                                 "100000")
                self.assertEqual(drv.status_field(run.pid, "Gid").split()[0],
                                 "100000")

    def test_all_kinds_are_new_at_once(self):
        for dialect in drv.DIALECTS:
            with self.subTest(dialect):
                flags = 0
                for kind in KINDS_OF[dialect]:
                    flags |= drv.FLAGS[kind]
                run = self.start(dialect, self.with_user(dialect, flags))
                for kind in KINDS_OF[dialect]:
                    self.assertNotEqual(drv.ns_inode(run.pid, kind),
                                        drv.ns_inode("self", kind), kind)
                self.assertEqual(drv.status_field(run.pid, "NSpid").split(),
                                 [str(run.pid), "1"])

    def test_a_message_split_byte_by_byte_is_the_same_message(self):
        for dialect in drv.DIALECTS:
            with self.subTest(dialect):
                run = self.boot(dialect)
                run.run(drv.encode(dialect, **self.with_user(
                    dialect, drv.NEWUTS)), pieces=1)
                self.assertEqual((run.code, run.fatal()), (0, []))
                self.assertEqual(drv.read_map(run.pid), [(0, 100000, 65536)])

    def test_a_message_with_no_attribute_starts_the_program_as_it_is(self):
        for dialect in drv.DIALECTS:
            with self.subTest(dialect):
                run = self.boot(dialect)
                run.run(drv.message(b""))
                self.assertEqual((run.code, run.fatal()), (0, []))
                for kind in drv.FLAGS:
                    self.assertEqual(drv.ns_inode(run.pid, kind),
                                     drv.ns_inode("self", kind), kind)

    def test_the_default_dialect_is_m3(self):
        for text in (None, ""):
            run = self.boot("M3", env={"NSEXEC_DIALECT": text})
            run.run(drv.encode("M3", **self.values(
                "M3", drv.NEWTIME, offsets="boottime 7 0\n")))
            self.assertEqual((run.code, run.fatal()), (0, []))

    def test_an_unknown_dialect_is_fatal_and_named(self):
        for name in ("M4", "m3", "NX", "D0"):
            run = self.boot("M3", env={"NSEXEC_DIALECT": name})
            run.finish()
            self.assertEqual(run.code, 1)
            self.assertRegex(run.fatal()[0], f"NSEXEC_DIALECT={name} .known")


class Joins(NsexecCase):
    def test_a_net_namespace_of_the_host_is_joined_beside_a_user_one(self):
        net = self.holder(drv.NEWNET)
        user = self.holder(drv.NEWUSER, uid_map=MAP, gid_map=MAP)
        for dialect in ("D2", "M0", "M1", "M2", "M3"):
            with self.subTest(dialect):
                run = self.start(dialect, self.values(
                    dialect, drv.NEWUTS, paths=drv.paths(dialect, [
                        ("user", user.ns("user")), ("net", net.ns("net"))])))
                self.assertEqual(drv.ns_inode(run.pid, "net"),
                                 os.stat(net.ns("net")).st_ino)
                self.assertEqual(drv.ns_inode(run.pid, "user"),
                                 os.stat(user.ns("user")).st_ino)

    def test_what_is_created_beside_a_joined_user_belongs_to_it(self):
        user = self.holder(drv.NEWUSER, uid_map=MAP, gid_map=MAP)
        run = self.start("M3", self.values(
            "M3", drv.NEWNET | drv.NEWIPC, paths=f"user:{user.ns('user')}"))
        # NS_GET_USERNS, ioctl_ns(2): who owns that net namespace?
        fd = os.open(f"/proc/{run.pid}/ns/net", os.O_RDONLY)
        owner = LIBC.ioctl(fd, ctypes.c_ulong(0xb701))
        try:
            self.assertEqual(os.fstat(owner).st_ino,
                             os.stat(user.ns("user")).st_ino)
        finally:
            os.close(fd)
            os.close(owner)

    def test_an_ordinary_user_enters_its_own_container(self):
        kinds = ("user", "ipc", "uts", "net", "pid", "mnt", "cgroup")
        flags = 0
        for kind in kinds:
            flags |= drv.FLAGS[kind]
        for dialect in ("M2", "M3"):
            first = self.start(dialect, self.with_user(
                dialect, flags, f"0 {NOBODY} 1\n", rootless=1),
                prelude=become_nobody)
            first.wait_program()
            second = self.start(dialect, self.values(
                dialect, 0, rootless=1, paths=drv.paths(dialect, [
                    (kind, f"/proc/{first.pid}/ns/{kind}")
                    for kind in kinds])), prelude=become_nobody)
            for kind in kinds:
                self.assertEqual(drv.ns_inode(second.pid, kind),
                                 drv.ns_inode(first.pid, kind), kind)

    def test_an_ordinary_user_cannot_enter_roots_namespaces(self):
        held = self.holder(drv.NEWNET)
        # Passed as a path that it may open: a bind mount of the namespace.
        with tempfile.NamedTemporaryFile(prefix="nsxtest-") as target:
            os.chmod(target.name, 0o644)

            def prelude():
                own_mounts()
                mounted(held.ns("net"), target.name, None, MS_BIND)
                become_nobody()
            self.failing("M3", drv.encode("M3", **self.values(
                "M3", 0, rootless=1, paths=f"net:{target.name}")),
                "net.*Operation not permitted", prelude=prelude)

    def test_a_path_may_hold_colons(self):
        held = self.holder(drv.NEWUTS)
        with tempfile.TemporaryDirectory(prefix="nsxtest-") as base:
            link = os.path.join(base, "a:b:c")
            os.symlink(held.ns("uts"), link)
            run = self.start("M3", self.values("M3", 0,
                                               paths=f"uts:{link}"))
        self.assertEqual(drv.ns_inode(run.pid, "uts"),
                         os.stat(held.ns("uts")).st_ino)

    def test_empty_items_between_commas_are_skipped(self):
        held = self.holder(drv.NEWUTS)
        run = self.start("M3", self.values(
            "M3", 0, paths=f",,uts:{held.ns('uts')},,"))
        self.assertEqual(drv.ns_inode(run.pid, "uts"),
                         os.stat(held.ns("uts")).st_ino)

    def test_all_paths_are_opened_before_the_first_is_joined(self):
        mnt = self.holder(drv.NEWNS | drv.NEWUTS)
        with tempfile.TemporaryDirectory(prefix="nsxtest-") as base:
            link = os.path.join(base, "uts")
            os.symlink(mnt.ns("uts"), link)
            subprocess.run(["nsenter", "-m", "-t", str(mnt.pid), "mount", "-t",
                            "tmpfs", "none", base], check=True)
            run = self.start("M3", self.values(
                "M3", 0, paths=f"mnt:{mnt.ns('mnt')},uts:{link}"))
            self.assertEqual(drv.ns_inode(run.pid, "uts"),
                             os.stat(mnt.ns("uts")).st_ino)

    def test_failed_joins_say_what_and_leave_nothing(self):
        held = self.holder(drv.NEWUTS)
        rows = (
            ("uts:/nonexistent", "/nonexistent.*No such file"),
            ("uts:/dev/null", "/dev/null"),
            (f"net:{held.ns('uts')}", "net.*Invalid argument"),
            ("hat:/proc/self/ns/uts", "hat"),
            ("/proc/self/ns/uts", "ns/uts"),
            (",", "ns paths are empty|namespace paths"),
            ("", "ns paths are empty|namespace paths"),
        )
        for text, pattern in rows:
            with self.subTest(text):
                self.failing("M3", drv.encode("M3", **self.values(
                    "M3", 0, paths=text)), pattern)

    def test_d1_joins_bare_paths_of_any_kind(self):
        held = self.holder(drv.NEWUTS | drv.NEWIPC)
        run = self.start("D1", self.values(
            "D1", 0, paths=f"{held.ns('ipc')},{held.ns('uts')}"))
        for kind in ("uts", "ipc"):
            self.assertEqual(drv.ns_inode(run.pid, kind),
                             os.stat(held.ns(kind)).st_ino)


class IdMaps(NsexecCase):
    def test_maps_are_what_was_sent(self):
        text = "0 200000 1000\n1000 5000 1\n1001 300000 64535\n"
        rows = [tuple(map(int, line.split())) for line in text.splitlines()]
        for dialect in drv.DIALECTS:
            with self.subTest(dialect):
                run = self.start(dialect, self.with_user(dialect, 0, text))
                self.assertEqual(drv.read_map(run.pid, "uid"), rows)
                self.assertEqual(drv.read_map(run.pid, "gid"), rows)

    def test_340_rows_are_taken(self):
        rows = [(i, 100000 + 2 * i, 1) for i in range(340)]
        text = "".join("%d %d %d\n" % row for row in rows)
        self.assertLess(len(text), 4095 + 2000)
        short = [(i, 1000 + i * 2, 1) for i in range(310)]
        text = "".join("%d %d %d\n" % row for row in short)
        self.assertLess(len(text), 4095)
        run = self.start("M3", self.with_user("M3", 0, text))
        self.assertEqual(drv.read_map(run.pid), short)

    def test_mqueue_of_a_new_user_namespace_belongs_to_its_root(self):
        for dialect in drv.DIALECTS:
            with self.subTest(dialect):
                run = self.start(
                    dialect, self.with_user(
                        dialect, drv.NEWIPC | drv.NEWNS | drv.NEWPID),
                    argv=("sh", "-c", "mount -t mqueue none /mnt && "
                          "exec sleep 60"))
                found = f"/proc/{run.pid}/root/mnt"
                wait_for(lambda f=found: os.stat(f).st_dev !=
                         os.stat("/mnt").st_dev, what="the mqueue mount")
                self.assertEqual((os.stat(found).st_uid,
                                  os.stat(found).st_gid), (100000, 100000))

    def test_a_map_without_id_0_says_so(self):
        for side in ("uid", "gid"):
            values = self.with_user("M3", 0)
            values[side + "map"] = "1 100000 10\n"
            self.failing("M3", drv.encode("M3", **values),
                         f"become root.*is {side} 0 mapped.*Invalid argument")

    def test_a_user_namespace_without_maps_fails(self):
        self.failing("M3", drv.encode("M3", **self.values(
            "M3", drv.NEWUSER)), "become root in user namespace")

    def test_rootless_denies_setgroups_and_maps_itself(self):
        for dialect in ("M0", "M1", "M2", "M3"):
            with self.subTest(dialect):
                run = self.start(
                    dialect, self.with_user(dialect, drv.NEWNET,
                                            f"0 {NOBODY} 1\n", rootless=1),
                    prelude=become_nobody)
                self.assertEqual(drv.read_map(run.pid), [(0, NOBODY, 1)])
                with open(f"/proc/{run.pid}/setgroups",
                          encoding="ascii") as f:
                    self.assertEqual(f.read(), "deny\n")

    def test_groups_follow_the_rule_of_the_era(self):
        rows = (("M3", 0, 0, "7 8"), ("M3", 1, 0, ""), ("M2", 1, 0, ""),
                ("M1", 0, 0, "7 8"), ("M0", 1, 0, ""), ("M0", 0, 0, "7 8"))
        text = "0 0 65536\n"
        for dialect, setgroup, rootless, groups in rows:
            with self.subTest(dialect=dialect, setgroup=setgroup):
                run = self.start(
                    dialect, self.with_user(
                        dialect, drv.NEWUTS, text, **(
                            {"setgroup": 1} if setgroup else {}),
                        **({"rootless": rootless} if not (
                            setgroup and dialect == "M0") else {})),
                    prelude=lambda: os.setgroups([7, 8])) \
                    if not (setgroup and dialect == "M0") else \
                    self.start_m0_setgroup(text)
                self.assertEqual(drv.status_field(run.pid, "Groups"), groups)
        for dialect in drv.OLD:
            run = self.start(dialect, self.values(dialect, drv.NEWUTS),
                             prelude=lambda: os.setgroups([7, 8]))
            self.assertEqual(drv.status_field(run.pid, "Groups"), "")

    def start_m0_setgroup(self, text):
        """M0's bool has no padding, so only one of them may be sent."""
        run = self.boot("M0", prelude=lambda: os.setgroups([7, 8]))
        run.run(drv.encode("M0", clone=drv.NEWUSER, uidmap=text, gidmap=text,
                           setgroup=1))
        self.assertEqual((run.code, run.fatal()), (0, []))
        return run


class MapTools(NsexecCase):
    """EPERM from the kernel: the parent's tools write the maps."""

    def setUp(self):
        super().setUp()
        self.dir = tempfile.TemporaryDirectory(prefix="nsxtest-")
        self.addCleanup(self.dir.cleanup)
        os.chmod(self.dir.name, 0o777)

    def tool(self, name, text):
        path = os.path.join(self.dir.name, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, 0o755)
        return path

    def values_with(self, uidtool, text="0 65534 1\n1 100000 10\n"):
        return self.with_user("M3", 0, text, rootless=1, setgroup=1,
                              uidtool=uidtool, gidtool=uidtool)

    def test_the_real_tools_map_twelve_rows(self):
        self.need_program("newuidmap")
        rows = [(0, NOBODY, 1)] + [(1 + i, 100000 + 10 * i, 1)
                                   for i in range(11)]
        text = "".join("%d %d %d\n" % row for row in rows)
        subid = self.tool("subid", f"{NOBODY}:100000:65536\n")
        os.chmod(subid, 0o644)

        def prelude():
            own_mounts()
            mounted(subid, "/etc/subuid", None, MS_BIND)
            mounted(subid, "/etc/subgid", None, MS_BIND)
            become_nobody()
        self.need("/etc/subuid and /etc/subgid",
                  os.path.exists("/etc/subuid") and
                  os.path.exists("/etc/subgid"))
        run = self.start("M3", self.with_user(
            "M3", drv.NEWUTS, text, rootless=1, setgroup=1,
            uidtool="/usr/bin/newuidmap", gidtool="/usr/bin/newgidmap"),
            prelude=prelude)
        self.assertEqual(drv.read_map(run.pid, "uid"), rows)
        self.assertEqual(drv.read_map(run.pid, "gid"), rows)

    def test_a_tool_gets_all_rows_no_environment_and_no_descriptor(self):
        out = os.path.join(self.dir.name, "out")
        path = self.tool("tool", "#!/usr/bin/python3\n"
                         "import os, sys\n"
                         "def put(name, text):\n"
                         f"    open('{out}.' + name, 'w').write(text)\n"
                         "fds = []\n"
                         "for fd in os.listdir('/proc/self/fd'):\n"
                         "    try:\n"
                         "        fds.append(os.readlink("
                         "'/proc/self/fd/' + fd))\n"
                         "    except OSError:\n"
                         "        pass\n"
                         "put('fds', ' '.join(fds))\n"
                         "put('argv', ' '.join(sys.argv[1:]))\n"
                         "put('env', open('/proc/self/environ').read())\n"
                         "sys.exit(4)\n")
        text = "0 65534 1\n" + "".join(
            f"{1 + i} {100000 + i} 1\n" for i in range(40))
        run = self.failing("M3", drv.encode("M3", **self.values_with(
            path, text)), f"{path} failed with status 4",
            prelude=become_nobody)
        with open(out + ".argv", encoding="ascii") as f:
            words = f.read().split()
        self.assertEqual(words[1:], text.split())
        self.assertIn(int(words[0]), range(1, 1 << 22))
        with open(out + ".env", encoding="ascii") as f:
            self.assertEqual(f.read(), "")
        with open(out + ".fds", encoding="ascii") as f:
            found = f.read().split()
        self.assertFalse([word for word in found
                          if word.startswith(("socket:", "pipe:", "anon"))],
                         found)
        run.end()

    def test_a_tool_that_a_signal_ends_is_a_failure(self):
        path = self.tool("tool", "#!/bin/sh\nkill -9 $$\n")
        self.failing("M3", drv.encode("M3", **self.values_with(path)),
                     "was killed by signal 9", prelude=become_nobody)

    def test_a_tool_that_is_missing_is_a_failure(self):
        path = os.path.join(self.dir.name, "none")
        self.failing("M3", drv.encode("M3", **self.values_with(path)),
                     f"mapping tool {path}", prelude=become_nobody)

    def test_no_tool_is_a_failure(self):
        values = self.values_with("x")
        del values["uidtool"], values["gidtool"]
        self.failing("M3", drv.encode("M3", **values),
                     "mapping tool not present", prelude=become_nobody)

    def test_a_tool_that_hangs_is_ended_by_a_deadline(self):
        path = self.tool("tool", "#!/bin/sh\nexec sleep 100\n")
        began = time.monotonic()
        self.failing("M3", drv.encode("M3", **self.values_with(path)),
                     "mapping tool.*timed out", prelude=become_nobody)
        self.assertLess(time.monotonic() - began, 9 * SLOW)

    def test_a_tool_that_lies_is_found_out(self):
        path = self.tool("tool", "#!/bin/sh\nexit 0\n")
        self.failing("M3", drv.encode("M3", **self.values_with(path)),
                     "become root|map", prelude=become_nobody)


class Settings(NsexecCase):
    def test_time_offsets_are_set_with_and_without_a_user_namespace(self):
        text = "monotonic 172800 5\nboottime 604800 0\n"
        for flags in (0, drv.NEWUSER):
            more = {"uidmap": MAP, "gidmap": MAP} if flags else {}
            run = self.start("M3", self.values(
                "M3", drv.NEWTIME | drv.NEWPID | flags, offsets=text, **more))
            with open(f"/proc/{run.pid}/timens_offsets",
                      encoding="ascii") as f:
                found = [line.split() for line in f]
            self.assertEqual(found, [["monotonic", "172800", "5"],
                                     ["boottime", "604800", "0"]])

    def test_an_ordinary_user_sets_time_offsets(self):
        run = self.start("M3", self.with_user(
            "M3", drv.NEWTIME, f"0 {NOBODY} 1\n", rootless=1,
            offsets="boottime 100 0\n"), prelude=become_nobody)
        with open(f"/proc/{run.pid}/timens_offsets", encoding="ascii") as f:
            self.assertIn(["boottime", "100", "0"],
                          [line.split() for line in f])

    def test_time_offsets_without_a_time_namespace_fail(self):
        self.failing("M3", drv.encode("M3", **self.values(
            "M3", 0, offsets="boottime 1 0\n")),
            "timens_offsets.*Permission denied")

    def test_oom_score_adj_is_inherited(self):
        for dialect in ("M0", "M1", "M2", "M3"):
            run = self.start(dialect, self.values(dialect, 0, oom="500"))
            with open(f"/proc/{run.pid}/oom_score_adj",
                      encoding="ascii") as f:
                self.assertEqual(f.read(), "500\n")

    def test_an_oom_score_adj_over_1000_is_fatal(self):
        self.failing("M3", drv.encode("M3", **self.values("M3", 0,
                                                          oom="1001")),
                     "oom")

    def test_the_cgroup_namespace_of_m1_waits_for_its_byte(self):
        run = self.boot("M1")
        run.read_nul()
        run.send(drv.encode("M1", **self.values("M1", drv.NEWCGROUP)))
        run.read_report()
        wait_for(lambda: drv.status_field(run.pid, "Name") ==
                 "runc:[2:INIT]", what="stage-2's name")
        self.assertEqual(drv.ns_inode(run.pid, "cgroup"),
                         drv.ns_inode("self", "cgroup"))
        with self.assertRaises(subprocess.TimeoutExpired):
            run.process.wait(0.3)
        with open(f"/proc/{run.process.pid}/comm", encoding="ascii") as f:
            self.assertEqual(f.read(), "runc:[0:PARENT]\n")
        with open(f"/proc/{run.stage1}/comm", encoding="ascii") as f:
            self.assertEqual(f.read(), "runc:[1:CHILD]\n")
        run.send(b"\x80")
        self.assertEqual(run.finish().code, 0)
        self.assertNotEqual(drv.ns_inode(run.pid, "cgroup"),
                            drv.ns_inode("self", "cgroup"))

    def test_a_wrong_or_absent_cgroup_byte_ends_it(self):
        for byte, pattern in ((b"\x81", "byte 0x81"), (b"", "cgroup")):
            with self.subTest(byte):
                run = self.boot("M1")
                run.read_nul()
                run.send(drv.encode("M1", **self.values(
                    "M1", drv.NEWCGROUP)))
                run.read_report()
                run.send(byte)
                run.parent.shutdown(socket.SHUT_WR)
                self.assertEqual(run.finish().code, 1)
                self.assertRegex(run.fatal()[0], pattern)
                wait_for(lambda r=run: not alive(r.pid), what="stage-2's end")

    def test_m2_mount_sources_come_as_descriptors_of_the_new_mounts(self):
        with tempfile.TemporaryDirectory(prefix="nsxtest-") as base:
            source = os.path.join(base, "source")
            os.makedirs(os.path.join(source, "inner"))
            os.chmod(base, 0o700)   # out of reach of the container's root
            holes = [os.open("/dev/null", os.O_RDONLY) for _ in range(2)]
            for fd in holes:
                self.addCleanup(os.close, fd)
            run = self.start(
                "M2", self.with_user(
                    "M2", drv.NEWNS, mounts=b"\0" +
                    os.fsencode(source) + b"\0\0" + b"/etc\0"),
                extra_fds={"": holes[0], " ": holes[1]},
                env={"_LIBCONTAINER_MOUNT_FDS":
                     "[-1,%d,-1,%d]" % tuple(holes), " ": None})
            run.wait_program()
            for fd, path in zip(holes, (source, "/etc")):
                self.assertEqual(os.readlink(f"/proc/{run.pid}/fd/{fd}"),
                                 path)
                with open(f"/proc/{run.pid}/fdinfo/{fd}",
                          encoding="ascii") as f:
                    ids = [line.split()[1] for line in f
                           if line.startswith("mnt_id")]
                with open(f"/proc/{run.pid}/mountinfo",
                          encoding="utf-8") as f:
                    self.assertIn(ids[0], [line.split()[0] for line in f])
            run.end()

    def test_m2_mount_sources_without_their_variable_are_fatal(self):
        self.failing("M2", drv.encode("M2", **self.with_user(
            "M2", drv.NEWNS, mounts=b"/etc\0")), "_LIBCONTAINER_MOUNT_FDS")

    def test_mount_descriptor_lists_that_are_none_are_fatal(self):
        for text in ("[", "[1", "7", "[-2]", "[1,]", "[1]x", "[a]", "[9999]"):
            with self.subTest(text):
                run = self.boot("M2",
                                env={"_LIBCONTAINER_MOUNT_FDS": text})
                run.run(b"", close=True)
                self.assertEqual(run.code, 1)
                self.assertRegex(run.fatal()[0], "_LIBCONTAINER_MOUNT_FDS")

    def test_a_hundred_mount_sources_come_through(self):
        holes = [os.open("/dev/null", os.O_RDONLY) for _ in range(100)]
        for fd in holes:
            self.addCleanup(os.close, fd)
        run = self.start(
            "M2", self.with_user("M2", drv.NEWNS, mounts=b"/usr\0\0" * 100),
            extra_fds={" " * i: fd for i, fd in enumerate(holes)},
            env={" " * i: None for i in range(100)} | {
                "_LIBCONTAINER_MOUNT_FDS": "[" + ",".join(
                    f"{fd},-1" for fd in holes) + "]"})
        run.wait_program()
        for fd in holes:
            self.assertEqual(os.readlink(f"/proc/{run.pid}/fd/{fd}"), "/usr")

    def test_a_missing_mount_source_is_fatal_and_named(self):
        hole = os.open("/dev/null", os.O_RDONLY)
        self.addCleanup(os.close, hole)
        self.failing("M2", drv.encode("M2", **self.with_user(
            "M2", drv.NEWNS, mounts=b"/nonexistent\0")),
            "mount source /nonexistent.*No such file",
            extra_fds={"": hole},
            env={"_LIBCONTAINER_MOUNT_FDS": f"[{hole}]"})

    def test_a_joined_process_is_not_dumpable_before_its_exec(self):
        user = self.holder(drv.NEWUSER, uid_map=MAP, gid_map=MAP)
        run = self.boot("M1")
        run.read_nul()
        run.send(drv.encode("M1", **self.values(
            "M1", drv.NEWCGROUP, paths=f"user:{user.ns('user')}")))
        run.read_report()
        wait_for(lambda: drv.status_field(run.pid, "Uid").split()[0] ==
                 "100000", what="the joined id")
        # Not dumpable: its /proc files belong to root (proc(5)).
        self.assertEqual(os.stat(f"/proc/{run.pid}/stat").st_uid, 0)
        run.send(b"\x80")
        self.assertEqual(run.finish().code, 0)
        run.wait_program()
        self.assertEqual(os.stat(f"/proc/{run.pid}/stat").st_uid, 100000)


class Consoles(NsexecCase):
    """The 2016 dialects: a path, and the controlling terminal."""

    def terminal(self):
        leader, follower = pty.openpty()
        self.addCleanup(os.close, leader)
        path = os.ttyname(follower)
        os.close(follower)
        return path

    def test_the_console_becomes_the_controlling_terminal(self):
        for dialect in drv.OLD:
            path = self.terminal()
            run = self.start(dialect, self.values(dialect, drv.NEWPID,
                                                  console=path))
            for fd in range(3):
                self.assertEqual(os.readlink(f"/proc/{run.pid}/fd/{fd}"),
                                 path)
            with open(f"/proc/{run.pid}/stat", encoding="ascii") as f:
                words = f.read().rpartition(") ")[2].split()
            self.assertEqual(int(words[4]), os.stat(path).st_rdev)

    def test_d1_opens_the_console_where_it_stands_in_the_message(self):
        path = self.terminal()
        mnt = self.holder(drv.NEWNS)
        with tempfile.TemporaryDirectory(prefix="nsxtest-") as base:
            link = os.path.join(base, "console")
            os.symlink(path, link)
            subprocess.run(["nsenter", "-m", "-t", str(mnt.pid), "mount", "-t",
                            "tmpfs", "none", base], check=True)
            values = self.values("D1", 0, console=link, paths=mnt.ns("mnt"))
            run = self.start("D1", values)
            self.assertEqual(os.readlink(f"/proc/{run.pid}/fd/0"), path)
            self.failing("D1", drv.encode(
                "D1", order=("clone", "paths", "console"), **values),
                f"console {link}.*No such file")

    def test_a_console_that_is_missing_is_fatal(self):
        for dialect in drv.OLD:
            self.failing(dialect, drv.encode(dialect, **self.values(
                dialect, 0, console="/nonexistent")),
                "^nsenter: .*console /nonexistent: No such file")


class Logs(NsexecCase):
    RECORD = re.compile(r'\{"level":"(debug|fatal|info|error|warning)", '
                        r'"msg": "nsexec(-[012])?\[\d+\]: .*"\}\Z')

    def test_every_record_has_the_exact_shape(self):
        for dialect in drv.JSON_LOG:
            run = self.start(dialect, self.with_user(
                dialect, drv.NEWPID | drv.NEWNS))
            lines = run.drain_log(0.2).decode().splitlines()
            for line in lines:
                self.assertRegex(line, self.RECORD)
            text = "\n".join(lines)
            pid = run.process.pid
            self.assertIn(f'"msg": "nsexec[{pid}]: ', text)
            self.assertIn(f'"msg": "nsexec-0[{pid}]: ', text)
            self.assertIn('"msg": "nsexec-1[', text)
            self.assertIn('"msg": "nsexec-2[1]: ', text)

    def test_every_record_is_one_write(self):
        # A pipe in packet mode keeps the borders of writes (pipe(2)).
        read_end, write_end = os.pipe2(os.O_DIRECT)
        run = self.boot("M3", logpipe=False,
                        extra_fds={"_LIBCONTAINER_LOGPIPE": write_end})
        os.close(write_end)
        run.run(drv.encode("M3", **self.with_user("M3", drv.NEWUTS)))
        self.assertEqual(run.code, 0)
        run.end()
        count = 0
        while True:
            packet = os.read(read_end, 65536)
            if not packet:
                break
            self.assertRegex(packet.decode(), r'\A\{[^\n]*\}\n\Z')
            count += 1
        os.close(read_end)
        self.assertGreater(count, 5)

    def test_the_level_decides_what_is_written(self):
        data = drv.encode("M3", **self.values("M3", 0, paths="uts:/none"))
        for level, kinds in (("0", set()), ("1", {"fatal"}),
                             ("4", {"fatal"}), ("5", {"fatal", "debug"}),
                             ("6", {"fatal", "debug"})):
            run = self.boot("M3", env={"_LIBCONTAINER_LOGLEVEL": level})
            run.run(data)
            self.assertEqual(run.code, 1)
            self.assertEqual({record["level"] for record in run.log}, kinds)

    def test_text_is_escaped_as_runc_does(self):
        name = 'a"\\\b\n\r\t\f\x01\x1f\x7f/é'
        run = self.boot("M3")
        run.run(drv.encode("M3", **self.values("M3", 0,
                                               paths=f"uts:/{name}")))
        self.assertEqual(run.code, 1)
        self.assertIn(r'/a\"\\\b\n\r\t\f\u0001\u001f\u007f/é',
                      run.drain_log().decode())
        self.assertIn(name, run.fatal()[0])

    def test_without_a_log_pipe_a_fatal_goes_to_stderr(self):
        run = self.boot("M3", logpipe=False)
        run.run(drv.encode("M3", **self.values("M3", 0, paths="uts:/none")))
        self.assertEqual(run.code, 1)
        self.assertRegex(run.stderr,
                         r"\AFATAL: [^\n]*/none: No such file or directory\n\Z")

    def test_the_2016_dialects_speak_as_nsenter(self):
        for dialect in ("D2", "M0"):
            run = self.failing(dialect, drv.encode(dialect, **self.values(
                dialect, 0, paths="uts:/none")),
                r"\Ansenter: [^\n]*/none: No such file or directory\Z")
            self.assertEqual(run.raw_log, b"")

    def test_a_record_longer_than_a_pipe_takes_is_cut_whole(self):
        run = self.boot("M3")
        run.run(drv.encode("M3", **self.values(
            "M3", 0, paths="uts:/" + "\x01" * 3000)))
        self.assertEqual(run.code, 1)
        self.assertEqual(len(run.fatal()), 1)
        self.assertLessEqual(max(map(len, run.raw_log.splitlines())), 4095)

    def test_a_log_pipe_that_nobody_reads_does_not_stop_it(self):
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        try:
            while True:
                os.write(write_end, b"x" * 4096)
        except BlockingIOError:
            pass
        os.set_blocking(write_end, True)
        run = self.boot("M3", logpipe=False,
                        extra_fds={"_LIBCONTAINER_LOGPIPE": write_end},
                        env={"_LIBCONTAINER_LOGLEVEL": "1"})
        os.close(write_end)
        run.run(drv.encode("M3", **self.values("M3", 0, paths="uts:/none")))
        os.close(read_end)
        self.assertEqual(run.code, 1)


def open_fds(pid):
    return {int(name) for name in os.listdir(f"/proc/{pid}/fd")}


class Surroundings(NsexecCase):
    """Environment, descriptors, the program, the parent."""

    def test_without_an_init_pipe_it_does_nothing(self):
        for text in (None, ""):
            run = self.boot("M3", ("sh", "-c", "echo ran >&2"),
                            env={"_LIBCONTAINER_INITPIPE": text})
            run.finish()
            self.assertEqual((run.code, run.stderr, run.raw_log),
                             (0, "", b""))

    def test_numbers_that_are_none_are_fatal(self):
        for name in ("_LIBCONTAINER_INITPIPE", "_LIBCONTAINER_LOGPIPE",
                     "_LIBCONTAINER_LOGLEVEL"):
            for text in ("x", "3x", "-1", " 3", "99999999999"):
                run = self.boot("M3", env={name: text})
                run.finish()
                self.assertEqual(run.code, 1, (name, text))
                said = run.stderr + run.drain_log().decode()
                self.assertIn(f"{name}={text}", said)

    def test_a_number_that_is_not_open_is_fatal(self):
        for name in ("_LIBCONTAINER_INITPIPE", "_LIBCONTAINER_LOGPIPE"):
            run = self.boot("M3", env={name: "9999"})
            run.finish()
            self.assertEqual(run.code, 1)
            self.assertIn(name, run.stderr + run.drain_log().decode())

    def test_the_program_has_what_the_variables_name_and_no_more(self):
        names = ("_LIBCONTAINER_SYNCPIPE", "_LIBCONTAINER_FIFOFD",
                 "_LIBCONTAINER_CONSOLE", "_LIBCONTAINER_PIDFD_SOCK")
        fds = {name: os.open("/dev/null", os.O_RDONLY) for name in names}
        stray = os.open("/dev/zero", os.O_RDONLY)
        for fd in (*fds.values(), stray):
            self.addCleanup(os.close, fd)
        for dialect in ("M1", "M2", "M3"):
            run = self.start(dialect, self.values(dialect, drv.NEWUTS),
                             extra_fds={**fds, "": stray})
            run.wait_program()
            wanted = {0, 1, 2, *fds.values(), run.init_number,
                      run.log_number}
            # The loader of a program that has just been exec'd opens and
            # closes libraries; what was passed on stays.
            wait_for(lambda: open_fds(run.pid) == wanted,
                     what=f"{wanted}, now {open_fds(run.pid)}")

    def test_the_environment_reaches_the_program_unchanged(self):
        run = self.start("M3", self.values("M3", 0), env={"NSX_A": "b c"})
        run.wait_program()
        with open(f"/proc/{run.pid}/environ", "rb") as f:
            words = f.read().split(b"\0")
        self.assertIn(b"NSX_A=b c", words)
        self.assertIn(b"_LIBCONTAINER_INITTYPE=standard", words)
        self.assertIn(b"_LIBCONTAINER_INITPIPE=%d" % run.init_number, words)

    def test_signals_cwd_and_umask_are_inherited(self):
        def prelude():
            os.umask(0o27)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        with tempfile.TemporaryDirectory(prefix="nsxtest-") as base:
            run = self.start("M3", self.values("M3", 0), prelude=prelude,
                             cwd=base)
            run.wait_program()
            self.assertEqual(os.readlink(f"/proc/{run.pid}/cwd"), base)
        self.assertEqual(int(drv.status_field(run.pid, "Umask"), 8), 0o27)
        ignored = int(drv.status_field(run.pid, "SigIgn"), 16)
        self.assertEqual(ignored >> (signal.SIGPIPE - 1) & 1, 0)
        self.assertEqual(ignored >> (signal.SIGCHLD - 1) & 1, 1)
        self.assertEqual(drv.status_field(run.pid, "NSsid").split()[0],
                         str(run.pid))

    def test_what_follows_the_message_is_left_for_the_program(self):
        run = self.boot("M3", ("python3", "-c", "import os, socket\n"
                               "s = socket.socket(fileno=int(os.environ["
                               "'_LIBCONTAINER_INITPIPE']))\n"
                               "s.sendall(b'got ' + s.recv(100))\n"))
        run.run(drv.encode("M3", **self.values("M3", 0)) + b"{config}")
        self.assertEqual(run.code, 0)
        self.assertEqual(run.parent.recv(100), b"got {config}")

    def test_without_a_program_stage_2_exits_with_0(self):
        for dialect in drv.DIALECTS:
            run = self.boot(dialect, ())
            run.run(drv.encode(dialect, **self.values(dialect, drv.NEWPID)))
            self.assertEqual((run.code, run.fatal()), (0, []))
            self.assertEqual(os.waitpid(run.pid, 0), (run.pid, 0))
            run.pid = None

    def test_a_program_that_cannot_be_executed_fails_the_start(self):
        for dialect in drv.DIALECTS:
            for argv, reason in ((("/nonexistent",), "No such file"),
                                 (("nonexistent-nsx",), "No such file"),
                                 (("/etc/passwd",), "Permission denied")):
                run = self.boot(dialect, argv)
                run.run(drv.encode(dialect, **self.values(dialect, 0)))
                self.assertEqual(run.code, 1)
                self.assertEqual(len(run.fatal()), 1)
                self.assertRegex(run.fatal()[0],
                                 f"execute {argv[0]}: {reason}")
                run.end()

    def test_the_program_is_the_parents_child(self):
        for dialect in drv.DIALECTS:
            run = self.start(dialect, self.values(dialect, drv.NEWPID))
            self.assertEqual(drv.status_field(run.pid, "PPid"),
                             str(os.getpid()))

    def test_a_parent_that_closed_before_the_report_leaves_nothing(self):
        for dialect in drv.DIALECTS:
            run = self.boot(dialect)
            run.read_nul()
            os.kill(run.process.pid, signal.SIGSTOP)
            run.send(drv.encode(dialect, **self.with_user(
                dialect, drv.NEWPID)))
            run.parent.close()
            os.kill(run.process.pid, signal.SIGCONT)
            self.assertEqual(run.finish().code, 1)
            self.assertRegex(run.fatal()[0], "Broken pipe")
            wait_for(lambda r=run: set(r.strays().values()) <= {"Z"},
                     what="the stages' end")
            run.end()

    def test_a_killed_stage_0_takes_the_stages_with_it(self):
        run = self.boot("M1")
        run.read_nul()
        run.send(drv.encode("M1", **self.values(
            "M1", drv.NEWCGROUP | drv.NEWPID)))
        run.read_report()
        run.process.kill()
        run.parent.shutdown(socket.SHUT_WR)
        run.finish()
        wait_for(lambda: not alive(run.pid), what="stage-2's end")

    def test_the_parent_death_signal_reaches_the_program(self):
        pid = self.orphan(lambda: LIBC.prctl(PR_SET_PDEATHSIG,
                                             signal.SIGKILL))
        wait_for(lambda: not alive(pid), what="the program's end")

    def test_without_a_death_signal_the_program_outlives_the_parent(self):
        pid = self.orphan(None)
        self.assertTrue(alive(pid))
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not alive(pid), what="the program's end")

    def orphan(self, prelude):
        """A program whose runtime has exited; its pid."""
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                run = drv.Bootstrap(program("nsexec"), "M3",
                                    prelude=prelude)
                run.run(drv.encode("M3", **self.values("M3", drv.NEWUTS)))
                run.wait_program()
                os.write(write_end, str(run.pid).encode())
                code = run.code
            finally:
                os._exit(code)
        os.close(write_end)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        found = int(os.read(read_end, 20))
        os.close(read_end)
        return found

    def test_the_init_of_a_pid_namespace_says_why_it_cannot(self):
        run = drv.Bootstrap("unshare", "M3", (
            "--pid", "--fork", program("nsexec"), "sleep", "60"))
        self.addCleanup(run.end)
        run.run(drv.encode("M3", **self.values("M3", 0)))
        self.assertEqual(run.code, 1)
        self.assertRegex(run.fatal()[0], "init of a pid namespace")

    def test_help_and_version_exit_0(self):
        for option in ("--help", "--version"):
            done = subprocess.run([program("nsexec"), option], check=False,
                                  capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("nsexec", done.stdout)


if __name__ == "__main__":
    main()
