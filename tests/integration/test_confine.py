# SPDX-License-Identifier: Apache-2.0
"""nsexecd's own walls: rights, files, system calls.

confine_probe goes through the same confine_self() and then tries the doors
from inside; the rest looks at a real nsexecd from outside.
"""
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
from harness import (ORDINARY_UID, SANITIZED, SLOW, TestCase, main, program,
                     wait_for)

LONG = os.environ.get("NSX_LONG") == "1"
PROBE_UID = 61998
EPERM, EACCES = "1", "13"
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapAmb")


def landlock_abi():
    """0: none."""
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, libc.syscall(444, None, ctypes.c_size_t(0), 1))


def status(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f
                    if ":\t" in line)


def tables():
    """{"allowed": {name: (number, condition)}, "fatal": ...}."""
    out = subprocess.run([program("tests/integration/confine_probe"), "list"],
                         check=True, stdout=subprocess.PIPE, text=True).stdout
    found = {"allowed": {}, "fatal": {}}
    for line in out.splitlines():
        table, name, number, condition, why = line.split("\t")
        assert why, name
        found[table][name] = (int(number), int(condition))
    return found


class ProbeCase(TestCase):
    INSTANCE = False

    def setUp(self):
        super().setUp()
        self.base = tempfile.mkdtemp(prefix="nsxconfine-")
        self.addCleanup(shutil.rmtree, self.base)
        os.chmod(self.base, 0o755)
        self.records = os.path.join(self.base, "records")
        os.mkdir(self.records, 0o700)
        os.chown(self.records, PROBE_UID, PROBE_UID)

    def argv(self, *args):
        return [program("tests/integration/confine_probe"), str(PROBE_UID),
                self.records, *(str(a) for a in args)]

    def run_probe(self, *args):
        return subprocess.run(self.argv(*args), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False,
                              timeout=30 * SLOW, stdin=subprocess.DEVNULL)

    def probe(self, *args):
        """What the tries gave, a line each."""
        done = self.run_probe(*args)
        self.assertEqual(done.returncode, 0, (args, done))
        return done.stdout.split()


class Files(ProbeCase):
    def setUp(self):
        super().setUp()
        self.need("Landlock in the kernel", landlock_abi())

    def test_no_file_but_records_and_the_kernels_is_opened(self):
        beside = os.path.join(self.base, "beside")
        with open(beside, "w", encoding="ascii") as f:
            f.write("x")
        os.chmod(beside, 0o666)
        if not SANITIZED:
            for path in ("/etc/passwd", "/", "/bin/true", beside, self.base,
                         "/sys/kernel/mm", "/dev/zero"):
                self.assertEqual(self.probe("open", path), [EACCES], path)
        for path in (beside, "/dev/null", "/dev/urandom", "/dev/zero"):
            self.assertEqual(self.probe("write", path), [EACCES], path)
        for path in ("/tmp/nsxconfine-new", os.path.join("/dev/shm", "x")):
            self.assertEqual(self.probe("create", path), [EACCES], path)

    def test_records_and_what_is_read_of_the_kernel_are_opened(self):
        name = os.path.join(self.records, "web1")
        self.assertEqual(self.probe("create", name), ["ok"])
        self.assertEqual(self.probe("write", name), ["ok"])
        for path in (name, self.records, "/proc/1/stat", "/dev/null",
                     "/dev/urandom", "/proc/sys/user/max_user_namespaces",
                     "/proc/sys/kernel/random/boot_id"):
            self.assertEqual(self.probe("open", path), ["ok"], path)

    def test_way_through_another_process_is_no_way(self):
        other = subprocess.Popen(["/bin/sleep", "60"], user=PROBE_UID,
                                 group=PROBE_UID, extra_groups=[])
        try:
            for name in ("root/etc/passwd", "environ", "mem", "cwd/etc"):
                self.assertIn(self.probe("open", f"/proc/{other.pid}/{name}"),
                              ([EACCES], [EPERM]), name)
        finally:
            other.kill()
            other.wait()

    def test_no_signal_and_no_abstract_socket_of_the_same_uid_is_reached(self):
        self.need("Landlock with scopes (Linux 6.12)", landlock_abi() >= 6)
        name = f"nsxconfine-{os.getpid()}"
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind("\0" + name)
            sock.listen(1)
            self.assertEqual(self.probe("abstract", name), [EPERM])

    def test_missing_landlock_is_said_and_the_rest_holds(self):
        """An outer filter refuses landlock_create_ruleset(2)."""
        code = (
            "import ctypes,os,struct,sys\n"
            "l=ctypes.CDLL(None)\n"
            "i=lambda c,t,f,k:struct.pack('=HBBI',c,t,f,k)\n"
            "p=i(0x20,0,0,0)+i(0x15,0,1,444)+i(6,0,0,0x50000|38)"
            "+i(6,0,0,0x7fff0000)\n"
            "b=ctypes.create_string_buffer(p)\n"
            "class F(ctypes.Structure):\n"
            " _fields_=[('n',ctypes.c_ushort),('p',ctypes.c_void_p)]\n"
            "l.prctl(38,1,0,0,0)\n"
            "assert l.prctl(22,2,ctypes.byref(F(4,ctypes.addressof(b))))==0\n"
            "os.execv(sys.argv[1],sys.argv[1:])\n")

        def run(*args):
            return subprocess.run(
                [sys.executable, "-I", "-c", code, *self.argv(*args)],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                check=False, timeout=30 * SLOW)
        done = run("open", "/etc/passwd")
        self.assertEqual((done.returncode, done.stdout), (0, "ok\n"), done)
        self.assertIn("no Landlock", done.stderr)
        self.assertEqual(run("call", tables()["fatal"]["setns"][0]).returncode,
                         -signal.SIGSYS)


class Calls(ProbeCase):
    def test_every_fatal_call_ends_it(self):
        for name, (number, _) in tables()["fatal"].items():
            if number < 0:
                continue
            done = self.run_probe("call", number)
            self.assertEqual((done.returncode, done.stdout),
                             (-signal.SIGSYS, ""), name)

    def test_every_call_on_no_list_is_refused_and_it_goes_on(self):
        lists = tables()
        known = {number for table in lists.values()
                 for number, _ in table.values()}
        # uretprobe and uprobe of x86: no filter is asked for them, and they
        # are SIGILL but from the kernel's own trampoline.
        unknown = [n for n in range(470) if n not in known | {335, 336}]
        self.assertGreater(len(unknown), 200)
        got = self.probe("calls", *unknown)
        self.assertEqual(len(got), len(unknown))
        self.assertEqual({n: r for n, r in zip(unknown, got) if r != EPERM},
                         {})

    def test_execve_and_ptrace_are_among_the_fatal_ones(self):
        fatal = tables()["fatal"]
        for name in ("execve", "execveat", "mount", "setns", "unshare", "bpf",
                     "pidfd_getfd", "io_uring_setup", "fork", "clone3"):
            self.assertIn(name, fatal)
        if not SANITIZED:
            self.assertIn("ptrace", fatal)
            self.assertIn("clone", fatal)
        self.assertFalse(set(fatal) & set(tables()["allowed"]))

    def test_no_socket_but_a_unix_one_is_made(self):
        allowed = tables()["allowed"]
        sock, pair = allowed["socket"][0], allowed["socketpair"][0]
        self.assertEqual(self.probe("call", sock, socket.AF_UNIX, 1), ["ok"])
        for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK,
                       socket.AF_PACKET, socket.AF_VSOCK, 38, 0):
            self.assertEqual(self.probe("call", sock, family, 1), [EPERM],
                             family)
            # An int: what stands above it is not looked at by the kernel.
            self.assertEqual(self.probe("call", sock, family | 1 << 32, 1),
                             [EPERM], family)
            self.assertEqual(self.probe("call", pair, family, 1), [EPERM])

    def test_no_memory_becomes_code(self):
        self.assertEqual(self.probe("code"), [EPERM, EPERM])

    def test_limits_pidfds_and_signals_are_its_own_alone(self):
        allowed = tables()["allowed"]
        other = subprocess.Popen(["/bin/sleep", "60"], user=PROBE_UID,
                                 group=PROBE_UID, extra_groups=[])
        try:
            for name, args in (("prlimit64", (other.pid, 7)),
                               ("pidfd_open", (other.pid,)),
                               ("tgkill", (other.pid, other.pid, 9))):
                self.assertEqual(self.probe("call", allowed[name][0], *args),
                                 [EPERM], name)
            if not SANITIZED:
                self.assertEqual(self.probe("signal", other.pid), [EPERM])
            self.assertIsNone(other.poll())
        finally:
            other.kill()
            other.wait()

    def test_ioctl_is_that_of_pidfds_alone(self):
        number = tables()["allowed"]["ioctl"][0]
        for request in (0x5401, 0x5412, 0x541b, 0xb701, 0xb702):
            self.assertEqual(self.probe("call", number, 0, request), [EPERM])

    def test_abort_still_ends_it_by_sigabrt(self):
        self.assertEqual(self.run_probe("abort").returncode, -signal.SIGABRT)

    def test_rights_are_gone_and_nobody_of_its_uid_may_look(self):
        with subprocess.Popen(self.argv("wait"), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as probe:
            try:
                self.assertEqual(probe.stdout.readline(), "ready\n")
                self.check_rights(probe.pid)
                for name in ("environ", "mem", "maps", "fd/0"):
                    done = subprocess.run(
                        ["/bin/cat", f"/proc/{probe.pid}/{name}"], check=False,
                        user=PROBE_UID, group=PROBE_UID, extra_groups=[],
                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                        stdin=subprocess.DEVNULL)
                    self.assertEqual((done.returncode, done.stdout), (1, b""),
                                     name)
            finally:
                probe.stdin.write("x")

    def check_rights(self, pid):
        lines = status(pid)
        self.assertEqual((lines["Seccomp"], lines["NoNewPrivs"]), ("2", "1"))
        for name in CAPABILITIES:
            self.assertEqual(int(lines[name], 16), 0, name)
        self.assertEqual(set(lines["Uid"].split()), {str(PROBE_UID)})
        self.assertEqual(lines["Groups"].split(), [])


class Tracer:
    """strace on a spawner, and so on every nsexecd that it starts."""

    def __init__(self, spawner_pid, base):
        self.prefix = os.path.join(base, "trace")
        self.log = os.path.join(base, "strace.log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["strace", "-f", "-ff", "-s", "64", "-o", self.prefix, "-p",
                 str(spawner_pid)], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log)

    def attached(self, pid):
        if self.process.poll() is not None:
            return None
        return status(pid)["TracerPid"] == str(self.process.pid)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(20)

    def calls(self, pid):
        """(name, line) of each call of pid since it was confined."""
        confined = False
        with open(f"{self.prefix}.{pid}", encoding="utf-8",
                  errors="replace") as f:
            for line in f:
                found = re.match(r"(\w+)\(", line)
                if confined and found:
                    yield found[1], line.rstrip("\n")
                confined = confined or "SECCOMP_SET_MODE_FILTER" in line and \
                    line.rstrip().endswith("= 0")


class LifeCase(TestCase):
    """A real nsexecd, and what people do with it."""
    AUDIT = False

    def work(self, n_containers):
        """A restart included."""
        self.ctl_ok("run", "--", "/bin/true")
        self.assertEqual(self.ctl("run", "--", "/bin/sh", "-c",
                                  "exit 3").code, 3)
        self.ctl_ok("run", "--new", "user,pid,mnt,uts,ipc,net", "--map-root",
                    "--", "/bin/true", user=ORDINARY_UID)
        self.ctl("run", "--", "/nonexistent")
        for number in range(n_containers):
            self.ctl_ok("run", "--detach", "--id", f"c{number}", "--",
                        "/bin/sleep", "600")
        self.ctl_ok("exec", "c0", "--", "/bin/true")
        self.ctl_ok("list")
        self.ctl_ok("state", "c0")
        self.ctl_ok("features")
        self.nsx.kill_nsexecd()
        self.assertGreaterEqual(len(self.ctl_ok("list", "-q").lines()),
                                n_containers)
        for name in self.ctl_ok("list", "-q").lines():
            self.ctl_ok("delete", "-f", name)


class WholeLife(LifeCase):
    def test_status_of_nsexecd_shows_no_right_and_a_filter(self):
        lines = status(self.nsx.nsexecd_pid())
        self.assertEqual((lines["Seccomp"], lines["NoNewPrivs"],
                          int(lines["CapEff"], 16), int(lines["CapPrm"], 16)),
                         ("2", "1", 0, 0))
        self.assertNotIn("0", lines["Uid"].split())

    def test_many_containers_and_restarts_leave_no_trace_of_a_refusal(self):
        for _ in range(5 if LONG else 1):
            self.work(50)
        log = self.nsx.log()
        for word in ("SIGSYS", "signal 31", "Operation not permitted",
                     "Permission denied", "no Landlock"):
            if word != "no Landlock" or landlock_abi():
                self.assertNotIn(word, log)


class TracedLife(LifeCase):
    """The same, seen by strace; ends its instance."""
    def test_whole_life_is_on_the_list_and_nothing_of_it_is_refused(self):
        self.need_program("strace")
        self.need("a program without leak checker, which strace stops",
                  not SANITIZED)
        base = tempfile.mkdtemp(prefix="nsxtrace-")
        self.addCleanup(shutil.rmtree, base)
        spawner = self.nsx.spawner_pid()
        tracer = Tracer(spawner, base)
        self.addCleanup(tracer.stop)
        end = time.monotonic() + 10 * SLOW
        while not tracer.attached(spawner):
            if tracer.process.poll() is not None or time.monotonic() > end:
                with open(tracer.log, encoding="utf-8") as f:
                    self.skipTest(f"needs a strace that attaches: {f.read()}")
            time.sleep(0.01)
        self.nsx.kill_nsexecd()
        pids = [self.nsx.nsexecd_pid()]
        self.work(5)
        pids.append(self.nsx.nsexecd_pid())
        os.kill(pids[-1], signal.SIGTERM)
        self.assertEqual(self.nsx.launcher.wait(15 * SLOW), 0)
        tracer.stop()
        self.assertEqual(len(set(pids)), 2)
        allowed = set(tables()["allowed"]) | {"restart_syscall"}
        for pid in pids:
            seen = list(tracer.calls(pid))
            self.assertGreater(len(seen), 100)
            names = {name for name, _ in seen}
            self.assertIn("epoll_wait", names)
            self.assertEqual(names - allowed, set())
            bad = [line for _, line in seen
                   if "EPERM" in line or "EACCES" in line or
                   "SIGSYS" in line]
            self.assertEqual(bad, [])


if __name__ == "__main__":
    main()
