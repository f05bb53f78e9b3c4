# SPDX-License-Identifier: Apache-2.0
"""The spawner is killed: what ran goes on, and its exits are told, or said to
be unknown where the kernel cannot tell; never none and never a false 0."""
import collections
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import shutil

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
from harness import (SANITIZED, SLOW, Instance, TestCase, alive, children,
                     main, proc_state, program, wait_for)
from test_systemd import has_pidfd_exit

CONTAINERS = 50
PR_SET_CHILD_SUBREAPER = 36
# Ends when it is told to, with a code of its own.
SCRIPT = "trap 'exit %d' TERM; while :; do sleep 0.05; done"


class Case(TestCase):
    INSTANCE = False

    def setUp(self):
        super().setUp()
        self.nsx = Instance().start()
        self.addCleanup(self.end)

    def end(self):
        nsx, self.nsx = self.nsx, None
        nsx.stop()

    def begin(self, n):
        """n containers; {name: (pid, code)}."""
        found = {}
        for i in range(n):
            name, code = f"c{i}", 1 + i % 100
            self.ctl_ok("run", "-d", "--name", name, "--", "/bin/sh", "-c",
                        SCRIPT % code)
            found[name] = (self.ctl_ok("state", name).json()["pid"], code)
        return found

    def tell(self, rows):
        for pid, _ in rows:
            os.kill(pid, signal.SIGTERM)

    def kill_spawner(self):
        old = self.nsx.spawner_pid()
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: not alive(old), 10, "its death")
        return old

    def new_spawner(self, old):
        wait_for(lambda: self.nsx.spawner_pid() not in (None, old) and
                 self.nsx.ctl("run", "--", "/bin/true").code == 0, 20,
                 f"a new spawner:\n{self.nsx.log()}")

    def exits(self, names):
        """{name: [what its exits are said to be]}."""
        found = collections.defaultdict(list)
        for line in self.ctl_ok("events", "--from", "1", "--no-follow",
                                "--json").jsonl():
            if line["type"] == "exited" and line.get("name") in names:
                found[line["name"]].append(
                    "unknown" if line.get("code") is None and
                    line.get("signal") is None else
                    line["code"])
        return found

    def waited(self, names):
        return {name: self.ctl("wait", name, timeout=40).out.strip()
                for name in names}


class Killed(Case):
    def test_exits_before_while_and_after_there_is_none_have_their_codes(self):
        self.need("exit codes of pidfds (Linux 6.15)", has_pidfd_exit())
        all_of_them = self.begin(CONTAINERS)
        rows = list(all_of_them.values())
        worker = self.nsx.nsexecd_pid()
        self.tell(rows[:15])  # some are zombies when it is killed
        old = self.kill_spawner()
        self.tell(rows[15:35])
        self.new_spawner(old)
        self.tell(rows[35:])
        wanted = {name: str(code) for name, (_, code) in all_of_them.items()}
        self.assertEqual(self.waited(all_of_them), wanted, self.nsx.log())
        self.assertEqual(self.exits(all_of_them), {
            name: [code] for name, (_, code) in all_of_them.items()})
        self.assertEqual(self.nsx.nsexecd_pid(), worker)
        for name in all_of_them:
            self.ctl_ok("delete", name)

    def test_exit_is_on_record_while_there_is_none(self):
        """And nsexecd dies before there is one again."""
        self.need("exit codes of pidfds (Linux 6.15)", has_pidfd_exit())
        containers = self.begin(6)
        records = {entry.path: entry.stat().st_size for entry in
                   os.scandir(os.path.join(self.nsx.dir, "records"))
                   if entry.name != ".numbering"}
        launcher = self.nsx.launcher
        launcher.send_signal(signal.SIGSTOP)
        try:
            old = self.kill_spawner()
            self.tell(containers.values())
            wait_for(lambda: all(os.stat(path).st_size > size
                                 for path, size in records.items()),
                     10, "their ends on record")
            os.kill(self.nsx.nsexecd_pid(), signal.SIGKILL)
        finally:
            launcher.send_signal(signal.SIGCONT)
        self.new_spawner(old)
        self.assertEqual(len(records), len(containers))
        self.assertEqual(self.waited(containers), {
            name: str(code) for name, (_, code) in containers.items()})
        self.assertEqual(self.exits(containers), {
            name: [code] for name, (_, code) in containers.items()})
        for name in containers:
            self.ctl_ok("delete", name)

    def test_renewed_spawner_that_is_killed_then_loses_no_more(self):
        self.need("exit codes of pidfds (Linux 6.15)", has_pidfd_exit())
        containers = self.begin(6)
        for _ in range(2):
            done = subprocess.run(
                [program("nsexec-spawner"), "--reload", "--run-dir",
                 self.nsx.dir], check=False, timeout=60 * SLOW)
            self.assertEqual(done.returncode, 0)
        old = self.kill_spawner()
        self.tell(containers.values())
        self.new_spawner(old)
        self.assertEqual(self.waited(containers), {
            name: str(code) for name, (_, code) in containers.items()})
        for name in containers:
            self.ctl_ok("delete", name)


class Unreaped(Case):
    """The spawner's children are ours when it is dead, and we take our time."""

    def setUp(self):
        libc = ctypes.CDLL(None, use_errno=True)
        self.assertEqual(libc.prctl(PR_SET_CHILD_SUBREAPER, 1), 0)
        self.addCleanup(libc.prctl, PR_SET_CHILD_SUBREAPER, 0)
        super().setUp()

    def end(self):
        launcher = self.nsx.launcher.pid
        super().end()
        for pid in children(os.getpid()):
            if pid != launcher and proc_state(pid) == "Z":
                os.waitpid(pid, 0)

    def test_exit_is_known_though_it_is_reaped_while_nsexecd_is_dead(self):
        self.need("exit codes of pidfds (Linux 6.15)", has_pidfd_exit())
        pid, code = self.begin(1)["c0"]
        launcher = self.nsx.launcher
        launcher.send_signal(signal.SIGSTOP)
        try:
            old = self.kill_spawner()
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda: proc_state(pid) == "Z", 10, "its end")
            os.kill(self.nsx.nsexecd_pid(), signal.SIGKILL)
        finally:
            launcher.send_signal(signal.SIGCONT)
        self.new_spawner(old)
        os.kill(self.nsx.nsexecd_pid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        self.assertEqual(self.waited(["c0"]), {"c0": str(code)},
                         self.nsx.log())
        self.ctl_ok("delete", "c0")


class Unknown(Case):
    """A kernel that does not tell an exit by the pidfd: strace says ENOTTY."""

    def test_exit_is_unknown_then_and_told_once(self):
        self.need("a program without leak checker, which strace stops",
                  not SANITIZED)
        self.need_program("strace")
        base = tempfile.mkdtemp(prefix="nsxdeath-")
        self.addCleanup(shutil.rmtree, base)
        containers = self.begin(4)
        worker = self.nsx.nsexecd_pid()
        with open(f"{base}/err", "wb") as err:
            tracer = subprocess.Popen(
                ["strace", "-qq", "-o", f"{base}/out", "-e", "trace=ioctl",
                 "-e", "inject=ioctl:error=ENOTTY", "-p", str(worker)],
                stdin=subprocess.DEVNULL, stdout=err, stderr=err)
        try:
            def traced():
                with open(f"/proc/{worker}/status", encoding="ascii") as f:
                    return f"TracerPid:\t{tracer.pid}\n" in f.read()
            wait_for(traced, 10, "strace")
            old = self.kill_spawner()
            self.tell(containers.values())
            self.new_spawner(old)
            for pid, _ in containers.values():
                wait_for(lambda p=pid: proc_state(p) is None, 20, "reaped")
            self.assertEqual(self.waited(containers), dict.fromkeys(
                containers, "unknown"), self.nsx.log())
        finally:
            tracer.terminate()
            tracer.wait()
        self.assertEqual(self.exits(containers),
                         {name: ["unknown"] for name in containers})
        for name in containers:
            self.assertNotEqual(self.ctl("wait", name).code, 0)
            self.ctl_ok("delete", name)


if __name__ == "__main__":
    main()
