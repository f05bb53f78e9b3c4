#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Break every process of ours at every point, and look what is lost.

usage: torture.py [--kinds KIND,...] [--only ROLE/SCENARIO] [--points N | --long]
                  [--rounds N] [--seed N] [--jobs N] [--report FILE]

kill     SIGKILL at every system call of each role in each scenario
errno    each call that can fail does so once with each errno that fits it
alloc    the n-th allocation of nsexecd fails, for every n
random   SIGKILL at random times under a load of starts with keys

The calls that a role makes are counted first. --long tries every point and
10,000 random kills; otherwise a sample of N points (and N/20 rounds), the same
for the same seed and the same counts. After each point the auditor looks
(auditor.py, scenarios.py). Prints points tried and violations; exit 1 if there
was one. --report writes them down as a document.
"""
import argparse
import collections
import datetime
import json
import os
import platform
import queue
import random
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("../lib", "../integration", "."):
    sys.path.insert(0, os.path.join(HERE, folder))
# pylint: disable=wrong-import-position
import faults  # noqa: E402
from harness import BUILD, TOP  # noqa: E402
from scenarios import SCENARIOS  # noqa: E402
from worker import ONLY, ROLES, serve  # noqa: E402

KINDS = ("kill", "errno", "alloc", "random")
CHUNK = 20
LONG_ROUNDS = 10000
ALLOC_ROLES = ("nsexecd", "nsexecd-start")
# Those in which nsexecd itself dies tell nothing of its allocations.
NO_ALLOC = ("restart",)


class Remote:
    """A worker in mount and pid namespaces of its own (worker.py)."""

    def __init__(self):
        self.child = None

    def ask(self, job):
        if not self.child:
            self.child = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "--pid",
                 "--fork", "--kill-child", "--mount-proc", sys.executable,
                 os.path.abspath(__file__), "--serve"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.child.stdin.write(json.dumps(job) + "\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        if not line:
            status = self.child.wait()
            self.child = None
            return {"lost": f"the tester itself ended with {status} at {job}"}
        return json.loads(line)

    def close(self):
        if not self.child:
            return 0
        self.child.stdin.close()
        return self.child.wait(120)


class Torture:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.remotes = [Remote() for _ in range(options.jobs)]
        self.lock = threading.Lock()
        self.done = collections.Counter()   # (kind, role, scenario): points
        self.hits = collections.Counter()
        self.calls = {}
        self.violations = []
        self.began = time.monotonic()

    # Jobs to the workers

    def each(self, jobs, take):
        """Have all jobs done, several at a time; take(job, answer)."""
        todo = queue.Queue()
        for job in jobs:
            todo.put(job)

        def drive(remote):
            while True:
                try:
                    job = todo.get_nowait()
                except queue.Empty:
                    return
                answer = remote.ask(job)
                with self.lock:
                    if "lost" in answer:
                        self.violation(answer["lost"])
                    else:
                        take(job, answer)
        threads = [threading.Thread(target=drive, args=(remote,))
                   for remote in self.remotes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def violation(self, text):
        self.violations.append(text)
        print("VIOLATION " + text, flush=True)

    def pairs(self, roles):
        only = self.options.only
        for role in roles:
            for scenario in ONLY.get(role, SCENARIOS):
                if not only or only in (role, scenario, f"{role}/{scenario}"):
                    yield role, scenario

    # What there is to try

    def count(self):
        """All points of the kinds asked for: [(kind, role, scenario, at)]."""
        kinds, points, jobs = self.options.kinds, [], []
        if {"kill", "errno"} & set(kinds):
            jobs += [{"op": "count", "role": role, "scenario": scenario}
                     for role, scenario in self.pairs(ROLES)]
        if "alloc" in kinds:
            jobs += [{"op": "alloc", "role": role, "scenario": scenario}
                     for role, scenario in self.pairs(ALLOC_ROLES)
                     if role == "nsexecd-start" or scenario not in NO_ALLOC]

        def take(job, answer):
            role, scenario = job["role"], job["scenario"]
            if job["op"] == "alloc":
                points.extend(("alloc", role, scenario, at)
                              for at in range(1, answer["count"] + 1))
                return
            self.calls[role, scenario] = answer["calls"]
            if "kill" in kinds:
                points.extend(("kill", role, scenario, at) for at in
                              range(1, len(answer["calls"]) + 1))
            if "errno" in kinds:
                points.extend(("errno", role, scenario, list(at))
                              for at in faults.points(answer["calls"]))
        self.each(jobs, take)
        points.sort(key=str)
        return points

    def sample(self, points):
        """N of them, of each kind, role and scenario as many as there are."""
        groups = collections.defaultdict(list)
        for point in points:
            groups[point[:3]].append(point)
        for group in groups.values():
            self.random.shuffle(group)
        order = sorted(groups)
        self.random.shuffle(order)
        chosen = []
        while len(chosen) < self.options.points and any(groups.values()):
            for key in order:
                if groups[key] and len(chosen) < self.options.points:
                    chosen.append(groups[key].pop())
        return sorted(chosen, key=str)

    def jobs(self, points):
        groups = collections.defaultdict(list)
        for kind, role, scenario, at in points:
            groups[kind, role, scenario].append(at)
        for (kind, role, scenario), ats in groups.items():
            for i in range(0, len(ats), CHUNK):
                yield {"op": "alloc" if kind == "alloc" else "points",
                       "kind": kind, "role": role, "scenario": scenario,
                       "points": ats[i:i + CHUNK]}

    def random_jobs(self):
        rounds = self.options.rounds
        for i in range(0, rounds, CHUNK):
            yield {"op": "random", "kind": "random", "role": "any",
                   "scenario": "load", "rounds": min(CHUNK, rounds - i),
                   "seed": f"{self.options.seed}/{i}"}

    # The run

    def take(self, job, answer):
        key = job["kind"], job["role"], job["scenario"]
        self.done[key] += answer["tried"]
        self.hits[key] += answer["hits"]
        for text in answer["violations"]:
            self.violation(text)
        done = sum(self.done.values())
        if done // 200 != (done - answer["tried"]) // 200:
            print(f"{done} of {self.total} points, {len(self.violations)} "
                  f"violations, {time.monotonic() - self.began:.0f} s",
                  flush=True)

    def run(self):
        points = self.count()
        print(f"{len(points)} points in {len(set(p[:3] for p in points))} "
              f"pairs of role and scenario, {time.monotonic() - self.began:.0f}"
              " s to count them", flush=True)
        if not self.options.long:
            points = self.sample(points)
        jobs = [*self.jobs(points)]
        if "random" in self.options.kinds:
            jobs += self.random_jobs()
        self.total = len(points) + ("random" in self.options.kinds) * \
            self.options.rounds
        self.each(jobs, self.take)
        for remote in self.remotes:
            if remote.close() != 0:
                self.violation("an instance left something behind")
        self.took = time.monotonic() - self.began
        print(f"{self.summary()}, seed {self.options.seed}, "
              f"{self.took:.0f} s", flush=True)

    def summary(self):
        return f"{sum(self.done.values())} points, " \
               f"{sum(self.hits.values())} hit, " \
               f"{len(self.violations)} violations"


def report(torture, path):
    """The results as a document."""
    options = torture.options

    def git(*args):
        return subprocess.run(["git", *args], cwd=TOP, text=True, check=True,
                              stdout=subprocess.PIPE).stdout.strip()
    commit = git("rev-parse", "HEAD")
    if git("status", "--porcelain", "--untracked-files=no"):
        commit += " with changes"
    day = datetime.datetime.now(datetime.timezone.utc)
    lines = [
        "<!-- SPDX-License-Identifier: Apache-2.0 -->", "# Torture", "",
        "Written by `make torture`. Each point is one run of a scenario in "
        "which one process", "of ours is killed, or one call or allocation "
        "fails; then `tests/fault/auditor.py` looks", "whether anything was "
        "lost, ran twice, was left behind or got a wider right.", "",
        "| | |", "|---|---|", f"| date | {day:%Y-%m-%d %H:%M} UTC |",
        f"| commit | {commit} |", f"| seed | {options.seed} |",
        f"| kernel | {platform.release()}, {os.cpu_count()} CPUs |",
        f"| time | {torture.took:.0f} s, {options.jobs} at a time |",
        f"| points tried | {sum(torture.done.values())} |",
        f"| of them met | {sum(torture.hits.values())} |",
        f"| violations | {len(torture.violations)} |", "",
        "A point is not met when that run made fewer calls than the one that "
        "was counted.", "", "| kind | role | scenario | points | met |",
        "|---|---|---|---:|---:|"]
    lines += [f"| {kind} | {role} | {scenario} | {n} | "
              f"{torture.hits[kind, role, scenario]} |"
              for (kind, role, scenario), n in sorted(torture.done.items())]
    if torture.violations:
        lines += ["", "## Violations", ""]
        lines += [f"- {text.splitlines()[0]}" for text in torture.violations]
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--points", type=int, default=400)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--only")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--report")
    parser.add_argument("--serve", action="store_true")
    options = parser.parse_args()
    options.kinds = options.kinds.split(",")
    if set(options.kinds) - set(KINDS):
        parser.error(f"kinds are {', '.join(KINDS)}")
    if options.rounds is None:
        options.rounds = LONG_ROUNDS if options.long else options.points // 20
    return options


def main():
    options = parse()
    if options.serve:
        serve()
    print(f"torture: {BUILD}, seed {options.seed}", flush=True)
    torture = Torture(options)
    torture.run()
    if options.report:
        report(torture, options.report)
    sys.exit(1 if torture.violations else 0)


if __name__ == "__main__":
    main()
