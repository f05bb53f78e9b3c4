# SPDX-License-Identifier: Apache-2.0
"""Part one: very many starts of every kind, some at a time.

Callers are processes of their own, one of them an ordinary user; each thread
of one has a connection. What was promised to them is compared with the events
afterwards, and what the daemon and the spawner hold is looked at every 1,000
starts.
"""
import multiprocessing
import os
import random
import socket
import threading
import time

from harness import KINDS
from soak_lib import Deleter, Follower, Soaked, Usage, check, slope, \
    stopped_at_the_end
from ttrpc_client import Client, RpcError

UID = 61000
ETC = {"passwd": "root:x:0:0::/:/bin/sh\nsoak:x:61000:61000::/:/bin/sh\n",
       "group": "root:x:0:\nsoak:x:61000:\n",
       "subuid": "soak:100000:65536\n", "subgid": "soak:100000:65536\n"}
# Bounded by time, they would be full only after an hour: 5 s here. Of what one
# owner may have at once there is enough for a caller that never stops.
CONFIG = """{"limits": {"ended_seconds": 5, "starts_per_second": 1000000,
"starts_burst": 1000000, "starts_per_owner": 512, "containers_per_owner": 5000,
"requests_per_owner": 1000, "stuck_per_owner": 1000}}"""
CALLERS = ((0, 3), (0, 3), (UID, 3))  # (uid, threads)
# Before this share of the starts what is bounded is not full yet: the events
# of both owners, the 1,024 keys of one, 256 ended exec processes of each host.
WARM_UP = 0.6


class Caller:
    """One connection. expected: what it was promised, as check() wants it."""

    def __init__(self, nsx, name, seed, ordinary):
        self.path, self.payload = nsx.socket_path, nsx.payload.encode()
        self.name, self.ordinary = name, ordinary
        self.random = random.Random(seed)
        self.client = Client(self.path)
        self.n = 0
        self.expected, self.counts, self.problems = {}, {}, []
        self.host = f"{name}-host"
        self.call("Run", self.spec(self.host, "wait", kinds=("pid",)))

    def spec(self, ident, *args, kinds=(), program=None, **more):
        if self.ordinary and "user" not in kinds and kinds:
            kinds = ("user", *kinds)
        made = {"id": ident,
                "process": {"args": [program or self.payload,
                                     *(str(a).encode() for a in args)],
                            "env": [b"PATH=/usr/bin:/bin"]},
                "namespaces": [{"kind": "NS_" + kind.upper(), "create": True}
                               for kind in kinds]}
        if "user" in kinds:
            made["id_maps"] = {"preset": "MAP_ROOT"}
        made.update(more)
        return made

    def call(self, method, made, **more):
        return self.client.call(method, {"spec": made, **more})

    def one(self):
        kind = self.random.choice(KINDS_OF_STARTS)
        self.n += 1
        ident = f"{self.name}-{self.n}"
        self.counts[kind.__name__] = self.counts.get(kind.__name__, 0) + 1
        kind(self, ident, self.random.randrange(256))

    def refused(self, codes, method, made):
        """The call must fail so; the code."""
        try:
            self.call(method, made)
        except RpcError as error:
            if error.detail.get("code") in codes:
                return error.detail["code"]
            self.problems.append(f"{made['id']}: {error}")
            return None
        self.problems.append(f"{made['id']} was not refused")
        return None

    def close(self):
        self.client.call("Signal", {"id": self.host, "signal": 9})
        self.expected[self.host, ""] = ("signal", 9)
        self.client.close()


# The kinds. Each leaves in expected what has to come of it.

def plain(caller, ident, code):
    caller.call("Run", caller.spec(ident, "exit", code))
    caller.expected[ident, ""] = ("exit", code)


def all_eight(caller, ident, code):
    caller.call("Run", caller.spec(ident, "exit", code, kinds=KINDS))
    caller.expected[ident, ""] = ("exit", code)


def mapped(caller, ident, code):
    """An ordinary user's delegated ids; root has none and takes its own."""
    maps = {"preset": "MAP_AUTO" if caller.ordinary else "MAP_IDENTITY"}
    caller.call("Run", caller.spec(ident, "exit", code, id_maps=maps,
                                   kinds=("user", "pid", "mnt")))
    caller.expected[ident, ""] = ("exit", code)


def two_phase(caller, ident, code):
    caller.call("Create", caller.spec(ident, "exit", code,
                                      kinds=("pid", "mnt", "uts")))
    caller.client.call("Start", {"id": ident})
    caller.expected[ident, ""] = ("exit", code)


def execute(caller, ident, code):
    made = caller.spec(ident, "exit", code)["process"]
    answer = caller.client.call("Exec", {"id": caller.host, "process": made})
    caller.expected[caller.host, answer["exec_id"]] = ("exit", code)


def no_such_file(caller, ident, code):
    caller.refused(("EXEC_FAILED",), "Run", caller.spec(
        ident, program=b"/nonexistent/program", kinds=("pid", "mnt")))
    caller.expected[ident, ""] = ("failed", "EXEC_FAILED")


def bad_map(caller, ident, code):
    """Rows that overlap are refused before anything begins: no event."""
    rows = [{"container_id": 0, "host_id": 1000, "size": 10},
            {"container_id": 5, "host_id": 2000, "size": 10}]
    caller.refused(("MAP_INVALID",), "Run", caller.spec(
        ident, "exit", 0, kinds=("user",),
        id_maps={"preset": "MAP_EXPLICIT", "uid": rows, "gid": rows}))
    caller.expected[ident, ""] = None


def bad_set_up(caller, ident, code):
    """Accepted, and fails in the stage."""
    caller.refused(("STAGE_FAILED",), "Run", caller.spec(
        ident, "exit", 0, kinds=("user", "mnt"), mounts=[
            {"kind": "MOUNT_BIND", "source": b"/nonexistent",
             "destination": b"/mnt"}]))
    caller.expected[ident, ""] = ("failed", "STAGE_FAILED")


def killed(caller, ident, code):
    caller.call("Run", caller.spec(ident, "wait", kinds=("pid",)))
    caller.client.call("Signal", {"id": ident, "signal": 9})
    caller.expected[ident, ""] = ("signal", 9)


def killed_at_gate(caller, ident, code):
    caller.call("Create", caller.spec(ident, "wait", kinds=("pid", "ipc")))
    caller.client.call("Signal", {"id": ident, "signal": 9})
    caller.expected[ident, ""] = ("failed", "STAGE_FAILED")


def keyed(caller, ident, code):
    """Asked twice: the same, or gone by now; never another."""
    if not caller.ordinary:  # admins' 65,536 keys are never full here
        plain(caller, ident, code)
        return
    made, key = caller.spec(ident, "exit", code, kinds=("pid",)), os.urandom(16)
    first = caller.call("Run", made, key=key)["info"]
    caller.expected[ident, ""] = ("exit", code)
    try:
        again = caller.call("Run", made, key=key)["info"]
    except RpcError as error:
        if error.detail.get("code") != "GONE":
            caller.problems.append(f"{ident} by key again: {error}")
        return
    if again["pid"] != first["pid"]:
        caller.problems.append(f"{ident} has another pid by its key")


def piped(caller, ident, code):
    read_end, write_end = os.pipe()
    try:
        made = caller.spec(ident, "say", code, kinds=("pid", "mnt"))
        made["process"]["stdout"] = {"kind": "STDIO_FD", "fd_index": 0}
        token, channel = caller.client.pass_fds([write_end])
        os.close(write_end)
        write_end = -1
        caller.call("Run", made, fd_token=token, n_fds=1)
        channel.close()
        with os.fdopen(os.dup(read_end), "rb") as f:
            said = f.read()
        if said != b"said\n":
            caller.problems.append(f"{ident} said {said!r}")
    finally:
        os.close(read_end)
        if write_end >= 0:
            os.close(write_end)
    caller.expected[ident, ""] = ("exit", code)


KINDS_OF_STARTS = (plain, all_eight, mapped, two_phase, execute, no_such_file,
                   bad_map, bad_set_up, killed, killed_at_gate, keyed, piped)


def caller_process(nsx, name, seed, uid, threads, left, pipe):
    """One process of callers; {"expected", "counts", "problems"} on pipe."""
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    callers = [Caller(nsx, f"{name}{i}", f"{seed}{name}{i}", uid != 0)
               for i in range(threads)]

    def work(caller):
        try:
            while True:
                with left.get_lock():
                    if left.value <= 0:
                        break
                    left.value -= 1
                caller.one()
            caller.close()
        except (RpcError, OSError, socket.timeout, AssertionError) as error:
            caller.problems.append(f"{caller.name}-{caller.n}: {error!r}")
    running = [threading.Thread(target=work, args=(c,)) for c in callers]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    total = {"expected": {}, "counts": {}, "problems": []}
    for caller in callers:
        total["expected"].update(caller.expected)
        total["problems"] += caller.problems
        for kind, n in caller.counts.items():
            total["counts"][kind] = total["counts"].get(kind, 0) + n
    pipe.send(total)


class Starts:
    """The part as a whole: run() gives {"figures", "problems"}."""

    def __init__(self, options):
        self.options = options
        self.samples = []  # (starts, Usage)

    def run(self):
        config = os.path.join(self.options.folder, "nsexecd.conf")
        with open(config, "w", encoding="ascii") as f:
            f.write(CONFIG)
        self.nsx = Soaked(["--config", config]).start()
        with stopped_at_the_end(self.nsx):
            return self.measure()

    def measure(self):
        nsx = self.nsx
        deleter = Deleter(nsx.socket_path)
        follower = Follower(nsx.socket_path, lambda name: name[1] or
                            deleter.delete(name[0]))
        before = Usage(nsx)
        total, seconds = self.call(follower)
        n = sum(how is not None for how in total["expected"].values())
        try:
            follower.wait_ends(n, 60, "every start has ended")
        except AssertionError as error:
            total["problems"].append(str(error))
        follower.close()
        deleter.close()
        problems = total["problems"] + check(total["expected"], follower) + \
            deleter.refused + nsx.nothing_left()
        after = Usage(nsx)
        for name, was, now in zip(Usage.NAMES, before.fds, after.fds):
            if now > was + 8:  # zygotes are made with the first starts
                problems.append(f"{name}: {was} descriptors, then {now}")
        return {"problems": problems,
                "figures": self.figures(total, follower, seconds, after)}

    def call(self, follower):
        """Let the callers work, look every 1,000 starts; the sum of them."""
        left = multiprocessing.Value("i", self.options.starts)
        began = time.monotonic()
        running = []
        for number, (uid, threads) in enumerate(CALLERS):
            ours, theirs = multiprocessing.Pipe()
            child = multiprocessing.Process(
                target=caller_process,
                args=(self.nsx, "abc"[number], self.options.seed, uid,
                      threads, left, theirs))
            child.start()
            theirs.close()
            running.append((child, ours))
        total = {"expected": {}, "counts": {}, "problems": []}
        due = 1000
        while running:
            done = self.options.starts - max(left.value, 0)
            if done >= due:
                self.samples.append((done, Usage(self.nsx)))
                due = done - done % 1000 + 1000
                if done // 1000 % 10 == 0:
                    print(f"  {done} starts, {follower.n_ends} ends, "
                          f"{self.samples[-1][1].kib} KiB", flush=True)
            for child, ours in running:
                if ours.poll(0.05 / len(running)) or not child.is_alive():
                    self.collect(child, ours, total)
                    running.remove((child, ours))
                    break
        return total, time.monotonic() - began

    @staticmethod
    def collect(child, ours, total):
        try:
            part = ours.recv()
        except EOFError:
            total["problems"].append("a caller died")
            part = {"expected": {}, "counts": {}, "problems": []}
        child.join()
        total["expected"].update(part["expected"])
        total["problems"] += part["problems"]
        for kind, n in part["counts"].items():
            total["counts"][kind] = total["counts"].get(kind, 0) + n

    def figures(self, total, follower, seconds, after):
        n = self.options.starts
        warm = int(n * WARM_UP)
        lines = [f"{n} starts in {seconds:.0f} s ({n / seconds:.0f} a second): "
                 + ", ".join(f"{count} {kind}" for kind, count
                             in sorted(total["counts"].items())),
                 f"{follower.n_events} events, {follower.n_ends} of them "
                 f"terminal, {follower.n_gaps} gaps"]
        for i, name in enumerate(Usage.NAMES):
            points = [(x, usage.kib[i]) for x, usage in self.samples
                      if x > warm]
            lines.append(
                f"{name}: {slope(points):+.3f} KiB per 1,000 starts over the "
                f"last {n - warm}; anonymous memory {points[0][1]} KiB there, "
                f"{after.kib[i]} KiB at the end, {after.fds[i]} descriptors"
                if points else f"{name}: too few starts for a slope")
        return lines

    def slopes(self):
        warm = int(self.options.starts * WARM_UP)
        return [slope([(x, usage.kib[i]) for x, usage in self.samples
                       if x > warm]) for i in range(2)]
