#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Starts that are given up, callers that leave, and parts that stand still.

Cancel in every state, a connection that closes in every phase, deadlines, and
stages or payloads that are stopped: each has one end, in time, and nobody
else waits for it. More of it: test_threats_payload.py
(row 26: stages that their caller stops), test_threats_daemon.py (row 15: a
descriptor whose close never ends), test_stuck_exec.py, test_frames.py (frames
and fd channels that never come), test_spawner_who.py (looks).
"""
import contextlib
import os
import signal
import socket
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
# pylint: disable=wrong-import-position
from harness import (ORDINARY_UID, SLOW, TestCase, alive,  # noqa: E402
                     all_children, children, comm, main, proc_state, wait_for)
from test_fairness import spec as user_spec  # noqa: E402
from test_fairness import acting_as, user_client  # noqa: E402
from test_lease import LeaseCase, spec  # noqa: E402
from ttrpc_client import RpcError  # noqa: E402

SLEEP = ("/bin/sleep", "100")


def waits_at_fifo(spawner):
    """The stage that waits in open(2), or None."""
    for pid in all_children(spawner):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/wchan", encoding="ascii") as f:
                if f.read() == "wait_for_partner":
                    return pid
    return None


class HalfDead(LeaseCase):
    def setUp(self):
        super().setUp()
        self.fifo = os.path.join(self.nsx.base, f"fifo-{self.id()}")
        self.ran = os.path.join(self.nsx.base, f"ran-{self.id()}")

    def stuck_start(self, client, method="Run", **more):
        """Init waits for the fifo's other end: (its container, its pid).

        The gate of a Run is open by then; a Create waits in front of it.
        """
        os.mkfifo(self.fifo)
        ident = "stuck-" + os.urandom(4).hex()
        made = spec("/bin/sh", "-c", f"echo >{self.ran}", id=ident,
                    lease=more.pop("lease", None))
        made["process"]["stdin"] = {"kind": "STDIO_PATH",
                                    "path": self.fifo.encode()}
        client.send_request(method, {"spec": made, **more})
        return ident, self.waiting_stage()

    def waiting_stage(self):
        return wait_for(lambda: waits_at_fifo(self.nsx.spawner_pid()),
                        what="a stage that waits")

    def failure(self, client):
        with self.assertRaises(RpcError) as caught:
            client.recv_response()
        return caught.exception.detail

    def nothing_ran(self, pid, ident):
        wait_for(lambda: not alive(pid), what="end of the stage")
        self.assertFalse(os.path.exists(self.ran))
        types = [event["type"] for event in self.events_of(ident)]
        self.assertEqual(types.count("EVENT_FAILED"), 1, types)
        self.assertNotIn("EVENT_STARTED", types)
        self.delete(ident)
        if os.path.exists(self.fifo):
            os.unlink(self.fifo)


class Cancelled(HalfDead):
    def test_start_in_its_set_up_ends_as_cancelled(self):
        for method in ("Create", "Run"):
            with self.subTest(method=method):
                other = self.connect()
                key = os.urandom(16)
                ident, pid = self.stuck_start(other, method, key=key)
                answer = self.client.call("Cancel", {"key": key})
                self.assertTrue(answer["cancelled"])
                self.assertEqual(self.failure(other)["code"], "CANCELLED")
                self.nothing_ran(pid, ident)
                other.close()

    def test_created_container_is_cancelled_by_its_id(self):
        info = self.client.call("Create", {"spec": spec(
            "/bin/sh", "-c", f"echo >{self.ran}")})["info"]
        self.assertTrue(self.client.call(
            "Cancel", {"id": info["id"]})["cancelled"])
        self.assertEqual(self.failure_of(info["id"])["code"], "CANCELLED")
        self.nothing_ran(info["pid"], info["id"])

    def test_what_runs_or_is_over_is_not_cancelled(self):
        ident = self.client.call("Run", {"spec": spec(*SLEEP)})["info"]["id"]
        self.assertFalse(self.client.call(
            "Cancel", {"id": ident}).get("cancelled"))
        info = self.client.call("State", {"id": ident})["info"]
        self.assertEqual(info["state"], "STATE_RUNNING")
        self.client.call("Signal", {"id": ident, "signal": 9})
        end = self.exit_of(ident)
        self.assertEqual((end["signal"], end.get("reason")), (9, None))
        self.assertFalse(self.client.call(
            "Cancel", {"id": ident}).get("cancelled"))
        self.delete(ident)

    def test_key_that_made_nothing_is_not_found(self):
        with self.assertRaises(RpcError) as caught:
            self.client.call("Cancel", {"key": os.urandom(16)})
        self.assertEqual(caught.exception.detail["code"], "NOT_FOUND")


class Disconnected(HalfDead):
    """Without a lease, what was accepted goes on without its caller."""

    def test_half_a_request_is_none(self):
        other = self.connect()
        data = other.envelope("Run", {"spec": spec(
            "/bin/sh", "-c", f"echo >{self.ran}", id="half")})
        header = len(data).to_bytes(4, "big") + b"\0\0\0\1\1\0"
        other.sock.sendall(header + data[:-1])
        other.close()
        self.ctl_ok("run", "--", "/bin/true")
        with self.assertRaises(RpcError) as caught:
            self.client.call("State", {"id": "half"})
        self.assertEqual(caught.exception.detail["code"], "NOT_FOUND")
        self.assertFalse(os.path.exists(self.ran))

    def test_start_in_its_set_up_goes_on_to_its_end(self):
        other = self.connect()
        key = os.urandom(16)
        ident, _ = self.stuck_start(other, key=key)
        other.close()
        self.ctl_ok("run", "--", "/bin/true")
        info = self.client.call("State", {"id": ident})["info"]
        self.assertNotEqual(info["state"], "STATE_STOPPED")
        with open(self.fifo, "wb"):
            self.assertEqual(self.exit_of(ident).get("code"), 0)
        self.assertTrue(os.path.exists(self.ran))
        self.delete(ident)
        os.unlink(self.fifo)

    def test_created_and_running_containers_stay(self):
        other = self.connect()
        created = other.call("Create", {"spec": spec(*SLEEP)})["info"]["id"]
        running = other.call("Run", {"spec": spec(*SLEEP)})["info"]["id"]
        other.send_request("Wait", {"id": running})
        other.send_request("Delete", {"id": created})
        other.close()
        self.ctl_ok("run", "--", "/bin/true")
        for ident, state in ((created, "STATE_CREATED"),
                             (running, "STATE_RUNNING")):
            info = self.client.call("State", {"id": ident})["info"]
            self.assertEqual(info["state"], state)
            self.delete(ident, force=True)


class Deadlines(HalfDead):
    def late(self, began, least):
        self.assertGreaterEqual(time.monotonic() - began, least)
        self.assertLess(time.monotonic() - began, (least + 3) * SLOW)

    def test_set_up_that_never_ends_is_ended(self):
        for method, step in (("Create", "set-up"), ("Run", "set-up")):
            with self.subTest(method=method):
                other = self.connect()
                began = time.monotonic()
                ident, pid = self.stuck_start(other, method, timeout_ms=700)
                detail = self.failure(other)
                self.assertEqual((detail["code"], detail["step"]),
                                 ("DEADLINE", step), detail)
                self.late(began, 0.7)
                self.nothing_ran(pid, ident)
                other.close()

    def test_stage_that_root_stops_is_ended(self):
        other = self.connect()
        began = time.monotonic()
        ident, pid = self.stuck_start(other, timeout_ms=700)
        os.kill(pid, signal.SIGSTOP)
        self.assertEqual(self.failure(other)["code"], "DEADLINE")
        self.late(began, 0.7)
        self.nothing_ran(pid, ident)

    def test_spawner_that_stands_still_fails_the_start_in_time(self):
        spawner = self.nsx.spawner_pid()
        # Known to it by now: the question who it is would wait, too.
        self.client.call("Version", {})
        os.kill(spawner, signal.SIGSTOP)
        try:
            wait_for(lambda: proc_state(spawner) == "T", what="a stop")
            began = time.monotonic()
            with self.assertRaises(RpcError) as caught:
                self.client.call("Run", {"spec": spec(
                    "/bin/sh", "-c", f"echo >{self.ran}", id="late"),
                    "timeout_ms": 700})
            detail = caught.exception.detail
            self.assertEqual((detail["code"], detail["step"]),
                             ("DEADLINE", "spawn"), detail)
            self.late(began, 0.7)
        finally:
            os.kill(spawner, signal.SIGCONT)
        # It was sent, and is killed when the spawner comes to it.
        self.client.call("Delete", {"id": "late", "force": True})
        self.assertFalse(os.path.exists(self.ran))

    def test_wait_has_a_deadline_of_its_own(self):
        ident = self.client.call("Run", {"spec": spec(*SLEEP)})["info"]["id"]
        began = time.monotonic()
        with self.assertRaises(RpcError) as caught:
            self.client.call("Wait", {"id": ident, "timeout_ms": 300})
        self.assertEqual(caught.exception.detail["code"], "DEADLINE")
        self.late(began, 0.3)
        self.delete(ident, force=True)


class Mapper(HalfDead):
    """An ordinary caller's maps are written by a process of their own."""

    def waits_for_its_pid(self):
        """(relay, mapper); the relay waits for the caller's descriptors."""
        for relay in all_children(self.nsx.spawner_pid()):
            for pid in children(relay):
                if comm(pid) == "nsx:[mapper]":
                    return relay, pid
        return None

    def user(self):
        client = user_client(self.nsx.socket_path, ORDINARY_UID)
        self.addCleanup(client.close)
        return client

    def test_mapper_that_hangs_is_ended_with_its_start(self):
        other = self.user()
        with acting_as(ORDINARY_UID):  # a token is of who sent it
            token, channel = other.pass_fds([])
        self.addCleanup(channel.close)
        began = time.monotonic()
        made = user_spec("/bin/true", id="mapped")
        made["process"]["stdin"] = {"kind": "STDIO_FD", "fd_index": 0}
        other.send_request("Run", {"spec": made, "fd_token": token,
                                   "n_fds": 1, "timeout_ms": 1500})
        relay, mapper = wait_for(self.waits_for_its_pid, what="a mapper")
        os.kill(mapper, signal.SIGSTOP)
        wait_for(lambda: proc_state(mapper) == "T", what="a stop")
        # Now the relay goes on, clones init, and asks for the maps.
        with open("/dev/null", "rb") as null:
            socket.send_fds(channel, [b"F"], [null.fileno()])
        detail = self.failure(other)
        self.assertEqual((detail["code"], detail["step"]),
                         ("DEADLINE", "set-up"), detail)
        self.assertGreaterEqual(time.monotonic() - began, 1.5)
        self.assertLess(time.monotonic() - began, 4.5 * SLOW)
        for pid in (mapper, relay):
            wait_for(lambda p=pid: not alive(p), what="end of the stages")
        ident = other.call("Run", {"spec": user_spec("/bin/true")})["info"][
            "id"]
        self.assertEqual(other.call("Wait", {"id": ident})["exit"].get(
            "code", 0), 0)
        for name in ("mapped", ident):
            other.call("Delete", {"id": name})
        self.assertEqual([name for name in os.listdir(os.path.join(
            self.nsx.dir, "records")) if name.endswith(":mapped")], [])


class Stopped(HalfDead):
    """SIGKILL ends what is stopped; that is all a lease needs."""

    def test_stopped_stage_goes_with_its_lease(self):
        for method in ("Create", "Run"):
            with self.subTest(method=method):
                holder = self.connect()
                ident, pid = self.stuck_start(holder, method,
                                              lease=self.lease)
                os.kill(pid, signal.SIGSTOP)
                wait_for(lambda p=pid: proc_state(p) == "T", what="a stop")
                holder.close()
                self.assertEqual(self.failure_of(ident)["code"], "CANCELLED")
                self.nothing_ran(pid, ident)

    def test_stopped_container_goes_with_its_lease(self):
        holder = self.connect()
        info = self.run_leased(holder)
        self.client.call("Signal", {"id": info["id"],
                                    "signal": signal.SIGSTOP})
        wait_for(lambda: proc_state(info["pid"]) == "T", what="a stop")
        holder.close()
        self.killed_for_lease(info["id"])
        self.delete(info["id"])

    def test_stage_stopped_at_its_gate_is_cancelled(self):
        info = self.client.call("Create", {"spec": spec(*SLEEP)})["info"]
        os.kill(info["pid"], signal.SIGSTOP)
        wait_for(lambda: proc_state(info["pid"]) == "T", what="a stop")
        self.assertTrue(self.client.call(
            "Cancel", {"id": info["id"]})["cancelled"])
        self.nothing_ran(info["pid"], info["id"])


class Drain(TestCase):
    AUDIT = False

    def test_start_that_never_ends_does_not_hold_up_the_end_of_nsexecd(self):
        fifo = os.path.join(self.nsx.base, "fifo")
        os.mkfifo(fifo)
        ctl = self.nsx.ctl_start("run", "--name", "drained", "--stdin",
                                 fifo, "--", "/bin/true")
        try:
            wait_for(lambda: waits_at_fifo(self.nsx.spawner_pid()),
                     what="a stage that waits")
            began = time.monotonic()
            self.nsx.launcher.send_signal(signal.SIGTERM)
            self.assertEqual(self.nsx.launcher.wait(30 * SLOW), 0)
            self.assertLess(time.monotonic() - began, 9 * SLOW)
        finally:
            ctl.kill()
            ctl.communicate()
        self.nsx.launcher = None
        self.nsx.start()
        self.ctl("delete", "-f", "drained")
        wait_for(lambda: not self.nsx.cgroups(), 10, "no cgroup left")


if __name__ == "__main__":
    main()
