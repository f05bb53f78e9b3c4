#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An ordinary caller gets from nsexecd what it could have had by itself.

The state of a payload is held against that of the same program run by that
user with setpriv, and joins against nsenter run by that user: what nsenter is
refused is refused with the same errno, what it may is done.
"""
import errno
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
from harness import (KINDS, TestCase, alive, children, comm,  # noqa: E402
                     main, namespaces, wait_for)
from ttrpc_client import Client, RpcError  # noqa: E402

# Ids of this file alone: limits of processes and quotas are counted by uid.
UID, OTHER, GROUPS = 54341, 54342, [54401, 54402]
ENV = ["PATH=/usr/bin:/bin", "GOLDEN=rule", "EMPTY="]
STATE_FILES = ("status", "limits", "oom_score_adj", "timerslack_ns",
               "personality", "environ", "stat", "loginuid",
               "coredump_filter")
# Shows files with their names; has no state of its own and catches no signal.
SHOW = ["/usr/bin/head", "-v", "-c", "65536",
        *(f"/proc/self/{name}" for name in STATE_FILES)]
LISTS = ["/bin/ls", "-l", "/proc/self/fd", "/proc/self/cwd", "/proc/self/root"]
# Counters and addresses of one process: they say nothing of its rights.
PASSING = {"Name", "Pid", "Tgid", "Ngid", "PPid", "NStgid", "NSpid", "NSpgid",
           "NSsid", "VmPeak", "VmSize", "VmHWM", "VmRSS", "RssAnon", "RssFile",
           "RssShmem", "VmData", "VmStk", "VmPTE", "VmLck", "VmPin", "VmExe",
           "VmLib", "VmSwap", "State", "voluntary_ctxt_switches",
           "nonvoluntary_ctxt_switches", "SigQ", "FDSize"}
NO_SIGNALS = "0" * 16
# What is meant to differ: the value of ours, and why.
INTENDED = {
    "status SigBlk": (NO_SIGNALS, "a service's program starts as after boot"),
    "status SigIgn": (NO_SIGNALS, "so that kill and EPIPE work as documented"),
    "status Umask": ("0022", "the request says it; the caller may set any"),
    "status CapBnd": (NO_SIGNALS, "less: set-uid programs give nothing"),
    "timerslack_ns": ("50000", "the caller may set any: default"),
    "personality": ("00000000", "the caller may set any: default"),
    "leads its session": (True, "no terminal of the caller's can be typed to"),
    "leads its group": (True, "as it leads its session"),
    "tty": ("0", "no controlling terminal"),
    "cwd": ("/", "the request says it"),
}


def parse_state(text, lists):
    """{name: value} of what SHOW and LISTS printed."""
    files = {}
    for block in re.split(r"(?m)^\n?(?===> /proc)", text):
        found = re.match(r"==> /proc/self/(\w+) <==\n", block)
        if found:
            files[found[1]] = block[found.end():]
    state = {f"status {key}": value.strip() for key, value in (
        line.split(":", 1) for line in files.pop("status").splitlines()
        if ":" in line) if key not in PASSING}
    for line in files.pop("limits").splitlines()[1:]:
        words = re.split(r"  +", line.strip())
        if len(words) > 2:
            state["limit " + words[0]] = words[1:3]
    stat = files.pop("stat").rpartition(") ")[2].split()
    pid = text.split("\nPid:\t", 1)[1].split("\n", 1)[0]
    state.update({"leads its group": stat[2] == pid,
                  "leads its session": stat[3] == pid, "tty": stat[4],
                  "nice": stat[16], "rt priority": stat[37],
                  "policy": stat[38]})
    state.update((name, value.strip("\n")) for name, value in files.items())
    links = re.findall(r" (\S+) -> (\S+)$", lists, re.MULTILINE)
    state["cwd"] = dict(links)["/proc/self/cwd"]
    state["root"] = dict(links)["/proc/self/root"]
    # ls has the directory open itself.
    state["fds"] = sorted(name for name, target in links
                          if name.isdigit() and "/fd" not in target)
    return state


def run_by_daemon(client, argv, directory, **more):
    """What a payload wrote, or (code, errno, step) of its refusal."""
    out = os.path.join(directory, f"out-{os.getuid()}")
    path = {"kind": "STDIO_PATH", "path": out.encode()}
    with open(out, "w", encoding="ascii"):
        pass
    more.setdefault("namespaces", [])
    fds = more.pop("fds", [])
    request = {"spec": {"process": {
        "args": [a.encode() for a in argv], "env": [e.encode() for e in ENV],
        "stdout": path, "stderr": path, **more.pop("process", {})}, **more}}
    channel = None
    if fds:
        request["fd_token"], channel = client.pass_fds(fds)
        request["n_fds"] = len(fds)
    try:
        ident = client.call("Run", request)["info"]["id"]
        client.call("Wait", {"id": ident})
        client.call("Delete", {"id": ident})
    except RpcError as error:
        return None, (error.detail.get("code"),
                      error.detail.get("errno_value", 0),
                      error.detail.get("step"), error.message)
    finally:
        if channel:
            channel.close()
    with open(out, encoding="utf-8", errors="backslashreplace") as f:
        return f.read(), None


def as_user(uid, groups, prepare, job):
    """job() in a child with uid's credentials after prepare(); its value."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(ours)
            prepare()
            os.setgroups(groups)
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            value = json.dumps(job()).encode()
            while value:
                value = value[os.write(theirs, value):]
            code = 0
        except BaseException:  # pylint: disable=broad-except
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(theirs)
    with os.fdopen(ours, "rb") as f:
        text = f.read()
    status = os.waitpid(pid, 0)[1]
    if status:
        raise AssertionError(f"the user's process ended with {status}")
    return json.loads(text)


class GoldenCase(TestCase):
    @classmethod
    def setUpClass(cls):
        # A comparison is some hundred starts of one user; the rate is no part
        # of it.
        path = f"/tmp/nsxgolden-{os.getpid()}.conf"
        with open(path, "w", encoding="ascii") as f:
            f.write('{"limits": {"starts_per_second": 100000}}')
        cls.ARGS = ("--config", path)
        try:
            super().setUpClass()
        finally:
            os.unlink(path)

    def setUp(self):
        super().setUp()
        for name in ("setpriv", "nsenter", "unshare"):
            self.need_program(name)
        self.dir = tempfile.mkdtemp(prefix="nsxgolden-")
        os.chmod(self.dir, 0o777)
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.socket = self.nsx.socket_path

    @classmethod
    def warm_up(cls):
        super().warm_up()
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o777)
            for uid in (UID, OTHER):
                as_user(uid, [], lambda: None, lambda: run_by_daemon(
                    Client(cls.nsx.socket_path), ["/bin/true"], directory))


def plain():
    """A caller as this test is."""


def odd():
    """A caller with something of its own in all that a child inherits."""
    os.umask(0o077)
    os.nice(5)
    os.setpgid(0, 0)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGINT])
    for what, soft, hard in (
            (resource.RLIMIT_NOFILE, 99, 120), (resource.RLIMIT_NPROC, 700, 800),
            (resource.RLIMIT_STACK, 4 << 20, 6 << 20),
            (resource.RLIMIT_CORE, 0, 4096), (resource.RLIMIT_AS, 1 << 30,
                                              1 << 31),
            (resource.RLIMIT_MEMLOCK, 4096, 8192),
            (resource.RLIMIT_FSIZE, 1 << 20, 1 << 21),
            (resource.RLIMIT_MSGQUEUE, 4096, 8192),
            (resource.RLIMIT_SIGPENDING, 50, 60),
            (resource.RLIMIT_CPU, 50, 60), (resource.RLIMIT_DATA, 1 << 29,
                                            1 << 30)):
        resource.setrlimit(what, (soft, hard))
    os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
    for name, value in (("oom_score_adj", "321"), ("timerslack_ns", "70000"),
                        ("coredump_filter", "0x1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as f:
            f.write(value)
    # ADDR_NO_RANDOMIZE
    import ctypes  # pylint: disable=import-outside-toplevel
    ctypes.CDLL(None).personality(0x0040000)


def batch():
    """A caller of another policy, with limits it cannot raise again."""
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    os.nice(19)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as f:
        f.write("1000")


class State(GoldenCase):
    def both(self, prepare, groups=()):
        """(of setpriv, of the daemon): what the program found in itself."""
        def by_setpriv(argv):
            return subprocess.run(
                ["/usr/bin/setpriv", "--reuid", str(UID), "--regid", str(UID),
                 "--keep-groups", "--no-new-privs", "/usr/bin/env", "-i",
                 *ENV, *argv], stdin=subprocess.DEVNULL, cwd="/tmp",
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True,
                restore_signals=False).stdout.decode()

        def job():
            client = Client(self.socket)
            ours = []
            for argv in (SHOW, LISTS):
                text, error = run_by_daemon(client, argv, self.dir)
                if error:
                    raise AssertionError(error)
                ours.append(text)
            return [parse_state(by_setpriv(SHOW), by_setpriv(LISTS)),
                    parse_state(*ours)]
        return as_user(UID, list(groups), prepare, job)

    def check(self, prepare, groups=()):
        theirs, ours = self.both(prepare, groups)
        with open(f"/proc/{self.nsx.spawner_pid()}/coredump_filter",
                  encoding="ascii") as f:
            intended = {**INTENDED, "coredump_filter": (
                f.read().strip(), "the caller may set any: the spawner's")}
        self.assertEqual(set(theirs), set(ours))
        self.assertGreater(len(theirs), 50)
        differ = {name for name in theirs if theirs[name] != ours[name]}
        for name in sorted(differ):
            with self.subTest(state=name):
                self.assertIn(name, intended, (theirs[name], ours[name]))
        for name, (value, why) in intended.items():
            with self.subTest(state=name, why=why):
                self.assertEqual(ours[name], value)
        return theirs, ours, differ

    def test_a_plain_callers_program_is_as_setpriv_starts_it(self):
        self.check(plain)

    def test_an_odd_callers_program_is_as_setpriv_starts_it(self):
        theirs, ours, differ = self.check(odd, GROUPS)
        # Shown to be able to differ: the caller was not as the defaults are.
        # Whether it leads a group or has a terminal is as this test was run.
        self.assertEqual(
            differ - {"tty", "leads its group", "leads its session"},
            {*INTENDED, "coredump_filter"} -
            {"tty", "leads its group", "leads its session"})
        self.assertEqual(ours["status Groups"].split(),
                         [str(gid) for gid in GROUPS])
        self.assertEqual(ours["limit Max open files"], ["99", "120"])
        self.assertEqual((ours["nice"], ours["oom_score_adj"]), ("5", "321"))
        self.assertEqual(theirs["environ"].split("\0")[:-1], ENV)

    def test_a_batch_callers_program_is_as_setpriv_starts_it(self):
        _, ours, _ = self.check(batch, GROUPS[:1])
        self.assertEqual((ours["policy"], ours["nice"]), ("3", "19"))

    def test_descriptors_of_the_caller_are_not_the_programs(self):
        """Only those of stdio, whatever the caller has open."""
        def prepare():
            for number in range(10, 20):
                os.dup2(1, number, inheritable=True)
        theirs, ours = self.both(prepare)
        self.assertEqual(ours["fds"], ["0", "1", "2"])
        self.assertEqual(theirs["fds"], ["0", "1", "2"])


class Target:
    """A sleep in eight namespaces of its owner's, or seven."""

    def __init__(self, case, owner, flags):
        ids = {"user": owner, "group": owner, "extra_groups": []}
        child = subprocess.Popen(
            ["unshare", flags, "--kill-child", "sleep", "300"], cwd="/",
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            **(ids if owner else {}))
        case.addCleanup(child.wait)
        self.pid = wait_for(lambda: next(
            (pid for pid in children(child.pid) if comm(pid) == "sleep"),
            None), what="a sleep in its namespaces")
        case.addCleanup(self.end)
        self.inodes = namespaces(self.pid)

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        wait_for(lambda: not alive(self.pid), what="end of the target")


OPTIONS = {"mnt": "mount"}
ERRNO = {os.strerror(number): number for number in range(1, 134)}
PRINT = ["/usr/bin/stat", "-L", "-c", "%i"]


class Joins(GoldenCase):
    def by_nsenter(self, kinds, source, fds):
        words = [f"--{OPTIONS.get(kind, kind)}={source(kind)}"
                 for kind in kinds]
        done = subprocess.run(
            ["/usr/bin/nsenter", "--preserve-credentials", *words, *PRINT,
             *(f"/proc/self/ns/{kind}" for kind in kinds)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd="/",
            stderr=subprocess.PIPE, pass_fds=fds, check=False,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"})
        if done.returncode == 0:
            return done.stdout.decode().split(), 0
        text = done.stderr.decode()
        return None, ERRNO.get(text.strip().rpartition(": ")[2], text)

    def by_daemon(self, client, kinds, pid, way, fds):
        sources = {"path": lambda k, i: {"path": f"/proc/{pid}/ns/{k}".encode()},
                   "pid": lambda k, i: {"process": {"pid": pid}},
                   "fd": lambda k, i: {"fd_index": i}}
        text, error = run_by_daemon(
            client, [*PRINT, *(f"/proc/self/ns/{kind}" for kind in kinds)],
            self.dir, fds=fds, namespaces=[
                {"kind": "NS_" + kind.upper(), **sources[way](kind, i)}
                for i, kind in enumerate(kinds)])
        return (text.split(), 0, None) if error is None else \
            (None, error[1], error)

    def pair(self, owner, caller, flags="-UrimnupCTf"):
        """Every kind, alone and after the user namespace, in three ways.

        The joins that are done; a caller's own user namespace is left out.
        """
        target = Target(self, owner, flags)
        leaked = {kind: os.open(f"/proc/{target.pid}/ns/{kind}",
                                os.O_RDONLY | os.O_CLOEXEC) for kind in KINDS}

        def job():
            client = Client(self.socket)
            found = []
            for kind in KINDS:
                for kinds in {(kind,), tuple(dict.fromkeys(("user", kind)))}:
                    for way in ("path", "pid", "fd"):
                        fds = [leaked[k] for k in kinds] if way == "fd" else []
                        numbers = dict(zip(kinds, fds))

                        def source(k, numbers=numbers):
                            return f"/proc/self/fd/{numbers[k]}" if numbers \
                                else f"/proc/{target.pid}/ns/{k}"
                        found.append([
                            list(kinds), way,
                            self.by_nsenter(kinds, source, fds),
                            self.by_daemon(client, kinds, target.pid, way,
                                           fds)])
            return found
        found = as_user(caller, [], plain, job)
        for fd in leaked.values():
            os.close(fd)
        self.assertEqual(len(found), 3 * (1 + 7 * 2))
        done = set()
        own = target.inodes["user"] == namespaces(os.getpid())["user"]
        for kinds, way, theirs, ours in found:
            if own and theirs == [None, errno.EINVAL]:
                self.own_user_namespace(kinds, ours)
                continue
            with self.subTest(owner=owner, kinds=kinds, way=way, ours=ours):
                self.assertEqual(ours[:2], theirs)
                if theirs[0]:
                    self.assertEqual(ours[0], [str(target.inodes[kind])
                                               for kind in kinds])
                    done.add((tuple(kinds), way))
        return done

    def own_user_namespace(self, kinds, ours):
        """Intended to differ: to be where one is counts as joined.

        setns() has EINVAL for it and gives no right by it, so a request may
        name all eight of a process. The rest is refused all the same, by the
        kind itself and not by the user namespace.
        """
        with self.subTest(kinds=kinds, ours=ours):
            if kinds == ["user"]:
                self.assertEqual(
                    ours[0], [str(namespaces(os.getpid())["user"])])
            else:
                self.assertEqual(ours[:2], [None, errno.EPERM])

    def test_an_owner_joins_what_nsenter_joins(self):
        done = self.pair(UID, UID)
        self.assertGreater(len(done), 15)
        self.assertNotIn((("net",), "path"), done)

    def test_a_stranger_joins_nothing_as_nsenter(self):
        self.assertEqual(self.pair(UID, OTHER), set())

    def test_root_is_not_joined_as_by_nsenter(self):
        self.assertEqual(self.pair(0, UID), set())

    def test_what_the_host_owns_is_not_joined_as_by_nsenter(self):
        self.assertEqual(self.pair(0, UID, "-imnupCTf"), set())


if __name__ == "__main__":
    main()
