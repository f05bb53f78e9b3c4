# SPDX-License-Identifier: Apache-2.0
"""Row 31: what a mount names is exchanged all the while by a sibling, between a
directory and links that lead out. Mounts are made as the caller, inside the new
root; so nothing of ours ever lands where a link points on the host.
"""
import ctypes
import os
import shutil
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from harness import ORDINARY_UID, TestCase, main  # noqa: E402

ROUNDS = 400 if os.environ.get("NSX_LONG") else 60
EXCHANGE = 2


class Row31SwappedMounts(TestCase):
    def setUp(self):
        super().setUp()
        self.need_program("busybox")
        self.base = tempfile.mkdtemp(prefix="nsxtest-swap-")
        os.chmod(self.base, 0o755)
        self.addCleanup(shutil.rmtree, self.base)
        self.root = os.path.join(self.base, "root")
        self.outside = os.path.join(self.base, "outside")
        for name in ("root", "root/bin", "root/proc", "root/data", "outside",
                     "share"):
            os.mkdir(os.path.join(self.base, name))
        with open(os.path.join(self.base, "share/mine"), "w",
                  encoding="ascii"):
            pass
        shutil.copy(shutil.which("busybox"), self.root + "/bin/busybox")
        os.chown(self.root, ORDINARY_UID, ORDINARY_UID)
        self.swapping = True
        self.swapped = 0

    def swap(self, path, link):
        """path is by turns the directory and the link."""
        libc = ctypes.CDLL(None)
        data = os.fsencode(path)
        while self.swapping:
            libc.renameat2(-100, data, -100, os.fsencode(link), EXCHANGE)
            self.swapped += 1
            time.sleep(0.0002)

    def run_as_user(self, *args):
        """One start that was not refused for its rate."""
        while True:
            result = self.ctl("run", "--new", "user,mnt,pid",
                              "--map-root-user", "--root", self.root, *args,
                              user=ORDINARY_UID)
            if "[RATE]" not in result.err:
                return result
            time.sleep(0.05)

    def race(self, to):
        link = os.path.join(self.root, "other")
        os.symlink(to, link)
        thread = threading.Thread(target=self.swap, args=(
            os.path.join(self.root, "data"), link))
        thread.start()
        mounted = 0
        try:
            for _ in range(ROUNDS):
                result = self.run_as_user(
                    "--mount", f"type=bind,src={self.base}/share,dst=/data",
                    "--mount", "type=tmpfs,dst=/data", "--", "/bin/busybox",
                    "sh", "-c", "/bin/busybox cat /proc/self/mountinfo; "
                    "/bin/busybox touch /data/seen")
                mounted += "/data" in result.out
                for line in result.lines():
                    # Of the payload's own mounts all are below its root.
                    self.assertNotIn(self.outside, line.split()[4])
                self.assertEqual(os.listdir(self.outside), [])
                self.assertEqual(os.listdir(os.path.join(self.base, "share")),
                                 ["mine"])
        finally:
            self.swapping = False
            thread.join()
        with open("/proc/self/mountinfo", encoding="utf-8") as f:
            self.assertNotIn(self.base, f.read())
        self.assertGreater(self.swapped, 10)
        self.assertGreater(mounted, 0)

    def test_a_source_that_is_exchanged_shows_nothing_that_is_closed_to_him(
            self):
        """What is bound is opened as the caller, and bound as opened."""
        secret = os.path.join(self.base, "secret")
        os.mkdir(secret, 0o700)
        with open(os.path.join(secret, "closed"), "w", encoding="ascii"):
            pass
        link = os.path.join(self.base, "link")
        os.symlink(secret, link)
        source = os.path.join(self.base, "share")
        thread = threading.Thread(target=self.swap, args=(source, link))
        thread.start()
        seen = {"mine": 0, "refused": 0}
        try:
            for _ in range(ROUNDS):
                result = self.run_as_user(
                    "--mount", f"type=bind,src={source},dst=/data", "--",
                    "/bin/busybox", "ls", "/data")
                self.assertNotIn("closed", result.out)
                if result.code == 0:
                    self.assertEqual(result.out.strip(), "mine")
                    seen["mine"] += 1
                else:
                    self.assertIn("Permission denied", result.err)
                    seen["refused"] += 1
        finally:
            self.swapping = False
            thread.join()
        self.assertTrue(all(seen.values()), seen)

    def test_a_link_to_the_outside_never_gets_a_mount_there(self):
        self.race(self.outside)

    def test_a_link_of_many_dots_neither(self):
        self.race("../../../../../../../.." + self.outside)


if __name__ == "__main__":
    main()
