# SPDX-License-Identifier: Apache-2.0
"""What a user's containers may have together: the policy's tasks and
memory_mib, kept by the kernel on the cgroup above them. Needs a cgroup v2
with the controllers pids and memory (a hybrid system has them elsewhere).
"""
import json
import os
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
from harness import TestCase, cgroup2_mount, main, wait_for  # noqa: E402

FEW, NONE, SMALL, PLAIN, CHIEF = range(62101, 62106)
RULES = [
    {"name": "few", "match": {"uid": [FEW]}, "quotas": {"tasks": 6}},
    {"name": "none", "match": {"uid": [NONE]}, "quotas": {"memory_mib": 0}},
    {"name": "small", "match": {"uid": [SMALL]}, "quotas": {"memory_mib": 32}},
    {"name": "chief", "match": {"uid": [CHIEF]}, "admin": True,
     "quotas": {"tasks": 2}},
]
# As many children as fit, up to %d; then print their number and stay.
FORKS = """
import os, time
n = 0
try:
    while n < %d:
        if os.fork() == 0:
            time.sleep(60)
        n += 1
except OSError:
    pass
print(n, flush=True)
time.sleep(60 if %d else 0)
"""


def controllers():
    """Those that a cgroup below the root of the hierarchy has."""
    try:
        with open(os.path.join(cgroup2_mount() or "/",
                               "cgroup.subtree_control"),
                  encoding="ascii") as f:
            return set(f.read().split())
    except OSError:
        return set()


BOUND = {"pids", "memory"} <= controllers()


class QuotasCase(TestCase):
    AUDIT = False

    @classmethod
    def setUpClass(cls):
        cls.policy = tempfile.mkdtemp(prefix="nsxpolicy-")
        os.chmod(cls.policy, 0o755)
        with open(os.path.join(cls.policy, "policy.json"), "w",
                  encoding="ascii") as f:
            json.dump({"version": 1, "rules": RULES}, f)
        cls.ARGS = ("--policy-dir", cls.policy)
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.policy)

    def features(self, user):
        done = self.ctl("features", "--json", user=user)
        self.assertEqual(done.code, 0, done)
        return {name: row["present"] for name, row in
                done.json()["nsexecd"]["features"].items()}

    def doctor(self):
        done = self.ctl("doctor", "--json")
        return [row for row in done.json() if row["check"] == "instance"][0]


@unittest.skipUnless(BOUND, "needs cgroup v2 with pids and memory")
class Quotas(QuotasCase):
    def value(self, uid, name):
        with open(f"{self.nsx.cgroup}/u{uid}/{name}", encoding="ascii") as f:
            return f.read().strip()

    @staticmethod
    def put(path, text):
        with open(path, "w", encoding="ascii") as f:
            f.write(text)

    def forks(self, n, stay, user, *more):
        return ("run", *more, "--", sys.executable, "-c", FORKS % (n, stay))

    def started(self, *args, user):
        done = self.ctl(*args, user=user)
        self.assertEqual(done.code, 0, done)
        name = done.out.strip()
        self.addCleanup(self.ctl, "delete", "-f", name, user=user)
        return name

    def refused(self, user, *args):
        done = self.ctl("--json", *args, user=user)
        self.assertEqual(done.code, 125, done)
        error = json.loads(done.err)
        self.assertEqual(error["code"], "QUOTA", error)
        return error

    def test_features_and_doctor_say_that_they_hold(self):
        for user in (PLAIN, 0):
            found = self.features(user)
            self.assertTrue(found["quota-tasks"], found)
            self.assertTrue(found["quota-memory"], found)
        self.assertEqual(self.doctor()["level"], "ok")

    def test_defaults_are_4096_tasks_and_half_of_the_memory(self):
        self.started("run", "-d", "--", "/bin/sleep", "60", user=PLAIN)
        self.assertEqual(self.value(PLAIN, "pids.max"), "4096")
        half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE") // 2
        self.assertAlmostEqual(int(self.value(PLAIN, "memory.max")), half,
                               delta=65536)

    def test_tasks_of_all_containers_together_are_bounded(self):
        done = self.ctl(*self.forks(40, 0, FEW), user=FEW)
        self.assertEqual((done.code, done.out.strip()), (0, "5"), done)
        for _ in range(5):  # a start is two tasks for a moment
            self.started("run", "-d", "--", "/bin/sleep", "60", user=FEW)
        error = self.refused(FEW, "run", "--", "/bin/true")
        self.assertEqual(error["quota_kind"], "tasks", error)
        self.assertEqual(error["limit"], 6, error)
        self.assertEqual(error["used"], 5, error)
        self.assertEqual(self.ctl("run", "--", "/bin/true", user=PLAIN).code,
                         0)

    def test_who_may_have_no_memory_starts_nothing(self):
        error = self.refused(NONE, "run", "--", "/bin/true")
        self.assertEqual(error["quota_kind"], "memory", error)
        self.assertEqual(error["limit"], 0, error)

    def test_memory_over_the_bound_ends_his_own_and_nobody_else(self):
        other = self.started("run", "-d", "--", "/bin/sleep", "60", user=PLAIN)
        eater = self.started("run", "-d", "--", sys.executable, "-c",
                             "x = bytearray(b'x') * (200 << 20)", user=SMALL)
        done = self.ctl("wait", eater, user=SMALL, timeout=60)
        self.assertEqual(done.out.strip(), "137", done)
        events = self.ctl("events", "--from", "1", "--no-follow", "--json",
                          user=SMALL).jsonl()
        ended = [e for e in events if e["type"] == "exited" and
                 e["container"] == eater]
        self.assertGreaterEqual(ended[0]["oom_kills"], 1, ended)
        self.assertIn("running", self.ctl("state", other, user=PLAIN).out)

    def test_an_admin_of_the_policy_has_no_bound(self):
        self.started("run", "-d", "--", "/bin/sleep", "60", user=CHIEF)
        self.assertEqual(self.value(CHIEF, "pids.max"), "max")

    def test_a_payload_cannot_change_it(self):
        done = self.ctl("run", "--new", "user,mnt,cgroup", "--map-root", "--",
                        "/bin/sh", "-c", f"echo max > {self.nsx.cgroup}/u"
                        f"{FEW}/pids.max", user=FEW)
        self.assertNotEqual(done.code, 0, done)
        self.started("run", "-d", "--", "/bin/sleep", "60", user=FEW)
        self.assertEqual(self.value(FEW, "pids.max"), "6")

    def test_a_slice_of_his_own_says_what_he_has(self):
        path = os.path.join(cgroup2_mount(), "user.slice")
        if not os.path.exists(path):  # nobody has logged in
            os.mkdir(path)
            self.addCleanup(os.rmdir, path)
            self.put(f"{path}/cgroup.subtree_control", "+pids")
        os.mkdir(f"{path}/user-{PLAIN}.slice")
        self.addCleanup(os.rmdir, f"{path}/user-{PLAIN}.slice")
        self.put(f"{path}/user-{PLAIN}.slice/pids.max", "777")
        self.started("run", "-d", "--", "/bin/sleep", "60", user=PLAIN)
        wait_for(lambda: self.value(PLAIN, "pids.max") == "777", 5, "777")


@unittest.skipIf(BOUND, "needs a cgroup v2 without pids and memory")
class Without(QuotasCase):
    def test_features_and_doctor_say_that_nothing_holds_them(self):
        for user in (PLAIN, 0):
            found = self.features(user)
            self.assertFalse(found["quota-tasks"], found)
            self.assertFalse(found["quota-memory"], found)
        row = self.doctor()
        self.assertEqual(row["level"], "warn", row)
        self.assertIn("memory_mib", json.dumps(row))

    def test_starts_go_on(self):
        for user in (FEW, SMALL, PLAIN):
            self.assertEqual(self.ctl("run", "--", "/bin/true",
                                      user=user).code, 0)


if __name__ == "__main__":
    main()
