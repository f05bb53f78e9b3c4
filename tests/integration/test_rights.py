# SPDX-License-Identifier: Apache-2.0
"""The whole of a caller's rights, from the files of the administrator to the
payload: accounts and delegated ids by the resolver, policy, owners, confined
callers. Everything is real; /etc's files are our own, bound in our own mounts.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
from harness import Instance, TestCase, main, wait_for  # noqa: E402
from own_etc import OwnEtc  # noqa: E402
from ttrpc_client import Client, RpcError  # noqa: E402

ALICE, BOB, CAROL, DAVE = 62001, 62002, 62003, 62004
SUB = 1000000  # the first id that is delegated to alice
FILES = {
    "passwd": "root:x:0:0::/:/bin/sh\n" + "".join(
        f"{name}:x:{uid}:{uid}::/:/bin/sh\n" for name, uid in (
            ("alice", ALICE), ("bob", BOB), ("carol", CAROL),
            ("dave", DAVE))),
    "subuid": f"alice:{SUB}:131072\nbob:2000000:65536\n",
    "subgid": f"alice:{SUB}:131072\nbob:2000000:65536\n",
}
ETC = OwnEtc()


def setUpModule():
    ETC.put(FILES)


def tearDownModule():
    ETC.back()


class RightsCase(TestCase):
    AUDIT = False
    RULES = None

    @classmethod
    def setUpClass(cls):
        cls.policy = tempfile.mkdtemp(prefix="nsxpolicy-")
        os.chmod(cls.policy, 0o755)
        cls.ARGS = ("--policy-dir", cls.policy)
        if cls.RULES:
            cls.write(cls.RULES)
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.policy)

    @classmethod
    def write(cls, rules):
        path = os.path.join(cls.policy, "policy.json")
        with open(path + ".new", "w", encoding="ascii") as f:
            f.write(rules if isinstance(rules, str) else
                    json.dumps({"version": 1, "rules": rules}))
        os.rename(path + ".new", path)

    def setUp(self):
        super().setUp()
        self.addCleanup(self.delete_all)

    def delete_all(self):
        for name in self.ctl("list", "-q").lines():
            self.ctl("delete", "-f", name)

    def rows(self, name, user, which="uid"):
        pid = self.ctl_ok("state", name, user=user).json()["pid"]
        with open(f"/proc/{pid}/{which}_map", encoding="ascii") as f:
            return [tuple(map(int, line.split())) for line in f]

    def run_as(self, prefix, *args):
        """nsexecctl run through another program."""
        return subprocess.run([*prefix, *self.nsx.ctl_argv(*args)],
                              env=self.nsx.env, cwd="/", text=True,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=30, check=False)


class OnlySubuid(RightsCase):
    """No set-up but /etc/subuid and /etc/subgid, and no policy at all."""

    def test_an_ordinary_user_has_his_delegated_ids(self):
        result = self.ctl_ok(
            "run", "--new", "user,pid,mnt,net,uts,ipc", "--map-auto", "--",
            "sh", "-c", "id -u; cat /proc/self/uid_map /proc/self/gid_map; "
            "cat /proc/self/setgroups; touch /tmp/nsx.$$ && chown 7:7 "
            "/tmp/nsx.$$ && stat -c %u:%g /tmp/nsx.$$; rm -f /tmp/nsx.$$",
            user=ALICE)
        lines = result.lines()
        self.assertEqual(lines[0], "0")
        rows = [tuple(map(int, line.split())) for line in lines[1:5]]
        self.assertEqual(rows[:2], [(0, ALICE, 1), (1, SUB, 131072)])
        self.assertEqual(rows[2:], [(0, ALICE, 1), (1, SUB, 131072)])
        self.assertEqual(lines[5:], ["allow", "7:7"])

    def test_written_out_rows_are_decided_by_what_is_delegated(self):
        self.ctl_ok("run", "--new", "user", "--map-users",
                    f"0:{BOB}:1,1:2000000:65536", "--map-groups",
                    f"0:{BOB}:1", "--", "/bin/true", user=BOB)
        self.ctl_refused("MAP_DENIED", "not delegated", "run", "--new", "user",
                         "--map-users", f"0:{BOB}:1,1:{SUB}:1",
                         "--map-groups", f"0:{BOB}:1", "--", "/bin/true",
                         user=BOB)

    def test_without_delegation_auto_says_what_to_do(self):
        self.ctl_refused("MAP_INVALID", "usermod --add-subuids", "run",
                         "--new", "user", "--map-auto", "--", "/bin/true",
                         user=CAROL)

    def test_private_blocks_are_disjoint_and_free_again(self):
        for name in ("one", "two"):
            self.ctl_ok("run", "-d", "--name", name, "--new", "user",
                        "--map-auto-private", "--", "/bin/sleep", "60",
                        user=ALICE)
        firsts = {self.rows(name, ALICE)[1][1:] for name in ("one", "two")}
        self.assertEqual(firsts, {(SUB, 65536), (SUB + 65536, 65536)})
        self.ctl_refused("QUOTA", "2 used", "run", "--new", "user",
                         "--map-auto-private", "--", "/bin/true", user=ALICE)
        # On record: another nsexecd knows of them.
        self.nsx.kill_nsexecd()
        self.ctl_refused("QUOTA", "2 used", "run", "--new", "user",
                         "--map-auto-private", "--", "/bin/true", user=ALICE)
        self.ctl_ok("kill", "-s", "KILL", "one", user=ALICE)
        self.ctl_ok("wait", "one", user=ALICE)
        self.ctl_ok("run", "--new", "user", "--map-auto-private", "--",
                    "/bin/true", user=ALICE)

    def test_a_delegated_id_is_its_user(self):
        self.ctl_ok("run", "-d", "--name", "hers", "--", "/bin/sleep", "60",
                    user=ALICE)
        names = [row["name"] for row in
                 self.ctl_ok("list", "--json", user=SUB + 5).json()]
        self.assertEqual(names, ["hers"])
        self.ctl_ok("run", "-d", "--name", "sub", "--", "/bin/sleep", "60",
                    user=SUB + 5)
        pid = self.ctl_ok("state", "sub", user=ALICE).json()["pid"]
        self.assertEqual(os.stat(f"/proc/{pid}").st_uid, SUB + 5)
        with open(f"/proc/{pid}/cgroup", encoding="ascii") as f:
            self.assertIn(f"/u{ALICE}/", f.read())
        # Another's are as absent to both.
        self.ctl_refused("NOT_FOUND", "", "state", "hers", user=BOB)
        self.assertEqual(self.ctl_ok("list", "-q", user=2000007).lines(), [])

    def test_ids_of_containers_tell_nothing_of_others(self):
        for user in (ALICE, BOB):
            self.ctl_ok("run", "-d", "--id", "same", "--", "/bin/sleep", "60",
                        user=user)
        pids = {self.ctl_ok("state", "same", user=user).json()["pid"]
                for user in (ALICE, BOB)}
        self.assertEqual(len(pids), 2)
        self.ctl_ok("delete", "-f", "same", user=ALICE)
        self.assertEqual(self.ctl_ok("state", "same", user=BOB)
                         .json()["status"], "running")


class Confined(RightsCase):
    AS_ALICE = ("setpriv", "--reuid", str(ALICE), "--regid", str(ALICE),
                "--clear-groups")

    def confined(self, word, *prefix):
        done = self.run_as(prefix, "run", "--", "/bin/true")
        self.assertEqual(done.returncode, 125, done)
        self.assertIn("[CONFINED]", done.stderr)
        self.assertIn(word, done.stderr)

    def test_each_kind_is_refused_by_its_name(self):
        as_alice = self.AS_ALICE
        self.confined("no_new_privs", *as_alice, "--no-new-privs")
        self.confined("mntns", "unshare", "-m", *as_alice)
        self.confined("netns", "unshare", "-n", *as_alice)
        self.confined("pidns", "unshare", "-p", "-f", *as_alice)
        self.confined("userns", *as_alice, "unshare", "-U")

    def test_a_changed_root_is_refused(self):
        root = tempfile.mkdtemp(prefix="nsxroot-")
        self.addCleanup(os.rmdir, root)
        os.chmod(root, 0o755)
        subprocess.run(["mount", "--rbind", "/", root], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", root], check=False)
        # Its programs are found there, below the same paths.
        self.confined("chroot", "chroot", f"--userspec={ALICE}:{ALICE}",
                      "--groups=", root)

    def test_whoever_is_gone_is_refused(self):
        # The process that connected ends; its child asks.
        code = ("import os, socket, sys, time\n"
                "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
                "if os.fork(): os._exit(0)\n"
                "time.sleep(0.3)\n"
                "d = b'\\x0a\\x10nsexec.v1.Nsexec\\x12\\x04List'\n"
                "s.sendall(len(d).to_bytes(4, 'big') + (1).to_bytes(4, 'big')"
                " + b'\\x01\\x00' + d)\n"
                "s.settimeout(10)\n"
                "sys.stdout.buffer.write(s.recv(4096))\n")
        worker = self.nsx.nsexecd_pid()
        os.kill(worker, signal.SIGSTOP)
        child = subprocess.Popen(
            [*self.AS_ALICE, "/usr/bin/python3", "-I", "-c", code,
             self.nsx.socket_path], stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL)
        child.wait(10)
        os.kill(worker, signal.SIGCONT)
        answer = child.stdout.read()
        child.stdout.close()
        self.assertIn(b"the caller's process has ended", answer)


class Policy(RightsCase):
    RULES = [
        {"name": "bob-looks", "match": {"uid": [BOB]},
         "verbs": ["version", "list", "state", "events"]},
        {"name": "carol-small", "match": {"uid": [CAROL]},
         "create": ["user", "pid"], "quotas": {"containers": 1}},
        {"name": "dave-admin", "match": {"uid": [DAVE]}, "admin": True},
        {"name": "alice-more", "match": {"uid": [ALICE]},
         "uid_ranges": ["5000000-5000099"], "gid_ranges": ["5000000-5000099"],
         "allow_confined": ["netns"], "no_new_privs": False},
    ]

    def reload(self):
        os.kill(self.nsx.spawner_pid(), signal.SIGHUP)

    def test_verbs_kinds_and_quotas_are_narrowed_by_the_rule_named(self):
        self.ctl_refused("PERMISSION_DENIED", "bob-looks", "run", "--",
                         "/bin/true", user=BOB)
        self.ctl_ok("list", user=BOB)
        self.ctl_refused("PERMISSION_DENIED", "carol-small", "run", "--new",
                         "user,net", "--map-root-user", "--", "/bin/true",
                         user=CAROL)
        self.ctl_ok("run", "-d", "--new", "user", "--map-root-user", "--",
                    "/bin/sleep", "60", user=CAROL)
        self.ctl_refused("QUOTA", "1", "run", "--", "/bin/true", user=CAROL)

    def test_extras_are_granted(self):
        self.ctl_ok("run", "--new", "user", "--map-users",
                    f"0:{ALICE}:1,1:5000000:100", "--map-groups",
                    f"0:{ALICE}:1,1:5000000:100", "--", "/bin/true",
                    user=ALICE)
        self.ctl_refused("MAP_DENIED", "", "run", "--new", "user",
                         "--map-users", f"0:{ALICE}:1,1:5000000:101",
                         "--map-groups", f"0:{ALICE}:1", "--", "/bin/true",
                         user=ALICE)
        done = self.run_as(("unshare", "-n", *Confined.AS_ALICE), "run", "--",
                           "/bin/true")
        self.assertEqual(done.returncode, 0, done)

    def test_an_admin_by_policy_handles_the_containers_of_others(self):
        self.ctl_ok("run", "-d", "--name", "a", "--", "/bin/sleep", "60",
                    user=ALICE)
        names = [row["name"] for row in
                 self.ctl_ok("list", "--json", user=DAVE).json()]
        self.assertIn("a", names)
        out = self.ctl_ok("run", "--new", "net,pid", "--", "id", "-u",
                          user=DAVE)
        self.assertEqual(out.lines(), [str(DAVE)])
        self.ctl_ok("kill", "-s", "KILL", "a", user=DAVE)
        self.assertEqual(self.ctl_ok("wait", "a", user=ALICE).lines(), ["137"])

    def test_reload_is_whole_or_not_at_all(self):
        try:
            self.write("{ no policy")
            self.reload()
            wait_for(lambda: "policy" in self.nsx.log(), 10, "a line of it")
            self.ctl_refused("PERMISSION_DENIED", "bob-looks", "run", "--",
                             "/bin/true", user=BOB)
            self.write([])
            self.reload()
            wait_for(lambda: self.ctl("run", "--", "/bin/true",
                                      user=BOB).code == 0, 10, "no rules")
        finally:
            self.write(self.RULES)
            self.reload()
        wait_for(lambda: self.ctl("run", "--", "/bin/true",
                                  user=BOB).code != 0, 10, "the rules")

    def as_user(self, uid):
        groups = os.getgroups()
        os.setgroups([])
        os.setegid(uid)
        os.seteuid(uid)
        try:
            client = Client(self.nsx.socket_path)
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)
        self.addCleanup(client.close)
        client.call("List", {})
        return client

    def test_new_rules_hold_for_open_connections(self):
        carol, bob, dave = map(self.as_user, (CAROL, BOB, DAVE))
        rules = [dict(rule) for rule in self.RULES]
        rules[1]["quotas"] = {"containers": 0}
        rules[0]["verbs"] = ["version", "state"]
        rules[2]["admin"] = False
        sleep = {"spec": {"process": {"args": [b"/bin/sleep", b"60"]}}}
        first = carol.call("Run", sleep)["info"]["id"]
        carol.call("Delete", {"id": first, "force": True})
        try:
            self.write(rules)
            self.reload()

            def refused():
                try:
                    made = carol.call("Run", sleep)["info"]["id"]
                except RpcError as error:
                    self.assertEqual(error.detail.get("code"), "QUOTA")
                    return True
                carol.call("Delete", {"id": made, "force": True})
                return False
            wait_for(refused, 5, "the new quota")
            for client in (bob, dave):  # what they had is less now
                with self.assertRaises((EOFError, OSError)):
                    client.call("List", {})
        finally:
            self.write(self.RULES)
            self.reload()
        wait_for(lambda: self.ctl("list", user=BOB).code == 0, 10, "the rules")


if __name__ == "__main__":
    main()
