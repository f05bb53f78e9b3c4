#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Very many starts, very many containers at once, very many restarts.

usage: soak.py [--starts N] [--alive N] [--restarts N] [--seed N]
               [--results FILE]

Prints the figures of each part and what was found wrong; exit 1 if something
was. 0 leaves a part out. Needs root, and a quarter of an hour for its full sizes.
"""
import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
# pylint: disable=wrong-import-position
from harness import TOP, own_mounts  # noqa: E402
from own_etc import OwnEtc  # noqa: E402
from soak_alive import Alive  # noqa: E402
from soak_restarts import Restarts  # noqa: E402
from soak_starts import ETC, Starts  # noqa: E402

STARTS, ALIVE, RESTARTS = 100000, 10000, 1000
SLOPE_KIB = 1.0   # per 1,000 starts
ADOPTION_S = 5.0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=STARTS)
    parser.add_argument("--alive", type=int, default=ALIVE)
    parser.add_argument("--adoptions", type=int, default=5,
                        help="how often nsexecd is killed with all alive")
    parser.add_argument("--restarts", type=int, default=RESTARTS)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--results", metavar="FILE")
    return parser.parse_args()


def bounds(part):
    """What the issue's bounds say of a part that ran in full."""
    if isinstance(part, Starts) and part.options.starts >= STARTS:
        for value in part.slopes():
            if value >= SLOPE_KIB:
                yield f"memory grows by {value:.2f} KiB per 1,000 starts"
    if isinstance(part, Alive) and part.times:
        middle = sorted(part.times)[len(part.times) // 2]
        if middle >= ADOPTION_S:
            yield f"adoption took {middle:.2f} s"


def run_part(part):
    """(title, figures, problems)"""
    title = type(part).__name__
    print(f"{title}:", flush=True)
    began = time.monotonic()
    try:
        done = part.run()
        problems = done["problems"] + list(bounds(part))
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        done, problems = {"figures": []}, [f"{title} broke off: {error}"]
    figures = done["figures"] + [
        f"{len(problems)} violations; {time.monotonic() - began:.0f} s"]
    for line in figures:
        print("  " + line)
    for line in problems[:40]:
        print("  VIOLATION " + line, flush=True)
    return title, figures, problems


def commit():
    done = subprocess.run(["git", "-C", TOP, "describe", "--always",
                           "--dirty"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout.strip() or "unknown"


def write_results(path, options, results):
    with open(path, "w", encoding="utf-8") as f:
        f.write("<!-- SPDX-License-Identifier: Apache-2.0 -->\n"
                "# The last soak in full\n\n"
                "Written by `make soak`. Times are of this machine, shared "
                "with whatever else ran on it.\n\n"
                f"Date {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}, "
                f"commit {commit()}, seed {options.seed}, Linux "
                f"{platform.release()}, {os.cpu_count()} CPUs.\n")
        for title, figures, problems in results:
            f.write(f"\n## {title}\n\n")
            f.writelines(f"- {line}\n" for line in figures)
            f.writelines(f"- VIOLATION {line}\n" for line in problems)


def main():
    options = arguments()
    own_mounts()
    etc = OwnEtc()
    etc.put(ETC)
    options.folder = tempfile.mkdtemp(prefix="nsxsoak-")
    os.chmod(options.folder, 0o755)  # nsexecd reads its configuration there
    try:
        wanted = [part(options) for part, n in (
            (Starts, options.starts), (Alive, options.alive),
            (Restarts, options.restarts)) if n]
        results = [run_part(part) for part in wanted]
    finally:
        shutil.rmtree(options.folder)
        etc.back()
    n = sum(len(problems) for _, _, problems in results)
    if options.results:
        write_results(options.results, options, results)
    print(f"{n} violations, seed {options.seed}")
    sys.exit(1 if n else 0)


if __name__ == "__main__":
    main()
