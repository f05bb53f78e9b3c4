# SPDX-License-Identifier: Apache-2.0
"""What subscribers and connections see of nsexecd's crash and of its reload."""
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from harness import TestCase, alive, main, wait_for  # noqa: E402
from ttrpc_client import Client  # noqa: E402


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


if __name__ == "__main__":
    main()
