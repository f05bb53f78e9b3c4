# SPDX-License-Identifier: Apache-2.0
"""What a death or a second start of the daemon leaves."""
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from harness import Instance, TestCase, alive, main, program, wait_for  # noqa: E402,E501
from ttrpc_client import Client  # noqa: E402

ALL = ("--new", "all", "--map-root-user")


class Killed(TestCase):
    """nsexecd dies by SIGKILL; the spawner and the children live on."""
    AUDIT = False

    def setUp(self):
        super().setUp()
        self.addCleanup(self.nothing_left)

    def nothing_left(self):
        wait_for(lambda: not self.nsx.cgroups(), 10, "no cgroup left")
        self.assertEqual(self.ctl_ok("list", "-q").out, "")

    def test_created_container_is_started_after_the_death(self):
        self.ctl_ok("create", "--name", "gate", *ALL, "--", "/bin/sh", "-c",
                    "exit 5")
        pid = self.ctl_ok("state", "gate").json()["pid"]
        old = self.nsx.kill_nsexecd()
        self.assertFalse(alive(old))
        self.assertTrue(alive(pid))
        state = self.ctl_ok("state", "gate").json()
        self.assertEqual((state["status"], state["pid"]), ("created", pid))
        self.ctl_ok("start", "gate")
        self.assertEqual(self.ctl_ok("wait", "gate").out.strip(), "5")
        self.ctl_ok("delete", "gate")

    def test_running_container_is_adopted_with_its_exit_code(self):
        ident = self.ctl_ok("run", "-d", "--name", "on", *ALL, "--",
                            "/bin/sleep", "100").out.strip()
        pid = self.ctl_ok("state", "on").json()["pid"]
        self.nsx.kill_nsexecd()
        state = self.ctl_ok("state", "on").json()
        self.assertEqual((state["status"], state["pid"]), ("running", pid))
        self.ctl_ok("kill", "-s", "KILL", "on")
        self.assertEqual(self.ctl_ok("wait", "on").out.strip(), "137")
        self.ctl_ok("delete", ident)

    def test_exit_during_the_down_time_is_not_lost(self):
        self.ctl_ok("run", "-d", "--name", "down", "--", "/bin/sh", "-c",
                    "sleep 0.3; exit 33")
        worker = self.nsx.nsexecd_pid()
        pid = self.ctl_ok("state", "down").json()["pid"]
        os.kill(worker, signal.SIGSTOP)
        wait_for(lambda: not alive(pid), 10, "exit of the payload")
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: self.nsx.nsexecd_pid() not in (None, worker) and
                 self.nsx.answers(), 15, "a new nsexecd")
        self.assertEqual(self.ctl_ok("wait", "down").out.strip(), "33")
        self.ctl_ok("delete", "down")

    def test_record_that_was_never_written_is_no_record(self):
        """Killed between making the file and writing the intent."""
        folder = os.path.join(self.nsx.dir, "records")
        path = os.path.join(folder, "0:unwritten")
        with open(path, "xb"):
            os.chown(path, os.stat(folder).st_uid, os.stat(folder).st_gid)
        self.nsx.kill_nsexecd()
        self.assertEqual(os.listdir(folder), [".numbering"])

    def test_next_one_that_cannot_be_started_is_tried_again(self):
        """For want of descriptors; the launcher waits on."""
        ident = self.ctl_ok("run", "-d", "--", "/bin/sh", "-c",
                            "sleep 1; exit 4").out.strip()
        spawner = self.nsx.spawner_pid()
        limits = resource.prlimit(spawner, resource.RLIMIT_NOFILE)
        resource.prlimit(spawner, resource.RLIMIT_NOFILE, (8, limits[1]))
        try:
            os.kill(self.nsx.nsexecd_pid(), signal.SIGKILL)
            wait_for(lambda: "cannot start nsexecd" in self.nsx.log(), 10,
                     "a try")
        finally:
            resource.prlimit(spawner, resource.RLIMIT_NOFILE, limits)
        wait_for(lambda: self.nsx.nsexecd_pid() and self.nsx.answers(), 15,
                 "the next one")
        self.assertEqual(self.ctl_ok("wait", ident).out.strip(), "4")
        self.assertIsNone(self.nsx.launcher.poll(), "the launcher ended")
        self.ctl_ok("delete", ident)

    def test_spawner_stays_the_same_process(self):
        spawner = self.nsx.spawner_pid()
        self.nsx.kill_nsexecd()
        self.nsx.kill_nsexecd()
        self.assertEqual(self.nsx.spawner_pid(), spawner)
        self.assertEqual(self.ctl("run", "--", "/bin/sh", "-c",
                                  "exit 3").code, 3)


class Orphans(TestCase):
    AUDIT = False

    def test_what_a_dead_spawner_left_outlives_nsexecds_as_well(self):
        """Not in one moment: first the spawner, then nsexecd, twice."""
        if not self.ctl_ok("features", "--json").json()["nsexecd"][
                "features"]["pidfd-info"]["present"]:
            self.skipTest("needs PIDFD_GET_INFO")
        for name, code in (("left", 7), ("later", 8)):
            self.ctl_ok("run", "-d", "--name", name, "--", "/bin/sh", "-c",
                        "trap 'exit %d' TERM; while :; do sleep 0.05; done"
                        % code)
        self.ctl_ok("exec", "-d", "left", "--", "/bin/sleep", "60")
        old = self.nsx.spawner_pid()
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: self.nsx.spawner_pid() not in (None, old) and
                 self.nsx.answers(), 20, "a new spawner")
        self.nsx.kill_nsexecd()
        self.ctl_ok("kill", "-s", "TERM", "--all", "left")
        self.assertEqual(self.ctl_ok("wait", "left").out.strip(), "7")
        self.nsx.kill_nsexecd()
        time.sleep(1)
        self.assertIn("running", self.ctl_ok("state", "later").out)
        self.ctl_ok("kill", "-s", "TERM", "--all", "later")
        self.assertEqual(self.ctl_ok("wait", "later").out.strip(), "8")
        for name in ("left", "later"):
            self.ctl_ok("delete", name)

    def test_created_one_that_a_dead_spawner_left_is_started_later(self):
        if not self.ctl_ok("features", "--json").json()["nsexecd"][
                "features"]["pidfd-info"]["present"]:
            self.skipTest("needs PIDFD_GET_INFO")
        self.ctl_ok("create", "--name", "waits", "--", "/bin/sh", "-c",
                    "sleep 0.3; exit 5")
        old = self.nsx.spawner_pid()
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: self.nsx.spawner_pid() not in (None, old) and
                 self.nsx.answers(), 20, "a new spawner")
        self.nsx.kill_nsexecd()
        self.ctl_ok("start", "waits", timeout=15)
        self.assertEqual(self.ctl_ok("wait", "waits").out.strip(), "5")
        self.ctl_ok("delete", "waits")


class SecondStart(TestCase):
    AUDIT = False

    def test_second_nsexecd_joins_the_running_instance(self):
        worker, spawner = self.nsx.nsexecd_pid(), self.nsx.spawner_pid()
        done = subprocess.run(self.nsx.command() + ["--detach"], timeout=60,
                              stdin=subprocess.DEVNULL, env=self.nsx.env,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual((self.nsx.nsexecd_pid(), self.nsx.spawner_pid()),
                         (worker, spawner))

    def test_containers_go_on_when_nsexecd_is_ended_and_begun_again(self):
        ident = self.ctl_ok("run", "-d", "--name", "keep", "--", "/bin/sleep",
                            "100").out.strip()
        pid = self.ctl_ok("state", ident).json()["pid"]
        worker, spawner = self.nsx.nsexecd_pid(), self.nsx.spawner_pid()
        self.nsx.launcher.send_signal(signal.SIGTERM)
        self.assertEqual(self.nsx.launcher.wait(30), 0)
        wait_for(lambda: not alive(worker), 10, "end of nsexecd")
        self.assertTrue(alive(pid))
        self.assertTrue(alive(spawner))
        self.nsx.launcher = None
        self.nsx.start()
        self.assertEqual(self.nsx.spawner_pid(), spawner)
        state = self.ctl_ok("state", "keep").json()
        self.assertEqual((state["status"], state["pid"]), ("running", pid))
        self.ctl_ok("delete", "-f", "keep")


class Ends(TestCase):
    INSTANCE = False

    def test_instance_leaves_nothing_when_it_ends(self):
        """stop() raises if a process, cgroup or file stays."""
        with Instance() as nsx:
            self.assertEqual(nsx.ctl("run", *ALL, "--", "/bin/true").code, 0)

    def test_spawner_ends_when_it_has_nothing_left_to_keep(self):
        nsx = Instance().start()
        try:
            spawner = nsx.spawner_pid()
            nsx.launcher.send_signal(signal.SIGTERM)
            self.assertEqual(nsx.launcher.wait(30), 0)
            wait_for(lambda: not alive(spawner), 12, "end of the spawner")
        finally:
            nsx.stop()

    def test_detached_start_returns_when_the_instance_is_ready(self):
        nsx = Instance()
        try:
            done = subprocess.run(
                nsx.command() + ["--detach"], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=nsx.env,
                timeout=60, check=False)
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertEqual(nsx.ctl("run", "--", "/bin/sh", "-c",
                                     "exit 4").code, 4)
        finally:
            nsx.stop()

    def test_order_to_kill_is_given_to_the_next_spawner(self):
        with Instance() as nsx:
            nsx.ctl("run", "-d", "--name", "on", "--", "/bin/sleep", "100")
            client = Client(nsx.socket_path, 20)
            self.addCleanup(client.close)
            client.call("Version", {})
            spawner = nsx.spawner_pid()
            os.kill(spawner, signal.SIGSTOP)
            delete = client.send_request("Delete", {"id": "on",
                                                    "force": True})
            client.send_request("Version", {})
            self.assertNotEqual(client.recv_response()[0], delete)
            os.kill(spawner, signal.SIGKILL)
            self.assertEqual(client.recv_response()[0], delete)
            self.assertEqual(nsx.ctl("list", "-q").out, "")

    def test_next_spawner_that_fails_is_not_the_end(self):
        """The launcher tries again; here its program is away for a while."""
        nsx = Instance()
        programs = os.path.join(nsx.base, "programs")
        os.mkdir(programs)
        for name in ("nsexecd", "nsexec-spawner", "nsexec-resolver"):
            shutil.copy(program(name), programs)
        away = os.path.join(programs, "nsexec-spawner")
        argv = nsx.command()
        nsx.command = lambda: [os.path.join(programs, "nsexecd"), *argv[1:]]
        nsx.start()
        try:
            old = nsx.spawner_pid()
            os.rename(away, away + ".away")
            os.kill(old, signal.SIGKILL)
            wait_for(lambda: "cannot find nsexec-spawner" in nsx.log(), 10)
            os.rename(away + ".away", away)
            wait_for(lambda: nsx.spawner_pid() not in (None, old) and
                     nsx.answers(), 15, f"a new spawner:\n{nsx.log()}")
            self.assertIsNone(nsx.launcher.poll())
        finally:
            nsx.stop()

    def test_dead_spawner_is_replaced_by_a_second_start(self):
        nsx = Instance().start()
        try:
            old = nsx.spawner_pid()
            os.kill(old, signal.SIGKILL)
            wait_for(lambda: not alive(old), 5, "its death")
            subprocess.run(nsx.command() + ["--detach"], timeout=60,
                           stdin=subprocess.DEVNULL, env=nsx.env, check=True,
                           stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            self.assertNotIn(nsx.spawner_pid(), (None, old))
            self.assertEqual(nsx.ctl("run", "--", "/bin/sh", "-c",
                                     "exit 4").code, 4)
        finally:
            nsx.stop()


class Processes(TestCase):
    """The picture of contracts.md, read from the kernel."""

    def test_nsexecd_is_unprivileged_and_the_spawner_is_its_parent(self):
        worker, spawner = self.nsx.nsexecd_pid(), self.nsx.spawner_pid()
        with open(f"/proc/{worker}/status", encoding="ascii") as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f)
        self.assertEqual(int(status["PPid"]), spawner)
        self.assertNotIn("0", status["Uid"].split())
        for name in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
            self.assertEqual(int(status[name], 16), 0, name)
        self.assertEqual(status["NoNewPrivs"], "1")

    def test_files_of_the_instance_have_their_modes(self):
        modes = {name: os.stat(os.path.join(self.nsx.dir, name)).st_mode
                 & 0o777 for name in ("nsexecd.sock", "fd.sock",
                                      "spawner.sock", "gates", "records")}
        self.assertEqual(modes, {"nsexecd.sock": 0o666, "fd.sock": 0o666,
                                 "spawner.sock": 0o600, "gates": 0o700,
                                 "records": 0o700})

    def test_spawner_links_libc_alone(self):
        with open(f"/proc/{self.nsx.spawner_pid()}/maps",
                  encoding="utf-8") as f:
            text = f.read()
        for name in ("protobuf", "event", "jansson", "systemd"):
            self.assertNotIn(name, text)
        self.assertTrue(program("nsexec-spawner"))


if __name__ == "__main__":
    main()
