# SPDX-License-Identifier: Apache-2.0
"""Rows of SECURITY.md's table that concern nsexecd: each class is one row.

What other files test is not done again; SECURITY.md says where it is.
NSX_LONG=1 makes the counts those of a release.
"""
import contextlib
import fcntl
import os
import re
import resource
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, os.path.join(HERE, "..", "data"))
# pylint: disable=wrong-import-position
from harness import (ORDINARY_UID, SLOW, TOP, TestCase, all_children, alive,
                     fd_kinds, main, proc_state, wait_for)
from hostile_frames import VERSION, header
from pb import Schema
from stuck_fuse import StuckFuse
from test_fairness import acting_as, user_client
from ttrpc_client import API, Client, Closed, RpcError

ALONE = "bounds latencies under attack"

LONG = os.environ.get("NSX_LONG") == "1"
OTHER_UID = 54399


def status(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f
                    if ":\t" in line)


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat", "rb") as f:
        fields = f.read().rpartition(b") ")[2].split()
    return int(fields[11]) + int(fields[12])


def ordinary_spec(*args, **more):
    return {"process": {"args": [a.encode() for a in args],
                        "env": [b"PATH=/usr/bin:/bin"], **more},
            "namespaces": [{"kind": "NS_USER", "create": True},
                           {"kind": "NS_PID", "create": True}],
            "id_maps": {"preset": "MAP_ROOT"}}


class RowCase(TestCase):
    @classmethod
    def warm_up(cls):
        super().warm_up()
        client = user_client(cls.nsx.socket_path, ORDINARY_UID)
        ident = client.call("Run", {"spec": ordinary_spec("/bin/true")})
        ident = ident["info"]["id"]
        client.call("Wait", {"id": ident})
        client.call("Delete", {"id": ident})
        client.close()

    def client(self, uid=0):
        client = user_client(self.nsx.socket_path, uid) if uid else \
            Client(self.nsx.socket_path)
        self.addCleanup(client.close)
        return client

    def latency(self, client, count=50):
        """Seconds of each of count Version calls."""
        found = []
        for _ in range(count):
            began = time.monotonic()
            client.call("Version", {})
            found.append(time.monotonic() - began)
        return sorted(found)


class Row01LengthsAndDrips(RowCase):
    N_DRIPS = 1000 if LONG else 200

    def test_every_claimed_length_is_drained_answered_or_closed(self):
        cap = 4 << 20
        for size in (0, 1, cap - 1, cap, cap + 1, 1 << 31, (1 << 32) - 1):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(self.nsx.socket_path)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(struct.pack(">IIBB", size, 1, 1, 0))
            sock.close()
        self.assertEqual(self.ctl("version").code, 0)

    def test_frames_that_drip_cost_others_nothing(self):
        """A byte of each in turn, of a frame that never ends."""
        whole = header(4 << 20, 1, 1) + b"\x0a" * 64
        drips = []
        honest = self.client()
        quiet = self.latency(honest)
        try:
            for _ in range(self.N_DRIPS):
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(self.nsx.socket_path)
                drips.append(sock)
            times = []
            for at in range(40):
                for sock in drips:
                    sock.send(whole[at:at + 1])
                times += self.latency(honest, 5)
            kib = int(status(self.nsx.nsexecd_pid())["VmRSS"].split()[0])
            self.assertLess(kib, (64 << 10) * (8 if SLOW > 1 else 1))
        finally:
            for sock in drips:
                sock.close()
        times.sort()
        self.assertLess(times[len(times) * 99 // 100], 0.05 * SLOW,
                        (quiet[len(quiet) // 2], times[-5:]))


class Row02RecursiveMessages(TestCase):
    INSTANCE = False

    def test_no_message_of_any_schema_contains_itself(self):
        for name in ("nsexec.proto", "ttrpc.proto", "record.proto"):
            schema = Schema(os.path.join(TOP, "proto", name))
            self.assertTrue(schema.messages, name)

            def walk(message, above, of=schema):
                self.assertNotIn(message, above)
                for item in of.messages.get(message, ()):
                    if item.kind in of.messages:
                        walk(item.kind, (*above, message), of)
            for message in schema.messages:
                walk(message, ())


def paths_of(value, at=()):
    """Every field of a message, the nested ones too."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*at, name)
            yield from paths_of(inner, (*at, name))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield (*at, i)
            yield from paths_of(inner, (*at, i))


def copy_without(value, path):
    if isinstance(value, dict):
        return {name: copy_without(inner, path[1:]) if path[:1] == (name,)
                else inner for name, inner in value.items()
                if path != (name,)}
    return [copy_without(inner, path[1:]) if path[:1] == (i,) else inner
            for i, inner in enumerate(value) if path != (i,)]


def full_spec():
    """A start of an ordinary user that leaves no field of power out."""
    made = ordinary_spec("/bin/sleep", "600")
    made["process"].update({
        "cwd": b"/", "uid": 0, "gid": 0, "umask": 0o77, "nice": 5,
        "no_new_privileges": True, "oom_score_adj": 500,
        "capabilities": {"effective": 0, "permitted": 0, "inheritable": 0,
                         "bounding": 0, "ambient": 0},
        "rlimits": [{"resource": 7, "soft": 100, "hard": 100}],
        "stdin": {"kind": "STDIO_NULL"}})
    made["id_maps"] = {
        "preset": "MAP_EXPLICIT", "setgroups": "SETGROUPS_DENY",
        "uid": [{"container_id": 0, "host_id": ORDINARY_UID, "size": 1}],
        "gid": [{"container_id": 0, "host_id": ORDINARY_UID, "size": 1}]}
    return made


def powers_of(pid):
    """(host uids and gids, NNP, user namespace, CapEff), or None."""
    try:
        state = status(pid)
        return (set(state["Uid"].split()) | set(state["Gid"].split()),
                state["NoNewPrivs"], os.readlink(f"/proc/{pid}/ns/user"),
                int(state["CapEff"], 16))
    except (FileNotFoundError, ProcessLookupError, KeyError):
        return None


class Row03AbsentFields(RowCase):
    def powers(self, request, client):
        """What powers_of() what runs are, or None."""
        try:
            info = client.call("Run", request)["info"]
        except RpcError as error:
            self.assertTrue(error.detail.get("code"), error)
            return None
        found = powers_of(info["pid"])
        client.call("Delete", {"id": info["id"], "force": True})
        return found

    def test_no_field_that_is_left_out_gives_more_power(self):
        client = self.client(ORDINARY_UID)
        full = {"spec": full_spec()}
        whole = self.powers(full, client)
        self.assertIsNotNone(whole, "the whole request must work")
        ours = os.readlink("/proc/self/ns/user")
        n_ran = 0
        for path in list(paths_of(full)):
            found = self.powers(copy_without(full, path), client)
            time.sleep(0.05)  # 20 starts a second are a user's
            if found is None:
                continue
            n_ran += 1
            ids, no_new_privs, namespace, caps = found
            self.assertEqual(ids, {str(ORDINARY_UID)}, path)
            self.assertEqual(no_new_privs, "1", path)
            if namespace == ours:
                self.assertEqual(caps, 0, path)
        self.assertGreater(n_ran, 8)


class Row04Strings(RowCase):
    def texts(self):
        """Every text and bytes field below RunRequest, by path."""
        def walk(message, at):
            for item in API.messages[message]:
                here = (*at, item)
                if item.kind in ("bytes", "string"):
                    yield here
                elif item.kind in API.messages:
                    yield from walk(item.kind, here)
        return list(walk("RunRequest", ()))

    def request(self, path, value):
        """A good request with that one field beside the others."""
        good = {"spec": ordinary_spec("/bin/true")}
        place = good
        for item in path[:-1]:
            inner = place.get(item.name, [{}] if item.repeated else {})
            if item.repeated:
                inner = [*inner, {}]
                place[item.name] = inner
                inner = inner[-1]
            else:
                place[item.name] = inner
            place = inner
        last = path[-1]
        place[last.name] = [*place.get(last.name, []), value] \
            if last.repeated else value
        return good

    def test_bytes_that_end_or_split_a_text_are_refused_everywhere(self):
        paths = self.texts()
        self.assertGreater(len(paths), 12)
        client = self.client()
        for path in paths:
            name = ".".join(item.name for item in path)
            for value in ("a\0b", "/a\0", "\0", "A=b\0C=d"):
                if path[-1].kind == "bytes":
                    value = value.encode()
                with self.subTest(field=name, value=value):
                    if name in ("key", "fd_token"):
                        continue  # 16 bytes of anything
                    with self.assertRaises(RpcError) as caught:
                        client.call("Run", self.request(path, value))
                    self.assertIn(caught.exception.code, (3, 13), name)
        self.assertEqual(self.ctl("list", "-q").out, "")

    def test_newlines_and_controls_forge_no_line(self):
        client = self.client()
        forged = b"\nnsexecd: audit: decision=allow forged=yes"
        kinds = {item.name: item.kind
                 for item in API.messages["ContainerSpec"]}
        for name in ("id", "name", "hostname", "rootfs"):
            spec = ordinary_spec("/bin/true")
            spec[name] = forged if kinds[name] == "bytes" else \
                forged.decode()
            with contextlib.suppress(RpcError):
                client.call("Run", {"spec": spec})
        for line in self.nsx.log().split("\n"):
            self.assertFalse(line.startswith("nsexecd: audit: decision=allow "
                                             "forged"), line)
        for name in self.ctl("list", "-q").lines():
            self.ctl("delete", "-f", name)


class FuseCase(StuckFuse, RowCase):
    def setUp(self):
        super().setUp()
        self.mount_stuck_file()

    # Sends the file on the socket named, and keeps it until it is killed.
    SENDER = """
import os, socket, sys
kind = getattr(socket, sys.argv[3])
file = os.open(sys.argv[2] + "/stuck", os.O_RDONLY)
sock = socket.socket(socket.AF_UNIX, kind)
sock.connect(sys.argv[1])
if kind == socket.SOCK_SEQPACKET:
    sock.send(bytes.fromhex(sys.argv[4]))
socket.send_fds(sock, [bytes.fromhex(sys.argv[5])], [file])
print("sent", flush=True)
sys.stdin.read()
"""

    def sender(self, name, kind, token, data):
        child = subprocess.Popen(
            ["/usr/bin/python3", "-I", "-c", self.SENDER,
             os.path.join(self.nsx.dir, name), self.mount, kind, token.hex(),
             data.hex()], cwd="/", user=ORDINARY_UID, group=ORDINARY_UID,
            extra_groups=[], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def end():
            child.kill()  # it hangs in close() until the server ends
            child.stdin.close()
            child.stdout.close()
        self.addCleanup(child.wait)
        self.addCleanup(self.server.kill)
        self.addCleanup(end)
        self.assertEqual(child.stdout.readline(), b"sent\n")
        return child

    def undisturbed(self):
        honest = self.client(OTHER_UID)
        found = self.latency(honest, 100)
        self.assertLess(found[98], 0.05 * SLOW, found[-5:])
        self.assertEqual(self.ctl("run", "--name", "honest", "--",
                                  "/bin/true").code, 0)
        self.ctl("delete", "honest")

    def all_gone(self):
        for name in self.ctl("list", "-q").lines():
            self.ctl("delete", "-f", name)
        return not [name for name in self.nsx.cgroups()] and \
            not self.ctl("list", "-q").lines()


class Row15FileThatNeverCloses(FuseCase):
    def test_on_the_rpc_socket_it_is_dropped_without_being_closed_by_us(self):
        worker = self.nsx.nsexecd_pid()
        for _ in range(8):
            self.sender("nsexecd.sock", "SOCK_STREAM", b"", VERSION)
        self.undisturbed()
        self.assertIn(proc_state(worker), "SR")

    def test_in_a_start_only_its_owner_waits(self):
        """Any close of it waits, the one of its move to number 5 as well."""
        client = self.client(ORDINARY_UID)
        token = os.urandom(16)
        self.sender("fd.sock", "SOCK_SEQPACKET", token, b"F")
        spec = ordinary_spec("/bin/sleep", "600",
                             fds=[{"fd_index": 0, "number": 5}])
        client.send_request("Run", {"spec": spec, "fd_token": token,
                                    "n_fds": 1})
        self.assertEqual(self.server.stdout.readline(), b"flush\n")
        self.undisturbed()
        # Its own start fails in time, with its cause.
        with self.assertRaises(RpcError) as caught:
            client.recv_response()
        self.assertEqual(caught.exception.detail["code"], "DEADLINE")
        self.assertEqual(caught.exception.detail["step"], "exec")
        # Killed, and still there: nothing of ours waits for it.
        self.assertTrue(self.nsx.cgroups())
        self.undisturbed()
        self.server.kill()
        wait_for(self.all_gone, 20, "what waited to end")


class Row15StuckAreCounted(FuseCase):
    """Who brings such a file as stdio pays for each start that sticks."""
    LIMIT = 2

    @classmethod
    def setUpClass(cls):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
            f.write(f'{{"limits": {{"stuck_per_owner": {cls.LIMIT}}}}}')
            f.flush()
            os.chmod(f.name, 0o644)
            cls.ARGS = ("--config", f.name)
            super().setUpClass()

    def start(self, client):
        token = os.urandom(16)
        self.sender("fd.sock", "SOCK_SEQPACKET", token, b"F")
        spec = ordinary_spec("/bin/sleep", "600",
                             stdin={"kind": "STDIO_FD", "fd_index": 0})
        with self.assertRaises(RpcError) as caught:
            client.call("Run", {"spec": spec, "fd_token": token, "n_fds": 1,
                                "timeout_ms": 1000})
        return caught.exception.detail

    def refused(self, client):
        """The answer to a start with nothing bad in it; None: it ran."""
        try:
            info = client.call("Run", {"spec": ordinary_spec("/bin/true")})
        except RpcError as error:
            return error.detail
        ident = info["info"]["id"]
        client.call("Wait", {"id": ident})
        client.call("Delete", {"id": ident})
        return None

    def test_their_owner_alone_is_refused_until_they_are_gone(self):
        mine = self.client(ORDINARY_UID)
        for count in range(1, self.LIMIT + 1):
            self.assertIsNone(self.refused(mine), f"before number {count}")
            self.assertEqual(self.start(mine)["code"], "DEADLINE")
            # It counts when it was killed and is there after 2 seconds.
            wait_for(lambda n=count: self.nsx.log().count(
                "it was killed and does not go away") == n, 10, "it to count")
        found = self.refused(mine)
        self.assertIsNotNone(found)
        self.assertEqual((found["code"], found["quota_kind"], found["limit"],
                          found["used"]),
                         ("QUOTA", "stuck", self.LIMIT, self.LIMIT))
        # Refused before its descriptor is looked at: not one more sticks.
        self.assertEqual(self.start(mine)["quota_kind"], "stuck")
        self.assertIsNone(self.refused(self.client(OTHER_UID)))
        self.undisturbed()
        self.server.kill()
        wait_for(self.all_gone, 20, "what waited to end")
        self.assertIsNone(self.refused(mine), "all of them are gone")


class Row16DescriptorFlood(RowCase):
    def test_253_descriptors_in_80_messages_leave_none(self):
        worker, spawner = self.nsx.nsexecd_pid(), self.nsx.spawner_pid()
        before = fd_kinds(worker), fd_kinds(spawner)
        null = os.open("/dev/null", os.O_RDONLY)
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self.nsx.socket_path)
        for _ in range(80):
            socket.send_fds(sock, [VERSION[:1]], [null] * 253)
        sock.close()
        for count in (33, 41, 253):
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            channel.connect(os.path.join(self.nsx.dir, "fd.sock"))
            token = os.urandom(16)
            channel.send(token)
            socket.send_fds(channel, [b"F"], [null] * count)
            spec = {"process": {"args": [b"/bin/true"]}}
            with self.assertRaises(RpcError):
                self.client().call("Run", {"spec": spec, "fd_token": token,
                                           "n_fds": 32})
            channel.close()
        os.close(null)
        wait_for(lambda: not fd_kinds(spawner) - before[1], 5, "spawner")
        for name in self.ctl("list", "-q").lines():
            self.ctl("delete", "-f", name)


class Rows17And20ConnectionFlood(RowCase):
    N_CONNECTIONS = 15000 if LONG else 3000

    def test_more_connections_than_there_may_be_cost_an_admin_nothing(self):
        """30 of each user, which each may have; then more than all may."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        worker = self.nsx.nsexecd_pid()
        socks = []
        try:
            for i in range(self.N_CONNECTIONS):
                sock = socket.socket(socket.AF_UNIX)
                sock.setblocking(False)
                socks.append(sock)
                with acting_as(70000 + i // 30), \
                        contextlib.suppress(BlockingIOError,
                                            ConnectionResetError):
                    sock.connect(self.nsx.socket_path)
            before = cpu_ticks(worker)
            time.sleep(1)
            self.assertLess(cpu_ticks(worker) - before, 20, "it spins")
            found = self.latency(self.client(), 100)
            self.assertLess(found[98], 0.1 * SLOW, found[-5:])
            self.assertEqual(self.ctl("run", "--", "/bin/true").code, 0)
        finally:
            for sock in socks:
                sock.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for name in self.ctl("list", "-q").lines():
            self.ctl("delete", name)

    def test_one_user_cannot_fill_the_backlog(self):
        socks = []
        honest = self.client(OTHER_UID)
        with acting_as(ORDINARY_UID):
            for _ in range(2000):
                sock = socket.socket(socket.AF_UNIX)
                sock.setblocking(False)
                with contextlib.suppress(BlockingIOError,
                                         ConnectionResetError):
                    sock.connect(self.nsx.socket_path)
                socks.append(sock)
        found = self.latency(honest, 100)
        self.assertLess(found[98], 0.1 * SLOW, found[-5:])
        self.client(OTHER_UID).call("Version", {})
        for sock in socks:
            sock.close()


class Row18ReadersThatNeverRead(RowCase):
    N_READERS, N_STARTS = (500, 2500) if LONG else (60, 250)

    def test_memory_is_bounded_and_starts_go_on(self):
        readers = []
        worker = self.nsx.nsexecd_pid()
        for _ in range(self.N_READERS):
            client = Client(self.nsx.socket_path)
            client.send_request("Events", {"from_seq": 1}, 1)
            readers.append(client)
        doer = self.client()
        spec = {"process": {"args": [b"/bin/true"]}}
        for _ in range(self.N_STARTS):
            ident = doer.call("Run", {"spec": spec})["info"]["id"]
            doer.call("Wait", {"id": ident})
            doer.call("Delete", {"id": ident})
        kib = int(status(worker)["VmRSS"].split()[0])
        # 256 KiB are queued for each at most.
        bound = (64 << 10) + self.N_READERS * 320
        self.assertLess(kib, bound * (8 if SLOW > 1 else 1))
        for client in readers:
            client.close()


class Row22WhoseConnection(RowCase):
    def test_a_connection_keeps_the_identity_of_who_made_it(self):
        """A user made it; root speaks on it, and says so beside the bytes."""
        mine = self.client(ORDINARY_UID)
        spec = {"process": {"args": [b"/bin/sleep", b"600"]}}
        data = mine.envelope("Run", {"spec": spec})
        frame = struct.pack(">IIBB", len(data), 1, 1, 0) + data
        forged = struct.pack("=iII", os.getpid(), 0, 0)
        mine.sock.sendmsg([frame], [(socket.SOL_SOCKET, 2, forged)])
        _, payload = mine.recv_response()
        mine.next_id = 3
        info = mine.decode("Run", payload)["info"]
        self.assertEqual(set(status(info["pid"])["Uid"].split()),
                         {str(ORDINARY_UID)})
        mine.call("Delete", {"id": info["id"], "force": True})

    def test_a_set_uid_program_that_writes_to_it_gains_nothing(self):
        """Our socket as its stderr: what it says is its user's."""
        mine = self.client(ORDINARY_UID)
        done = subprocess.run(
            ["/usr/bin/newuidmap", "x"], stderr=mine.sock.fileno(),
            stdout=subprocess.DEVNULL, check=False, user=ORDINARY_UID,
            group=ORDINARY_UID, extra_groups=[])
        self.assertNotEqual(done.returncode, 0)
        # Text is no frame: the connection is closed.
        with self.assertRaises((Closed, ConnectionResetError)):
            mine.recv_frame()
        self.assertEqual(self.ctl("version").code, 0)


class Row29OwnProgram(RowCase):
    def test_the_programs_of_ours_cannot_be_written_by_way_of_proc(self):
        """Even root, which a payload is not, finds sealed memory there."""
        spawner = self.nsx.spawner_pid()
        for pid in (spawner, self.nsx.nsexecd_pid(),
                    *all_children(spawner)):
            path = f"/proc/{pid}/exe"
            with self.subTest(pid=pid):
                self.assertIn("/memfd:", os.readlink(path))
                for flags in (os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
                    with self.assertRaises(OSError):
                        os.close(os.open(path, flags))
                fd = os.open(path, os.O_RDONLY)
                seals = fcntl.fcntl(fd, 1034)  # F_GET_SEALS
                os.close(fd)
                self.assertEqual(seals & 0xf, 0xf)


class Row37Gate(RowCase):
    AUDIT = False

    def test_a_payload_at_the_gate_never_runs_when_all_of_ours_die(self):
        mark = os.path.join(self.nsx.base, "ran")
        for name in ("one", "two"):
            self.ctl_ok("create", "--name", name, "--", "/usr/bin/touch",
                        mark)
        pids = [row["pid"] for row in self.rows()]
        self.assertEqual(len(pids), 2)
        spawner, worker = self.nsx.spawner_pid(), self.nsx.nsexecd_pid()
        # The spawner first: it would start another nsexecd.
        os.kill(spawner, signal.SIGKILL)
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: not alive(spawner) and not alive(worker), 10)
        # The launcher begins anew.
        wait_for(lambda: self.nsx.spawner_pid() not in (None, spawner) and
                 self.nsx.nsexecd_pid() not in (None, worker) and
                 self.nsx.answers(), 20, "a new instance")
        for name in self.ctl("list", "-q").lines():
            self.ctl("delete", "-f", name)
        wait_for(lambda: not any(alive(pid) for pid in pids), 30, "the end")
        self.assertFalse(os.path.exists(mark))

    def rows(self):
        parsed = self.ctl_ok("list", "--json").json()
        return parsed["containers"] if isinstance(parsed, dict) else parsed


class Row38Records(RowCase):
    AUDIT = False

    def plant(self, name, make):
        path = os.path.join(self.nsx.dir, "records", name)
        make(path)
        return path

    def landlock(self):
        found = self.ctl_ok("features").json()["nsexecd"]["features"]
        return found.get("landlock", {"present": False})["present"]

    def test_what_is_planted_among_the_records_is_neither_read_nor_written(
            self):
        secret = os.path.join(self.nsx.base, "secret")
        with open(secret, "w", encoding="ascii") as f:
            f.write("secret")
        os.chmod(secret, 0o666)
        self.ctl_ok("run", "-d", "--name", "lives", "--", "/bin/sleep", "600")
        ident = self.ctl_ok("list", "-q").out.strip()
        record = os.path.join(self.nsx.dir, "records", f"0:{ident}")
        owner = os.stat(record)
        with open(record, "rb") as f:
            good = f.read()

        def write(data):
            def make(path):
                with open(path, "wb") as f:
                    f.write(data)
                os.chmod(path, 0o600)
                os.chown(path, owner.st_uid, owner.st_gid)
            return make
        self.plant("link", lambda path: os.symlink(secret, path))
        self.plant(".new.link", lambda path: os.symlink(secret, path))
        self.plant("twin", lambda path: os.link(secret, path))
        self.plant("fifo", os.mkfifo)
        self.plant("dir", os.mkdir)
        self.plant("a\nb", write(good))
        self.plant("torn", write(good[:len(good) // 2]))
        self.plant("zeros", write(b"\0" * 4096))
        self.plant("text", write(b"state=running\nowner=0\nowner=1000\n"))
        self.plant("copy", write(good))
        for name, mode, uid in (("roots", 0o600, 0),
                                ("open", 0o666, owner.st_uid)):
            path = self.plant(name, write(good))
            os.chmod(path, mode)
            os.chown(path, uid, uid)
        self.plant("huge", write(b"\xff" * (1 << 20)))
        self.nsx.kill_nsexecd()
        with open(secret, encoding="ascii") as f:
            self.assertEqual(f.read(), "secret")
        self.assertEqual(self.ctl_ok("list", "-q").lines(), [ident])
        self.assertEqual(self.ctl("state", ident).code, 0)
        self.ctl_ok("delete", "-f", ident)
        # A second time: what was set aside stays so.
        self.nsx.kill_nsexecd()
        self.assertEqual(self.ctl_ok("list", "-q").lines(), [])
        self.assertEqual(sorted(
            name for name in os.listdir(os.path.dirname(record))
            if not name.startswith(".") and not name.endswith("@.bad")),
            # It may make files alone, so it cannot rename these.
            [] if not self.landlock() else ["dir", "fifo", "link"])
        with open(secret, encoding="ascii") as f:
            self.assertEqual(f.read(), "secret")


class Row44Oracle(RowCase):
    N_PROBES = 20000 if LONG else 1500
    METHODS = ("State", "Wait", "Delete", "Start", "Processes")

    def test_anothers_container_and_none_are_told_apart_by_nothing(self):
        mine, other = self.client(ORDINARY_UID), self.client(OTHER_UID)
        ident = mine.call("Run", {
            "spec": ordinary_spec("/bin/sleep", "600")})["info"]["id"]
        self.assertRegex(ident, "^[0-9a-f]{16,}$")
        absent = ident[:-1] + ("0" if ident[-1] != "0" else "1")

        def probe(method, name):
            began = time.perf_counter()
            with self.assertRaises(RpcError) as caught:
                other.call(method, {"id": name})
            took = time.perf_counter() - began
            text = re.sub(name, "ID", repr((caught.exception.code,
                                            caught.exception.message,
                                            caught.exception.detail)))
            return took, text
        for method in self.METHODS:
            if method in API.methods:
                self.assertEqual(probe(method, ident)[1],
                                 probe(method, absent)[1])
        times = {ident: [], absent: []}
        for _ in range(self.N_PROBES):  # interleaved
            for name, found in times.items():
                found.append(probe("State", name)[0])
        here, none = (statistics.median(times[n]) for n in (ident, absent))
        # Both medians within what they differ by from run to run.
        self.assertLess(abs(here - none), 0.15 * max(here, none),
                        (here, none))
        mine.call("Delete", {"id": ident, "force": True})


if __name__ == "__main__":
    main()
