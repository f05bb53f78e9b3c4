#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Leases: what lives no longer than a connection.

Each test is a promise of ContainerSpec.lease in proto/nsexec.proto: what the
close of a connection ends, in every state a start can be in, and what it does
not; what nsexecd's own end leaves alone; and what is told of it.
"""
import contextlib
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
# pylint: disable=wrong-import-position
from harness import (ORDINARY_UID, SLOW, TestCase, alive,  # noqa: E402
                     all_children, comm, main, proc_state, wait_for)
from stuck_fuse import StuckFuse  # noqa: E402
from test_fairness import user_client  # noqa: E402
from ttrpc_client import Client, Closed, RpcError  # noqa: E402

SLEEP = ("/bin/sleep", "100")
GRACE = 10  # LEASE_GRACE_MS


def spec(*args, lease=None, **more):
    made = {"process": {"args": [arg.encode() for arg in args]}, **more}
    if lease is not None:
        made["lease"] = lease
    return made


def stuck_status(pid):
    """(state, has it a SIGKILL to come). Not of its stat, whose reader waits
    for a process that is stuck in execve(2)."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        fields = dict(line.split()[:2] for line in f if len(line.split()) > 1)
    pending = int(fields["SigPnd:"], 16) | int(fields["ShdPnd:"], 16)
    return fields["State:"], bool(pending >> (signal.SIGKILL - 1) & 1)


class LeaseCase(TestCase):
    """self.holder is the connection that goes; self.client sees it."""

    def setUp(self):
        super().setUp()
        self.client = self.connect()
        self.lease = os.urandom(16)

    def connect(self):
        client = Client(self.nsx.socket_path)
        self.addCleanup(client.close)
        return client

    def run_leased(self, holder, *args, **more):
        made = spec(*(args or SLEEP), lease=self.lease, **more)
        return holder.call("Run", {"spec": made})["info"]

    def exit_of(self, ident, **more):
        return self.client.call("Wait", {"id": ident, "timeout_ms": 20000,
                                         **more})["exit"]

    def delete(self, ident, force=False):
        self.client.call("Delete", {"id": ident, "force": force})

    def killed_for_lease(self, ident, **more):
        end = self.exit_of(ident, **more)
        self.assertEqual((end.get("signal"), end.get("reason")),
                         (9, "EXIT_LEASE"), end)

    def events_of(self, ident):
        """Types and what they carry, of one container, by now."""
        got = self.client.call("NextEvents", {
            "filter": {"from_seq": 1, "containers": [ident]},
            "timeout_ms": 0, "max_events": 1024})
        return got.get("events", [])

    def failure_of(self, ident):
        with self.assertRaises(RpcError) as caught:
            self.exit_of(ident)
        return caught.exception.detail


class Closing(LeaseCase):
    def test_container_is_killed_when_its_connection_closes(self):
        holder = self.connect()
        ident = self.run_leased(holder)["id"]
        self.assertTrue(self.client.call(
            "State", {"id": ident})["info"]["leased"])
        holder.close()
        self.killed_for_lease(ident)
        last = [event for event in self.events_of(ident)
                if event["type"] == "EVENT_EXITED"]
        self.assertEqual([event["exit"]["reason"] for event in last],
                         ["EXIT_LEASE"])
        self.delete(ident)

    def test_without_the_field_nothing_is_killed(self):
        holder = self.connect()
        ident = holder.call("Run", {"spec": spec(*SLEEP)})["info"]["id"]
        leased = self.run_leased(holder)["id"]
        holder.close()
        self.killed_for_lease(leased)
        info = self.client.call("State", {"id": ident})["info"]
        self.assertEqual(info["state"], "STATE_RUNNING")
        self.assertNotIn("leased", info)
        self.delete(ident, force=True)
        self.delete(leased)

    def test_every_process_of_it_goes_and_those_of_exec_too(self):
        holder = self.connect()
        info = self.run_leased(
            holder, "/bin/sh", "-c", "setsid sleep 100 & exec sleep 100")
        ident = info["id"]
        made = {"args": [arg.encode() for arg in SLEEP]}
        task = self.client.call("Exec", {"id": ident, "process": made})
        pids = [item["pid"] for item in self.client.call(
            "Processes", {"id": ident})["processes"]]
        self.assertGreaterEqual(len(pids), 3)
        holder.close()
        self.killed_for_lease(ident)
        self.killed_for_lease(ident, exec_id=task["exec_id"])
        wait_for(lambda: not any(map(alive, pids)), 10, "their end")
        self.delete(ident)

    def test_container_that_ended_by_itself_has_its_own_end(self):
        holder = self.connect()
        ident = self.run_leased(holder, "/bin/sh", "-c", "exit 7")["id"]
        self.assertEqual(self.exit_of(ident).get("code"), 7)
        holder.close()
        end = self.exit_of(ident)
        self.assertEqual((end.get("code"), end.get("reason")), (7, None))
        self.delete(ident)

    def test_caller_killed_is_a_connection_closed(self):
        ctl = self.nsx.ctl_start("run", "--lease", "--name", "held", "--",
                                 *SLEEP)
        self.addCleanup(lambda: (ctl.stdout.close(), ctl.stderr.close()))
        wait_for(lambda: self.ctl("state", "held").out.find("running") > 0,
                 what="a start")
        ctl.kill()
        ctl.wait()
        self.killed_for_lease("held")
        self.delete("held")

    def test_deleting_a_leased_container_leaves_nothing_of_the_lease(self):
        holder = self.connect()
        ident = self.run_leased(holder)["id"]
        holder.call("Delete", {"id": ident, "force": True})
        answer = self.client.call("Lease", {"lease": self.lease})
        self.assertEqual(answer.get("containers", 0), 0)
        holder.close()

    def test_many_containers_go_with_one_connection(self):
        holder = self.connect()
        idents = [self.run_leased(holder)["id"] for _ in range(100)]
        holder.close()
        for ident in idents:
            self.killed_for_lease(ident)
            self.delete(ident)


class Early(LeaseCase):
    """The connection closes before the program runs: it never does."""

    def test_created_container_is_cancelled(self):
        holder = self.connect()
        made = spec("/bin/sh", "-c", "echo ran >&2", lease=self.lease)
        info = holder.call("Create", {"spec": made})["info"]
        holder.close()
        detail = self.failure_of(info["id"])
        self.assertEqual((detail["code"], detail["step"]),
                         ("CANCELLED", "lease"), detail)
        wait_for(lambda: not alive(info["pid"]), 10, "end of the stage")
        types = [event["type"] for event in self.events_of(info["id"])]
        self.assertEqual(types, ["EVENT_CREATED", "EVENT_FAILED"])
        self.delete(info["id"])

    def test_start_that_is_under_way_is_cancelled_or_killed(self):
        """At every moment of it; and it is listed, with one end."""
        for step in range(12):
            holder = self.connect()
            name = f"early{step}"
            holder.send_request("Run", {"spec": spec(
                *SLEEP, lease=self.lease, id=name)})
            time.sleep(step * 0.0005)
            holder.close()
            try:
                self.client.call("State", {"id": name})
            except RpcError as error:
                # A connection that closed before it was read asked nothing.
                self.assertEqual(error.detail["code"], "NOT_FOUND")
                continue
            wait_for(lambda n=name: self.client.call(
                "State", {"id": n})["info"]["state"] == "STATE_STOPPED",
                what=f"end of {name}")
            ends = [event["type"] for event in self.events_of(name)
                    if event["type"] in ("EVENT_EXITED", "EVENT_FAILED")]
            self.assertEqual(len(ends), 1, ends)
            info = self.client.call("State", {"id": name})["info"]
            if "failure" in info:
                # The spawner may see that the caller is gone before we do.
                self.assertIn(info["failure"]["code"],
                              ("CANCELLED", "CALLER_GONE"))
            else:
                self.assertEqual(info["exit"].get("reason"), "EXIT_LEASE")
            self.delete(name)

    def test_start_whose_descriptors_never_come_leaves_nothing(self):
        holder = self.connect()
        holder.send_request("Run", {
            "spec": spec(*SLEEP, lease=self.lease, id="nofds"),
            "fd_token": os.urandom(16), "n_fds": 1})
        holder.close()
        with self.assertRaises(RpcError) as caught:
            self.client.call("State", {"id": "nofds"})
        self.assertEqual(caught.exception.detail["code"], "NOT_FOUND")

    def test_exec_that_starts_as_the_lease_goes_has_one_end(self):
        holder = self.connect()
        ident = self.run_leased(holder)["id"]
        made = {"args": [arg.encode() for arg in SLEEP]}
        self.client.send_request("Exec", {"id": ident, "process": made})
        holder.close()
        with contextlib.suppress(RpcError):
            self.client.recv_response()
        self.killed_for_lease(ident)
        ends = wait_for(lambda: [
            event["type"] for event in self.events_of(ident)
            if event["type"] in ("EVENT_EXEC_EXITED", "EVENT_FAILED")],
            what="end of the exec")
        self.assertEqual(len(ends), 1, ends)
        self.delete(ident)


class Taking(LeaseCase):
    def test_connection_that_takes_it_holds_it(self):
        first, second = self.connect(), self.connect()
        ident = self.run_leased(first)["id"]
        answer = second.call("Lease", {"lease": self.lease})
        self.assertEqual(answer["containers"], 1)
        first.close()
        # What the first one's close would have killed is dead by the end of
        # one that begins after it.
        self.ctl_ok("run", "--", "/bin/true")
        info = self.client.call("State", {"id": ident})["info"]
        self.assertEqual(info["state"], "STATE_RUNNING")
        second.close()
        self.killed_for_lease(ident)
        self.delete(ident)

    def test_repeated_key_takes_it_with_the_lease_it_names(self):
        first, second = self.connect(), self.connect()
        key = os.urandom(16)
        made = {"spec": spec(*SLEEP, lease=self.lease), "key": key}
        ident = first.call("Run", made)["info"]["id"]
        made["spec"]["lease"] = other = os.urandom(16)
        self.assertEqual(second.call("Run", made)["info"]["id"], ident)
        first.close()
        self.ctl_ok("run", "--", "/bin/true")
        self.assertEqual(self.client.call(
            "Lease", {"lease": self.lease}).get("containers", 0), 0)
        info = self.client.call("State", {"id": ident})["info"]
        self.assertEqual(info["state"], "STATE_RUNNING")
        self.assertEqual(second.call(
            "Lease", {"lease": other})["containers"], 1)
        second.close()
        self.killed_for_lease(ident)
        self.delete(ident)

    def test_key_with_a_lease_is_another_request_than_without(self):
        holder = self.connect()
        key = os.urandom(16)
        made = {"spec": spec(*SLEEP, lease=self.lease), "key": key}
        ident = holder.call("Run", made)["info"]["id"]
        with self.assertRaises(RpcError) as caught:
            self.client.call("Run", {"spec": spec(*SLEEP), "key": key})
        self.assertEqual(caught.exception.detail["code"], "CONFLICT")
        holder.close()
        self.killed_for_lease(ident)
        self.delete(ident)

    def test_lease_of_another_owner_is_none(self):
        holder = self.connect()
        ident = self.run_leased(holder)["id"]
        other = user_client(self.nsx.socket_path, ORDINARY_UID)
        answer = other.call("Lease", {"lease": self.lease})
        self.assertEqual(answer.get("containers", 0), 0)
        other.close()
        self.ctl_ok("run", "--", "/bin/true")
        info = self.client.call("State", {"id": ident})["info"]
        self.assertEqual(info["state"], "STATE_RUNNING")
        holder.close()
        self.killed_for_lease(ident)
        self.delete(ident)

    def test_lease_that_is_no_16_bytes_is_refused(self):
        for method, request in (
                ("Run", {"spec": spec("/bin/true", lease=b"short")}),
                ("Create", {"spec": spec("/bin/true", lease=b"")}),
                ("Explain", {"spec": spec("/bin/true", lease=b"x" * 17)}),
                ("Lease", {"lease": b"x" * 15}), ("Lease", {})):
            with self.subTest(method=method, request=request):
                with self.assertRaises(RpcError) as caught:
                    self.client.call(method, request)
                self.assertEqual(caught.exception.detail["code"],
                                 "INVALID_ARGUMENT")


class Uninterruptible(StuckFuse, LeaseCase):
    """What is in D state dies when it leaves it, and not before."""

    def setUp(self):
        super().setUp()
        self.mount_stuck_file()
        self.file = os.path.join(self.mount, "stuck")

    def sticks(self, pid):
        """It waits for the close of the file; any signal ends the part of
        that wait which a signal can end, and SIGCONT takes this one back."""
        self.assertEqual(self.server.stdout.readline(), b"flush\n")
        os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: stuck_status(pid)[0] == "D", what="D state")
        os.kill(pid, signal.SIGCONT)
        self.assertEqual(stuck_status(pid), ("D", False))

    def goes_with_its_connection(self, holder, ident, pid):
        holder.close()
        for words in (("run", "--rm", "--", "/bin/true"), ("list",)):
            began = time.monotonic()
            self.ctl_ok(*words)
            self.assertLess(time.monotonic() - began, 3 * SLOW, words)
        began = time.monotonic()
        self.client.call("State", {"id": ident})
        self.assertLess(time.monotonic() - began, 1 * SLOW)
        # Killed by now, and for all that still there.
        wait_for(lambda: stuck_status(pid) == ("D", True),
                 what="its SIGKILL")
        self.server.kill()
        wait_for(lambda: not alive(pid), what="its end")

    def told_once(self, ident, kind):
        types = [event["type"] for event in self.events_of(ident)]
        self.assertEqual([name for name in types if name in (
            "EVENT_EXITED", "EVENT_FAILED")], [kind], types)
        self.delete(ident)
        record = os.path.join(self.nsx.dir, "records", f"0:{ident}")
        self.assertFalse(os.path.exists(record))

    def stuck_stage(self):
        known = set(all_children(self.nsx.spawner_pid()))
        holder = self.connect()
        made = spec("/bin/true", lease=self.lease, id="dstate")
        made["process"]["stdin"] = {"kind": "STDIO_PATH",
                                    "path": self.file.encode()}
        holder.send_request("Run", {"spec": made})
        pid = wait_for(lambda: next((
            pid for pid in all_children(self.nsx.spawner_pid())
            if pid not in known and comm(pid) == "nsx:[init]"), None),
            what="the stage")
        return holder, pid

    def test_stage_is_killed_as_soon_as_it_can_be(self):
        """In the midst of its execve(2), which closes the file that became
        its stdin. The kernel counts it as executed by then."""
        holder, pid = self.stuck_stage()
        self.sticks(pid)
        self.assertEqual(comm(pid), "nsx:[init]")
        self.goes_with_its_connection(holder, "dstate", pid)
        self.killed_for_lease("dstate")
        self.told_once("dstate", "EVENT_EXITED")

    def test_container_is_killed_as_soon_as_it_can_be(self):
        holder = self.connect()
        info = self.run_leased(holder, "/bin/sh", "-c",
                               f"exec 3<{self.file}; exec 3<&-; sleep 100")
        self.sticks(info["pid"])
        self.goes_with_its_connection(holder, info["id"], info["pid"])
        self.killed_for_lease(info["id"])
        self.told_once(info["id"], "EVENT_EXITED")


class Restart(LeaseCase):
    """nsexecd's own end closes no connection of a caller's."""
    AUDIT = False

    def setUp(self):
        super().setUp()
        self.addCleanup(wait_for, lambda: not self.nsx.cgroups(), 10,
                        "no cgroup left")

    def again(self, sig=signal.SIGKILL):
        self.nsx.kill_nsexecd(sig)
        self.client = self.connect()
        return time.monotonic()

    def test_held_again_within_the_grace_it_lives_on(self):
        holder = self.connect()
        ident = self.run_leased(holder)["id"]
        created = holder.call("Create", {"spec": spec(
            "/bin/sh", "-c", "exit 4", lease=self.lease)})["info"]["id"]
        since = self.again()
        holder = self.connect()
        answer = holder.call("Lease", {"lease": self.lease})
        self.assertEqual(answer["containers"], 2)
        left = since + GRACE + 1 - time.monotonic()
        time.sleep(max(left, 0))
        info = self.client.call("State", {"id": ident})["info"]
        self.assertEqual(info["state"], "STATE_RUNNING")
        self.client.call("Start", {"id": created})
        self.assertEqual(self.exit_of(created).get("code"), 4)
        holder.close()
        self.killed_for_lease(ident)
        self.delete(ident)
        self.delete(created)

    def test_over_a_reload_the_connection_holds_it_as_before(self):
        holder = self.connect()
        ident = self.run_leased(holder)["id"]
        old = self.nsx.nsexecd_pid()
        os.kill(old, signal.SIGHUP)
        wait_for(lambda: self.nsx.nsexecd_pid() not in (None, old) and
                 self.nsx.answers(), 15, "a successor")
        time.sleep(GRACE + 1)
        info = holder.call("State", {"id": ident})["info"]
        self.assertEqual(info["state"], "STATE_RUNNING")
        holder.close()
        self.killed_for_lease(ident)
        self.delete(ident)

    def test_not_held_again_it_is_killed_after_the_grace(self):
        holder = self.connect()
        ident = self.run_leased(holder)["id"]
        made = spec("/bin/true", lease=os.urandom(16))
        created = holder.call("Create", {"spec": made})["info"]["id"]
        self.again()
        began = time.monotonic()
        self.killed_for_lease(ident)
        took = time.monotonic() - began
        self.assertGreater(took, GRACE - 3)
        self.assertLess(took, (GRACE + 3) * SLOW)
        self.assertEqual(self.failure_of(created)["code"], "CANCELLED")
        self.delete(ident)
        self.delete(created)

    def test_repeated_run_within_the_grace_holds_it(self):
        key = os.urandom(16)
        made = {"spec": spec(*SLEEP, lease=self.lease), "key": key}
        ident = self.connect().call("Run", made)["info"]["id"]
        since = self.again()
        holder = self.connect()
        self.assertEqual(holder.call("Run", made)["info"]["id"], ident)
        time.sleep(max(since + GRACE + 1 - time.monotonic(), 0))
        info = self.client.call("State", {"id": ident})["info"]
        self.assertEqual(info["state"], "STATE_RUNNING")
        holder.close()
        self.killed_for_lease(ident)
        self.delete(ident)

    def test_clean_end_of_nsexecd_kills_nothing_either(self):
        holder = self.connect()
        ident = self.run_leased(holder)["id"]
        self.nsx.launcher.send_signal(signal.SIGTERM)
        self.assertEqual(self.nsx.launcher.wait(30 * SLOW), 0)
        with self.assertRaises(Closed):
            holder.recv_frame()
        self.nsx.launcher = None
        self.nsx.start()
        self.client = self.connect()
        info = self.client.call("State", {"id": ident})["info"]
        self.assertEqual(info["state"], "STATE_RUNNING")
        holder = self.connect()
        self.assertEqual(holder.call(
            "Lease", {"lease": self.lease})["containers"], 1)
        holder.close()
        self.killed_for_lease(ident)
        self.delete(ident)

    def test_lost_while_the_spawner_stands_still_it_is_killed_after_all(self):
        """The kill is on record: nsexecd's end in between changes nothing."""
        holder = self.connect()
        info = self.run_leased(holder)
        spawner, worker = self.nsx.spawner_pid(), self.nsx.nsexecd_pid()
        os.kill(spawner, signal.SIGSTOP)
        try:
            wait_for(lambda: proc_state(spawner) == "T", what="a stop")
            record = os.path.join(self.nsx.dir, "records",
                                  f"0:{info['id']}")
            size = os.path.getsize(record)
            holder.close()
            wait_for(lambda: os.path.getsize(record) > size,
                     what="the loss on record")
            os.kill(worker, signal.SIGKILL)
        finally:
            os.kill(spawner, signal.SIGCONT)
        wait_for(lambda: self.nsx.nsexecd_pid() not in (None, worker) and
                 self.nsx.answers(), 15, "a new nsexecd")
        self.client = self.connect()
        # Nobody brings it back.
        self.client.call("Lease", {"lease": self.lease})
        self.killed_for_lease(info["id"])
        self.delete(info["id"])

    def test_kill_that_a_dying_spawner_did_not_do_is_done_by_the_next(self):
        holder = self.connect()
        info = self.run_leased(holder)
        spawner = self.nsx.spawner_pid()
        os.kill(spawner, signal.SIGSTOP)
        wait_for(lambda: proc_state(spawner) == "T", what="a stop")
        holder.close()
        time.sleep(0.3)
        self.assertTrue(alive(info["pid"]))
        os.kill(spawner, signal.SIGKILL)
        wait_for(lambda: not alive(spawner), what="its death")
        subprocess.run(self.nsx.command() + ["--detach"], check=True,
                       timeout=60 * SLOW, stdin=subprocess.DEVNULL,
                       env=self.nsx.env, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        wait_for(lambda: not alive(info["pid"]), 15, "its kill")
        self.client = self.connect()
        self.client.call("Wait", {"id": info["id"], "timeout_ms": 20000})
        self.delete(info["id"])


if __name__ == "__main__":
    main()
