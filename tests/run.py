#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run suites, add up their counts, hold skips against the checked-in list.

usage: tests/run.py [--tree NAME=DIR]... [--logs DIR] [--jobs N] SUITE...
SUITE is NAME=COMMAND; these forms are built in:
  unit@TREE           every tests/unit program of that build tree
  corpus@TREE         every fuzz target over its checked-in corpus
  fuzzer@TREE         every libFuzzer program of that tree for some seconds
  integration@TREE[:NAME,...]   every tests/integration/test_*.py, or those

NAME=COMMAND suites run first, each alone, in their order; then the others, N
at a time (default: 1), those last and alone whose file has a line
"ALONE = ..." with the reason (they measure time).

A suite counts by what it prints: TAP lines (cmocka), or a last line
"N passed, N failed, N skipped". A command that ends badly without a failed
test, prints no count, or takes too long counts as one failure. A skip that no
line of tests/expected_skips.txt names counts as a failure.
Last line: "N passed, N failed, N skipped".
"""
import argparse
import concurrent.futures
import fnmatch
import glob
import os
import re
import signal
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COUNT = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$")
TAP = re.compile(r"^(ok|not ok) \d+ - (\S+)(.*)$")
SKIP = re.compile(r"^skip (\S+)[^:]*: (.*)$")
TIMEOUT = 900
FUZZ_SECONDS = 5
ONE = "echo 1 passed, 0 failed, 0 skipped || " \
    "{ echo 0 passed, 1 failed, 0 skipped; false; }"


class Totals:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.lock = threading.Lock()  # held while a suite's lines are said

    def add(self, passed, failed, skipped):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped

    def __str__(self):
        return (f"{self.passed} passed, {self.failed} failed, "
                f"{self.skipped} skipped")


def read_expected(path):
    """[(suite glob, test glob, reason glob)] of the checked-in list."""
    rows = []
    with open(path, encoding="utf-8") as f:
        for line in f:
            line = line.split("#", 1)[0].strip()
            if line:
                suite, test, reason = line.split(None, 2)
                rows.append((suite, test, reason))
    return rows


def is_expected(rows, suite, test, reason):
    return any(fnmatch.fnmatch(suite, s) and fnmatch.fnmatch(test, t) and
               fnmatch.fnmatch(reason, r) for s, t, r in rows)


def run_command(argv, env, log_path):
    """Exit status and output; the whole process group ends on a timeout."""
    with open(log_path, "wb") as log:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=subprocess.STDOUT, env=env, cwd=TOP,
                                 start_new_session=True)
        try:
            status = child.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            status = f"none: killed after {TIMEOUT} s"
    with open(log_path, encoding="utf-8", errors="backslashreplace") as f:
        return status, f.read()


def count_output(text):
    """(passed, failed, skipped or None, [(test, reason)]) of a suite."""
    skips, passed, failed, n_tap_skips, last = [], 0, 0, 0, None
    for line in text.splitlines():
        tap, count, skip = TAP.match(line), COUNT.match(line), SKIP.match(line)
        if tap and "# SKIP" in tap[3]:
            n_tap_skips += 1
            skips.append((tap[2], tap[3].split("# SKIP", 1)[1].strip()
                          or "no reason"))
        elif tap:
            passed += tap[1] == "ok"
            failed += tap[1] == "not ok"
        elif count:
            last = tuple(int(n) for n in count.groups())
        elif skip:
            skips.append((skip[1], skip[2]))
    if last:
        return (*last, skips)
    if passed or failed or n_tap_skips:
        return passed, failed, n_tap_skips, skips
    return 0, 0, None, skips


def run_suite(name, argv, env, logs, expected, totals):
    began = time.monotonic()
    log_path = os.path.join(logs, re.sub(r"[^\w.@-]", "_", name) + ".log")
    status, text = run_command(argv, env, log_path)
    passed, failed, skipped, skips = count_output(text)
    why = []
    if skipped is None:
        why.append(f"no count in its output (exit status {status})")
        skipped = 0
    elif status != 0 and failed == 0:
        why.append(f"exit status {status}")
    if len(skips) != skipped:
        why.append(f"{skipped} skips, {len(skips)} of them named")
    for test, reason in skips:
        if not is_expected(expected, name, test, reason):
            why.append(f"skip not in tests/expected_skips.txt: "
                       f"{test}: {reason}")
    with totals.lock:
        totals.add(passed, failed + len(why), skipped)
        print(f"{name}: {passed} passed, {failed + len(why)} failed, "
              f"{skipped} skipped ({time.monotonic() - began:.1f} s)")
        for line in why:
            print(f"  FAIL {name}: {line}")
        for test, reason in skips:
            print(f"  skip {test}: {reason}")
        if failed or why:
            print("".join(f"    | {line}\n"
                          for line in text.splitlines()[-60:]), end="")
        sys.stdout.flush()


def fuzz_targets():
    return [os.path.basename(path)[len("fuzz_"):-2]
            for path in sorted(glob.glob(f"{TOP}/tests/fuzz/fuzz_*.c"))]


def built_in(kind, tree, only):
    """(name, argv) of the suites of a kind that a tree has."""
    for name in fuzz_targets() if kind == "corpus" else ():
        yield f"corpus/{name}", ["bash", "-c", f"'{tree}/tests/fuzz/corpus_"
                                 f"{name}' && {ONE}"]
    for name in fuzz_targets() if kind == "fuzzer" else ():
        found = f"{tree}/fuzz-found/{name}"
        os.makedirs(found, exist_ok=True)
        yield f"fuzzer/{name}", [
            "bash", "-c", f"cd '{found}' && '{tree}/fuzz-{name}' "
            f"-max_total_time={FUZZ_SECONDS} -timeout=10 . "
            f"'{TOP}/tests/fuzz/corpus/{name}' && {ONE}"]
    if kind in ("corpus", "fuzzer"):
        return
    if kind == "unit":
        for source in sorted(glob.glob(f"{TOP}/tests/unit/test_*.c")):
            name = os.path.basename(source)[:-2]
            if not only or name in only:
                yield f"unit/{name}", [f"{tree}/tests/unit/{name}"]
        return
    for path in sorted(glob.glob(f"{TOP}/tests/integration/test_*.py")):
        name = os.path.basename(path)[:-3]
        if not only or name in only:
            yield f"integration/{name}", [sys.executable, path]


def suites(words, trees):
    """(turn, (name, argv, extra environment)) of every suite asked for."""
    for word in words:
        if "=" in word:
            name, command = word.split("=", 1)
            yield STEP, (name, ["bash", "-c", command], {})
            continue
        kind, rest = word.split("@", 1)
        tree, _, only = rest.partition(":")
        extra = {"NSX_BUILD": trees[tree]}
        if tree == "asan":
            extra["NSX_SANITIZED"] = "1"
        for name, argv in built_in(kind, trees[tree],
                                   only.split(",") if only else ()):
            yield turn_of(argv), (f"{name}@{tree}", argv, extra)


STEP, BESIDE, ALONE = range(3)  # the order of their turns


def turn_of(argv):
    """Does the suite's file say that nothing else may run beside it?"""
    if argv[-1].endswith(".py"):
        with open(argv[-1], encoding="utf-8") as f:
            if any(line.startswith("ALONE = ") for line in f):
                return ALONE
    return BESIDE


def run_all(rows, jobs, run):
    """Call run() of every (turn, suite), as many at a time as its turn has."""
    for turn in (STEP, BESIDE, ALONE):
        with concurrent.futures.ThreadPoolExecutor(
                jobs if turn == BESIDE else 1) as pool:
            for done in [pool.submit(run, *suite) for its, suite in rows
                         if its == turn]:
                done.result()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tree", action="append", default=[])
    parser.add_argument("--logs", default=os.path.join(TOP, "build", "logs"))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("suite", nargs="+")
    options = parser.parse_args()
    trees = dict(item.split("=", 1) for item in options.tree)
    expected = read_expected(os.path.join(TOP, "tests/expected_skips.txt"))
    os.makedirs(options.logs, exist_ok=True)
    totals = Totals()

    def run(name, argv, extra):
        env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP",
                   PYTHONDONTWRITEBYTECODE="1", **extra)
        if not os.path.exists(argv[0]) and "/" in argv[0]:
            with totals.lock:
                print(f"  FAIL {name}: {argv[0]} is not built")
                totals.add(0, 1, 0)
            return
        run_suite(name, argv, env, options.logs, expected, totals)

    run_all(list(suites(options.suite, trees)), options.jobs, run)
    print(totals)
    sys.exit(1 if totals.failed else 0)


if __name__ == "__main__":
    main()
