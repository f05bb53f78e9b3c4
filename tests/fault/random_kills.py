# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random times, while several starts with keys are under way.

Each round begins some starts, waits 1 to 5,000 microseconds and kills nsexecd,
the spawner or whatever stage there is. Then every key is asked again until it
is answered: a payload ran at most once, exactly once if its caller was told so,
and never if he was told that it did not.
"""
import os
import signal
import time

from auditor import Violation
from harness import all_children
from scenarios import NEVER_RAN
from ttrpc_client import Client, Closed, RpcError

VICTIMS = ("nsexecd", "spawner", "stage", "stage")
STARTS = 4
MICROSECONDS = (1, 5000)
PATIENCE_S = 31


class Start:
    """One start with its key, and what its caller knows of it."""

    def __init__(self, bench, choose):
        bench.n += 1
        self.mark = os.path.join(bench.marks, str(bench.n))
        kinds = choose.sample(["NS_PID", "NS_MNT", "NS_UTS", "NS_NET",
                               "NS_USER"], choose.randrange(4))
        self.request = {"key": os.urandom(16), "spec": {
            "namespaces": [{"kind": kind, "create": True} for kind in kinds],
            "process": {"args": [bench.program, self.mark, "5"]}}}
        if "NS_USER" in kinds:
            self.request["spec"]["id_maps"] = {"preset": "MAP_ROOT"}
        self.id = self.code = self.exit = None

    def ran(self):
        try:
            with open(self.mark, encoding="ascii") as f:
                return len(f.readlines())
        except FileNotFoundError:
            return 0

    def ask(self, client):
        """With the same key until there is an answer, then for the exit."""
        try:
            self.id = client.call("Run", self.request)["info"]["id"]
        except RpcError as error:
            self.code = error.detail.get("code", "none")
            return
        self.exit = client.call("Wait", {"id": self.id,
                                         "timeout_ms": 10000})["exit"]

    def judge(self):
        ran = self.ran()
        if ran > 1:
            raise Violation(f"a key ran {ran} times")
        if self.code == "none":
            raise Violation("an error without detail")
        if self.code and self.code in NEVER_RAN and ran:
            raise Violation(f"it ran, and the caller was told {self.code}")
        if self.exit and self.exit.get("code") == 5 and not ran:
            raise Violation("the caller has its exit code, and it never ran")
        if ran:
            os.unlink(self.mark)


def victim(bench, choose):
    what = choose.choice(VICTIMS)
    worker, spawner = bench.nsx.nsexecd_pid(), bench.nsx.spawner_pid()
    if what == "nsexecd":
        return worker
    if what == "spawner" or not spawner:
        return spawner
    stages = [pid for pid in all_children(spawner) if pid != worker]
    return choose.choice(stages) if stages else worker


def begin(bench, starts):
    """Send all, each on a connection of its own, and wait for nothing."""
    clients = []
    for start in starts:
        try:
            client = Client(bench.nsx.socket_path, 20)
            clients.append(client)
            client.send_request("Run", start.request)
        except OSError:
            pass
    return clients


def finish(bench, start):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        bench.auditor.settle()
        try:
            client = Client(bench.nsx.socket_path, 20)
        except OSError:
            continue
        try:
            start.ask(client)
            return
        except (Closed, OSError):
            pass
        finally:
            client.close()
    raise Violation(f"no answer to a key within {PATIENCE_S} s")


def one(bench, choose):
    bench.begin("random")
    starts = [Start(bench, choose) for _ in range(STARTS)]
    clients = begin(bench, starts)
    until = time.monotonic() + choose.randint(*MICROSECONDS) / 1e6
    while time.monotonic() < until:
        pass
    pid = victim(bench, choose)
    if pid:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pid = None
    for client in clients:
        client.close()
    for start in starts:
        finish(bench, start)
    bench.auditor.audit([start.id for start in starts if start.id])
    for start in starts:
        start.judge()
    return bool(pid)


def rounds(worker, job, choose):
    tried = hits = 0
    violations = []
    for number in range(job["rounds"]):
        tried += 1
        bench = worker.get_bench()
        try:
            hits += one(bench, choose)
        except (Violation, AssertionError, OSError, LookupError) as error:
            violations.append(worker.violation(job, number, error))
    return {"tried": tried, "hits": hits, "violations": violations}
