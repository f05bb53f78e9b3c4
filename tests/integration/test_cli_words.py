# SPDX-License-Identifier: Apache-2.0
"""nsexecctl's command lines: how wrong ones are told, how shells complete."""
import json
import os
import pty
import re
import select
import shlex
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


class Completion(TestCase):
    INSTANCE = False

    def bash(self, *words, **env):
        """COMPREPLY of bash for words, the last one begun."""
        script = (
            f"PATH={shlex.quote(os.path.dirname(program('nsexecctl')))}:$PATH\n"
            "source <(nsexecctl completion bash) || exit 9\n"
            "set -- $(complete -p nsexecctl)\n"
            '[ "$2" = -F ] || exit 8\n'
            f"COMP_WORDS=({shlex.join(('nsexecctl', *words))})\n"
            f"COMP_CWORD={len(words)}\n"
            '"$3" nsexecctl "${COMP_WORDS[COMP_CWORD]}"\n'
            'for word in "${COMPREPLY[@]}"; do echo "$word"; done\n')
        done = subprocess.run(["/bin/bash", "-c", script], timeout=20,
                              capture_output=True, check=False,
                              env={**os.environ, **env})
        self.assertEqual((done.returncode, done.stderr), (0, b""), done)
        return done.stdout.decode().split()

    def test_every_listed_command_is_offered(self):
        text = ctl("--help").stdout.decode().split("Commands:\n")[1]
        listed = re.findall(r"^  (\w+) ", text, re.M)
        self.assertGreater(len(listed), 18)
        self.assertEqual(self.bash(""), listed)
        self.assertEqual(self.bash("ins"), ["inspect"])
        self.assertEqual(self.bash("-H", "unix:/x", "ins"), ["inspect"])

    def test_every_option_in_a_help_is_offered(self):
        for name in self.bash(""):
            text = ctl(name, "--help").stdout.decode()
            listed = set(re.findall(r"^ +(?:-\S+, )*--([\w-]+)", text, re.M))
            listed |= set(re.findall(r"^ +.*, --([\w-]+)", text, re.M))
            found = {w[2:] for w in self.bash(name, "--")}
            with self.subTest(name=name):
                self.assertGreater(len(listed), 4)
                self.assertEqual(listed - found, set())
                self.assertNotIn("tty", found)

    def test_words_of_arguments_are_offered(self):
        self.assertEqual(self.bash("run", "--setgroups", ""),
                         ["allow", "deny", "auto"])
        # bash makes three words of --setgroups=d
        self.assertEqual(self.bash("run", "--setgroups", "=", "d"), ["deny"])
        self.assertEqual(self.bash("run", "--setgroups", "="),
                         ["allow", "deny", "auto"])
        self.assertEqual(self.bash("run", "--new", "net,p"), ["net,pid"])
        self.assertEqual(self.bash("events", "--type", "exec-"),
                         ["exec-started", "exec-exited"])
        self.assertEqual(self.bash("-o", "json"), ["json", "jsonl"])
        self.assertEqual(self.bash("bootstrap", "d"), ["decode", "diff"])
        self.assertEqual(self.bash("completion", ""), ["bash", "zsh", "fish"])
        self.assertIn("/usr/bin", self.bash("run", "--root", "/usr/b"))

    def test_a_program_s_own_words_are_left_to_the_shell(self):
        self.assertIn("nsenter", self.bash("run", "--new", "all", "nsent"))
        self.assertEqual(self.bash("run", "true", "--new"), [])
        self.assertIn("/etc/passwd", self.bash("run", "cat", "/etc/passw"))
        self.assertEqual(self.bash("no-such-command", "--"), [])

    def test_a_daemon_that_is_away_costs_only_the_ids(self):
        self.assertEqual(self.bash("kill", "", NSEXEC_SOCKET="unix:/no"), [])

    def test_a_tab_in_an_interactive_bash_completes(self):
        path = os.path.dirname(program("nsexecctl"))
        pid, fd = pty.fork()
        if pid == 0:
            os.environ.update(PATH=path + ":" + os.environ["PATH"],
                              TERM="dumb", PS1="$ ")
            os.execv("/bin/bash", ["bash", "--norc", "--noprofile", "-i"])
        try:
            os.write(fd, b"source <(nsexecctl completion bash); echo rea''dy\n")
            self.read_until(fd, b"ready")
            os.write(fd, b"nsexecctl ins\t--nohead\t\n")
            self.read_until(fd, b"nsexecctl inspect --noheadings ")
            os.write(fd, b"exit\n")
        finally:
            os.close(fd)
            os.waitpid(pid, 0)

    def read_until(self, fd, what):
        found = b""
        while what not in found:
            self.assertTrue(select.select([fd], [], [], 10)[0], found)
            found += os.read(fd, 4096)

    def test_other_shells_get_scripts_that_ask_the_same(self):
        for shell, word in (("zsh", b"#compdef nsexecctl"),
                            ("fish", b"complete -c nsexecctl")):
            done = ctl("completion", shell)
            self.assertEqual(done.returncode, 0)
            self.assertIn(word, done.stdout)
            self.assertIn(b"completion --words -- ", done.stdout)
        self.assertEqual(ctl("completion").returncode, 2)
        self.assertEqual(ctl("completion", "tcsh").returncode, 2)


class Containers(TestCase):
    def test_ids_and_names_of_containers_are_offered(self):
        self.ctl_ok("create", "--name", "webby", "--id", "id7", "true")
        bash = Completion.bash
        env = {"NSEXEC_SOCKET": self.nsx.address}
        for command in ("start", "exec", "kill", "wait", "inspect", "delete"):
            self.assertEqual(bash(self, command, "", **env), ["id7", "webby"])
        self.assertEqual(bash(self, "events", "--container", "w", **env),
                         ["webby"])
        self.assertIn("nsenter", bash(self, "exec", "web", "nsent", **env))
        self.ctl_ok("delete", "-f", "webby")


if __name__ == "__main__":
    main()
