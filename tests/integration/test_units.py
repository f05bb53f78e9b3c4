# SPDX-License-Identifier: Apache-2.0
"""The units as systemd reads them; no manager is needed for that."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
# pylint: disable=wrong-import-position
from harness import BUILD, TOP, TestCase, main
from test_confine import tables

SCORE_MAX = 1.5
# What a unit may say of the spawner without doing it to a payload. Everything
# of systemd.exec(5), and nearly everything of systemd.resource-control(5),
# reaches what the spawner forks.
NOT_INHERITED = {"Type", "NotifyAccess", "ExecStart", "ExecReload", "Restart",
                 "RestartSec", "Delegate", "KillMode", "TasksMax",
                 "OOMPolicy"}
# On the list of confine_calls.c, and refused by the unit all the same.
REFUSED_BY_UNIT = {
    "mount_setattr",  # EPERM, too, says that it is there
}
# What confine_self() calls before the list is in force.
TO_CONFINE = {"landlock_create_ruleset", "landlock_add_rule",
              "landlock_restrict_self", "seccomp", "prctl", "capget"}


def analyze(*args):
    return subprocess.run(
        ["systemd-analyze", *args], stdin=subprocess.DEVNULL, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        env=dict(os.environ, SYSTEMD_COLORS="0", SYSTEMD_PAGER="",
                 LC_ALL="C.UTF-8"))


def service_lines(path):
    """[(comment lines above, name, value)] of [Service]."""
    found, above, inside = [], [], False
    with open(path, encoding="utf-8") as f:
        for line in f.read().split("\n"):
            if line.startswith("["):
                inside = line == "[Service]"
                above = []
            elif line.startswith("#"):
                above.append(line)
            elif not line:
                above = []
            else:
                if inside:
                    name, _, value = line.partition("=")
                    found.append((above, name, value))
                above = []
    return found


class Units(TestCase):
    INSTANCE = False

    def setUp(self):
        super().setUp()
        self.need_program("systemd-analyze")
        self.base = tempfile.mkdtemp(prefix="nsxunits-")
        self.addCleanup(shutil.rmtree, self.base)
        self.units = [*glob.glob(f"{BUILD}/systemd/*.service"),
                      *glob.glob(f"{TOP}/systemd/*.socket")]
        self.assertEqual(len(self.units), 4, self.units)

    def service(self, name):
        return f"{BUILD}/systemd/{name}.service"

    def test_systemd_finds_no_fault(self):
        copies = []
        for path in self.units:
            copies.append(os.path.join(self.base, os.path.basename(path)))
            with open(path, encoding="utf-8") as f:
                # Before the installation there is no such program.
                text = re.sub(r"^(Exec(?:Start|Reload)=\+?)/\S+",
                              r"\1/bin/true", f.read(), flags=re.M)
            with open(copies[-1], "w", encoding="utf-8") as f:
                f.write(text)
        done = analyze("verify", "--man=no", *copies)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_exposure_of_nsexecd_is_small(self):
        done = analyze("security", "--offline=yes", self.service("nsexecd"))
        score = re.search(r"Overall exposure level for \S+: ([\d.]+)",
                          done.stdout)
        self.assertIsNotNone(score, done.stdout)
        self.assertLess(float(score[1]), SCORE_MAX, done.stdout)

    def test_unit_of_nsexecd_leaves_it_the_calls_of_its_own_list(self):
        lines = [value.split() for _, name, value in
                 service_lines(self.service("nsexecd"))
                 if name == "SystemCallFilter"]
        allowed = set()
        for words in lines:
            remove = words[0].startswith("~")
            for word in words:
                names = self.expand(word.lstrip("~"))
                allowed = allowed - names if remove else allowed | names
        self.assertGreater(len(allowed), 150)
        self.assertNotIn("ptrace", allowed)
        own = {name for name, (number, _) in tables()["allowed"].items()
               if number >= 0}
        if "ptrace" not in own:  # else a sanitizer's are among them
            self.assertEqual((own | TO_CONFINE) - allowed, REFUSED_BY_UNIT)

    def expand(self, word):
        """The calls of a word of SystemCallFilter=."""
        if not word.startswith("@"):
            return {word}
        done = analyze("syscall-filter", word)
        self.assertEqual(done.returncode, 0, done.stdout)
        found = set()
        for line in done.stdout.split("\n")[1:]:
            item = line.strip()
            if item and not item.startswith("#"):
                found |= self.expand(item)
        return found

    def test_unit_of_the_spawner_does_nothing_to_payloads(self):
        lines = service_lines(self.service("nsexec-spawner"))
        self.assertGreater(len(lines), 5)
        for above, name, _ in lines:
            self.assertTrue(above, f"{name}= without its reason")
            self.assertIn(name, NOT_INHERITED)

    def test_what_runs_as_root_on_reload_is_a_signal_or_the_spawner(self):
        """A line with + would be outside of any sandbox."""
        for name, line in (("nsexecd",
                            r"/bin/sh -c 'kill -HUP \$\{MAINPID\}'"),
                           ("nsexec-spawner",
                            ".*/libexec/nsexec-spawner --reload")):
            for _, key, value in service_lines(self.service(name)):
                if key.startswith("Exec") and value[0] in "+!":
                    self.assertEqual(key, "ExecReload")
                    self.assertRegex(value, r"^\+" + line + "$")


if __name__ == "__main__":
    main()
