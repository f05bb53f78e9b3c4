# SPDX-License-Identifier: Apache-2.0
"""The event stream: gapless, resumable, and never stalled by a reader."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from harness import ORDINARY_UID, SLOW, TestCase, main  # noqa: E402
from ttrpc_client import Client  # noqa: E402

SPEC = {"process": {"args": [b"/bin/true"], "env": [b"PATH=/bin"]}}


class EventCase(TestCase):
    def setUp(self):
        super().setUp()
        self.client = Client(self.nsx.socket_path)
        self.addCleanup(self.client.close)
        self.last = self.client.call("Version", {}).get("last_seq", 0)

    def start_one(self, **more):
        """Run to the end and delete; its id."""
        ident = self.client.call("Run", {"spec": {**SPEC, **more}})["info"][
            "id"]
        self.client.call("Wait", {"id": ident})
        self.client.call("Delete", {"id": ident})
        return ident

    def since(self, seq, **more):
        """All events from seq on, by long-poll until there is none."""
        found = []
        while True:
            answer = self.client.call("NextEvents", {
                "filter": {"from_seq": seq, **more}, "timeout_ms": 0})
            found += answer.get("events", [])
            if not answer.get("events"):
                return found
            seq = answer["next_seq"]


class Polling(EventCase):
    def test_numbers_have_no_holes(self):
        for _ in range(10):
            self.start_one()
        events = self.since(self.last + 1)
        self.assertEqual([event["seq"] for event in events],
                         list(range(self.last + 1, self.last + 41)))

    def test_life_of_a_container_is_told_in_order(self):
        ident = self.start_one()
        events = self.since(self.last + 1, containers=[ident])
        self.assertEqual([event["type"] for event in events],
                         ["EVENT_CREATED", "EVENT_STARTED", "EVENT_EXITED",
                          "EVENT_DELETED"])
        times = [event["boottime_ns"] for event in events]
        self.assertEqual(times, sorted(times))
        self.assertEqual(events[2]["exit"].get("code"), 0)
        self.assertIn("rusage", events[2]["exit"])

    def test_resume_from_a_number_gives_the_rest(self):
        for _ in range(3):
            self.start_one()
        whole = self.since(self.last + 1)
        self.assertEqual(self.since(self.last + 6), whole[5:])

    def test_filter_by_type_gives_only_that(self):
        for _ in range(3):
            self.start_one()
        events = self.since(self.last + 1, types=["EVENT_EXITED"])
        self.assertEqual([event["type"] for event in events],
                         ["EVENT_EXITED"] * 3)

    def test_poll_without_events_ends_at_its_timeout(self):
        began = time.monotonic()
        answer = self.client.call("NextEvents", {
            "filter": {"from_seq": self.last + 1}, "timeout_ms": 300})
        self.assertGreaterEqual(time.monotonic() - began, 0.25)
        self.assertEqual(answer.get("events", []), [])
        self.assertEqual(answer["next_seq"], self.last + 1)

    def test_poll_wakes_at_the_first_event(self):
        other = Client(self.nsx.socket_path)
        try:
            other.send_request("NextEvents", {
                "filter": {"from_seq": self.last + 1}, "timeout_ms": 60000})
            ident = self.start_one()
            _, data = other.recv_response()
            events = other.decode("NextEvents", data)["events"]
            self.assertEqual(events[0]["container"], ident)
        finally:
            other.close()

    def test_unknown_epoch_is_answered_by_a_gap(self):
        self.start_one()
        answer = self.client.call("NextEvents", {
            "filter": {"epoch": os.urandom(16), "from_seq": 1},
            "timeout_ms": 0})
        self.assertEqual(answer["events"][0]["type"], "EVENT_GAP")

    def test_one_owner_does_not_see_the_events_of_another(self):
        self.start_one(name="secret")
        text = self.ctl_ok("events", "--from", "1", "--no-follow", "--json",
                           user=ORDINARY_UID).out
        self.assertNotIn("secret", text)


class Streaming(EventCase):
    def stream(self, **request):
        """(client, iterator); the stream has begun when this returns."""
        client = Client(self.nsx.socket_path)
        self.addCleanup(client.close)
        return client, client.stream("Events", request)

    def test_stream_gives_old_and_new_events_without_a_hole(self):
        self.start_one()
        _, events = self.stream(from_seq=self.last + 1)
        seqs = [next(events)["seq"] for _ in range(4)]
        self.start_one()
        seqs += [next(events)["seq"] for _ in range(4)]
        self.assertEqual(seqs, list(range(self.last + 1, self.last + 9)))

    def test_slow_reader_gets_a_gap_not_a_stall(self):
        """A subscriber that reads nothing while far more happens than its
        queue and the ring hold. The others are served meanwhile; it then
        learns what it missed and no exit is lost."""
        _, events = self.stream(from_seq=self.last + 1)
        count = 2500
        began = time.monotonic()
        ids = self.start_many(count)
        self.assertLess(time.monotonic() - began, 120 * SLOW)
        exits, gaps, seq = set(), 0, self.last
        for event in events:
            if event["type"] == "EVENT_GAP":
                gaps += 1
                self.assertEqual(event["gap_from"], seq + 1)
                seq = event["gap_to"]
            elif event["type"] == "EVENT_EXITED":
                exits.add(event["container"])
            if event["type"] not in ("EVENT_GAP", "EVENT_SNAPSHOT"):
                if event["seq"] > seq:
                    self.assertEqual(event["seq"], seq + 1)
                    seq = event["seq"]
                if seq >= self.last + 4 * count:
                    break
        self.assertGreaterEqual(gaps, 1)
        self.assertEqual(set(ids) - exits, set())

    def start_many(self, count):
        """count containers from Run to Delete, 50 at a time."""
        ids = []
        for _ in range(count // 50):
            batch = []
            for _ in range(50):
                self.client.send_request("Run", {"spec": SPEC})
            for _ in range(50):
                _, data = self.client.recv_response()
                batch.append(self.client.decode("Run", data)["info"]["id"])
            for method in ("Wait", "Delete"):
                for ident in batch:
                    self.client.send_request(method, {"id": ident})
                for _ in batch:
                    self.client.recv_response()
            ids += batch
        return ids

    def test_reader_that_goes_away_leaves_nothing(self):
        """The audit sees a leaked descriptor of the daemon."""
        for _ in range(20):
            client, events = self.stream(from_seq=1)
            client.close()
            del events
        self.start_one()


if __name__ == "__main__":
    main()
