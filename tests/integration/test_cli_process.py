# SPDX-License-Identifier: Apache-2.0
"""exec -p: the process object of OCI's runtime-spec as a request."""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import test_cli  # noqa: E402
from harness import TestCase, main, program  # noqa: E402

UNLIMITED = 2**64 - 1
WHOLE = {
    "terminal": False,
    "consoleSize": {"height": 24, "width": 80},
    "user": {"uid": 7, "gid": 8, "umask": 0o27, "additionalGids": [9, 10]},
    "args": ["/bin/a", "", "ü"],
    "env": ["PATH=/bin", "A=1", "B=2"],
    "cwd": "/srv",
    "capabilities": {"bounding": ["CAP_KILL", "CAP_CHOWN"],
                     "permitted": ["CAP_KILL"], "effective": []},
    "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": UNLIMITED},
                {"type": "RLIMIT_CORE", "soft": 2**63 - 1, "hard": 2**63}],
    "noNewPrivileges": False,
    "oomScoreAdj": 300,
    "apparmorProfile": "",
    "selinuxLabel": "",
}
LEAST = {"args": ["true"], "cwd": "/"}


class ProcessFile(TestCase):
    INSTANCE = False
    sent = test_cli.Requests.sent

    def process(self, content, *options):
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
            file.write(content if isinstance(content, str)
                       else json.dumps(content))
            file.flush()
            return self.sent("exec", "-p", file.name, "--stdio", "null",
                             *options, "id1")["process"]

    def refused(self, content, *options):
        """(object, rule) of the record."""
        data = content if isinstance(content, bytes) \
            else json.dumps(content).encode()
        done = subprocess.run([program("nsexecctl"), "exec", "--json", "-p",
                               "-", *options, "id1"], input=data, timeout=20,
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 125, done)
        record = json.loads(done.stderr)
        self.assertEqual((record["code"], record["stage"]),
                         ("INVALID_ARGUMENT", "client"))
        return record["object"], record["rule"]

    def test_every_member_becomes_its_field(self):
        found = self.process(WHOLE)
        self.assertEqual(found, {
            "args": [b"/bin/a", b"", "ü".encode()],
            "env": [b"PATH=/bin", b"A=1", b"B=2"],
            "cwd": b"/srv", "uid": 7, "gid": 8, "groups": [9, 10],
            "umask": 0o27, "no_new_privileges": False, "oom_score_adj": 300,
            "capabilities": {"bounding": 0x21, "permitted": 0x20,
                             "effective": 0, "inheritable": 0, "ambient": 0},
            "rlimits": [{"resource": 7, "soft": 64, "hard": UNLIMITED},
                        {"resource": 4, "soft": 2**63 - 1, "hard": 2**63}]})

    def test_what_a_file_does_not_say_is_absent(self):
        self.assertEqual(self.process(LEAST), {"args": [b"true"],
                                               "cwd": b"/"})

    def test_options_win_over_the_file_in_any_order(self):
        found = self.process(WHOLE, "-u", "1", "-w", "/tmp", "-e", "A=9",
                             "-e", "C=3", "--umask", "77", "--oom-score-adj",
                             "-5", "--no-new-privs", "--rlimit",
                             "nofile=1:2", "--groups", "4")
        self.assertEqual((found["uid"], found["gid"], found["cwd"],
                          found["umask"], found["oom_score_adj"],
                          found["no_new_privileges"], found["groups"]),
                         (1, 8, b"/tmp", 0o77, -5, True, [4]))
        self.assertEqual(found["env"], [b"PATH=/bin", b"B=2", b"A=9", b"C=3"])
        self.assertEqual(sorted((r["resource"], r["soft"])
                                for r in found["rlimits"]),
                         [(4, 2**63 - 1), (7, 1)])
        with tempfile.NamedTemporaryFile("w") as file:
            json.dump(WHOLE, file)
            file.flush()
            found = self.sent("exec", "-u", "1:2", "-p", file.name, "x")
        self.assertEqual((found["process"]["uid"], found["process"]["gid"]),
                         (1, 2))

    def test_unknown_members_are_refused_by_name(self):
        for where, name in ((WHOLE, "process.shoes"),
                            (WHOLE["user"], "process.user.shoes"),
                            (WHOLE["consoleSize"],
                             "process.consoleSize.shoes"),
                            (WHOLE["capabilities"],
                             "process.capabilities.shoes"),
                            (WHOLE["rlimits"][0],
                             "process.rlimits[0].shoes")):
            with self.subTest(name=name):
                where["shoes"] = 1
                try:
                    self.assertEqual(self.refused(WHOLE),
                                     (name, "is no member of an OCI process"))
                finally:
                    del where["shoes"]
        self.assertEqual(self.refused({**LEAST, "a\nb": 1})[0],
                         "process.a\\x0ab")

    def test_what_this_release_has_not_is_refused_by_name(self):
        for name, value in (("terminal", True), ("apparmorProfile", "p"),
                            ("selinuxLabel", "l"), ("scheduler", {}),
                            ("ioPriority", {}), ("execCPUAffinity", {})):
            found = self.refused({**LEAST, name: value})
            self.assertEqual(found[0], "process." + name)
            self.assertIn("this release", found[1])

    def test_wrong_values_are_refused_with_member_and_rule(self):
        for name, member, value in (
                ("args", "args", []), ("args", "args", "true"),
                ("args[1]", "args", ["a", 1]),
                ("args[0]", "args", [UNLIMITED]),
                ("env[0]", "env", ["A"]), ("env[0]", "env", ["=b"]),
                ("cwd", "cwd", "srv"), ("cwd", "cwd", 1),
                ("user.uid", "user", {"gid": 1}),
                ("user.uid", "user", {"uid": -1, "gid": 1}),
                ("user.gid", "user", {"uid": 1, "gid": 2**32 - 1}),
                ("user.umask", "user", {"uid": 1, "gid": 1, "umask": 512}),
                ("user", "user", [1]),
                ("user.additionalGids[1]", "user",
                 {"uid": 1, "gid": 1, "additionalGids": [1, 1.5]}),
                ("capabilities.ambient", "capabilities",
                 {"ambient": ["CAP_MOON"]}),
                ("capabilities.ambient", "capabilities",
                 {"ambient": ["KILL"]}),
                ("capabilities.ambient", "capabilities", {"ambient": "x"}),
                ("rlimits[0]", "rlimits",
                 [{"type": "NOFILE", "soft": 1, "hard": 1}]),
                ("rlimits[0]", "rlimits",
                 [{"type": "RLIMIT_CPU", "soft": 2, "hard": 1}]),
                ("rlimits[0]", "rlimits",
                 [{"type": "RLIMIT_CPU", "soft": 1, "hard": 2**64}]),
                ("rlimits[0]", "rlimits", [{"type": "RLIMIT_CPU"}]),
                ("rlimits[1]", "rlimits",
                 [{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}] * 2),
                ("noNewPrivileges", "noNewPrivileges", 1),
                ("oomScoreAdj", "oomScoreAdj", 1001),
                ("terminal", "terminal", "no")):
            with self.subTest(name=name, value=value):
                if name == "rlimits[0]" and value[0].get("hard") == 2**64:
                    name = "process"  # no number that fits: no JSON for us
                    self.assertIn("is no JSON",
                                  self.refused({**LEAST, member: value})[1])
                    continue
                self.assertEqual(self.refused({**LEAST, member: value})[0],
                                 "process." + name)
        for missing in LEAST:
            rest = {k: v for k, v in LEAST.items() if k != missing}
            self.assertEqual(self.refused(rest),
                             ("process." + missing, "is missing"))

    def test_hostile_texts_are_refused(self):
        for text in (b"", b"{", b"[]", b"null", b'{"args":["a"],"args":["b"]}',
                     b'{"args":["a\\u0000b"],"cwd":"/"}',
                     b'{"args":["a\0b"],"cwd":"/"}',
                     b'{"args":["a"],"cwd":"/"}\0', b'{"args":["\xff"]}',
                     b'{"args":["a"],"cwd":"/"} {}', b"[" * 100000,
                     b'{"args":' + b"[" * 9 + b"]" * 9 + b"}"):
            with self.subTest(text=text[:40]):
                self.assertEqual(self.refused(text)[0], "process")
        self.assertIn("nested", self.refused(b"[" * 100000)[1])

    def test_beside_a_file_some_options_are_refused_knowingly(self):
        def usage(*args):
            done = subprocess.run([program("nsexecctl"), "exec", "-p", "-",
                                   *args], input=json.dumps(LEAST).encode(),
                                  capture_output=True, check=False, timeout=20)
            self.assertEqual(done.returncode, 125, done)
            return done.stderr.decode()

        for option in ("--cap-add", "--cap-drop", "--ambient"):
            self.assertIn("five sets", usage(option, "kill", "id1"))
        self.assertIn("command is in the file", usage("id1", "true"))
        self.assertIn("command is in the file", usage())
        self.assertIn("terminal", usage("-t", "id1"))


class Run(TestCase):
    def test_a_process_file_runs_in_a_container(self):
        self.ctl_ok("run", "-d", "--name", "box", "--new", "pid,mnt,uts",
                    "--hostname", "inside", "--", "sleep", "1000")
        process = {**LEAST, "cwd": "/tmp",
                   "user": {"uid": 1, "gid": 2, "umask": 0o27},
                   "env": ["PATH=/usr/bin:/bin", "A=from file"],
                   "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 33,
                                "hard": 44}],
                   "args": ["sh", "-c", "pwd; id -u; id -g; umask; hostname; "
                            'ulimit -Sn; ulimit -Hn; echo "$A"; exit 9']}
        with tempfile.NamedTemporaryFile("w") as file:
            json.dump(process, file)
            file.flush()
            done = self.ctl("exec", "-p", file.name, "box")
        self.assertEqual(done.code, 9, done)
        self.assertEqual(done.lines(), ["/tmp", "1", "2", "0027", "inside",
                                        "33", "44", "from file"])
        self.ctl_ok("delete", "-f", "box")


if __name__ == "__main__":
    main()
