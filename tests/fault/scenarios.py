# SPDX-License-Identifier: Apache-2.0
"""What is tortured: an instance at which things are done once.

A scenario is a function of a Bench. It uses the instance as a caller does and
notes what the caller was told. Bench.judge() then holds that against the marks
that payloads leave, and has the auditor look.
"""
import os
import re
import shutil
import signal
import time

from auditor import Auditor, Keeper, Violation
from harness import ORDINARY_UID, Instance, namespaces, program, wait_for
from ttrpc_client import Client, Closed, RpcError

DELEGATE_UID = ORDINARY_UID + 1  # he has ranges in our own /etc/subuid
ETC = {
    "passwd": "root:x:0:0::/:/bin/sh\n"
              f"nsxtest:x:{DELEGATE_UID}:{DELEGATE_UID}::/:/bin/sh\n",
    "subuid": "nsxtest:3000000:65536\n",
    "subgid": "nsxtest:3000000:65536\n",
}
CONFIG = ('{"limits": {"starts_per_second": 1000000, "starts_burst": 1000000,'
          ' "events_per_owner": 100000}}')
# Errors after which a payload certainly never ran.
NEVER_RAN = {"ABORTED_RESTART", "STAGE_FAILED", "EXEC_FAILED", "QUOTA", "RATE"}
TYPED = re.compile(r"\[([A-Z_]+)\]")
HANG_S = 31  # the longest deadline of a start, and a second


class Bench:
    def __init__(self, daemon="nsexecd"):
        self.nsx, self.auditor, self.keeper = Instance(), None, None
        self.nsx.command = self.command
        self.daemon = daemon
        with open(os.path.join(self.nsx.dir, "nsexecd.conf"), "w",
                  encoding="ascii") as f:
            f.write(CONFIG)
        try:
            self.set_up()
        except BaseException:
            self.close()
            raise

    def set_up(self):
        self.nsx.start()
        self.keeper = Keeper(self.nsx, self.daemon)
        self.marks = os.path.join(self.nsx.base, "marks")
        os.mkdir(self.marks)
        os.chmod(self.marks, 0o777)
        self.program = os.path.join(self.nsx.base, "payload")
        shutil.copy(program("tests/fault/payload"), self.program)
        self.references = {}
        self.n = 0
        self.begin("warm-up")
        for scenario in (run, run_user):  # what is made once is then there
            self.begin("warm-up")
            scenario(self)
        self.auditor = Auditor(self.nsx)
        self.auditor.audit()
        self.auditor.facts = self.auditor.holdings()

    def command(self):
        argv = Instance.command(self.nsx)
        return [program(self.daemon), *argv[1:]]

    def close(self):
        if self.auditor and self.auditor.client:
            self.auditor.client.close()
        if self.keeper:
            self.keeper.close()
        self.nsx.stop()

    # What scenarios use

    def begin(self, name):
        self.n += 1
        self.scenario = name
        self.mark = os.path.join(self.marks, str(self.n))
        self.results, self.accepted, self.said = [], [], None
        self.targets, self.deleted = {}, False
        self.slowest = 0.0

    def payload(self, code, sleep_ms=None):
        """The program that leaves a line for each time it runs."""
        more = [] if sleep_ms is None else [str(sleep_ms)]
        return [self.program, self.mark, str(code), *more]

    def ctl(self, *args, **keywords):
        began = time.monotonic()
        result = self.nsx.ctl(*args, timeout=60, **keywords)
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.results.append((args, result))
        return result

    def expect(self, result, code):
        """The caller is told the payload's code, or something else."""
        self.said = code if result.code == code else None
        return self.said is not None

    def wait(self, name, after):
        """For its end; not long if what should bring it about failed."""
        return self.ctl("wait", "--timeout",
                        "500ms" if after.code else "10s", name)

    def start_and_wait(self, name):
        return self.wait(name, self.ctl("start", name))

    def take_id(self, result):
        if result.code == 0 and result.lines():
            self.accepted.append(result.lines()[0])
            return True
        return False

    # What is said about them

    def ran(self):
        try:
            with open(self.mark, encoding="ascii") as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def rights(self, line):
        """A payload's line, with the daemon's own namespaces named so."""
        host = {str(inode): "the daemon's" for inode in
                namespaces("self").values()}
        names = {**host, **{str(k): v for k, v in self.targets.items()}}
        line = re.sub(r"ns (\w+) (\d+)", lambda found: "ns {} {}".format(
            found[1], names.get(found[2], "new")), line)
        return f"owner {os.stat(self.mark).st_uid};{line}"

    def judge(self, clean=False, typed=False):
        """Raise Violation unless all is well. clean: nothing was injected, so
        this is how it is meant to be; typed: every refusal must say why."""
        restarted = self.auditor.was_restarted()
        events = self.auditor.audit(self.accepted)
        lines = self.ran()
        if len(lines) > 1:
            raise Violation(f"the payload ran {len(lines)} times")
        if self.said is not None and not lines:
            raise Violation(f"the caller was told {self.said}, and it never "
                            "ran")
        if clean and (self.said is None or not lines):
            raise Violation(f"does not work at all: {self.results}")
        if self.slowest > HANG_S:
            raise Violation(f"a caller waited {self.slowest:.0f} s")
        self.judge_rights(lines, clean)
        self.judge_answers(lines, typed)
        # Deleted by its caller, and then nsexecd died: that was its wish.
        if lines and not self.deleted and \
                not (restarted and self.said is not None) and not any(
                event["type"] in ("EVENT_STARTED", "EVENT_EXITED",
                                  "EVENT_EXEC_STARTED", "EVENT_EXEC_EXITED")
                for event in events):
            raise Violation("a payload ran of which no event tells")
        if lines:
            os.unlink(self.mark)

    def judge_rights(self, lines, clean):
        if not lines:
            return
        now = self.rights(lines[0])
        reference = self.references.get(self.scenario)
        if clean and reference is None:
            self.references[self.scenario] = now
        elif reference is not None and now != reference:
            differ = [f"{a} instead of {b}" for a, b in
                      zip(now.split(";"), reference.split(";")) if a != b]
            raise Violation(f"ran with other rights: {differ}")

    def judge_answers(self, lines, typed):
        for args, result in self.results:
            codes = TYPED.findall(result.err)
            if lines and args[0] in ("run", "exec") and \
                    self.mark in args and NEVER_RAN & set(codes):
                raise Violation(f"it ran, and the caller was told {codes}")
            # Those of the payloads aside, what is no success is explained.
            if typed and result.code != self.said and \
                    result.code in (1, 2, 3, 4, 5, 6, 125, 126, 127) and \
                    args[0] != "wait" and not codes and \
                    "cannot" not in result.err and \
                    "the connection to nsexecd was lost" not in result.err:
                raise Violation(f"{args[0]}: an error that says nothing: "
                                f"{result}")
            if result.code < 0 or result.code in (134, 139):
                raise Violation(f"nsexecctl died: {args}: {result}")

    def touch_accounts(self):
        """Makes all that is known of accounts old: the resolver runs."""
        now = time.time_ns()
        os.utime("/etc/subuid", ns=(now, now))


# Scenarios

def run(bench):
    bench.expect(bench.ctl("run", "--new", "all", "--map-root-user", "--",
                           *bench.payload(7)), 7)


def run_user(bench):
    bench.expect(bench.ctl("run", "--new", "user,pid,mnt", "--map-root-user",
                           "--", *bench.payload(7), user=ORDINARY_UID), 7)


def map_auto(bench):
    bench.touch_accounts()
    bench.expect(bench.ctl("run", "--new", "user,pid", "--map-auto", "--",
                           *bench.payload(7), user=DELEGATE_UID), 7)


def two_phase(bench):
    made = bench.ctl("create", "--new", "pid,mnt", "--name", "two", "--",
                     *bench.payload(8))
    if bench.take_id(made):
        waited = bench.start_and_wait("two")
        if waited.lines() == ["8"]:
            bench.said = 8


def execute(bench):
    if bench.take_id(bench.ctl("run", "-d", "--new", "pid,mnt", "--name",
                               "host", "--", "/bin/sleep", "30")):
        bench.expect(bench.ctl("exec", "host", "--", *bench.payload(9)), 9)


def join(bench):
    if bench.take_id(bench.ctl("run", "-d", "--new", "net,uts,ipc", "--name",
                               "host", "--", "/bin/sleep", "30")):
        state = bench.ctl("state", "host")
        if state.code != 0:
            return
        pid = state.json()["pid"]
        try:
            bench.targets = {inode: "the target's" for kind, inode in
                             namespaces(pid).items()
                             if kind in ("net", "uts", "ipc")}
        except FileNotFoundError:
            return
        bench.expect(bench.ctl(
            "run", "--join", f"net=pid:{pid}", "--join", f"uts=pid:{pid}",
            "--join", f"ipc=pid:{pid}", "--new", "pid", "--",
            *bench.payload(6)), 6)


def kill(bench):
    if bench.take_id(bench.ctl("run", "-d", "--new", "pid", "--name",
                               "victim", "--", *bench.payload(3, 30000))):
        try:
            wait_for(bench.ran, 5)
        except AssertionError:
            return
        killed = bench.ctl("kill", "-s", "KILL", "victim")
        waited = bench.wait("victim", killed)
        if waited.lines() == ["137"]:
            bench.said = 137


def discard(bench):
    """Deleted before it began; then one that is deleted while it runs."""
    if bench.take_id(bench.ctl("create", "--new", "pid", "--name", "unborn",
                               "--", "/bin/false")):
        bench.accepted.clear()  # who deletes it knows of its end
        bench.ctl("delete", "-f", "unborn")
    if bench.take_id(bench.ctl("run", "-d", "--new", "pid", "--name", "short",
                               "--", *bench.payload(3, 30000))):
        try:
            wait_for(bench.ran, 5)
        except AssertionError:
            return
        bench.accepted.clear()
        bench.deleted = True
        if bench.ctl("delete", "-f", "short").code == 0:
            bench.said = 0


def end_process(pid):
    if pid:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        wait_for(lambda: not os.path.exists(f"/proc/{pid}"), 5, "its end")


def with_death(bench, who):
    """One runs, one is created; who dies; the created one is started."""
    bench.take_id(bench.ctl("run", "-d", "--new", "pid", "--name", "runs",
                            "--", "/bin/sleep", "30"))
    made = bench.take_id(bench.ctl("create", "--new", "pid", "--name",
                                   "stays", "--", *bench.payload(4)))
    end_process(who())
    bench.auditor.settle()
    if made:
        waited = bench.start_and_wait("stays")
        if waited.lines() == ["4"]:
            bench.said = 4


def restart(bench):
    with_death(bench, bench.nsx.nsexecd_pid)


def respawn(bench):
    with_death(bench, bench.nsx.spawner_pid)


def keyed(bench):
    """Asked again with the same key until there is an answer."""
    request = {"key": os.urandom(16), "spec": {
        "namespaces": [{"kind": "NS_PID", "create": True}],
        "process": {"args": bench.payload(5)}}}
    end = time.monotonic() + HANG_S
    while time.monotonic() < end:
        bench.auditor.settle()
        client = None
        try:
            client = Client(bench.nsx.socket_path, 20)
            info = client.call("Run", request)["info"]
            bench.accepted = [info["id"]]
            waited = client.call("Wait", {"id": info["id"],
                                          "timeout_ms": 10000})
            if waited.get("exit", {}).get("code") == 5:
                bench.said = 5
            return
        except RpcError as error:
            if not error.detail.get("code"):
                raise Violation(f"an error without detail: {error}") \
                    from None
            bench.told = error.detail["code"]
            return
        except (Closed, OSError):
            pass
        finally:
            if client:
                client.close()
    raise Violation(f"no answer to a key within {HANG_S} s")


SCENARIOS = {f.__name__: f for f in (
    run, run_user, map_auto, two_phase, execute, join, kill, discard, keyed,
    restart, respawn)}
