# SPDX-License-Identifier: Apache-2.0
"""A user's FUSE file that whoever closes it last waits for for ever."""
import os
import subprocess
import sys
import tempfile

SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..",
                      "integration", "fuse_stuck.py")


class StuckFuse:
    """self.mount/stuck of a test case; self.server says "flush" once."""

    def mount_stuck_file(self):
        """Skips where there is no FUSE; unmounted at the end of the test."""
        if not os.path.exists("/dev/fuse"):
            self.skipTest("needs /dev/fuse")
        self.mount = tempfile.mkdtemp(prefix="nsxfuse-")
        os.chmod(self.mount, 0o755)
        self.server = subprocess.Popen(
            [sys.executable, SERVER, self.mount], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.addCleanup(self.end_server)
        if self.server.stdout.readline() != b"ready\n":
            self.skipTest("needs a mountable /dev/fuse: " +
                          self.server.stderr.read().decode().strip())

    def end_server(self):
        """The kernel aborts the connection: all who wait are let go."""
        self.server.kill()
        self.server.wait()
        self.server.stdout.close()
        self.server.stderr.close()
        subprocess.run(["umount", "-l", self.mount], check=False,
                       stderr=subprocess.DEVNULL)
        os.rmdir(self.mount)
