# SPDX-License-Identifier: Apache-2.0
"""A spawner is renewed under a whole instance at work, and nobody notices."""
import collections
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
from harness import (BUILD, ORDINARY_UID, SLOW, Instance, TestCase,
                     fd_kinds, main, program, wait_for)
from ttrpc_client import Client, RpcError

ALL = ("--new", "all", "--map-root-user")
REEXECS = 30


def renew(nsx):
    """Another program in the spawner's place; what it said."""
    return subprocess.run(
        [program("nsexec-spawner"), "--reload", "--run-dir", nsx.dir],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.STDOUT, timeout=60 * SLOW, check=False)


class AtWork(TestCase):
    AUDIT = False

    def renewed(self):
        done = renew(self.nsx)
        self.assertEqual((done.returncode, done.stdout), (0, ""),
                         self.nsx.log())

    def exits(self):
        """{name: [codes]} of all exits that were told since the start."""
        found = collections.defaultdict(list)
        for line in self.ctl_ok("events", "--from", "1", "--no-follow",
                                "--json").jsonl():
            if line["type"] == "exited" and line.get("name"):
                found[line["name"]].append(line["code"])
        return found

    def test_starts_of_several_clients_while_it_is_renewed_thirty_times(self):
        spawner, worker = self.nsx.spawner_pid(), self.nsx.nsexecd_pid()
        wrong, wanted, ending = [], {}, threading.Event()
        lock = threading.Lock()

        def client(who, user, two_phase):
            n = 0
            while not ending.is_set():
                n += 1
                name, code = f"{who}.{n}", n % 100
                script = ["--name", name, *ALL, "--", "/bin/sh", "-c",
                          f"exit {code}"]
                if two_phase:
                    done = self.ctl("create", *script, user=user)
                    if done.code == 0:
                        done = self.ctl("start", name, user=user)
                    if done.code == 0:
                        done = self.ctl("wait", name, user=user)
                        done.code = int(done.out or -1)
                else:
                    done = self.ctl("run", *script, user=user)
                with lock:
                    if user is None:
                        wanted[name] = [code]
                    if done.code != code:
                        wrong.append((name, code, done))
                if user is not None:
                    time.sleep(0.1)  # the rate of starts of a user

        threads = [threading.Thread(target=client, args=row) for row in (
            ("a", None, False), ("b", None, True),
            ("u", ORDINARY_UID, False), ("v", ORDINARY_UID, True))]
        for thread in threads:
            thread.start()
        try:
            self.renewed()
            kinds = fd_kinds(spawner)
            for _ in range(REEXECS - 1):
                time.sleep(0.1)
                self.renewed()
        finally:
            ending.set()
            for thread in threads:
                thread.join()
        self.assertEqual(wrong, [], self.nsx.log())
        self.assertGreater(len(wanted), 20)
        self.assertEqual((self.nsx.spawner_pid(), self.nsx.nsexecd_pid()),
                         (spawner, worker))
        exits = self.exits()
        self.assertEqual({name: exits[name] for name in wanted}, wanted)
        for user in (None, ORDINARY_UID):
            for name in self.ctl_ok("list", "-q", user=user).lines():
                self.ctl("delete", "-f", name, user=user)
        wait_for(lambda: not self.nsx.cgroups(), 10, "no cgroup left")
        # Nothing is open for what has ended: no more than in the midst of it.
        wait_for(lambda: not fd_kinds(spawner) - kinds -
                 collections.Counter({"socket:": 2}), 10, "descriptors")

    def test_connection_that_is_open_has_the_rights_that_it_had(self):
        """Who it is has to be found out anew: an ordinary user, no more."""
        os.setegid(ORDINARY_UID)
        os.seteuid(ORDINARY_UID)
        try:
            client = Client(self.nsx.socket_path)
        finally:
            os.seteuid(0)
            os.setegid(0)
        self.addCleanup(client.close)
        spec = {"process": {"args": [b"/bin/sleep", b"600"]},
                "namespaces": [{"kind": "NS_USER", "create": True}],
                "id_maps": {"preset": "MAP_ROOT"}}
        for n in range(3):
            info = client.call("Run", {"spec": {**spec, "name": f"own{n}"}})[
                "info"]
            self.assertEqual(os.stat(f"/proc/{info['pid']}").st_uid,
                             ORDINARY_UID)
            with self.assertRaises(RpcError) as caught:
                client.call("Run", {"spec": {
                    **spec, "name": "bad", "id_maps": {
                        "preset": "MAP_EXPLICIT", "uid": [
                            {"container_id": 0, "host_id": 0, "size": 1}]}}})
            self.assertIn(caught.exception.code, (3, 7))
            self.renewed()
            client.call("Signal", {"id": f"own{n}", "signal": 9})
        for n in range(3):
            self.assertEqual(self.ctl_ok("wait", f"own{n}",
                                         user=ORDINARY_UID).lines(), ["137"])
            self.ctl_ok("delete", f"own{n}", user=ORDINARY_UID)

    def test_exec_signal_and_gate_after_it(self):
        self.ctl_ok("create", "--name", "gate", *ALL, "--", "/bin/sh", "-c",
                    "exit 5")
        self.ctl_ok("run", "-d", "--name", "on", *ALL, "--", "/bin/sleep",
                    "600")
        self.renewed()
        self.assertEqual(self.ctl("exec", "on", "--", "/bin/sh", "-c",
                                  "exit 8").code, 8)
        self.ctl_ok("start", "gate")
        self.assertEqual(self.ctl_ok("wait", "gate").out.strip(), "5")
        self.renewed()
        self.ctl_ok("kill", "-s", "KILL", "on")
        self.assertEqual(self.ctl_ok("wait", "on").out.strip(), "137")
        for name in ("gate", "on"):
            self.ctl_ok("delete", name)

    def test_death_of_nsexecd_after_it_is_followed_by_another(self):
        self.renewed()
        spawner = self.nsx.spawner_pid()
        self.nsx.kill_nsexecd()
        self.renewed()
        self.assertEqual(self.nsx.spawner_pid(), spawner)
        self.assertEqual(self.ctl("run", "--", "/bin/sh", "-c",
                                  "exit 3").code, 3)


class Policy(TestCase):
    INSTANCE = False

    def setUp(self):
        super().setUp()
        self.policy = tempfile.mkdtemp(prefix="nsx-policy.")
        self.addCleanup(shutil.rmtree, self.policy)
        os.chmod(self.policy, 0o755)

    def write(self, text):
        with open(os.path.join(self.policy, "policy.json"), "w",
                  encoding="ascii") as f:
            f.write(text)

    def test_policy_is_read_anew_and_a_bad_one_keeps_the_old(self):
        rule = ('{"version": 1, "rules": [{"name": "%s", "match": {"uid": '
                f"[{ORDINARY_UID}]" '}, "verbs": []}]}')
        self.write(rule % "first")
        with Instance(["--policy-dir", self.policy]) as nsx:
            def said():
                return nsx.ctl("run", "--", "/bin/true",
                               user=ORDINARY_UID).err
            self.assertIn("rule first", said())
            self.write("{")
            for n in range(1, 4):
                self.assertEqual(renew(nsx).returncode, 0)
                self.assertIn("rule first", said())
                wait_for(lambda n=n: nsx.log().count(
                    "the old rules stay") == n, 10, "what is wrong")
            self.write(rule % "second")
            self.assertEqual(renew(nsx).returncode, 0)
            wait_for(lambda: "rule second" in said(), 10, "the new rule")


class Launcher(TestCase):
    """A second command of another release renews the spawner that lives."""
    INSTANCE = False

    def setUp(self):
        super().setUp()
        self.files = tempfile.mkdtemp(prefix="nsx-release.")
        self.addCleanup(shutil.rmtree, self.files)
        os.chmod(self.files, 0o755)
        for name in ("nsexecd", "nsexec-spawner", "nsexec-resolver"):
            shutil.copy(os.path.join(BUILD, name), self.files)

    def again(self, nsx):
        return subprocess.run(
            [os.path.join(self.files, "nsexecd"), *nsx.command()[1:],
             "--detach"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=60 * SLOW,
            check=False)

    def test_spawner_takes_the_program_of_a_newer_command(self):
        with Instance() as nsx:
            nsx.ctl("run", "-d", "--name", "stays", "--", "/bin/sleep", "600")
            pids = (nsx.spawner_pid(), nsx.nsexecd_pid(),
                    nsx.ctl("state", "stays").json()["pid"])
            with open(f"/proc/{pids[0]}/exe", "rb") as f:
                first = os.fstat(f.fileno()).st_ino
            self.assertEqual(self.again(nsx).returncode, 0)
            self.assertNotIn("goes on as", nsx.log())  # the same program
            for tail in (b"a", b"b"):
                with open(os.path.join(self.files, "nsexec-spawner"),
                          "ab") as f:
                    f.write(tail)
                done = self.again(nsx)
                self.assertEqual((done.returncode, done.stdout), (0, ""))
                with open(f"/proc/{pids[0]}/exe", "rb") as f:
                    data = f.read()
                    self.assertNotEqual(os.fstat(f.fileno()).st_ino, first)
                self.assertTrue(data.endswith(tail))
            self.assertEqual(
                (nsx.spawner_pid(), nsx.nsexecd_pid(),
                 nsx.ctl("state", "stays").json()["pid"]), pids)
            nsx.ctl("kill", "-s", "KILL", "stays")
            self.assertEqual(nsx.ctl("wait", "stays").lines(), ["137"])
            nsx.ctl("delete", "stays")

    def test_spawner_that_cannot_be_renewed_serves_on(self):
        with Instance() as nsx:
            shutil.copy("/bin/true",
                        os.path.join(self.files, "nsexec-spawner"))
            done = self.again(nsx)
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertIn("cannot renew the spawner: ", done.stdout)
            self.assertEqual(nsx.ctl("run", "--", "/bin/sh", "-c",
                                     "exit 4").code, 4)


if __name__ == "__main__":
    main()
