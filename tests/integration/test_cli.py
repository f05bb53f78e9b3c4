# SPDX-License-Identifier: Apache-2.0
"""nsexecctl: what its options ask for, what it prints, how it ends."""
import array
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from harness import TestCase, alive, main, program, wait_for  # noqa: E402
from pb import Schema  # noqa: E402
from ttrpc_client import Client  # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
SCHEMA = Schema()
PATIENT = ("/bin/sh", "-c", "trap 'exit 9' TERM; trap '' INT; echo ready; "
           "while :; do sleep 0.05; done")


class Listener:
    """A server that refuses all requests and keeps the last."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="nsxcli-")
        self.rpc = self.listen("nsexecd.sock", socket.SOCK_STREAM)
        self.fds = self.listen("fd.sock", socket.SOCK_SEQPACKET)
        self.found = None
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def listen(self, name, kind):
        sock = socket.socket(socket.AF_UNIX, kind)
        sock.bind(os.path.join(self.dir, name))
        sock.listen(4)
        sock.settimeout(10)
        return sock

    def serve(self):
        try:
            conn, _ = self.rpc.accept()
        except OSError:
            return
        with conn:
            stream = conn.makefile("rb")
            # A command may look first: the last request is what it is about.
            while header := stream.read(10):
                size, ident, _, _ = struct.unpack(">IIBB", header)
                envelope = dict(self.fields(stream.read(size)))
                self.found = (envelope[2].decode(), envelope[3])
                # status {code 12}
                conn.sendall(struct.pack(">IIBB", 4, ident, 2, 0) +
                             b"\x0a\x02\x08\x0c")

    @staticmethod
    def fields(data):
        at = 0
        while at < len(data):
            number, at = data[at] >> 3, at + 1
            size = shift = 0
            while True:
                byte, at = data[at], at + 1
                size |= (byte & 0x7f) << shift
                shift += 7
                if byte < 0x80:
                    break
            yield number, data[at:at + size]
            at += size

    def close(self):
        self.rpc.close()
        self.fds.close()
        self.thread.join()
        shutil.rmtree(self.dir)


class Requests(TestCase):
    """Options as the fields of a request."""
    INSTANCE = False

    def sent(self, *args, **popen):
        """(method, request) of a command that is then refused."""
        server = Listener()
        try:
            env = dict(os.environ,
                       NSEXEC_SOCKET=f"unix:{server.dir}/nsexecd.sock")
            # No pipes: what is passed stays in the listener's queue.
            done = subprocess.run([program("nsexecctl"), *args], env=env,
                                  stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, timeout=20,
                                  check=False, **popen)
            self.assertIsNotNone(server.found, done)
        finally:
            if server.found is None:
                server.rpc.shutdown(socket.SHUT_RDWR)
            server.close()
        method, payload = server.found
        return SCHEMA.decode(method + "Request", payload)

    def spec(self, *options):
        return self.sent("run", *options, "--", "true", "-x", "--")["spec"]

    def usage(self, *args, code=125):
        done = subprocess.run([program("nsexecctl"), *args],
                              capture_output=True, timeout=20, check=False)
        self.assertEqual(done.returncode, code, done)
        return done.stderr.decode()

    def test_everything_after_the_command_is_its_own(self):
        spec = self.sent("run", "echo", "--new", "all", "-d")["spec"]
        self.assertEqual(spec["process"]["args"],
                         [b"echo", b"--new", b"all", b"-d"])
        self.assertNotIn("namespaces", spec)
        self.assertEqual(self.spec()["process"]["args"],
                         [b"true", b"-x", b"--"])

    def test_new_and_join_name_their_kinds(self):
        spec = self.spec("--new", "net,pid", "--join", "ipc=path:/a/b",
                         "--join", "uts=pid:7:99")
        found = {ns["kind"]: ns for ns in spec["namespaces"]}
        self.assertEqual(set(found), {"NS_NET", "NS_PID", "NS_IPC", "NS_UTS"})
        self.assertTrue(found["NS_NET"]["create"])
        self.assertEqual(found["NS_IPC"]["path"], b"/a/b")
        self.assertEqual(found["NS_UTS"]["process"],
                         {"pid": 7, "pid_inode": 99})

    def test_new_all_is_all_that_is_not_joined_or_shared(self):
        spec = self.spec("--new", "all", "--share", "net", "--join",
                         "pid=pid:1")
        created = {ns["kind"] for ns in spec["namespaces"] if ns.get("create")}
        self.assertEqual(created, {"NS_USER", "NS_IPC", "NS_UTS", "NS_MNT",
                                   "NS_CGROUP", "NS_TIME"})

    def test_one_kind_by_two_ways_is_refused(self):
        for options in (("--new", "net", "--join", "net=pid:1"),
                        ("--new", "net", "--share", "net"),
                        ("--share", "net", "--join", "net=pid:1"),
                        ("--join", "net=pid:1", "--join", "net=pid:2")):
            with self.subTest(options=options):
                self.assertIn("net", self.usage("run", *options, "true"))

    def test_map_options_imply_a_user_namespace(self):
        spec = self.spec("-r")
        self.assertEqual(spec["id_maps"], {"preset": "MAP_ROOT"})
        self.assertEqual([ns["kind"] for ns in spec["namespaces"]],
                         ["NS_USER"])

    def test_rows_are_inner_outer_count_and_repeat(self):
        maps = self.spec("--map-users", "0:100000:10,10:5:1", "--map-users",
                         "20:6:1", "--map-groups", "0:7:1", "--setgroups",
                         "deny")["id_maps"]
        self.assertEqual(maps["preset"], "MAP_EXPLICIT")
        self.assertEqual(maps["uid"], [
            {"container_id": 0, "host_id": 100000, "size": 10},
            {"container_id": 10, "host_id": 5, "size": 1},
            {"container_id": 20, "host_id": 6, "size": 1}])
        self.assertEqual(maps["gid"],
                         [{"container_id": 0, "host_id": 7, "size": 1}])
        self.assertEqual(maps["setgroups"], "SETGROUPS_DENY")

    def test_mount_specs_become_mounts_and_imply_mnt(self):
        spec = self.spec("--mount", "type=bind,src=/data,dst=/srv,ro,rbind",
                         "--mount", "type=tmpfs,dst=/tmp,size=1M,mode=755")
        bind, tmpfs = spec["mounts"]
        self.assertEqual((bind["kind"], bind["source"], bind["destination"]),
                         ("MOUNT_BIND", b"/data", b"/srv"))
        self.assertTrue(bind["read_only"] and bind["recursive"])
        self.assertFalse(bind["nosuid"])
        self.assertEqual(tmpfs["data"], b"size=1M,mode=755")
        self.assertEqual([ns["kind"] for ns in spec["namespaces"]],
                         ["NS_MNT"])

    def test_time_offsets_may_be_negative_fractions(self):
        spec = self.spec("--new", "time", "--boottime", "-1.5", "--monotonic",
                         "2.25")
        self.assertEqual(spec["boottime"],
                         {"seconds": -2, "nanoseconds": 500000000})
        self.assertEqual(spec["monotonic"],
                         {"seconds": 2, "nanoseconds": 250000000})

    def test_environment_is_ours_with_overrides(self):
        env = dict(os.environ, NSXCLI_A="old", NSXCLI_B="kept",
                   NSEXEC_FDNAMES="3=x")

        def variables(*options):
            server = Listener()
            env["NSEXEC_SOCKET"] = f"unix:{server.dir}/nsexecd.sock"
            try:
                subprocess.run([program("nsexecctl"), "run", *options, "true"],
                               env=env, timeout=20, check=False,
                               stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
            finally:
                server.close()
            spec = SCHEMA.decode("RunRequest", server.found[1])["spec"]
            return spec["process"].get("env", [])

        found = variables("-e", "NSXCLI_A=new")
        self.assertEqual([v for v in found if v.startswith(b"NSXCLI_")],
                         [b"NSXCLI_B=kept", b"NSXCLI_A=new"])
        self.assertFalse([v for v in found if b"FDNAMES" in v])
        self.assertEqual(variables("--clear-env", "-e", "NSXCLI_B", "-e",
                                   "C=1", "-e", "C=2"),
                         [b"NSXCLI_B=kept", b"C=2"])

    def test_absent_options_are_absent_fields(self):
        process = self.spec()["process"]
        for name in ("uid", "gid", "cwd", "capabilities", "umask", "nice",
                     "oom_score_adj", "no_new_privileges"):
            self.assertNotIn(name, process)

    def test_process_options_become_fields(self):
        process = self.spec("-u", "0:5", "--groups", "1,2", "-w", "/x",
                            "--umask", "077", "--nice", "-5",
                            "--oom-score-adj", "-100", "--rlimit",
                            "core=0:unlimited", "--no-new-privs",
                            "--cap-drop", "all", "--cap-add",
                            "chown")["process"]
        self.assertEqual((process["uid"], process["gid"]), (0, 5))
        self.assertEqual(process["groups"], [1, 2])
        self.assertEqual(process["cwd"], b"/x")
        self.assertEqual(process["umask"], 0o77)
        self.assertEqual(process["nice"], -5)
        self.assertEqual(process["oom_score_adj"], -100)
        self.assertEqual(process["rlimits"], [
            {"resource": 4, "soft": 0, "hard": (1 << 64) - 1}])
        self.assertTrue(process["no_new_privileges"])
        self.assertEqual(process["capabilities"]["bounding"], 1)
        self.assertEqual(process["capabilities"]["effective"], 1)

    def test_streams_are_ours_in_front_and_null_detached(self):
        front = self.sent("run", "true")
        self.assertEqual(front["n_fds"], 3)
        self.assertEqual(front["spec"]["process"]["stderr"]["kind"],
                         "STDIO_FD")
        back = self.sent("run", "-d", "true")
        self.assertNotIn("n_fds", back)
        self.assertNotIn("stdout", back["spec"]["process"])
        path = self.sent("run", "-d", "--stdout", "/tmp/fifo", "true")
        self.assertEqual(path["spec"]["process"]["stdout"],
                         {"kind": "STDIO_PATH", "path": b"/tmp/fifo"})

    def test_descriptors_must_be_open(self):
        self.assertIn("not open", self.usage("run", "--preserve-fds", "1",
                                             "true"))
        self.assertIn("not open", self.usage("run", "--fd", "a=77", "true"))

    def test_options_of_later_releases_are_refused_by_name(self):
        for option in ("-t", "--tty", "--seccomp=x", "--apparmor=x",
                       "--console-socket=x", "--memory=1", "--init"):
            with self.subTest(option=option):
                text = self.usage("run", option, "true")
                self.assertIn("this release does not have", text)
        for verb in ("pause", "resume", "update", "stats", "checkpoint"):
            with self.subTest(verb=verb):
                self.assertIn("this release does not have",
                              self.usage(verb, "x", code=2))

    def test_wrong_arguments_say_what_to_write(self):
        for args in (("--new", "nets"), ("--join", "net=7"),
                     ("--map-users", "0:1"), ("--mount", "type=ext4,dst=/x"),
                     ("--rlimit", "nofile=2:1"), ("--timeout", "soon"),
                     ("--umask", "9"), ("--key", "12"),
                     ("--propagation", "x"), ("--map-preset", "all"),
                     ("--map-preset", "max-uid", "-r")):
            with self.subTest(args=args):
                self.assertIn("nsexecctl", self.usage("run", *args, "true"))

    def test_kill_takes_a_signal_in_every_form(self):
        for args, number in ((("-9", "x"), 9), (("-KILL", "x"), 9),
                             (("-s", "SIGHUP", "x"), 1), (("x",), 15),
                             (("--signal=USR1", "x"), 10)):
            with self.subTest(args=args):
                self.assertEqual(self.sent("kill", *args)["signal"], number)

    def test_enter_takes_the_letters_of_nsenter(self):
        spec = self.sent("enter", "-t", "42", "-m", "-n", "-u", "-S", "7",
                         "-G", "8", "--", "id", "-u")["spec"]
        self.assertEqual({ns["kind"]: ns["process"]["pid"]
                          for ns in spec["namespaces"]},
                         {"NS_MNT": 42, "NS_NET": 42, "NS_UTS": 42})
        self.assertEqual((spec["process"]["uid"], spec["process"]["gid"]),
                         (7, 8))
        self.assertEqual(spec["process"]["args"], [b"id", b"-u"])


class Foreground(TestCase):
    """run stays with its program."""

    def ready(self, *options, command=PATIENT):
        child = self.nsx.ctl_start("run", *options, "--", *command)
        self.assertEqual(child.stdout.readline(), b"ready\n")
        return child

    def end(self, child, code):
        _, err = child.communicate(timeout=20)
        self.assertEqual(child.returncode, code, err)

    def test_term_is_passed_on(self):
        child = self.ready()
        child.terminate()
        self.end(child, 9)

    def test_second_interrupt_kills_what_ignores_the_first(self):
        child = self.ready()
        child.send_signal(signal.SIGINT)
        time.sleep(0.2)
        self.assertIsNone(child.poll())
        child.send_signal(signal.SIGINT)
        self.end(child, 137)

    def test_no_forward_leaves_the_program_alone(self):
        child = self.ready("--no-forward", "--name", "alone")
        child.terminate()
        # The program lives on and holds the pipes.
        self.assertEqual(child.wait(20), -signal.SIGTERM)
        child.stdout.close()
        child.stderr.close()
        self.assertEqual(self.ctl_ok("state", "alone").json()["status"],
                         "running")
        self.ctl_ok("delete", "-f", "alone")

    def test_timeout_kills_and_is_124(self):
        began = time.monotonic()
        result = self.ctl("run", "--timeout", "300ms", "--", "/bin/sleep",
                          "60")
        self.assertEqual(result.code, 124, result)
        self.assertGreaterEqual(time.monotonic() - began, 0.3)

    def test_mirror_signal_dies_of_the_same(self):
        child = self.nsx.ctl_start("run", "--mirror-signal", "--", "/bin/sh",
                                   "-c", "kill -USR1 $$")
        child.communicate(timeout=20)
        self.assertEqual(child.returncode, -signal.SIGUSR1)

    def test_record_and_name_are_gone_after_success_and_failure(self):
        for command, code in ((("/bin/true",), 0), (("/nonexistent",), 127)):
            for _ in range(2):
                self.assertEqual(self.ctl("run", "--name", "again", "--",
                                          *command).code, code)
        self.ctl("run", "--", "/nonexistent")
        wait_for(lambda: not self.ctl_ok("list", "-q").out, 5, "empty list")

    def test_keep_keeps_the_record(self):
        self.assertEqual(self.ctl("run", "--keep", "--name", "kept", "--",
                                  "/bin/sh", "-c", "exit 3").code, 3)
        self.assertEqual(self.ctl_ok("wait", "kept").out, "3\n")
        self.ctl_ok("delete", "kept")

    def status_lines(self, *command):
        read_end, write_end = os.pipe()
        with os.fdopen(read_end) as lines:
            child = self.nsx.ctl_start("run", "--json-status-fd",
                                       str(write_end), "--", *command,
                                       pass_fds=(write_end,))
            os.close(write_end)
            found = [json.loads(line) for line in lines]
            child.communicate(timeout=20)
        return found

    def test_status_fd_tells_125_of_a_program_from_ours(self):
        found = self.status_lines("/bin/sh", "-c", "exit 125")
        self.assertIn("child-pid", found[0])
        self.assertEqual(found[-1], {"exit-code": 125})
        self.assertEqual(self.status_lines("/nonexistent"), [])

    def test_pid_file_has_the_pid_while_it_runs(self):
        path = os.path.join(self.nsx.base, "pid")
        ident = self.ctl_ok("run", "-d", "--pid-file", path, "--",
                            "/bin/sleep", "60").out.strip()
        with open(path, encoding="ascii") as f:
            self.assertEqual(int(f.read()),
                             self.ctl_ok("state", ident).json()["pid"])
        self.ctl_ok("delete", "-f", ident)
        os.unlink(path)

    def test_pidfd_socket_gets_a_pidfd_of_the_program(self):
        path = os.path.join(self.nsx.base, "pidfd.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.bind(path)
            sock.listen(1)
            ident = self.ctl_ok("run", "-d", "--pidfd-socket", path, "--",
                                "/bin/sleep", "60").out.strip()
            conn, _ = sock.accept()
            with conn:
                fds = array.array("i")
                _, control, _, _ = conn.recvmsg(64, socket.CMSG_SPACE(4))
                fds.frombytes(control[0][2][:4])
        os.unlink(path)
        pid = self.ctl_ok("state", ident).json()["pid"]
        with open(f"/proc/self/fdinfo/{fds[0]}", encoding="ascii") as f:
            self.assertIn(f"Pid:\t{pid}\n", f.read())
        os.close(fds[0])
        self.ctl_ok("delete", "-f", ident)

    def test_repeated_key_gives_the_first_result(self):
        key = os.urandom(16).hex()
        ids = [self.ctl_ok("run", "-d", "--key", key, "--", "/bin/sleep",
                           "60").out.strip() for _ in range(2)]
        self.assertEqual(ids[0], ids[1])
        self.ctl_ok("delete", "-f", ids[0])

    def test_standard_input_reaches_the_program_and_ends(self):
        self.assertEqual(self.ctl_ok("run", "--", "/bin/cat",
                                     stdin=b"x" * 100000).out, "x" * 100000)


class Output(TestCase):
    def test_list_has_ids_tables_and_objects(self):
        ident = self.ctl_ok("run", "-d", "--name", "shown", "--", "/bin/sleep",
                            "60").out.strip()
        self.assertEqual(self.ctl_ok("list", "-q").out, ident + "\n")
        self.assertEqual(self.ctl_ok("ls", "-o", "json").json()[0]["name"],
                         "shown")
        self.assertEqual(self.ctl_ok("list", "-o", "jsonl").jsonl()[0]["id"],
                         ident)
        table = self.ctl_ok("list").lines()
        self.assertEqual(table[0].split()[0], "ID")
        self.assertIn("shown", table[1])
        self.assertEqual(self.ctl_ok("list", "-n", "--columns",
                                     "name,state").out.split(),
                         ["shown", "running"])
        inspected = self.ctl_ok("inspect", "shown").json()
        self.assertEqual((inspected["v"], inspected["state"]), (1, "running"))
        self.assertEqual(len(inspected["namespaces"]), 8)
        self.ctl_ok("delete", "-f", "shown")

    def test_wait_prints_codes_in_order_and_any_prints_one(self):
        for name, seconds, code in (("w1", 0.5, 4), ("w2", 0, 5)):
            self.ctl_ok("run", "-d", "--name", name, "--", "/bin/sh", "-c",
                        f"sleep {seconds}; exit {code}")
        self.assertEqual(self.ctl_ok("wait", "--any", "w1", "w2").out, "5\n")
        self.assertEqual(self.ctl_ok("wait", "w1", "w2").out, "4\n5\n")
        self.ctl_ok("delete", "w1", "w2")

    def test_wait_that_times_out_is_3(self):
        self.ctl_ok("run", "-d", "--name", "slow", "--", "/bin/sleep", "60")
        self.assertEqual(self.ctl("wait", "--timeout", "100ms", "slow").code,
                         3)
        self.ctl_ok("delete", "-f", "slow")

    def test_exited_event_has_its_documented_fields(self):
        self.ctl("run", "--name", "told", "--", "/bin/sh", "-c", "exit 6")
        events = self.ctl_ok("events", "--no-follow", "--type", "exited").jsonl()
        event = [e for e in events if e["name"] == "told"][-1]
        self.assertEqual((event["v"], event["type"], event["code"],
                          event["signal"]), (1, "exited", 6, None))
        self.assertRegex(event["time"],
                         r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$")
        for field in ("epoch", "seq", "boottime_ns", "container", "pid",
                      "pid_inode", "core", "rusage", "oom_kills"):
            self.assertIn(field, event)
        self.assertEqual({e["type"] for e in events}, {"exited"})

    def test_events_of_one_container_by_id(self):
        ident = self.ctl_ok("run", "-d", "--", "/bin/sleep", "60").out.strip()
        events = self.ctl_ok("events", "--no-follow", "--container",
                             ident).jsonl()
        self.assertEqual({event["container"] for event in events}, {ident})
        self.ctl_ok("delete", "-f", ident)

    def test_errors_are_one_line_or_one_record(self):
        plain = self.ctl("state", "nobody")
        self.assertEqual((plain.code, plain.out), (3, ""))
        self.assertEqual(len(plain.err.splitlines()), 1)
        record = json.loads(self.ctl("state", "nobody", "--json").err)
        self.assertEqual((record["v"], record["code"]), (1, "NOT_FOUND"))
        for field in ("stage", "step", "syscall", "errno", "object", "rule",
                      "hint", "retryable", "message"):
            self.assertIn(field, record)

    def test_doctor_names_checks_and_what_they_break(self):
        rows = self.ctl("doctor", "--json").json()
        self.assertIn("cgroup", {row["check"] for row in rows})
        for row in rows:
            self.assertEqual(bool(row["breaks"]), row["level"] != "ok", row)
        broken = self.ctl("doctor", env={"NSEXEC_SOCKET": "unix:/nowhere"})
        self.assertEqual(broken.code, 1)
        self.assertIn("cannot reach nsexecd", broken.out)

    def test_features_are_those_of_oci(self):
        features = self.ctl_ok("features").json()
        self.assertEqual(len(features["linux"]["namespaces"]), 8)
        self.assertIn("CAP_SYS_ADMIN", features["linux"]["capabilities"])
        self.assertEqual(features["nsexecd"]["api"], "nsexec.v1")

    def test_every_command_has_help(self):
        for verb in ("run", "create", "start", "exec", "enter", "kill", "wait",
                     "list", "state", "inspect", "ps", "events", "delete",
                     "explain", "idmap", "bootstrap", "features", "doctor",
                     "version"):
            with self.subTest(verb=verb):
                self.assertIn("Usage:", self.ctl_ok(verb, "--help").out)

    def test_enter_all_runs_in_the_namespaces_of_a_process(self):
        ident = self.ctl_ok("run", "-d", "--new", "all", "-r", "--hostname",
                            "inner", "--", "/bin/sleep", "60").out.strip()
        pid = self.ctl_ok("state", ident).json()["pid"]
        self.assertEqual(self.ctl_ok("enter", "-t", str(pid), "-a", "--",
                                     "/bin/hostname").out, "inner\n")
        self.ctl_ok("delete", "-f", ident)


class Restarts(TestCase):
    """A client outlives the daemon it talks to."""
    AUDIT = False

    def test_run_gets_the_code_over_a_restart_of_nsexecd(self):
        child = self.nsx.ctl_start("run", "--", "/bin/sh", "-c",
                                   "echo ready; sleep 1.5; exit 6")
        self.assertEqual(child.stdout.readline(), b"ready\n")
        self.nsx.kill_nsexecd()
        _, err = child.communicate(timeout=30)
        self.assertEqual(child.returncode, 6, err)

    def test_followed_events_go_on_over_a_restart_of_nsexecd(self):
        child = self.nsx.ctl_start("events", "--follow", "--from", "1",
                                   "--type", "exited")
        try:
            self.ctl_ok("run", "--name", "before", "--", "/bin/true")
            while json.loads(child.stdout.readline())["name"] != "before":
                pass
            self.nsx.kill_nsexecd()
            self.ctl_ok("run", "--name", "after", "--", "/bin/true")
            seen = ""
            while seen != "after":
                event = json.loads(child.stdout.readline())
                seen = event["name"]
        finally:
            child.terminate()
            child.communicate(timeout=20)


class Example(TestCase):
    """examples/c, built as a stranger would build it."""

    def test_agent_builds_by_pkg_config_and_runs_starts_side_by_side(self):
        self.need_program("pkg-config")
        self.need_program("cc")
        build = os.path.dirname(program("nsexecctl"))
        root = tempfile.mkdtemp(prefix="nsxcli-root-")
        self.addCleanup(shutil.rmtree, root)
        subprocess.run(["make", "-s", "-C", build, f"DESTDIR={root}",
                        "install-libLTLIBRARIES", "install-includeHEADERS",
                        "install-pkgconfigDATA"], check=True,
                       capture_output=True, timeout=120)
        found = [path for path, _, names in os.walk(root)
                 if "nsexec.pc" in names]
        env = dict(self.nsx.env, PKG_CONFIG_PATH=found[0],
                   PKG_CONFIG_SYSROOT_DIR=root,
                   LD_LIBRARY_PATH=os.path.dirname(found[0]))
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "nsexec"],
                               env=env, check=True, capture_output=True,
                               timeout=20).stdout.decode().split()
        agent = os.path.join(root, "agent")
        subprocess.run(["cc", "-Wall", "-Werror", "-o", agent,
                        os.path.join(TOP, "examples", "c", "agent.c"),
                        *flags], check=True, capture_output=True, timeout=60)
        done = subprocess.run([agent, "3", "/bin/sh", "-c", "exit 7"], env=env,
                              capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(done.stdout.decode().count("exited with 7"), 3)


if __name__ == "__main__":
    main()
