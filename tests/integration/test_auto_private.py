# SPDX-License-Identifier: Apache-2.0
"""auto-private: 65,536 delegated ids that no other live container has. Which
block is chosen is held by the unit tests of daemon/id_block.h; here, what a
caller meets."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from harness import ORDINARY_UID, TestCase, main  # noqa: E402


class AutoPrivate(TestCase):
    def test_without_a_delegated_block_it_says_how_many_there_are(self):
        result = self.ctl("--json", "run", "--map-auto-private", "--",
                          "/bin/true", user=ORDINARY_UID)
        self.assertEqual(result.code, 125, result)
        record = json.loads(result.err)
        self.assertEqual(record["code"], "MAP_INVALID")
        self.assertIn("0 blocks are delegated, 0 used", record["rule"])
        self.assertIn("usermod", record["hint"])

    def test_explain_refuses_what_run_refuses(self):
        result = self.ctl("explain", "run", "--map-auto-private", "--",
                          "/bin/true", user=ORDINARY_UID)
        self.assertNotEqual(result.code, 0)
        self.assertIn("MAP_INVALID", result.err)

    def test_show_takes_the_first_block_of_a_range(self):
        result = self.ctl("idmap", "show", "auto-private", user=ORDINARY_UID)
        self.assertNotEqual(result.code, 0)
        self.assertIn("65536 delegated ids", result.err + result.out)


if __name__ == "__main__":
    main()
