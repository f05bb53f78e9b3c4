# SPDX-License-Identifier: Apache-2.0
"""nsexec-spawner with relays that lie: a relay's pid is a claim.

The program is the spawner itself, linked with false stages.
"""
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
import spawner_peer as sp
from harness import children, main, wait_for
from spawner_peer import attr
from test_spawner import SpawnerCase as _SpawnerCase


class FalseRelays(_SpawnerCase):
    @classmethod
    def setUpClass(cls):
        sp.Spawner.PROGRAM = "tests/integration/false_spawner"
        try:
            super().setUpClass()
        finally:
            sp.Spawner.PROGRAM = "nsexec-spawner"

    def lie(self, *argv, container="web1"):
        start, answer = self.start(ok=False, argv=argv, container=container)
        start.wait_eof()
        return answer

    def test_pids_that_are_no_children_are_refused(self):
        for pid in (1, 0, -1, os.getpid(), self.spawner.pid, 0x7fffffff):
            answer = self.lie("claim", str(pid))
            self.assertEqual(answer.code, sp.INTERNAL, answer)
            wait_for(lambda: not self.spawner.containers(),
                     what="the cgroup's removal")

    def test_relay_is_not_its_own_init(self):
        self.assertEqual(self.lie("claim-own").code, sp.INTERNAL)

    def test_init_of_another_start_is_refused(self):
        start, pid = self.start(argv=("two",), container="other")
        answer = self.lie("claim", str(pid))
        self.assertEqual(answer.code, sp.INTERNAL, answer)
        self.assertIn("refused pid", self.spawner.log())
        self.kill_and_clean(start, pid, "other")

    def test_unreported_child_of_another_container_is_refused(self):
        start, pid = self.start(argv=("two",), container="other")
        second = next(p for p in children(self.spawner.pid) if p != pid)
        self.assertEqual(self.lie("claim", str(second)).code, sp.INTERNAL)
        for kind in (sp.STATUS, sp.REAP, sp.PIDFD):
            self.refused(sp.NOT_FOUND, kind, attr(sp.PID, second))
        self.kill_and_clean(start, pid, "other")

    def test_only_the_first_report_counts(self):
        start, pid = self.start(argv=("two",))
        seq = self.peer.request(sp.PING)
        self.assertEqual(self.peer.recv().seq, seq, "one answer to a start")
        wait_for(lambda: len(children(self.spawner.pid)) == 2,
                 what="the relay's end")
        self.kill_and_clean(start, pid)

    def test_init_that_ended_before_its_report_is_believed(self):
        start, pid = self.start(argv=("reused",))
        status = self.wait_exit(start, pid)
        self.assertEqual(status.u32(sp.WAIT_STATUS), 7 << 8)
        self.clean(pid)

    def test_reports_of_another_size_are_a_failed_stage(self):
        self.assertEqual(self.lie("short").code, sp.STAGE_FAILED)
        # Twelve bytes begin with a pid of 0.
        self.assertEqual(self.lie("long").code, sp.INTERNAL)

    def test_failed_relays_init_is_killed_and_reaped(self):
        answer = self.lie("unreported")
        self.assertEqual(answer.code, sp.STAGE_FAILED, answer)
        self.assertIn(b"exit status 5", answer.attrs[sp.FAILURE])

    def test_killed_relay_is_told_by_its_signal(self):
        answer = self.lie("die")
        self.assertEqual(answer.code, sp.STAGE_FAILED, answer)
        self.assertIn(b"killed by signal 9", answer.attrs[sp.FAILURE])

    def test_child_that_was_not_reported_is_reaped_as_a_stray(self):
        start, pid = self.start(argv=("stray",))
        # A false init has exit_signal 0: its end wakes nobody. Another's does.
        self.lie("die", container="other")
        wait_for(lambda: children(self.spawner.pid) == [pid],
                 what="the stray's reap")
        self.kill_and_clean(start, pid)

    def test_start_in_flight_is_killed_with_its_container(self):
        start = sp.Start(self.caller, argv=("sleep",))
        self.addCleanup(start.close)
        seq = start.send(self.peer)
        wait_for(lambda: children(self.spawner.pid), what="the relay")
        again, answer = self.start(ok=False, argv=("two",))
        self.assertEqual(answer.code, sp.CONFLICT, answer)
        again.wait_eof()
        self.done(sp.KILL_ALL, attr(sp.CONTAINER, "web1"),
                  attr(sp.SIGNAL_NUMBER, signal.SIGKILL))
        answer = self.peer.recv()
        self.assertEqual((answer.seq, answer.code), (seq, sp.STAGE_FAILED))

    def test_513th_start_in_flight_is_overloaded(self):
        starts = [sp.Start(self.caller, argv=("sleep",), container=f"s{i}")
                  for i in range(513)]
        for start in starts:
            self.addCleanup(start.close)
            start.send(self.peer)
        answer = self.peer.recv()
        self.assertEqual((answer.seq, answer.code), (513, sp.OVERLOADED),
                         answer)
        failed = 0
        for start in starts[:512]:
            seq = self.peer.request(
                sp.KILL_ALL, attr(sp.CONTAINER, start.container),
                attr(sp.SIGNAL_NUMBER, signal.SIGKILL))
            # Read while asking: with answers waiting no request is read.
            answer = self.peer.recv()
            while answer.seq != seq:
                failed += answer.kind == sp.ERROR
                answer = self.peer.recv()
            self.assertEqual(answer.kind, sp.DONE, answer)
        while failed < 512:
            self.assertEqual(self.peer.recv().kind, sp.ERROR)
            failed += 1


if __name__ == "__main__":
    main()
