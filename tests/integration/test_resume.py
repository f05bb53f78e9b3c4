#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nsexecd dies under its clients: they see a pause.

Each test runs nsexecctl, which is libnsexec, through deaths of nsexecd by
SIGKILL, and compares what it said with what was started. The rules for each
method are in client/nsexec.h at nsexec_set_reconnect(), their unit tests in
tests/unit/test_client_resume.c.
"""
import collections
import json
import os
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
# pylint: disable=wrong-import-position
from harness import (SLOW, TestCase, alive, fd_kinds, main,  # noqa: E402
                     proc_state, wait_for)
from test_systemd import has_pidfd_exit  # noqa: E402
from ttrpc_client import Client, RpcError  # noqa: E402

N_CONTAINERS = 50
TERMINAL = ("exited", "failed")


class ResumeCase(TestCase):
    AUDIT = False

    def setUp(self):
        super().setUp()
        self.addCleanup(wait_for, lambda: not self.nsx.cgroups(), 10,
                        "no cgroup left")

    def start(self, *args):
        ctl = self.nsx.ctl_start(*args)
        self.addCleanup(lambda: (ctl.stdout.close(), ctl.stderr.close()))
        self.addCleanup(lambda: ctl.poll() is None and (ctl.kill(),
                                                        ctl.wait()))
        return ctl

    def killed(self, ctl):
        """nsexecd, while ctl is connected to it."""
        self.nsx.kill_nsexecd()
        self.assertIsNone(ctl.poll(), "it ended with nsexecd")

    def state(self, name):
        result = self.ctl("state", name)
        return json.loads(result.out)["status"] if result.code == 0 else None

    def running(self, name):
        wait_for(lambda: self.state(name) == "running", what=f"{name} runs")

    def connect(self):
        client = Client(self.nsx.socket_path)
        self.addCleanup(client.close)
        return client


class Follower:
    """events --follow --json, line by line."""

    def __init__(self, ctl):
        self.ctl, self.events = ctl, []
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        for line in self.ctl.stdout:
            self.events.append(json.loads(line))

    def end(self):
        self.ctl.terminate()
        self.ctl.wait()
        self.thread.join()

    def ends(self):
        return [event for event in list(self.events)
                if event["type"] in TERMINAL]


class Stream(ResumeCase):
    def follow(self):
        follower = Follower(self.start("events", "--follow", "--json"))
        self.addCleanup(follower.end)
        # It prints what is new once it is there: one event proves that.
        while not follower.events:
            self.ctl_ok("run", "--", "/bin/true")
            time.sleep(0.05)
        return follower

    def start_all(self):
        """{id: code}, each sleeping for a time of its own."""
        made = {}
        for i in range(N_CONTAINERS):
            naps = f"{0.2 + i * 0.2 * SLOW:.2f}"
            ident = self.ctl_ok("run", "-d", "--", "/bin/sh", "-c",
                                f"sleep {naps}; exit {i + 1}").out.strip()
            made[ident] = i + 1
        return made

    def kill_spawner(self):
        old = self.nsx.spawner_pid()
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: not alive(old), what="its death")
        subprocess.run(self.nsx.command() + ["--detach"], check=True,
                       timeout=60 * SLOW, stdin=subprocess.DEVNULL,
                       env=self.nsx.env, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        wait_for(self.nsx.answers, what="the new spawner")

    def test_every_exit_is_in_one_stream_once_with_its_code(self):
        """50 containers, five deaths of nsexecd, one of the spawner.

        What is no end may be in a gap, which is told: the ring of events is
        nsexecd's memory.
        """
        self.need("exit codes of pidfds (Linux 6.15)", has_pidfd_exit())
        follower = self.follow()
        made = self.start_all()
        for i in range(5):
            self.nsx.kill_nsexecd()
            time.sleep(0.3)
            if i == 1:
                # Who are left are nobody's children from here: the next
                # spawner and nsexecd hold their pidfds.
                self.kill_spawner()
                # In the same moment as nsexecd it may be unknown.
                time.sleep(0.3)
        self.assertGreater(N_CONTAINERS - len(follower.ends()), 5,
                           "too slow: nothing ran on")
        wait_for(lambda: len({event["container"] for event in follower.ends()}
                             & set(made)) == len(made), 30, "every exit")
        self.assertIsNone(follower.ctl.poll(), "the stream ended")
        time.sleep(0.2)  # for what would come twice
        follower.end()
        ends = [event for event in follower.ends()
                if event["container"] in made]
        self.assertEqual({event["container"]: event["code"]
                          for event in ends}, made)
        counts = collections.Counter(event["container"] for event in ends)
        self.assertEqual(set(counts.values()), {1})
        seqs = [event["seq"] for event in follower.events
                if event["type"] != "snapshot"]
        self.assertEqual(len({event["epoch"] for event in follower.events}),
                         1)
        self.assertEqual(sorted(set(seqs)), seqs, "out of order or twice")
        for ident in made:
            self.ctl_ok("delete", ident)

    def test_what_comes_while_nobody_is_there_is_told(self):
        """Also on a stream that has not had an event yet."""
        ctl = self.start("events", "--follow", "--json", "--type", "exited")
        follower = Follower(ctl)
        self.addCleanup(follower.end)
        wait_for(lambda: fd_kinds(ctl.pid)["socket:"], what="a socket")
        ident = self.ctl_ok("run", "-d", "--", "/bin/sh", "-c",
                            "sleep 0.3; exit 9").out.strip()
        pid = self.ctl_ok("state", ident).json()["pid"]
        worker = self.nsx.nsexecd_pid()
        os.kill(worker, signal.SIGSTOP)
        wait_for(lambda: not alive(pid), what="its exit")
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: [event["code"] for event in follower.ends()
                          if event["container"] == ident] == [9],
                 15, "the event")
        self.ctl_ok("delete", ident)


class Commands(ResumeCase):
    def test_run_in_the_foreground_outlives_nsexecd(self):
        ctl = self.start("run", "--name", "front", "--", "/bin/sh", "-c",
                         "read line; echo got; exit 6")
        self.addCleanup(lambda: self.ctl("delete", "-f", "front"))
        wait_for(lambda: ctl.poll() is not None or
                 self.state("front") in ("running", "stopped"), what="a start")
        if ctl.poll() is None:
            self.killed(ctl)
        self.assertEqual(ctl.wait(30 * SLOW), 6)
        self.assertEqual(ctl.stderr.read(), b"")

    def test_run_waits_through_three_deaths_and_has_the_code(self):
        ctl = self.start("run", "--name", "thrice", "--", "/bin/sh", "-c",
                         "trap 'exit 23' TERM; while :; do sleep 0.1; done")
        self.running("thrice")
        for _ in range(3):
            self.killed(ctl)
        # Signals still reach it.
        ctl.terminate()
        self.assertEqual(ctl.wait(30 * SLOW), 23)
        self.assertEqual(ctl.stderr.read(), b"")

    def test_wait_outlives_nsexecd(self):
        self.ctl_ok("run", "-d", "--name", "long", "--", "/bin/sleep", "100")
        ctl = self.start("wait", "long")
        wait_for(lambda: proc_state(ctl.pid) == "S", what="a wait")
        time.sleep(0.1)
        self.killed(ctl)
        self.killed(ctl)
        self.ctl_ok("kill", "-s", "KILL", "long")
        self.assertEqual(ctl.communicate(timeout=30 * SLOW), (b"137\n", b""))
        self.ctl_ok("delete", "long")

    def test_leased_run_outlives_nsexecd_and_not_its_caller(self):
        ctl = self.start("run", "--lease", "--name", "tied", "--",
                         "/bin/sleep", "100")
        self.running("tied")
        self.killed(ctl)
        time.sleep(11)  # LEASE_GRACE_MS
        self.assertEqual(self.state("tied"), "running")
        ctl.kill()
        ctl.wait()
        self.assertEqual(self.ctl_ok("wait", "tied").out, "137\n")
        last = [event for event in self.ctl_ok(
            "events", "--no-follow", "--json", "tied").jsonl()
            if event["type"] == "exited"]
        self.assertEqual([event["reason"] for event in last], ["lease"])
        self.ctl_ok("delete", "tied")

    def test_run_through_a_clean_restart(self):
        """The daemon that ends puts the wait off; the next one answers it."""
        ctl = self.start("run", "--name", "clean", "--", "/bin/sh", "-c",
                         "trap 'exit 5' TERM; while :; do sleep 0.1; done")
        self.running("clean")
        self.nsx.launcher.send_signal(signal.SIGTERM)
        self.assertEqual(self.nsx.launcher.wait(30 * SLOW), 0)
        self.nsx.launcher = None
        self.nsx.start()
        self.assertIsNone(ctl.poll(), "it ended with nsexecd")
        ctl.terminate()
        self.assertEqual(ctl.wait(30 * SLOW), 5)
        self.assertEqual(ctl.stderr.read(), b"")

    def test_starts_under_kills_run_once_each(self):
        """run whose nsexecd dies at any moment of it: its own exit status,
        one run of the program."""
        log = os.path.join(self.nsx.base, "ran")
        for i in range(8):
            ctl = self.start("run", "--", "/bin/sh", "-c",
                             f"echo {i} >>{log}; exit 3")
            time.sleep(0.0009 * i)
            self.nsx.kill_nsexecd()
            self.assertEqual(ctl.wait(60 * SLOW), 3, ctl.stderr.read())
        with open(log, encoding="ascii") as f:
            ran = [int(line) for line in f]
        self.assertEqual(sorted(ran), list(range(8)))
        # A delete that was under way with nsexecd's end may not be repeated.
        for ident in self.ctl_ok("list", "-q").lines():
            self.ctl_ok("delete", ident)


class Keys(ResumeCase):
    def request(self, *args, **more):
        return {"spec": {"process": {
            "args": [arg.encode() for arg in args]}}, **more}

    def test_key_is_known_to_the_next_nsexecd(self):
        key = os.urandom(16)
        made = self.request("/bin/sh", "-c", "exit 8", key=key)
        ident = self.connect().call("Run", made)["info"]["id"]
        self.nsx.kill_nsexecd()
        client = self.connect()
        self.assertEqual(client.call("Run", made)["info"]["id"], ident)
        with self.assertRaises(RpcError) as caught:
            client.call("Run", self.request("/bin/true", key=key))
        self.assertEqual(caught.exception.detail["code"], "CONFLICT")
        end = client.call("Wait", {"id": ident})["exit"]
        self.assertEqual(end["code"], 8)
        client.call("Delete", {"id": ident})
        # Deleted, and known all the same: it is never started again.
        with self.assertRaises(RpcError) as caught:
            client.call("Run", made)
        self.assertEqual(caught.exception.detail["code"], "GONE")

    def test_repetition_may_send_its_descriptors_anew(self):
        key = os.urandom(16)
        client = self.connect()
        idents = set()
        null = os.open("/dev/null", os.O_RDWR)
        for _ in range(2):
            token, channel = client.pass_fds([null])
            made = self.request("/bin/true", key=key, fd_token=token, n_fds=1)
            made["spec"]["process"]["stdout"] = {"kind": "STDIO_FD",
                                                 "fd_index": 0}
            idents.add(client.call("Run", made)["info"]["id"])
            channel.close()
        os.close(null)
        self.assertEqual(len(idents), 1)
        client.call("Wait", {"id": idents.copy().pop()})
        client.call("Delete", {"id": idents.pop()})


if __name__ == "__main__":
    main()
