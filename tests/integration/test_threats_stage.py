#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Attacks on the stages of a start, by its caller, by the owner of a namespace
that is joined and by the payload: row 27 of the threat table, each test named after its row. NSX_LONG=1 attacks ten
times as long.
"""
import contextlib
import ctypes
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
from harness import (ORDINARY_UID, SLOW, TestCase, children,  # noqa: E402
                     comm, main, wait_for, zygotes)
from test_fairness import acting_as  # noqa: E402
from ttrpc_client import Client, RpcError  # noqa: E402

UID = ORDINARY_UID
TIMES = 10 if os.environ.get("NSX_LONG") == "1" else 1
# clone3(2)
CLONE_NEWUSER, CLONE_NEWNET, CLONE_PARENT = 0x10000000, 0x40000000, 0x8000
LIBC = ctypes.CDLL(None, use_errno=True)
# A group that nobody is in but whom a test puts there.
DENIED = 54411
NEW_USER = [{"kind": "NS_USER", "create": True}]
AS_USER = {"user": UID, "group": UID, "extra_groups": []}


class ThreatTest(TestCase):
    def setUp(self):
        super().setUp()
        self.dir = tempfile.mkdtemp(prefix="nsxthreat-")
        os.chmod(self.dir, 0o755)
        self.addCleanup(shutil.rmtree, self.dir, True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def target(self, *flags):
        """Pid of a sleep in the user's own namespaces."""
        child = subprocess.Popen(["unshare", "-Ur", *flags, "sleep", "300"],
                                 stdin=subprocess.DEVNULL, cwd="/", **AS_USER)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)

        def inside():
            with open(f"/proc/{child.pid}/comm", encoding="ascii") as f:
                return f.read() == "sleep\n"
        wait_for(inside, what="a target")
        return child.pid

    def python(self, *options, script, **keywords):
        """A payload in Python, run by the ordinary user."""
        return self.ctl("run", *options, "--", "/usr/bin/python3", "-c",
                        script, user=UID, **keywords)

    def attacker(self, loop):
        """Run loop() in a process of the ordinary user until killed."""
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([])
                os.setresgid(UID, UID, UID)
                os.setresuid(UID, UID, UID)
                loop()
            finally:
                os._exit(0)

        def end():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self.addCleanup(end)
        return pid


class Row27PtraceOfJoiners:
    """Root of the namespace that is joined cannot touch who joins."""

    TRACER = """if True:
        import os, sys, ctypes
        libc = ctypes.CDLL(None)
        def comm(pid):
            try:
                return open(f"/proc/{pid}/comm").read()
            except OSError:
                return ""
        own = os.getpid()
        print("ready", flush=True)
        seen = 0
        while not os.path.exists(sys.argv[1]):
            for pid in os.listdir("/proc"):
                if not pid.isdigit() or int(pid) <= own or \\
                        not comm(pid).startswith("nsx:["):
                    continue
                seen += 1
                for name in ("mem", "environ", "maps", "root/."):
                    try:
                        fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY)
                    except OSError:
                        continue
                    if name in ("environ", "maps"):
                        try:
                            if not os.read(fd, 1):
                                continue
                        except OSError:
                            continue
                    if comm(pid).startswith("nsx:["):
                        print("open", name, flush=True)
                    os.close(fd)
                if libc.ptrace(16, int(pid), 0, 0) == 0:
                    if comm(pid).startswith("nsx:["):
                        print("attached", flush=True)
                    os.kill(int(pid), 9)
                    # Until then its end is told to us alone (ptrace(2)).
                    while os.WIFSTOPPED(os.waitpid(int(pid), 0x40000000)[1]):
                        pass
        print("seen", seen, flush=True)
        """

    def test_row_27_a_traced_programs_end_is_not_lost(self):
        ident = self.ctl_ok("run", "-d", "--", "/bin/sleep", "300",
                            user=UID).out.strip()
        pid = self.ctl_ok("inspect", ident).json()["pid"]
        hold, held = os.pipe()
        go, let_go = os.pipe()

        def loop():
            traced = LIBC.ptrace(16, pid, 0, 0) == 0  # PTRACE_ATTACH
            os.waitpid(pid, 0x40000000)
            os.kill(pid, signal.SIGKILL)
            os.write(held, b"t" if traced else b"-")
            os.read(go, 1)
            os.waitpid(pid, 0x40000000)
        self.attacker(loop)
        try:
            self.assertEqual(os.read(hold, 1), b"t")
            # The kernel tells nobody else now. Nothing may be lost by that.
            with self.assertRaises(subprocess.TimeoutExpired):
                self.ctl("wait", ident, timeout=0.5, user=UID)
            os.write(let_go, b"x")
            self.assertEqual(self.ctl("wait", ident, user=UID).out, "137\n")
        finally:
            for fd in (hold, held, go, let_go):
                os.close(fd)
        self.ctl_ok("delete", ident, user=UID)

    def test_row_27_the_owner_of_a_joined_namespace_never_gets_a_stage(self):
        stop = self.path("stop")
        attacker = subprocess.Popen(
            ["unshare", "-Urpf", "--mount-proc", "--kill-child",
             "/usr/bin/python3", "-c", self.TRACER, stop], cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **AS_USER)
        self.addCleanup(attacker.stdout.close)
        self.addCleanup(attacker.wait)
        self.addCleanup(attacker.kill)
        self.assertEqual(attacker.stdout.readline(), b"ready\n")
        pid = children(attacker.pid)[0]
        joins = [word for kind in ("user", "pid", "mnt")
                 for word in ("--join", f"{kind}=pid:{pid}")]
        for i in range(40 * TIMES):
            user = {"user": UID} if i % 2 else {}
            self.ctl("run", *joins, "--", "/bin/true", **user)
        with open(stop, "w", encoding="ascii"):
            pass
        last = attacker.stdout.read().decode().split()
        self.assertEqual(last[0], "seen", last)
        self.assertGreater(int(last[1]), 0)


def payload_text(script):
    """A program that shows its findings, one JSON value."""
    return ["/usr/bin/python3", "-I", "-c", script]


class RowsTest(ThreatTest):
    """With a connection of the user's own and payloads that write a file."""

    def setUp(self):
        super().setUp()
        self.client = self.connect()
        os.chmod(self.dir, 0o777)

    def connect(self, uid=UID, groups=()):
        with acting_as(uid, groups):
            client = Client(self.nsx.socket_path)
        self.addCleanup(client.close)
        return client

    def request(self, argv, fds=(), timeout_ms=None, client=None, **spec):
        process = spec.pop("process", {})
        request = {"spec": {"process": {
            "args": [a.encode() for a in argv],
            "env": [b"PATH=/usr/bin:/bin"], **process}, **spec}}
        if timeout_ms:
            request["timeout_ms"] = timeout_ms
        if fds:
            with acting_as(UID):  # a token is of who sent it
                token, channel = (client or self.client).pass_fds(fds)
            self.addCleanup(channel.close)
            request.update(fd_token=token, n_fds=len(fds))
        return request

    def output(self, argv, **spec):
        """What the payload wrote to both outputs, after its end."""
        client = spec.get("client", self.client)
        out = self.path("out")
        with open(out, "w", encoding="ascii"):
            os.chmod(out, 0o666)
        to_file = {"kind": "STDIO_PATH", "path": out.encode()}
        spec["process"] = {"stdout": to_file, "stderr": to_file,
                           **spec.get("process", {})}
        ident = client.call("Run", self.request(argv, **spec))["info"]["id"]
        client.call("Wait", {"id": ident})
        client.call("Delete", {"id": ident})
        with open(out, encoding="utf-8") as f:
            return f.read()

    def refused(self, argv=("/bin/true",), **spec):
        """The error detail of a start that must fail, soon."""
        client = spec.get("client", self.client)
        began = time.monotonic()
        with self.assertRaises(RpcError) as caught:
            client.call("Run", self.request(argv, **spec))
        self.assertLess(time.monotonic() - began, 5 * SLOW)
        self.assertTrue(caught.exception.detail.get("code"), caught.exception)
        return caught.exception.detail

    def waiting(self):
        """(id, pid) of a container whose init waits at its gate."""
        info = self.client.call("Create", self.request(["/bin/true"]))["info"]
        return info["id"], info["pid"]


class Row09Setgroups:
    SCRIPT = """if True:
        import os, sys
        for attempt in (lambda: os.setgroups([]), lambda: os.setgroups([0]),
                        lambda: open(sys.argv[1]).read()):
            try:
                attempt()
                print("done")
            except OSError as error:
                print(error.errno)
        """

    def test_row09_a_group_that_denies_is_not_shaken_off(self):
        """Its members may not read the file; everybody else may."""
        path = self.path("for-others")
        with open(path, "w", encoding="ascii") as f:
            f.write("secret")
        os.chown(path, 0, DENIED)
        os.chmod(path, 0o604)
        member = self.connect(groups=[DENIED])
        argv = [*payload_text(self.SCRIPT), path]
        self.assertEqual(self.output(argv, client=member).split(),
                         ["1", "1", "13"])
        for preset in ("MAP_ROOT", "MAP_CURRENT"):
            for more in ({}, {"setgroups": "SETGROUPS_DENY"}):
                found = self.output(
                    argv, client=member, namespaces=NEW_USER,
                    id_maps={"preset": preset, **more})
                self.assertEqual(found.split(), ["1", "1", "13"], preset)
        for asked in ({"groups": []}, {"keep_groups": False}):
            found = self.output(argv, client=member, process=asked)
            self.assertEqual(found.split(), ["1", "1", "13"], asked)
        refused = self.refused(client=member, namespaces=NEW_USER, id_maps={
            "preset": "MAP_ROOT", "setgroups": "SETGROUPS_ALLOW"})
        self.assertIn(refused["code"], ("MAP_DENIED", "STAGE_FAILED"))
        # Shown to be the group alone.
        self.assertEqual(self.output(argv).split()[-1], "done")


class Row10Groups:
    def test_row10_groups_are_those_of_the_connection(self):
        for groups in ([], [DENIED], [DENIED, DENIED + 7, DENIED + 9]):
            client = self.connect(groups=groups)
            text = self.output(["/usr/bin/id", "-G"], client=client)
            self.assertEqual([int(word) for word in text.split()],
                             [UID, *groups])


class Row12Paths:
    def opened(self, paths, action):
        """Of which of these was there an open() during action()."""
        watch = LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            names = {LIBC.inotify_add_watch(watch, path.encode(), 0x20): path
                     for path in paths}  # IN_OPEN
            action()
            with contextlib.suppress(BlockingIOError):
                return {names[struct.unpack_from("i", os.read(watch, 16))[0]]}
            return set()
        finally:
            os.close(watch)

    def test_row12_what_is_no_namespace_is_refused_unopened(self):
        fifo, link = self.path("fifo"), self.path("link")
        os.mkfifo(fifo, 0o666)
        os.chmod(fifo, 0o666)
        os.symlink(fifo, link)
        plain = self.path("plain")
        with open(plain, "w", encoding="ascii"):
            os.chmod(plain, 0o666)
        master, slave = os.openpty()
        tty = os.ttyname(slave)
        os.chmod(tty, 0o666)
        paths = [fifo, link, plain, tty, self.dir]

        def attempt():
            for path in [*paths, "/dev/null", "/dev/zero"]:
                for client in (self.client, self.admin):
                    detail = self.refused(client=client, namespaces=[
                        {"kind": "NS_NET", "path": path.encode()}])
                    self.assertEqual(detail["step"], "join-check-net", detail)
        self.admin = self.connect(uid=0)
        try:
            self.assertEqual(self.opened([fifo, plain, tty], attempt), set())
            # Shown to be seen.
            self.assertEqual(self.opened(
                [plain], lambda: os.close(os.open(plain, os.O_RDONLY))),
                {plain})
        finally:
            os.close(master)
            os.close(slave)

    def test_row12_a_path_that_is_swapped_all_the_time_joins_nothing_else(
            self):
        pid = self.target("-n", "-u")
        good, bad = self.path("good"), self.path("bad")
        fifo = self.path("fifo")
        os.mkfifo(fifo, 0o666)
        wanted = os.stat(f"/proc/{pid}/ns/net").st_ino
        for other in (fifo, f"/proc/{pid}/ns/uts"):
            os.symlink(f"/proc/{pid}/ns/net", good)
            os.symlink(other, bad)

            def loop():
                while True:  # RENAME_EXCHANGE
                    LIBC.renameat2(-100, good.encode(), -100, bad.encode(), 2)
            attacker = self.attacker(loop)
            seen = {"joined": 0, "refused": 0}
            for _ in range(60 * TIMES):
                try:
                    text = self.output(
                        ["/usr/bin/stat", "-L", "-c", "%i",
                         "/proc/self/ns/net"], namespaces=[
                            {"kind": "NS_USER", "process": {"pid": pid}},
                            {"kind": "NS_NET", "path": good.encode()}])
                    self.assertEqual(text, f"{wanted}\n")
                    seen["joined"] += 1
                except RpcError as error:
                    self.assertEqual(error.detail["step"], "join-check-net")
                    seen["refused"] += 1
                time.sleep(0.05)  # 20 starts a second are a user's
            self.assertTrue(all(seen.values()), seen)
            os.kill(attacker, signal.SIGSTOP)
            os.unlink(good)
            os.unlink(bad)


class Rows13And14Processes:
    @staticmethod
    def clone_sleeper(pid):
        """A child of our parent in namespaces that it is born in; its number."""
        tid = ctypes.c_int(pid)
        args = (ctypes.c_uint64 * 11)()
        args[0] = CLONE_NEWUSER | CLONE_NEWNET | CLONE_PARENT
        if pid:
            args[8], args[9] = ctypes.addressof(tid), 1
        # The namespaces are the user's, the capability for a number is ours.
        LIBC.prctl(28, 1 << 2)  # PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP
        os.setgroups([])
        os.setresgid(UID, UID, UID)
        os.setresuid(UID, UID, UID)
        child = LIBC.syscall(435, args, ctypes.sizeof(args))  # clone3
        if child == 0:
            try:
                os.execv("/usr/bin/sleep", ["sleep", "300"])
            finally:
                os._exit(1)
        return child

    def born_as(self, pid):
        """A process of the user's with this very number, 0 = any.

        It never was in other namespaces than those it has.
        """
        read_end, write_end = os.pipe()
        helper = os.fork()
        if helper == 0:
            try:
                os.write(write_end, b"%d" % self.clone_sleeper(pid))
            finally:
                os._exit(0)
        os.close(write_end)
        os.waitpid(helper, 0)
        child = int(os.read(read_end, 16))
        os.close(read_end)
        self.assertGreater(child, 0)
        for name, text in (("uid_map", f"0 {UID} 1"), ("setgroups", "deny"),
                           ("gid_map", f"0 {UID} 1")):
            with open(f"/proc/{child}/{name}", "w", encoding="ascii") as f:
                f.write(text)
        wait_for(lambda: comm(child) == "sleep", what="a process")
        return child

    @staticmethod
    def end(pid):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def test_row13_a_number_that_is_anothers_by_now_is_refused(self):
        pid = self.born_as(0)
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            began = int(f.read().rpartition(") ")[2].split()[19])
        pidfd = os.pidfd_open(pid)
        inode = os.fstat(pidfd).st_ino
        os.close(pidfd)
        marks = [{"start_time": began}, {"pid_inode": inode}]

        def namespaces_of(mark):
            return [{"kind": kind, "process": {"pid": pid, **mark}}
                    for kind in ("NS_USER", "NS_NET")]
        for mark in marks:
            self.output(["/bin/true"], namespaces=namespaces_of(mark))
        for _ in range(5 * TIMES):
            self.end(pid)
            # The clock of start times has 10 ms; and a user has 20 starts
            # a second.
            time.sleep(0.02 if TIMES == 1 else 0.2)
            self.assertEqual(self.born_as(pid), pid)
            for mark in marks:
                detail = self.refused(namespaces=namespaces_of(mark))
                self.assertEqual((detail["step"], detail["errno_value"]),
                                 ("join-process", 3), detail)
        self.end(pid)

    CHECK = """if True:
        import fcntl, os
        net = os.open("/proc/self/ns/net", os.O_RDONLY)
        owner = fcntl.ioctl(net, 0xb701)  # NS_GET_USERNS
        print(os.fstat(owner).st_ino == os.stat("/proc/self/ns/user").st_ino)
        """

    def slow_openat(self):
        """Every openat() of a stage takes 20 ms, until the end of the test."""
        self.need_program("strace")
        spawner = self.nsx.spawner_pid()
        words = [word for pid in [spawner, *zygotes(spawner)]
                 for word in ("-p", str(pid))]
        tracer = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=openat",
             "-e", "inject=openat:delay_exit=20000", *words],
            stdin=subprocess.DEVNULL)

        def end():
            tracer.terminate()
            tracer.wait()
        self.addCleanup(end)

        def traced():
            with open(f"/proc/{spawner}/status", encoding="ascii") as f:
                return f"TracerPid:\t{tracer.pid}\n" in f.read()
        wait_for(traced, what="a tracer")

    def race(self, client, pid, i):
        """Start while the number changes its owner: what was found, or None."""
        out = self.path(f"out-{i}")
        with open(out, "w", encoding="ascii") as f:
            os.fchmod(f.fileno(), 0o666)
        client.send_request("Run", self.request(
            payload_text(self.CHECK), process={
                "stdout": {"kind": "STDIO_PATH", "path": out.encode()}},
            namespaces=[{"kind": kind, "process": {"pid": pid}}
                        for kind in ("NS_USER", "NS_NET")]))
        while not select.select([client.sock], [], [], 0.02)[0]:
            self.end(pid)
            self.born_as(pid)
        try:
            payload = client.recv_response()[1]
        except RpcError as error:
            self.assertIn(error.detail["errno_value"], (2, 3, 13), error)
            return None
        ident = client.decode("Run", payload)["info"]["id"]
        client.call("Wait", {"id": ident})
        client.call("Delete", {"id": ident})
        with open(out, encoding="ascii") as f:
            return f.read()

    def test_row14_namespaces_of_one_reference_are_of_one_process(self):
        """While its number goes from one process to the next."""
        pid = self.born_as(0)
        admin = self.connect(uid=0)
        self.slow_openat()
        for i in range(6 * TIMES):
            for client in (admin, self.client):
                self.assertIn(self.race(client, pid, i), (None, "True\n"))
        self.end(pid)


class Threats(Row09Setgroups, Row10Groups, Row12Paths, Rows13And14Processes,
              Row27PtraceOfJoiners, RowsTest):
    """One instance for all of them: each leaves it as it was."""


if __name__ == "__main__":
    main()
