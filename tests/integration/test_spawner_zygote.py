# SPDX-License-Identifier: Apache-2.0
"""Starts by the spawner's zygotes, and what the death or sleep of one means."""
import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
import spawner_peer as sp
from harness import SANITIZED, children, comm, main, proc_state, wait_for, \
    zygotes
from spawner_peer import attr
from test_spawner import SpawnerCase


@unittest.skipIf(SANITIZED, "there are no zygotes in a sanitized build")
class Zygotes(SpawnerCase):
    def setUp(self):
        super().setUp()
        wait_for(self.are_awake, what="zygotes")

    def are_awake(self):
        found = zygotes(self.spawner.pid)
        return len(found) == min(4, os.cpu_count()) and \
            all(proc_state(pid) == "S" for pid in found)

    def asleep(self):
        return [pid for pid in zygotes(self.spawner.pid)
                if proc_state(pid) == "D"]

    def at_gate(self, name, **keywords):
        start, pid = self.start(container=name, gate=sp.GATE_CHANNEL,
                                **keywords)
        self.ready(start)
        return start, pid

    def let_end(self, started, name):
        start, pid = started
        start.open_gate()
        self.assertEqual(self.wait_exit(start, pid).u32(sp.WAIT_STATUS), 0)
        self.clean(pid, name)

    def test_a_start_sleeps_in_one_and_wakes_it_by_exec(self):
        started = self.at_gate("web1")
        self.assertEqual(len(self.asleep()), 1)
        self.assertEqual(comm(started[1]), "nsx:[init]")
        self.let_end(started, "web1")
        wait_for(self.are_awake, what="the zygote is idle again")

    def test_when_all_are_asleep_starts_go_on_without(self):
        n = len(zygotes(self.spawner.pid))
        names = [f"web{i}" for i in range(n + 3)]
        started = [self.at_gate(name) for name in names]
        self.assertEqual(len(self.asleep()), n)
        for start, name in zip(started, names):
            self.let_end(start, name)
        wait_for(self.are_awake, what="all are idle again")

    def test_a_stopped_init_keeps_nobody_else_waiting(self):
        started = self.at_gate("web1")
        os.kill(started[1], signal.SIGSTOP)
        for i in range(5):
            self.let_end(self.at_gate(f"other{i}"), f"other{i}")
        os.kill(started[1], signal.SIGCONT)
        self.let_end(started, "web1")

    def test_a_killed_one_is_replaced_and_its_init_lives_on(self):
        started = self.at_gate("web1")
        victim = self.asleep()[0]
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: proc_state(victim) is None, what="its end")
        self.let_end(self.at_gate("web2"), "web2")
        self.let_end(started, "web1")
        wait_for(self.are_awake, what="another one")
        self.assertIn(f"zygote {victim} ended (signal 9)", self.spawner.log())

    def test_stopped_ones_only_delay_what_they_were_given(self):
        victims = zygotes(self.spawner.pid)
        for victim in victims:
            os.kill(victim, signal.SIGSTOP)
        waiting = [sp.Start(self.caller, container=f"web{i}")
                   for i in range(len(victims))]
        try:
            for start in waiting:
                start.send(self.peer)
            self.done(sp.PING)  # they were taken before what comes now
            other = self.spawner.connect()
            self.addCleanup(other.close)
            started = self.at_gate("other", peer=other)
            self.let_end(started, "other")
        finally:
            for victim in victims:
                os.kill(victim, signal.SIGCONT)
        for _ in waiting:
            answer = self.peer.recv()
            self.assertEqual(answer.kind, sp.CHILD, answer)
            self.addCleanup(answer.close)
        for start in waiting:
            start.close()
        wait_for(lambda: all(
            proc_state(pid) == "Z" for pid in children(self.spawner.pid)),
            what="inits whose gate closed have ended")
        for pid in children(self.spawner.pid):
            self.done(sp.REAP, attr(sp.PID, pid))
        for i in range(len(waiting)):
            self.done(sp.CGROUP_REMOVE, attr(sp.CONTAINER, f"web{i}"),
                      attr(sp.UID, 0))

    def test_memory_of_one_start_is_not_there_in_the_next(self):
        secret = os.urandom(8).hex()
        self.let_end(self.at_gate("web1", env=("SECRET=" + secret,)), "web1")
        wait_for(self.are_awake, what="idle")
        for zygote in zygotes(self.spawner.pid):
            # No assertNotIn: its message would be that memory.
            self.assertFalse(secret.encode() in self.memory(zygote),
                             f"zygote {zygote} holds an ended environment")

    @staticmethod
    def memory(pid):
        found = b""
        with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, \
                open(f"/proc/{pid}/mem", "rb", 0) as mem:
            for line in maps:
                words = line.split()
                if not words[1].startswith("rw"):
                    continue
                first, last = (int(x, 16) for x in words[0].split("-"))
                mem.seek(first)
                found += mem.read(last - first)
        return found


if __name__ == "__main__":
    main()
