# SPDX-License-Identifier: Apache-2.0
"""What a nsexecd that fell to an attacker gets from a real spawner: nothing.

Every message here comes from nsexecd's own uid. After each test a caller that
has nothing to do with it starts a program as always, and SpawnerCase finds no
descriptor, child, cgroup or gate left. What test_spawner_hostile.py does as
root is not done again. NSX_LONG=1 makes the counts those of a release.
"""
import contextlib
import os
import random
import select
import shutil
import signal
import socket
import struct
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
import spawner_peer as sp
from harness import ORDINARY_UID, main, wait_for
from spawner_peer import attr
from test_spawner import SpawnerCase as _SpawnerCase

LONG = os.environ.get("NSX_LONG") == "1"
OTHER_UID = 54399
WHO, WHO_ANSWER = 62014, 62105
# What each small operation needs: attributes, then whether it takes a caller.
NAMED = [(sp.CONTAINER, "web1")]
OF_PID = [(sp.PID, 1)]
SMALL = {
    sp.OPEN: (NAMED, True),
    sp.SIGNAL: (NAMED + OF_PID + [(sp.SIGNAL_NUMBER, 9)], True),
    sp.KILL_ALL: (NAMED + [(sp.SIGNAL_NUMBER, 9)], True),
    sp.STATUS: (OF_PID, False),
    sp.REAP: (OF_PID, False),
    sp.LIST: ([], False),
    sp.PIDFD: (OF_PID, False),
    sp.CGROUP_REMOVE: (NAMED + [(sp.UID, 0)], False),
    sp.PING: ([], False),
    sp.PROCESSES: (NAMED + [(sp.UID, 0)], False),
    WHO: ([], True),
    sp.STORE: (NAMED, False),
}
BY_CALLER = [kind for kind, (_, caller) in SMALL.items() if caller]


@contextlib.contextmanager
def nsexecds_uid():
    os.setegid(sp.WORKER_UID)
    os.seteuid(sp.WORKER_UID)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def encoded(attrs):
    return [attr(number, value) for number, value in attrs]


def raw(number, data, claimed=None):
    """An attribute that claims another length than it has."""
    size = 4 + (len(data) if claimed is None else claimed)
    return struct.pack("=HH", size & 0xffff, number) + data + \
        b"\0" * (-len(data) % 4)


class SubvertedCase(_SpawnerCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.check_bystander)
        self.peer.close()
        with nsexecds_uid():
            self.peer = self.spawner.connect()
        self.addCleanup(self.peer.close)

    def check_bystander(self):
        """Another's work goes on."""
        honest = self.spawner.connect()
        client, caller = self.rpc.connect()
        start = sp.Start(caller, container="honest",
                         argv=("/bin/sh", "-c", "exit 5"))
        answer = start.call(honest)
        self.assertEqual(answer.kind, sp.CHILD, answer)
        pid = answer.u32(sp.PID)
        self.assertTrue(select.select(answer.fds, [], [], 20)[0])
        status = honest.call(sp.STATUS, attr(sp.PID, pid))
        self.assertEqual(status.u32(sp.WAIT_STATUS), 5 << 8)
        for kind, *attrs in ((sp.REAP, attr(sp.PID, pid)),
                             (sp.CGROUP_REMOVE, attr(sp.CONTAINER, "honest"),
                              attr(sp.UID, 0))):
            self.assertEqual(honest.call(kind, *attrs).kind, sp.DONE)
        answer.close()
        start.close()
        for sock in (client, caller, honest):
            sock.close()

    def error(self, kind, *attrs, fds=(), codes=(sp.INVALID_ARGUMENT,)):
        answer = self.peer.call(kind, *attrs, fds=fds)
        answer.close()
        self.assertEqual(answer.kind, sp.ERROR, (kind, attrs, answer))
        self.assertIn(answer.code, codes, (kind, attrs, answer))
        return answer

    def end(self, start, answer, uid=0):
        """Kill and forget what did start."""
        pid = answer.u32(sp.PID)
        start.pidfd = answer.fds[0]
        self.done(sp.KILL_ALL, attr(sp.CONTAINER, start.container),
                  attr(sp.SIGNAL_NUMBER, signal.SIGKILL), attr(sp.UID, uid))
        self.wait_exit(start, pid)
        self.clean(pid, start.container, uid)
        answer.close()
        start.close()

    def uids(self, pid):
        with open(f"/proc/{pid}/status", encoding="utf-8") as f:
            return next(line.split()[1:] for line in f
                        if line.startswith("Uid:"))


class Identity(SubvertedCase):
    """Who the caller is, is not nsexecd's to say."""

    def test_uid_in_bytes_changes_nothing(self):
        user = self.user()
        for uid in (0, OTHER_UID, sp.WORKER_UID, 0xffffffff):
            start = sp.Start(user, extra=[attr(sp.UID, uid)])
            answer = start.call(self.peer)
            self.assertEqual((answer.kind, answer.code),
                             (sp.ERROR, sp.INVALID_ARGUMENT), answer)
            start.close()
            self.error(WHO, attr(sp.UID, uid), fds=[user.fileno()])
        start = sp.Start(user, gate=sp.GATE_CHANNEL)
        answer = start.call(self.peer)
        self.assertEqual(answer.kind, sp.CHILD, answer)
        self.ready(start)
        self.assertEqual(set(self.uids(answer.u32(sp.PID))),
                         {str(ORDINARY_UID)})
        self.end(start, answer, ORDINARY_UID)

    def test_who_answers_what_the_kernel_says_of_the_connection(self):
        user = self.user()
        answer = self.peer.call(WHO, fds=[user.fileno()])
        self.assertEqual(answer.kind, WHO_ANSWER, answer)
        magic, _, _, uid, gid = struct.unpack_from(
            "=5I", next(iter(answer.attrs.values())))
        self.assertEqual((magic, uid, gid),
                         (0x5753584e, ORDINARY_UID, ORDINARY_UID))

    def strange_connections(self):
        """(what, descriptor) of connections that are nobody's consent."""
        base = tempfile.mkdtemp(prefix="nsxsubverted-")
        self.addCleanup(shutil.rmtree, base)
        os.chmod(base, 0o777)
        with nsexecds_uid():
            to_root, _ = self.connection(self.rpc)
            yield "its own connection to a service of root", to_root
            own = sp.Listener(os.path.join(base, "own.sock"))
            self.addCleanup(own.close)
            yield "what its own listener accepted", self.connection(own)[1]
            pair = socket.socketpair()
            for sock in pair:
                self.addCleanup(sock.close)
            yield "a pair of sockets", pair[0]
        root = socket.socket(socket.AF_UNIX)
        self.addCleanup(root.close)
        root.bind(f"\0nsxsubverted-{os.getpid()}")
        root.listen(1)
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.connect(root.getsockname())
        accepted, _ = root.accept()
        self.addCleanup(accepted.close)
        yield "what a listener without a file accepted", accepted
        yield "a listener itself", self.rpc.sock
        yield "its own connection to the spawner", self.peer.sock
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for sock in pair:
            self.addCleanup(sock.close)
        yield "a datagram socket", pair[0]
        inet = socket.socket(socket.AF_INET)
        self.addCleanup(inet.close)
        yield "a socket of another family", inet

    def test_connections_of_its_own_making_are_nobodys(self):
        refused = (sp.PERMISSION_DENIED, sp.INVALID_ARGUMENT)
        for what, sock in self.strange_connections():
            with self.subTest(what):
                for kind in BY_CALLER:
                    self.error(kind, *encoded(SMALL[kind][0]),
                               fds=[sock.fileno()], codes=refused)
                for kind, extra in ((sp.START, []),
                                    (sp.EXEC, [attr(sp.B_PID, 1)])):
                    start = sp.Start(sock, extra=extra)
                    answer = start.call(self.peer, kind)
                    self.assertEqual(answer.kind, sp.ERROR, (what, answer))
                    self.assertIn(answer.code, refused, (what, answer))
                    start.close()

    def test_connection_of_the_dead_is_caller_gone(self):
        child, accepted = self.rpc.connect_as(ORDINARY_UID)
        self.addCleanup(accepted.close)
        child.stdin.close()
        child.wait()
        for kind in (sp.OPEN, WHO):
            self.error(kind, *encoded(SMALL[kind][0]),
                       fds=[accepted.fileno()],
                       codes=(sp.CALLER_GONE, sp.NOT_FOUND))
        self.assertEqual(self.error(WHO, fds=[accepted.fileno()],
                                    codes=(sp.CALLER_GONE,)).code,
                         sp.CALLER_GONE)
        start = sp.Start(accepted)
        answer = start.call(self.peer)
        self.assertEqual((answer.kind, answer.code),
                         (sp.ERROR, sp.CALLER_GONE), answer)
        start.close()

    def test_anothers_connection_opens_nothing_of_the_first(self):
        """Both are connected; the container is the one's."""
        one, other = self.user(), self.user(OTHER_UID)
        start = sp.Start(one, gate=sp.GATE_CHANNEL)
        answer = start.call(self.peer)
        self.ready(start)
        pid = answer.u32(sp.PID)
        for owner in ([], [attr(sp.UID, ORDINARY_UID)], [attr(sp.UID, 0)]):
            named = [attr(sp.CONTAINER, "web1"), *owner]
            for kind, more in ((sp.SIGNAL, [attr(sp.PID, pid),
                                            attr(sp.SIGNAL_NUMBER, 9)]),
                               (sp.KILL_ALL, [attr(sp.SIGNAL_NUMBER, 9)]),
                               (sp.OPEN, [])):
                self.error(kind, *named, *more, fds=[other.fileno()],
                           codes=(sp.NOT_FOUND,))
            into = sp.Start(other, extra=[attr(sp.B_PID, pid)])
            refused = into.call(self.peer, sp.EXEC)
            self.assertEqual((refused.kind, refused.code),
                             (sp.ERROR, sp.NOT_FOUND), refused)
            into.close()
        self.assertEqual(self.status(pid).u32(sp.EXITED), 0)
        self.end(start, answer, ORDINARY_UID)

    def test_without_a_caller_it_can_only_kill(self):
        start = sp.Start(self.caller, gate=sp.GATE_CHANNEL)
        answer = start.call(self.peer)
        self.ready(start)
        for number in (signal.SIGTERM, signal.SIGSTOP, signal.SIGUSR1):
            self.error(sp.KILL_ALL, attr(sp.CONTAINER, "web1"),
                       attr(sp.SIGNAL_NUMBER, number),
                       codes=(sp.PERMISSION_DENIED,))
        self.end(start, answer)


class Attributes(SubvertedCase):
    """Each operation, each attribute: gone, twice, too short, too long."""

    def test_small_operations_take_each_attribute_once_and_whole(self):
        for kind, (attrs, caller) in SMALL.items():
            fds = [self.caller.fileno()] if caller else []
            whole = encoded(attrs)
            for at, (number, value) in enumerate(attrs):
                self.error(kind, *whole[:at], *whole[at + 1:], fds=fds)
                self.error(kind, *whole, whole[at], fds=fds)
                good = len(whole[at]) if isinstance(value, str) else 4
                for size in [*range(65), 255, 4096, 65531]:
                    if isinstance(value, str) or size == good:
                        continue
                    self.error(kind, *whole[:at], raw(number, b"\1" * size),
                               *whole[at + 1:], fds=fds)
                for claimed in (-4, -1, 60000):
                    self.error(kind, *whole[:at], raw(number, b"\1\0\0\0",
                                                      claimed),
                               fds=fds)

    def test_texts_of_every_length_are_a_name_or_refused(self):
        for size in [*range(130), 255, 1023, 1024, 1025, 4096]:
            name = "a" * size
            for data in (name.encode(), name.encode() + b"\0\0",
                         b"\0" + name.encode() + b"\0"):
                self.error(sp.CGROUP_REMOVE, raw(sp.CONTAINER, data),
                           attr(sp.UID, 0))
            self.error(sp.CGROUP_REMOVE, attr(sp.CONTAINER, name),
                       attr(sp.UID, 0),
                       codes=(sp.INVALID_ARGUMENT, sp.NOT_FOUND))

    def variants(self, body):
        for at, one in enumerate(body):
            number = struct.unpack_from("=H", one, 2)[0]
            length = struct.unpack_from("=H", one)[0]
            data = one[4:length]
            rest = body[:at], body[at + 1:]
            yield True, [*rest[0], *rest[1]]
            yield False, [*body, one]
            yield number == sp.B_ENV, [*rest[0], raw(number, b""), *rest[1]]
            yield False, [*rest[0], raw(number, data[:-1]), *rest[1]]
            yield False, [*rest[0], raw(number, data + b"\1"), *rest[1]]
            yield False, [*rest[0], raw(number, data, 60000), *rest[1]]
        yield False, [*body, attr(sp.CONTAINER, "web1")]
        yield False, [*body, attr(9999, 0)]

    def test_start_never_gets_more_by_what_is_missing(self):
        """Without an attribute: refused, or as the same caller."""
        user = self.user()
        for kind in (sp.START, sp.EXEC):
            extra = [attr(sp.B_PID, 1)] if kind == sp.EXEC else []
            body = sp.Start(user, extra=extra, argv=("/bin/sleep", "600"))
            parts = body.body()
            body.close()
            for may_start, attrs in self.variants(parts):
                start = sp.Start(user)
                answer = self.peer.call(kind, *attrs, fds=start.fds)
                start.theirs.close()
                if answer.kind == sp.ERROR:
                    start.close()
                    continue
                self.assertTrue(may_start, (kind, attrs, answer))
                self.assertEqual(set(self.uids(answer.u32(sp.PID))),
                                 {str(ORDINARY_UID)})
                self.end(start, answer, ORDINARY_UID)

    def test_random_mixes_of_real_attributes_are_answered(self):
        numbers = [*range(28195, 28222), *range(27281, 27300),
                   *range(28001, 28040)]
        rng = random.Random(20)
        for _ in range(20000 if LONG else 1500):
            kind = rng.choice([*SMALL, sp.START, sp.EXEC, sp.KEEP, sp.STOP])
            attrs = [raw(rng.choice(numbers),
                         rng.randbytes(rng.choice((0, 1, 4, 8, 12, 64))))
                     for _ in range(rng.randrange(6))]
            fds = [self.caller.fileno()] * rng.randrange(4)
            seq = self.peer.request(kind, *attrs, fds=fds)
            while True:
                answer = self.peer.recv()
                self.assertIsNotNone(answer)
                self.assertEqual(answer.seq, seq)
                self.assertNotEqual(answer.kind, sp.CHILD, attrs)
                answer.close()
                if answer.kind != sp.ENTRY:
                    break


class Orders(SubvertedCase):
    """Right messages at the wrong time."""

    def start_one(self, **keywords):
        start = sp.Start(self.caller, **keywords)
        answer = start.call(self.peer)
        self.assertEqual(answer.kind, sp.CHILD, answer)
        start.pidfd = answer.fds[0]
        self.addCleanup(start.close)
        return start, answer, answer.u32(sp.PID)

    def test_nothing_is_removed_or_reaped_while_it_lives(self):
        start, answer, pid = self.start_one(gate=sp.GATE_CHANNEL)
        early = (sp.FAILED_PRECONDITION,)
        self.error(sp.REAP, attr(sp.PID, pid), codes=early)
        self.error(sp.CGROUP_REMOVE, attr(sp.CONTAINER, "web1"),
                   attr(sp.UID, 0), codes=early)
        self.ready(start)
        self.error(sp.REAP, attr(sp.PID, pid), codes=early)
        self.error(sp.CGROUP_REMOVE, attr(sp.CONTAINER, "web1"),
                   attr(sp.UID, 0), codes=early)
        start.ours.close()
        self.wait_exit(start, pid)
        self.error(sp.CGROUP_REMOVE, attr(sp.CONTAINER, "web1"),
                   attr(sp.UID, 0), codes=early)
        self.clean(pid)
        answer.close()

    def test_after_the_end_nothing_is_found(self):
        start, answer, pid = self.start_one()
        start.wait_eof()
        self.wait_exit(start, pid)
        self.clean(pid)
        answer.close()
        gone = (sp.NOT_FOUND,)
        for kind in (sp.STATUS, sp.REAP, sp.PIDFD):
            self.error(kind, attr(sp.PID, pid), codes=gone)
        for kind in (sp.CGROUP_REMOVE, sp.PROCESSES):
            self.error(kind, attr(sp.CONTAINER, "web1"), attr(sp.UID, 0),
                       codes=gone)
        named = [attr(sp.CONTAINER, "web1")]
        fds = [self.caller.fileno()]
        self.error(sp.OPEN, *named, fds=fds, codes=gone)
        self.error(sp.KILL_ALL, *named, attr(sp.SIGNAL_NUMBER, 9), fds=fds,
                   codes=gone)
        into = sp.Start(self.caller, extra=[attr(sp.B_PID, pid)])
        refused = into.call(self.peer, sp.EXEC)
        self.assertEqual((refused.kind, refused.code),
                         (sp.ERROR, sp.NOT_FOUND), refused)
        into.close()

    def test_second_start_of_an_id_is_a_conflict_and_harms_none(self):
        start, answer, pid = self.start_one(gate=sp.GATE_CHANNEL)
        again = sp.Start(self.caller)
        refused = again.call(self.peer)
        self.assertEqual((refused.kind, refused.code),
                         (sp.ERROR, sp.CONFLICT), refused)
        again.close()
        self.ready(start)
        self.assertEqual(self.status(pid).u32(sp.EXITED), 0)
        self.end(start, answer)

    def test_gate_opens_once_and_only_one_that_is_there(self):
        start, answer, pid = self.start_one(gate=sp.GATE_NAMED)
        named, fds = [attr(sp.CONTAINER, "web1")], [self.caller.fileno()]
        got = self.peer.call(sp.OPEN, *named, fds=fds)
        if got.kind == sp.ERROR:  # too early
            self.assertEqual(got.code, sp.FAILED_PRECONDITION, got)
            self.ready(start)
            self.done(sp.OPEN, *named, fds=fds)
        self.wait_exit(start, pid)
        self.error(sp.OPEN, *named, fds=fds,
                   codes=(sp.FAILED_PRECONDITION, sp.NOT_FOUND))
        self.clean(pid)
        answer.close()

    def test_leaving_in_the_middle_of_anything_leaves_nothing(self):
        for n_sent in range(1, 5):
            start = sp.Start(self.caller, gate=sp.GATE_CHANNEL)
            with nsexecds_uid():
                peer = self.spawner.connect()
            for _ in range(n_sent - 1):
                peer.request(sp.LIST)
            start.send(peer)
            peer.close()
            start.close()
            with nsexecds_uid():
                self.peer = self.spawner.connect()
            self.addCleanup(self.peer.close)
            self.drop_all()

    def test_orders_of_one_that_died_with_answers_unread_are_carried_out(self):
        """What a killed nsexecd had asked for was promised to somebody."""
        full = self.spawner.connect()
        full.sock.settimeout(0.5)
        sent = 0  # until answers and then requests fill the socket
        with contextlib.suppress(TimeoutError):
            while sent < 100000:
                full.request(sp.PING)
                sent += 1
        full.close()
        with nsexecds_uid():
            peer = self.spawner.connect()
        for _ in range(sent * 3 // 4):
            peer.request(sp.PING)
        start = sp.Start(self.caller, gate=sp.GATE_CHANNEL)
        start.send(peer)
        peer.close()
        other = self.spawner.connect()
        self.addCleanup(other.close)
        other.call(sp.PING)  # after the end was seen
        with nsexecds_uid():
            self.peer = self.spawner.connect()
        self.addCleanup(self.peer.close)
        wait_for(self.listed, 5, "the start is listed")
        start.close()
        self.drop_all()

    def listed(self):
        pids = []
        self.peer.request(sp.LIST)
        while (answer := self.peer.recv()).kind == sp.ENTRY:
            pids.append(answer.u32(sp.PID))
            answer.close()
        return pids

    def drop_all(self):
        """What nsexecd does when it comes back and wants none of it."""
        for pid in wait_for(self.listed, 5, "the last start is listed"):
            start = sp.Start(self.caller)
            got = self.peer.call(sp.PIDFD, attr(sp.PID, pid))
            start.pidfd = got.fds[0]
            self.wait_exit(start, pid)
            got.close()
            start.close()
            self.clean(pid)


class Descriptors(SubvertedCase):
    """Wrong kinds and floods."""

    def wrong_kinds(self):
        epoll = select.epoll()
        self.addCleanup(epoll.close)
        closed, other = socket.socketpair()
        other.close()
        read, write = os.pipe()
        fds = [os.open("/etc/passwd", os.O_PATH),
               os.open("/etc/passwd", os.O_RDONLY),
               os.open("/", os.O_RDONLY), os.open("/dev/null", os.O_RDWR),
               os.open("/proc/self/ns/user", os.O_RDONLY),
               os.pidfd_open(os.getpid()), sp.memfd(b"x"), read, write,
               os.dup(closed.fileno()),
               os.dup(epoll.fileno())]
        closed.close()
        for fd in fds:
            self.addCleanup(os.close, fd)
        return fds

    def test_no_descriptor_but_a_connection_is_a_caller(self):
        refused = (sp.INVALID_ARGUMENT, sp.PERMISSION_DENIED, sp.CALLER_GONE)
        for fd in self.wrong_kinds():
            for kind in BY_CALLER:
                self.error(kind, *encoded(SMALL[kind][0]), fds=[fd],
                           codes=refused)
            start = sp.Start(self.caller)
            start.fds[1] = fd
            answer = start.call(self.peer)
            self.assertEqual(answer.kind, sp.ERROR, answer)
            self.assertIn(answer.code, refused, answer)
            start.close()

    def test_no_descriptor_but_a_fresh_channel_is_an_init_channel(self):
        for fd in [*self.wrong_kinds(), self.caller.fileno()]:
            start = sp.Start(self.caller)
            start.fds[0] = fd
            answer = start.call(self.peer)
            self.assertEqual((answer.kind, answer.code),
                             (sp.ERROR, sp.INVALID_ARGUMENT), answer)
            start.close()

    def test_callers_are_one_and_not_more(self):
        for kind in BY_CALLER:
            for fds in ([], [self.caller.fileno()] * 2,
                        [self.caller.fileno()] * 40):
                if not fds and kind in (sp.SIGNAL, sp.KILL_ALL):
                    continue  # its own deadline: SIGKILL alone
                self.error(kind, *encoded(SMALL[kind][0]), fds=fds)

    def test_floods_of_descriptors_are_dropped(self):
        null = os.open("/dev/null", os.O_RDONLY)
        self.addCleanup(os.close, null)
        before = self.spawner.n_fds()
        for _ in range(400 if LONG else 80):
            for kind in (sp.PING, sp.START, WHO, sp.STOP):
                self.error(kind, fds=[null] * 253)
            self.assertLess(self.spawner.n_fds(), before + 8)

    def test_what_is_roots_alone_stays_so(self):
        program = sp.memfd(b"\x7fELF")
        self.addCleanup(os.close, program)
        self.error(sp.KEEP, fds=[program], codes=(sp.PERMISSION_DENIED,))
        self.error(sp.STOP, codes=(sp.PERMISSION_DENIED,))

    def test_flags_and_pid_of_a_header_say_nothing(self):
        user = self.user()
        for flags, pid in ((0, 0), (2, 1), (0xffff, 1), (1, 0xffffffff),
                           (1, self.spawner.pid)):
            for kind, expect in ((sp.STOP, sp.ERROR), (WHO, WHO_ANSWER)):
                fds = [user.fileno()] if kind == WHO else []
                self.peer.send(sp.HEADER.pack(16, kind, flags, 7, pid), fds)
                answer = self.peer.recv()
                self.assertEqual((answer.kind, answer.seq), (expect, 7))
                if kind == WHO:
                    record = next(iter(answer.attrs.values()))
                    self.assertEqual(struct.unpack_from("=I", record, 12)[0],
                                     ORDINARY_UID)


if __name__ == "__main__":
    main()
