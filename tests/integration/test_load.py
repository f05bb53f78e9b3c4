# SPDX-License-Identifier: Apache-2.0
"""Many starts and large ones, and callers that go away in the middle: nothing
is lost, nothing stays behind, and the daemon answers on."""
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from harness import KINDS, SLOW, TestCase, main, wait_for  # noqa: E402
from ttrpc_client import Client, RpcError  # noqa: E402

ALONE = "bounds what takes long"

REQUEST = 1


def spec(*args, kinds=(), **more):
    """A ContainerSpec as a dictionary."""
    made = {"process": {"args": [a.encode() for a in args],
                        "env": [b"PATH=/usr/bin:/bin"]},
            "namespaces": [{"kind": "NS_" + kind.upper(), "create": True}
                           for kind in kinds], **more}
    if "user" in kinds:
        made["id_maps"] = {"preset": "MAP_ROOT"}
    return made


class RpcCase(TestCase):
    def setUp(self):
        super().setUp()
        self.client = Client(self.nsx.socket_path)
        self.addCleanup(self.client.close)

    def run_to_end(self, made):
        """Run, Wait, Delete; the exit record."""
        ident = self.client.call("Run", {"spec": made})["info"]["id"]
        end = self.client.call("Wait", {"id": ident})["exit"]
        self.client.call("Delete", {"id": ident})
        return end


class Many(RpcCase):
    def test_1000_starts_in_a_row_leave_nothing(self):
        """What could stay is counted by the audit around every test."""
        count = 1000 if SLOW == 1 else 200
        for number in range(count):
            end = self.run_to_end(spec("/bin/true", kinds=KINDS))
            self.assertEqual(end.get("code"), 0, (number, end))

    def test_200_starts_at_once_all_get_their_own_exit(self):
        count = 200
        ids = {self.client.send_request("Run", {"spec": spec(
            "/bin/sh", "-c", f"exit {number}", kinds=("pid", "mnt", "uts"))}):
            number for number in range(count)}
        answers = self.collect("Run", set(ids))
        names = {ids[stream]: answer["info"]["id"]
                 for stream, answer in answers.items()}
        self.assertEqual(len(set(names.values())), count)
        waits = {self.client.send_request("Wait", {"id": name}): number
                 for number, name in names.items()}
        for stream, answer in self.collect("Wait", set(waits)).items():
            self.assertEqual(answer["exit"].get("code"), waits[stream])
        deletes = {self.client.send_request("Delete", {"id": name})
                   for name in names.values()}
        self.collect("Delete", deletes)

    def test_200_starts_over_200_connections(self):
        clients = [Client(self.nsx.socket_path) for _ in range(200)]
        try:
            streams = [client.send_request("Run", {"spec": spec(
                "/bin/true", kinds=KINDS)}) for client in clients]
            for client, stream in zip(clients, streams):
                ident = self.answer(client, "Run", stream)["info"]["id"]
                self.assertEqual(client.call("Wait", {"id": ident})
                                 ["exit"].get("code"), 0)
                client.call("Delete", {"id": ident})
        finally:
            for client in clients:
                client.close()

    def answer(self, client, method, stream):
        got, data = client.recv_response()
        self.assertEqual(got, stream)
        return client.decode(method, data)

    def collect(self, method, streams):
        """{stream: answer} of requests in flight, in any order."""
        answers = {}
        while streams:
            stream, data = self.client.recv_response()
            self.assertIn(stream, streams)
            streams.remove(stream)
            answers[stream] = self.client.decode(method, data)
        return answers


class Large(RpcCase):
    LIMIT = 2 * 1024 * 1024

    def environment(self, size):
        """Variables of exactly size bytes; PATH is not among them."""
        whole, rest = divmod(size, 64 * 1024)
        env = [b"V%03d=" % number + b"x" * (64 * 1024 - 5)
               for number in range(whole)]
        if rest:
            env[-1] += b"y" * rest
        self.assertEqual(sum(map(len, env)), size)
        return env

    def test_payload_gets_exactly_2_mib_of_environment(self):
        """2,097,152 bytes are more than the kernel takes under a soft stack
        limit of 8 MiB: NULs, pointers and arguments come on top."""
        for extra in ({}, {"rlimits": [{"resource": 3, "soft": 64 << 20,
                                        "hard": 64 << 20}]}):
            made = spec("/bin/sh", "-c", "cat /proc/$$/environ >&3; "
                        "ulimit -Ss >&3", kinds=KINDS)
            made["process"]["env"] = self.environment(self.LIMIT)
            made["process"].update(extra)
            *got, stack = self.output_on_3(made).split(b"\0")
            self.assertEqual([item for item in got if not item.startswith(
                b"NSEXEC_FDNAMES=")], made["process"]["env"])
            if extra:
                self.assertEqual(int(stack), 64 << 10)

    def test_a_small_environment_leaves_the_stack_limit_alone(self):
        made = spec("/bin/sh", "-c", "ulimit -Ss >&3", kinds=KINDS)
        with open(f"/proc/{self.nsx.spawner_pid()}/limits",
                  encoding="ascii") as f:
            soft = next(line.split()[3] for line in f
                        if line.startswith("Max stack"))
        want = soft if soft == "unlimited" else str(int(soft) // 1024)
        self.assertEqual(self.output_on_3(made).decode().strip(), want)

    def test_a_stack_limit_of_the_request_is_not_raised(self):
        made = spec("/bin/true")
        made["process"]["env"] = self.environment(self.LIMIT)
        made["process"]["rlimits"] = [{"resource": 3, "soft": 8 << 20,
                                       "hard": 64 << 20}]
        with self.assertRaises(RpcError) as caught:
            self.client.call("Run", {"spec": made})
        detail = caught.exception.detail
        self.assertEqual((detail["code"], detail["errno_value"]),
                         ("EXEC_FAILED", 7))
        self.assertIn("stack limit", detail["hint"])

    def test_2_mib_of_arguments_arrive(self):
        made = spec("/bin/sh", "-c", 'echo $# ${#1} >&3', "sh",
                    *["a" * 65536] * 31, kinds=KINDS)
        rest = self.LIMIT - sum(map(len, made["process"]["args"]))
        made["process"]["args"].append(b"b" * rest)
        self.assertEqual(self.output_on_3(made), b"32 65536\n")
        made["process"]["args"][-1] += b"c"
        self.refused(made, "args", self.LIMIT + 1)

    def refused(self, made, field, size):
        with self.assertRaises(RpcError) as caught:
            self.client.call("Run", {"spec": made})
        detail = caught.exception.detail
        self.assertEqual((caught.exception.code, detail["code"],
                          detail["object"]),
                         (3, "INVALID_ARGUMENT", "spec.process." + field))
        self.assertEqual(detail["rule"],
                         f"{field}: {size} bytes, at most {self.LIMIT}")

    def output_on_3(self, made):
        read_end, write_end = os.pipe()
        try:
            made["process"]["fds"] = [{"fd_index": 0, "number": 3,
                                       "name": b"out"}]
            token, channel = self.client.pass_fds([write_end])
            os.close(write_end)
            write_end = -1
            ident = self.client.call("Run", {
                "spec": made, "fd_token": token, "n_fds": 1})["info"]["id"]
            channel.close()
            with os.fdopen(os.dup(read_end), "rb") as f:
                data = f.read()
            self.client.call("Wait", {"id": ident})
            self.client.call("Delete", {"id": ident})
            return data
        finally:
            os.close(read_end)
            if write_end >= 0:
                os.close(write_end)

    def test_one_byte_more_of_environment_is_refused_with_the_limit(self):
        made = spec("/bin/true")
        made["process"]["env"] = self.environment(self.LIMIT + 1)
        self.refused(made, "env", self.LIMIT + 1)

    def test_string_over_128_kib_is_refused(self):
        made = spec("/bin/true")
        made["process"]["env"].append(b"V=" + b"x" * (128 * 1024))
        with self.assertRaises(RpcError) as caught:
            self.client.call("Run", {"spec": made})
        self.assertEqual(caught.exception.code, 3)

    def test_100_kib_of_arguments_arrive(self):
        made = spec("/bin/sh", "-c", "echo $# >&3", "sh",
                    *["a" * 100] * 1000)
        self.assertEqual(self.output_on_3(made), b"1000\n")


class Gone(RpcCase):
    """Callers that die at the worst moment."""

    def settle(self):
        """Wait for what was started to end; delete it all."""
        def quiet():
            for info in self.client.call("List", {}).get("containers", []):
                if info["state"] == "STATE_STOPPED":
                    self.client.call("Delete", {"id": info["id"]})
            return not self.client.call("List", {}).get("containers")
        wait_for(quiet, 15, "all of it over")

    def frame(self, made):
        payload = self.client.envelope("Run", {"spec": made})
        return struct.pack(">IIBB", len(payload), 1, REQUEST, 0) + payload

    def test_caller_killed_after_the_request_leaves_a_whole_start_or_none(
            self):
        for _ in range(50):
            sock = self.nsx.connect()
            sock.sendall(self.frame(spec("/bin/true", kinds=KINDS)))
            sock.close()
        self.settle()
        self.assertEqual(self.run_to_end(spec("/bin/true")).get("code"), 0)

    def test_caller_killed_within_the_request_starts_nothing(self):
        path = os.path.join(self.nsx.base, "half")
        whole = self.frame(spec("/bin/touch", path))
        for cut in range(1, len(whole)):
            sock = self.nsx.connect()
            sock.sendall(whole[:cut])
            sock.close()
        self.settle()
        self.assertFalse(os.path.exists(path))

    def test_caller_gone_from_the_fd_channel_is_a_refusal_not_a_hang(self):
        token = os.urandom(16)
        fd_sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fd_sock.connect(os.path.join(self.nsx.dir, "fd.sock"))
        fd_sock.send(token)
        fd_sock.close()
        with self.assertRaises(RpcError):
            self.client.call("Run", {"spec": spec("/bin/true"),
                                     "fd_token": token, "n_fds": 1})
        self.settle()

    def test_repeated_key_gives_the_first_result(self):
        key = os.urandom(16)
        request = {"spec": spec("/bin/true"), "key": key}
        first = self.client.call("Run", request)["info"]
        again = self.client.call("Run", request)["info"]
        self.assertEqual((first["id"], first["pid"]),
                         (again["id"], again["pid"]))
        with self.assertRaises(RpcError) as caught:
            self.client.call("Run", {"spec": spec("/bin/false"), "key": key})
        self.assertEqual(caught.exception.detail.get("code"), "CONFLICT")
        self.settle()

    def test_repeated_key_is_the_same_request_over_another_fd_channel(self):
        made = spec("/bin/true")
        made["process"]["fds"] = [{"fd_index": 0, "number": 3, "name": b"o"}]
        key = os.urandom(16)
        found = []
        for _ in range(2):
            with open("/dev/null", "wb") as null:
                token, channel = self.client.pass_fds([null.fileno()])
            found.append(self.client.call("Run", {
                "spec": made, "key": key, "fd_token": token,
                "n_fds": 1})["info"]["id"])
            channel.close()
        self.assertEqual(*found)
        self.settle()


if __name__ == "__main__":
    main()
