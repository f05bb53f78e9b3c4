# SPDX-License-Identifier: Apache-2.0
"""The n-th allocation of nsexecd fails, for every n of every scenario.

nsexecd-alloc is nsexecd with the malloc(3) of alloc.c. A running one is told by
its memory which allocation fails; one that is to start ("start") by the bytes
of its program, which the spawner is given anew for it.
"""
import os
import struct
import subprocess

from auditor import Violation
from harness import wait_for
from scenarios import SCENARIOS, end_process

DAEMON = "nsexecd-alloc"
MAGIC = b"NSX allocation fault, by number\0"
FIELDS = struct.Struct("=qqq")  # at, count, hits


def place_in_memory(pid):
    """Where alloc_fault lies in a process."""
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as f:
        rows = [line.split() for line in f if " rw-p " in line]
    with open(f"/proc/{pid}/mem", "rb") as memory:
        for row in rows:
            start, end = (int(word, 16) for word in row[0].split("-"))
            try:
                memory.seek(start)
                found = memory.read(min(end - start, 1 << 20)).find(MAGIC)
            except OSError:
                continue
            if found >= 0:
                return start + found + len(MAGIC)
    raise LookupError(f"{pid} has no alloc_fault")


class Fault:
    """The fields in a living nsexecd."""

    def __init__(self, pid):
        self.pid, self.place = pid, place_in_memory(pid)

    def put(self, at):
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(self.place)
            memory.write(FIELDS.pack(at, 0, 0))

    def get(self):
        """(count, hits); (0, 1) if it is gone."""
        try:
            with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
                memory.seek(self.place)
                data = memory.read(FIELDS.size)
        except OSError:
            data = b""
        if len(data) != FIELDS.size:
            return 0, 1
        return FIELDS.unpack(data)[1:]


def patched(program, at):
    place = program.index(MAGIC) + len(MAGIC)
    return program[:place] + struct.pack("=q", at) + program[place + 8:]


def running(bench, scenario, at):
    """(allocations made, was one refused)"""
    bench.begin(scenario)
    fault = Fault(bench.nsx.nsexecd_pid())
    fault.put(at)
    SCENARIOS[scenario](bench)
    count, hits = fault.get()
    if at and not hits and bench.nsx.nsexecd_pid() == fault.pid:
        fault.put(0)
    bench.judge(clean=not at, typed=bool(at))
    return count, hits


def starting(bench, scenario, at):
    """The scenario's restart, with a nsexecd whose at-th allocation fails."""
    bench.begin(scenario)
    old = bench.nsx.nsexecd_pid()
    bench.take_id(bench.ctl("create", "--new", "pid", "--name", "stays", "--",
                            *bench.payload(4)))
    sound = bench.keeper.program
    bench.keeper.program = patched(sound, at)
    end_process(old)
    bench.keeper.ask()
    count = hits = 0

    def is_up():
        pid = bench.nsx.nsexecd_pid()
        return pid if pid not in (None, old) else None
    try:
        pid = wait_for(is_up, 1)
        bench.keeper.program = sound
        bench.auditor.settle()
        if bench.nsx.nsexecd_pid() == pid:
            count, hits = Fault(pid).get()
    except (AssertionError, LookupError, OSError):
        hits = 1
    # the next is as it was
    bench.keeper.program = sound
    bench.keeper.ask()
    bench.auditor.settle()
    if bench.nsx.nsexecd_pid() and at:
        end_process(bench.nsx.nsexecd_pid())
        bench.auditor.settle()
    if bench.start_and_wait("stays").lines() == ["4"]:
        bench.said = 4
    bench.judge(clean=not at, typed=True)
    return count, hits


def points(worker, job):
    """Count where job has no points, else try them."""
    how = starting if job["role"] == "nsexecd-start" else running
    scenario = job["scenario"]
    if "points" not in job:
        bench = worker.get_bench(DAEMON)
        how(bench, scenario, 0)
        return {"count": how(bench, scenario, 0)[0]}
    tried = hits = 0
    violations = []
    for at in job["points"]:
        tried += 1
        bench = worker.get_bench(DAEMON)
        try:
            if scenario not in bench.references:
                how(bench, scenario, 0)
            hits += how(bench, scenario, at)[1] > 0
        except (Violation, AssertionError, OSError, LookupError,
                subprocess.SubprocessError) as error:
            violations.append(worker.violation(
                {**job, "kind": "alloc"}, at, error))
    return {"tried": tried, "hits": hits, "violations": violations}


def is_built(build):
    return os.access(os.path.join(build, DAEMON), os.X_OK)
