# SPDX-License-Identifier: Apache-2.0
"""What the three parts of the soak share.

Follower is a subscriber that outlives restarts: it resumes by (epoch, seq),
holds the numbers against each other and remembers every terminal event.
Usage is what nsexecd and its spawner hold in memory and descriptors. check()
compares what callers were told with what the follower saw.
"""
import collections
import contextlib
import os
import socket
import subprocess
import threading
import time

from harness import Instance, children, fd_kinds, program, tree, wait_for
from ttrpc_client import Client, Closed, RpcError

TERMINAL = ("EVENT_EXITED", "EVENT_EXEC_EXITED", "EVENT_FAILED")
GONE = (Closed, ConnectionError, FileNotFoundError, socket.timeout)


def patient(function, seconds=60):
    """function() again until nsexecd is there."""
    end = time.monotonic() + seconds
    while True:
        try:
            return function()
        except GONE:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


def is_shutting_down(error):
    """Answered by an nsexecd that ends: the call is to be repeated."""
    return error.detail.get("step") == "drain"


def end_of(event):
    """A terminal event as ("exit", 3), ("signal", 9) or ("failed", CODE)."""
    if event["type"] == "EVENT_FAILED":
        return ("failed", event["error"]["code"])
    exit_status = event.get("exit", {})
    if exit_status.get("unknown"):
        return ("unknown", 0)
    if "signal" in exit_status:
        return ("signal", exit_status["signal"])
    return ("exit", exit_status.get("code", 0))


class Deleter:
    """Deletes what ended, on a connection of its own, many at a time."""
    IN_FLIGHT = 200

    def __init__(self, path):
        self.path = path
        self.client = None
        self.asked = {}
        self.lock = threading.Condition()
        self.refused = []

    def delete(self, name):
        with self.lock:
            while len(self.asked) >= self.IN_FLIGHT:
                self.lock.wait()
            if self.client is None:
                self.client = Client(self.path)
                threading.Thread(target=self._read, daemon=True).start()
            self.asked[self.client.send_request("Delete",
                                                {"id": name})] = name

    def _read(self):
        while True:
            try:
                stream, _, _, data = self.client.recv_frame()
            except (*GONE, OSError):  # closed under our hands
                return
            with self.lock:
                name = self.asked.pop(stream, "")
                try:
                    self.client.payload(data)
                except RpcError as error:
                    self.refused.append(f"{name}: {error}")
                self.lock.notify()

    def close(self):
        with self.lock:
            while self.asked:
                if not self.lock.wait(60):
                    raise AssertionError("Delete is not answered: "
                                         f"{list(self.asked.values())[:5]}")
        if self.client:
            self.client.sock.shutdown(socket.SHUT_RDWR)
            self.client.close()


class Follower(threading.Thread):
    """Follows the events of everybody. ends: {(id, exec id): [how]}."""

    def __init__(self, path, on_end=None):
        super().__init__(daemon=True)
        self.path, self.on_end = path, on_end
        self.ends = collections.defaultdict(list)
        self.n_ends = self.n_events = self.n_gaps = self.n_resumed = 0
        self.problems = []
        version = Client(path)
        answer = version.call("Version", {})
        version.close()
        self.epoch, self.seq = answer["epoch"], answer.get("last_seq", 0)
        self.closing = False
        self.client = None
        self.start()

    def run(self):
        while not self.closing:
            try:
                self.client = patient(lambda: Client(self.path, 3600))
                for event in self.client.stream("Events", {
                        "epoch": self.epoch, "from_seq": self.seq + 1}):
                    self.take(event)
            except GONE:
                self.n_resumed += not self.closing
            except RpcError as error:
                if not is_shutting_down(error):
                    self.problems.append(f"follower: {error}")
                    return
                self.n_resumed += 1
            except Exception as error:  # a thread's end must be seen
                self.problems.append(f"follower: {error!r}")
                return

    def take(self, event):
        if event["epoch"] != self.epoch:
            self.problems.append("the epoch changed")
            self.epoch = event["epoch"]
        kind = event["type"]
        if kind == "EVENT_GAP":
            self.n_gaps += 1
            if event["gap_from"] != self.seq + 1:
                self.problems.append(f"a gap from {event['gap_from']} after "
                                     f"{self.seq}")
            self.seq = max(self.seq, event["gap_to"])
            return
        if kind == "EVENT_SNAPSHOT":
            return
        if event["seq"] != self.seq + 1:
            self.problems.append(f"event {event['seq']} after {self.seq}")
        self.seq = event["seq"]
        self.n_events += 1
        if kind in TERMINAL:
            name = (event["container"], event.get("exec_id", ""))
            self.ends[name].append(end_of(event))
            self.n_ends += 1
            if self.on_end:
                self.on_end(name)

    def wait_ends(self, n, seconds, what):
        """Until n have ended or none did for so many seconds."""
        last, quiet_since = -1, time.monotonic()
        while self.n_ends < n:
            if self.n_ends != last:
                last, quiet_since = self.n_ends, time.monotonic()
            if time.monotonic() > quiet_since + seconds:
                raise AssertionError(f"{what}: {self.n_ends} of {n}")
            time.sleep(0.02)

    def close(self):
        self.closing = True
        try:
            self.client.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.join(10)
        self.client.close()


def check(expected, follower):
    """What is wrong: expected is {(id, exec id): how, or None: no event}."""
    problems = list(follower.problems)
    for name, how in expected.items():
        got = follower.ends.get(name, [])
        want = [] if how is None else [how]
        if got != want:
            problems.append(f"{name}: {got}, expected {want}")
    for name, got in follower.ends.items():
        if name not in expected:
            problems.append(f"{name}: {got}, and nobody started it")
    return problems


def rollup(pid):
    """{field: KiB} of /proc/PID/smaps_rollup."""
    found = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        for line in f.readlines()[1:]:
            name, value = line.split(":")
            found[name] = int(value.split()[0])
    return found


class Usage:
    """Anonymous memory in KiB and descriptors. What of it is private changes
    with every zygote that the spawner forks, what there is does not."""
    NAMES = ("nsexecd", "nsexec-spawner")

    def __init__(self, nsx):
        self.pids = (nsx.nsexecd_pid(), nsx.spawner_pid())
        memory = [rollup(pid) for pid in self.pids]
        self.kib = tuple(m["Anonymous"] for m in memory)
        self.fds = tuple(sum(fd_kinds(pid).values()) for pid in self.pids)


def slope(points):
    """Least squares: y per 1,000 x."""
    n = len(points)
    if n < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / n
    mean_y = sum(y for _, y in points) / n
    below = sum((x - mean_x) ** 2 for x, _ in points)
    return 1000 * sum((x - mean_x) * (y - mean_y)
                      for x, y in points) / below if below else 0.0


class Soaked(Instance):
    """An instance with the soak's payload, and the audit of its end."""

    def __init__(self, extra_args=()):
        super().__init__(extra_args)
        self.payload = os.path.join(self.base, "payload")
        with open(program("tests/soak/payload"), "rb") as source, \
                open(self.payload, "wb") as copy:
            copy.write(source.read())
        os.chmod(self.payload, 0o755)

    def relaunch(self):
        """An administrator's second start: it waits for no throttle."""
        self.detached()
        wait_for(lambda: self.nsexecd_pid() and self.answers(), 30,
                 "an nsexecd that answers")

    def detached(self):
        subprocess.run(self.command() + ["--detach"], check=True, timeout=60,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, env=self.env)

    def left(self):
        """What an idle instance without containers should not have."""
        worker, spawner = self.nsexecd_pid(), self.spawner_pid()
        found = [f"child {pid}" for pid in children(spawner) if pid != worker]
        found += [f"cgroup {name}" for name in self.cgroups()
                  if name.count("/")]
        found += [f"gate {n}" for n in os.listdir(self.dir + "/gates")]
        found += [f"record {n}" for n in tree(self.dir + "/records")
                  if n != ".numbering"]
        return found

    def nothing_left(self):
        """Lines of what does not go away within 20 s."""
        last = []

        def clean():
            last[:] = self.left()
            return not last
        try:
            wait_for(clean, 20, "")
        except AssertionError:
            listed = self.ctl("list", "--json").out.splitlines()
            return [f"left: {name}" for name in last[:10]] + \
                [f"listed: {line}" for line in listed[:10]]
        return []


@contextlib.contextmanager
def stopped_at_the_end(nsx):
    """Ends the instance; what broke off before is the error that counts."""
    try:
        yield
    except BaseException:
        print(nsx.log()[-3000:])
        try:
            nsx.stop()
        except AssertionError as error:
            print(f"  and then: {str(error)[:500]}")
        raise
    nsx.stop()
