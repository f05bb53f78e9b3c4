#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What must not get from the daemon into a program, nor be done to a stage:
rows 26 to 50 of the threat table that are about stages and payloads.
"""
import contextlib
import ctypes
import os
import pty
import random
import resource
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
from harness import (SLOW, all_children, alive, comm, main,  # noqa: E402
                     wait_for, zygotes)
from test_threats_stage import NEW_USER, TIMES, UID  # noqa: E402
from test_threats_stage import RowsTest as _RowsTest  # noqa: E402
from test_threats_stage import payload_text  # noqa: E402
from ttrpc_client import RpcError  # noqa: E402

LIBC = ctypes.CDLL(None, use_errno=True)
SYS_RT_SIGACTION, SYS_ADD_KEY, SYS_KEYCTL = 13, 248, 250
SECRET = "nsx-secret-of-the-service"


class Row26StoppedStages:
    def stuck_at_a_fifo(self, name, timeout_ms):
        """A start whose init waits for the other end: (stream, pid)."""
        fifo = self.path(name)
        os.mkfifo(fifo)
        os.chmod(fifo, 0o666)
        stream = self.client.send_request("Run", self.request(
            ["/bin/true"], timeout_ms=timeout_ms, process={"stdout": {
                "kind": "STDIO_PATH", "path": fifo.encode()}}))

        def stage():
            """The one that is the caller by now."""
            for pid in all_children(self.nsx.spawner_pid()):
                with contextlib.suppress(OSError):
                    if self.real_uid(pid) == UID:
                        return pid
            return None
        return stream, wait_for(stage, what="a stage that waits")

    @staticmethod
    def real_uid(pid):
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f
                        if line.startswith("Uid:"))

    def as_its_caller(self, pid, number):
        """A signal with no more right than the caller has."""
        done = subprocess.run(
            ["/bin/kill", f"-{number}", str(pid)], user=UID, group=UID,
            extra_groups=[], check=False, stderr=subprocess.PIPE, cwd="/")
        return done.returncode == 0

    def test_row26_a_stage_that_is_killed_or_stopped_ends_its_start_alone(
            self):
        honest = self.connect(uid=UID + 1)
        for number, code in ((signal.SIGKILL, "STAGE_FAILED"),
                             (signal.SIGSTOP, "DEADLINE")):
            stream, pid = self.stuck_at_a_fifo(f"fifo-{number}", 1500)
            self.assertTrue(self.as_its_caller(pid, number))
            began = time.monotonic()
            ident = honest.call("Run", self.request(
                ["/bin/true"], client=honest))["info"]["id"]
            honest.call("Wait", {"id": ident})
            honest.call("Delete", {"id": ident})
            self.assertLess(time.monotonic() - began, 1 * SLOW)
            with self.assertRaises(RpcError) as caught:
                self.client.recv_response()
            self.assertEqual(caught.exception.detail["code"], code)
            self.assertTrue(stream)
            wait_for(lambda p=pid: not alive(p), what="end of the stage")

    def test_row26_a_stage_stopped_at_its_gate_can_be_deleted(self):
        ident, pid = self.waiting()
        self.assertTrue(self.as_its_caller(pid, signal.SIGSTOP))
        self.client.call("Delete", {"id": ident, "force": True})
        wait_for(lambda: not alive(pid), what="end of the stage")


class Row26Attackers:
    """The caller's own processes hunt for the stages of the caller's starts."""

    NEW_PID = [*NEW_USER, {"kind": "NS_PID", "create": True}]

    def hunt(self, number, tell):
        """Send the signal to each stage seen, sometimes a little later."""
        spawner = self.nsx.spawner_pid()

        def loop():
            done = set()
            while True:
                for pid in set(all_children(spawner)) - done:
                    if comm(pid) not in ("nsx:[relay]", "nsx:[init]"):
                        continue
                    time.sleep(random.choice((0, 0, 0.0005, 0.002)))
                    with contextlib.suppress(OSError):
                        os.kill(pid, number)
                        done.add(pid)
                        os.write(tell, b"x")
        return self.attacker(loop)

    def honest_runs(self, stop, took):
        """Seconds of each start of another user, meanwhile; or an error."""
        while not stop.is_set():
            began = time.monotonic()
            try:
                ident = self.honest.call("Run", self.request(
                    ["/bin/true"], client=self.honest))["info"]["id"]
                self.honest.call("Wait", {"id": ident})
                self.honest.call("Delete", {"id": ident})
            except RpcError as error:
                took.append(error)
                return
            took.append(time.monotonic() - began)
            time.sleep(0.1)

    def attacked_start(self, number, **spec):
        """What came of a start: an error's code, "ran", "hit" after exec."""
        try:
            ident = self.client.call("Run", self.request(
                ["/bin/true"], timeout_ms=700, **spec))["info"]["id"]
        except RpcError as error:
            self.assertIn(error.detail.get("code"),
                          ("STAGE_FAILED", "DEADLINE"), error.detail)
            return error.detail["code"]

        def info():
            return self.client.call("State", {"id": ident})["info"]
        end = time.monotonic() + 1 * SLOW
        while "exit" not in info() and time.monotonic() < end:
            time.sleep(0.01)
        ended = info().get("exit")
        self.client.call("Delete", {"id": ident, "force": True})
        if ended is None:  # the signal came with the exec
            self.assertEqual(number, signal.SIGSTOP)
            return "hit"
        if ended.get("signal"):
            self.assertEqual((number, ended["signal"]), (signal.SIGKILL,) * 2)
            return "hit"
        self.assertEqual(ended.get("code", 0), 0)
        return "ran"

    def attacked(self, number):
        seen, tell = os.pipe()
        self.honest = self.connect(uid=UID + 1)
        stop, took, found = threading.Event(), [], []
        hunter = self.hunt(number, tell)
        thread = threading.Thread(target=self.honest_runs, args=(stop, took))
        thread.start()
        try:
            end = time.monotonic() + 3 * TIMES
            late = end + 10  # until it met one at all
            while time.monotonic() < (late if set(found) <= {"ran"} else end):
                for namespaces in ([], self.NEW_PID):
                    found.append(self.attacked_start(
                        number, namespaces=namespaces))
                    time.sleep(0.06)  # 20 starts a second are a user's
        finally:
            os.kill(hunter, signal.SIGSTOP)
            stop.set()
            thread.join()
            os.close(tell)
            hits = len(os.read(seen, 65536)) if found else 0
            os.close(seen)
        self.assertGreater(hits, 0, found)
        self.assertTrue(set(found) - {"ran"}, "the attacker did nothing")
        self.assertGreater(len(took), 3)
        for seconds in took:
            self.assertIsInstance(seconds, float, seconds)
            self.assertLess(seconds, 1 * SLOW)

    def test_row26_who_kills_the_stages_of_his_starts_harms_himself(self):
        self.attacked(signal.SIGKILL)

    def test_row26_who_stops_the_stages_of_his_starts_harms_himself(self):
        self.attacked(signal.SIGSTOP)


class Row30Leaks:
    def test_row30_only_the_descriptors_asked_for_are_there(self):
        with open("/dev/zero", "rb") as a, open("/dev/full", "wb") as b:
            found = self.output(
                ["/bin/ls", "-l", "/proc/self/fd"],
                fds=[a.fileno(), b.fileno()], process={"fds": [
                    {"fd_index": 0, "number": 9},
                    {"fd_index": 1, "number": 40}]})
        links = dict(line.split()[-3::2] for line in found.splitlines()
                     if " -> " in line)
        own = [n for n, to in links.items() if to.endswith("/fd")]
        self.assertEqual(len(own), 1)
        self.assertEqual(sorted(set(links) - set(own), key=int),
                         ["0", "1", "2", "9", "40"])
        self.assertEqual((links["9"], links["40"]), ("/dev/zero", "/dev/full"))

    def test_row30_no_descriptor_of_a_stage_is_a_way_to_a_directory(self):
        for number in range(3, 24):
            detail = self.refused(process={
                "cwd": f"/proc/self/fd/{number}".encode()})
            self.assertEqual(detail["step"], "cwd", detail)
            time.sleep(0.03)


class Row32Capabilities:
    def capabilities(self, **spec):
        text = self.output(["/bin/cat", "/proc/self/status"], **spec)
        return {line[3:6]: int(line.split()[1], 16)
                for line in text.splitlines() if line.startswith("Cap")}

    def test_row32_the_five_sets_of_an_ordinary_caller(self):
        sets = ("Inh", "Prm", "Eff", "Bnd", "Amb")
        self.assertEqual(self.capabilities(), dict.fromkeys(sets, 0))
        inside = self.capabilities(namespaces=NEW_USER,
                                   id_maps={"preset": "MAP_ROOT"})
        self.assertEqual((inside["Inh"], inside["Amb"]), (0, 0))
        self.assertNotEqual(inside["Eff"], 0)
        for name in ("permitted", "effective", "inheritable", "ambient",
                     "bounding"):
            with self.subTest(set=name):
                try:
                    found = self.capabilities(process={
                        "capabilities": {name: 1 << 21}})
                except RpcError as error:
                    self.assertIn(error.detail["code"], (
                        "PERMISSION_DENIED", "STAGE_FAILED",
                        "INVALID_ARGUMENT"))
                else:
                    self.assertEqual(found, dict.fromkeys(sets, 0))


class Row33ForeignCode:
    def test_row33_a_stage_loads_no_code_and_looks_no_name_up(self):
        """Not before it joins and not after: strace sees every openat()."""
        self.need_program("strace")
        pid = self.target("-n", "-m")
        spawner, log = self.nsx.spawner_pid(), self.path("strace")
        words = [word for traced in [spawner, *zygotes(spawner)]
                 for word in ("-p", str(traced))]
        tracer = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", log, "-e",
             "trace=open,openat,openat2,execve,setns", *words],
            stdin=subprocess.DEVNULL)
        try:
            wait_for(lambda: f"TracerPid:\t{tracer.pid}\n" in open(
                f"/proc/{spawner}/status", encoding="ascii").read(),
                     what="a tracer")
            ident = self.client.call("Run", self.request(
                ["/bin/true"], namespaces=[
                    {"kind": kind, "process": {"pid": pid}}
                    for kind in ("NS_USER", "NS_NET", "NS_MNT")]))
            ident = ident["info"]["id"]
            self.client.call("Wait", {"id": ident})
            self.client.call("Delete", {"id": ident})
        finally:
            tracer.terminate()
            tracer.wait()
        with open(log, encoding="utf-8") as f:
            lines = [line.split(None, 1) for line in f]
        self.assertTrue(any("setns(" in text for _, text in lines))
        executed = set()
        for process, text in lines:
            if text.startswith("execve("):
                executed.add(process)
            elif process not in executed:
                for word in (".so", "/etc/", "locale", "gconv", "/usr/lib"):
                    self.assertNotIn(word, text)
        self.assertTrue(executed)


class Row34Keyring:
    READ = """if True:
        import ctypes, sys
        libc = ctypes.CDLL(None, use_errno=True)
        text = ctypes.create_string_buffer(99)
        print(libc.syscall(250, 11, int(sys.argv[1]), text, 99))
        print(libc.syscall(250, 10, -3, b"user", b"nsx-key", 0))
        """

    def test_row34_keys_of_the_services_session_are_out_of_reach(self):
        with open(f"/proc/{self.nsx.spawner_pid()}/status",
                  encoding="ascii") as f:
            self.assertIn("Uid:\t0", f.read())
        argv = [*payload_text(self.READ), str(self.KEY)]
        for client in (self.client, self.connect(uid=0)):
            self.assertEqual(self.output(argv, client=client).split(),
                             ["-1", "-1"])
        # Shown to be readable by who is in that session.
        done = subprocess.run(argv, stdout=subprocess.PIPE, check=True)
        self.assertEqual(done.stdout.split()[0], b"%d" % len(SECRET))


class Row35Terminal:
    STEAL = """if True:
        import errno, fcntl, os, termios
        def attempt(action):
            try:
                action()
                print("done")
            except OSError as error:
                print(errno.errorcode[error.errno])
        attempt(lambda: fcntl.ioctl(0, termios.TIOCSTI, b"x"))
        attempt(lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        attempt(lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 1))
        attempt(lambda: fcntl.ioctl(0, termios.TIOCSTI, b"y"))
        attempt(lambda: os.open("/dev/tty", os.O_RDWR))
        stat = open("/proc/self/stat").read().rpartition(") ")[2].split()
        print(os.getsid(0) == os.getpid(), stat[4])
        """

    def test_row35_a_terminal_as_stdin_is_not_the_programs(self):
        pid, master = pty.fork()  # its session has the terminal
        if pid == 0:
            signal.pause()
            os._exit(0)
        wait_for(lambda: os.readlink(f"/proc/{pid}/fd/0").startswith(
            "/dev/pts/"), what="a session with a terminal")
        slave = os.open(os.readlink(f"/proc/{pid}/fd/0"),
                        os.O_RDWR | os.O_NOCTTY)
        try:
            text = self.output(payload_text(self.STEAL), fds=[slave],
                               process={"stdin": {"kind": "STDIO_FD",
                                                  "fd_index": 0}})
        finally:
            os.close(slave)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(master)
        self.assertEqual(text.split(), ["EPERM"] * 4 + ["ENXIO", "True", "0"])


@contextlib.contextmanager
def ignored(*signals):
    """What is started meanwhile inherits it. By the system call: the C library
    keeps 32 and 33 for itself."""
    def act(number, new, old):
        assert LIBC.syscall(SYS_RT_SIGACTION, number, new, old, 8) == 0
    ignore = (ctypes.c_uint64 * 4)(1)  # SIG_IGN
    before = [(ctypes.c_uint64 * 4)() for _ in signals]
    for number, old in zip(signals, before):
        act(number, ignore, old)
    try:
        yield
    finally:
        for number, old in zip(signals, before):
            act(number, old, None)


class Row36FreshStart:
    def test_row36_signals_mask_and_environment_are_fresh(self):
        text = self.output(["/bin/sh", "-c", "umask; env; "
                            "grep -E '^(Sig|ShdPnd)' /proc/self/status"])
        lines = text.splitlines()
        self.assertEqual(lines[0], "0022")
        names = {line.split("=")[0] for line in lines if "=" in line}
        self.assertLessEqual(names, {"PATH", "PWD", "_", "OLDPWD", "SHLVL"})
        state = dict(line.split(":\t") for line in lines if ":\t" in line)
        for name in ("SigPnd", "ShdPnd", "SigBlk", "SigIgn"):
            self.assertEqual(int(state[name], 16), 0, name)


class Row45Arguments:
    def test_row45_command_lines_of_stages_are_constant(self):
        secret = "row45-of-the-request"
        seen = set()
        for i in range(10):
            self.client.send_request("Run", self.request(
                ["/bin/true", secret], process={
                    "env": [b"S=" + secret.encode()]}))
            end = time.monotonic() + 0.06
            while time.monotonic() < end:
                for pid in all_children(self.nsx.spawner_pid()):
                    with contextlib.suppress(OSError):
                        name = comm(pid)
                        with open(f"/proc/{pid}/cmdline", "rb") as f:
                            line = f.read()
                        if name.startswith("nsx:[") and name == comm(pid):
                            seen.add(line)
            ident = self.client.decode(
                "Run", self.client.recv_response()[1])["info"]["id"]
            self.client.call("Wait", {"id": ident})
            self.client.call("Delete", {"id": ident})
        self.assertTrue(seen)
        for line in seen:
            self.assertNotIn(secret.encode(), line)


class Row49AdminsInside:
    def test_row49_an_admins_program_brings_nothing_of_the_services(self):
        pid = self.target("-n")
        out = self.output(
            ["/bin/sh", "-c", "ls -l /proc/self/fd | grep -c ' -> '; env; "
             "cat /proc/keys; grep ^CapInh /proc/self/status"],
            client=self.connect(uid=0), namespaces=[
                {"kind": kind, "process": {"pid": pid}}
                for kind in ("NS_USER", "NS_NET")])
        lines = out.splitlines()
        self.assertEqual(lines[0], "4", out)  # ls's own is one
        self.assertNotIn("nsx-key", out)
        self.assertNotIn("NSEXEC", out)
        self.assertEqual(lines[-1], "CapInh:\t" + "0" * 16)
        names = {line.split("=")[0] for line in lines if "=" in line}
        self.assertLessEqual(names, {"PATH", "PWD", "_", "OLDPWD", "SHLVL"})


def core_limit(pid):
    """The soft one, as text."""
    with open(f"/proc/{pid}/limits", encoding="ascii") as f:
        return next(line.split()[4] for line in f
                    if line.startswith("Max core"))


class Row50Cores:
    def test_row50_no_process_of_ours_may_leave_a_core(self):
        spawner = self.nsx.spawner_pid()
        ident, pid = self.waiting()
        for process in (spawner, self.nsx.nsexecd_pid(), pid,
                        *zygotes(spawner)):
            self.assertEqual(core_limit(process), "0", comm(process))
        os.kill(pid, signal.SIGABRT)
        with self.assertRaises(RpcError) as caught:
            self.client.call("Wait", {"id": ident})
        self.assertIn("signal 6", caught.exception.message)
        info = self.client.call("State", {"id": ident})["info"]
        self.assertFalse(info.get("exit", {}).get("core"))
        self.client.call("Delete", {"id": ident})


class Row50Aborts(_RowsTest):
    """The kernel tells who waits, strace, whether a core was dumped. The
    instance begins where one would be allowed."""
    AUDIT = False  # it ends its own daemon

    @classmethod
    def setUpClass(cls):
        soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        try:
            super().setUpClass()
        finally:
            resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))

    def trace(self, pids, log):
        tracer = subprocess.Popen(
            ["strace", "-q", "-o", log, "-e", "trace=none",
             *[word for pid in pids for word in ("-p", str(pid))]],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def end():
            tracer.terminate()
            tracer.wait()
        self.addCleanup(end)

        def traced(pid):
            with open(f"/proc/{pid}/status", encoding="ascii") as f:
                return f"TracerPid:\t{tracer.pid}\n" in f.read()
        wait_for(lambda: all(map(traced, pids)), what="a tracer")

    def test_row50_an_abort_of_any_process_of_ours_leaves_no_core(self):
        self.need_program("strace")
        spawner, log = self.nsx.spawner_pid(), self.path("strace")
        control = subprocess.Popen(
            ["/bin/sh", "-c", "ulimit -c unlimited && exec sleep 300"],
            cwd=self.dir, stdin=subprocess.DEVNULL)
        self.addCleanup(control.wait)
        self.addCleanup(control.kill)
        wait_for(lambda: comm(control.pid) == "sleep", what="a control")
        gate = self.waiting()[1]
        zygote = zygotes(spawner)
        self.assertTrue(zygote)
        ours = [gate, *zygote, self.nsx.nsexecd_pid(), spawner]
        for pid in ours:
            self.assertEqual(core_limit(pid), "0", comm(pid))
        self.trace([control.pid, *ours], log)
        for pid in [control.pid, *ours]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGABRT)
                time.sleep(0.1)
        wait_for(lambda: not any(map(alive, ours)), what="their end")

        def ends():
            with open(log, encoding="utf-8") as f:
                found = dict(line.split(None, 1) for line in f
                             if "+++" in line)
            return found if str(spawner) in found else None
        found = wait_for(ends, what="the spawner's end")
        self.assertIn("core dumped", found.pop(str(control.pid)))
        self.assertIn("SIGABRT", found[str(spawner)])
        self.assertIn("SIGABRT", found[str(gate)])
        for pid, text in found.items():
            self.assertNotIn("core dumped", text, pid)


class NamespaceDescriptors:
    def test_tricks_with_descriptors_of_namespaces_are_refused(self):
        pid = self.target("-n", "-u")
        fds = [os.open(f"/proc/{pid}/ns/uts", os.O_RDONLY),
               os.open(f"/proc/{pid}/ns/net", os.O_PATH),
               os.pidfd_open(pid), os.open("/dev/null", os.O_RDONLY),
               os.open("/", os.O_RDONLY)]
        try:
            for index, what in enumerate(("another kind", "O_PATH", "a pidfd",
                                          "a device", "a directory")):
                if what == "O_PATH":
                    continue  # refused by setns() or opened anew: below
                with self.subTest(what=what):
                    detail = self.refused(fds=fds, namespaces=[
                        {"kind": "NS_NET", "fd_index": index}])
                    self.assertEqual(detail["step"], "join-check-net", detail)
            for index in (5, 32, 1 << 31, (1 << 32) - 1):
                detail = self.refused(fds=fds, namespaces=[
                    {"kind": "NS_NET", "fd_index": index}])
                self.assertEqual(detail["code"], "INVALID_ARGUMENT", detail)
            # No right comes from a descriptor that only names it.
            self.refused(fds=fds, namespaces=[
                {"kind": "NS_NET", "fd_index": 1}])
            self.refused(fds=fds, namespaces=[
                {"kind": "NS_UTS", "fd_index": 0},
                {"kind": "NS_NET", "fd_index": 0}])
            self.refused(fds=fds, namespaces=[
                {"kind": "NS_UTS", "fd_index": 0},
                {"kind": "NS_UTS", "fd_index": 0}])
        finally:
            for fd in fds:
                os.close(fd)


class Threats(Row26StoppedStages, Row26Attackers, Row30Leaks,
              Row32Capabilities, Row33ForeignCode, Row34Keyring,
              Row35Terminal, Row36FreshStart, Row45Arguments,
              Row49AdminsInside, Row50Cores, NamespaceDescriptors, _RowsTest):
    """One instance, in a session whose keyring has a secret, begun by somebody
    who ignores signals."""

    @classmethod
    def setUpClass(cls):
        LIBC.syscall(SYS_KEYCTL, 1, None)  # KEYCTL_JOIN_SESSION_KEYRING
        cls.KEY = LIBC.syscall(SYS_ADD_KEY, b"user", b"nsx-key",
                               SECRET.encode(), len(SECRET), -3)
        with ignored(signal.SIGINT, signal.SIGPIPE, 32, 33, 64):
            super().setUpClass()


if __name__ == "__main__":
    main()
