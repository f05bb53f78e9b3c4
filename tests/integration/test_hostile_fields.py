#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every number of a start at the ends of its range, found by the schema.

A number that does not fit must never be taken for the one that is left of it
when its upper half is cut off: 4294967296 is not root.
"""
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
# pylint: disable=wrong-import-position
from harness import ORDINARY_UID, TestCase, main  # noqa: E402
from test_fairness import user_client  # noqa: E402
from test_threats_daemon import ordinary_spec, status  # noqa: E402
from ttrpc_client import API, RpcError  # noqa: E402

NUMBERS = ("uint32", "int32", "uint64", "int64")
VALUES = ((1 << 31), (1 << 32) - 1, 1 << 32, (1 << 32) + 1, (1 << 63),
          (1 << 64) - 1)


def numbers(message, at=()):
    """Every number below a message, by path."""
    for item in API.messages[message]:
        here = (*at, item)
        if item.kind in NUMBERS:
            yield here
        elif item.kind in API.messages:
            yield from numbers(item.kind, here)


def with_value(spec, path, value):
    """A request that is good but for that one field."""
    place = spec
    for item in path[:-1]:
        if item.repeated:
            place[item.name] = [dict((place.get(item.name) or [{}])[0]),
                                *(place.get(item.name) or [{}])[1:]]
            place = place[item.name][0]
        else:
            place[item.name] = dict(place.get(item.name, {}))
            place = place[item.name]
    last = path[-1]
    place[last.name] = [value] if last.repeated else value
    return {"spec": spec}


class Boundaries(TestCase):
    def full(self):
        spec = ordinary_spec("/bin/sleep", "60", uid=0, gid=0)
        row = {"container_id": 0, "host_id": ORDINARY_UID, "size": 1}
        spec["id_maps"] = {"preset": "MAP_EXPLICIT", "uid": [row],
                           "gid": [row]}
        return spec

    def powers(self, client, request):
        """(uids and gids, no_new_privs) of what ran, or None."""
        try:
            info = client.call("Run", request)["info"]
        except RpcError as error:
            self.assertTrue(error.detail.get("code"), error)
            # What cannot be decoded is ttrpc's INTERNAL, and says the field.
            if error.detail["code"] == "INTERNAL":
                self.assertIn("a number over 32 bits", error.message)
            return None
        state = status(info["pid"])
        client.call("Delete", {"id": info["id"], "force": True})
        return (set(state["Uid"].split()) | set(state["Gid"].split()),
                state["NoNewPrivs"])

    def test_no_number_wraps_to_one_with_more_power(self):
        mine = ({str(ORDINARY_UID)}, "1")
        client = user_client(self.nsx.socket_path, ORDINARY_UID)
        self.assertEqual(self.powers(client, {"spec": self.full()}), mine)
        paths = list(numbers("ContainerSpec"))
        self.assertGreater(len(paths), 25)
        for path in paths:
            # 64 faults are the end of a connection.
            client.close()
            client = user_client(self.nsx.socket_path, ORDINARY_UID)
            for value in VALUES:
                name = ".".join(item.name for item in path)
                found = None
                with self.subTest(field=name, value=value):
                    found = self.powers(
                        client, with_value(self.full(), path, value))
                    self.assertIn(found, (None, mine))
                    if path[-1].kind == "uint32" and value >= 1 << 32:
                        self.assertIsNone(found, "taken for another number")
                if found:
                    time.sleep(0.05)  # 20 starts a second are a user's
        client.close()


if __name__ == "__main__":
    main()
