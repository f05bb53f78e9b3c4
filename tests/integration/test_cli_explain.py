# SPDX-License-Identifier: Apache-2.0
"""explain: the plan of run, enter and of id maps, with nothing started."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from harness import TestCase, main  # noqa: E402


class Explain(TestCase):
    ORDINARY = 1000

    def steps(self, *args):
        plan = self.ctl_ok("--json", "explain", *args).json()
        self.assertEqual(plan["v"], 1)
        for step in plan["steps"]:
            self.assertTrue(step["decides"], step)
        return plan["steps"]

    def sleeper(self):
        child = subprocess.Popen(["unshare", "-Um", "-n", "-u", "sleep",
                                  "1000"])
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        path = f"/proc/{child.pid}/ns/uts"
        while os.stat(path).st_ino == os.stat("/proc/self/ns/uts").st_ino or \
                open(f"/proc/{child.pid}/comm", encoding="utf-8"
                     ).read() != "sleep\n":
            pass
        return child.pid

    def test_enter_takes_its_own_letters_and_starts_nothing(self):
        pid = self.sleeper()
        plan = self.ctl_ok("explain", "enter", "--json", "-t", str(pid), "-U",
                           "-m", "-n", "-u", "-S", "0", "-w=/tmp", "id", "-u")
        steps = plan.json()["steps"]
        joins = [s["detail"].split(":")[0] for s in steps
                 if s["step"] == "join" and "setns" in s["detail"]]
        # All but user first, then user, then what was put off.
        self.assertEqual(joins.count("user"), 1)
        at = joins.index("user")
        self.assertEqual(sorted(joins[:at]), ["mnt", "net", "uts"])
        self.assertEqual(sorted(joins[at + 1:]), ["mnt", "net", "uts"])
        self.assertTrue(all(f"pid {pid}" in s["detail"] for s in steps
                            if "setns" in s["detail"]))
        self.assertEqual({s["decides"] for s in steps if s["step"] == "join"},
                         {"kernel, for the caller"})
        self.assertIn("execve id", steps[-1]["detail"])
        self.assertIn("chdir /tmp", [s["detail"] for s in steps])
        self.assertEqual(self.ctl_ok("list", "-q").lines(), [])
        self.assertEqual(self.ctl_ok("events", "--from", "1", "--no-follow",
                                     "--json", "--container",
                                     "explained").jsonl(), [])

    def test_enter_without_a_command_is_the_shell(self):
        done = self.ctl("explain", "enter", "-t", str(os.getpid()), "-m",
                        env={"SHELL": "/bin/dash"})
        self.assertIn("execve /bin/dash", done.out)
        done = self.ctl("explain", "enter", "-m")
        self.assertEqual(done.code, 2)
        self.assertIn("which process", done.err)

    def test_run_and_create_are_words_and_so_is_none(self):
        plain = self.steps("--new", "pid", "true")
        self.assertEqual(plain, self.steps("run", "--new", "pid", "true"))
        self.assertEqual(plain, self.steps("create", "--new", "pid", "true"))
        self.assertEqual(plain[0]["decides"], "spawner")
        after = self.steps("--", "enter")
        self.assertIn("execve enter", after[-1]["detail"])

    def idmap(self, *args, code=0, user=None):
        done = self.ctl("explain", "idmap", "--json", *args, user=user)
        self.assertEqual(done.code, code, done)
        return json.loads(done.out)

    def test_idmap_shows_rows_decision_and_rule_for_root(self):
        found = self.idmap("--map-users", "0:100000:65536,65536:5:1",
                           "--map-groups", "0:7:3", "--setgroups", "deny")
        self.assertEqual(found["uid"], [
            {"container_id": 0, "host_id": 100000, "size": 65536},
            {"container_id": 65536, "host_id": 5, "size": 1}])
        self.assertEqual(found["gid"], [
            {"container_id": 0, "host_id": 7, "size": 3}])
        self.assertEqual(found["setgroups"], "deny")
        self.assertEqual([(d["decides"], d["allowed"])
                          for d in found["decisions"]],
                         [("mapper", True)] * 2)
        self.assertIn("root may map any id", found["decisions"][0]["rule"])
        preset = self.idmap("--map-preset", "max-uid")
        self.assertEqual(len(preset["uid"]), 2)

    def test_idmap_tells_an_ordinary_caller_what_the_start_will(self):
        user = self.ORDINARY
        own = self.idmap("-r", user=user)
        self.assertEqual(own["uid"], [{"container_id": 0, "host_id": user,
                                       "size": 1}])
        self.assertTrue(all(d["allowed"] for d in own["decisions"]))
        rows = ("--map-users", f"0:{user}:1,1:2000:5", "--map-groups",
                f"0:{user}:1")
        found = self.idmap(*rows, code=4, user=user)
        refused = [d for d in found["decisions"] if not d["allowed"]]
        self.assertEqual(len(refused), 1)
        self.assertIn("row 1: host ids 2000+5", refused[0]["rule"])
        # The start says the same, and with what explain allows it runs.
        done = self.ctl("run", "--json", *rows, "true", user=user)
        self.assertEqual(json.loads(done.err)["code"], "MAP_DENIED")
        self.assertEqual(self.ctl("run", "-r", "true", user=user).code, 0)

    def test_idmap_that_no_kernel_takes_is_map_invalid(self):
        done = self.ctl("explain", "idmap", "--json", "--map-users",
                        "0:5:1,0:6:1", "--map-groups", "0:0:1")
        self.assertEqual(done.code, 2, done)
        record = json.loads(done.err)
        self.assertEqual(record["code"], "MAP_INVALID")
        self.assertIn("overlap", record["rule"])

    def test_idmap_as_a_table(self):
        lines = self.ctl_ok("explain", "idmap", "-r").lines()
        self.assertEqual(lines[0].split(), ["MAP", "INSIDE", "OUTSIDE",
                                            "COUNT"])
        self.assertEqual(lines[1].split(), ["uid", "0", "0", "1"])
        self.assertTrue(any(line.startswith("mapper decides: uid map: allowed")
                            for line in lines))
        self.assertEqual(self.ctl("explain", "idmap").code, 2)
        self.assertEqual(self.ctl("explain", "idmap", "-r", "true").code, 2)


if __name__ == "__main__":
    main()
