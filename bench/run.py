#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make bench: the daemon beside the floor and the installed runtimes.

usage: bench/run.py [--json FILE] [--rounds N] [--seconds S] [--quick]
Brings up a private instance, makes minimal bundles, runs bench-driver and
prints a table for each way of running: on all CPUs, and with everything bound
to one (wake-ups across CPUs cost more than our code). Figures are ratios to
the floor of the same run, p50 unless said; times are the floor's own. The
payload is the same for all: it exits at once and has no libc.

Contestants do what they always do: runc and crun set up a root and a cgroup,
bwrap a root. "nsexecd" does what the floor does; "nsexecd+proc+lo" also mounts
/proc and brings the loopback device up, as it does unless told otherwise.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests", "lib"))
from harness import Instance, cgroup2_mount, program  # noqa: E402

PROFILES = {"none": (), "pmui": ("pid", "mount", "uts", "ipc"),
            "all": ("pid", "mount", "uts", "ipc", "user", "network",
                    "cgroup", "time")}
TITLES = {"none": "no namespaces", "pmui": "pid+mnt+uts+ipc",
          "all": "all eight, with an id map"}
# What each can: runc and crun need a mount namespace; these releases know no
# time namespace (and bwrap never makes one).
RUNTIME_LACKS = {"runc": ("time",), "crun": ()}


def bundle(path, payload, kinds):
    """An OCI bundle with nothing in it but the payload and a /proc."""
    root = os.path.join(path, "rootfs")
    for name in ("proc", "dev", "sys"):
        os.makedirs(os.path.join(root, name))
    shutil.copy(payload, os.path.join(root, "payload"))
    namespaces = [{"type": kind} for kind in kinds]
    linux = {"namespaces": namespaces}
    if "user" in kinds:
        row = [{"containerID": 0, "hostID": 0, "size": 1}]
        linux.update({"uidMappings": row, "gidMappings": row})
    config = {
        "ociVersion": "1.0.2", "root": {"path": "rootfs"}, "linux": linux,
        "process": {"args": ["/payload"], "cwd": "/", "env": ["PATH=/"],
                    "user": {"uid": 0, "gid": 0}},
        "mounts": [{"destination": "/proc", "type": "proc",
                    "source": "proc"}]}
    with open(os.path.join(path, "config.json"), "w", encoding="utf-8") as f:
        json.dump(config, f)


def runtime(name, base, payload):
    """Lines for an OCI runtime, or none if it cannot run here."""
    lines = [f"contestant {name}", f"pid-dir {base}/{name}-pid"]
    os.mkdir(f"{base}/{name}-pid")
    for profile, kinds in PROFILES.items():
        if not kinds:
            continue
        path = f"{base}/{name}-{profile}"
        bundle(path, payload, [kind for kind in kinds
                               if kind not in RUNTIME_LACKS[name]])
        argv = [name, "--root", f"{base}/{name}-state", "run", "--pid-file",
                f"{base}/{name}-pid/%d", "--bundle", path, "nsxbench%d"]
        if works(argv):
            lines += [f"profile {profile}"] + [f"arg {word}" for word in argv]
    return lines


def works(argv):
    """One trial; the reason of a failure goes to stderr."""
    words = [word.replace("%d", "99") for word in argv]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          pass_fds=())
    if done.returncode:
        text = done.stdout.decode(errors="replace").strip()
        print(f"left out: {' '.join(words)}: {text}", file=sys.stderr)
    return done.returncode == 0


def sandbox(payload):
    """bwrap: it always makes a mount namespace and a root."""
    base = ["bwrap", "--ro-bind", "/", "/"]
    words = {"pmui": base + ["--unshare-pid", "--unshare-uts",
                             "--unshare-ipc"],
             "all": base + ["--unshare-all"]}
    lines = ["contestant bwrap", "info-fd"]
    for profile, argv in words.items():
        if works(argv + [payload]):
            lines += [f"profile {profile}"] + \
                [f"arg {word}" for word in
                 argv + ["--info-fd", "3", payload]]
    return lines


def unshare(payload):
    words = {"none": [], "pmui": ["-pmui", "--fork"],
             "all": ["-pmuinCUT", "--map-root-user", "--fork"]}
    lines = ["contestant unshare"]
    for profile, options in words.items():
        argv = ["unshare", *options, payload]
        if works(argv):
            lines += [f"profile {profile}"] + [f"arg {word}" for word in argv]
    return lines


def commands(base, payload):
    lines = []
    for name in ("runc", "crun"):
        if shutil.which(name):
            lines += runtime(name, base, payload)
    if shutil.which("bwrap"):
        lines += sandbox(payload)
    if shutil.which("unshare"):
        lines += unshare(payload)
    path = os.path.join(base, "commands")
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")
    return path


def drive(base, payload, options, gap_ms, seconds):
    """One instance, one run of the driver; its rows."""
    with Instance() as nsx:
        argv = [program("bench/bench-driver"), "--payload", payload,
                "--socket", nsx.socket_path, "--rounds", str(options.rounds),
                "--gap-ms", str(gap_ms), "--seconds", str(seconds),
                "--commands", commands(base, payload)]
        done = subprocess.run(argv, stdout=subprocess.PIPE, check=False)
        if done.returncode:
            raise SystemExit(f"bench-driver failed\n{nsx.log()}")
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def ratio(value, floor):
    return f"{value / floor:8.2f}" if value and floor else "       -"


def table(rows, title):
    print(f"\n{title}")
    for profile, words in TITLES.items():
        found = {row["contestant"]: row for row in rows
                 if row["kind"] == "latency" and row["profile"] == profile}
        rates = {row["contestant"]: row["per_second"] for row in rows
                 if row["kind"] == "rate" and row["profile"] == profile}
        failed = {row["contestant"]: row["failed"] for row in rows
                  if row["kind"] == "rate" and row["profile"] == profile}
        if not found:
            continue
        floor = found["floor"]
        print(f"\n  {words}: floor {floor['pid_p50_us']:.0f} us to the pid, "
              f"{floor['exit_p50_us']:.0f} us to the exit "
              f"(p99 {floor['exit_p99_us']:.0f} us)"
              + (f", {rates['floor']:.0f} starts/s" if rates else ""))
        print("    times the floor    to pid   (p99)  to exit   (p99)"
              "   starts/s")
        for name, row in found.items():
            print(f"    {name:16}" + "".join(
                ratio(row[key], floor[key]) for key in
                ("pid_p50_us", "pid_p99_us", "exit_p50_us", "exit_p99_us"))
                + (f"   {rates[name] / rates['floor']:8.3f}"
                   if name in rates else "")
                + (f"  ({failed[name]} starts failed)"
                   if failed.get(name) else ""))


def enter_cgroup2():
    """Go on in a cgroup of our own, seen as the root of a pure v2 layout.

    crun refuses a hybrid layout, and contestants are compared on the same one.
    The new mount and cgroup namespaces end with this process.
    """
    mount = cgroup2_mount()
    if os.environ.get("NSX_BENCH_INSIDE") or not mount:
        return None
    own = os.path.join(mount, f"nsxbench-{os.getpid()}")
    os.mkdir(own)
    env = dict(os.environ, NSX_BENCH_INSIDE="1")
    try:
        return subprocess.run(
            ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec unshare -mC '
             '--propagation private sh -c "mount -t cgroup2 none '
             '/sys/fs/cgroup && exec \\"\\$@\\"" sh "$@"', own,
             sys.executable, os.path.abspath(__file__), *sys.argv[1:]],
            env=env, check=False).returncode
    finally:
        remove_cgroups(own)


def remove_cgroups(top):
    for base, _, _ in os.walk(top, topdown=False):
        for _ in range(100):
            try:
                os.rmdir(base)
                break
            except OSError:
                time.sleep(0.05)


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = [line.split(":", 1)[1].strip() for line in f
                 if line.startswith("model name")]
    return {"kernel": os.uname().release, "cpu": (model or ["?"])[0],
            "n_cpus": os.cpu_count(), "load": os.getloadavg()[0]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", default="bench/results.json")
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("bench: run it as root")
    status = enter_cgroup2()
    if status is not None:
        sys.exit(status)
    if options.quick:
        options.rounds, options.seconds = 40, 1
    results = {"machine": machine(), "runs": []}
    cpus = os.sched_getaffinity(0)
    ways = [("all CPUs", cpus, 0, options.seconds),
            ("one CPU", {min(cpus)}, 0, 0),
            ("all CPUs, 70 ms idle before each start", cpus, 70, 0)]
    rounds = options.rounds
    for title, bound, gap_ms, seconds in ways:
        # A tenth of the rounds is enough where each takes 70 ms or more.
        options.rounds = max(20, rounds // 10) if gap_ms else rounds
        base = tempfile.mkdtemp(prefix="nsxbench-")
        os.chmod(base, 0o755)
        payload = shutil.copy(program("bench/payload"), base)
        os.sched_setaffinity(0, bound)
        try:
            rows = drive(base, payload, options, gap_ms, seconds)
        finally:
            os.sched_setaffinity(0, cpus)
            shutil.rmtree(base, ignore_errors=True)
        table(rows, title)
        results["runs"].append({"title": title, "n_cpus": len(bound),
                                "gap_ms": gap_ms, "rows": rows})
    os.makedirs(os.path.dirname(options.json) or ".", exist_ok=True)
    with open(options.json, "w", encoding="utf-8") as f:
        json.dump(results, f, indent=1)
    print(f"\nas JSON: {options.json}")


if __name__ == "__main__":
    main()
