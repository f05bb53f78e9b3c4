# SPDX-License-Identifier: Apache-2.0
"""A sample of tests/fault/torture.py: some system calls of each role in each
scenario, each killed there; then some that fail. The long form: make torture.
"""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
# pylint: disable=wrong-import-position
from harness import TestCase, main  # noqa: E402


class Torture(TestCase):
    INSTANCE = False

    def sample(self, *more):
        done = subprocess.run(
            [sys.executable, os.path.join(HERE, "..", "fault", "torture.py"),
             "--points", "1", *more], stdin=subprocess.DEVNULL, text=True,
            capture_output=True, timeout=600, check=False)
        print(done.stdout, done.stderr)
        found = re.search(r"^(\d+) points, (\d+) hit, 0 violations",
                          done.stdout, re.M)
        self.assertTrue(found, "violations")
        self.assertGreater(int(found[2]), 10)
        self.assertEqual(done.returncode, 0)

    def test_killed_at_any_call_nothing_is_lost_and_nothing_left(self):
        self.sample()


if __name__ == "__main__":
    main()
