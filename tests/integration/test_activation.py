#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How nsexecd is started and ended, and what it says to systemd.

Real systemd-socket-activate with named sockets; readiness, stopping and
watchdog on a real NOTIFY_SOCKET; the one lock of a run directory; options and
the configuration file; what TERM leaves running.
"""
import json
import os
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
from harness import (SLOW, Instance, TestCase, alive, main,  # noqa: E402
                     program, wait_for)
from ttrpc_client import Client, RpcError  # noqa: E402


class Activated(Instance):
    """An instance whose rpc socket is systemd-socket-activate's."""

    def __init__(self, name="rpc", extra_args=(), notify=False):
        super().__init__(extra_args)
        os.mkdir(os.path.join(self.base, "notify"), 0o755)
        self.notify_path = os.path.join(self.base, "notify", "socket")
        self.notify = None
        self.fd_name = name
        if notify:
            self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.notify.settimeout(10 * SLOW)
            self.notify.bind(self.notify_path)
            os.chmod(self.notify_path, 0o777)

    def command(self):
        argv = ["systemd-socket-activate", "-l", self.socket_path,
                "--fdname=" + self.fd_name]
        if self.notify:
            argv += ["-E", "NOTIFY_SOCKET=" + self.notify_path,
                     "-E", "WATCHDOG_USEC=400000"]
        return argv + super().command()

    def listen(self):
        """Started, but nobody has connected yet."""
        before = self.log().count("Listening on")
        with open(self.log_path, "ab") as log:
            self.launcher = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, env=self.env)
        wait_for(lambda: self.log().count("Listening on") > before, 10,
                 self.log())
        return self

    def start(self):
        self.listen()
        os.chmod(self.socket_path, 0o666)
        wait_for(lambda: self.answers() and self.nsexecd_pid(), 15,
                 "activation\n" + self.log())
        return self

    def told(self):
        """The next notification as text."""
        return self.notify.recv(4096).decode()

    def told_until(self, wanted):
        """Notifications up to the one that has wanted."""
        seen = []
        while not seen or wanted not in seen[-1]:
            seen.append(self.told())
        return seen

    def stop(self):
        try:
            return super().stop()
        finally:
            if self.notify:
                self.notify.close()


class SocketActivation(TestCase):
    INSTANCE = False

    def test_first_connection_starts_it_and_it_runs_programs(self):
        with Activated() as nsx:
            worker = nsx.nsexecd_pid()
            # systemd-socket-activate has become nsexecd itself.
            self.assertEqual(worker, nsx.launcher.pid)
            done = nsx.ctl("run", "--new", "all", "--map-root-user", "--",
                           "/usr/bin/id", "-u")
            self.assertEqual((done.code, done.out), (0, "0\n"), done)

    def test_started_by_root_it_is_not_root_for_any_caller(self):
        with Activated() as nsx:
            with open(f"/proc/{nsx.nsexecd_pid()}/status",
                      encoding="ascii") as f:
                status = dict(line.rstrip("\n").split(":\t", 1)
                              for line in f if ":\t" in line)
            uids = set(status["Uid"].split())
            self.assertEqual(len(uids), 1)
            self.assertNotEqual(uids, {"0"})
            self.assertNotIn("0", status["Gid"].split())
            self.assertEqual(status["Groups"].split(), [])
            for key in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                self.assertEqual(int(status[key], 16), 0, key)
            self.assertEqual(status["NoNewPrivs"], "1")
            self.assertEqual(status["Seccomp"], "2")

    def test_the_fd_socket_is_made_beside_an_rpc_socket_that_came_alone(self):
        with Activated() as nsx:
            read, write = os.pipe()
            try:
                client = Client(nsx.socket_path)
                token, channel = client.pass_fds([write])
                os.close(write)
                write = -1
                info = client.call("Run", {
                    "spec": {"process": {
                        "args": [b"/bin/echo", b"through the channel"],
                        "stdout": {"kind": "STDIO_FD", "fd_index": 0}}},
                    "fd_token": token, "n_fds": 1})["info"]
                self.assertEqual(os.read(read, 100), b"through the channel\n")
                client.call("Wait", {"id": info["id"]})
                client.call("Delete", {"id": info["id"]})
                channel.close()
                client.close()
            finally:
                os.close(read)
                if write >= 0:
                    os.close(write)

    def test_a_socket_of_another_name_is_refused_with_a_reason(self):
        nsx = Activated(name="http")
        try:
            nsx.listen()
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(nsx.socket_path)
            self.assertEqual(nsx.launcher.wait(10 * SLOW), 1)
            sock.close()
            self.assertIn('cannot use the passed socket "http"', nsx.log())
        finally:
            nsx.stop()

    def test_containers_outlive_it_and_the_next_one_finds_them(self):
        with Activated() as nsx:
            done = nsx.ctl("run", "-d", "--name", "stays", "--", "/bin/sleep",
                           "300")
            self.assertEqual(done.code, 0, done)
            pid = self.pid_of(nsx.ctl("list", "--json"))
            nsx.launcher.send_signal(signal.SIGTERM)
            self.assertEqual(nsx.launcher.wait(10 * SLOW), 0)
            self.assertTrue(alive(pid))
            if os.path.exists(nsx.socket_path):
                os.unlink(nsx.socket_path)
            nsx.start()
            self.assertEqual(self.pid_of(nsx.ctl("list", "--json")), pid)
            self.assertEqual(nsx.ctl("delete", "-f", "stays").code, 0)
            wait_for(lambda: not alive(pid), 10, "the container ends")

    @staticmethod
    def pid_of(result):
        parsed = json.loads(result.out)
        if isinstance(parsed, dict):
            parsed = parsed.get("containers", [parsed])
        return parsed[0]["pid"]


class Notify(TestCase):
    INSTANCE = False

    def test_ready_watchdog_and_stopping_are_told(self):
        nsx = Activated(notify=True)
        try:
            nsx.start()
            self.assertIn("READY=1", nsx.told_until("READY=1")[-1])
            for _ in range(3):
                # Half of WATCHDOG_USEC apart, from the loop itself.
                self.assertEqual(nsx.told().strip(), "WATCHDOG=1")
            nsx.launcher.send_signal(signal.SIGTERM)
            self.assertIn("STOPPING=1", nsx.told_until("STOPPING=1")[-1])
            self.assertEqual(nsx.launcher.wait(10 * SLOW), 0)
        finally:
            nsx.stop()

    def test_ready_is_told_after_the_spawner_answered_and_not_before(self):
        nsx = Activated(notify=True)
        try:
            nsx.start()
            self.assertTrue(nsx.spawner_pid())
            kinds = [text.strip() for text in nsx.told_until("READY=1")]
            self.assertEqual(kinds.count("READY=1"), 1)
        finally:
            nsx.stop()

    def test_a_stuck_loop_sends_no_watchdog(self):
        nsx = Activated(notify=True)
        try:
            nsx.start()
            nsx.told_until("WATCHDOG=1")
            nsx.launcher.send_signal(signal.SIGSTOP)
            nsx.notify.settimeout(1.0)
            try:
                # What was sent before the stop may still be queued.
                with self.assertRaises(TimeoutError):
                    for _ in range(50):
                        nsx.told()
            finally:
                nsx.launcher.send_signal(signal.SIGCONT)
            nsx.notify.settimeout(10 * SLOW)
            nsx.told_until("WATCHDOG=1")
        finally:
            nsx.stop()


class Ending(TestCase):
    AUDIT = False

    def test_term_answers_what_waits_and_what_is_in_flight(self):
        client = Client(self.nsx.socket_path)
        wait = client.send_request("NextEvents", {"timeout_ms": 60000})
        client.send_request("Events", {}, 1)
        Client(self.nsx.socket_path).call("Version", {})
        worker = self.nsx.nsexecd_pid()
        os.kill(worker, signal.SIGTERM)
        codes = {}
        for _ in range(2):
            stream, kind, _, data = client.recv_frame()
            self.assertEqual(kind, 2)
            try:
                client.payload(data)
            except RpcError as error:
                codes[stream] = error.code
                self.assertTrue(error.detail["retryable"])
        self.assertEqual(codes, {wait: 10, wait + 2: 10})
        wait_for(lambda: not alive(worker), 10, "a clean end")
        client.close()


class Lock(TestCase):
    def test_a_second_worker_of_a_directory_says_so_and_ends(self):
        """Handed a socket as the spawner would, but the place is taken."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(os.path.join(self.nsx.base, "second"))
        listener.listen()
        owner = os.stat(os.path.join(self.nsx.dir, "nsexecd.pid"))

        fd = str(listener.fileno())
        done = subprocess.run(
            ["/bin/sh", "-c", f"LISTEN_PID=$$ exec \"$@\" 3<&{fd}", "sh",
             program("nsexecd"), "--worker", "--run-dir", self.nsx.dir],
            env=dict(os.environ, LISTEN_FDS="1", LISTEN_FDNAMES="rpc"),
            stderr=subprocess.PIPE, timeout=20 * SLOW, check=False,
            pass_fds=(listener.fileno(),), user=owner.st_uid,
            group=owner.st_gid, extra_groups=[])
        listener.close()
        os.unlink(os.path.join(self.nsx.base, "second"))
        self.assertEqual(done.returncode, 1, done)
        self.assertIn(b"another nsexecd serves this directory", done.stderr)
        self.assertEqual(self.nsx.ctl("version").code, 0)

    def test_started_again_on_a_directory_that_lives_it_joins(self):
        before = (self.nsx.nsexecd_pid(), self.nsx.spawner_pid())
        done = subprocess.run(self.nsx.command() + ["--detach"],
                              stderr=subprocess.PIPE, timeout=20 * SLOW,
                              check=False)
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual((self.nsx.nsexecd_pid(), self.nsx.spawner_pid()),
                         before)


class CommandLine(TestCase):
    INSTANCE = False

    def run_nsexecd(self, *args):
        return subprocess.run([program("nsexecd"), *args], check=False,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=20 * SLOW)

    def refused(self, text, *args):
        done = self.run_nsexecd(*args)
        self.assertEqual(done.returncode, 2, done)
        self.assertIn(text, done.stderr.decode())
        self.assertEqual(done.stdout, b"")

    def test_version_and_help_are_answered(self):
        done = self.run_nsexecd("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout.decode(), r"^nsexecd \d+\.\d+")
        done = self.run_nsexecd("--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("--run-dir", done.stdout.decode())

    def test_usage_errors_say_what_to_do(self):
        self.refused("nothing to serve: give --run-dir")
        self.refused("exclude each other", "--system", "--run-dir", "/tmp/x")
        self.refused("give --run-dir", "--detach", "--system")
        self.refused("--worker is for nsexec-spawner", "--worker")
        self.refused("want an absolute path", "--run-dir", "/tmp/x",
                     "--cgroup-root", "x")
        self.refused("--log-level: want", "--run-dir", "/tmp/x",
                     "--log-level", "loud")
        self.refused("unexpected argument", "--run-dir", "/tmp/x", "more")
        self.refused("too long for a socket", "--run-dir", "/" + "a" * 100)
        self.refused("unrecognized option", "--nope")

    def test_a_wrong_configuration_names_key_and_line(self):
        path = os.path.join("/tmp", f"nsxtest-conf-{os.getpid()}")
        try:
            with open(path, "w", encoding="ascii") as f:
                f.write('{\n "limits": {\n  "conections": 1 } }\n')
            self.refused(f"{path}:3: conections: no such limit",
                         "--run-dir", "/tmp/x", "--config", path)
        finally:
            os.unlink(path)
        self.refused("cannot read: No such file", "--run-dir", "/tmp/x",
                     "--config", path)
        self.assertFalse(os.path.exists("/tmp/x"))


class Log(TestCase):
    INSTANCE = False
    # In a mount namespace of its own: a journal that only listens.
    SCRIPT = """
mount -t tmpfs none /run && mkdir -p /run/systemd/journal &&
exec "$@"
"""
    JOURNAL = """
import os, socket, subprocess, sys
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
if sys.argv[1] == "listen":
    sock.bind("/run/systemd/journal/socket")
    sock.settimeout(20)
st = os.fstat(2)
env = dict(os.environ, JOURNAL_STREAM=f"{st.st_dev}:{st.st_ino}")
done = subprocess.run(sys.argv[2:], env=env, check=False)
if sys.argv[1] == "listen":
    sys.stdout.buffer.write(sock.recv(65536))
sys.exit(done.returncode)
"""

    def run_with_journal(self, mode):
        return subprocess.run(
            ["unshare", "-m", "/bin/sh", "-c", self.SCRIPT, "sh",
             sys.executable, "-c", self.JOURNAL, mode, program("nsexecd"),
             "--system"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=30 * SLOW, check=False)

    def test_the_journal_gets_fields_where_standard_error_is_the_journal(self):
        done = self.run_with_journal("listen")
        self.assertEqual((done.returncode, done.stderr), (1, b""), done)
        fields = dict(line.split("=", 1) for line in
                      done.stdout.decode().splitlines())
        self.assertEqual(fields["PRIORITY"], "3")
        self.assertIn('no socket "rpc" was passed', fields["MESSAGE"])
        self.assertEqual(fields["SYSLOG_IDENTIFIER"], "nsexecd")

    def test_without_a_journal_the_line_goes_to_standard_error(self):
        done = self.run_with_journal("absent")
        self.assertEqual((done.returncode, done.stdout), (1, b""), done)
        self.assertRegex(done.stderr.decode(), r'^nsexecd: no socket "rpc"')


class Configured(TestCase):
    INSTANCE = False

    def test_a_limit_of_the_file_holds_in_the_worker(self):
        nsx = Instance()
        path = os.path.join(nsx.base, "conf")
        with open(path, "w", encoding="ascii") as f:
            json.dump({"limits": {"connections": 100,
                                  "connections_per_uid": 2}}, f)
        nsx.extra_args = ["--config", path]
        try:
            nsx.start()
            with_two = [self.connect_as(nsx, 54321) for _ in range(2)]
            for client in with_two:
                client.call("Version", {})
            third = self.connect_as(nsx, 54321)
            with self.assertRaises(Exception):
                third.call("Version", {})
            # Another user, and root, have places of their own.
            other = self.connect_as(nsx, 54322)
            other.call("Version", {})
            self.assertEqual(nsx.ctl("version").code, 0)
            for client in with_two + [third, other]:
                client.close()
        finally:
            nsx.stop()

    def test_live_containers_in_all_are_bounded_for_root_too(self):
        nsx = Instance()
        # A private instance looks for its file in its own directory.
        with open(os.path.join(nsx.dir, "nsexecd.conf"), "w",
                  encoding="ascii") as f:
            json.dump({"limits": {"containers": 1}}, f)
        try:
            nsx.start()
            first = nsx.ctl("run", "-d", "--", "/bin/sleep", "300")
            self.assertEqual(first.code, 0, first)
            second = nsx.ctl("run", "--", "/bin/true")
            self.assertEqual(second.code, 125, second)
            self.assertIn("live containers: ", second.err)
            self.assertIn("limit 1, try again", second.err)
            nsx.ctl("delete", "-f", first.out.strip())
            self.assertEqual(nsx.ctl("run", "--", "/bin/true").code, 0)
        finally:
            nsx.stop()

    @staticmethod
    def connect_as(nsx, uid):
        os.seteuid(uid)
        try:
            return Client(nsx.socket_path)
        finally:
            os.seteuid(0)


if __name__ == "__main__":
    main()
