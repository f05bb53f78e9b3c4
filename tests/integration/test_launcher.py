# SPDX-License-Identifier: Apache-2.0
"""nsexecd --run-dir as a person runs it: the launcher of a private instance."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
from harness import ORDINARY_UID, Instance, TestCase, alive, main, program, \
    wait_for


class Launcher(TestCase):
    INSTANCE = False

    def setUp(self):
        super().setUp()
        self.run_dir = Instance()
        self.addCleanup(self.end)

    def end(self):
        spawner = self.run_dir.spawner_pid()
        if spawner:  # not the harness's 5 s
            for name in self.run_dir.ctl("list", "-q").lines():
                self.run_dir.ctl("delete", "-f", name)
            os.kill(spawner, signal.SIGTERM)
            wait_for(lambda: not alive(spawner), 15, "the spawner's end")
        self.run_dir.stop()

    def detach(self, *more):
        done = subprocess.run(
            self.run_dir.command() + ["--detach", *more], timeout=30,
            stdin=subprocess.DEVNULL, capture_output=True, check=False)
        return done

    def up(self):
        done = self.detach()
        self.assertEqual(done.returncode, 0, done)
        return self.run_dir.nsexecd_pid(), self.run_dir.spawner_pid()

    def ended(self):
        self.assertIsNone(self.run_dir.nsexecd_pid())
        self.assertFalse(os.path.exists(self.run_dir.socket_path))

    def test_detached_instance_is_ready_when_the_command_returns(self):
        worker, spawner = self.up()
        self.assertTrue(worker and spawner)
        self.assertTrue(self.run_dir.answers())
        with open(f"/proc/{spawner}/status", encoding="ascii") as f:
            self.assertIn("nsexec-spawner", f.readline())
        self.assertEqual(os.getsid(spawner), spawner)

    def test_second_command_joins_what_lives(self):
        first = self.up()
        self.assertEqual(self.up(), first)
        self.run_dir.start()
        self.assertEqual((self.run_dir.nsexecd_pid(),
                          self.run_dir.spawner_pid()), first)

    def test_commands_at_the_same_time_share_one_instance(self):
        running = [subprocess.Popen(
            self.run_dir.command() + ["--detach"], stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE) for _ in range(4)]
        for process in running:
            _, err = process.communicate(timeout=40)
            self.assertEqual((process.returncode, err), (0, b""))
        self.assertTrue(self.run_dir.answers())

    def test_interrupt_and_terminate_end_nsexecd_cleanly(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            self.run_dir.start()
            self.run_dir.launcher.send_signal(number)
            self.assertEqual(self.run_dir.launcher.wait(20), 0,
                             self.run_dir.log())
            self.ended()

    def test_foreground_ends_when_nsexecd_ended_cleanly(self):
        self.run_dir.start()
        os.kill(self.run_dir.nsexecd_pid(), signal.SIGTERM)
        self.assertEqual(self.run_dir.launcher.wait(20), 0)
        self.ended()

    def test_foreground_ends_with_a_spawner_that_is_told_to_end(self):
        self.run_dir.start()
        spawner = self.run_dir.spawner_pid()
        os.kill(spawner, signal.SIGTERM)
        self.assertEqual(self.run_dir.launcher.wait(20), 0)
        wait_for(lambda: not alive(spawner), what="the spawner's end")
        self.assertIsNone(self.run_dir.spawner_pid())
        self.ended()

    def test_hangup_reads_the_policy_anew_and_says_what_is_wrong(self):
        policy = tempfile.mkdtemp(prefix="nsx-policy.")
        self.addCleanup(shutil.rmtree, policy)
        os.chmod(policy, 0o755)
        path = os.path.join(policy, "policy.json")
        self.run_dir.extra_args = ["--policy-dir", policy]
        self.run_dir.start()

        def run():
            return self.run_dir.ctl("run", "--", "/bin/true",
                                    user=ORDINARY_UID)
        self.assertEqual(run().code, 0)
        with open(path, "w", encoding="ascii") as f:
            f.write('{"version": 1, "rules": [{"name": "nobody", '
                    '"match": {"any": true}, "verbs": []}]}')
        self.assertEqual(run().code, 0)
        self.run_dir.launcher.send_signal(signal.SIGHUP)
        wait_for(lambda: run().code != 0, 10, "the new rule")
        self.assertIn("rule nobody", run().err)
        with open(path, "w", encoding="ascii") as f:
            f.write("{")
        self.run_dir.launcher.send_signal(signal.SIGHUP)
        wait_for(lambda: "reload the policy: " in self.run_dir.log(), 10,
                 "what is wrong")
        self.assertNotEqual(run().code, 0)
        self.assertIsNone(self.run_dir.launcher.poll())

    def test_containers_go_on_and_are_found_again(self):
        self.run_dir.start()
        made = self.run_dir.ctl("run", "-d", "--name", "stays", "--",
                                "/bin/sleep", "60")
        self.assertEqual(made.code, 0, made)
        spawner = self.run_dir.spawner_pid()
        self.run_dir.launcher.send_signal(signal.SIGINT)
        self.assertEqual(self.run_dir.launcher.wait(20), 0)
        self.assertTrue(alive(spawner))
        self.up()
        self.assertEqual(self.run_dir.spawner_pid(), spawner)
        self.assertEqual(self.run_dir.ctl("state", "stays").json()["status"],
                         "running")
        killed = self.run_dir.ctl("kill", "-s", "KILL", "stays")
        self.assertEqual(killed.code, 0, killed)
        self.assertEqual(self.run_dir.ctl("wait", "stays").lines(), ["137"])

    def test_dead_worker_is_replaced_and_keeps_its_uid(self):
        worker, spawner = self.up()
        records = os.path.join(self.run_dir.dir, "records")
        uid = os.stat(records).st_uid
        self.assertNotEqual(uid, 0)
        self.run_dir.kill_nsexecd()
        self.assertEqual(self.run_dir.spawner_pid(), spawner)
        self.assertNotEqual(self.run_dir.nsexecd_pid(), worker)
        with open(f"/proc/{self.run_dir.nsexecd_pid()}/status",
                  encoding="ascii") as f:
            self.assertIn(f"\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n", f.read())
        self.assertEqual(os.stat(records).st_uid, uid)

    def test_dead_spawner_is_replaced_under_the_living_worker(self):
        worker, spawner = self.up()
        os.kill(spawner, signal.SIGKILL)
        wait_for(lambda: not alive(spawner), what="its death")
        self.assertEqual(self.up()[0], worker)
        self.assertNotEqual(self.run_dir.spawner_pid(), spawner)
        self.assertEqual(self.run_dir.ctl("run", "--", "/bin/true").code, 0)

    def test_foreground_replaces_a_dead_spawner_by_itself(self):
        self.run_dir.start()
        worker, spawner = (self.run_dir.nsexecd_pid(),
                           self.run_dir.spawner_pid())
        os.kill(spawner, signal.SIGKILL)
        wait_for(lambda: self.run_dir.spawner_pid() not in (None, spawner),
                 what="a new spawner")
        wait_for(lambda: self.run_dir.ctl("run", "--", "/bin/true").code == 0,
                 what="a start")
        self.assertEqual(self.run_dir.nsexecd_pid(), worker)
        self.run_dir.launcher.send_signal(signal.SIGTERM)
        self.assertEqual(self.run_dir.launcher.wait(20), 0)

    def test_both_dead_are_replaced(self):
        worker, spawner = self.up()
        os.kill(spawner, signal.SIGKILL)
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: not alive(worker) and not alive(spawner),
                 what="both deaths")
        self.assertTrue(set(self.up()).isdisjoint({worker, spawner}))
        self.assertTrue(self.run_dir.answers())

    def test_bad_cgroup_root_is_said_at_once(self):
        done = subprocess.run(
            [program("nsexecd"), "--run-dir", self.run_dir.dir, "--detach",
             "--cgroup-root", "/proc/self"], timeout=30, check=False,
            stdin=subprocess.DEVNULL, capture_output=True)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn(b"cannot use cgroup root", done.stderr)


class Refusals(TestCase):
    INSTANCE = False

    def setUp(self):
        super().setUp()
        self.base = tempfile.mkdtemp(prefix="nsxlauncher-")
        os.chmod(self.base, 0o755)
        self.addCleanup(shutil.rmtree, self.base)

    def run_as(self, uid):
        return subprocess.run(
            [program("nsexecd"), "--run-dir", self.base, "--detach"],
            timeout=30, check=False, stdin=subprocess.DEVNULL, user=uid,
            group=uid, extra_groups=[], capture_output=True)

    def test_ordinary_user_is_refused_a_directory_of_root(self):
        done = self.run_as(ORDINARY_UID)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"another user's", done.stderr)
        self.assertEqual(os.listdir(self.base), [])

    def test_directory_of_another_user_is_refused(self):
        os.chown(self.base, ORDINARY_UID, ORDINARY_UID)
        done = self.run_as(0)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"another user's", done.stderr)
        self.assertEqual(os.listdir(self.base), [])

    def test_directory_that_others_may_write_in_is_left_alone(self):
        os.chmod(self.base, 0o1777)
        done = self.run_as(0)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"others may write", done.stderr)
        self.assertEqual(os.stat(self.base).st_mode & 0o7777, 0o1777)

    def test_closed_directory_with_other_files_is_left_alone(self):
        with open(os.path.join(self.base, "diary"), "wb"):
            os.chmod(self.base, 0o700)
        done = self.run_as(0)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"may not pass", done.stderr)
        self.assertEqual(os.stat(self.base).st_mode & 0o7777, 0o700)


if __name__ == "__main__":
    main()
