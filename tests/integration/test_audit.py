# SPDX-License-Identifier: Apache-2.0
"""The audit log: a record for each decision and each end, with its fields, in
the journal or on standard error; and a log that takes nothing stops nobody."""
import hashlib
import os
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from harness import SLOW, Instance, TestCase, main, wait_for  # noqa: E402
from ttrpc_client import API, Client, RpcError  # noqa: E402

USER = 60002
DECISION = "7c1b5e1a4f0e4b6c9a4e0d5c6f2ab913"
EVENT = "b0c8f4d27a1946f8a55d3e9d1c7e6042"


def user_client(path, uid):
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(uid)
    os.seteuid(uid)
    try:
        return Client(path)
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def spec(*args):
    return {"process": {"args": [a.encode() for a in args],
                        "env": [b"PATH=/usr/bin:/bin"]}}


class Plain(TestCase):
    ARGS = ("--log-level", "info")

    def records(self, **wanted):
        """Lines of the log with these fields, as dictionaries."""
        found = []
        for line in self.nsx.log().splitlines():
            if "nsexecd: audit: " not in line:
                continue
            made = dict(word.split("=", 1) for word in
                        line.split("audit: ")[1].split() if "=" in word)
            if all(made.get(key) == value for key, value in wanted.items()):
                found.append(made)
        return found

    def test_start_and_end_of_a_user_are_on_record(self):
        client = user_client(self.nsx.socket_path, USER)
        self.addCleanup(client.close)
        request = {"spec": spec("/bin/sh", "-c", "exit 7; secret"),
                   "key": bytes(range(16))}
        ident = client.call("Run", request)["info"]["id"]
        client.call("Wait", {"id": ident})
        client.call("Delete", {"id": ident})
        (run,) = self.records(op="Run", instance=ident)
        self.assertEqual(run["decision"], "allow")
        self.assertEqual((run["caller_owner"], run["policy_rule"]),
                         (str(USER), "default"))
        self.assertEqual((run["caller_uid"], run["caller_gid"]),
                         (str(USER), str(USER)))
        self.assertEqual(run["caller_pid"], str(os.getpid()))
        self.assertEqual(run["key"], bytes(range(16)).hex())
        self.assertEqual(run["argv_sha256"], hashlib.sha256(
            b"/bin/sh\0-c\0exit 7; secret\0").hexdigest())
        self.assertEqual(run["req_sha256"], hashlib.sha256(
            API.encode("RunRequest", request)).hexdigest())
        (end,) = self.records(op="event", instance=ident)
        self.assertEqual((end["exit"], end["caller_owner"]),
                         ("7", str(USER)))
        self.assertTrue(int(end["seq"]))
        self.assertEqual(len(end["epoch"]), 32)
        self.assertEqual(len(self.records(op="Delete", instance=ident)), 1)
        self.assertNotIn("secret", self.nsx.log())

    def test_program_and_joined_namespaces_are_named_by_number(self):
        program = os.stat("/bin/sh")
        exe = (f"{os.major(program.st_dev)}:{os.minor(program.st_dev)}:"
               f"{program.st_ino}")
        sleeper = subprocess.Popen(["unshare", "--user", "--map-root-user",
                                    "--net", "--uts", "sleep", "60"],
                                   user=USER, group=USER, extra_groups=[])
        self.addCleanup(sleeper.wait)
        self.addCleanup(sleeper.kill)
        wait_for(lambda: os.stat(f"/proc/{sleeper.pid}/ns/net").st_ino !=
                 os.stat("/proc/self/ns/net").st_ino, 5, "unshare")
        inodes = {kind: os.stat(f"/proc/{sleeper.pid}/ns/{kind}").st_ino
                  for kind in ("user", "uts", "net")}
        made = dict(spec("sh", "-c", "exit 0"), namespaces=[
            {"kind": f"NS_{kind.upper()}",
             "process": {"pid": sleeper.pid}} for kind in inodes])
        client = user_client(self.nsx.socket_path, USER)
        self.addCleanup(client.close)
        ident = client.call("Run", {"spec": made})["info"]["id"]
        client.call("Wait", {"id": ident})
        joins = ",".join(f"{kind}:{inodes[kind]}:{USER}" for kind in inodes)
        (run,) = self.records(op="Run", instance=ident)
        (end,) = self.records(op="event", instance=ident)
        for record in (run, end):
            self.assertEqual(record["ns_join"], joins, record)
            self.assertEqual(record["exe"], exe, record)
        client.call("Delete", {"id": ident})

    def test_record_of_an_end_knows_the_program_after_a_restart(self):
        program = os.stat("/bin/sleep")
        client = user_client(self.nsx.socket_path, USER)
        self.addCleanup(client.close)
        ident = client.call("Run", {"spec": spec("/bin/sleep", "60")})[
            "info"]["id"]
        self.nsx.kill_nsexecd()
        again = user_client(self.nsx.socket_path, USER)
        self.addCleanup(again.close)
        again.call("Delete", {"id": ident, "force": True})
        (end,) = self.records(op="event", instance=ident)
        self.assertEqual(end["exe"], f"{os.major(program.st_dev)}:"
                         f"{os.minor(program.st_dev)}:{program.st_ino}")

    def test_denial_says_the_rule_and_is_rate_limited(self):
        client = user_client(self.nsx.socket_path, USER + 1)
        self.addCleanup(client.close)
        for _ in range(200):
            with self.assertRaises(RpcError):
                client.call("State", {"id": "no\x2dsuch"})
        found = self.records(op="State", caller_uid=str(USER + 1))
        self.assertIn(len(found), range(10, 100))
        self.assertEqual((found[0]["decision"], found[0]["err"]),
                         ("deny", "NOT_FOUND"))
        time.sleep(1.1)
        with self.assertRaises(RpcError):
            client.call("State", {"id": "no-such"})
        last = self.records(op="State", caller_uid=str(USER + 1))[-1]
        self.assertGreater(int(last["suppressed"]), 50)

    def test_long_map_of_a_request_is_cut_in_its_record(self):
        rows = [{"container_id": n, "host_id": 100000 + 2 * n, "size": 1}
                for n in range(300)]
        client = user_client(self.nsx.socket_path, USER + 2)
        self.addCleanup(client.close)
        bad = spec("/bin/true")
        bad["namespaces"] = [{"kind": kind, "create": True}
                             for kind in ("NS_USER", "NS_PID")]
        bad["id_maps"] = {"uid": rows, "gid": rows[:1]}
        with self.assertRaises(RpcError):
            client.call("Run", {"spec": bad})
        (run,) = self.records(op="Run", caller_uid=str(USER + 2))
        self.assertLess(len(run["uidmap"]), 128)
        self.assertTrue(run["uidmap"].startswith("0:100000:1,1:100002:1"))
        self.assertTrue(run["uidmap"].endswith(",..."))
        self.assertEqual((run["gidmap"], run["ns_new"]),
                         ("0:100000:1", "user,pid"))

    def test_act_of_an_admin_is_on_record_before_it_is_done(self):
        """The decision's line comes before the line of the end."""
        self.ctl_ok("run", "--name", "adm", "--", "/bin/true")
        lines = [line for line in self.nsx.log().splitlines()
                 if "audit: " in line]
        run = max(n for n, line in enumerate(lines)
                  if "op=Run" in line and "caller_uid=0" in line)
        end = max(n for n, line in enumerate(lines) if "op=event" in line)
        self.assertLess(run, end)


class Journaled(Instance):
    """Socket-activated, so that its standard error can be a journal's."""

    def command(self):
        st = os.stat(self.log_path)
        return ["systemd-socket-activate", "-l", self.socket_path,
                "--fdname=rpc", "-E",
                f"JOURNAL_STREAM={st.st_dev}:{st.st_ino}"] + super().command()

    def start(self):
        with open(self.log_path, "ab"):
            pass
        with open(self.log_path, "ab") as log:
            self.launcher = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, env=self.env)
        wait_for(lambda: "Listening on" in self.log(), 10, self.log())
        os.chmod(self.socket_path, 0o666)
        wait_for(lambda: self.answers() and self.nsexecd_pid(), 15,
                 self.log())
        return self


class Journal(TestCase):
    """In this process's own mount namespace there is a /run of our own."""
    INSTANCE = False

    def setUp(self):
        super().setUp()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "none",
                        "/run"], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", "/run"], check=True)
        os.makedirs("/run/systemd/journal")
        self.journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.journal.close)
        self.journal.bind("/run/systemd/journal/socket")
        os.chmod("/run/systemd/journal/socket", 0o666)
        self.journal.settimeout(10 * SLOW)

    def record(self, **wanted):
        """The next record with these fields, as a dictionary."""
        while True:
            made = dict(line.split("=", 1) for line in
                        self.journal.recv(65536).decode().splitlines())
            if all(made.get("NSEXECD_" + key.upper()) == value
                   for key, value in wanted.items()):
                return made

    def test_journal_gets_every_record_as_fields(self):
        with Journaled() as nsx:
            client = user_client(nsx.socket_path, USER)
            ident = client.call("Run", {"spec": spec("/bin/true")})
            ident = ident["info"]["id"]
            client.call("Wait", {"id": ident})
            with self.assertRaises(RpcError):
                client.call("Delete", {"id": "x\nNSEXECD_OP=forged"})
            client.call("Delete", {"id": ident})
            client.close()
            run = self.record(op="Run")
            self.assertEqual((run["MESSAGE_ID"], run["NSEXECD_DECISION"],
                              run["NSEXECD_CALLER_UID"],
                              run["NSEXECD_INSTANCE"]),
                             (DECISION, "allow", str(USER), ident))
            self.assertEqual(self.record(op="event")["MESSAGE_ID"], EVENT)
            bad = self.record(op="Delete", decision="deny")
            self.assertEqual(bad["NSEXECD_ERR"], "INVALID_ARGUMENT")
            self.assertEqual(bad["NSEXECD_INSTANCE"],
                             "x\\x0aNSEXECD_OP=forged")

    def test_journal_that_is_never_read_stops_nobody(self):
        """Once its queue is full, records are lost and counted; nsexecd
        answers as before, and tells the loss when the journal is back."""
        with Journaled() as nsx:
            client = user_client(nsx.socket_path, USER)
            before = self.median(client)
            ident = client.call("Run", {"spec": spec("/bin/sleep", "600")})
            ident = ident["info"]["id"]
            for _ in range(400):  # allowed, and too late for it each time
                client.call("Cancel", {"id": ident})
            after = self.median(client)
            self.assertLess(after, before * 3 + 0.002 * SLOW)
            self.journal.setblocking(False)
            try:
                while self.journal.recv(65536):
                    pass
            except BlockingIOError:
                pass
            self.journal.settimeout(10 * SLOW)
            client.call("Delete", {"id": ident, "force": True})
            client.close()
            while True:
                made = self.record()
                if "NSEXECD_LOST" in made:
                    break
            self.assertGreater(int(made["NSEXECD_LOST"]), 0)

    @staticmethod
    def median(client):
        took = []
        for _ in range(101):
            began = time.monotonic()
            try:
                client.call("State", {"id": "nothing"})
            except RpcError:
                pass
            took.append(time.monotonic() - began)
        return sorted(took)[50]


if __name__ == "__main__":
    main()
