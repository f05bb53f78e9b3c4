#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Requests of which a part is missing, and requests that unfold to too much,
of each kind: what test_threats_daemon.py asks of Run.
"""
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, os.path.join(HERE, "..", "data"))
# pylint: disable=wrong-import-position
from harness import ORDINARY_UID, SLOW, alive, main, wait_for  # noqa: E402
from hostile_frames import call, field  # noqa: E402
from test_fairness import acting_as  # noqa: E402
from test_threats_daemon import (OTHER_UID, RowCase, copy_without,  # noqa: E402
                                 full_spec, paths_of, powers_of, status)
from ttrpc_client import API, RpcError  # noqa: E402


class AbsentFields(RowCase):
    """No field that is left out gives more power."""

    def setUp(self):
        super().setUp()
        self.mine = self.client(ORDINARY_UID)
        self.ours = os.readlink("/proc/self/ns/user")
        self.null = os.open("/dev/null", os.O_RDONLY)
        self.addCleanup(os.close, self.null)
        self.channel = None
        self.addCleanup(self.delete_all)

    def delete_all(self):
        if self.channel:
            self.channel.close()
        for name in self.ctl("list", "-q").lines():
            self.ctl("delete", "-f", name)

    def around(self):
        """The fields around a process; a token and a key serve once."""
        if self.channel:
            self.channel.close()
        with acting_as(ORDINARY_UID):
            token, self.channel = self.mine.pass_fds([self.null])
        return {"fd_token": token, "n_fds": 1, "send_pidfd": True,
                "timeout_ms": 20000}

    def attempt(self, method, request):
        """The answer, or None if it was refused with a code."""
        try:
            return self.mine.call(method, request)
        except RpcError as error:
            self.assertTrue(error.detail.get("code"), error)
            self.last = error
            self.assertNotEqual(error.detail["code"], "INTERNAL", error)
            return None

    def no_more(self, found, path):
        if found is None:
            return  # it has ended
        ids, no_new_privs, namespace, caps = found
        self.assertEqual(ids, {str(ORDINARY_UID)}, path)
        self.assertEqual(no_new_privs, "1", path)
        if namespace == self.ours:
            self.assertEqual(caps, 0, path)

    def create(self):
        made = {"spec": full_spec(), "key": os.urandom(16), **self.around()}
        made["spec"]["process"]["stdin"] = {"kind": "STDIO_FD", "fd_index": 0}
        return made

    def test_of_create_gives_more_power(self):
        n_ran = 0
        for path in [(), *paths_of(self.create())]:
            answer = self.attempt("Create", copy_without(self.create(), path))
            time.sleep(0.05)  # 20 starts a second are a user's
            if answer is None:
                self.assertNotEqual(path, (), self.last)
                continue
            info = answer["info"]
            n_ran += 1
            self.no_more(powers_of(info["pid"]), path)  # at its gate
            if self.attempt("Start", {"id": info["id"]}):
                self.no_more(powers_of(info["pid"]), path)
            self.mine.call("Delete", {"id": info["id"], "force": True})
        self.assertGreater(n_ran, 8)

    def test_of_exec_gives_more_power(self):
        target = self.mine.call("Run", {"spec": full_spec()})["info"]
        target_powers = powers_of(target["pid"])
        inside = target_powers[2]
        self.assertNotEqual(inside, self.ours)

        def request():
            process = self.create()["spec"]["process"]
            return {"id": target["id"], "process": process, **self.around()}
        n_ran = 0
        for path in [(), *paths_of(request())]:
            answer = self.attempt("Exec", copy_without(request(), path))
            time.sleep(0.05)
            if answer is None:
                self.assertNotEqual(path, (), self.last)
                self.assertNotEqual(path, ("timeout_ms",))
                continue
            n_ran += 1
            found = powers_of(answer["pid"])
            self.no_more(found, path)
            self.assertEqual((found or target_powers)[2], inside, path)
            self.attempt("Signal", {"id": target["id"], "signal": 9,
                                    "exec_id": answer["exec_id"]})
        self.assertGreater(n_ran, 8)

    def victim(self):
        """A container with an exec process: (id, exec id, their pids)."""
        info = self.mine.call("Run", {"spec": full_spec()})["info"]
        made = self.mine.call("Exec", {"id": info["id"],
                                       "process": full_spec()["process"]})
        return info["id"], made["exec_id"], info["pid"], made["pid"]

    def test_of_signal_reaches_what_was_not_named(self):
        others = [client.call("Run", {"spec": spec})["info"]["pid"]
                  for client, spec in (
                      (self.mine, full_spec()),
                      (self.client(OTHER_UID), dict(
                          full_spec(), id_maps={"preset": "MAP_ROOT"})))]
        for more in ("exec_id", "all"):
            for path in (None, "id", "signal", more):
                ident, exec_id, *pids = self.victim()
                time.sleep(0.1)
                request = {"id": ident, "signal": 9,
                           more: exec_id if more == "exec_id" else True}
                request.pop(path, None)
                answer = self.attempt("Signal", request)
                if path in ("id", "signal"):
                    self.assertIsNone(answer, path)
                    self.assertEqual([alive(pid) for pid in pids],
                                     [True, True], path)
                else:
                    wait_for(lambda pid=pids[1]: not alive(pid), 5, path)
                    if more == "exec_id" and not path:
                        self.assertTrue(alive(pids[0]))
                    else:
                        wait_for(lambda pid=pids[0]: not alive(pid), 5, path)
                self.assertEqual([alive(pid) for pid in others],
                                 [True, True], path)
                self.mine.call("Delete", {"id": ident, "force": True})


def below(message, at=()):
    """Every field at or below a message, by path."""
    for item in API.messages[message]:
        yield (*at, item)
        if item.kind in API.messages:
            yield from below(item.kind, (*at, item))


def wrapped(path, body):
    """What is in the last message of a path, within all of them."""
    for item in reversed(path):
        body = field(item.number, body)
    return body


def nest(number, size=34 << 10):
    """A field in itself, until it has that size."""
    body = b""
    while len(body) < size:
        body = field(number, body)
    return body


class Bombs(RowCase):
    """A small request that would unfold to much is answered at once."""

    def answer(self, client, method, payload, path):
        """The error, typed and at once; None: it was a good request."""
        stream = client.next_id
        client.next_id += 2
        began = time.monotonic()
        client.sock.sendall(call(method.encode(), payload, stream=stream))
        error = None
        try:
            client.recv_response()
        except RpcError as caught:
            error = caught
            self.assertTrue(error.detail.get("code"), error)
        self.assertLess(time.monotonic() - began, 1 * SLOW, (method, path))
        return error

    def bounded(self, worker):
        self.assertEqual(self.nsx.nsexecd_pid(), worker)
        kib = int(status(worker)["VmRSS"].split()[0])
        self.assertLess(kib, (64 << 10) * (8 if SLOW > 1 else 1))
        self.assertEqual(self.ctl_ok("list", "-q").out, "")

    def test_65536_empty_entries_of_any_list_are_refused_by_name(self):
        worker = self.nsx.nsexecd_pid()
        n_lists = 0
        for method, (message, _, stream) in API.methods.items():
            client = self.client(ORDINARY_UID)
            for path in below(message):
                last = path[-1]
                if not last.repeated:
                    continue
                n_lists += 1
                bodies = [field(last.number, b"") * 65536]
                if last.kind in API.enums or last.kind == "uint32":
                    bodies = [field(last.number, 0) * 65536,
                              field(last.number, bytes(65536))]
                for body in bodies:
                    if last.name == "groups":
                        body += field(1, b"/bin/true")
                    error = self.answer(client, method,
                                        wrapped(path[:-1], body), last.name)
                    self.assertIsNotNone(error, (method, last.name))
                    if error.detail["code"] == "QUOTA":
                        self.assertIn("decoding", error.message)
                    else:
                        self.assertEqual(error.detail["code"],
                                         "INVALID_ARGUMENT", error)
                        self.assertIn("id" if method == "Exec" else last.name,
                                      error.message)
        self.assertGreater(n_lists, 35)
        self.bounded(worker)

    def test_34_kib_of_nesting_anywhere_are_answered(self):
        """A field in itself, one that is none, and groups."""
        worker = self.nsx.nsexecd_pid()
        nests = {number: nest(number) for number in range(1, 18)}
        nests[60] = nest(60)
        n_places = 0
        for method, (message, _, _) in API.methods.items():
            places = [(), *(path for path in below(message)
                            if path[-1].kind in API.messages)]
            for path in places:
                n_places += 1
                client = self.client(ORDINARY_UID)
                own = path[-1].number if path else 1
                for body in (nests[own], nests[60], b"\x0b" * (34 << 10)):
                    self.one_nest(client, method, wrapped(path, body), path)
                client.close()
        self.assertGreater(n_places, 50)
        self.bounded(worker)

    def one_nest(self, client, method, payload, path):
        if method == "Events":
            return  # what it takes is NextEvents' filter
        if method == "NextEvents":
            payload += field(2, 0)  # wait for none
        error = self.answer(client, method, payload, path)
        if error:
            self.assertIn(error.detail["code"],
                          ("INTERNAL", "INVALID_ARGUMENT"))
        else:  # a field that is none is nothing to those that need none
            self.assertIn(method, ("Version", "List", "Metrics",
                                   "NextEvents"))


if __name__ == "__main__":
    main()
