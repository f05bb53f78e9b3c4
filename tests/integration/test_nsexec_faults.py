#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nsexec whose system calls fail and whose stages die, one at a time.

strace injects the fault; whichever stage it hits, the start must end at once
with status 1, one fatal record and no process, or, where the call does not
matter, succeed.
"""
import os
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), HERE]
import nsexec_driver as drv  # noqa: E402
from harness import SLOW, alive, children, main, program  # noqa: E402
from harness import wait_for  # noqa: E402
from test_nsexec import MAP, NsexecCase  # noqa: E402

# Call, which one of its process, and what the fatal record says.
FAILURES = (
    ("clone3", 1, "clone"),
    ("socketpair", 1, "sync sockets"),
    ("socketpair", 2, "sync sockets"),
    ("setns", 1, "join-"),
    ("setns", 2, "join-"),
    ("unshare", 1, "unshare user namespace"),
    ("unshare", 2, "unshare remaining namespaces"),
    ("setresgid", 1, "become root"),
    ("setresuid", 1, "become root"),
    ("setsid", 1, "setsid failed"),
    ("setgid", 1, "setgid failed"),
    ("setuid", 1, "setuid failed"),
    ("setgroups", 1, "setgroups failed"),
    ("execve", 1, "failed to execute sleep"),
    ("pidfd_open", 1, "stage-2"),
)
# The stage that makes this call is killed in it.
DEATHS = (
    ("setns", 1, "sync with stage-1"),
    ("unshare", 1, "sync with stage-1"),
    ("setresuid", 1, "sync with stage-1"),
    ("unshare", 2, "sync with stage-1"),
    ("setsid", 1, "sync with stage-2"),
    ("setgroups", 1, "sync with stage-2"),
)
OF_DIALECT = {"setgroups": ("M2", "M3")}


class Faults(NsexecCase):
    def setUp(self):
        self.need("strace", shutil.which("strace"))
        super().setUp()

    def message(self, dialect, held):
        flags = drv.NEWUSER | drv.NEWPID | drv.NEWIPC
        values = self.values(dialect, flags, uidmap=MAP, gidmap=MAP,
                             paths=drv.paths(dialect, [
                                 ("uts", held.ns("uts")),
                                 ("net", held.ns("net"))]))
        if dialect in ("M1", "M2", "M3"):
            values["setgroup"] = 1
        return drv.encode(dialect, **values)

    def injected(self, dialect, data, call, when, what):
        """A start with one fault; its Bootstrap. strace is the parent."""
        began = time.monotonic()
        run = drv.Bootstrap("strace", dialect, (
            "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
            f"inject={call}:{what}:when={when}", program("nsexec"), "sleep",
            "60"))
        self.addCleanup(run.end)
        run.run_foreign(data)
        self.assertLess(time.monotonic() - began, 4 * SLOW, "not at once")
        return run

    def test_a_failed_system_call_ends_the_start_with_its_cause(self):
        held = self.holder(drv.NEWUTS | drv.NEWNET)
        for dialect in ("D2", "M0", "M2", "M3"):
            data = self.message(dialect, held)
            for call, when, pattern in FAILURES:
                if dialect not in OF_DIALECT.get(call, drv.DIALECTS):
                    continue
                with self.subTest(dialect=dialect, call=call, when=when):
                    run = self.injected(dialect, data, call, when,
                                        "error=EIO")
                    self.assertEqual(run.code, 1, run.fatal())
                    self.assertEqual(len(run.fatal()), 1, run.fatal())
                    self.assertRegex(run.fatal()[0], pattern)
                    self.assertIn("Input/output error", run.fatal()[0])
                    run.end()

    def test_a_killed_stage_ends_the_start(self):
        held = self.holder(drv.NEWUTS | drv.NEWNET)
        for dialect in ("M0", "M2", "M3"):
            data = self.message(dialect, held)
            for call, when, pattern in DEATHS:
                if dialect not in OF_DIALECT.get(call, drv.DIALECTS):
                    continue
                with self.subTest(dialect=dialect, call=call, when=when):
                    run = self.injected(dialect, data, call, when,
                                        "signal=KILL")
                    self.assertEqual(run.code, 1, run.fatal())
                    self.assertRegex(run.fatal()[0], pattern)
                    run.end()

    def test_a_killed_helper_or_joiner_ends_a_start_of_2016(self):
        held = self.holder(drv.NEWUTS | drv.NEWNET)
        for dialect in drv.OLD:
            data = self.message(dialect, held)
            for call in ("setns", "unshare", "pidfd_open", "setsid"):
                with self.subTest(dialect=dialect, call=call):
                    run = self.injected(dialect, data, call, 1,
                                        "signal=KILL")
                    self.assertNotEqual(run.code, 0)
                    run.end()

    def test_unshare_is_tried_five_times_on_einval(self):
        data = drv.encode("M3", **self.values("M3", drv.NEWUTS))
        for times, code in (("1..4", 0), ("1..5", 1)):
            run = drv.Bootstrap("strace", "M3", (
                "-f", "-qq", "-o", "/dev/null", "-e", "trace=unshare", "-e",
                f"inject=unshare:error=EINVAL:when={times}",
                program("nsexec")))
            self.addCleanup(run.end)
            run.run_foreign(data)
            self.assertEqual(run.code, code, run.fatal())
            run.end()

    def test_nothing_lives_on_after_a_death_of_stage_0(self):
        held = self.holder(drv.NEWUTS | drv.NEWNET)
        data = self.message("M3", held)
        before = set(children(os.getpid()))
        for call, when in (("clone3", 1), ("pidfd_open", 1), ("sendto", 1),
                           ("sendto", 2), ("poll", 3), ("poll", 4)):
            with self.subTest(call=call, when=when):
                run = self.injected("M3", data, call, when, "signal=KILL")
                run.end()
        wait_for(lambda: not [pid for pid in children(os.getpid())
                              if pid not in before and alive(pid)],
                 what="all processes' end")


if __name__ == "__main__":
    main()
