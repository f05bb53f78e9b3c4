# SPDX-License-Identifier: Apache-2.0
"""nsexec-spawner before a client that plays a well-behaved nsexecd."""
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
import spawner_peer as sp
from harness import ORDINARY_UID, TestCase, alive, children, comm, main, \
    proc_state, wait_for
from spawner_peer import attr
from test_systemd import has_pidfd_exit


def pidfd_exit_status(fd):
    """PIDFD_GET_INFO of a process that was reaped, or None."""
    info = bytearray(64)
    struct.pack_into("=Q", info, 0, 1 << 3)  # PIDFD_INFO_EXIT
    fcntl.ioctl(fd, 0xc040ff0b, info)
    mask, status = struct.unpack_from("=Q52xi", info)
    return status if mask & 1 << 3 else None


class SpawnerCase(TestCase):
    """One spawner for the class; each test leaves it as it found it."""
    INSTANCE = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.spawner = sp.Spawner()
        # Stays, so that the spawner does not end between tests.
        cls.anchor = cls.spawner.connect()
        assert cls.anchor.call(sp.PING).kind == sp.DONE
        cls.rpc = cls.spawner.listener("rpc.sock")
        cls.channel = cls.spawner.listener("channel.sock",
                                           socket.SOCK_SEQPACKET)

    @classmethod
    def tearDownClass(cls):
        cls.rpc.close()
        cls.channel.close()
        cls.anchor.close()
        log = cls.spawner.log()
        left = cls.spawner.stop()
        if left:
            raise AssertionError(f"left behind: {left}\n{log}")
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        before = self.spawner.n_fds()
        self.addCleanup(self.check_spawner, before)
        self.peer = self.spawner.connect()
        self.addCleanup(self.peer.close)
        self.client, self.caller = self.connection(self.rpc)

    def check_spawner(self, n_fds):
        self.assertTrue(self.spawner.alive(), self.spawner.log())

        def settled():
            return self.spawner.n_fds() == n_fds and \
                not children(self.spawner.pid) and \
                not self.spawner.containers() and \
                not os.listdir(os.path.join(self.spawner.dir, "gates"))
        wait_for(settled, 5, "no descriptor, child, cgroup or gate left: "
                 f"{n_fds} fds before, {self.spawner.n_fds()} now; "
                 f"children {children(self.spawner.pid)[:9]}, "
                 f"{self.spawner.containers()[:9]}\n{self.spawner.log()}")

    def connection(self, listener):
        pair = listener.connect()
        for sock in pair:
            self.addCleanup(sock.close)
        return pair

    def user(self, uid=ORDINARY_UID, listener=None):
        """An accepted connection of a living process of that uid."""
        process, accepted = (listener or self.rpc).connect_as(uid)

        def end():
            process.stdin.close()
            process.wait()
            accepted.close()
        self.addCleanup(end)
        return accepted

    def start(self, *, ok=True, peer=None, caller=None, **keywords):
        """A start; with ok the pid, else the ERROR answer."""
        start = sp.Start(caller or self.caller, **keywords)
        self.addCleanup(start.close)
        answer = start.call(peer or self.peer)
        if not ok:
            self.assertEqual(answer.kind, sp.ERROR, answer)
            return start, answer
        self.assertEqual(answer.kind, sp.CHILD,
                         f"{answer} {self.spawner.log()}")
        pid = answer.u32(sp.PID)
        self.assertEqual(len(answer.fds), 1)
        start.pidfd = answer.fds[0]
        self.addCleanup(answer.close)
        return start, pid

    def ready(self, start):
        report = start.report()
        self.assertIsNotNone(report)
        self.assertEqual(report.kind, sp.REPORT_READY, report)
        return report

    def status(self, pid):
        answer = self.peer.call(sp.STATUS, attr(sp.PID, pid))
        self.assertEqual(answer.kind, sp.STATUS_ANSWER, answer)
        return answer

    def wait_exit(self, start, pid):
        """Wait for the pidfd; the STATUS answer."""
        readable, _, _ = select.select([start.pidfd], [], [], 20)
        self.assertTrue(readable, "the container runs on")
        return self.status(pid)

    def done(self, kind, *attrs, fds=()):
        answer = self.peer.call(kind, *attrs, fds=fds)
        self.assertEqual(answer.kind, sp.DONE, answer)
        return answer

    def refused(self, code, kind, *attrs, fds=(), peer=None):
        answer = (peer or self.peer).call(kind, *attrs, fds=fds)
        self.assertEqual(answer.kind, sp.ERROR, answer)
        self.assertEqual(answer.code, code, answer)
        return answer

    def clean(self, pid, container="web1", uid=0):
        self.done(sp.REAP, attr(sp.PID, pid))
        self.done(sp.CGROUP_REMOVE, attr(sp.CONTAINER, container),
                  attr(sp.UID, uid))

    def kill_and_clean(self, start, pid, container="web1", uid=0):
        self.done(sp.KILL_ALL, attr(sp.CONTAINER, container),
                  attr(sp.SIGNAL_NUMBER, signal.SIGKILL), attr(sp.UID, uid))
        self.wait_exit(start, pid)
        self.clean(pid, container, uid)


class Starts(SpawnerCase):
    def test_ping_is_answered(self):
        self.done(sp.PING)

    def test_start_gives_child_pidfd_and_exit_status(self):
        start, pid = self.start(argv=("/bin/sh", "-c", "exit 7"))
        self.ready(start)
        start.wait_eof()
        status = self.wait_exit(start, pid)
        self.assertEqual(status.u32(sp.WAIT_STATUS), 7 << 8)
        self.assertEqual(status.u32(sp.EXECED), 1)
        self.assertEqual(status.u32(sp.EXITED), 1)
        user, system, rss = struct.unpack("=QQQ", status.attrs[sp.RUSAGE])
        self.assertGreater(rss, 0)
        self.assertLess(user + system, 20_000_000)
        self.clean(pid)

    def test_init_is_in_its_own_cgroup(self):
        start, pid = self.start(gate=sp.GATE_CHANNEL)
        with open(f"/proc/{pid}/cgroup", encoding="ascii") as f:
            line = [x for x in f if x.startswith("0::")][0].strip()
        self.assertTrue(line.endswith("/u0/web1"), line)
        start.ours.close()
        self.wait_exit(start, pid)
        self.clean(pid)

    def test_death_by_signal_is_told_apart_from_an_exit(self):
        start, pid = self.start(argv=("/bin/sh", "-c", "kill -TERM $$"))
        status = self.wait_exit(start, pid)
        self.assertEqual(status.u32(sp.WAIT_STATUS) & 0x7f, signal.SIGTERM)
        self.clean(pid)

    def test_gate_closed_means_not_executed(self):
        start, pid = self.start(gate=sp.GATE_CHANNEL)
        self.ready(start)
        start.ours.close()
        status = self.wait_exit(start, pid)
        self.assertEqual(status.u32(sp.EXECED), 0)
        self.clean(pid)

    def test_gate_opens_by_a_byte(self):
        start, pid = self.start(gate=sp.GATE_CHANNEL)
        self.ready(start)
        self.assertEqual(self.status(pid).u32(sp.EXECED), 0)
        start.open_gate()
        start.wait_eof()
        status = self.wait_exit(start, pid)
        self.assertEqual(status.u32(sp.EXECED), 1)
        self.clean(pid)

    def test_program_not_found_is_failed_and_not_executed(self):
        start, pid = self.start(argv=("/no/such/program",))
        self.ready(start)
        failed = start.report()
        self.assertEqual(failed.kind, sp.REPORT_FAILED)
        self.assertEqual(failed.errno, 2)
        status = self.wait_exit(start, pid)
        self.assertEqual(status.u32(sp.EXECED), 0)
        self.clean(pid)

    def test_ordinary_caller_gets_its_own_uid(self):
        start, pid = self.start(
            caller=self.user(), gate=sp.GATE_CHANNEL,
            argv=("/bin/sh", "-c", f"test $(id -u) = {ORDINARY_UID}"))
        self.assertTrue(os.path.isdir(self.spawner.leaf("web1",
                                                        ORDINARY_UID)))
        start.open_gate()
        status = self.wait_exit(start, pid)
        self.assertEqual(status.u32(sp.WAIT_STATUS), 0)
        self.clean(pid, uid=ORDINARY_UID)

    def test_all_namespaces_with_init_as_pid_one(self):
        flags = 0x00020000 | 0x20000000 | 0x04000000 | 0x08000000 | 0x40000000
        start, pid = self.start(clone_flags=flags,
                                argv=("/bin/sh", "-c", "test $$ = 1"))
        report = self.ready(start)
        self.assertEqual(report.u32(sp.PID), 1)
        status = self.wait_exit(start, pid)
        self.assertEqual(status.u32(sp.WAIT_STATUS), 0)
        self.clean(pid)

    def test_zombie_and_its_status_outlive_the_connection(self):
        start, pid = self.start(argv=("/bin/sh", "-c", "exit 3"))
        start.wait_eof()
        self.peer.close()
        wait_for(lambda: proc_state(pid) == "Z", what="a zombie")
        self.peer = self.spawner.connect()
        self.addCleanup(self.peer.close)
        self.assertEqual(self.status(pid).u32(sp.WAIT_STATUS), 3 << 8)
        self.clean(pid)

    def test_list_says_state_owner_and_start_time(self):
        waiting, first = self.start(gate=sp.GATE_CHANNEL)
        ended, second = self.start(container="web2")
        ended.wait_eof()
        wait_for(lambda: proc_state(second) == "Z", what="a zombie")
        seq = self.peer.request(sp.LIST)
        found = {}
        while True:
            answer = self.peer.recv()
            self.assertEqual(answer.seq, seq)
            if answer.kind == sp.DONE:
                break
            found[answer.u32(sp.PID)] = answer
            self.addCleanup(answer.close)
        self.assertEqual(set(found), {first, second})
        for pid, answer in found.items():
            with open(f"/proc/self/fdinfo/{answer.fds[0]}",
                      encoding="ascii") as f:
                self.assertIn(f"Pid:\t{pid}\n", f.read())
        self.assertNotIn(sp.WAIT_STATUS, found[first].attrs)
        self.assertEqual(found[second].u32(sp.WAIT_STATUS), 0)
        self.assertIn(sp.RUSAGE, found[second].attrs)
        self.assertEqual(found[first].text(sp.CONTAINER), "web1")
        self.assertEqual(found[first].u32(sp.EXECED), 0)
        self.assertEqual(found[first].u32(sp.EXITED), 0)
        self.assertEqual(found[second].u32(sp.EXECED), 1)
        self.assertEqual(found[second].u32(sp.EXITED), 1)
        with open(f"/proc/{first}/stat", encoding="ascii") as f:
            start_time = int(f.read().rpartition(") ")[2].split()[19])
        self.assertEqual(struct.unpack(
            "=Q", found[first].attrs[sp.START_TIME])[0], start_time)
        self.assertEqual(found[first].u32(sp.UID), 0)
        waiting.ours.close()
        self.wait_exit(waiting, first)
        self.clean(first)
        self.clean(second, "web2")

    def test_answers_of_many_starts_at_once_go_to_their_requests(self):
        starts = {}
        for i in range(50):
            start = sp.Start(self.caller, container=f"many{i}")
            self.addCleanup(start.close)
            starts[start.send(self.peer)] = start
        pids = {}
        for _ in range(50):
            answer = self.peer.recv()
            self.assertEqual(answer.kind, sp.CHILD, answer)
            start = starts.pop(answer.seq)
            start.pidfd = answer.fds[0]
            self.addCleanup(answer.close)
            pids[answer.u32(sp.PID)] = start
        for pid, start in pids.items():
            self.wait_exit(start, pid)
            self.clean(pid, start.container)

    def test_answer_to_a_lost_connection_is_dropped_and_child_listed(self):
        other = self.spawner.connect()
        start = sp.Start(self.caller, gate=sp.GATE_CHANNEL)
        self.addCleanup(start.close)
        start.send(other)
        other.close()
        self.ready(start)
        wait_for(lambda: children(self.spawner.pid), what="the child")
        seq = self.peer.request(sp.LIST)
        entry = self.peer.recv()
        while entry.kind == sp.DONE:  # before the report was read
            seq = self.peer.request(sp.LIST)
            entry = self.peer.recv()
        self.addCleanup(entry.close)
        self.assertEqual((entry.kind, entry.seq), (sp.ENTRY, seq))
        pid = entry.u32(sp.PID)
        self.assertEqual(self.peer.recv().kind, sp.DONE)
        start.pidfd = os.pidfd_open(pid)
        self.addCleanup(os.close, start.pidfd)
        self.kill_and_clean(start, pid)


class Containers(SpawnerCase):
    """OPEN, EXEC, SIGNAL, KILL_ALL, PROCESSES, CGROUP_REMOVE."""

    def create(self, caller=None, uid=0, **keywords):
        start, pid = self.start(caller=caller, gate=sp.GATE_NAMED,
                                **keywords)
        self.ready(start)
        return start, pid

    def sleeper(self, **keywords):
        start, pid = self.start(argv=("/bin/sleep", "60"), **keywords)
        self.ready(start)
        start.wait_eof()
        return start, pid

    def test_created_container_starts_by_open_once(self):
        start, pid = self.create()
        gate = os.path.join(self.spawner.dir, "gates", "0:web1")
        self.assertTrue(os.path.exists(gate))
        self.assertEqual(self.status(pid).u32(sp.EXECED), 0)
        self.done(sp.OPEN, attr(sp.CONTAINER, "web1"),
                  fds=[self.caller.fileno()])
        start.wait_eof()
        status = self.wait_exit(start, pid)
        self.assertEqual(status.u32(sp.EXECED), 1)
        self.assertFalse(os.path.exists(gate))
        self.refused(sp.FAILED_PRECONDITION, sp.OPEN,
                     attr(sp.CONTAINER, "web1"), fds=[self.caller.fileno()])
        self.clean(pid)

    def test_created_container_waits_for_a_new_nsexecd(self):
        start, pid = self.create()
        start.ours.close()
        self.peer.close()
        self.peer = self.spawner.connect()
        self.addCleanup(self.peer.close)
        self.done(sp.OPEN, attr(sp.CONTAINER, "web1"),
                  fds=[self.caller.fileno()])
        status = self.wait_exit(start, pid)
        self.assertEqual(status.u32(sp.EXECED), 1)
        self.clean(pid)

    def test_open_is_the_owners_or_the_admins(self):
        owner, stranger = self.user(), self.user(ORDINARY_UID + 1)
        start, pid = self.create(caller=owner)
        self.refused(sp.NOT_FOUND, sp.OPEN, attr(sp.CONTAINER, "web1"),
                     fds=[stranger.fileno()])
        self.refused(sp.NOT_FOUND, sp.OPEN, attr(sp.CONTAINER, "web1"),
                     attr(sp.UID, ORDINARY_UID), fds=[stranger.fileno()])
        self.assertEqual(self.status(pid).u32(sp.EXECED), 0)
        self.done(sp.OPEN, attr(sp.CONTAINER, "web1"),
                  fds=[self.caller.fileno()])
        self.wait_exit(start, pid)
        self.clean(pid, uid=ORDINARY_UID)

    def test_open_never_connects_to_a_socket_that_is_not_roots(self):
        start, pid = self.create()
        gates = os.path.join(self.spawner.dir, "gates")
        gate = os.path.join(gates, "0:web1")
        os.rename(gate, gate + ".aside")
        for trap in ("link", "own"):
            victim = self.spawner.listener(f"{trap}.sock",
                                           socket.SOCK_SEQPACKET)
            self.addCleanup(victim.close)
            if trap == "link":
                os.symlink(victim.path, gate)
            else:
                os.unlink(gate)
                os.rename(victim.path, gate)
                os.chown(gate, sp.WORKER_UID, sp.WORKER_UID)
            self.refused(sp.INTERNAL, sp.OPEN, attr(sp.CONTAINER, "web1"),
                         fds=[self.caller.fileno()])
            victim.sock.settimeout(0)
            with self.assertRaises(BlockingIOError):
                victim.sock.accept()
        os.unlink(gate)
        os.rename(gate + ".aside", gate)
        self.kill_and_clean(start, pid)

    def test_exec_runs_in_the_containers_cgroup(self):
        start, pid = self.sleeper()
        child = sp.Start(self.caller, argv=("/bin/sh", "-c", "exit 5"),
                         gate=sp.GATE_CHANNEL,
                         extra=[attr(sp.B_PID, pid)])
        self.addCleanup(child.close)
        answer = child.call(self.peer, sp.EXEC)
        self.assertEqual(answer.kind, sp.CHILD, answer)
        child.pidfd = answer.fds[0]
        self.addCleanup(answer.close)
        exec_pid = answer.u32(sp.PID)
        self.ready(child)
        answer = self.peer.call(sp.PROCESSES, attr(sp.CONTAINER, "web1"),
                                attr(sp.UID, 0))
        pids = struct.unpack(f"={len(answer.attrs[sp.PIDS]) // 4}I",
                             answer.attrs[sp.PIDS])
        self.assertEqual(set(pids) & {pid, exec_pid}, {pid, exec_pid})
        child.open_gate()
        status = self.wait_exit(child, exec_pid)
        self.assertEqual(status.u32(sp.WAIT_STATUS), 5 << 8)
        self.done(sp.REAP, attr(sp.PID, exec_pid))
        self.kill_and_clean(start, pid)

    def test_exec_into_anothers_container_is_not_found(self):
        start, pid = self.sleeper()
        for container, caller in (("web1", self.user()),
                                  ("web2", self.caller)):
            child = sp.Start(caller, container=container,
                             extra=[attr(sp.B_PID, pid)])
            self.addCleanup(child.close)
            answer = child.call(self.peer, sp.EXEC)
            self.assertEqual((answer.kind, answer.code),
                             (sp.ERROR, sp.NOT_FOUND), answer)
        self.kill_and_clean(start, pid)

    def test_exec_into_an_ended_container_is_a_failed_precondition(self):
        start, pid = self.start()
        self.wait_exit(start, pid)
        child = sp.Start(self.caller, extra=[attr(sp.B_PID, pid)])
        self.addCleanup(child.close)
        answer = child.call(self.peer, sp.EXEC)
        self.assertEqual(answer.code, sp.FAILED_PRECONDITION, answer)
        self.clean(pid)

    def test_signal_reaches_init_and_only_of_that_container(self):
        start, pid = self.sleeper()
        other, other_pid = self.sleeper(container="web2")
        fds = [self.caller.fileno()]
        self.refused(sp.NOT_FOUND, sp.SIGNAL, attr(sp.CONTAINER, "web1"),
                     attr(sp.PID, other_pid),
                     attr(sp.SIGNAL_NUMBER, signal.SIGTERM), fds=fds)
        self.done(sp.SIGNAL, attr(sp.CONTAINER, "web1"), attr(sp.PID, pid),
                  attr(sp.SIGNAL_NUMBER, signal.SIGTERM), fds=fds)
        status = self.wait_exit(start, pid)
        self.assertEqual(status.u32(sp.WAIT_STATUS), signal.SIGTERM)
        self.refused(sp.GONE, sp.SIGNAL, attr(sp.CONTAINER, "web1"),
                     attr(sp.PID, pid),
                     attr(sp.SIGNAL_NUMBER, signal.SIGTERM), fds=fds)
        self.assertNotIn(proc_state(other_pid), ("Z", None))
        self.clean(pid)
        self.kill_and_clean(other, other_pid, "web2")

    def test_without_a_caller_only_sigkill_is_sent(self):
        start, pid = self.sleeper()
        for kind, more in ((sp.SIGNAL, [attr(sp.PID, pid)]),
                           (sp.KILL_ALL, [])):
            self.refused(sp.PERMISSION_DENIED, kind,
                         attr(sp.CONTAINER, "web1"), *more,
                         attr(sp.SIGNAL_NUMBER, signal.SIGTERM))
        self.done(sp.SIGNAL, attr(sp.CONTAINER, "web1"), attr(sp.PID, pid),
                  attr(sp.SIGNAL_NUMBER, signal.SIGKILL))
        self.wait_exit(start, pid)
        self.clean(pid)

    def test_kill_all_sends_any_signal_to_every_process(self):
        start, pid = self.start(argv=(
            "/bin/sh", "-c", "sleep 60 & sleep 60 & wait"))
        start.wait_eof()
        leaf = self.spawner.leaf("web1")

        def n_processes():
            with open(f"{leaf}/cgroup.procs", encoding="ascii") as f:
                return len(f.read().split())
        wait_for(lambda: n_processes() == 3, what="three processes")
        self.done(sp.KILL_ALL, attr(sp.CONTAINER, "web1"),
                  attr(sp.SIGNAL_NUMBER, signal.SIGTERM),
                  fds=[self.caller.fileno()])
        self.wait_exit(start, pid)
        wait_for(lambda: n_processes() == 0, what="no process")
        self.clean(pid)

    def test_cgroup_remove_is_refused_while_anything_is_left(self):
        start, pid = self.sleeper()
        where = (attr(sp.CONTAINER, "web1"), attr(sp.UID, 0))
        self.assertEqual(
            self.refused(sp.FAILED_PRECONDITION, sp.CGROUP_REMOVE,
                         *where).errno, 16)
        self.done(sp.KILL_ALL, attr(sp.CONTAINER, "web1"),
                  attr(sp.SIGNAL_NUMBER, signal.SIGKILL))
        self.wait_exit(start, pid)
        self.refused(sp.FAILED_PRECONDITION, sp.CGROUP_REMOVE, *where)
        self.clean(pid)
        self.assertEqual(self.refused(sp.NOT_FOUND, sp.CGROUP_REMOVE,
                                      *where).errno, 2)
        wait_for(lambda: not os.path.exists(os.path.dirname(
            self.spawner.leaf("web1"))), 5, "its owner's removal")

    def test_cgroup_remove_waits_for_processes_that_are_leaving(self):
        start, pid = self.start(argv=(
            "/bin/sh", "-c", "sleep 60 & exec sleep 0"))
        self.wait_exit(start, pid)
        self.done(sp.REAP, attr(sp.PID, pid))
        answer = self.refused(sp.FAILED_PRECONDITION, sp.CGROUP_REMOVE,
                              attr(sp.CONTAINER, "web1"), attr(sp.UID, 0))
        self.assertEqual(answer.errno, 16)
        kill = self.peer.request(sp.KILL_ALL, attr(sp.CONTAINER, "web1"),
                                 attr(sp.SIGNAL_NUMBER, signal.SIGKILL))
        remove = self.peer.request(sp.CGROUP_REMOVE,
                                   attr(sp.CONTAINER, "web1"),
                                   attr(sp.UID, 0))
        for seq in (kill, remove):
            answer = self.peer.recv()
            self.assertEqual((answer.seq, answer.kind), (seq, sp.DONE),
                             answer)

    def test_id_of_a_living_container_is_a_conflict(self):
        start, pid = self.sleeper()
        again, answer = self.start(ok=False)
        self.assertEqual(answer.code, sp.CONFLICT, answer)
        again.wait_eof()
        self.kill_and_clean(start, pid)

    def test_leftover_cgroup_is_replaced_if_empty_and_a_conflict_if_not(self):
        os.makedirs(self.spawner.leaf("web1"))
        start, pid = self.start()
        self.wait_exit(start, pid)
        self.clean(pid)
        os.makedirs(self.spawner.leaf("web1"))
        with subprocess.Popen(["/bin/sleep", "60"]) as squatter:
            with open(self.spawner.leaf("web1") + "/cgroup.procs", "w",
                      encoding="ascii") as f:
                f.write(str(squatter.pid))
            _, answer = self.start(ok=False)
            self.assertEqual(answer.code, sp.CONFLICT, answer)
            squatter.kill()
        wait_for(lambda: self.peer.call(
            sp.CGROUP_REMOVE, attr(sp.CONTAINER, "web1"),
            attr(sp.UID, 0)).kind == sp.DONE, what="removal")

    def test_stray_child_by_clone_parent_is_reaped(self):
        code = ("import ctypes,os,signal\n"
                "libc=ctypes.CDLL(None)\n"
                "pid=libc.syscall(56,0x8000|17,0,0,0,0)\n"
                "os._exit(9 if pid==0 else 0)\n")
        start, pid = self.start(argv=("/usr/bin/python3", "-I", "-c", code))
        self.wait_exit(start, pid)
        wait_for(lambda: children(self.spawner.pid) == [pid],
                 what="only init is left: " + str(children(self.spawner.pid)))
        self.assertIn("stray child", self.spawner.log())
        self.clean(pid)

    def test_failed_relay_leaves_no_cgroup_and_no_gate(self):
        join = struct.pack("=IIIIQQ", 1, 0x40000000, 0, 18, 0, 0) + \
            b"/no/such/namespace"[:17] + b"\0"
        start, answer = self.start(ok=False, gate=sp.GATE_NAMED,
                                   extra=[attr(28006, join)])
        self.assertEqual(answer.code, sp.STAGE_FAILED, answer)
        failed = start.report()
        self.assertEqual(failed.kind, sp.REPORT_FAILED)


class Attestation(SpawnerCase):
    """Who asks is the kernel's word on the connection."""

    def refuse(self, code, caller=None, **keywords):
        start, answer = self.start(ok=False, caller=caller, **keywords)
        self.assertEqual(answer.code, code, answer)
        start.wait_eof()

    def test_connecting_side_of_roots_listener_is_not_root(self):
        self.refuse(sp.PERMISSION_DENIED, caller=self.client)

    def test_bound_connecting_side_of_another_uid_is_refused(self):
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        path = os.path.join(self.spawner.base, "bound")
        client.bind(path)
        os.chown(path, sp.WORKER_UID, -1)
        client.connect(self.rpc.path)
        accepted, _ = self.rpc.sock.accept()
        self.addCleanup(accepted.close)
        self.refuse(sp.PERMISSION_DENIED, caller=client)

    def test_socketpair_is_nobodys_connection(self):
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        self.refuse(sp.PERMISSION_DENIED, caller=theirs)

    def test_listener_abstract_and_other_kinds_are_refused(self):
        abstract = socket.socket(socket.AF_UNIX)
        abstract.bind("\0nsxtest-%d" % os.getpid())
        abstract.listen()
        client = socket.socket(socket.AF_UNIX)
        client.connect(abstract.getsockname())
        accepted, _ = abstract.accept()
        tcp = socket.socket(socket.AF_INET)
        with open("/dev/null", "rb") as null:
            for wrong in (self.rpc.sock, accepted, tcp, null,
                          self.connection(self.channel)[1]):
                self.refuse(sp.PERMISSION_DENIED, caller=wrong)
        for sock in (abstract, client, accepted, tcp):
            sock.close()

    def test_hung_up_caller_is_gone(self):
        self.client.close()
        self.refuse(sp.CALLER_GONE)

    def test_half_closed_caller_is_gone(self):
        self.client.shutdown(socket.SHUT_WR)
        self.refuse(sp.CALLER_GONE)

    def test_dead_caller_is_gone_though_its_connection_lives(self):
        code = ("import os,socket,sys\n"
                "s=socket.socket(socket.AF_UNIX)\n"
                "s.connect(sys.argv[1])\n"
                "if os.fork()==0: sys.stdin.buffer.read()\n"
                "os._exit(0)\n")
        with subprocess.Popen(["/usr/bin/python3", "-I", "-c", code,
                               self.rpc.path],
                              stdin=subprocess.PIPE) as process:
            accepted, _ = self.rpc.sock.accept()
            self.addCleanup(accepted.close)
            process.wait()
            self.refuse(sp.CALLER_GONE, caller=accepted)
            process.stdin.close()

    def test_fd_channel_of_another_uid_is_refused(self):
        start = sp.Start(self.caller, extra=[attr(sp.B_N_CHANNEL_FDS, 1)])
        self.addCleanup(start.close)
        start.roles.append(sp.ROLE_FD_CHANNEL)
        start.fds.append(self.user(listener=self.channel).fileno())
        answer = start.call(self.peer)
        self.assertEqual((answer.kind, answer.code),
                         (sp.ERROR, sp.PERMISSION_DENIED), answer)

    def test_fd_channel_that_is_no_fd_channel_is_refused(self):
        for wrong in (self.connection(self.rpc)[1],
                      self.connection(self.channel)[0]):
            start = sp.Start(self.caller,
                             extra=[attr(sp.B_N_CHANNEL_FDS, 1)])
            self.addCleanup(start.close)
            start.roles.append(sp.ROLE_FD_CHANNEL)
            start.fds.append(wrong.fileno())
            answer = start.call(self.peer)
            self.assertEqual(answer.code, sp.PERMISSION_DENIED, answer)


class Life(TestCase):
    """The private spawner itself."""
    INSTANCE = False

    def test_idle_spawner_ends_and_leaves_nothing(self):
        spawner = sp.Spawner()
        began = time.monotonic()
        self.assertEqual(spawner.process.wait(15), 0)
        self.assertGreater(time.monotonic() - began, 4)
        self.assertFalse(os.path.exists(spawner.cgroup))
        self.assertEqual(spawner.stop(), [])

    def test_second_spawner_of_a_directory_ends_at_once(self):
        spawner = sp.Spawner()
        second = _Copy(spawner)
        with self.assertRaises(AssertionError):
            sp.Spawner.start(second)
        self.assertEqual(second.process.wait(10), 3)
        with spawner.connect_closing() as peer:
            self.assertEqual(peer.call(sp.PING).kind, sp.DONE)
        self.assertEqual(spawner.stop(), [])

    def test_directory_that_others_may_write_is_refused(self):
        spawner = sp.Spawner()
        self.assertEqual(spawner.stop_process(), 0)
        os.chmod(spawner.dir, 0o777)
        with self.assertRaises(AssertionError):
            spawner.start()
        self.assertIn("run directory", spawner.log())
        self.assertEqual(spawner.process.wait(), 1)
        os.chmod(spawner.dir, 0o755)
        self.assertEqual(spawner.stop(), [])

    def test_created_container_outlives_its_spawner_and_starts(self):
        spawner = sp.Spawner()
        rpc = spawner.listener()
        _, caller = rpc.connect()
        peer = spawner.connect()
        with sp.Start(caller, gate=sp.GATE_NAMED,
                      argv=("/bin/sleep", "60")) as start:
            answer = start.call(peer)
            pid = answer.u32(sp.PID)
            self.assertEqual(start.report().kind, sp.REPORT_READY)
            spawner.process.kill()
            spawner.process.wait()
            peer.close()
            spawner.start()
            peer = spawner.connect()
            opened = peer.call(sp.OPEN, attr(sp.CONTAINER, "web1"),
                               fds=[caller.fileno()])
            self.assertEqual(opened.kind, sp.DONE, opened)
            start.wait_eof()
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            self.assertEqual(f.read(), b"/bin/sleep\x0060\0")
        self.assertEqual(peer.call(
            sp.KILL_ALL, attr(sp.CONTAINER, "web1"),
            attr(sp.SIGNAL_NUMBER, signal.SIGKILL)).kind, sp.DONE)
        select.select([answer.fds[0]], [], [], 20)
        answer.close()
        self.assertEqual(peer.call(
            sp.CGROUP_REMOVE, attr(sp.CONTAINER, "web1"),
            attr(sp.UID, 0)).kind, sp.DONE)
        peer.close()
        rpc.close()
        self.assertEqual(spawner.stop(), ["the cgroup root"])

    def test_what_an_earlier_one_left_has_its_exit_when_nobody_was_there(self):
        """Neither nsexecd nor another holds it; who reaps it is init."""
        self.need("exit codes of pidfds (Linux 6.15)", has_pidfd_exit())
        spawner = sp.Spawner()
        rpc = spawner.listener()
        _, caller = rpc.connect()
        peer = spawner.connect()
        with sp.Start(caller, argv=(
                "/bin/sh", "-c", "trap 'exit 7' TERM; "
                "while :; do sleep 0.02; done")) as start:
            answer = start.call(peer)
            pid = answer.u32(sp.PID)
            start.wait_eof()
        inode = os.fstat(answer.fds[0]).st_ino
        answer.close()
        peer.close()
        spawner.process.kill()
        spawner.process.wait()
        spawner.start()
        wait_for(lambda: comm(pid) == "sh", what="the program")
        time.sleep(0.1)
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not alive(pid), what="its end")
        peer = spawner.connect()
        self.assertEqual(peer.call(sp.REEXEC).kind, sp.DONE)
        wanted = (attr(sp.PID, pid), attr(sp.CONTAINER, "web1"))
        for owner, kind in ((ORDINARY_UID, sp.ERROR),
                            (0, sp.STATUS_ANSWER)):
            answer = peer.call(sp.PIDFD, *wanted, attr(sp.UID, owner))
            self.assertEqual(answer.kind, kind, answer)
        self.assertEqual(os.fstat(answer.fds[0]).st_ino, inode)
        wait_for(lambda: pidfd_exit_status(answer.fds[0]) == 7 << 8,
                 what="its exit status")
        answer.close()
        self.assertEqual(peer.call(sp.STATUS, *wanted,
                                   attr(sp.UID, 0)).kind, sp.ERROR)
        # Gone with its container.
        self.assertEqual(peer.call(
            sp.CGROUP_REMOVE, attr(sp.CONTAINER, "web1"),
            attr(sp.UID, 0)).kind, sp.DONE)
        self.assertEqual(peer.call(sp.PIDFD, *wanted,
                                   attr(sp.UID, 0)).kind, sp.ERROR)
        peer.close()
        rpc.close()
        self.assertEqual(spawner.stop(), ["the cgroup root"])

    def test_default_cgroup_root_is_its_own_and_goes_with_it(self):
        spawner = sp.Spawner("--default-cgroup-root")
        name = os.path.basename(spawner.cgroup)
        self.assertRegex(name, "^nsexecd-[0-9a-f]{8}$")
        self.assertTrue(os.path.isdir(spawner.cgroup))
        self.assertEqual(spawner.stop(), [])
        self.assertFalse(os.path.exists(spawner.cgroup))

    def test_replaced_spawner_finds_no_stale_socket_in_its_way(self):
        spawner = sp.Spawner()
        spawner.process.kill()
        spawner.process.wait()
        spawner.start()
        with spawner.connect_closing() as peer:
            self.assertEqual(peer.call(sp.PING).kind, sp.DONE)
        # A root that was there when it came is not its own to remove.
        self.assertEqual(spawner.stop(), ["the cgroup root"])

    def test_process_holds_no_core_dump_and_a_fixed_umask(self):
        spawner = sp.Spawner()
        with open(f"/proc/{spawner.pid}/status", encoding="ascii") as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f
                          if ":\t" in line)
        self.assertEqual(status["Umask"], "0022")
        self.assertEqual(status["Name"], "nsexec-spawner")
        self.assertEqual(status["Threads"], "1")
        self.assertEqual(int(status["SigIgn"], 16), 0)
        self.assertEqual(os.readlink(f"/proc/{spawner.pid}/cwd"), "/")
        self.assertEqual(spawner.stop(), [])


class _Copy:
    """A second start on the directory of another."""

    def __init__(self, spawner):
        self.__dict__.update(spawner.__dict__)

    PROGRAM = sp.Spawner.PROGRAM
    log = sp.Spawner.log


if __name__ == "__main__":
    main()
