# SPDX-License-Identifier: Apache-2.0
"""nsexec-spawner before a subverted nsexecd, and before strangers.

Every test ends with the spawner alive, with as many descriptors as before, no
child, no cgroup and no gate (SpawnerCase checks it).
"""
import contextlib
import os
import random
import resource
import signal
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
import spawner_peer as sp
from harness import ORDINARY_UID, main
from spawner_peer import attr, message
from test_spawner import SpawnerCase as _SpawnerCase

SMALL = (sp.OPEN, sp.SIGNAL, sp.KILL_ALL, sp.STATUS, sp.REAP, sp.LIST,
         sp.PIDFD, sp.CGROUP_REMOVE, sp.PING, sp.KEEP, sp.STOP, sp.PROCESSES,
         sp.WHO, sp.RELOAD, sp.STORE)


class Bytes(_SpawnerCase):
    """What is no request."""

    def bad(self, data, fds=(), code=sp.INVALID_ARGUMENT):
        self.peer.send(data, fds)
        answer = self.peer.recv()
        self.assertIsNotNone(answer, "connection closed")
        self.assertEqual(answer.kind, sp.ERROR, (data[:64], answer))
        if code is not None:
            self.assertEqual(answer.code, code, (data[:64], answer))
        return answer

    def test_every_length_of_a_start_but_its_own_is_refused(self):
        # With a connection that is nobody's: cut between two attributes and
        # with a header that says so, it may be a whole request.
        start = sp.Start(self.client)
        self.addCleanup(start.close)
        whole = message(sp.START, 1, *start.body())
        for size in range(1, len(whole)):
            self.bad(whole[:size], start.fds)
            if size >= 16:
                fixed = struct.pack("=I", size) + whole[4:size]
                self.bad(fixed, start.fds, code=None)

    def test_every_length_of_a_header_is_refused(self):
        for size in list(range(1, 40)) + [1000, 65535, 131072]:
            self.bad(b"\xff" * size)
            self.bad(b"\0" * size)

    def test_wrong_length_in_the_header_is_refused(self):
        good = message(sp.PING, 1)
        for length in (0, 1, 15, 17, 20, 131073, 0x7fffffff, 0xffffffff):
            self.bad(struct.pack("=I", length) + good[4:])

    def test_datagram_over_the_limit_is_refused_and_the_next_one_heard(self):
        self.peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF,
                                  1 << 20)
        answer = self.bad(message(sp.PING, 77) + b"\0" * 131072)
        self.assertEqual(answer.seq, 77)
        self.done(sp.PING)

    def test_empty_datagram_ends_that_connection_alone(self):
        other = self.spawner.connect()
        other.send(b"")
        self.assertIsNone(other.recv())
        other.close()
        self.done(sp.PING)

    def test_unknown_operations_are_unsupported(self):
        for kind in (0, 1, 61999, sp.REEXEC + 1, 62100, 62110, 65535):
            self.bad(message(kind, 1), code=sp.UNSUPPORTED)

    def test_attribute_lengths_are_checked(self):
        for size in (0, 1, 2, 3, 9, 200, 65535):
            body = struct.pack("=HHI", size, sp.PID, 1)
            self.bad(message(sp.STATUS, 1, body))

    def test_unknown_repeated_missing_and_surplus_attributes(self):
        pid = attr(sp.PID, 1)
        for attrs in ([], [pid, pid], [attr(1, 1)], [pid, attr(28299, 1)],
                      [pid, attr(sp.SIGNAL_NUMBER, 9)],
                      [attr(sp.PID, b"\1")],
                      [attr(sp.PID, b"\0" * 8)], [attr(sp.PID, 0)],
                      [attr(sp.PID, 0xffffffff)]):
            self.bad(message(sp.STATUS, 1, *attrs))

    def test_container_ids_that_are_paths_are_refused(self):
        for name in (".", "..", "../..", "a/b", "/", "", "-a", ".a", "a" * 65,
                     "a\nb", "ü", "u0/web1"):
            for kind in (sp.PROCESSES, sp.CGROUP_REMOVE):
                self.bad(message(kind, 1, attr(sp.CONTAINER, name),
                                 attr(sp.UID, 0)))
            self.bad(message(sp.OPEN, 1, attr(sp.CONTAINER, name)),
                     [self.caller.fileno()])

    def test_signals_that_are_none_are_refused(self):
        for number in (0, 65, 1000, 0xffffffff):
            self.bad(message(sp.KILL_ALL, 1, attr(sp.CONTAINER, "web1"),
                             attr(sp.SIGNAL_NUMBER, number)))

    def test_sequence_numbers_are_only_repeated(self):
        for seq in (0, 7, 7, 3, 0xffffffff, 0):
            self.peer.send(message(sp.PING, seq))
            self.assertEqual(self.peer.recv().seq, seq)

    def test_ten_thousand_garbage_datagrams(self):
        source = random.Random(62000)
        valid = message(sp.STATUS, 1, attr(sp.PID, 1))
        start = sp.Start(self.caller)
        self.addCleanup(start.close)
        template = message(sp.START, 1, *start.body())
        for i in range(10000):
            if i % 3 == 0:
                data = source.randbytes(source.randrange(1, 300))
            else:
                data = bytearray(valid if i % 3 == 1 else template)
                for _ in range(source.randrange(1, 4)):
                    data[source.randrange(len(data))] = source.randrange(256)
                # KEEP and STOP are root's, which this peer is.
                if data[4:6] in (struct.pack("=H", sp.KEEP),
                                 struct.pack("=H", sp.STOP)):
                    continue
                data = bytes(data)
            self.peer.send(data)
            answer = self.peer.recv()
            self.assertIsNotNone(answer, f"closed after {data!r}")
            if answer.kind not in (sp.ERROR, sp.DONE):
                self.fail(f"{data!r} gave {answer}")
        self.done(sp.PING)


class Descriptors(_SpawnerCase):
    """Descriptors that do not belong there."""

    def refuse_start(self, start, code=sp.INVALID_ARGUMENT, kind=sp.START):
        self.addCleanup(start.close)
        answer = start.call(self.peer, kind)
        self.assertEqual((answer.kind, answer.code), (sp.ERROR, code), answer)
        start.wait_eof()

    def test_small_operations_take_no_surplus_descriptor(self):
        null = os.open("/dev/null", os.O_RDONLY)
        for kind in SMALL:
            if kind in (sp.KEEP,):
                continue
            attrs = {sp.STATUS: [attr(sp.PID, 1)], sp.REAP: [attr(sp.PID, 1)],
                     sp.PIDFD: [attr(sp.PID, 1)]}.get(kind, [])
            self.refused(sp.INVALID_ARGUMENT, kind, *attrs, fds=[null] * 3)
        os.close(null)

    def test_who_is_asked_of_one_accepted_connection_alone(self):
        null = os.open("/dev/null", os.O_RDONLY)
        client, _ = self.connection(self.rpc)
        _, channel = self.connection(self.channel)
        for fds in ([], [self.caller.fileno()] * 2):
            self.refused(sp.INVALID_ARGUMENT, sp.WHO, fds=fds)
        for fd in (null, client.fileno(), channel.fileno(),
                   self.peer.sock.fileno(), self.rpc.sock.fileno()):
            self.refused(sp.PERMISSION_DENIED, sp.WHO, fds=[fd])
        self.refused(sp.INVALID_ARGUMENT, sp.WHO, attr(sp.UID, 0),
                     fds=[self.caller.fileno()])
        os.close(null)

    def test_more_descriptors_than_a_message_may_carry(self):
        null = os.open("/dev/null", os.O_RDONLY)
        for count in (41, 100, 253):
            self.refused(sp.INVALID_ARGUMENT, sp.PING, fds=[null] * count)
        os.close(null)

    def test_roles_must_name_each_descriptor_once(self):
        for roles, n_fds in (([1, 2], 1), ([1, 2], 3), ([1], 2), ([1, 1], 2),
                             ([2, 2], 2), ([1, 2, 2], 3), ([1, 3], 2),
                             ([2, 3], 2), ([1, 2, 3], 3), ([1, 2, 4], 3),
                             ([0, 1], 2), ([1, 2, 9], 3)):
            start = sp.Start(self.caller)
            start.roles = roles
            start.fds = (start.fds * 2)[:n_fds]
            self.refuse_start(start)

    def test_init_channel_must_be_a_seqpacket_socket(self):
        read, write = os.pipe()
        stream, other = socket.socketpair()
        with open("/dev/null", "rb") as null:
            for wrong in (read, write, stream.fileno(), null.fileno()):
                start = sp.Start(self.caller)
                start.fds[0] = wrong
                self.refuse_start(start)
        stream.close()
        other.close()
        os.close(read)
        os.close(write)

    def block_start(self, fd, size, argc=1):
        start = sp.Start(self.caller)
        start.attrs = [a for a in start.attrs
                       if struct.unpack_from("=H", a, 2)[0] not in
                       (sp.B_ARGV, sp.B_ENV)]
        start.attrs.append(attr(sp.B_EXEC_BLOCK,
                                struct.pack("=IIQ", argc, 0, size)))
        start.roles.append(sp.ROLE_EXEC_BLOCK)
        start.fds.append(fd)
        return start

    def test_exec_block_must_be_a_sealed_memfd_of_its_size(self):
        data = b"/bin/true\0"
        unsealed = sp.memfd(data, seal=False)
        sealed = sp.memfd(data)
        read, write = os.pipe()
        with open("/bin/true", "rb") as plain:
            for fd, size in ((unsealed, len(data)), (sealed, len(data) + 1),
                             (sealed, len(data) - 1), (read, len(data)),
                             (plain.fileno(), os.fstat(plain.fileno())
                              .st_size)):
                self.refuse_start(self.block_start(fd, size))
        for fd in (unsealed, sealed, read, write):
            os.close(fd)

    def test_exec_block_serves_when_it_is_right(self):
        data = b"/bin/sh\0-c\0exit 4\0"
        fd = sp.memfd(data)
        start = self.block_start(fd, len(data), argc=3)
        self.addCleanup(start.close)
        answer = start.call(self.peer)
        os.close(fd)
        self.assertEqual(answer.kind, sp.CHILD, answer)
        start.pidfd = answer.fds[0]
        self.addCleanup(answer.close)
        status = self.wait_exit(start, answer.u32(sp.PID))
        self.assertEqual(status.u32(sp.WAIT_STATUS), 4 << 8)
        self.clean(answer.u32(sp.PID))

    def test_spawners_own_kind_of_connection_is_no_caller(self):
        start = sp.Start(self.peer.sock)
        self.refuse_start(start, sp.PERMISSION_DENIED)

    def test_start_with_a_pid_and_exec_without_one_are_refused(self):
        self.refuse_start(sp.Start(self.caller,
                                   extra=[attr(sp.B_PID, 1)]))
        self.refuse_start(sp.Start(self.caller), kind=sp.EXEC)

    def test_exec_has_no_gate_by_name(self):
        start, pid = self.start(gate=sp.GATE_CHANNEL)
        self.refuse_start(sp.Start(self.caller, gate=sp.GATE_NAMED,
                                   extra=[attr(sp.B_PID, pid)]),
                          kind=sp.EXEC)
        start.ours.close()
        self.wait_exit(start, pid)
        self.clean(pid)


class Claims(_SpawnerCase):
    """Pids and containers that are not the sender's."""

    def foreign_pids(self):
        return (1, os.getpid(), self.spawner.pid, os.getppid(), 0x7fffffff)

    def test_pids_that_are_no_containers_are_not_found(self):
        for pid in self.foreign_pids():
            for kind in (sp.STATUS, sp.REAP, sp.PIDFD):
                answer = self.refused(sp.NOT_FOUND, kind, attr(sp.PID, pid))
                self.assertEqual(answer.errno, 10)

    def test_signal_never_leaves_the_container(self):
        start, pid = self.start(gate=sp.GATE_CHANNEL)
        for other in self.foreign_pids():
            self.refused(sp.NOT_FOUND, sp.SIGNAL, attr(sp.CONTAINER, "web1"),
                         attr(sp.PID, other),
                         attr(sp.SIGNAL_NUMBER, signal.SIGKILL))
        self.refused(sp.NOT_FOUND, sp.SIGNAL, attr(sp.CONTAINER, "web1"),
                     attr(sp.PID, pid), attr(sp.UID, ORDINARY_UID),
                     attr(sp.SIGNAL_NUMBER, signal.SIGKILL))
        start.ours.close()
        self.wait_exit(start, pid)
        self.clean(pid)

    def test_strangers_container_is_not_found_by_an_ordinary_caller(self):
        start, pid = self.start(gate=sp.GATE_CHANNEL)
        stranger = self.user()
        for owner in ([], [attr(sp.UID, 0)], [attr(sp.UID, ORDINARY_UID)]):
            self.refused(sp.NOT_FOUND, sp.SIGNAL, attr(sp.CONTAINER, "web1"),
                         attr(sp.PID, pid), *owner,
                         attr(sp.SIGNAL_NUMBER, signal.SIGKILL),
                         fds=[stranger.fileno()])
            self.refused(sp.NOT_FOUND, sp.KILL_ALL,
                         attr(sp.CONTAINER, "web1"), *owner,
                         attr(sp.SIGNAL_NUMBER, signal.SIGTERM),
                         fds=[stranger.fileno()])
        start.ours.close()
        self.wait_exit(start, pid)
        self.clean(pid)

    def test_same_id_of_two_owners_keeps_their_gates_apart(self):
        user = self.user()
        first, first_pid = self.start(caller=user, gate=sp.GATE_NAMED)
        gates = os.path.join(self.spawner.dir, "gates")
        second, second_pid = self.start(gate=sp.GATE_NAMED)
        self.assertEqual(sorted(os.listdir(gates)),
                         ["0:web1", f"{ORDINARY_UID}:web1"])
        self.done(sp.OPEN, attr(sp.CONTAINER, "web1"), attr(sp.UID, 0),
                  fds=[self.caller.fileno()])
        self.refused(sp.FAILED_PRECONDITION, sp.OPEN,
                     attr(sp.CONTAINER, "web1"), attr(sp.UID, 0),
                     fds=[self.caller.fileno()])
        self.assertEqual(os.listdir(gates), [f"{ORDINARY_UID}:web1"])
        self.wait_exit(second, second_pid)
        self.clean(second_pid)
        self.assertEqual(self.status(first_pid).u32(sp.EXECED), 0)
        self.done(sp.OPEN, attr(sp.CONTAINER, "web1"), fds=[user.fileno()])
        self.wait_exit(first, first_pid)
        self.clean(first_pid, uid=ORDINARY_UID)

    def test_reap_of_a_living_child_is_busy(self):
        start, pid = self.start(gate=sp.GATE_CHANNEL)
        answer = self.refused(sp.FAILED_PRECONDITION, sp.REAP,
                              attr(sp.PID, pid))
        self.assertEqual(answer.errno, 16)
        start.ours.close()
        self.wait_exit(start, pid)
        self.clean(pid)
        self.refused(sp.NOT_FOUND, sp.REAP, attr(sp.PID, pid))


class Connections(_SpawnerCase):
    """Who may connect, and what a silent one can do to others."""

    def connect_as(self, uid):
        """SO_PEERCRED takes the effective ids at connect(2)."""
        os.setegid(uid)
        os.seteuid(uid)
        try:
            return self.spawner.connect()
        finally:
            os.seteuid(0)
            os.setegid(0)

    def test_other_uids_cannot_connect(self):
        with self.assertRaises(PermissionError):
            self.connect_as(ORDINARY_UID)
        # Not by the file's mode alone:
        path = os.path.join(self.spawner.dir, "spawner.sock")
        os.chmod(path, 0o666)
        peer = self.connect_as(ORDINARY_UID)
        os.chmod(path, 0o600)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            peer.request(sp.PING)
        with contextlib.suppress(ConnectionResetError):
            self.assertIsNone(peer.recv())
        peer.close()

    def test_keep_and_stop_are_not_nsexecds(self):
        peer = self.connect_as(sp.WORKER_UID)
        program = sp.memfd(b"\x7fELF")
        self.refused(sp.PERMISSION_DENIED, sp.KEEP, fds=[program], peer=peer)
        self.refused(sp.PERMISSION_DENIED, sp.STOP, peer=peer)
        self.refused(sp.PERMISSION_DENIED, sp.RELOAD, peer=peer)
        # nobody is kept here: not even root leaves anything
        for sender in (peer, self.peer):
            self.refused(sp.PERMISSION_DENIED, sp.STORE,
                         attr(sp.CONTAINER, "ring"), fds=[program],
                         peer=sender)
        os.close(program)
        peer.close()

    def test_keep_takes_only_a_sealed_program(self):
        for fd in (sp.memfd(b"\x7fELF", seal=False),
                   os.open("/bin/true", os.O_RDONLY)):
            self.refused(sp.INVALID_ARGUMENT, sp.KEEP, fds=[fd])
            os.close(fd)

    def test_newer_nsexecd_replaces_the_older_after_its_requests(self):
        older = self.connect_as(sp.WORKER_UID)
        seqs = [older.request(sp.PING) for _ in range(20)]
        newer = self.connect_as(sp.WORKER_UID)
        self.assertEqual(newer.call(sp.PING).kind, sp.DONE)
        for seq in seqs:
            self.assertEqual(older.recv().seq, seq)
        with contextlib.suppress(ConnectionResetError):
            self.assertIsNone(older.recv())
        older.close()
        newer.close()

    def test_dead_nsexecds_last_requests_are_carried_out(self):
        older = self.connect_as(sp.WORKER_UID)
        start = sp.Start(self.caller, gate=sp.GATE_CHANNEL)
        self.addCleanup(start.close)
        start.send(older)
        older.close()
        newer = self.connect_as(sp.WORKER_UID)
        self.ready(start)
        start.ours.close()
        newer.request(sp.LIST)
        entry = newer.recv()
        while entry.kind == sp.DONE:
            newer.request(sp.LIST)
            entry = newer.recv()
        pid = entry.u32(sp.PID)
        entry.close()
        self.assertEqual(newer.recv().kind, sp.DONE)
        start.pidfd = os.pidfd_open(pid)
        self.addCleanup(os.close, start.pidfd)
        newer.close()
        self.wait_exit(start, pid)
        self.clean(pid)

    def test_silent_reader_blocks_nobody_and_gets_every_answer(self):
        silent = self.spawner.connect()
        silent.sock.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 100000:
                silent.request(sp.PING)
                sent += 1
        self.assertLess(sent, 100000, "no backpressure")
        self.done(sp.PING)
        silent.sock.settimeout(20)
        for seq in range(1, sent + 1):
            self.assertEqual(silent.recv().seq, seq)
        silent.close()

    def test_silent_reader_that_leaves_is_forgotten(self):
        for _ in range(5):
            silent = self.spawner.connect()
            silent.sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    silent.request(sp.LIST)
            silent.close()
        self.done(sp.PING)

    def test_seventeenth_connection_is_refused_and_the_rest_served(self):
        peers = [self.spawner.connect() for _ in range(14)]
        surplus = self.spawner.connect()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            surplus.request(sp.PING)
            self.assertIsNone(surplus.recv())
        for peer in peers + [self.peer]:
            self.assertEqual(peer.call(sp.PING).kind, sp.DONE)
        for peer in peers + [surplus]:
            peer.close()

    def test_running_out_of_descriptors_neither_kills_nor_spins(self):
        limits = resource.prlimit(self.spawner.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.spawner.pid, resource.RLIMIT_NOFILE,
                         (self.spawner.n_fds(), limits[1]))

        def cpu():
            with open(f"/proc/{self.spawner.pid}/stat", "rb") as f:
                fields = f.read().rpartition(b") ")[2].split()
            return int(fields[11]) + int(fields[12])
        peer = self.spawner.connect()
        before = cpu()
        start, answer = self.start(ok=False)
        self.assertIn(answer.code, (sp.INVALID_ARGUMENT, sp.OVERLOADED))
        peer.sock.settimeout(0.5)
        peer.request(sp.PING)
        with self.assertRaises(TimeoutError):
            peer.recv()
        self.assertLess(cpu() - before, 20)
        resource.prlimit(self.spawner.pid, resource.RLIMIT_NOFILE, limits)
        peer.sock.settimeout(20)
        self.assertEqual(peer.recv().kind, sp.DONE)
        peer.close()
        start.wait_eof()


if __name__ == "__main__":
    main()
