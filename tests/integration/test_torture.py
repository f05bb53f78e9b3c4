#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The short form of tests/fault/torture.py: SIGKILL at a sample of the calls
of each role and scenario, and at random times, with another seed each time. make
torture tries all of them; the first line says the seed that finds it again.
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
from harness import TOP, TestCase, main  # noqa: E402

ALONE = "it looks at what a start leaves within a time"
TORTURE = os.path.join(TOP, "tests", "fault", "torture.py")
POINTS = {"kill": 500, "random": 100}


class Torture(TestCase):
    INSTANCE = False

    def torture(self, kind):
        done = subprocess.run(
            [sys.executable, TORTURE, "--kinds", kind, "--points",
             str(POINTS[kind]), "--rounds", str(POINTS[kind])],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=600, check=False)
        text = done.stdout.decode(errors="backslashreplace")
        print(text.rstrip().splitlines()[-1], flush=True)
        self.assertEqual(done.returncode, 0, text[-6000:])
        self.assertIn(" 0 violations", text)

    def test_killed_at_a_call(self):
        self.torture("kill")

    def test_killed_at_random_times_under_load(self):
        self.torture("random")


if __name__ == "__main__":
    main()
