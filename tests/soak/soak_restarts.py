# SPDX-License-Identifier: Apache-2.0
"""Part three: nsexecd dies very many times under load.

Callers start things with idempotency keys and repeat by key what was not
answered, as a caller should. Each payload marks a file once for each time it
runs, so that one that ran twice, or ran and is not listed, is seen.
"""
import os
import random
import signal
import threading
import time

from harness import alive, wait_for
from soak_lib import (GONE, Deleter, Follower, Soaked, Usage, check,
                      is_shutting_down, patient, stopped_at_the_end)
from ttrpc_client import Client, RpcError

CALLERS = 4
STOP_EVERY = 10     # instead of the kill: a clean end and a new launcher
THROTTLE_EVERY = 50  # left to the keeper and its pause
# A start that ended so did not run, and its key may not be used for another.
RETRY = ("ABORTED_RESTART", "OVERLOADED", "CALLER_GONE", "DEADLINE")


class Caller(threading.Thread):
    def __init__(self, nsx, name, seed):
        super().__init__(daemon=True)
        self.nsx, self.name_, self.random = nsx, name, random.Random(seed)
        self.client, self.n, self.stop = None, 0, False
        self.promised = {}  # id: code that was promised
        self.aborted = set()  # ids that may not have run
        self.n_repeated, self.problems = 0, []

    def run(self):
        try:
            while not self.stop:
                self.one()
        except Exception as error:  # of a thread: told, never lost
            self.problems.append(f"{self.name_}-{self.n}: {error!r}")

    def ask(self, method, request):
        """The answer, or RpcError; asked again over a new connection."""
        while True:
            try:
                if self.client is None:
                    self.client = patient(lambda: Client(
                        self.nsx.socket_path, 30))
                return self.client.call(method, request)
            except GONE:
                self.reconnect()
            except RpcError as error:
                if not is_shutting_down(error):
                    raise
                self.reconnect()

    def reconnect(self):
        self.n_repeated += 1
        if self.client:
            self.client.close()
        self.client = None

    def one(self):
        self.n += 1
        ident, code = f"{self.name_}-{self.n}", self.random.randrange(90)
        made = {"id": ident, "process": {"args": [
            self.nsx.payload.encode(), b"mark",
            os.path.join(self.nsx.marks, ident).encode(),
            str(code).encode()]}}
        kinds = self.random.choice(((), ("pid",), ("user", "pid", "mnt")))
        made["namespaces"] = [{"kind": "NS_" + kind.upper(), "create": True}
                              for kind in kinds]
        if "user" in kinds:
            made["id_maps"] = {"preset": "MAP_ROOT"}
        key, two = os.urandom(16), self.random.random() < 0.3
        try:
            self.begin("Create" if two else "Run", made, key)
            if two:
                self.open(ident)
            self.promised[ident] = code
        except RpcError as error:
            if error.detail.get("code") in RETRY:
                self.aborted.add(ident)
            else:
                self.problems.append(f"{ident}: {error}")

    def begin(self, method, made, key):
        try:
            self.ask(method, {"spec": made, "key": key})
        except RpcError as error:
            # it ran, ended and was deleted while nobody could be told
            if error.detail.get("code") != "GONE":
                raise

    def open(self, ident):
        """Start has no key: refused again, it was opened before."""
        end = time.monotonic() + 20
        while True:
            try:
                self.ask("Start", {"id": ident})
                return
            except RpcError as error:
                code = error.detail.get("code")
                if code in ("FAILED_PRECONDITION", "NOT_FOUND"):
                    if "being started" not in str(error) or \
                            time.monotonic() > end:
                        self.opened(ident, error)
                        return
                elif code != "OVERLOADED" and code != "ABORTED_RESTART":
                    raise
            time.sleep(0.02)

    def opened(self, ident, error):
        """Refused since it runs, or is over and deleted by now."""
        text = str(error)
        if error.detail.get("code") == "NOT_FOUND" or \
                "it is running" in text or "it is stopped" in text:
            return
        self.problems.append(f"{ident} cannot be started: {text}")


class Restarts:
    def __init__(self, options):
        self.n, self.seed = options.restarts, options.seed
        self.problems, self.pauses = [], []

    def run(self):
        self.nsx = Soaked()
        self.nsx.marks = os.path.join(self.nsx.base, "marks")
        os.mkdir(self.nsx.marks)
        os.chmod(self.nsx.marks, 0o777)
        self.nsx.start()
        with stopped_at_the_end(self.nsx):
            return self.load()

    def load(self):
        nsx = self.nsx
        ended = []
        follower = Follower(nsx.socket_path, lambda name: ended.append(name))
        callers = [Caller(nsx, f"k{i}", f"{self.seed}{i}")
                   for i in range(CALLERS)]
        for caller in callers:
            caller.start()
        began, before = time.monotonic(), Usage(nsx)
        chance = random.Random(self.seed)
        for number in range(1, self.n + 1):
            time.sleep(chance.uniform(0.02, 0.25))
            self.restart(number)
            self.delete(ended)
            if number % 100 == 0:
                print(f"  {number} restarts, {follower.n_ends} ends",
                      flush=True)
        for caller in callers:
            caller.stop = True
        for caller in callers:
            caller.join(60)
            if caller.is_alive():
                self.problems.append(f"{caller.name_} hangs")
        seconds = time.monotonic() - began
        return self.judge(callers, follower, ended, before, seconds)

    def restart(self, number):
        nsx, began = self.nsx, time.monotonic()
        worker = nsx.nsexecd_pid()
        if number % STOP_EVERY == 0:
            os.kill(worker, signal.SIGTERM)
            wait_for(lambda: not alive(worker), 20, "a clean end")
        else:
            os.kill(worker, signal.SIGKILL)
        if number % THROTTLE_EVERY != THROTTLE_EVERY // 2:
            nsx.detached()
        wait_for(lambda: nsx.nsexecd_pid() not in (None, worker), 30,
                 "another nsexecd")
        wait_for(nsx.answers, 30, "an nsexecd that answers")
        self.pauses.append(time.monotonic() - began)

    def delete(self, ended):
        """What the follower saw the end of; asked again after a death."""
        deleter = Deleter(self.nsx.socket_path)
        while ended:
            deleter.delete(ended.pop()[0])
        deleter.close()
        self.problems += deleter.refused

    def judge(self, callers, follower, ended, before, seconds):
        nsx = self.nsx
        expected, n_repeated, aborted = {}, 0, set()
        for caller in callers:
            self.problems += caller.problems
            n_repeated += caller.n_repeated
            aborted |= caller.aborted
            for ident, code in caller.promised.items():
                expected[ident, ""] = ("exit", code)
        try:
            follower.wait_ends(len(expected), 20, "every start has ended")
        except AssertionError as error:
            self.problems.append(str(error))
        self.delete(ended)
        follower.close()
        for ident in aborted:
            how = follower.ends.get((ident, ""))
            if how is not None:
                expected[ident, ""] = how[0] if how[0][0] == "failed" else None
        self.problems += check(expected, follower)
        self.marks(expected)
        self.problems += nsx.nothing_left()
        after = Usage(nsx)
        return {"problems": self.problems, "figures": [
            f"{self.n} restarts ({self.n - self.n // STOP_EVERY} by kill -9) "
            f"in {seconds:.0f} s under {CALLERS} callers: {len(expected)} "
            f"starts accepted, {n_repeated} calls repeated, {len(aborted)} "
            f"starts told to have been aborted; {follower.n_resumed} "
            f"resumptions of the stream, {follower.n_gaps} gaps",
            f"from kill to answer: median "
            f"{sorted(self.pauses)[len(self.pauses) // 2]:.2f} s, longest "
            f"{max(self.pauses):.2f} s (every {THROTTLE_EVERY}th waits for "
            "the throttle)",
            f"the spawner, which lived through all of it: "
            f"{before.kib[1]} KiB before, {after.kib[1]} KiB after; "
            f"descriptors {before.fds[1]} and {after.fds[1]}"]}

    def marks(self, expected):
        """Each payload ran once if that was told, and never twice."""
        for name in os.listdir(self.nsx.marks):
            size = os.stat(os.path.join(self.nsx.marks, name)).st_size
            how = expected.get((name, ""))
            if size != 1 or how is None or how[0] != "exit":
                self.problems.append(f"{name} ran {size} times and is told "
                                     f"as {how}")
        for (name, _), how in expected.items():
            if how and how[0] == "exit" and \
                    not os.path.exists(os.path.join(self.nsx.marks, name)):
                self.problems.append(f"{name}: {how}, and it never ran")
