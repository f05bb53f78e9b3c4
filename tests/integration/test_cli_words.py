# SPDX-License-Identifier: Apache-2.0
"""nsexecctl's command lines: how wrong ones are told."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from harness import TestCase, main, program  # noqa: E402


def ctl(*args, **env):
    return subprocess.run([program("nsexecctl"), *args], capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=20, check=False,
                          env={**os.environ, **env})


class OptionErrors(TestCase):
    INSTANCE = False

    def record(self, done, code):
        self.assertEqual((done.returncode, done.stdout), (code, b""), done)
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 1, done)
        record = json.loads(lines[0])
        self.assertEqual((record["v"], record["code"], record["stage"],
                          record["step"], record["retryable"]),
                         (1, "INVALID_ARGUMENT", "client", "parse-arguments",
                          False))
        self.assertNotIn("\n", record["message"])
        return record

    def test_what_getopt_objects_to_is_a_record(self):
        for word, rule, *args in (
                ("--bogus", "is no option", "--bogus"),
                ("--bogus", "is no option", "--bogus=3"),
                ("-Z", "is no option", "-Z"),
                ("-Z", "is no option", "-dZ"),
                ("--no", "may be one of several options", "--no"),
                ("--keep", "takes no argument", "--keep=3")):
            with self.subTest(args=args):
                found = self.record(ctl("run", *args, "--json", "true"), 125)
                self.assertEqual((found["object"], found["rule"]),
                                 (word, rule))
                self.assertIn("run --help", found["hint"])
        for word in ("--nice", "-w"):
            found = self.record(ctl("run", "--json", word), 125)
            self.assertEqual(found["object"], word)
            self.assertRegex(found["rule"], "^needs ")

    def test_what_an_option_objects_to_is_a_record(self):
        for args in (("--new", "moon"), ("--new", "net", "--share", "net"),
                     ("--map-users", "1:2"), ("--map-users", "auto:1"),
                     ("-r", "--map-auto"), ("--mount", "type=none"),
                     ("--nice", "99"), ("--umask", "9"), ("--fd", "a=77"),
                     ("--rlimit", "x=1"), ("--cap-add", "x"), ("-t",),
                     ("--memory", "3"), ("--timeout", "x"), ("--key", "1"),
                     ("-u", "no-such-user"), ("--kill-child=X",)):
            with self.subTest(args=args):
                found = self.record(ctl("run", *args, "--json", "true"), 125)
                self.assertTrue(found["message"], found)

    def test_every_command_tells_by_record_with_its_exit_status(self):
        for name, code in (("run", 125), ("create", 2), ("exec", 125),
                           ("enter", 125), ("explain", 2), ("kill", 2),
                           ("wait", 2), ("list", 2), ("state", 2), ("ps", 2),
                           ("events", 2), ("idmap", 2), ("bootstrap", 2),
                           ("doctor", 2), ("version", 2), ("features", 2)):
            with self.subTest(name=name):
                self.record(ctl(name, "--bogus", NSEXEC_OUTPUT="json"), code)
                self.record(ctl("-o", "jsonl", name, "--bogus"), code)
                plain = ctl(name, "--bogus")
                self.assertEqual(plain.returncode, code)
                self.assertEqual(plain.stderr.decode(),
                                 f"nsexecctl: {name}: --bogus is no option; "
                                 f"hint: nsexecctl {name} --help lists the "
                                 "options\n")
        self.record(ctl("--json", "--bogus"), 2)
        self.record(ctl("--json"), 2)
        self.record(ctl("--json", "no-such-command"), 2)
        self.record(ctl("exec", "--bogus", "--compat=runc", "--json"), 255)

    def test_options_of_the_program_do_not_choose_the_form(self):
        done = ctl("run", "--bogus", "true", "--json")
        self.assertEqual((done.returncode, done.stderr[:9]),
                         (125, b"nsexecctl"))

    def test_help_before_a_wrong_option_is_help(self):
        done = ctl("run", "--help", "--bogus")
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"Usage:", done.stdout)
        self.assertEqual(ctl("run", "--bogus", "--help").returncode, 125)


if __name__ == "__main__":
    main()
