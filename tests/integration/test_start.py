# SPDX-License-Identifier: Apache-2.0
"""A request in, a child in its namespaces out: what the payload is given and
how its end comes back, as a shell user meets it."""
import os
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from harness import TestCase, alive, main, namespaces, wait_for  # noqa: E402

ALL = ("--new", "all", "--map-root-user")


class Exits(TestCase):
    def test_exit_code_of_payload_is_exit_code_of_run(self):
        for code in (0, 1, 7, 125, 255):
            with self.subTest(code=code):
                result = self.ctl("run", "--", "/bin/sh", "-c", f"exit {code}")
                self.assertEqual(result.code, code, result)

    def test_exit_code_comes_through_eight_namespaces(self):
        result = self.ctl("run", *ALL, "--", "/bin/sh", "-c", "exit 42")
        self.assertEqual(result.code, 42, result)

    def test_payload_that_exits_at_once_is_reported_started_and_exited(self):
        seq = self.last_seq()
        self.ctl_ok("run", *ALL, "--name", "quick", "--", "/bin/true")
        types = [event["type"] for event in self.events(seq + 1, "quick")]
        self.assertEqual(types[:3], ["created", "started", "exited"])

    def test_death_by_signal_is_128_plus_its_number(self):
        for name in ("KILL", "TERM", "SEGV"):
            with self.subTest(signal=name):
                result = self.ctl("run", "--", "/bin/sh", "-c",
                                  f"kill -{name} $$")
                self.assertEqual(result.code,
                                 128 + getattr(signal, "SIG" + name), result)

    def test_killed_payload_has_the_signal_in_its_event(self):
        seq = self.last_seq()
        self.ctl("run", "--name", "shot", "--", "/bin/sh", "-c", "kill -9 $$")
        last = [event for event in self.events(seq + 1, "shot")
                if event["type"] == "exited"]
        self.assertEqual(len(last), 1)
        self.assertEqual(last[0]["signal"], 9)
        self.assertIsNone(last[0]["code"])

    def last_seq(self):
        events = self.ctl_ok("events", "--from", "1", "--no-follow",
                             "--json").jsonl()
        return max([event["seq"] for event in events], default=0)

    def events(self, seq, name):
        return [event for event in
                self.ctl_ok("events", "--from", str(seq), "--no-follow",
                            "--json").jsonl() if event.get("name") == name]


class Failures(TestCase):
    def test_program_that_cannot_be_found_is_127(self):
        for args in ((), ALL):
            with self.subTest(args=args):
                result = self.ctl("run", *args, "--", "/nonexistent/program")
                self.assertEqual(result.code, 127, result)
                self.assertIn("/nonexistent/program", result.err)

    def test_program_missing_from_path_is_127(self):
        result = self.ctl("run", "--", "no-such-program-anywhere")
        self.assertEqual(result.code, 127, result)

    def test_program_that_is_not_executable_is_126(self):
        for args in ((), ALL):
            with self.subTest(args=args):
                result = self.ctl("run", *args, "--", "/etc/passwd")
                self.assertEqual(result.code, 126, result)

    def test_failed_exec_leaves_a_failed_event_and_no_started_one(self):
        self.ctl("run", "--name", "ghost", "--", "/nonexistent/program")
        events = [event for event in
                  self.ctl_ok("events", "--from", "1", "--no-follow",
                              "--json").jsonl()
                  if event.get("name") == "ghost"]
        types = [event["type"] for event in events]
        self.assertIn("failed", types)
        self.assertNotIn("started", types)
        self.assertNotIn("exited", types)


class Payload(TestCase):
    """What the program finds when it begins."""

    def out(self, *args, **keywords):
        return self.ctl_ok("run", *args, **keywords).out.strip()

    def test_it_is_pid_one_with_its_own_proc(self):
        out = self.out(*ALL, "--", "/bin/sh", "-c", "echo $$; ls /proc")
        words = out.split()
        self.assertEqual(words[0], "1")
        pids = [word for word in words[1:] if word.isdigit()]
        self.assertEqual(sorted(pids), ["1", "2"])

    def test_it_has_the_hostname(self):
        self.assertEqual(self.out(*ALL, "--hostname", "box", "--",
                                  "/bin/hostname"), "box")

    def test_loopback_is_up_in_a_new_network(self):
        out = self.out(*ALL, "--", "/bin/cat", "/proc/net/if_inet6",
                       "/proc/net/fib_trie")
        self.assertIn("127.0.0.1", out)

    def test_it_is_root_of_its_user_namespace(self):
        self.assertEqual(self.out(*ALL, "--", "/usr/bin/id", "-u"), "0")
        self.assertEqual(self.out(*ALL, "--", "/usr/bin/id", "-g"), "0")

    def test_it_runs_as_the_user_asked_for(self):
        self.assertEqual(self.out("-u", "1234:2345", "--", "/bin/sh", "-c",
                                  "echo $(id -u) $(id -g)"), "1234 2345")

    def test_it_begins_in_the_directory_asked_for(self):
        self.assertEqual(self.out("-w", "/usr/bin", "--", "/bin/pwd"),
                         "/usr/bin")

    def test_it_gets_the_environment_asked_for(self):
        self.assertEqual(self.out("-e", "COLOUR=blue", "--", "/bin/sh", "-c",
                                  "echo $COLOUR"), "blue")

    def test_it_holds_no_descriptor_but_stdio(self):
        out = self.out(*ALL, "--", "/bin/ls", "/proc/self/fd")
        # 3 is ls's own, of the directory.
        self.assertEqual(out.split(), ["0", "1", "2", "3"])

    def test_it_reads_standard_input_with_dash_i(self):
        self.assertEqual(self.out("-i", "--", "/bin/cat", stdin=b"hello\n"),
                         "hello")

    def test_its_signals_are_as_after_a_fresh_exec(self):
        status = self.out(*ALL, "--", "/bin/cat", "/proc/self/status")
        for line in status.splitlines():
            name, _, value = line.partition(":\t")
            if name in ("SigBlk", "SigIgn", "SigPnd", "ShdPnd"):
                self.assertEqual(int(value, 16), 0, line)

    def test_it_has_a_session_of_its_own(self):
        stat = self.out("--", "/bin/cat", "/proc/self/stat").split()
        self.assertEqual(stat[5], stat[0])

    def test_its_cgroup_is_its_own(self):
        self.need("cgroup2", self.nsx.cgroup)
        first = self.out("--", "/bin/cat", "/proc/self/cgroup")
        second = self.out("--", "/bin/cat", "/proc/self/cgroup")
        line = [x for x in first.splitlines() if x.startswith("0::")][0]
        self.assertIn(os.path.basename(self.nsx.cgroup), line)
        self.assertNotIn(line, second.splitlines())

    def test_rlimit_asked_for_is_set(self):
        self.assertEqual(self.out("--rlimit", "nofile=64:128", "--", "/bin/sh",
                                  "-c", "ulimit -Sn; ulimit -Hn").split(),
                         ["64", "128"])

    def test_no_new_privileges_is_set_when_asked_for(self):
        out = self.out("--no-new-privs", "--", "/bin/grep", "NoNewPrivs",
                       "/proc/self/status")
        self.assertEqual(out.split()[1], "1")

    def test_a_descriptor_is_passed_by_name(self):
        read_end, write_end = os.pipe()
        try:
            self.ctl_ok_with_fd(write_end)
            os.close(write_end)
            write_end = -1
            self.assertEqual(os.read(read_end, 100), b"through\n")
        finally:
            os.close(read_end)
            if write_end >= 0:
                os.close(write_end)

    def ctl_ok_with_fd(self, fd):
        child = self.nsx.ctl_start(
            "run", "--fd", f"out={fd}", "--", "/bin/sh", "-c",
            'n=3; echo through >&$n', pass_fds=(fd,))
        out, err = child.communicate(timeout=20)
        self.assertEqual(child.returncode, 0, (out, err, self.nsx.log()))


class Root(TestCase):
    """A root directory of its own, by pivot_root."""

    def setUp(self):
        super().setUp()
        self.need_program("busybox")
        self.root = tempfile.mkdtemp(prefix="nsxtest-root-")
        self.addCleanup(shutil.rmtree, self.root)
        os.chmod(self.root, 0o755)
        for name in ("bin", "proc", "tmp", "dev"):
            os.mkdir(os.path.join(self.root, name))
        shutil.copy(shutil.which("busybox"), self.root + "/bin/busybox")

    def test_payload_sees_only_its_root(self):
        result = self.ctl_ok("run", *ALL, "--root", self.root, "--",
                             "/bin/busybox", "ls", "/")
        self.assertEqual(sorted(result.out.split()),
                         ["bin", "dev", "proc", "tmp"])

    def test_old_root_is_not_reachable(self):
        result = self.ctl_ok("run", *ALL, "--root", self.root, "--",
                             "/bin/busybox", "cat", "/proc/self/mountinfo")
        roots = [line for line in result.lines() if line.split()[4] == "/"]
        self.assertEqual(len(roots), 1, result)


class Detached(TestCase):
    def test_run_d_prints_the_id_and_returns_at_once(self):
        began = time.monotonic()
        result = self.ctl_ok("run", "-d", "--", "/bin/sleep", "60")
        self.assertLess(time.monotonic() - began, 20)
        ident = result.out.strip()
        self.assertRegex(ident, r"^[0-9A-Za-z_.-]+$")
        state = self.ctl_ok("state", ident).json()
        self.assertEqual(state["status"], "running")
        self.assertTrue(alive(state["pid"]))
        self.ctl_ok("kill", "-s", "KILL", ident)
        self.assertEqual(self.ctl("wait", ident).out.strip(), "137")
        self.ctl_ok("delete", ident)
        wait_for(lambda: not alive(state["pid"]), 5, "death")

    def test_reported_pid_is_in_the_reported_namespaces(self):
        ident = self.ctl_ok("run", "-d", *ALL, "--", "/bin/sleep",
                            "60").out.strip()
        pid = self.ctl_ok("state", ident).json()["pid"]
        ours, theirs = namespaces(os.getpid()), namespaces(pid)
        self.assertEqual([k for k in ours if ours[k] == theirs[k]], [])
        self.ctl_ok("delete", "-f", ident)


if __name__ == "__main__":
    main()
