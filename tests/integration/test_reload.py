# SPDX-License-Identifier: Apache-2.0
"""What subscribers and connections see of nsexecd's crash and of its reload."""
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from harness import TestCase, alive, main, wait_for  # noqa: E402
from ttrpc_client import (HEADER, REMOTE_CLOSED, REQUEST,  # noqa: E402
                          Client, RpcError)


def line(event):
    return event.get("type"), event.get("container")


class Crash(TestCase):
    """kill -9 of nsexecd: the ring of events is kept by the spawner."""
    AUDIT = False

    def setUp(self):
        super().setUp()
        self.first = 1
        self.first = self.events()[-1]["seq"] + 1

    def events(self):
        """Of this test."""
        return self.ctl_ok("events", "--from", str(self.first), "--no-follow",
                           "--json").jsonl()

    def numbers_go_on(self, events):
        self.assertEqual([e["seq"] for e in events],
                         list(range(self.first, self.first + len(events))))
        self.assertEqual(len({e["epoch"] for e in events}), 1)

    def test_every_event_is_there_once_after_five_deaths(self):
        expected = []
        self.ctl_ok("run", "-d", "--name", "long", "--", "/bin/sleep", "100")
        for _ in range(5):
            self.ctl_ok("run", "--", "/bin/true")
            before = [(e["seq"], line(e)) for e in self.events()]
            self.assertEqual(before[:len(expected)], expected)
            expected = before
            self.nsx.kill_nsexecd()
        events = self.events()
        self.numbers_go_on(events)
        self.assertEqual([(e["seq"], line(e)) for e in events], expected)
        types = [e["type"] for e in events]
        # the long one, told once, though each nsexecd has found it anew
        self.assertEqual(types.count("started"), 6, events)
        self.assertNotIn("gap", types)
        self.ctl_ok("delete", "-f", "long")

    def test_exit_while_away_has_the_next_number(self):
        self.ctl_ok("run", "-d", "--name", "down", "--", "/bin/sh", "-c",
                    "sleep 0.3; exit 33")
        worker = self.nsx.nsexecd_pid()
        pid = self.ctl_ok("state", "down").json()["pid"]
        seen = self.events()
        os.kill(worker, signal.SIGSTOP)
        wait_for(lambda: not alive(pid), 10, "exit of the payload")
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: self.nsx.nsexecd_pid() not in (None, worker) and
                 self.nsx.answers(), 15, "a new nsexecd")
        self.assertEqual(self.ctl_ok("wait", "down").out.strip(), "33")
        events = self.events()
        self.assertEqual([(e["seq"], e["type"]) for e in events[len(seen):]],
                         [(self.first + len(seen), "exited")])
        self.ctl_ok("delete", "down")

    def test_subscriber_resumes_by_epoch_and_number(self):
        self.ctl_ok("run", "--", "/bin/true")
        client = Client(self.nsx.socket_path)
        self.addCleanup(client.close)
        first = client.call("NextEvents", {"filter": {"from_seq": self.first}})
        self.nsx.kill_nsexecd()
        self.ctl_ok("run", "--", "/bin/true")
        again = Client(self.nsx.socket_path)
        self.addCleanup(again.close)
        second = again.call("NextEvents", {"filter": {
            "epoch": first["epoch"], "from_seq": first["next_seq"]}})
        self.assertEqual(
            [e["seq"] for e in first["events"] + second["events"]],
            list(range(self.first, self.first + 8)))

    def test_new_spawner_keeps_the_ring_as_well(self):
        self.ctl_ok("run", "--", "/bin/true")
        old = self.nsx.spawner_pid()
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: self.nsx.spawner_pid() not in (None, old), 20,
                 f"a new spawner: {self.nsx.log()}")
        self.ctl_ok("run", "--", "/bin/true")
        self.nsx.kill_nsexecd()
        self.ctl_ok("run", "--", "/bin/true")
        events = self.events()
        self.numbers_go_on(events)
        # whether run's own clean-up came through is another matter
        self.assertEqual([e["type"] for e in events if
                          e["type"] != "deleted"],
                         ["created", "started", "exited"] * 3)

    def test_numbers_show_a_gap_where_nobody_kept_the_ring(self):
        """The spawner dies with it: the records alone decide."""
        self.ctl_ok("run", "--", "/bin/true")
        epoch = self.events()[0]["epoch"]
        spawner, worker = self.nsx.spawner_pid(), self.nsx.nsexecd_pid()
        os.kill(worker, signal.SIGSTOP)
        os.kill(spawner, signal.SIGKILL)
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: self.nsx.nsexecd_pid() not in (None, worker) and
                 self.nsx.answers(), 20, f"a new nsexecd: {self.nsx.log()}")
        self.ctl_ok("run", "--", "/bin/true")
        events = self.events()
        self.assertEqual(events[0]["type"], "gap")
        self.assertEqual(events[0]["from"], self.first)
        self.assertEqual({e["epoch"] for e in events}, {epoch})
        numbers = [e["seq"] for e in events[1:]]
        self.assertEqual(numbers[:4], list(range(events[0]["to"] + 1,
                                                 events[0]["to"] + 5)))


def true_spec():
    return {"process": {"args": [b"/bin/true"]}}


class Load(threading.Thread):
    """Run, Wait, Delete over and over on one connection."""

    def __init__(self, path):
        super().__init__()
        self.client = Client(path, timeout=20)
        self.ids, self.error, self.stop = [], None, False
        self.start()

    def run(self):
        try:
            while not self.stop:
                made = self.client.call("Run", {"spec": true_spec()})
                ident = made["info"]["id"]
                end = self.client.call("Wait", {"id": ident})["exit"]
                if end.get("code"):
                    raise AssertionError(f"exit {end}")
                self.client.call("Delete", {"id": ident})
                self.ids.append(ident)
        except Exception as error:  # pylint: disable=broad-except
            self.error = error
        finally:
            self.client.close()


class Stream(threading.Thread):
    """Reads an event stream until it has seen an event of this container."""

    def __init__(self, client, until):
        super().__init__()
        self.client, self.until = client, until
        self.events, self.error = [], None
        self.start()

    def run(self):
        try:
            for event in self.client.stream("Events", {"from_seq": 1}):
                self.events.append(event)
                if event.get("name") == self.until and \
                        event["type"] == "EVENT_DELETED":
                    return
        except Exception as error:  # pylint: disable=broad-except
            self.error = error


class ReloadCase(TestCase):
    AUDIT = False

    def client(self):
        client = Client(self.nsx.socket_path, timeout=20)
        self.addCleanup(client.close)
        return client

    def reload(self):
        old = self.nsx.nsexecd_pid()
        os.kill(old, signal.SIGHUP)
        wait_for(lambda: self.nsx.nsexecd_pid() not in (None, old), 20,
                 f"a successor:\n{self.nsx.log()}")
        wait_for(lambda: not alive(old), 10, "the end of the old one")


class Reload(ReloadCase):
    """HUP: a successor takes over, and connections do not notice."""
    ROUNDS = 20

    def begin_half(self, client):
        """Half of a request; the other half."""
        stream = client.next_id
        client.next_id += 2
        data = client.envelope("Version", {})
        frame = HEADER.pack(len(data), stream, REQUEST, REMOTE_CLOSED) + data
        client.sock.sendall(frame[:len(frame) // 2])
        return frame[len(frame) // 2:]

    def test_connections_live_on_over_twenty_reloads_under_load(self):
        self.ctl_ok("run", "-d", "--name", "long", "--", "/bin/sleep", "1000")
        waiting, half, slow, poll = (self.client() for _ in range(4))
        wait = waiting.send_request("Wait", {"id": "long"})
        rest = self.begin_half(half)
        # More answers than the socket takes: the rest waits in nsexecd.
        asked = [slow.send_request("Version", {}) for _ in range(1000)]
        poll.send_request("NextEvents", {"filter": {
            "containers": ["long"], "types": ["EVENT_EXITED"]}})
        stream = Stream(self.client(), "last")
        load = [Load(self.nsx.socket_path) for _ in range(2)]
        worst = 0
        for _ in range(self.ROUNDS):
            begin = time.monotonic()
            self.reload()
            half.sock.sendall(rest)
            half.recv_response()
            worst = max(worst, time.monotonic() - begin)
            rest = self.begin_half(half)
            ran = [len(thread.ids) + 2 for thread in load]
            wait_for(lambda r=ran: all(t.error or len(t.ids) >= n
                                       for t, n in zip(load, r)), 20, "runs")
        for thread in load:
            thread.stop = True
        for thread in load:
            thread.join(60)
            self.assertIsNone(thread.error, self.nsx.log())
        self.assertEqual([slow.recv_response()[0] for _ in asked], asked)
        self.ctl_ok("kill", "-s", "KILL", "long")
        got, payload = waiting.recv_response()
        self.assertEqual(got, wait)
        self.assertEqual(waiting.decode("Wait", payload)["exit"]["signal"], 9)
        _, payload = poll.recv_response()
        self.assertEqual([e["name"] for e in poll.decode(
            "NextEvents", payload)["events"]], ["long"])
        self.ctl_ok("delete", "long")
        self.ctl_ok("run", "--name", "last", "--", "/bin/true")
        stream.join(60)
        self.assertIsNone(stream.error, self.nsx.log())
        self.every_event_once(stream.events, load)
        print(f"# {self.ROUNDS} reloads, {sum(len(t.ids) for t in load)} runs,"
              f" the longest took {worst * 1000:.0f} ms")

    def every_event_once(self, events, load):
        self.assertEqual([e["seq"] for e in events],
                         list(range(1, len(events) + 1)))
        lives = {}
        for event in events:
            lives.setdefault(event["container"], []).append(event["type"])
        for thread in load:
            self.assertGreater(len(thread.ids), self.ROUNDS)
            for ident in thread.ids:
                self.assertEqual(lives[ident], [
                    "EVENT_CREATED", "EVENT_STARTED", "EVENT_EXITED",
                    "EVENT_DELETED"])

    def test_descriptors_on_their_way_arrive_after_it(self):
        client = self.client()
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        token, channel = client.pass_fds([writer])
        os.close(writer)
        self.addCleanup(channel.close)
        self.reload()
        made = {"process": {"args": [b"/bin/echo", b"through"],
                            "stdout": {"kind": "STDIO_FD", "fd_index": 0}}}
        ident = client.call("Run", {"spec": made, "fd_token": token,
                                    "n_fds": 1})["info"]["id"]
        self.assertEqual(os.read(reader, 100), b"through\n")
        client.call("Wait", {"id": ident})
        client.call("Delete", {"id": ident})

    def test_created_container_and_its_parked_delete_go_on(self):
        self.ctl_ok("create", "--name", "gate", "--", "/bin/sh", "-c",
                    "exit 5")
        client = self.client()
        wait = client.send_request("Wait", {"id": "gate"})
        self.reload()
        self.ctl_ok("start", "gate")
        got, payload = client.recv_response()
        self.assertEqual(
            (got, client.decode("Wait", payload)["exit"]["code"]), (wait, 5))
        self.ctl_ok("delete", "gate")

    def test_wait_keeps_its_own_timeout(self):
        self.ctl_ok("run", "-d", "--name", "slow", "--", "/bin/sleep", "1000")
        client = self.client()
        begin = time.monotonic()
        client.send_request("Wait", {"id": "slow", "timeout_ms": 1500})
        self.reload()
        with self.assertRaises(RpcError) as caught:
            client.recv_response()
        self.assertEqual(caught.exception.detail["code"], "DEADLINE")
        self.assertGreater(time.monotonic() - begin, 1.4)
        self.ctl_ok("delete", "-f", "slow")

    def test_killed_while_it_hands_over_loses_nothing_but_connections(self):
        first = self.ctl_ok("events", "--from", "1", "--no-follow",
                            "--json").jsonl()[-1]["seq"] + 1
        for step in range(20):
            self.ctl_ok("run", "--", "/bin/true")
            client = self.client()
            client.send_request("NextEvents", {"filter": {
                "types": ["EVENT_FAILED"]}})
            old = self.nsx.nsexecd_pid()
            os.kill(old, signal.SIGHUP)
            time.sleep(step * 0.0001)
            try:
                os.kill(old, signal.SIGKILL)
            except ProcessLookupError:
                pass
            wait_for(lambda o=old: self.nsx.nsexecd_pid() not in (None, o) and
                     self.nsx.answers(), 20, f"a new one:\n{self.nsx.log()}")
        events = self.ctl_ok("events", "--from", str(first), "--no-follow",
                             "--json").jsonl()
        self.assertEqual([e["seq"] for e in events],
                         list(range(first, first + len(events))))
        # run does not wait for its Delete to be answered
        self.assertEqual([e["type"] for e in events
                          if e["type"] != "deleted"],
                         20 * ["created", "started", "exited"])
        for name in self.ctl_ok("list", "-q").lines():
            self.ctl_ok("delete", name)


class Hurried(ReloadCase):
    """What is in flight longer than a reload waits for it."""

    @classmethod
    def setUpClass(cls):
        path = f"/tmp/nsxreload-{os.getpid()}.conf"
        with open(path, "w", encoding="ascii") as f:
            f.write('{"limits": {"drain_timeout_ms": 200}}')
        cls.ARGS = ("--config", path)
        try:
            super().setUpClass()
        finally:
            cls.addClassCleanup(os.unlink, path)

    def test_start_that_takes_too_long_is_aborted_on_its_own_connection(self):
        client = self.client()
        # Its stage waits for descriptors that nobody sends. So much of an
        # argument makes it a child of the spawner, whose name it has at first.
        token, channel = client.pass_fds([])
        self.addCleanup(channel.close)
        stream = client.send_request("Run", {
            "spec": {"process": {
                "args": [b"/bin/true", b"a" * 20000],
                "stdout": {"kind": "STDIO_FD", "fd_index": 0}}, "id": "held"},
            "fd_token": token, "n_fds": 1})
        wait_for(lambda: "held" in self.ctl_ok("list", "-q").out or
                 self.nsx.cgroups(), 10, "a start under way")
        self.reload()
        with self.assertRaises(RpcError) as caught:
            client.recv_response()
        self.assertEqual(caught.exception.detail["code"], "ABORTED_RESTART",
                         caught.exception)
        self.assertEqual(stream, 1)
        self.assertEqual(client.call("Version", {})["api"], "nsexec.v1")
        self.ctl("delete", "-f", "held")
        types = [e["type"] for e in self.ctl_ok(
            "events", "--from", "1", "--no-follow", "--json").jsonl()
                 if e["container"] == "held"]
        self.assertNotIn("started", types)

    def test_spawner_that_does_not_answer_puts_the_reload_off(self):
        spawner, old = self.nsx.spawner_pid(), self.nsx.nsexecd_pid()
        client = self.client()
        client.call("Version", {})
        os.kill(spawner, signal.SIGSTOP)
        try:
            os.kill(old, signal.SIGHUP)
            time.sleep(0.5)
            client.call("Version", {})
            self.assertEqual(self.nsx.nsexecd_pid(), old)
        finally:
            os.kill(spawner, signal.SIGCONT)
        wait_for(lambda: self.nsx.nsexecd_pid() not in (None, old), 20,
                 "a successor")
        client.call("Version", {})

    def test_two_thousand_connections_are_taken_over(self):
        clients = [self.client() for _ in range(2000)]
        for client in clients:
            client.call("Version", {})
        begin = time.monotonic()
        self.reload()
        took = time.monotonic() - begin
        for client in clients:
            client.call("Version", {})
        print(f"# {len(clients)} connections: {took * 1000:.0f} ms")


if __name__ == "__main__":
    main()
