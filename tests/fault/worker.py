# SPDX-License-Identifier: Apache-2.0
"""One instance under torture, in namespaces of its own.

serve() takes jobs from standard input, a JSON object a line, and answers each
with one: {"op": "count"} runs a scenario with nothing injected and gives the
calls that a role makes; {"op": "points"} injects at each point and gives what
was tried, hit and found wanting. An instance that was found wanting is
replaced.
"""
import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback

import allocation
import faults
import random_kills
from auditor import Violation
from harness import BUILD, program, zygotes
from own_etc import OwnEtc
from scenarios import ETC, SCENARIOS, Bench

FOUND = (Violation, AssertionError, OSError, subprocess.SubprocessError,
         LookupError)
SLOW_S = 3  # a point that takes longer is told of
# role: (whose process is traced with its forks, the name of the process)
ROLES = {
    "nsexecd": ("nsexecd", None),
    "nsexecd-start": ("spawner", "memfd:nsexecd"),
    "spawner": ("spawner", None),
    "spawner-start": ("launcher", "memfd:nsexec-sp,nsexec-spawner"),
    "fork": ("spawner", "+fork"),
    "relay": ("spawner", "nsx:[relay]"),
    "init": ("spawner", "nsx:[init]"),
    "mapper": ("spawner", "nsx:[mapper]"),
    "zygote": ("spawner", "nsx:[zygote]"),
    # the spawner names its copy by the path (comm of proc(5): 15 bytes)
    "resolver": ("spawner", f"memfd:{BUILD}/nsexec-resolver"[:15]),
    "look": ("spawner", "nsx:[look]"),
}
# Roles that are met in these scenarios alone.
ONLY = {"nsexecd-start": ("restart",), "spawner-start": ("respawn",)}


class Injector:
    """The tracer of one process and its forks; see injector.c."""

    def __init__(self, pids, role, at=None, fault=None):
        argv = [program("tests/fault/injector")]
        for pid in pids:
            argv += ["--pid", str(pid)]
        if role:
            argv += ["--role", role]
        if fault:
            call, at, number = fault
            argv += ["--call", str(call), "--errno", str(number)]
        if at is not None:
            argv += ["--at", str(at)]
        self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, text=True)
        line = self.child.stdout.readline()
        if line != "ready\n":
            raise RuntimeError(f"injector: {line!r}")

    def end(self):
        """("hit", [call]) or ("count", [n, calls...])."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        out, _ = self.child.communicate(timeout=20)
        words = out.split()
        if not words:  # it went with the process that it traced
            return "hit", []
        return words[0], [int(word) for word in words[1:]]


class Worker:
    def __init__(self):
        self.bench = None

    def get_bench(self, daemon="nsexecd"):
        if self.bench and self.bench.daemon != daemon:
            self.drop()
        if not self.bench:
            self.bench = Bench(daemon)
        return self.bench

    def drop(self):
        """What a bench leaves behind after all."""
        bench, self.bench = self.bench, None
        if not bench:
            return ""
        try:
            bench.close()
        except FOUND as error:
            return str(error)[:3000]
        return ""

    def traced(self, role):
        bench, (who, name) = self.bench, ROLES[role]
        if who == "nsexecd":
            return [bench.nsx.nsexecd_pid()], name
        if who == "launcher":
            return [bench.nsx.launcher.pid], name
        spawner = bench.nsx.spawner_pid()
        return [spawner, *zygotes(spawner)], name

    def one(self, job, at=None, fault=None):
        """Run it once with the injection; what the injector saw."""
        bench = self.get_bench()
        bench.begin(job["scenario"])
        injector = Injector(*self.traced(job["role"]), at, fault)
        try:
            SCENARIOS[job["scenario"]](bench)
        finally:
            seen = injector.end()
        bench.judge(clean=at is None and fault is None, typed=bool(fault))
        return seen

    def reference(self, scenario):
        """A first run here, by which the others are measured."""
        bench = self.get_bench()
        if scenario not in bench.references:
            bench.begin(scenario)
            SCENARIOS[scenario](bench)
            bench.judge(clean=True)

    def op_count(self, job):
        self.reference(job["scenario"])
        seen, numbers = self.one(job)
        return {"calls": numbers[1:] if seen == "count" else []}

    def op_points(self, job):
        tried = hits = 0
        violations = []
        for point in job["points"]:
            tried += 1
            began = time.monotonic()
            try:
                self.reference(job["scenario"])
                if job["kind"] == "kill":
                    seen, _ = self.one(job, at=point)
                else:
                    seen, _ = self.one(job, fault=tuple(point))
                hits += seen == "hit"
            except FOUND as error:
                violations.append(self.violation(job, point, error))
            if time.monotonic() > began + SLOW_S:
                print(f"slow: {job['kind']} {job['role']}/{job['scenario']} "
                      f"{point}: {time.monotonic() - began:.0f} s",
                      file=sys.stderr, flush=True)
        return {"tried": tried, "hits": hits, "violations": violations}

    def violation(self, job, point, error):
        if job["kind"] == "errno":
            call, which, number = point
            where = f"{faults.call_name(call)} {which}: " \
                    f"{os.strerror(number)}"
        else:
            where = f"call {point}"
        said = [f"{args[0]}: {result.code} {result.err.strip()[-200:]}"
                for args, result in self.bench.results] if self.bench else []
        log = self.bench.nsx.log()[-1500:] if self.bench else ""
        left = self.drop()
        return f"{job['kind']} {job['role']}/{job['scenario']} {where}: " \
               f"{type(error).__name__} {error}\n  said: {said}\n" \
               f"  log: {log}\n  {left}"

    def op_alloc(self, job):
        return allocation.points(self, job)

    def op_random(self, job):
        return random_kills.rounds(self, job, random.Random(job["seed"]))

    def run(self, job):
        try:
            return getattr(self, "op_" + job["op"])(job)
        except Exception:  # the tester's own fault, or nothing works
            self.drop()
            return {"lost": f"{job}: {traceback.format_exc()}"}


def reap_until(child):
    """Be the init of our pid namespace."""
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 0xff)


def serve():
    if os.getpid() == 1:
        child = os.fork()
        if child:
            reap_until(child)
    etc, worker = OwnEtc(), Worker()
    etc.put(ETC)
    left = ""
    try:
        for line in sys.stdin:
            print(json.dumps(worker.run(json.loads(line))), flush=True)
    finally:
        left = worker.drop()
        etc.back()
    if left:
        print(left, file=sys.stderr)
    sys.exit(1 if left else 0)
