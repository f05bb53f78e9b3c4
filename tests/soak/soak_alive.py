# SPDX-License-Identifier: Apache-2.0
"""Part two: very many containers alive at once, over the death of nsexecd and
of the spawner, until all of them end in the same moment."""
import os
import signal
import statistics
import threading
import time

from harness import wait_for
from soak_lib import (GONE, Follower, Soaked, Usage, check,
                      stopped_at_the_end)
from ttrpc_client import Client, RpcError

KINDS = ("pid", "mnt", "uts", "ipc")
CONNECTIONS = 4
IN_FLIGHT = 32


def starter(nsx, names, problems):
    """Run them all over one connection, some in flight."""
    client = Client(nsx.socket_path, 120)
    spaces = [{"kind": "NS_" + kind.upper(), "create": True}
              for kind in KINDS]
    flying = 0
    try:
        for name in names:
            client.send_request("Run", {"spec": {
                "id": name, "namespaces": spaces,
                "process": {"args": [nsx.payload.encode(), b"wait"]}}})
            flying += 1
            if flying >= IN_FLIGHT:
                client.recv_response()
                flying -= 1
        while flying:
            client.recv_response()
            flying -= 1
    except Exception as error:  # of a thread: told, never lost
        problems.append(f"start: {error!r}")
    finally:
        client.close()


def n_running(nsx):
    """How many List calls running; 0 while nobody answers."""
    try:
        client = Client(nsx.socket_path, 60)
    except GONE:
        return 0
    try:
        answer = client.call("List", {"states": ["STATE_RUNNING"]})
        return len(answer.get("containers", []))
    except GONE:
        return 0
    finally:
        client.close()


def n_pidfds(nsx):
    """The exits that nsexecd will hear of."""
    folder, n = f"/proc/{nsx.nsexecd_pid()}/fd", 0
    for name in os.listdir(folder):
        try:
            n += "pidfd" in os.readlink(os.path.join(folder, name))
        except FileNotFoundError:
            pass
    return n


class Alive:
    def __init__(self, options):
        self.n, self.rounds = options.alive, options.adoptions
        self.config = os.path.join(options.folder, "alive.conf")
        self.names = [f"c{i}" for i in range(self.n)]
        self.lines, self.problems, self.times = [], [], []
        self.more = []  # started beside them

    def run(self):
        with open(self.config, "w", encoding="ascii") as f:
            f.write(f'{{"limits": {{"containers": {self.n + 100}}}}}')
        self.nsx = Soaked(["--config", self.config]).start()
        with stopped_at_the_end(self.nsx):
            self.begin()
            follower = Follower(self.nsx.socket_path)
            for number in range(self.rounds):
                self.adopt(number)
            self.spawner_dies()
            self.end(follower)
        return {"problems": self.problems, "figures": self.lines}

    def begin(self):
        before, began = Usage(self.nsx), time.monotonic()
        threads = [threading.Thread(target=starter, args=(
            self.nsx, self.names[i::CONNECTIONS], self.problems))
            for i in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - began
        now = Usage(self.nsx)
        each = [(b - a) / self.n for a, b in zip(before.kib, now.kib)]
        self.lines.append(
            f"{self.n} containers with own {', '.join(KINDS)} namespaces "
            f"started in {took:.1f} s; each costs nsexecd {each[0]:.2f} KiB "
            f"and the spawner {each[1]:.2f} KiB; descriptors "
            f"{now.fds[0]} and {now.fds[1]}")
        began = time.monotonic()
        listed = len(self.nsx.ctl("list", "-q", timeout=60).lines())
        self.lines.append(f"nsexecctl list: {listed} in "
                          f"{time.monotonic() - began:.2f} s")
        if listed != self.n:
            self.problems.append(f"{listed} are listed, of {self.n}")

    def wait_adopted(self, since):
        """Seconds until all are listed as running, then followed."""
        wait_for(lambda: n_running(self.nsx) >= self.n, 60,
                 "all containers listed as running")
        listed = time.monotonic() - since
        wait_for(lambda: n_pidfds(self.nsx) >= self.n, 20,
                 "a pidfd of every container")
        return listed, time.monotonic() - since

    def adopt(self, number):
        """kill -9 of nsexecd; the spawner starts the next by itself."""
        time.sleep(11)  # it was steady: the throttle begins anew
        worker, began = self.nsx.nsexecd_pid(), time.monotonic()
        os.kill(worker, signal.SIGKILL)
        listed, followed = self.wait_adopted(began)
        self.start_one()
        answered = time.monotonic() - began
        self.times.append(max(listed, followed, answered))
        print(f"  adoption {number + 1}: listed {listed:.2f} s, followed "
              f"{followed:.2f} s, a start answered {answered:.2f} s",
              flush=True)

    def start_one(self):
        """One more, to its end."""
        client = Client(self.nsx.socket_path, 60)
        try:
            name = f"more{len(self.more) + 1}"
            client.call("Run", {"spec": {"id": name, "process": {
                "args": [self.nsx.payload.encode(), b"exit", b"5"]}}})
            self.more.append(name)
            code = client.call("Wait", {"id": name})["exit"].get("code")
            if code != 5:
                self.problems.append(f"{name} gave {code}")
            client.call("Delete", {"id": name})
            return True
        finally:
            client.close()

    def started_one(self):
        """The same while the spawner may be away."""
        try:
            return self.start_one()
        except RpcError as error:
            if not error.detail.get("retryable"):
                raise
            return False

    def spawner_dies(self):
        spawner, began = self.nsx.spawner_pid(), time.monotonic()
        os.kill(spawner, signal.SIGKILL)
        wait_for(lambda: self.nsx.spawner_pid() not in (None, spawner), 30,
                 "another spawner")  # the launcher's work
        wait_for(self.started_one, 60, "a start")
        self.lines.append("the spawner killed and replaced: a start answered "
                          f"after {time.monotonic() - began:.2f} s")
        running = n_running(self.nsx)
        if running != self.n:
            self.problems.append(f"{running} run on, of {self.n}")

    def end(self, follower):
        self.lines.append(
            f"adoption of {self.n} after kill -9 of nsexecd, until all are "
            "listed as running and followed and a start is answered: median "
            f"{statistics.median(self.times):.2f} s of "
            + ", ".join(f"{t:.2f}" for t in self.times))
        began = time.monotonic()
        with open(os.path.join(self.nsx.cgroup, "u0", "cgroup.kill"), "w",
                  encoding="ascii") as f:
            f.write("1")
        try:
            follower.wait_ends(len(self.more) + self.n, 30, "all have ended")
        except AssertionError as error:
            self.problems.append(str(error))
        self.lines.append(f"all killed at once: every exit told in "
                          f"{time.monotonic() - began:.1f} s, "
                          f"{follower.n_gaps} gaps in all")
        follower.close()
        expected = {(name, ""): ("signal", 9) for name in self.names}
        expected.update({(name, ""): ("exit", 5) for name in self.more})
        self.problems += check(expected, follower)
        self.delete_all()
        self.problems += self.nsx.nothing_left()

    def delete_all(self):
        client = Client(self.nsx.socket_path, 120)
        listed = client.call("List", {}).get("containers", [])
        flying = 0
        for info in listed:
            client.send_request("Delete", {"id": info["id"]})
            flying += 1
            if flying >= IN_FLIGHT:
                client.recv_response()
                flying -= 1
        while flying:
            client.recv_response()
            flying -= 1
        client.close()
