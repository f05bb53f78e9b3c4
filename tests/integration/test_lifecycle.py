# SPDX-License-Identifier: Apache-2.0
"""The life of a container in two phases, told from two terminals."""
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from harness import SLOW, TestCase, alive, main, namespaces, wait_for  # noqa: E402,E501

ALL = ("--new", "all", "--map-root-user")


class Watcher:
    """The second terminal: events --follow, line by line."""

    def __init__(self, nsx, *args):
        self.child = nsx.ctl_start("events", "--follow", "--json", *args)
        os.set_blocking(self.child.stdout.fileno(), False)
        self.rest = b""
        self.seen = []

    def until(self, test, timeout=15):
        """All events up to the first that test() accepts."""
        end = time.monotonic() + timeout * SLOW
        while time.monotonic() < end:
            chunk = self.child.stdout.read()
            if chunk:
                lines = (self.rest + chunk).split(b"\n")
                self.rest = lines.pop()
                self.seen += [json.loads(line) for line in lines]
            if any(test(event) for event in self.seen):
                return self.seen
            if self.child.poll() is not None:
                raise AssertionError("events ended: " +
                                     self.child.stderr.read().decode())
            time.sleep(0.01)
        raise AssertionError(f"no such event among {self.seen}")

    def close(self):
        self.child.terminate()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.child.stdout.close()
        self.child.stderr.close()


class TwoTerminals(TestCase):
    def test_create_start_exec_kill_wait_delete(self):
        first = self.ctl_ok("events", "--from", "1", "--no-follow",
                            "--json").jsonl()
        seq = max([event["seq"] for event in first], default=0)
        watcher = Watcher(self.nsx, "--from", str(seq + 1))
        self.addCleanup(watcher.close)

        self.ctl_ok("create", "--name", "web", *ALL, "--hostname", "web", "--",
                    "/bin/sleep", "100")
        created = watcher.until(lambda e: e["type"] == "created")[-1]
        self.assertEqual(created["name"], "web")
        state = self.ctl_ok("state", "web").json()
        self.assertEqual(state["status"], "created")
        self.assertEqual(state["pid"], created["pid"])
        self.assertTrue(alive(state["pid"]))

        self.ctl_ok("start", "web")
        watcher.until(lambda e: e["type"] == "started")
        self.assertEqual(self.ctl_ok("state", "web").json()["status"],
                         "running")
        with open(f"/proc/{state['pid']}/comm", encoding="ascii") as f:
            self.assertEqual(f.read().strip(), "sleep")

        inside = self.ctl_ok("exec", "web", "/bin/hostname")
        self.assertEqual(inside.out.strip(), "web")
        watcher.until(lambda e: e["type"] == "exec-exited")

        self.ctl_ok("kill", "-s", "KILL", "web")
        exited = watcher.until(lambda e: e["type"] == "exited")[-1]
        self.assertEqual((exited["signal"], exited["code"]), (9, None))
        self.assertEqual(exited["pid"], state["pid"])
        self.assertEqual(self.ctl_ok("wait", "web").out.strip(), "137")
        self.assertEqual(self.ctl_ok("state", "web").json()["status"],
                         "stopped")
        self.ctl_ok("delete", "web")
        events = watcher.until(lambda e: e["type"] == "deleted")

        self.assertEqual([event["type"] for event in events],
                         ["created", "started", "exec-started", "exec-exited",
                          "exited", "deleted"])
        self.assertEqual([event["seq"] for event in events],
                         list(range(seq + 1, seq + 7)))
        self.assertEqual({event["container"] for event in events},
                         {created["container"]})
        self.assertEqual(self.ctl("state", "web").code, 3)

    def test_wait_returns_when_the_other_terminal_kills(self):
        ident = self.ctl_ok("run", "-d", "--", "/bin/sleep", "100").out.strip()
        waiter = self.nsx.ctl_start("wait", ident)
        time.sleep(0.1)
        self.assertIsNone(waiter.poll())
        self.ctl_ok("kill", "-s", "TERM", ident)
        out, err = waiter.communicate(timeout=20)
        self.assertEqual((waiter.returncode, out.strip()), (0, b"143"), err)
        self.ctl_ok("delete", ident)


class Created(TestCase):
    def test_payload_does_not_run_before_start(self):
        path = os.path.join(self.nsx.base, "ran")
        self.ctl_ok("create", "--name", "later", "--", "/bin/touch", path)
        time.sleep(0.2)
        self.assertFalse(os.path.exists(path))
        self.ctl_ok("start", "later")
        self.assertEqual(self.ctl_ok("wait", "later").out.strip(), "0")
        self.assertTrue(os.path.exists(path))
        self.ctl_ok("delete", "later")
        os.unlink(path)

    def test_namespaces_exist_at_create_and_stay_the_same(self):
        self.ctl_ok("create", "--name", "early", *ALL, "--", "/bin/sleep",
                    "100")
        self.addCleanup(self.ctl, "delete", "-f", "early")
        pid = self.ctl_ok("state", "early").json()["pid"]
        before = namespaces(pid)
        ours = namespaces(os.getpid())
        # The time namespace is entered by the exec (time_namespaces(7)).
        self.assertEqual([k for k in ours if ours[k] == before[k]], ["time"])
        link = os.readlink(f"/proc/{pid}/ns/time_for_children")
        before["time"] = int(link.split("[")[1].rstrip("]"))
        self.assertNotEqual(before["time"], ours["time"])
        self.ctl_ok("start", "early")
        self.assertEqual(namespaces(pid), before)

    def test_created_container_is_deleted_by_force_without_having_run(self):
        path = os.path.join(self.nsx.base, "never")
        self.ctl_ok("create", "--name", "never", "--", "/bin/touch", path)
        self.ctl_ok("delete", "-f", "never")
        self.assertFalse(os.path.exists(path))
        self.assertEqual(self.ctl("state", "never").code, 3)

    def test_stage_killed_at_the_gate_is_told_apart_from_a_start(self):
        self.ctl_ok("create", "--name", "cut", *ALL, "--", "/bin/true")
        pid = self.ctl_ok("state", "cut").json()["pid"]
        os.kill(pid, 9)
        wait_for(lambda: "failed" in self.types("cut"), 10, "failed event")
        self.assertNotIn("started", self.types("cut"))
        self.assertNotIn("exited", self.types("cut"))
        self.assertNotEqual(self.ctl("start", "cut").code, 0)
        self.ctl_ok("delete", "-f", "cut")

    def types(self, name):
        return [event["type"] for event in
                self.ctl_ok("events", "--from", "1", "--no-follow",
                            "--json").jsonl() if event.get("name") == name]

    def test_start_twice_is_refused_with_wrong_state(self):
        self.ctl_ok("create", "--name", "twice", "--", "/bin/sleep", "100")
        self.ctl_ok("start", "twice")
        self.assertEqual(self.ctl("start", "twice").code, 6)
        self.ctl_ok("delete", "-f", "twice")

    def test_delete_of_a_running_container_is_refused_without_force(self):
        self.ctl_ok("run", "-d", "--name", "busy", "--", "/bin/sleep", "100")
        self.assertEqual(self.ctl("delete", "busy").code, 6)
        self.assertEqual(self.ctl_ok("state", "busy").json()["status"],
                         "running")
        self.ctl_ok("delete", "-f", "busy")

    def test_a_name_in_use_is_refused(self):
        self.ctl_ok("create", "--name", "taken", "--", "/bin/true")
        self.assertEqual(self.ctl("create", "--name", "taken", "--",
                                  "/bin/true").code, 6)
        self.ctl_ok("delete", "-f", "taken")


class Exec(TestCase):
    def setUp(self):
        super().setUp()
        self.ctl_ok("run", "-d", "--name", "host", *ALL, "--hostname", "host",
                    "--", "/bin/sleep", "100")
        self.addCleanup(self.ctl, "delete", "-f", "host")
        self.pid = self.ctl_ok("state", "host").json()["pid"]

    def test_exec_is_in_every_namespace_of_the_container(self):
        out = self.ctl_ok("exec", "host", "/bin/sh", "-c",
                          "for k in user ipc uts net pid mnt cgroup time; do "
                          "readlink /proc/self/ns/$k; done").lines()
        found = {line.split(":")[0]: int(line.split("[")[1].rstrip("]"))
                 for line in out}
        self.assertEqual(found, namespaces(self.pid))

    def test_exec_has_its_own_exit_code(self):
        self.assertEqual(self.ctl("exec", "host", "/bin/sh", "-c",
                                  "exit 9").code, 9)
        self.assertTrue(alive(self.pid))

    def test_exec_of_a_missing_program_is_127(self):
        self.assertEqual(self.ctl("exec", "host", "/nonexistent").code, 127)

    def test_exec_into_an_unknown_container_is_125(self):
        self.assertEqual(self.ctl("exec", "nobody", "/bin/true").code, 125)

    def test_processes_lists_init_and_exec_children(self):
        child = self.nsx.ctl_start("exec", "host", "/bin/sleep", "77")
        wait_for(lambda: self.ctl_ok("ps", "host").out.count("sleep") == 2,
                 10, "two processes")
        self.ctl_ok("kill", "-s", "KILL", "--all", "host")
        child.communicate(timeout=20)
        self.assertEqual(child.returncode, 137)


class Killing(TestCase):
    def test_kill_all_ends_grandchildren_too(self):
        ident = self.ctl_ok("run", "-d", "--", "/bin/sh", "-c",
                            "sleep 91 & sleep 92 & wait").out.strip()
        wait_for(lambda: self.ctl_ok("ps", ident).out.count("sleep") == 2, 10,
                 "two children")
        pid = self.ctl_ok("state", ident).json()["pid"]
        self.ctl_ok("kill", "-s", "KILL", "--all", ident)
        self.ctl_ok("wait", ident)
        wait_for(lambda: not alive(pid), 5, "death")
        self.ctl_ok("delete", ident)

    def test_delete_force_leaves_no_process_of_the_cgroup(self):
        self.need("cgroup2", self.nsx.cgroup)
        ident = self.ctl_ok("run", "-d", "--", "/bin/sh", "-c",
                            "sleep 93 & exec sleep 94").out.strip()
        wait_for(lambda: self.ctl_ok("ps", ident).out.count("sleep") == 2, 10,
                 "two processes")
        self.ctl_ok("delete", "-f", ident)
        self.assertEqual([c for c in self.nsx.cgroups() if ident in c], [])


if __name__ == "__main__":
    main()
