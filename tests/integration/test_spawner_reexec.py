# SPDX-License-Identifier: Apache-2.0
"""The spawner becomes another program in place: nothing it holds is lost."""
import collections
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
import spawner_peer as sp
from harness import (ORDINARY_UID, SANITIZED, SLOW, TestCase, all_children,
                     alive, children, comm, fd_kinds, main, proc_state,
                     program, wait_for, zygotes)
from spawner_peer import attr

REEXECS = 30


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(next(line for line in f
                        if line.startswith("VmRSS")).split()[1])


def copy_program(source, target, tail=b""):
    """A copy in the place of what was there, as an upgrade does it."""
    with open(source, "rb") as f:
        data = f.read() + tail
    with open(target + ".new", "wb") as f:
        f.write(data)
    os.chmod(target + ".new", 0o755)
    os.rename(target + ".new", target)


class Case(TestCase):
    """A spawner from a file of its own, which a test may replace."""
    INSTANCE = False
    OPTIONS = ()
    PROGRAM = "nsexec-spawner"

    def setUp(self):
        super().setUp()
        self.files = f"/tmp/nsx-reexec.{os.getpid()}"
        os.mkdir(self.files)
        self.addCleanup(shutil.rmtree, self.files)
        self.file = os.path.join(self.files, "nsexec-spawner")
        copy_program(program(self.PROGRAM), self.file)
        self.spawner = self.launch()
        self.peer = self.spawner.connect()
        self.addCleanup(self.peer.close)
        self.rpc = self.spawner.listener("rpc.sock")
        self.addCleanup(self.rpc.close)
        _, self.caller = self.rpc.connect()

    def launch(self):
        case = self

        class Copy(sp.Spawner):
            PROGRAM = case.file  # absolute, so that it stays as it is

        spawner = Copy(*self.OPTIONS)
        self.addCleanup(self.end, spawner)
        return spawner

    def end(self, spawner):
        log = spawner.log()
        self.assertEqual(spawner.stop(), [], log)
        for sign in ("runtime error:", "Sanitizer"):
            self.assertNotIn(sign, log)

    def reexec(self, fds=()):
        answer = self.peer.call(sp.REEXEC, fds=fds)
        self.assertEqual(answer.kind, sp.DONE,
                         f"{answer}\n{self.spawner.log()}")
        self.settle()

    def settle(self):
        """The old program's zygotes are gone, the new one's are there."""
        wait_for(lambda: not [pid for pid in all_children(self.spawner.pid)
                              if proc_state(pid) == "Z" and
                              comm(pid) == "nsx:[zygote]"], 10,
                 "the end of the old zygotes")

    def refused(self, text, fds=(), code=sp.FAILED_PRECONDITION):
        """It says why, is the same process, and works."""
        exe = os.readlink(f"/proc/{self.spawner.pid}/exe")
        answer = self.peer.call(sp.REEXEC, fds=fds)
        self.assertEqual((answer.kind, answer.code), (sp.ERROR, code), answer)
        self.assertIn(text, answer.rule)
        self.assertEqual(os.readlink(f"/proc/{self.spawner.pid}/exe"), exe)
        self.works()
        return answer

    def kinds(self):
        """Its descriptors, when what was under way is over."""
        seen = []

        def settled():
            seen.append(fd_kinds(self.spawner.pid))
            time.sleep(0.05)
            return len(seen) > 3 and seen[-1] == seen[-2] == seen[-3]
        wait_for(settled, 10, "its descriptors stay the same")
        return seen[-1]

    def works(self):
        with self.start("works", "exit 9") as start:
            self.ended(start, 9)

    @contextlib.contextmanager
    def start(self, container, script, caller=None, **more):
        with sp.Start(caller or self.caller, container,
                      ("/bin/sh", "-c", script), **more) as start:
            answer = start.call(self.peer)
            self.assertEqual(answer.kind, sp.CHILD,
                             f"{answer}\n{self.spawner.log()}")
            start.pid = answer.u32(sp.PID)
            answer.close()
            yield start

    def status(self, pid):
        return self.peer.call(sp.STATUS, attr(sp.PID, pid))

    def ended(self, start, code, uid=0):
        """It ends with that code, once; nothing of it stays."""
        wait_for(lambda: self.status(start.pid).u32(sp.EXITED), 10, "its end")
        answer = self.status(start.pid)
        self.assertEqual(answer.u32(sp.WAIT_STATUS), code << 8, answer)
        self.assertEqual(answer.u32(sp.EXECED), 1)
        self.assertEqual(self.peer.call(
            sp.REAP, attr(sp.PID, start.pid)).kind, sp.DONE)
        self.assertEqual(self.status(start.pid).kind, sp.ERROR)
        self.assertEqual(self.peer.call(
            sp.CGROUP_REMOVE, attr(sp.CONTAINER, start.container),
            attr(sp.UID, uid)).kind, sp.DONE)

    def listed(self):
        """LIST: {pid: (container, owner, exited)}."""
        self.peer.request(sp.LIST)
        found = {}
        while (answer := self.peer.recv()).kind == sp.ENTRY:
            answer.close()
            found[answer.u32(sp.PID)] = (answer.text(sp.CONTAINER),
                                         answer.u32(sp.UID),
                                         answer.u32(sp.EXITED))
        self.assertEqual(answer.kind, sp.DONE)
        return found


class Carried(Case):
    def test_children_of_all_kinds_over_thirty(self):
        """20 containers: running, waiting at gates, dead and not reaped."""
        with contextlib.ExitStack() as stack:
            def begin(name, script, **more):
                return stack.enter_context(self.start(name, script, **more))
            running = [begin(f"run{i}", f"sleep 600 & wait; exit {i}")
                       for i in range(7)]
            gated = [begin(f"gate{i}", f"exit {40 + i}",
                           gate=sp.GATE_NAMED) for i in range(6)]
            dead = [begin(f"dead{i}", f"exit {80 + i}") for i in range(7)]
            for start in dead:
                wait_for(lambda p=start.pid: proc_state(p) == "Z")
            before = (self.listed(), sorted(children(self.spawner.pid)))
            self.assertEqual(len(before[0]), 20)
            self.reexec()
            kinds = self.kinds()
            memory = resident_kib(self.spawner.pid)
            for _ in range(REEXECS - 1):
                self.reexec()
            self.assertEqual(
                (self.listed(), sorted(children(self.spawner.pid))), before)
            self.assertEqual(self.kinds(), kinds)
            if not SANITIZED:
                self.assertLess(resident_kib(self.spawner.pid), memory + 256)
            for i, start in enumerate(gated):
                client, caller = self.rpc.connect()
                self.assertEqual(self.peer.call(
                    sp.OPEN, attr(sp.CONTAINER, start.container),
                    fds=[caller.fileno()]).kind, sp.DONE)
                self.assertIsNotNone(client)
                self.ended(start, 40 + i)
            for i, start in enumerate(dead):
                self.ended(start, 80 + i)
            for i, start in enumerate(running):
                for pid in children(start.pid):
                    os.kill(pid, signal.SIGKILL)
                self.ended(start, i)
        self.assertEqual(self.listed(), {})

    def test_process_keeps_what_it_is_and_gains_nothing(self):
        def facts():
            with open(f"/proc/{self.spawner.pid}/status",
                      encoding="ascii") as f:
                rows = dict(line.rstrip("\n").split(":\t", 1) for line in f)
            kept = {name: rows[name] for name in (
                "Name", "Umask", "Pid", "PPid", "Uid", "Gid", "Groups",
                "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
                "NoNewPrivs", "SigBlk", "SigIgn", "SigCgt")}
            for name in ("limits", "oom_score_adj", "cgroup"):
                with open(f"/proc/{self.spawner.pid}/{name}",
                          encoding="ascii") as f:
                    kept[name] = f.read()
            kept["cwd"] = os.readlink(f"/proc/{self.spawner.pid}/cwd")
            kept["uid of files"] = os.stat(
                f"/proc/{self.spawner.pid}/environ").st_uid
            return kept
        with open(f"/proc/{self.spawner.pid}/oom_score_adj", "w",
                  encoding="ascii") as f:
            f.write("321")
        before, kinds = facts(), self.kinds()
        with self.start("old", "exit 0") as start:
            self.ended(start, 0)
        self.reexec()
        self.assertEqual(facts(), before)
        self.assertEqual(self.kinds(), kinds)
        # What a payload gets of it is the same, too.
        out = os.path.join(self.files, "out")
        with self.start("limits", f"ulimit -Sn >{out}; ulimit -c >>{out}; "
                        f"ls /proc/self/fd | wc -l >>{out}; "
                        f"grep Sig.l[kn] /proc/self/status >>{out}") as start:
            self.ended(start, 0)
        with open(out, encoding="ascii") as f:
            lines = f.read().split("\n")
        soft = subprocess.run(["sh", "-c", "ulimit -Sn; ulimit -c"],
                              check=True, capture_output=True).stdout
        self.assertEqual(lines[:2], soft.decode().split())
        self.assertEqual(lines[2], "4")
        for line in lines[3:-1]:
            self.assertEqual(int(line.split("\t")[1], 16), 0, line)

    @unittest.skipIf(SANITIZED, "there are no zygotes in a sanitized build")
    def test_zygotes_are_new_ones(self):
        self.works()
        wait_for(lambda: zygotes(self.spawner.pid) and
                 all_children(self.spawner.pid) == zygotes(self.spawner.pid),
                 10, "they have their names")
        old = zygotes(self.spawner.pid)
        self.assertNotEqual(old, [])
        self.reexec()
        wait_for(lambda: not [pid for pid in old if proc_state(pid)], 10,
                 "the end of the old ones")
        wait_for(lambda: len(zygotes(self.spawner.pid)) == len(old), 10,
                 "as many new ones")

    def test_signals_are_heard_by_the_new_program(self):
        self.reexec()
        self.assertEqual(self.spawner.alive(), True)
        os.kill(self.spawner.pid, signal.SIGCHLD)
        self.works()
        # TERM is the end of every test.

    def test_other_connections_and_their_numbers_go_on(self):
        with self.spawner.connect_closing() as other:
            self.assertEqual(other.call(sp.PING).kind, sp.DONE)
            self.reexec()
            self.assertEqual(other.call(sp.PING).kind, sp.DONE)
            with self.spawner.connect_closing() as third:
                self.assertEqual(third.call(sp.PING).kind, sp.DONE)

    def test_answers_that_were_not_taken_are_carried(self):
        with self.spawner.connect_closing() as other:
            other.sock.settimeout(0.5)
            sent = 0
            with contextlib.suppress(TimeoutError):
                while sent < 20000:
                    other.request(sp.PING)
                    sent += 1
            self.assertLess(sent, 20000)
            self.reexec()
            other.sock.settimeout(20)
            for seq in range(1, sent + 1):
                answer = other.recv()
                self.assertEqual((answer.kind, answer.seq), (sp.DONE, seq))
            self.assertEqual(other.call(sp.PING).kind, sp.DONE)

    def test_list_under_way_is_carried(self):
        with contextlib.ExitStack() as stack:
            starts = [stack.enter_context(self.start(f"c{i}", "exit 0"))
                      for i in range(12)]
            pids = collections.Counter(start.pid for start in starts)
            with self.spawner.connect_closing() as other:
                # Each is twelve entries; the socket holds some of them.
                other.sock.settimeout(0.5)
                sent = 0
                with contextlib.suppress(TimeoutError):
                    while sent < 2000:
                        other.request(sp.LIST)
                        sent += 1
                self.reexec()
                other.sock.settimeout(20)
                for seq in range(1, sent + 1):
                    seen = collections.Counter()
                    while (answer := other.recv()).kind == sp.ENTRY:
                        answer.close()
                        self.assertEqual(answer.seq, seq)
                        seen[answer.u32(sp.PID)] += 1
                    self.assertEqual((answer.kind, answer.seq),
                                     (sp.DONE, seq))
                    self.assertEqual(seen, pids)
            for start in starts:
                self.ended(start, 0)

    def test_program_of_a_memfd_is_taken(self):
        copy_program(self.file, self.files + "/given", b"another")
        with open(self.files + "/given", "rb") as f:
            data = f.read()
        fd = os.memfd_create("given", os.MFD_ALLOW_SEALING | 0x10)
        self.addCleanup(os.close, fd)
        os.write(fd, data)
        self.refused("sealed", [fd])
        os.fchmod(fd, 0o555)
        sp.fcntl.fcntl(fd, sp.F_ADD_SEALS, sp.SEALS)
        self.reexec([fd])
        self.assertIn("/memfd:given", os.readlink(
            f"/proc/{self.spawner.pid}/exe"))
        self.works()
        self.reexec()  # the file that it was started from first
        self.assertEqual(os.readlink(f"/proc/{self.spawner.pid}/exe"),
                         self.file)

    def test_reload_by_command_hands_its_own_program_on(self):
        done = subprocess.run(
            [program("nsexec-spawner"), "--reload", "--run-dir",
             self.spawner.dir], capture_output=True, text=True, timeout=60,
            check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("/memfd:", os.readlink(f"/proc/{self.spawner.pid}/exe"))
        self.settle()
        self.works()


class Deferred(Case):
    """A resolver that hangs: an ordinary caller's request waits 5 s for it."""

    def setUp(self):
        base = f"/tmp/nsx-reexec.{os.getpid()}.resolver"
        with open(program("tests/integration/resolver_standin"), "rb") as f:
            data = bytearray(f.read())
        for mark, size, text in ((b"STANDIN-MODE", 32, "hang"),
                                 (b"STANDIN-LOG", 128, base + ".runs")):
            at = data.index(mark)
            data[at:at + size] = text.encode().ljust(size, b"\0")
        for name, content in ((base, data), (base + ".runs", b"")):
            with open(name, "wb") as f:
                f.write(content)
            os.chmod(name, 0o777)
            self.addCleanup(os.unlink, name)
        self.OPTIONS = ("--resolver", base)
        super().setUp()

    def test_request_that_waits_is_answered_by_the_new_program(self):
        child, caller = self.rpc.connect_as(ORDINARY_UID)
        try:
            with sp.Start(caller, "late", ("/bin/sh", "-c", "exit 6")) as late:
                seq = late.send(self.peer)
                who = self.peer.request(sp.WHO, fds=[caller.fileno()])
                caller.close()
                began = time.monotonic()
                for _ in range(3):
                    reexec = self.peer.request(sp.REEXEC)
                    answer = self.peer.recv()
                    self.assertEqual((answer.kind, answer.seq),
                                     (sp.DONE, reexec), self.spawner.log())
                answers = {}
                while len(answers) < 2:
                    answer = self.peer.recv()
                    answers[answer.seq] = answer
                self.assertGreater(time.monotonic() - began, 4)
                self.assertEqual(answers[who].kind, sp.WHO_ANSWER)
                self.assertEqual(answers[seq].kind, sp.CHILD,
                                 self.spawner.log())
                late.pid = answers[seq].u32(sp.PID)
                answers[seq].close()
                self.settle()
                self.ended(late, 6, uid=ORDINARY_UID)
        finally:
            child.stdin.close()
            child.wait()


class InFlight(Case):
    """Relays that do nothing until they are killed."""
    PROGRAM = "tests/integration/false_spawner"

    def test_start_in_flight_is_carried_and_ended_by_the_new_program(self):
        with sp.Start(self.caller, "slow", ("sleep",)) as slow:
            seq = slow.send(self.peer)
            self.assertEqual(self.peer.call(sp.PING).kind, sp.DONE)
            with open(self.spawner.leaf("slow") + "/cgroup.procs",
                      encoding="ascii") as f:
                relay = int(wait_for(f.read))
            for _ in range(3):
                self.peer.request(sp.REEXEC)
                answer = self.peer.recv()
                self.assertEqual(answer.kind, sp.DONE, self.spawner.log())
            self.assertTrue(alive(relay))
            self.assertEqual(self.peer.call(
                sp.CGROUP_REMOVE, attr(sp.CONTAINER, "slow"),
                attr(sp.UID, 0)).kind, sp.ERROR)
            os.kill(relay, signal.SIGKILL)
            answer = self.peer.recv()
            self.assertEqual((answer.kind, answer.seq), (sp.ERROR, seq))
            wait_for(lambda: not self.spawner.containers(), 10, "its cgroup")
            wait_for(lambda: not children(self.spawner.pid), 10, "no child")
            self.settle()


class Refused(Case):
    def replace(self, kind):
        copy_program(program("tests/integration/reexec_standin"), self.file,
                     kind)

    def test_file_that_is_no_program(self):
        with open(self.file + ".new", "wb") as f:
            f.write(os.urandom(4096))
        os.chmod(self.file + ".new", 0o755)
        os.rename(self.file + ".new", self.file)
        self.refused("it cannot be run: Exec format error")
        copy_program(program("nsexec-spawner"), self.file)
        self.reexec()

    def test_file_that_may_not_be_executed_or_is_gone(self):
        os.chmod(self.file, 0o644)
        self.refused("it cannot be run: Permission denied")
        os.unlink(self.file)
        self.refused("there is no program any more")
        os.symlink("/bin/true", self.file)
        self.refused("not root's alone to write")

    def test_file_that_others_may_write_or_own(self):
        for mode, owner in ((0o775, 0), (0o757, 0), (0o755, ORDINARY_UID)):
            os.chmod(self.file, mode)
            os.chown(self.file, owner, 0)
            self.refused("not root's alone to write")

    def test_program_that_is_no_spawner(self):
        copy_program("/bin/true", self.file)
        self.refused("did not say that it can go on")
        self.replace(b"0")
        self.refused("did not say that it can go on")

    def test_program_that_fails_says_why_fit_to_be_shown(self):
        self.replace(b"1")
        self.refused(r"ended with status 1: no \x1b[31mwill")

    def test_program_that_is_killed(self):
        self.replace(b"k")
        self.refused("killed by signal 9")

    def test_program_that_hangs_is_ended_and_nobody_waits_for_it(self):
        for kind in (b"h", b"f"):
            self.replace(kind)
            self.peer.request(sp.REEXEC)
            with self.spawner.connect_closing() as other:
                began = time.monotonic()
                self.assertEqual(other.call(sp.PING).kind, sp.DONE)
                answer = other.call(sp.REEXEC)
                self.assertEqual((answer.kind, answer.code),
                                 (sp.ERROR, sp.CONFLICT))
                self.assertLess(time.monotonic() - began, 3)
            answer = self.peer.recv()
            self.assertIn("did not say within 5 s", answer.rule)
            self.works()
            self.assertEqual(children(self.spawner.pid), [])

    def test_program_of_another_state_version(self):
        copy_program(program("tests/integration/next_spawner"), self.file)
        self.refused("of version 2, and only 4242 is understood")

    def test_program_without_its_resolver(self):
        """What it loads anew is missing: it would know nobody."""
        gone = self.files + "/resolver"
        shutil.copy(program("nsexec-resolver"), gone)
        spawner = self.spawner
        self.OPTIONS = ("--resolver", gone)
        self.spawner = self.launch()
        with self.spawner.connect_closing() as peer:
            os.unlink(gone)
            answer = peer.call(sp.REEXEC)
            self.assertEqual(answer.kind, sp.ERROR)
            self.assertIn("cannot load the resolver", answer.rule)
        self.spawner = spawner

    def test_exec_that_fails_leaves_all_as_it_was(self):
        self.need_program("strace")
        self.need("a program without leak checker, which strace stops",
                  not SANITIZED)
        log = self.files + "/strace"
        with self.start("stays", "sleep 600 & wait; exit 3") as start:
            kinds = self.kinds()
            with open(log, "wb") as out:
                tracer = subprocess.Popen(
                    ["strace", "-qq", "-o", log + ".out", "-e",
                     "trace=execveat", "-e", "inject=execveat:error=ENOMEM",
                     "-p", str(self.spawner.pid)], stdout=out, stderr=out)
            try:
                def traced():
                    with open(f"/proc/{self.spawner.pid}/status",
                              encoding="ascii") as f:
                        return f"TracerPid:\t{tracer.pid}\n" in f.read()
                wait_for(traced, 10, "strace")
                answer = self.refused("cannot be put in place")
                self.assertEqual(answer.errno, 12)
            finally:
                tracer.terminate()
                tracer.wait()
            self.assertEqual(self.kinds(), kinds)
            self.reexec()
            for pid in children(start.pid):
                os.kill(pid, signal.SIGKILL)
            self.ended(start, 3)

    def test_nsexecds_uid_may_not(self):
        os.seteuid(sp.WORKER_UID)
        try:
            peer = self.spawner.connect()
        finally:
            os.seteuid(0)
        with contextlib.closing(peer):
            answer = peer.call(sp.REEXEC)
            self.assertEqual((answer.kind, answer.code),
                             (sp.ERROR, sp.PERMISSION_DENIED))
        self.works()

    def test_root_that_is_confined_may_not(self):
        for confine in (["unshare", "--mount"], ["unshare", "--net"],
                        ["unshare", "--pid", "--fork"],
                        ["setpriv", "--no-new-privs"]):
            done = subprocess.run(
                [*confine, program("nsexec-spawner"), "--reload", "--run-dir",
                 self.spawner.dir], capture_output=True, text=True,
                timeout=60, check=False)
            self.assertEqual(done.returncode, 1, confine)
            self.assertIn("who asks is confined", done.stderr, confine)
        self.works()

    def test_two_descriptors_are_too_many(self):
        answer = self.peer.call(sp.REEXEC, fds=[0, 0])
        self.assertEqual(answer.code, sp.INVALID_ARGUMENT)

    def test_state_by_hand_is_not_taken(self):
        """Whoever runs the program himself gains nothing, and it says why."""
        for data, text in ((b"", "too small"), (b"\0" * 24, "it is none")):
            fd = sp.memfd(data)
            done = subprocess.run(
                [program("nsexec-spawner"), "--state-fd", str(fd)],
                pass_fds=[fd], capture_output=True, text=True, timeout=20,
                check=False)
            os.close(fd)
            self.assertEqual(done.returncode, 1)
            self.assertIn(text, done.stderr)


class Keeper(Case):
    """The nsexecd that it keeps is kept by the new program."""

    def worker(self):
        with open(os.path.join(self.spawner.dir, "nsexecd.pid"),
                  encoding="ascii") as f:
            return int(f.read() or "0")

    def test_worker_stays_is_restarted_when_it_dies_and_stopped(self):
        with open(program("tests/integration/worker_standin"), "rb") as f:
            data = f.read()
        fd = os.memfd_create("nsexecd", os.MFD_ALLOW_SEALING | 0x10)
        os.write(fd, data)
        os.fchmod(fd, 0o555)
        sp.fcntl.fcntl(fd, sp.F_ADD_SEALS, sp.SEALS)
        with self.spawner.connect_closing() as launcher:
            self.assertEqual(launcher.call(sp.KEEP, fds=[fd]).kind, sp.DONE)
            os.close(fd)
            pids = [self.worker()]
            for _ in range(3):
                self.reexec()
            self.assertTrue(alive(pids[0]))
            for _ in range(2):
                os.kill(pids[-1], signal.SIGKILL)
                pids.append(wait_for(
                    lambda: self.worker() not in (0, pids[-1]) and
                    self.worker(), 10 * SLOW, "another one"))
                self.reexec()
            self.assertEqual(self.peer.call(sp.STOP).kind, sp.DONE)
            self.assertFalse(alive(pids[-1]))
            answer = launcher.recv()  # the second DONE to KEEP
            self.assertEqual((answer.kind, answer.seq), (sp.DONE, 1))
            self.assertIsNone(launcher.recv())


if __name__ == "__main__":
    main()
