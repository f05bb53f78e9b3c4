# SPDX-License-Identifier: Apache-2.0
"""Looks whether an instance still agrees with the kernel.

What it compares comes from /proc, the cgroup tree and the run directory of
the instance; the daemon is asked for two things alone: its list of containers
and its events. It runs in a pid namespace in which there is nothing but the
instance and its tester, so every process counts.

Between two steps of a test, call audit():
  - nsexecd and spawner are there and answer a new connection
  - each process that is none of ours is in the cgroup of exactly one container
    that is listed; each listed one that lives has its process, by pid, start
    time and cgroup; each has its record, and no record, cgroup or gate is
    there without one
  - what was created, started or executed has exactly one terminal event, each
    event once and in order
  - when all are ended and deleted: no process, zombie, cgroup, gate or record
    is left, and nsexecd, spawner and zygotes hold no descriptor and see no
    mount more than at first
"""
import collections
import fcntl
import os
import threading
import time

import spawner_peer
from harness import fd_kinds, program, wait_for
from ttrpc_client import Client, Closed, RpcError

TERMINAL = {"EVENT_EXITED", "EVENT_EXEC_EXITED", "EVENT_FAILED"}
ORDER = ["EVENT_CREATED", "EVENT_STARTED", "EVENT_EXEC_STARTED",
         "EVENT_EXEC_EXITED", "EVENT_EXITED", "EVENT_FAILED", "EVENT_DELETED"]
LIVING = ("STATE_CREATED", "STATE_RUNNING")
SEALS = 15  # F_SEAL_SEAL | SHRINK | GROW | WRITE
UNREACHABLE = (Closed, OSError, AssertionError)
RECOVERY_S, AGREE_S = 30, 10


class Violation(Exception):
    """Something was lost, ran twice, was left behind or got a wider right."""


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:  # it is just going
        return ""


def stat_fields(pid):
    """(name, state, parent, start time) or None."""
    text = read(f"/proc/{pid}/stat")
    if not text:
        return None
    name = text[text.index("(") + 1:text.rindex(")")]
    rest = text[text.rindex(")") + 2:].split()
    return name, rest[0], int(rest[1]), int(rest[19])


def memfd(data):
    """A sealed memfd with these bytes; the caller closes it."""
    fd = os.memfd_create("nsexecd", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    while data:
        data = data[os.write(fd, data):]
    fcntl.fcntl(fd, spawner_peer.F_ADD_SEALS, SEALS)
    return fd


class Keeper:
    """Has the spawner start nsexecd at once, which otherwise waits longer
    after each death: what a person does who runs nsexecd --run-dir again."""

    def __init__(self, nsx, name="nsexecd"):
        self.nsx = nsx
        self.path = os.path.join(nsx.dir, "spawner.sock")
        with open(program(name), "rb") as f:
            self.program = f.read()
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        while not self.ending.wait(0.005):
            if not self.nsx.nsexecd_pid() and self.nsx.spawner_pid():
                self.ask()
                self.ending.wait(0.015)

    def close(self):
        self.ending.set()
        self.thread.join()

    def ask(self):
        """False if there is no spawner just now. Does not wait for it."""
        fds = [memfd(self.program), memfd(b"--log-level\0notice\0")]
        try:
            peer = spawner_peer.Peer(self.path)
            try:
                peer.request(spawner_peer.KEEP, fds=fds)
            finally:
                peer.close()
        except OSError:
            return False
        finally:
            for fd in fds:
                os.close(fd)
        return True


class Auditor:
    def __init__(self, nsx):
        self.nsx = nsx
        self.tester = {os.getpid(), os.getppid(), nsx.launcher.pid}
        self.restarted = False
        self.epoch, self.next_seq = None, 1
        self.client = None
        self.infra = {}
        self.settle()
        self.take_events()
        self.facts = self.holdings()

    # Coming back

    def settle(self):
        """Wait until nsexecd and spawner live and answer who comes anew."""
        if self.nsx.launcher.poll() is not None:
            raise Violation("the launcher ended with "
                            f"{self.nsx.launcher.returncode}")
        end = time.monotonic() + RECOVERY_S
        why = ""
        while True:
            spawner, worker = self.nsx.spawner_pid(), self.nsx.nsexecd_pid()
            if spawner and worker:
                try:
                    self.connect()
                    self.restarted |= worker != self.infra.get("nsexecd")
                    self.infra = {"spawner": spawner, "nsexecd": worker}
                    return
                except (*UNREACHABLE, RpcError) as error:
                    why = repr(error)
            if time.monotonic() > end:
                raise Violation(f"not back within {RECOVERY_S} s: spawner "
                                f"{spawner}, nsexecd {worker}, {why}")
            time.sleep(0.002)

    def was_restarted(self):
        """Is it another nsexecd than at the last audit?"""
        self.settle()
        return self.restarted

    def connect(self):
        if self.client:
            self.client.close()
            self.client = None
        client = Client(self.nsx.socket_path, 10)
        try:
            client.call("Version", {})
        except BaseException:
            client.close()
            raise
        self.client = client

    # What the daemon says

    def listed(self):
        return {info["id"]: info for info in
                self.client.call("List", {}).get("containers", [])}

    def take_events(self):
        """All since the last time; the place is kept."""
        found = []
        while True:
            filter_ = {"from_seq": self.next_seq}
            if self.epoch:
                filter_["epoch"] = self.epoch
            answer = self.client.call("NextEvents", {
                "filter": filter_, "timeout_ms": 0, "max_events": 1024})
            if self.epoch and answer["epoch"] != self.epoch:
                raise Violation("the numbering of events began again")
            self.epoch = answer["epoch"]
            got = answer.get("events", [])
            self.next_seq = answer["next_seq"]
            found += got
            if len(got) < 1024:
                return found

    # What the kernel says

    def tasks(self):
        """{pid: (stat fields, cgroup below ours or None)} of all others."""
        spawner = self.infra["spawner"]
        known = self.tester | set(self.infra.values())
        root = self.cgroup_name(os.path.basename(self.nsx.cgroup))
        found = {}
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) in known:
                continue
            stat = stat_fields(name)
            if not stat or (stat[0] == "nsx:[zygote]" and stat[2] == spawner
                            and stat[1] != "Z"):
                continue
            found[int(name)] = stat, self.cgroup_of(name, root)
        return found

    @staticmethod
    def cgroup_name(name):
        return f"/{name}/"

    @staticmethod
    def cgroup_of(pid, root):
        for line in read(f"/proc/{pid}/cgroup").splitlines():
            if line.startswith("0::") and root in line:
                return line.split(root, 1)[1]
        return None

    def cgroups(self):
        """["uUID/ID"] and whatever is below."""
        found = []
        for base, dirs, _ in os.walk(self.nsx.cgroup):
            rel = os.path.relpath(base, self.nsx.cgroup)
            found += [os.path.normpath(os.path.join(rel, name))
                      for name in dirs]
        return [name for name in found if "/" in name]

    def files(self, folder):
        try:
            return os.listdir(os.path.join(self.nsx.dir, folder))
        except FileNotFoundError:
            return []

    def holdings(self):
        """Descriptors and mounts of our own processes."""
        facts = {}
        for who, pid in self.infra.items():
            kinds = fd_kinds(pid)
            # A procfs of its own, or /proc where there was none to be had.
            kinds["/"] += kinds.pop("/proc", 0)
            facts[who] = (pid, kinds, self.mounts(pid))
        return facts

    @staticmethod
    def mounts(pid):
        return collections.Counter(
            line.split()[4] for line in
            read(f"/proc/{pid}/mountinfo").splitlines() if " - " in line)

    # Do they agree?

    def disagreements(self):
        listed, tasks = self.listed(), self.tasks()
        found = []
        by_cgroup = {info["cgroup"].decode(): info
                     for info in listed.values() if info.get("cgroup")}
        for pid, (stat, cgroup) in tasks.items():
            if stat[1] in "ZX":
                found.append(f"zombie {pid} {stat}")
            elif not cgroup or "/".join(
                    cgroup.split("/")[:2]) not in by_cgroup:
                found.append(f"process {pid} {stat} in {cgroup}, "
                             "which no container is")
        for info in listed.values():
            found += self.misfits(info, tasks)
        for name in self.cgroups():
            if "/".join(name.split("/")[:2]) not in by_cgroup:
                found.append(f"cgroup {name} of no container")
        return found + list(self.stray_files(listed))

    @staticmethod
    def misfits(info, tasks):
        if info["state"] == "STATE_CREATING":
            yield f"{info['id']} is being created still"
        if info["state"] not in LIVING:
            return
        stat, cgroup = tasks.get(info["pid"], (None, None))
        if not stat or stat[1] in "ZX":
            yield f"{info['id']} has no process {info['pid']}: {stat}"
        elif stat[3] != info["start_time"]:
            yield f"{info['id']}: {info['pid']} is another process"
        elif cgroup != info["cgroup"].decode():
            yield f"{info['id']}: {info['pid']} is in {cgroup}"

    def stray_files(self, listed):
        names = {f"{info['owner_uid']}:{info['id']}": info
                 for info in listed.values()}
        records = set(self.files("records")) - {".numbering"}
        for name in records:
            if name.split("@")[0] not in names or name.endswith("@.bad"):
                yield f"record {name} of no container"
        for name, info in names.items():
            if name not in records:
                yield f"container {name} {info['state']} without a record"
        for name in self.files("gates"):
            if names.get(name, {}).get("state") != "STATE_CREATED":
                yield f"gate {name} of no created container"

    def agree(self, what, check, seconds=AGREE_S):
        """Raise what check() still finds after a while."""
        last = []

        def nothing():
            try:
                last[:] = list(check())
            except UNREACHABLE as error:
                self.settle()
                last[:] = [repr(error)]
            return not last
        try:
            wait_for(nothing, seconds, "")
        except AssertionError:
            raise Violation(f"{what}: " + "; ".join(last[:8])) from None

    # Events

    def event_faults(self, events, accepted):
        groups = collections.defaultdict(list)
        for event in events:
            if event["type"] in ("EVENT_GAP", "EVENT_SNAPSHOT"):
                # a new nsexecd has the ends, not all that was before them
                if not self.restarted:
                    yield f"a {event['type']} where nothing was slow"
                continue
            groups[event["container"], event.get("exec_id", "")].append(
                event["type"])
        for name, types in groups.items():
            ends = [t for t in types if t in TERMINAL]
            if len(ends) != 1:
                yield f"{name} has {len(ends)} terminal events: {types}"
            elif types != sorted(set(types), key=ORDER.index):
                yield f"{name}: events twice or out of order: {types}"
        for name in accepted:
            if not any(name == container for container, _ in groups):
                yield f"{name} was accepted, and no event tells of it"

    def end_all(self):
        for name in self.listed():
            try:
                self.client.call("Signal", {"id": name, "signal": 9,
                                            "all": True})
            except RpcError:
                pass  # over already

    def delete_all(self):
        for name in self.listed():
            try:
                self.client.call("Delete", {"id": name, "force": True})
            except RpcError:
                pass  # asked again while it is listed

    def leftovers(self):
        self.delete_all()
        for pid, (stat, cgroup) in self.tasks().items():
            yield f"process {pid} {stat} in {cgroup}"
        for folder in ("records", "gates"):
            for name in set(self.files(folder)) - {".numbering"}:
                yield f"{folder}: {name}"
        yield from (f"cgroup {name}" for name in self.cgroups())
        yield from self.surplus()

    def surplus(self):
        """Descriptors and mounts beyond those of the beginning."""
        for who, (pid, fds, mounts) in self.holdings().items():
            old_pid, old_fds, old_mounts = self.facts[who]
            more = fds - old_fds
            if who == "spawner" and pid != old_pid:
                # One that took over a living nsexecd has no listeners until
                # it starts the next, then it has.
                more.subtract({"socket:": 2})
            if who == "spawner":
                # Zygotes are made anew as time allows: a socket and a pidfd.
                more.subtract({"socket:": 2, "anon_inode:": 2})
            if +more:
                yield f"{who} {pid} has descriptors {dict(+more)} more"
            if mounts - old_mounts:
                yield f"{who} {pid} sees {dict(mounts - old_mounts)} more"

    def audit(self, accepted=()):
        """One whole look; accepted: ids that a caller was given."""
        self.settle()
        self.agree("disagreement", self.disagreements)
        # Whatever is listed has its end in the events, or is to have it.
        accepted = {*accepted, *self.listed()}
        self.end_all()
        events = []

        def event_faults():
            events.extend(self.take_events())
            return self.event_faults(events, accepted)
        self.agree("events", event_faults)
        self.agree("left", self.leftovers)
        late = [event["type"] for event in self.take_events()]
        if set(late) - {"EVENT_DELETED"}:
            raise Violation(f"events after the end: {late}")
        self.restarted = False
        return events
