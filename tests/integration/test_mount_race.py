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

    def swap(self, link):
        """root/data is by turns the directory and the link."""
        libc = ctypes.CDLL(None)
        data = os.fsencode(os.path.join(self.root, "data"))
        while self.swapping:
            libc.renameat2(-100, data, -100, os.fsencode(link), EXCHANGE)
            self.swapped += 1
            time.sleep(0.0002)

    def race(self, to):
        link = os.path.join(self.root, "other")
        os.symlink(to, link)
        thread = threading.Thread(target=self.swap, args=(link,))
        thread.start()
        try:
            for _ in range(ROUNDS):
                result = self.ctl(
                    "run", "--new", "user,mnt,pid", "--map-root-user",
                    "--root", self.root, "--mount",
                    f"type=bind,src={self.base}/share,dst=/data", "--mount",
                    "type=tmpfs,dst=/data", "--", "/bin/busybox", "sh", "-c",
                    "/bin/busybox cat /proc/self/mountinfo; "
                    "/bin/busybox touch /data/seen", user=ORDINARY_UID)
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

    def test_a_link_to_the_outside_never_gets_a_mount_there(self):
        self.race(self.outside)

    def test_a_link_of_many_dots_neither(self):
        self.race("../../../../../../../.." + self.outside)


if __name__ == "__main__":
    main()
