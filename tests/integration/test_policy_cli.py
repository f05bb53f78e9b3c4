#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nsexecctl policy: what is wrong with files and what they mean for a caller,
by exit status, line and record. No daemon takes part."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from harness import ORDINARY_UID, TOP, TestCase, main, program  # noqa: E402

EXAMPLE = os.path.join(TOP, "examples", "policy", "policy.json")


class Cli(TestCase):
    INSTANCE = False

    def setUp(self):
        super().setUp()
        self.dir = tempfile.mkdtemp(prefix="nsx-policy.")
        self.addCleanup(shutil.rmtree, self.dir)
        os.chmod(self.dir, 0o755)

    def write(self, *rules, name="policy.json"):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            json.dump({"version": 1, "rules": rules}, f)
        return path

    def policy(self, verb, *args, code=0, user=None):
        path = program("nsexecctl")
        if user is not None:
            # the build may lie where an ordinary user cannot go
            path = shutil.copy(path, self.dir)
        done = subprocess.run([path, "policy", verb, *args], check=False,
                              capture_output=True, text=True, user=user,
                              group=user,
                              extra_groups=None if user is None else [])
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1 if code else 0,
                         done.stderr)
        return done

    def explain(self, *args, code=0, user=None):
        done = self.policy("explain", "--policy-dir", self.dir, "--json",
                           *args, code=code, user=user)
        return json.loads(done.stdout)


class Check(Cli):
    def test_the_example_is_good_and_its_rules_are_listed(self):
        done = self.policy("check", EXAMPLE)
        self.assertEqual([line.split()[0] for line in
                          done.stdout.splitlines()],
                         ["operators", "ci", "services", "students",
                          "guests"])

    def test_no_policy_is_good(self):
        out = self.policy("check", "--policy-dir", self.dir).stdout
        self.assertIn("no policy", out)
        out = self.policy("check", "--policy-dir", self.dir, "--json").stdout
        self.assertEqual(json.loads(out), {"v": 1, "files": 0, "rules": []})

    def test_a_bad_file_is_told_by_file_path_rule_and_remedy(self):
        path = self.write({"name": "a", "match": {"uid": [1]},
                           "verbs": ["rnu"]})
        done = self.policy("check", path, code=2)
        self.assertEqual(done.stdout, "")
        for word in (f"{path}:1: ", "rules[0].verbs[0]", '"rnu"', "one of"):
            self.assertIn(word, done.stderr)
        record = json.loads(self.policy("check", path, "--json",
                                        code=2).stderr)
        self.assertEqual(record["code"], "INVALID_ARGUMENT")
        self.assertEqual(record["object"], f"{path}:1: rules[0].verbs[0]")

    def test_system_files_are_held_against_owner_and_mode(self):
        path = self.write()
        os.chmod(path, 0o666)
        self.assertIn("chmod go-w", self.policy(
            "check", "--policy-dir", self.dir, code=2).stderr)
        # the same file by name is read whoever it belongs to
        self.policy("check", path)

    def test_files_are_one_list(self):
        one = self.write({"name": "a", "match": {"any": True}})
        two = self.write({"name": "a", "match": {"any": True}}, name="2.json")
        self.assertIn("is there already", self.policy("check", one, two,
                                                      code=2).stderr)

    def test_a_missing_or_huge_file_is_told(self):
        self.assertIn("No such file", self.policy(
            "check", os.path.join(self.dir, "none"), code=2).stderr)
        path = self.write()
        with open(path, "a", encoding="ascii") as f:
            f.write(" " * 70000)
        self.assertIn("64 KiB", self.policy("check", path, code=2).stderr)


class Explain(Cli):
    def test_the_rule_that_decides_is_told(self):
        self.write({"name": "me", "match": {"uid": [ORDINARY_UID]},
                    "verbs": ["list"]})
        self.write({"name": "rest", "match": {"any": True}, "verbs": []},
                   name="policy.d/z.json")
        as_me = self.explain("--as", str(ORDINARY_UID))
        self.assertEqual(as_me["rule"], {"name": "me",
                                         "source": "policy.json:1"})
        self.assertEqual([v for v, may in as_me["verbs"].items() if may],
                         ["list"])
        self.assertEqual(self.explain(user=ORDINARY_UID), as_me)
        self.assertEqual(self.explain("--as", "root")["rule"]["source"],
                         "policy.d/z.json:1")

    def test_defaults_are_the_ones_of_no_policy(self):
        mine = self.explain("--as", str(ORDINARY_UID))
        self.assertEqual(mine["rule"], {"name": "default",
                                        "source": "built-in"})
        self.assertFalse(mine["admin"])
        self.assertTrue(mine["no_new_privs"])
        self.assertTrue(self.explain("--as", "0")["admin"])

    def test_a_refused_request_exits_4_with_code_and_remedy(self):
        asked = ("--as", str(ORDINARY_UID), "run", "--new", "net", "--", "sh")
        self.assertEqual(self.explain(*asked, code=4)["refusal"]["code"],
                         "NEED_USERNS")
        self.assertTrue(self.explain(
            "--as", str(ORDINARY_UID), "run", "--new", "net,user", "--",
            "sh")["allowed"])
        self.write({"name": "no", "match": {"any": True}, "create": [],
                    "join": []})
        for words, thing in ((("run", "--new", "user", "--", "x"), "user"),
                             (("create", "--join", "net=path:/x", "--",
                               "x"), "net")):
            refusal = self.explain("--as", "1", *words, code=4)["refusal"]
            self.assertEqual(refusal["code"], "PERMISSION_DENIED")
            self.assertEqual(refusal["object"], thing)
            self.assertIn("rule no (policy.json:1)", refusal["rule"])

    def test_confinement_unit_label_and_owner_count(self):
        self.assertEqual(self.explain(
            "--as", "1", "--confined", "chroot,seccomp", "list",
            code=4)["refusal"]["code"], "CONFINED")
        self.write({"name": "u", "match": {"unit": ["ci*"],
                                           "label": ["docker-*"]}},
                   {"name": "o", "match": {"uid": [1000]}, "admin": True})
        self.assertEqual(self.explain(
            "--as", "5", "--unit", "ci.service", "--label",
            "docker-default (enforce)")["rule"]["name"], "u")
        delegated = self.explain("--as", "100000", "--owner", "1000")
        self.assertEqual(delegated["rule"]["name"], "o")
        self.assertFalse(delegated["admin"])
        self.assertTrue(self.explain("--as", "1000")["admin"])

    def test_wrong_words_are_usage_errors(self):
        self.policy("explain", "rnu", code=2)
        self.policy("explain", "--as", "no such user", "list", code=2)
        self.policy("neither", code=2)

    def test_a_bad_policy_is_not_explained(self):
        self.write({"name": "a", "match": {"any": True}, "admin": True})
        self.assertIn("neither uid nor gid", self.policy(
            "explain", "--policy-dir", self.dir, "list", code=2).stderr)

    def test_the_manual_has_every_word_and_default(self):
        with open(os.path.join(TOP, "doc", "nsexecd-policy.5"),
                  encoding="utf-8") as f:
            manual = f.read().replace("\\-", "-")
        rights = self.explain("--as", str(ORDINARY_UID))
        for key in ("verbs", "create", "allow_confined", "quotas"):
            for word in rights[key]:
                self.assertRegex(manual, rf"\b{word}\b")
        for name, value in rights["quotas"].items():
            if value is not None:
                self.assertIn(f'{name} " ({value}; ', manual)


if __name__ == "__main__":
    main()
