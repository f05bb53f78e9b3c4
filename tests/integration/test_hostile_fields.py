#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every number of a start at the ends of its range, and every text of every
request in what makes texts hostile, found by the schema.

A number that does not fit must never be taken for the one that is left of it
when its upper half is cut off: 4294967296 is not root.
"""
import contextlib
import os
import select
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
# pylint: disable=wrong-import-position
from harness import ORDINARY_UID, SLOW, TestCase, main  # noqa: E402
from test_fairness import OTHER, QuotaCase, user_client  # noqa: E402
from test_threats_daemon import ordinary_spec, status  # noqa: E402
from ttrpc_client import (API, REMOTE_CLOSED, RESPONSE, RpcError)  # noqa: E402

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


FORGED = b"nsexecd: audit: decision=allow forged=yes"
TEXTS = {"newline": b"a\n" + FORGED, "NUL": b"a\0b", "comma": b"a,b",
         "colon": b"a:b", "empty": b"", "4 KiB": b"x" * 4096,
         "no UTF-8": b"a\xff\xc3(b"}
# What makes a text more than a fault of form, by the field's name.
FORMS = {"path": b"/", "source": b"/", "destination": b"/mnt/", "cwd": b"/",
         "rootfs": b"/", "env": b"A=", "labels": b"A=", "data": b"mode="}
# What a field needs beside it, by the name of its message's field and its own.
BESIDE = {("namespaces", "path"): {"kind": "NS_NET"},
          ("mounts", "source"): {"kind": "MOUNT_BIND",
                                 "destination": b"/mnt"},
          ("mounts", "destination"): {"kind": "MOUNT_TMPFS"},
          ("mounts", "data"): {"kind": "MOUNT_TMPFS", "destination": b"/mnt"},
          ("stdin", "path"): {"kind": "STDIO_PATH"},
          ("stdout", "path"): {"kind": "STDIO_PATH"},
          ("stderr", "path"): {"kind": "STDIO_PATH"},
          ("fds", "name"): {"fd_index": 0, "number": 5}}
STARTS = ("Run", "Create", "Exec", "Explain")


def texts(message, at=()):
    """Every text and bytes field below a message, by path."""
    for item in API.messages[message]:
        if item.kind in ("bytes", "string"):
            yield (*at, item)
        elif item.kind in API.messages:
            yield from texts(item.kind, (*at, item))


def with_text(request, path, value):
    """A good request in which that one field has the value."""
    place = request
    for item in path[:-1]:
        inner = {} if item.repeated else dict(place.get(item.name, {}))
        place[item.name] = [*place.get(item.name, []), inner] \
            if item.repeated else inner
        place = inner
    name = path[-1].name
    if len(path) > 1:
        place.update(BESIDE.get((path[-2].name, name), {}))
    place[name] = [*place.get(name, []), value] if path[-1].repeated \
        else value
    return request


def escaped(value):
    """As errors write bytes."""
    return "".join(chr(byte) if 32 <= byte < 127 and byte != 92 else
                   f"\\x{byte:02x}" for byte in value)


class Texts(QuotaCase):
    """Of an ordinary user: the text is used as it is, or refused by name."""
    LIMITS = '{"starts_per_second": 10000, "starts_burst": 10000}'

    def setUp(self):
        super().setUp()
        self.target = self.client.call("Run", {"spec": self.spec()})
        self.target = self.target["info"]
        self.client.call("Run", {"spec": dict(self.spec(), name="bystander")})
        self.addCleanup(self.delete_all)

    def delete_all(self):
        for name in self.ctl("list", "-q").lines():
            self.ctl("delete", "-f", name)

    @staticmethod
    def spec():
        made = ordinary_spec("/bin/sh", "-c", "sleep 600; :", "sh")
        made["namespaces"] += [{"kind": "NS_MNT", "create": True},
                               {"kind": "NS_UTS", "create": True}]
        return made

    def good(self, method, path):
        """(a request that would succeed, its fd channel or None)."""
        fields = {item.name for item in API.messages[
            API.methods[method][0]]}
        made, channel = {}, None
        if "spec" in fields:
            made["spec"] = self.spec()
        elif "id" in fields:
            made["id"] = self.target["id"]
        if "process" in fields:
            made["process"] = self.spec()["process"]
        if "signal" in fields:
            made["signal"] = 28  # SIGWINCH: nobody minds
        if "timeout_ms" in fields and method not in STARTS:
            made["timeout_ms"] = 1
        if path[-1].name == "fd_token":
            made["n_fds"] = 1
        elif path[-2:-1] and path[-2].name == "fds" and method != "Explain":
            null = os.open("/dev/null", os.O_RDONLY)
            made["fd_token"], channel = self.client.pass_fds([null])
            made["n_fds"] = 1
            os.close(null)
        return made, channel

    def call(self, method, request):
        """The answer; of Events, what came of it before the next answer."""
        if method != "Events":
            return self.client.call(method, request)
        # One that is good has nothing to say of a container that is none.
        with contextlib.closing(self.user(OTHER)) as client:
            client.send_request(method, request, REMOTE_CLOSED)
            if select.select([client.sock], [], [], 0.5 * SLOW)[0]:
                _, kind, _, data = client.recv_frame()
                self.assertEqual(kind, RESPONSE)
                client.payload(data)
        return {}

    def refused(self, error, path, value):
        """One line, a code, and which field or which value it was."""
        self.assertTrue(error.detail.get("code"), error)
        for key, text in error.detail.items():
            if isinstance(text, str):
                self.assertTrue(text.isprintable(), (key, text))
        said = error.detail["message"]
        if error.detail["code"] == "INTERNAL":
            self.assertIn(f"field {path[-1].name}: ", said)
        elif path[-1].name not in said and not (
                error.detail["code"] == "NOT_FOUND" and
                error.detail["object"][:1] == value[:1].decode()):
            self.assertTrue(value, said)
            self.assertIn(escaped(value)[:16], said)

    def used(self, method, path, value, answer):
        """What was started has the text, byte for byte."""
        if method == "Exec":
            pid = answer["pid"]
        elif method in ("Run", "Create"):
            pid = answer["info"]["pid"]
        else:
            return
        name = path[-1].name
        if name in ("args", "env") and method != "Create":
            with open(f"/proc/{pid}/" + {"args": "cmdline"}.get(
                    name, "environ"), "rb") as f:
                self.assertIn(value, f.read().split(b"\0"))
        elif name in ("hostname", "domainname"):
            found = subprocess.run(
                ["nsenter", f"--uts=/proc/{pid}/ns/uts", "cat",
                 f"/proc/sys/kernel/{name}"], stdout=subprocess.PIPE,
                check=True).stdout
            self.assertEqual(found, value + b"\n")
        elif name == "cwd":
            self.assertEqual(os.readlink(f"/proc/{pid}/cwd".encode()), value)
        elif name in ("id", "name"):
            self.assertEqual(answer["info"][name], value.decode())
        elif name == "labels":
            self.assertIn(value.decode(), answer["info"]["labels"])

    def one(self, method, path, value):
        request, channel = self.good(method, path)
        began = time.monotonic()
        try:
            answer = self.call(method, with_text(request, path, value))
        except RpcError as error:
            self.refused(error, path, value)
        else:
            self.used(method, path, value, answer)
            self.assertNotIn(b"\0", value, (method, path[-1].name))
            if "info" in answer and method in ("Run", "Create"):
                self.client.call("Delete", {"id": answer["info"]["id"],
                                            "force": True})
            elif method == "Exec":
                self.client.call("Signal", {
                    "id": self.target["id"], "signal": 9,
                    "exec_id": answer["exec_id"]})
            return 1
        finally:
            self.assertLess(time.monotonic() - began, 5 * SLOW)
            if channel:
                channel.close()
        return 0

    def forget_failed(self):
        """Starts that failed are there to be asked for their cause."""
        for info in self.user(OTHER).call("List", {})["containers"]:
            if "failure" in info:
                self.assertEqual(info["state"], "STATE_STOPPED")
                self.ctl_ok("delete", info["id"])

    def test_every_text_of_every_request_is_used_or_refused_by_name(self):
        worker = self.nsx.nsexecd_pid()
        before = self.ctl_ok("list", "-q").lines()
        n_fields = n_used = 0
        for method, (message, _, _) in API.methods.items():
            for path in texts(message):
                n_fields += 1
                # 64 faults are the end of a connection.
                self.client.close()
                self.client = user_client(self.nsx.socket_path, OTHER)
                forms = {b"", FORMS.get(path[-1].name, b"")}
                for what, text in TEXTS.items():
                    for value in (form + text for form in sorted(forms)):
                        with self.subTest(method=method, what=what):
                            n_used += self.one(method, path, value)
        self.client.close()
        print(f"  {n_fields} fields, {n_used} requests were good", flush=True)
        self.assertGreater(n_fields, 70)
        self.assertGreater(n_used, 30)
        self.assertEqual(self.nsx.nsexecd_pid(), worker)
        self.forget_failed()
        self.assertEqual(self.ctl_ok("list", "-q").lines(), before)
        self.assertEqual(self.ctl_ok("state", self.target["id"]).json()[
            "status"], "running")
        with open(self.nsx.log_path, "rb") as f:
            for line in f:
                self.assertFalse(line.startswith(FORGED), line)


if __name__ == "__main__":
    main()
