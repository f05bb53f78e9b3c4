#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Attacks on the stages of a start, by its caller, by the owner of a namespace
that is joined and by the payload: row 27 of the threat table, each test named after its row. NSX_LONG=1 attacks ten
times as long.
"""
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
from harness import (ORDINARY_UID, TestCase, children,  # noqa: E402
                     main, wait_for)

UID = ORDINARY_UID
TIMES = 10 if os.environ.get("NSX_LONG") == "1" else 1
LIBC = ctypes.CDLL(None, use_errno=True)
AS_USER = {"user": UID, "group": UID, "extra_groups": []}


class ThreatTest(TestCase):
    def setUp(self):
        super().setUp()
        self.dir = tempfile.mkdtemp(prefix="nsxthreat-")
        os.chmod(self.dir, 0o755)
        self.addCleanup(shutil.rmtree, self.dir, True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def target(self, *flags):
        """Pid of a sleep in the user's own namespaces."""
        child = subprocess.Popen(["unshare", "-Ur", *flags, "sleep", "300"],
                                 stdin=subprocess.DEVNULL, cwd="/", **AS_USER)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)

        def inside():
            with open(f"/proc/{child.pid}/comm", encoding="ascii") as f:
                return f.read() == "sleep\n"
        wait_for(inside, what="a target")
        return child.pid

    def python(self, *options, script, **keywords):
        """A payload in Python, run by the ordinary user."""
        return self.ctl("run", *options, "--", "/usr/bin/python3", "-c",
                        script, user=UID, **keywords)

    def attacker(self, loop):
        """Run loop() in a process of the ordinary user until killed."""
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([])
                os.setresgid(UID, UID, UID)
                os.setresuid(UID, UID, UID)
                loop()
            finally:
                os._exit(0)

        def end():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self.addCleanup(end)
        return pid


class Row27PtraceOfJoiners:
    """Root of the namespace that is joined cannot touch who joins."""

    TRACER = """if True:
        import os, sys, ctypes
        libc = ctypes.CDLL(None)
        def comm(pid):
            try:
                return open(f"/proc/{pid}/comm").read()
            except OSError:
                return ""
        own = os.getpid()
        print("ready", flush=True)
        seen = 0
        while not os.path.exists(sys.argv[1]):
            for pid in os.listdir("/proc"):
                if not pid.isdigit() or int(pid) <= own or \\
                        not comm(pid).startswith("nsx:["):
                    continue
                seen += 1
                for name in ("mem", "environ", "maps", "root/."):
                    try:
                        fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY)
                    except OSError:
                        continue
                    if name in ("environ", "maps"):
                        try:
                            if not os.read(fd, 1):
                                continue
                        except OSError:
                            continue
                    if comm(pid).startswith("nsx:["):
                        print("open", name, flush=True)
                    os.close(fd)
                if libc.ptrace(16, int(pid), 0, 0) == 0:
                    if comm(pid).startswith("nsx:["):
                        print("attached", flush=True)
                    os.kill(int(pid), 9)
                    # Until then its end is told to us alone (ptrace(2)).
                    while os.WIFSTOPPED(os.waitpid(int(pid), 0x40000000)[1]):
                        pass
        print("seen", seen, flush=True)
        """

    def test_row_27_a_traced_programs_end_is_not_lost(self):
        ident = self.ctl_ok("run", "-d", "--", "/bin/sleep", "300",
                            user=UID).out.strip()
        pid = self.ctl_ok("inspect", ident).json()["pid"]
        hold, held = os.pipe()
        go, let_go = os.pipe()

        def loop():
            traced = LIBC.ptrace(16, pid, 0, 0) == 0  # PTRACE_ATTACH
            os.waitpid(pid, 0x40000000)
            os.kill(pid, signal.SIGKILL)
            os.write(held, b"t" if traced else b"-")
            os.read(go, 1)
            os.waitpid(pid, 0x40000000)
        self.attacker(loop)
        try:
            self.assertEqual(os.read(hold, 1), b"t")
            # The kernel tells nobody else now. Nothing may be lost by that.
            with self.assertRaises(subprocess.TimeoutExpired):
                self.ctl("wait", ident, timeout=0.5, user=UID)
            os.write(let_go, b"x")
            self.assertEqual(self.ctl("wait", ident, user=UID).out, "137\n")
        finally:
            for fd in (hold, held, go, let_go):
                os.close(fd)
        self.ctl_ok("delete", ident, user=UID)

    def test_row_27_the_owner_of_a_joined_namespace_never_gets_a_stage(self):
        stop = self.path("stop")
        attacker = subprocess.Popen(
            ["unshare", "-Urpf", "--mount-proc", "--kill-child",
             "/usr/bin/python3", "-c", self.TRACER, stop], cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **AS_USER)
        self.addCleanup(attacker.stdout.close)
        self.addCleanup(attacker.wait)
        self.addCleanup(attacker.kill)
        self.assertEqual(attacker.stdout.readline(), b"ready\n")
        pid = children(attacker.pid)[0]
        joins = [word for kind in ("user", "pid", "mnt")
                 for word in ("--join", f"{kind}=pid:{pid}")]
        for i in range(40 * TIMES):
            user = {"user": UID} if i % 2 else {}
            self.ctl("run", *joins, "--", "/bin/true", **user)
        with open(stop, "w", encoding="ascii"):
            pass
        last = attacker.stdout.read().decode().split()
        self.assertEqual(last[0], "seen", last)
        self.assertGreater(int(last[1]), 0)


class Threats(Row27PtraceOfJoiners, ThreatTest):
    """One instance for all of them: each leaves it as it was."""


if __name__ == "__main__":
    main()
