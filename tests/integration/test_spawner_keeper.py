# SPDX-License-Identifier: Apache-2.0
"""nsexec-spawner keeping a worker: a stand-in for the unprivileged nsexecd."""
import os
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
import spawner_peer as sp
from harness import SLOW, TestCase, alive, main, program, wait_for


class Keeper(TestCase):
    INSTANCE = False

    def setUp(self):
        super().setUp()
        self.spawner = sp.Spawner()
        self.worker_pids = set()
        self.addCleanup(self.end)

    def end(self):
        log = self.spawner.log()
        left = self.spawner.stop()
        for pid in self.worker_pids:
            wait_for(lambda p=pid: not alive(p), 5, f"worker {pid}'s end")
        self.assertEqual(left, [], log)

    def program(self):
        with open(program("tests/integration/worker_standin"), "rb") as f:
            data = f.read()
        fd = os.memfd_create("nsexecd", os.MFD_ALLOW_SEALING | 0x10)
        os.fchmod(fd, 0o555)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view):]
        sp.fcntl.fcntl(fd, sp.F_ADD_SEALS, sp.SEALS)
        return fd

    def keep(self, *args, peer=None):
        """KEEP; (the connection, the answer)."""
        peer = peer or self.spawner.connect()
        self.addCleanup(peer.close)
        fds = [self.program()]
        if args:
            fds.append(sp.memfd(sp.strings(*args)))
        answer = peer.call(sp.KEEP, fds=fds)
        for fd in fds:
            os.close(fd)
        return peer, answer

    def kept(self, *args):
        peer, answer = self.keep(*args)
        self.assertEqual(answer.kind, sp.DONE,
                         f"{answer} {self.spawner.log()}")
        return peer

    def told_of_the_end(self, peer):
        """A second DONE to KEEP, the first request; then the end."""
        answer = peer.recv()
        self.assertEqual((answer.kind, answer.seq), (sp.DONE, 1))
        self.assertIsNone(peer.recv())

    def worker(self):
        with open(os.path.join(self.spawner.dir, "nsexecd.pid"),
                  encoding="ascii") as f:
            pid = int(f.read() or "0")
        if pid:
            self.worker_pids.add(pid)
        return pid

    def new_worker(self, old):
        return wait_for(lambda: self.worker() not in (0, old) and
                        self.worker(), 10, "a new worker")

    def report(self):
        found = {}
        with open(os.path.join(self.spawner.dir, "records", "report"),
                  encoding="utf-8") as f:
            for line in f:
                key, _, value = line.rstrip("\n").partition(":\t")
                found.setdefault(key, []).append(value)
        return found

    def sockets(self):
        return [n for n in ("nsexecd.sock", "fd.sock")
                if os.path.exists(os.path.join(self.spawner.dir, n))]

    def test_worker_has_two_listeners_and_no_privilege(self):
        self.kept("--flag", "value")
        pid = self.worker()
        report = self.report()
        uid = str(sp.WORKER_UID)
        self.assertEqual(report["Uid"], ["\t".join([uid] * 4)])
        self.assertEqual(report["Gid"], ["\t".join([uid] * 4)])
        self.assertEqual(report["Groups"][0].strip(), "")
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
                     "SigBlk", "SigIgn"):
            self.assertEqual(int(report[name][0], 16), 0, name)
        self.assertEqual(report["NoNewPrivs"], ["1"])
        self.assertEqual(report["arg"], [
            "nsexecd", "--worker", "--run-dir", self.spawner.dir, "--flag",
            "value"])
        self.assertEqual(sorted(report["env"]), [
            "LANG=C.UTF-8", "LISTEN_FDNAMES=rpc:fd", "LISTEN_FDS=2",
            f"LISTEN_PID={pid}", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
        # 0, 1, 2, both listeners, and the report itself.
        self.assertEqual(sorted(int(n) for n in report["fd"]),
                         [0, 1, 2, 3, 4, 5])
        for name in self.sockets():
            mode = os.stat(os.path.join(self.spawner.dir, name)).st_mode
            self.assertEqual(mode & 0o7777, 0o666)

    def test_crashed_worker_is_replaced_and_no_connection_refused(self):
        self.kept()
        old = self.worker()
        os.kill(old, signal.SIGKILL)
        clients = []
        for name, kind in (("nsexecd.sock", socket.SOCK_STREAM),
                           ("fd.sock", socket.SOCK_SEQPACKET)):
            client = socket.socket(socket.AF_UNIX, kind)
            client.connect(os.path.join(self.spawner.dir, name))
            clients.append(client)
        self.assertNotEqual(self.new_worker(old), old)
        for client in clients:
            client.close()

    def test_worker_that_crashes_again_is_throttled(self):
        self.kept()
        pids = [self.worker()]
        began = time.monotonic()
        for _ in range(3):
            os.kill(pids[-1], signal.SIGKILL)
            pids.append(self.new_worker(pids[-1]))
        took = time.monotonic() - began
        self.assertGreater(took, 0.7)  # 100 + 200 + 400 ms
        self.assertLess(took, 6)

    def test_clean_end_is_not_followed_by_a_restart(self):
        peer = self.kept()
        pid = self.worker()
        os.kill(pid, signal.SIGTERM)
        self.told_of_the_end(peer)
        self.assertFalse(alive(pid))
        self.assertEqual(self.sockets(), [])
        # and KEEP starts it again
        self.kept()
        self.assertNotEqual(self.new_worker(0), pid)

    def test_stop_ends_the_worker_and_answers_then(self):
        peer = self.kept()
        pid = self.worker()
        self.assertEqual(peer.call(sp.STOP).kind, sp.DONE)
        self.assertFalse(alive(pid))
        self.told_of_the_end(peer)

    def test_stop_with_no_worker_is_done(self):
        with self.spawner.connect_closing() as peer:
            self.assertEqual(peer.call(sp.STOP).kind, sp.DONE)

    def test_second_keep_joins_the_living_worker(self):
        self.kept()
        pid = self.worker()
        self.kept()
        self.assertEqual(self.worker(), pid)

    def test_what_a_worker_leaves_its_successor_gets(self):
        begin = time.monotonic()
        peer = self.kept("store")
        wait_for(lambda: any("LISTEN_FDNAMES=rpc:fd:" in line for line in
                             self.report().get("env", [])), 10,
                 "a successor with more descriptors")
        # status 75 is no crash: nobody waited
        self.assertLess(time.monotonic() - begin, 0.1 * SLOW)
        env = self.report()["env"]
        self.assertIn("LISTEN_FDS=5", env)
        self.assertIn("LISTEN_FDNAMES=rpc:fd:one:two:four", env)
        with open(os.path.join(self.spawner.dir, "records", "stored"),
                  encoding="ascii") as f:
            said = dict(line.split() for line in f)
        wrong, quota = str(sp.INVALID_ARGUMENT), said["five"]
        self.assertEqual(said, {
            "memfd": "0", "socket": "0", "again": "0", "device": wrong,
            "long": quota, "three": "0", "four": "0", "five": quota,
            "none": "0"})
        self.assertNotIn(quota, ("0", wrong))
        wait_for(self.worker, 5, "its pid")
        self.assertEqual(peer.call(sp.STOP).kind, sp.DONE)

    def test_worker_that_ends_before_it_is_ready_is_an_error(self):
        peer, answer = self.keep("early")
        self.assertEqual((answer.kind, answer.code),
                         (sp.ERROR, sp.FAILED_PRECONDITION), answer)
        self.assertIsNone(peer.recv())
        self.assertEqual(self.sockets(), [])

    def test_program_that_cannot_run_is_an_error(self):
        with self.spawner.connect_closing() as peer:
            fd = sp.memfd(b"not a program")
            answer = peer.call(sp.KEEP, fds=[fd])
            os.close(fd)
            self.assertEqual(answer.kind, sp.ERROR, answer)
        self.assertIn("cannot start nsexecd", self.spawner.log())

    def test_too_many_arguments_are_refused(self):
        _, answer = self.keep(*["x"] * 33)
        self.assertEqual(answer.code, sp.INVALID_ARGUMENT, answer)
        _, answer = self.keep("x" * 5000)
        self.assertEqual(answer.code, sp.INVALID_ARGUMENT, answer)

    def crash_spawner(self):
        """Kill the spawner under its worker; a new one on the directory."""
        self.spawner.process.kill()
        self.spawner.process.wait()
        self.spawner.start()

    def test_new_spawner_takes_over_the_living_worker(self):
        self.kept()
        pid = self.worker()
        self.crash_spawner()
        peer = self.kept()
        self.assertEqual(self.worker(), pid)
        self.assertIn(f"took over nsexecd {pid}", self.spawner.log())
        # its death is seen, and followed by a restart
        os.kill(pid, signal.SIGKILL)
        new = self.new_worker(pid)
        self.assertEqual(peer.call(sp.PING).kind, sp.DONE)
        self.assertEqual(peer.call(sp.STOP).kind, sp.DONE)
        self.assertFalse(alive(new))
        self.spawner.stop_process()
        os.rmdir(self.spawner.cgroup)

    def test_taken_over_worker_that_dies_at_once_is_replaced(self):
        self.kept()
        pid = self.worker()
        os.kill(pid, signal.SIGSTOP)  # it cannot say that it is ready
        self.crash_spawner()
        peer = self.spawner.connect()
        self.addCleanup(peer.close)
        fd = self.program()
        peer.request(sp.KEEP, fds=[fd])
        os.close(fd)
        wait_for(lambda: f"took over nsexecd {pid}" in self.spawner.log())
        os.kill(pid, signal.SIGKILL)
        answer = peer.recv()
        self.assertEqual(answer.kind, sp.DONE, answer)
        new = self.new_worker(pid)
        self.assertEqual(peer.call(sp.STOP).kind, sp.DONE)
        self.assertFalse(alive(new))
        self.spawner.stop_process()
        os.rmdir(self.spawner.cgroup)

    def test_taken_over_worker_that_ends_cleanly_is_not_restarted(self):
        self.kept()
        pid = self.worker()
        self.crash_spawner()
        peer = self.kept()
        os.kill(pid, signal.SIGTERM)
        self.told_of_the_end(peer)
        self.assertFalse(alive(pid))
        self.assertEqual(self.sockets(), [])
        self.spawner.stop_process()
        os.rmdir(self.spawner.cgroup)

    def test_sigterm_ends_the_worker_then_the_spawner(self):
        self.kept()
        pid = self.worker()
        self.assertEqual(self.spawner.stop_process(), 0)
        self.assertFalse(alive(pid))


if __name__ == "__main__":
    main()
