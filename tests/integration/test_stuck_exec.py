# SPDX-License-Identifier: Apache-2.0
"""A process stuck in execve(2): the kernel holds a lock of it while a file of
its user's FUSE server is closed, and readers of its stat, namespaces and root
wait for that lock. None of our processes may be such a reader.
"""
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
from harness import ORDINARY_UID, SLOW, TestCase, main, wait_for  # noqa: E402
from stuck_fuse import StuckFuse  # noqa: E402

OTHER_UID = ORDINARY_UID + 1
# Opens the file close-on-exec and executes: for ever.
STICK = ("import os, sys; f = os.open(sys.argv[1], os.O_RDONLY | "
         "os.O_CLOEXEC); os.execv('/bin/sleep', ['sleep', '600'])")
# Connects, leaves the connection to a child, and sticks; the child asks then.
ASK = """
import os, socket, sys, time
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[2])
if os.fork() == 0:
    time.sleep(0.5)
    sock.sendall(bytes.fromhex(sys.argv[3]))
    sock.settimeout(20)
    os.write(1, sock.recv(4096).hex().encode())
    os._exit(0)
f = os.open(sys.argv[1], os.O_RDONLY | os.O_CLOEXEC)
time.sleep(0.2)
os.execv('/bin/sleep', ['sleep', '600'])
"""


class StuckInExec(StuckFuse, TestCase):
    AUDIT = False

    def setUp(self):
        super().setUp()
        self.mount_stuck_file()
        self.file = os.path.join(self.mount, "stuck")

    def undisturbed(self):
        """Whatever another user asks is answered at once."""
        for words in (("run", "--", "/bin/true"), ("list",), ("version",)):
            began = time.monotonic()
            self.assertEqual(self.ctl(*words, user=OTHER_UID).code, 0, words)
            self.assertLess(time.monotonic() - began, 2 * SLOW, words)

    def test_payload_that_sticks_disturbs_nobody(self):
        self.ctl_ok("run", "-d", "--name", "stuck", "--", "/usr/bin/python3",
                    "-I", "-c", STICK, self.file, user=ORDINARY_UID)
        self.assertEqual(self.server.stdout.readline(), b"flush\n")
        self.undisturbed()
        # Those who look at it itself are answered, too, and after a restart.
        self.assertEqual(self.ctl_ok("state", "stuck", user=ORDINARY_UID)
                         .json()["status"], "running")
        self.nsx.kill_nsexecd()
        self.undisturbed()
        wait_for(lambda: self.ctl("state", "stuck", user=ORDINARY_UID).json()[
            "status"] == "running", 5, "it to be found running")
        self.ctl("ps", "stuck", user=ORDINARY_UID)
        self.ctl("kill", "-s", "KILL", "stuck", user=ORDINARY_UID)
        self.undisturbed()
        self.server.kill()
        self.assertEqual(self.ctl_ok("wait", "stuck", user=ORDINARY_UID)
                         .lines(), ["137"])
        self.ctl_ok("delete", "stuck", user=ORDINARY_UID)

    def test_caller_that_sticks_counts_as_confined_and_waits_alone(self):
        version = ("00000024" "00000001" "01" "00" +
                   b"\x0a\x10nsexec.v1.Nsexec\x12\x04List".hex())
        size = (len(version) - 20) // 2
        version = f"{size:08x}" + version[8:]
        # Looked at once it sticks: nobody accepts it before.
        worker = self.nsx.nsexecd_pid()
        os.kill(worker, signal.SIGSTOP)
        self.addCleanup(os.kill, worker, signal.SIGCONT)
        callers = [subprocess.Popen(
            ["/usr/bin/python3", "-I", "-c", ASK, self.file,
             self.nsx.socket_path, version], cwd="/", user=ORDINARY_UID,
            group=ORDINARY_UID, extra_groups=[], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE) for _ in range(8)]
        try:
            self.assertEqual(self.server.stdout.readline(), b"flush\n")
            time.sleep(1)  # for all eight
            os.kill(worker, signal.SIGCONT)
            for _ in range(5):
                self.undisturbed()
            time.sleep(2)
            self.undisturbed()
        finally:
            for caller in callers:
                caller.kill()
            self.server.kill()
            for caller in callers:
                caller.wait()
        for caller in callers:
            answer = bytes.fromhex(caller.stdout.read().decode())
            caller.stdout.close()
            self.assertIn(b"confined by", answer)


if __name__ == "__main__":
    main()
