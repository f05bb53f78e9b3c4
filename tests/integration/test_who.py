# SPDX-License-Identifier: Apache-2.0
"""Who is who: an owner has and sees his own alone, whatever he asks, and an
admin all. Several uids on one real daemon."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from harness import TestCase, main  # noqa: E402
from ttrpc_client import Client, RpcError  # noqa: E402

ALICE, BOB = 64123, 64124
SLEEP = {"process": {"args": [b"/bin/sleep", b"600"], "env": [b"PATH=/bin"]}}
TRUE = {"process": {"args": [b"/bin/true"], "env": [b"PATH=/bin"]}}
# Each method that names a container, with what else it needs.
NAMED = {"Start": {}, "State": {}, "Wait": {}, "Signal": {"signal": 15},
         "Processes": {}, "Delete": {"force": True}, "Cancel": {},
         "Exec": {"process": TRUE["process"]}}


class WhoCase(TestCase):
    def client(self, uid):
        """A connection that was made as this uid."""
        os.setegid(uid)
        os.seteuid(uid)
        try:
            client = Client(self.nsx.socket_path)
        finally:
            os.seteuid(0)
            os.setegid(0)
        self.addCleanup(client.close)
        return client

    def setUp(self):
        super().setUp()
        self.root = Client(self.nsx.socket_path)
        self.addCleanup(self.root.close)
        self.alice, self.bob = self.client(ALICE), self.client(BOB)

    def run_as(self, client, ident, spec=SLEEP, **more):
        info = client.call("Run", {"spec": {**spec, "id": ident},
                                   **more})["info"]
        self.addCleanup(self.gone, info["owner_uid"], ident)
        return info

    def gone(self, uid, ident):
        """Delete it, if it is still there."""
        root = Client(self.nsx.socket_path)
        try:
            root.call("Delete", {"id": f"{uid}/{ident}", "force": True})
        except RpcError as error:
            if error.detail.get("code") != "NOT_FOUND":
                raise
        root.close()

    def refused(self, client, method, request):
        with self.assertRaises(RpcError) as caught:
            client.call(method, request)
        return caught.exception.detail

    @staticmethod
    def unnamed(detail, ident):
        """A refusal without the name that the caller himself gave."""
        return {key: value.replace(ident, "*") if isinstance(value, str)
                else value for key, value in detail.items()}

    @staticmethod
    def ids(client):
        return sorted(found["id"] for found in
                      client.call("List", {}).get("containers", []))

    @staticmethod
    def events(client, seq=1):
        found = client.call("NextEvents", {"filter": {"from_seq": seq},
                                           "timeout_ms": 0})
        return found.get("events", [])


class Own(WhoCase):
    def test_anothers_container_is_as_one_that_never_was(self):
        self.run_as(self.alice, "hers")
        for method, more in NAMED.items():
            there = self.refused(self.bob, method, {"id": "hers", **more})
            never = self.refused(self.bob, method, {"id": "none", **more})
            self.assertEqual(self.unnamed(there, "hers"),
                             self.unnamed(never, "none"), method)
            self.assertEqual(there["code"], "NOT_FOUND", method)
        self.assertEqual(self.alice.call("State", {"id": "hers"})["info"][
            "id"], "hers")

    def test_naming_her_uid_makes_it_no_less_absent(self):
        self.run_as(self.alice, "hers")
        there = self.refused(self.bob, "State", {"id": f"{ALICE}/hers"})
        never = self.refused(self.bob, "State", {"id": f"{ALICE}/none"})
        self.assertEqual(there["code"], "NOT_FOUND")
        self.assertEqual(self.unnamed(there, "hers"),
                         self.unnamed(never, "none"))

    def test_list_and_events_show_the_callers_own_alone(self):
        last = self.bob.call("Version", {}).get("last_seq", 0)
        self.run_as(self.alice, "hers")
        self.run_as(self.bob, "his")
        self.assertEqual(self.ids(self.alice), ["hers"])
        self.assertEqual(self.ids(self.bob), ["his"])
        seen = self.events(self.bob, last + 1)
        self.assertEqual({event["container"] for event in seen}, {"his"})
        # nor does a hole in his numbers tell of hers
        self.assertEqual([event["seq"] for event in seen],
                         list(range(last + 1, last + 1 + len(seen))))

    def test_an_id_that_another_owner_has_is_free(self):
        hers = self.run_as(self.alice, "web")
        his = self.run_as(self.bob, "web")
        self.assertNotEqual(hers["pid"], his["pid"])
        self.bob.call("Signal", {"id": "web", "signal": 9})
        self.bob.call("Wait", {"id": "web"})
        self.assertEqual(self.alice.call("State", {"id": "web"})["info"][
            "state"], "STATE_RUNNING")
        again = self.refused(self.alice, "Run",
                             {"spec": {**TRUE, "id": "web"}})
        self.assertEqual(again["code"], "CONFLICT")

    def test_created_containers_of_one_id_open_their_own_gates(self):
        for uid, client in ((ALICE, self.alice), (BOB, self.bob)):
            client.call("Create", {"spec": {**TRUE, "id": "gated"}})
            self.addCleanup(self.gone, uid, "gated")
        self.bob.call("Start", {"id": "gated"})
        self.bob.call("Wait", {"id": "gated"})
        self.assertEqual(self.alice.call("State", {"id": "gated"})["info"][
            "state"], "STATE_CREATED")
        self.alice.call("Start", {"id": "gated"})
        end = self.alice.call("Wait", {"id": "gated"})
        self.assertEqual(end["exit"].get("code", 0), 0)

    def test_one_key_of_two_owners_starts_two(self):
        key = b"0123456789abcdef"
        hers = self.alice.call("Run", {"spec": TRUE, "key": key})["info"]
        his = self.bob.call("Run", {"spec": TRUE, "key": key})["info"]
        self.assertNotEqual(hers["id"], his["id"])
        again = self.alice.call("Run", {"spec": TRUE, "key": key})["info"]
        self.assertEqual(again["id"], hers["id"])
        absent = self.refused(self.client(ALICE + 7), "Cancel", {"key": key})
        self.assertEqual(absent["code"], "NOT_FOUND")
        for client, ident in ((self.alice, hers["id"]), (self.bob,
                                                         his["id"])):
            client.call("Wait", {"id": ident})
            client.call("Delete", {"id": ident})


class Admin(WhoCase):
    def test_an_admin_sees_and_ends_all(self):
        self.run_as(self.alice, "hers")
        self.run_as(self.bob, "his")
        self.assertEqual(self.ids(self.root), ["hers", "his"])
        self.root.call("Signal", {"id": "hers", "signal": 9})
        self.root.call("Wait", {"id": "hers"})
        self.assertEqual({event.get("container") for event in
                          self.events(self.root)}
                         & {"hers", "his"}, {"hers", "his"})

    def test_an_admin_names_the_owner_where_an_id_has_several(self):
        self.run_as(self.alice, "web")
        his = self.run_as(self.bob, "web")
        several = self.refused(self.root, "State", {"id": "web"})
        self.assertEqual(several["code"], "NOT_FOUND")
        self.assertIn("UID/ID", several["hint"])
        found = self.root.call("State", {"id": f"{BOB}/web"})["info"]
        self.assertEqual(found["pid"], his["pid"])

    def test_a_restart_tells_containers_of_one_id_apart(self):
        before = [self.run_as(client, "web") for client in (self.alice,
                                                            self.bob)]
        self.nsx.kill_nsexecd()
        self.nsx.ready()
        for uid, info in zip((ALICE, BOB), before):
            found = self.client(uid).call("State", {"id": "web"})["info"]
            self.assertEqual((found["pid"], found["state"]),
                             (info["pid"], "STATE_RUNNING"))


class Asking(WhoCase):
    def test_a_request_sent_with_the_connection_is_answered(self):
        for _ in range(50):
            client = Client(self.nsx.socket_path)
            client.call("Version", {})
            client.close()


if __name__ == "__main__":
    main()
