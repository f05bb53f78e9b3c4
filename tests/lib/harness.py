# SPDX-License-Identifier: Apache-2.0
"""What every integration test stands on.

Instance is a private nsexecd in a temporary run directory, with a cgroup root
of its own; Snapshot is what it and this process hold in the kernel; TestCase
compares one taken before each test with one taken after it, so that a test
which leaves a process, descriptor, mount, cgroup or file behind fails. main()
runs a file's tests and ends with the line "N passed, N failed, N skipped".

Nothing here kills by name, and nothing outside the instance is touched.
Use: put tests/lib on sys.path, then "from harness import TestCase, main".
The programs come from $NSX_BUILD (default: build/plain of this tree).
"""
import collections
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.environ.get("NSX_BUILD") or os.path.join(TOP, "build", "plain")
SANITIZED = os.environ.get("NSX_SANITIZED") == "1"
# Everything is slower under a sanitizer or an emulator.
SLOW = float(os.environ.get("NSX_SLOW", "4" if SANITIZED else "1"))
KINDS = ("user", "ipc", "uts", "net", "pid", "mnt", "cgroup", "time")
# An ordinary uid that no account of Debian has.
ORDINARY_UID = 54321


def program(name):
    """The path of a built program; a test that lacks it must fail."""
    path = os.path.join(BUILD, name)
    if not os.access(path, os.X_OK):
        raise FileNotFoundError(f"{path} is not built (NSX_BUILD={BUILD})")
    return path


def wait_for(check, timeout=10.0, what="condition"):
    """Poll check() until it is true; its value. Raises after timeout."""
    end = time.monotonic() + timeout * SLOW
    pause = 0.002
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout * SLOW:.0f} s: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def cgroup2_mount():
    """Where the cgroup v2 hierarchy is mounted and not hidden, or None."""
    found = None
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        for line in f:
            left, right = line.rstrip("\n").split(" - ", 1)
            path = left.split(" ")[4]
            if right.split(" ")[0] == "cgroup2" and \
                    os.path.exists(os.path.join(path, "cgroup.procs")):
                found = path
    return found


def alive(pid):
    """Is there such a process that is not a zombie?"""
    return proc_state(pid) not in (None, "Z", "X")


def proc_state(pid):
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            return f.read().rpartition(b") ")[2][:1].decode()
    except (FileNotFoundError, ProcessLookupError):
        return None


def comm(pid):
    """The name of a process; "" if it is gone."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as f:
            return f.read().rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children(pid):
    """Pids whose parent is pid, zombies included; not a spawner's zygotes."""
    return [child for child in all_children(pid)
            if comm(child) != "nsx:[zygote]"]


def zygotes(pid):
    return [child for child in all_children(pid)
            if comm(child) == "nsx:[zygote]"]


def all_children(pid):
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children",
                      encoding="ascii") as f:
                found += [int(word) for word in f.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def fd_kinds(pid):
    """How many descriptors of each kind the process has open."""
    kinds = collections.Counter()
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except (FileNotFoundError, ProcessLookupError):
        return kinds
    for name in names:
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
        kinds[target.split("[")[0]] += 1
    return kinds


def tree(path):
    """Every file and directory below path, as relative names."""
    found = []
    for base, dirs, files in os.walk(path):
        rel = os.path.relpath(base, path)
        found += [os.path.normpath(os.path.join(rel, n)) for n in dirs + files]
    return sorted(found)


def namespaces(pid):
    """{kind: inode} of a process."""
    found = {}
    for kind in KINDS:
        link = os.readlink(f"/proc/{pid}/ns/{kind}")
        found[kind] = int(link.split("[")[1].rstrip("]"))
    return found


class Result:
    """What a finished command left: code, out, err (text)."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"exit {self.code}\n--stdout\n{self.out}\n--stderr\n{self.err}"

    def lines(self):
        return self.out.splitlines()

    def json(self):
        return json.loads(self.out)

    def jsonl(self):
        return [json.loads(line) for line in self.out.splitlines() if line]


class Instance:
    """A private nsexecd with its spawner; use start() and stop()."""

    def __init__(self, extra_args=(), env=None):
        self.base = tempfile.mkdtemp(prefix="nsxtest-")
        os.chmod(self.base, 0o755)
        self.dir = os.path.join(self.base, "run")
        os.mkdir(self.dir, 0o755)
        mount = cgroup2_mount()
        self.cgroup = os.path.join(mount, os.path.basename(self.base)) \
            if mount else None
        if self.cgroup:
            try:
                os.mkdir(self.cgroup)
            except OSError:
                shutil.rmtree(self.base)
                raise
        self.extra_args = list(extra_args)
        self.env = dict(os.environ, **(env or {}))
        self.env["NSEXEC_SOCKET"] = self.address
        self.log_path = os.path.join(self.base, "log")
        self.launcher = None

    @property
    def address(self):
        return "unix:" + self.socket_path

    @property
    def socket_path(self):
        return os.path.join(self.dir, "nsexecd.sock")

    def command(self):
        argv = [program("nsexecd"), "--run-dir", self.dir]
        if self.cgroup:
            argv += ["--cgroup-root", self.cgroup]
        return argv + self.extra_args

    def start(self):
        """Bring it up in the foreground and wait until it answers."""
        with open(self.log_path, "ab") as log:
            self.launcher = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, env=self.env)
        wait_for(self.ready, 15, f"an instance in {self.dir}:\n{self.log()}")
        return self

    def ready(self):
        if self.launcher and self.launcher.poll() is not None:
            raise AssertionError("nsexecd ended at once with "
                                 f"{self.launcher.returncode}\n{self.log()}")
        return self.nsexecd_pid() and self.answers()

    def answers(self):
        return self.ctl("version", timeout=10).code == 0

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8",
                      errors="backslashreplace") as f:
                return f.read()[-6000:]
        except FileNotFoundError:
            return ""

    def _pid_file(self, name):
        try:
            with open(os.path.join(self.dir, name), encoding="ascii") as f:
                pid = int(f.read().strip() or "0")
        except (FileNotFoundError, ValueError):
            return None
        return pid if pid and alive(pid) else None

    def nsexecd_pid(self):
        return self._pid_file("nsexecd.pid")

    def spawner_pid(self):
        return self._pid_file("spawner.pid")

    def kill_nsexecd(self, sig=signal.SIGKILL):
        """Kill nsexecd and wait until another one answers."""
        old = self.nsexecd_pid()
        os.kill(old, sig)
        wait_for(lambda: self.nsexecd_pid() not in (None, old) and
                 self.answers(), 15, f"a new nsexecd:\n{self.log()}")
        return old

    def ctl_argv(self, *args):
        return [program("nsexecctl"), *args]

    def ctl(self, *args, timeout=30, user=None, stdin=None, env=None):
        """Run nsexecctl against this instance; a Result."""
        keep = {"user": user, "group": user, "extra_groups": []} \
            if user is not None else {}
        source = {"input": stdin} if stdin is not None else \
            {"stdin": subprocess.DEVNULL}
        done = subprocess.run(
            self.ctl_argv(*args), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=timeout * SLOW, check=False,
            env=dict(self.env, **(env or {})), cwd="/", **source, **keep)
        return Result(done.returncode,
                      done.stdout.decode(errors="backslashreplace"),
                      done.stderr.decode(errors="backslashreplace"))

    def ctl_start(self, *args, user=None, **popen):
        """Start nsexecctl and return its Popen; the caller waits for it."""
        keep = {"user": user, "group": user, "extra_groups": []} \
            if user is not None else {}
        popen.setdefault("stdin", subprocess.DEVNULL)
        popen.setdefault("stdout", subprocess.PIPE)
        popen.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen(self.ctl_argv(*args), env=self.env, cwd="/",
                                **keep, **popen)

    def connect(self):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(20 * SLOW)
        sock.connect(self.socket_path)
        return sock

    def cgroups(self):
        """Container cgroups below the root, as "uUID/ID"."""
        if not self.cgroup:
            return []
        return [name for name in tree(self.cgroup)
                if os.path.isdir(os.path.join(self.cgroup, name))
                and "/" in name]

    def stop(self):
        """End all of it, whatever it takes; raises if that was needed."""
        left = []
        for step in (self._kill_containers, self._end_processes,
                     self._remove_cgroups):
            try:
                left += step()
            except (AssertionError, OSError,
                    subprocess.SubprocessError) as error:
                left.append(f"{step.__name__}: {error}")
        log = self.log()
        shutil.rmtree(self.base, ignore_errors=True)
        if os.path.exists(self.base):
            left.append(f"directory {self.base}")
        for sign in ("runtime error:", "AddressSanitizer", "LeakSanitizer",
                     "Assertion"):
            if sign in log:
                left.append(f"the log has \"{sign}\"")
        if left:
            raise AssertionError("left behind: " + "; ".join(left) +
                                 "\n" + log)
        return log

    def _kill_containers(self):
        if self.nsexecd_pid():
            for name in self.ctl("list", "-q").lines():
                self.ctl("delete", "-f", name)
        return []

    def _end_processes(self):
        left = []
        spawner, worker = self.spawner_pid(), self.nsexecd_pid()
        if self.launcher and self.launcher.poll() is None:
            self.launcher.send_signal(signal.SIGTERM)
            try:
                self.launcher.wait(10 * SLOW)
            except subprocess.TimeoutExpired:
                left.append("launcher ignored SIGTERM")
                self.launcher.kill()
                self.launcher.wait()
        elif worker:
            os.kill(worker, signal.SIGTERM)
        for pid, name in ((worker, "nsexecd"), (spawner, "nsexec-spawner")):
            try:
                wait_for(lambda p=pid: not (p and alive(p)), 12, name)
            except AssertionError:
                left.append(f"{name} {pid} runs on")
                os.kill(pid, signal.SIGKILL)
        return left

    def _remove_cgroups(self):
        if not self.cgroup or not os.path.isdir(self.cgroup):
            return []
        # Of ordinary callers' slices only what is in them is left behind.
        left = ["cgroup " + name for name in self.cgroups()]
        for name in reversed(tree(self.cgroup)):
            path = os.path.join(self.cgroup, name)
            if os.path.isdir(path):
                kill = os.path.join(path, "cgroup.kill")
                if os.path.exists(kill):
                    with open(kill, "w", encoding="ascii") as f:
                        f.write("1")
                wait_for(lambda p=path: _rmdir(p), 5, f"rmdir {path}")
        wait_for(lambda: _rmdir(self.cgroup), 5, f"rmdir {self.cgroup}")
        return left

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()


def _rmdir(path):
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


class Snapshot:
    """What an instance and this process hold, as comparable facts."""

    def __init__(self, instance):
        me = os.getpid()
        self.facts = {"own children": len(children(me)),
                      "own fds": sum(fd_kinds(me).values()),
                      "mounts": _mounts("self")}
        if instance is None:
            return
        worker, spawner = instance.nsexecd_pid(), instance.spawner_pid()
        self.facts.update({
            "nsexecd fds": fd_kinds(worker),
            "nsexecd children": len(children(worker)),
            "spawner fds": fd_kinds(spawner),
            "spawner children": sorted(set(children(spawner)) - {worker}),
            "spawner mounts": _mounts(spawner),
            "cgroups": instance.cgroups(),
            "run dir": [name for name in tree(instance.dir)
                        if not name.startswith("records")],
        })

    def diff(self, later):
        """Lines that say what later has too much of; none = nothing.

        A connection that was just being closed when the first was taken may
        be gone, so fewer descriptors are no fault; nor are fewer mounts.
        """
        found = []
        for name, was in self.facts.items():
            now = later.facts.get(name)
            if isinstance(was, collections.Counter):
                more = now - was
                if more:
                    found.append(f"{name}: {dict(more)} more")
            elif was != now:
                found.append(f"{name}: {was} -> {now}")
        return found


def _mounts(process):
    """Mount points of a process; others of this machine may unmount theirs."""
    try:
        with open(f"/proc/{process}/mountinfo", encoding="utf-8",
                  errors="replace") as f:
            return collections.Counter(line.split()[4] for line in f)
    except (FileNotFoundError, ProcessLookupError):
        return collections.Counter()


class TestCase(unittest.TestCase):
    """A test with a class-wide instance (self.nsx), audited per test.

    INSTANCE = False: no daemon. AUDIT = False: a test class that ends or
    replaces its daemon and so compares by itself.
    """
    INSTANCE = True
    AUDIT = True
    ARGS = ()
    nsx = None
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if os.geteuid() != 0:
            raise unittest.SkipTest("needs root")
        if cls.INSTANCE:
            cls.nsx = Instance(cls.ARGS)
            try:
                cls.nsx.start()
                cls.warm_up()
            except BaseException:
                _quietly(cls.nsx.stop)
                raise

    @classmethod
    def warm_up(cls):
        """One start, so that what is made once is there before a test."""
        cls.nsx.ctl("run", "--", "/bin/true")
        for name in cls.nsx.ctl("list", "-q").lines():
            cls.nsx.ctl("delete", "-f", name)

    @classmethod
    def tearDownClass(cls):
        if cls.nsx:
            nsx, cls.nsx = cls.nsx, None
            nsx.stop()
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        if self.AUDIT:
            before = self.settled()
            self.addCleanup(self.audit, before)

    def settled(self):
        """As it is now, but for children of the spawner that have no name
        yet or were just killed; a class may have some that stay."""
        for _ in range(10):
            found = Snapshot(self.nsx)
            if not found.facts.get("spawner children"):
                break
            time.sleep(0.02)
        return found

    def audit(self, before):
        """Fail unless all is again as it was; gives the kernel time."""
        last = []

        def same():
            last[:] = before.diff(Snapshot(self.nsx))
            return not last
        try:
            wait_for(same, 6)
        except AssertionError:
            log = self.nsx.log() if self.nsx else ""
            raise AssertionError("not left as found: " + "; ".join(last) +
                                 "\n" + log) from None

    def ctl(self, *args, **keywords):
        return self.nsx.ctl(*args, **keywords)

    def ctl_ok(self, *args, **keywords):
        """nsexecctl that must exit 0; its Result."""
        result = self.nsx.ctl(*args, **keywords)
        self.assertEqual(result.code, 0, f"nsexecctl {args}: {result}\n"
                         f"{self.nsx.log()}")
        return result

    def ctl_refused(self, code, text, *args, **keywords):
        """nsexecctl that must be refused with this code and text."""
        result = self.nsx.ctl(*args, **keywords)
        self.assertIn(f"[{code}]", result.err, result)
        self.assertIn(text, result.err, result)
        self.assertNotEqual(result.code, 0)
        return result

    def need(self, name, present):
        """Skip with a name that tests/expected_skips.txt can list."""
        if not present:
            self.skipTest(f"needs {name}")

    def need_program(self, name):
        self.need(name, shutil.which(name))


def _quietly(function):
    try:
        function()
    except (AssertionError, OSError) as error:
        print(f"  clean-up: {error}", file=sys.stderr)


class _Printer(unittest.TestResult):
    """One line a test: ok, FAIL or skip, its name, its time."""

    def __init__(self):
        super().__init__()
        self.passed = 0
        self.failed = 0
        self.n_skipped = 0
        self._began = 0.0

    @staticmethod
    def name(test):
        return ".".join(test.id().split(".")[-2:])

    def startTest(self, test):
        super().startTest(test)
        self._began = time.monotonic()

    def _line(self, word, test, text=""):
        took = time.monotonic() - self._began if self._began else 0
        print(f"{word} {self.name(test)} ({took:.2f} s){text}", flush=True)

    def addSuccess(self, test):
        self.passed += 1
        self._line("ok", test)

    def addSkip(self, test, reason):
        self.n_skipped += 1
        self._line("skip", test, f": {reason}")

    def _bad(self, test, err):
        self.failed += 1
        self._line("FAIL", test)
        print(self._exc_info_to_string(err, test), flush=True)

    def addError(self, test, err):
        self._bad(test, err)

    def addFailure(self, test, err):
        self._bad(test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._bad(test, err)

    def addExpectedFailure(self, test, err):
        self._bad(test, err)

    def addUnexpectedSuccess(self, test):
        self.failed += 1
        self._line("FAIL", test, ": passed unexpectedly")


def own_mounts():
    """Begin again in a mount namespace of our own.

    Whatever mounts or unmounts on this machine meanwhile is then not counted
    as ours, and what we leave is.
    """
    if os.geteuid() == 0 and "NSX_OWN_MOUNTS" not in os.environ:
        os.environ["NSX_OWN_MOUNTS"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation",
                              "private", sys.executable, *sys.argv])


def main():
    """Run the calling file's tests; exit 1 if one failed."""
    own_mounts()
    module = sys.modules["__main__"]
    loader = unittest.TestLoader()
    names = [name for name in sys.argv[1:] if not name.startswith("-")]
    suite = loader.loadTestsFromNames(names, module) if names else \
        loader.loadTestsFromModule(module)
    result = _Printer()
    suite.run(result)
    print(f"{result.passed} passed, {result.failed} failed, "
          f"{result.n_skipped} skipped")
    sys.exit(1 if result.failed else 0)
