#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kill every process of ours at every system call, and look what is lost.

usage: torture.py [--long | --points N] [--seed N] [--only ROLE/SCENARIO]
                  [--errno]

For each role (nsexecd, the spawner, each kind of stage) and each scenario the
calls that it makes are counted; then the scenario runs once for every one of
them, with SIGKILL at that call (--errno: with that call failing instead). The
short form takes a sample of N calls of each pair, --long all.

After each point the auditor looks at /proc, at the cgroups and at the event
stream alone:
  - the instance answers again
  - a payload ran at most once, and exactly once if that was said
  - what was created, started or ran has exactly one terminal event
  - nothing runs or lies about: processes, zombies, cgroups, gates, descriptors
Prints points and violations; exit 1 if there was one.
"""
import argparse
import collections
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
# pylint: disable=wrong-import-position
from harness import (ORDINARY_UID, Instance, all_children, children, comm,
                     fd_kinds, own_mounts, proc_state, program, tree,
                     wait_for, zygotes)  # noqa: E402

TERMINAL = {"exited", "exec-exited", "failed"}
# EINTR ENOMEM EAGAIN EMFILE ENOSPC EIO EPERM
ERRNOS = (4, 12, 11, 24, 28, 5, 1)


class Violation(Exception):
    """Something was lost, ran twice or was left behind."""


class Injector:
    """The tracer of one process and its forks; see injector.c."""

    def __init__(self, pids, role, at=None, errno=None):
        argv = [program("tests/fault/injector")]
        for pid in pids:
            argv += ["--pid", str(pid)]
        if role:
            argv += ["--role", role]
        if at is not None:
            argv += ["--at", str(at)]
        if errno:
            argv += ["--errno", str(errno)]
        self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, text=True)
        line = self.child.stdout.readline()
        if line != "ready\n":
            raise RuntimeError(f"injector: {line!r}")

    def end(self):
        """("hit", call) or ("count", n)."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        out, _ = self.child.communicate(timeout=20)
        words = out.split()
        return (words[0], int(words[1])) if len(words) == 2 else ("hit", -1)


class Bench:
    """An instance, the marks that payloads leave, and the auditor."""

    def __init__(self):
        self.nsx = Instance().start()
        self.marks = os.path.join(self.nsx.base, "marks")
        os.mkdir(self.marks)
        os.chmod(self.marks, 0o777)
        self.n = 0
        self.seq = 0
        self.settle()
        self.facts = self.look()

    def close(self):
        self.nsx.stop()

    # What scenarios do

    def payload(self, code, then=""):
        """A program that leaves one line for each time it runs."""
        self.n += 1
        self.mark = os.path.join(self.marks, str(self.n))
        return ["/bin/sh", "-c", f"echo ran >> {self.mark}; {then} exit {code}"]

    def ran(self):
        try:
            with open(self.mark, encoding="ascii") as f:
                return len(f.readlines())
        except FileNotFoundError:
            return 0

    def ctl(self, *args, **keywords):
        return self.nsx.ctl(*args, **keywords)

    # The auditor

    def settle(self):
        """Nobody is at work: wait until the instance answers, then for what
        a killed one left to be cleaned up."""
        wait_for(lambda: self.nsx.nsexecd_pid() and self.nsx.spawner_pid() and
                 self.nsx.answers(), 30, "an instance that answers")

    def delete_all(self):
        for name in self.ctl("list", "-q").lines():
            self.ctl("delete", "-f", name)

    def events(self):
        """All (root sees everybody's) since the last point."""
        result = self.ctl("events", "--from", "1", "--no-follow", "--json")
        found = [json.loads(line) for line in result.lines()]
        return [event for event in found
                if event["type"] != "gap" and
                (event["epoch"], event["seq"]) not in self.known]

    known = frozenset()

    def remember(self):
        self.known = frozenset(
            (event["epoch"], event["seq"]) for event in self.events()) | \
            self.known

    def look(self):
        spawner, worker = self.nsx.spawner_pid(), self.nsx.nsexecd_pid()
        return {
            "spawner": spawner, "worker": worker,
            "spawner fds": fd_kinds(spawner), "worker fds": fd_kinds(worker),
        }

    def leftovers(self):
        spawner, worker = self.nsx.spawner_pid(), self.nsx.nsexecd_pid()
        found = []
        for pid in all_children(spawner):
            if pid != worker and comm(pid) != "nsx:[zygote]":
                found.append(f"spawner's child {pid} {comm(pid)} "
                             f"{proc_state(pid)}")
        found += [f"cgroup {name}" for name in self.nsx.cgroups()]
        gates = os.path.join(self.nsx.dir, "gates")
        found += [f"gate {name}" for name in os.listdir(gates)]
        now = self.look()
        for name in ("spawner", "worker"):
            if now[name] == self.facts[name]:
                more = now[name + " fds"] - self.facts[name + " fds"]
                # A spawner that took over a living nsexecd makes its two
                # listeners when it has to start the next, and there are two
                # zygotes or, when they were killed, fewer for a while.
                if name == "spawner":
                    more.subtract({"socket:": 4, "anon_inode:": 2})
                    more = +more
                if more:
                    pid = now[name]
                    links = [os.readlink(f"/proc/{pid}/fd/{n}")
                             for n in os.listdir(f"/proc/{pid}/fd")]
                    found.append(f"{name} fds: {dict(more)} more of {links}")
        return found

    def audit(self, said):
        """said: the code the caller got for its payload, None for none."""
        self.settle()
        ran = self.ran()
        if ran > 1:
            raise Violation(f"the payload ran {ran} times")
        if said and ran != 1:
            raise Violation("the caller has its exit code, and it never ran")
        last = []

        def ended():
            self.delete_all()
            last[:] = self.leftovers()
            return not last
        self.check_events()
        try:
            wait_for(ended, 15, "")
        except AssertionError:
            raise Violation("left: " + "; ".join(last)) from None
        self.remember()
        self.facts = self.look()

    def check_events(self):
        problem = []

        def complete():
            problem[:] = self.event_problems()
            return not problem
        # What a scenario leaves alive is ended first.
        for name in self.ctl("list", "-q").lines():
            self.ctl("kill", "-s", "KILL", "--all", name)
        try:
            wait_for(complete, 12, "")
        except AssertionError:
            raise Violation("; ".join(problem)) from None

    def event_problems(self):
        by_container = collections.defaultdict(list)
        for event in self.events():
            name = (event["container"], event.get("exec_id") or "")
            by_container[name].append(event["type"])
        problems = []
        for name, types in by_container.items():
            ends = [t for t in types if t in TERMINAL]
            if len(ends) != 1:
                problems.append(f"{name} has {len(ends)} terminal events "
                                f"among {types}")
        if self.ran() and not any(
                {"started", "exited", "exec-started", "exec-exited"} &
                set(types) for types in by_container.values()):
            problems.append("a payload ran of which no event tells")
        return problems


# Scenarios: each does its work once and returns the payload's code as the
# caller was told it, or None. A caller whose daemon dies is told so.

def told(result, code):
    return code if result.code == code else None


def run(bench):
    return told(bench.ctl("run", "--new", "all", "--map-root-user", "--",
                          *bench.payload(7)), 7)


def run_user(bench):
    return told(bench.ctl("run", "--new", "user,pid,mnt", "--map-root-user",
                          "--", *bench.payload(7), user=ORDINARY_UID), 7)


def two_phase(bench):
    made = bench.ctl("create", "--new", "pid,mnt", "--name", "two", "--",
                     *bench.payload(8))
    if made.code != 0:
        return None
    bench.ctl("start", "two")
    waited = bench.ctl("wait", "--timeout", "10s", "two")
    return 8 if waited.lines() == ["8"] else None


def execute(bench):
    bench.ctl("run", "-d", "--new", "pid", "--name", "host", "--",
              "/bin/sleep", "30")
    return told(bench.ctl("exec", "host", "--", *bench.payload(9)), 9)


def kill(bench):
    bench.ctl("run", "-d", "--new", "pid", "--name", "victim", "--",
              *bench.payload(3, "sleep 30;"))
    bench.ctl("kill", "-s", "KILL", "victim")
    bench.ctl("wait", "--timeout", "10s", "victim")


def restart(bench):
    bench.ctl("run", "-d", "--new", "pid", "--name", "stays", "--",
              *bench.payload(4, "sleep 0.3;"))
    worker = bench.nsx.nsexecd_pid()
    if worker:
        os.kill(worker, signal.SIGKILL)
    return None


SCENARIOS = {f.__name__: f for f in (run, run_user, two_phase, execute, kill,
                                     restart)}
ROLES = {
    "nsexecd": ("worker", None),
    "spawner": ("spawner", None),
    "relay": ("spawner", "nsx:[relay]"),
    "init": ("spawner", "nsx:[init]"),
    "mapper": ("spawner", "nsx:[mapper]"),
    "zygote": ("spawner", "nsx:[zygote]"),
}


class Torture:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.bench = Bench()
        self.points = self.hits = 0
        self.violations = []

    def one(self, role, scenario, at=None, errno=None):
        """Run it once with the injection; what the injector saw."""
        who, name = ROLES[role]
        if who == "worker":
            pids = [self.bench.nsx.nsexecd_pid()]
        else:
            spawner = self.bench.nsx.spawner_pid()
            pids = [spawner, *zygotes(spawner)]
        injector = Injector(pids, name, at, errno)
        try:
            said = SCENARIOS[scenario](self.bench)
        finally:
            seen = injector.end()
        self.bench.audit(said)
        return seen

    def count(self, role, scenario):
        return self.one(role, scenario)[1]

    def sweep(self, role, scenario):
        try:
            n = self.count(role, scenario)
        except (Violation, AssertionError,
                subprocess.TimeoutExpired) as error:
            self.violation(f"{role}/{scenario} with nothing injected: {error}")
            return
        at = list(range(1, n + 1))
        if not self.options.long:
            at = sorted(self.random.sample(at, min(self.options.points, n)))
        hits = 0
        for number in at:
            errno = self.random.choice(ERRNOS) if self.options.errno else None
            self.points += 1
            try:
                seen = self.one(role, scenario, number, errno)
                hits += seen[0] == "hit"
            except (Violation, AssertionError,
                    subprocess.TimeoutExpired) as error:
                self.violation(f"{role}/{scenario} call {number} of {n}"
                               f"{f' errno {errno}' if errno else ''}: "
                               f"{error}")
        self.hits += hits
        print(f"{role}/{scenario}: {n} calls, {len(at)} points, {hits} hit",
              flush=True)

    def violation(self, text):
        self.violations.append(text)
        print("VIOLATION " + text, flush=True)
        self.renew()

    def renew(self):
        """An instance that was found wanting is of no more use."""
        try:
            self.bench.close()
        except AssertionError as error:
            print(f"  {str(error)[:2000]}")
        self.bench = Bench()

    def run(self):
        began = time.monotonic()
        for role in ROLES:
            for scenario in SCENARIOS:
                if self.options.only and \
                        self.options.only not in (role, scenario,
                                                  f"{role}/{scenario}"):
                    continue
                self.sweep(role, scenario)
        self.bench.close()
        print(f"{self.points} points, {self.hits} hit, "
              f"{len(self.violations)} violations, seed {self.options.seed}, "
              f"{time.monotonic() - began:.0f} s")
        return 1 if self.violations else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--points", type=int, default=5)
    parser.add_argument("--errno", action="store_true")
    parser.add_argument("--only")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    own_mounts()
    sys.exit(Torture(options).run())


if __name__ == "__main__":
    main()
