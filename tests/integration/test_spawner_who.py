# SPDX-License-Identifier: Apache-2.0
"""Who a connection is, and what it may, before a real nsexec-spawner and a real
nsexec-resolver: accounts of files bound over those of /etc, confinement of real
processes, the policy of a directory of the test's own."""
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
import spawner_peer as sp
from harness import ORDINARY_UID, TestCase, main, program, wait_for
from spawner_peer import attr

ALICE, BOB, NOBODY_YET = 61000, 61001, 61050
SUB = 200000  # alice's first delegated id
PASSWD = (f"root:x:0:0::/:/bin/sh\nalice:x:{ALICE}:{ALICE}::/:/bin/sh\n"
          f"bob:x:{BOB}:{BOB}::/:/bin/sh\n")
SUBUID = f"alice:{SUB}:1000\nbob:300000:1000\n"
SUBGID = f"alice:{SUB + 5000}:1000\n"
B_UID_MAP, B_GID_MAP = 27283, 27284
NEWUSER, NEWUTS = 0x10000000, 0x04000000
KINDS = ("user", "mnt", "pid", "net", "cgroup", "chroot", "seccomp",
         "no_new_privs", "label")
CONNECT = ("import socket,sys;s=socket.socket(socket.AF_UNIX,"
           "socket.SOCK_STREAM);s.connect(sys.argv[1]);"
           "sys.stdin.buffer.read()")
# prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER): one instruction, "allow"
FILTER = ("import ctypes,os,sys;"
          "ins=ctypes.create_string_buffer((0x7fff0000<<32|6)"
          ".to_bytes(8,'little'),8);"
          "prog=(1).to_bytes(8,'little')+ctypes.addressof(ins)"
          ".to_bytes(8,'little');"
          "b=ctypes.create_string_buffer(prog,16);"
          "assert ctypes.CDLL(None).prctl(22,2,ctypes.byref(b),0,0)==0;"
          "os.execvp(sys.argv[1],sys.argv[1:])")


class Who:
    """struct who of proto/who.h, by its offsets."""

    def __init__(self, data):
        assert len(data) == 1672, len(data)
        (self.magic, self.version, self.size, self.uid, self.gid, self.pid,
         self.loginuid, self.confined, self.bounds, _, self.start_time) = \
            struct.unpack_from("=10IQ", data)
        self.label = data[48:176].split(b"\0")[0].decode()
        self.unit = data[176:272].split(b"\0")[0].decode()
        self.admin = bool(data[272])
        self.no_new_privs = bool(data[273])
        self.verbs, = struct.unpack_from("=I", data, 276)
        self.refused, = struct.unpack_from("=I", data, 288)
        self.rule = data[480:520].split(b"\0")[0].decode()
        (_, _, _, self.owner, self.has_name, _, _, n_uids, _) = \
            struct.unpack_from("=9I", data, 608)
        self.ranges = [struct.unpack_from("=2I", data, 644 + 8 * i)
                       for i in range(n_uids)]

    def kinds(self):
        return {KINDS[i] for i in range(len(KINDS)) if self.confined >> i & 1}


class WhoCase(TestCase):
    INSTANCE = False
    OPTIONS = ()

    def setUp(self):
        super().setUp()
        self.files = {}
        for name, text in (("passwd", PASSWD), ("subuid", SUBUID),
                           ("subgid", SUBGID)):
            self.bind(name, text)
        self.spawner = None

    def launch(self, *options):
        self.spawner = sp.Spawner(*options, *self.OPTIONS)
        self.addCleanup(self.end)
        self.peer = self.spawner.connect()
        self.rpc = self.spawner.listener("rpc.sock")
        self.addCleanup(self.rpc.close)
        self.addCleanup(self.peer.close)

    def end(self):
        log = self.spawner.log()
        left = self.spawner.stop()
        self.assertFalse(left, log)

    def bind(self, name, text):
        """A file of our own over one of /etc."""
        source = f"/tmp/nsx-who.{os.getpid()}.{name}"
        with open(source, "w", encoding="ascii") as f:
            f.write(text)
        self.files[name] = source
        subprocess.run(["mount", "--bind", source, f"/etc/{name}"], check=True)
        self.addCleanup(os.unlink, source)
        self.addCleanup(subprocess.run, ["umount", f"/etc/{name}"], check=True)

    def caller(self, uid, prefix=(), late=(), groups=()):
        """An accepted connection of a process of that uid. prefix: run as
        root before, late: as that uid."""
        ids = ["setpriv", f"--reuid={uid}", f"--regid={uid}"]
        ids += [f"--groups={','.join(map(str, groups))}"] if groups \
            else ["--clear-groups"]
        process = subprocess.Popen(
            [*prefix, *ids, *late, "/usr/bin/python3", "-I", "-c", CONNECT,
             self.rpc.path], cwd="/", stdin=subprocess.PIPE)
        self.rpc.sock.settimeout(20)
        accepted, _ = self.rpc.sock.accept()

        def end():
            process.stdin.close()
            process.wait()
            accepted.close()
        self.addCleanup(end)
        return accepted

    def ask(self, caller):
        return self.peer.call(sp.WHO, fds=[caller.fileno()])

    def who(self, caller):
        answer = self.ask(caller)
        self.assertEqual(answer.kind, sp.WHO_ANSWER,
                         f"{answer}\n{self.spawner.log()}")
        return Who(answer.attrs[sp.WHO_RECORD])

    def start(self, caller, **keywords):
        """A start; its answer."""
        start = sp.Start(caller, **keywords)
        self.addCleanup(start.close)
        answer = start.call(self.peer)
        self.addCleanup(answer.close)
        return start, answer

    def finish(self, start, answer, owner, container="web1"):
        self.assertEqual(answer.kind, sp.CHILD,
                         f"{answer}\n{self.spawner.log()}")
        pid = answer.u32(sp.PID)
        self.assertTrue(select.select([answer.fds[0]], [], [], 20)[0])
        status = self.peer.call(sp.STATUS, attr(sp.PID, pid))
        self.peer.call(sp.REAP, attr(sp.PID, pid))
        removed = self.peer.call(sp.CGROUP_REMOVE,
                                 attr(sp.CONTAINER, container),
                                 attr(sp.UID, owner))
        self.assertEqual(removed.kind, sp.DONE, removed)
        return status.u32(sp.WAIT_STATUS)

    def refused(self, code, answer):
        self.assertEqual(answer.kind, sp.ERROR, answer)
        self.assertEqual(answer.code, code, answer)
        return answer.rule


class Accounts(WhoCase):
    def setUp(self):
        super().setUp()
        self.launch()

    def test_user_is_told_with_name_and_delegated_ranges(self):
        who = self.who(self.caller(ALICE))
        self.assertEqual((who.uid, who.gid, who.owner), (ALICE,) * 3)
        self.assertTrue(who.has_name)
        self.assertEqual(who.ranges, [(SUB, 1000)])
        self.assertEqual((who.admin, who.no_new_privs), (False, True))
        self.assertEqual((who.confined, who.rule), (0, "default"))
        with open(f"/proc/{who.pid}/stat", encoding="ascii") as f:
            self.assertEqual(who.start_time,
                             int(f.read().rsplit(")", 1)[1].split()[19]))
        with open(f"/proc/{who.pid}/loginuid", encoding="ascii") as f:
            self.assertEqual(who.loginuid, int(f.read()))

    def test_root_is_an_admin_without_the_resolver(self):
        who = self.who(self.caller(0))
        self.assertEqual((who.admin, who.owner, who.confined), (True, 0, 0))
        self.assertEqual(who.ranges, [])

    def test_uid_without_an_account_is_its_own_owner(self):
        who = self.who(self.caller(NOBODY_YET))
        self.assertEqual((who.owner, who.has_name, who.ranges),
                         (NOBODY_YET, 0, []))

    def test_delegated_id_counts_as_the_user_it_belongs_to(self):
        who = self.who(self.caller(SUB + 7))
        self.assertEqual((who.uid, who.owner), (SUB + 7, ALICE))
        start, answer = self.start(self.caller(SUB + 7))
        self.assertEqual(self.finish(start, answer, ALICE), 0)

    def test_changed_subuid_is_seen_by_the_next_connection(self):
        first = self.caller(ALICE)
        self.assertEqual(self.who(first).ranges, [(SUB, 1000)])
        with open(self.files["subuid"], "w", encoding="ascii") as f:
            f.write("alice:400000:10\n")
        self.assertEqual(self.who(first).ranges, [(SUB, 1000)])
        self.assertEqual(self.who(self.caller(ALICE)).ranges, [(400000, 10)])

    def test_many_first_requests_at_once_are_all_answered(self):
        callers = [self.caller(uid) for uid in range(61100, 61124)]
        seqs = {self.peer.request(sp.WHO, fds=[c.fileno()]): c
                for c in callers + callers}
        answers = [self.peer.recv() for _ in seqs]
        self.assertEqual({a.kind for a in answers}, {sp.WHO_ANSWER})
        self.assertEqual({a.seq for a in answers}, set(seqs))
        self.assertEqual({Who(a.attrs[sp.WHO_RECORD]).uid for a in answers},
                         set(range(61100, 61124)))

    def test_caller_that_is_gone_is_told_as_such(self):
        process, accepted = self.rpc.connect_as(ALICE)
        process.stdin.close()
        process.wait()
        self.refused(sp.CALLER_GONE, self.ask(accepted))
        accepted.close()

    def maps(self, uid_map, gid_map, caller=None):
        return self.start(
            caller or self.caller(ALICE), clone_flags=NEWUSER,
            argv=("/bin/sh", "-c", 'test "$(cat /proc/self/uid_map | tr -s '
                  f'" " | tr "\\n" ,)" = " {uid_map}," || exit 5'),
            extra=[attr(B_UID_MAP, uid_map), attr(B_GID_MAP, gid_map)])

    def test_start_maps_a_delegated_range(self):
        start, answer = self.maps(f"0 {SUB} 1000", f"0 {SUB + 5000} 1000")
        self.assertEqual(self.finish(start, answer, ALICE), 0)

    def test_start_does_not_map_what_is_another_users(self):
        start, answer = self.maps("0 300000 1000", f"0 {SUB + 5000} 1000")
        self.assertEqual(answer.kind, sp.ERROR, answer)
        report = start.report()
        self.assertEqual((report.kind, report.errno), (sp.REPORT_FAILED, 1))


class Resolvers(WhoCase):
    """Programs that play the resolver, each a copy with a mode of its own."""

    def standin(self, mode, *options):
        with open(program("tests/integration/resolver_standin"), "rb") as f:
            data = bytearray(f.read())
        self.log = f"/tmp/nsx-who.{os.getpid()}.runs"
        path = f"/tmp/nsx-who.{os.getpid()}.standin"
        for mark, size, text in ((b"STANDIN-MODE", 32, mode),
                                 (b"STANDIN-LOG", 128, self.log)):
            at = data.index(mark)
            data[at:at + size] = text.encode().ljust(size, b"\0")
        for name, content in ((self.log, b""), (path, data)):
            with open(name, "wb") as f:
                f.write(content)
            self.addCleanup(os.unlink, name)
        os.chmod(self.log, 0o666)
        os.chmod(path, 0o755)
        self.launch("--resolver", path, *options)

    def runs(self):
        with open(self.log, encoding="ascii") as f:
            text = f.read()
        self.assertEqual(text.strip("."), "", "it got more than a pipe")
        return len(text)

    def test_resolver_gets_a_pipe_and_a_uid_of_its_own_and_runs_once(self):
        self.standin("honest")
        for _ in range(3):
            self.assertEqual(self.who(self.caller(ALICE)).owner, ALICE)
        self.assertEqual(self.runs(), 1)
        self.who(self.caller(0))
        self.assertEqual(self.runs(), 1, "uid 0 needs no resolver")

    def test_replaced_program_is_not_run(self):
        self.standin("honest")
        path = f"/tmp/nsx-who.{os.getpid()}.standin"
        with open(path, "wb") as f:  # not busy: it runs from memory
            f.write(b"#!/bin/sh\nexit 1\n")
        self.assertEqual(self.who(self.caller(ALICE)).owner, ALICE)
        self.assertEqual(self.runs(), 1)

    def broken(self, mode):
        """Nothing is delegated, own owner, at one run a second."""
        self.standin(mode)
        with self.subTest(mode=mode):
            began = time.monotonic()
            for uid in (ALICE, ALICE, BOB):
                who = self.who(self.caller(uid))
                self.assertEqual((who.owner, who.has_name, who.ranges),
                                 (uid, 0, []))
            if time.monotonic() - began < 0.9:
                self.assertEqual(self.runs(), 2 if mode == "refuse" else 1)
            self.assertEqual(self.spawner.log().count("cannot resolve"), 1)
            time.sleep(1.1)
            before = self.runs()
            self.who(self.caller(ALICE))
            self.assertEqual(self.runs(), before + 1, "it is tried again")

    def test_crash_means_nothing_is_delegated(self):
        self.broken("crash")

    def test_garbage_means_nothing_is_delegated(self):
        self.broken("garbage")

    def test_record_of_another_uid_means_nothing_is_delegated(self):
        self.broken("stranger")

    def test_record_a_byte_short_means_nothing_is_delegated(self):
        self.broken("short")

    def test_record_a_byte_long_means_nothing_is_delegated(self):
        self.broken("long")

    def test_refusal_of_one_uid_is_logged_clean_and_stops_no_other(self):
        self.broken("refuse")
        self.assertIn("no ? today", self.spawner.log())

    def test_missing_program_means_nothing_is_delegated(self):
        self.launch("--resolver", "/nonexistent/resolver")
        self.assertEqual(self.who(self.caller(ALICE)).owner, ALICE)
        start, answer = self.start(self.caller(ALICE))
        self.assertEqual(self.finish(start, answer, ALICE), 0)

    def test_hanging_resolver_is_killed_and_holds_up_nobody_else(self):
        self.standin("hang")
        alice = self.caller(ALICE)
        seq = self.peer.request(sp.WHO, fds=[alice.fileno()])
        start = sp.Start(alice)
        self.addCleanup(start.close)
        start_seq = start.send(self.peer)
        began = time.monotonic()
        self.who(self.caller(0))
        self.assertLess(time.monotonic() - began, 2)
        answers = {a.seq: a for a in (self.peer.recv(), self.peer.recv())}
        self.addCleanup(answers[start_seq].close)
        self.assertGreater(time.monotonic() - began, 4)
        self.assertEqual(answers[seq].kind, sp.WHO_ANSWER)
        self.assertEqual(self.finish(start, answers[start_seq], ALICE), 0)
        self.assertEqual(self.runs(), 1)
        self.assertIn("within 5 s", self.spawner.log())

    def test_nothing_is_decided_before_the_policy_was_read(self):
        began = time.monotonic()
        self.standin("hang", "--policy-dir", "/nonexistent")
        _, answer = self.start(self.caller(0), argv=("/nonexistent",),
                               clone_flags=NEWUTS, container="-")
        self.refused(sp.INVALID_ARGUMENT, answer)  # needs no policy
        self.assertTrue(self.who(self.caller(0)).admin)
        self.assertGreater(time.monotonic() - began, 4)
        self.assertIn("there are no rules until", self.spawner.log())

    def test_requests_of_a_connection_that_is_gone_are_dropped(self):
        self.standin("hang")
        other = self.spawner.connect()
        alice = self.caller(ALICE)
        for _ in range(4):
            other.request(sp.WHO, fds=[alice.fileno()])
        self.assertEqual(other.call(sp.PING).kind, sp.DONE)
        before = self.spawner.n_fds()
        other.close()
        self.assertEqual(self.peer.call(sp.PING).kind, sp.DONE)
        wait_for(lambda: self.spawner.n_fds() < before - 6, 10,
                 "copies of descriptors are closed")


class Confined(WhoCase):
    def setUp(self):
        super().setUp()
        self.launch()

    def confined(self, kinds, prefix=(), late=(), uid=ALICE):
        caller = self.caller(uid, prefix, late)
        who = self.who(caller)
        self.assertEqual(who.kinds(), set(kinds))
        self.assertEqual(who.refused, who.confined)
        self.assertFalse(who.admin)
        _, answer = self.start(caller)
        rule = self.refused(sp.CONFINED, answer)
        self.assertIn("confined by", rule)
        return caller

    def test_private_mount_namespace(self):
        self.confined(["mnt"], ["unshare", "--mount"])

    def test_private_net_namespace(self):
        self.confined(["net"], ["unshare", "--net"])

    def test_private_cgroup_namespace(self):
        self.confined(["cgroup"], ["unshare", "--cgroup"])

    def test_private_pid_namespace(self):
        self.confined(["pid"], ["unshare", "--pid", "--fork"])

    def test_private_user_namespace(self):
        self.confined(["user"], late=["unshare", "--user"])

    def test_other_root_directory(self):
        root = f"/tmp/nsx-who.{os.getpid()}.root"
        os.mkdir(root)
        self.addCleanup(os.rmdir, root)
        subprocess.run(["mount", "--rbind", "/", root], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", root], check=True)
        self.confined(["chroot"], ["chroot", root])

    def test_seccomp_filter(self):
        self.confined(["seccomp"], ["/usr/bin/python3", "-I", "-c", FILTER])

    def test_no_new_privs(self):
        self.confined(["no_new_privs"], ["setpriv", "--no-new-privs"])

    def test_root_in_a_private_mount_namespace_is_no_admin(self):
        self.confined(["mnt"], ["unshare", "--mount"], uid=0)

    def test_root_with_a_filter_is_no_admin(self):
        self.confined(["seccomp"], ["/usr/bin/python3", "-I", "-c", FILTER],
                      uid=0)

    def test_confined_caller_acts_on_nothing_of_its_owner(self):
        start, answer = self.start(self.caller(ALICE), gate=sp.GATE_NAMED)
        pid = answer.u32(sp.PID)
        confined = self.caller(ALICE, ["setpriv", "--no-new-privs"])
        for kind, attrs in (
                (sp.OPEN, []),
                (sp.SIGNAL, [attr(sp.PID, pid), attr(sp.SIGNAL_NUMBER, 9)]),
                (sp.KILL_ALL, [attr(sp.SIGNAL_NUMBER, 9)])):
            self.refused(sp.CONFINED, self.peer.call(
                kind, attr(sp.CONTAINER, "web1"), *attrs,
                fds=[confined.fileno()]))
        target = sp.Start(confined, extra=[attr(sp.B_PID, pid)])
        self.addCleanup(target.close)
        self.refused(sp.CONFINED, target.call(self.peer, sp.EXEC))
        self.assertEqual(self.peer.call(
            sp.OPEN, attr(sp.CONTAINER, "web1"),
            fds=[self.caller(ALICE).fileno()]).kind, sp.DONE)
        self.assertEqual(self.finish(start, answer, ALICE), 0)

    def test_confinement_of_the_connection_stays_what_it_was(self):
        free, confined = self.caller(ALICE), \
            self.caller(ALICE, ["setpriv", "--no-new-privs"])
        for _ in range(2):
            self.assertEqual(self.who(free).kinds(), set())
            self.assertEqual(self.who(confined).kinds(), {"no_new_privs"})


class Policies(WhoCase):
    def setUp(self):
        super().setUp()
        self.dir = f"/tmp/nsx-who.{os.getpid()}.policy"
        os.mkdir(self.dir, 0o755)
        self.file = os.path.join(self.dir, "policy.json")
        self.addCleanup(subprocess.run, ["rm", "-rf", self.dir], check=True)

    def write(self, *rules):
        with open(self.file + ".new", "w", encoding="utf-8") as f:
            json.dump({"version": 1, "rules": [
                {"name": f"rule{i}", **rule} for i, rule in enumerate(rules)]},
                f)
        os.rename(self.file + ".new", self.file)

    def enforce(self, *rules):
        self.write(*rules)
        self.launch("--policy-dir", self.dir)

    def reload(self):
        with self.spawner.connect_closing() as root:
            return root.call(sp.RELOAD)

    def of(self, uid, **settings):
        return {"match": {"uid": [uid]}, **settings}

    def test_rules_are_in_force_from_the_first_request_on(self):
        self.enforce(self.of(ALICE, verbs=["list"]))
        who = self.who(self.caller(ALICE))
        self.assertEqual((who.rule, who.verbs), ("rule0", 1 << 6))
        _, answer = self.start(self.caller(ALICE))
        rule = self.refused(sp.PERMISSION_DENIED, answer)
        self.assertIn("rule0", rule)
        start, answer = self.start(self.caller(BOB))
        self.assertEqual(self.finish(start, answer, BOB), 0)

    def test_reload_changes_the_rules_of_open_connections(self):
        self.enforce()
        caller = self.caller(ALICE)
        self.assertEqual(self.who(caller).rule, "default")
        self.write(self.of(ALICE, verbs=[]))
        self.assertEqual(self.who(caller).rule, "default")
        self.assertEqual(self.reload().kind, sp.DONE)
        who = self.who(caller)
        self.assertEqual((who.rule, who.verbs), ("rule0", 0))

    def test_sighup_reloads(self):
        self.enforce()
        caller = self.caller(ALICE)
        self.assertEqual(self.who(caller).rule, "default")
        self.write(self.of(ALICE, verbs=[]))
        os.kill(self.spawner.pid, signal.SIGHUP)
        wait_for(lambda: self.who(caller).rule == "rule0", 5, "the new rule")

    def test_bad_file_keeps_the_old_rules_and_says_why(self):
        self.enforce(self.of(ALICE, verbs=["list"]))
        self.assertEqual(self.who(self.caller(ALICE)).rule, "rule0")
        with open(self.file, "w", encoding="ascii") as f:
            f.write('{"version": 1, "rules": [], "shoes": 1}')
        rule = self.refused(sp.FAILED_PRECONDITION, self.reload())
        self.assertIn("shoes", rule)
        self.assertEqual(self.who(self.caller(ALICE)).rule, "rule0")
        self.assertIn("the old rules stay", self.spawner.log())
        os.kill(self.spawner.pid, signal.SIGHUP)
        wait_for(lambda: self.spawner.log().count("the old rules stay") == 2,
                 5, "it is said again")
        self.assertEqual(self.who(self.caller(ALICE)).rule, "rule0")

    def test_bad_file_at_the_start_means_no_rules_and_is_said(self):
        os.umask(0o022)
        with open(self.file, "w", encoding="ascii") as f:
            f.write("{")
        self.launch("--policy-dir", self.dir)
        self.assertEqual(self.who(self.caller(ALICE)).rule, "default")
        self.assertIn("there are no rules until", self.spawner.log())
        self.refused(sp.FAILED_PRECONDITION, self.reload())
        self.write(self.of(ALICE, verbs=[]))
        self.assertEqual(self.reload().kind, sp.DONE)
        self.assertEqual(self.who(self.caller(ALICE)).rule, "rule0")

    def test_reload_is_uid_0s(self):
        self.enforce()
        code = ("import socket,sys;s=socket.socket(socket.AF_UNIX,"
                "socket.SOCK_SEQPACKET);s.connect(sys.argv[1]);"
                "s.send(bytes.fromhex(sys.argv[2]));"
                "sys.stdout.buffer.write(s.recv(4096))")
        out = subprocess.run(
            ["/usr/bin/python3", "-I", "-c", code,
             os.path.join(self.spawner.dir, "spawner.sock"),
             sp.message(sp.RELOAD, 1).hex()], user=sp.WORKER_UID, group=0,
            stdout=subprocess.PIPE, check=True).stdout
        self.refused(sp.PERMISSION_DENIED, sp.Answer(out))

    def test_instance_without_a_directory_has_nothing_to_reload(self):
        self.launch()
        self.refused(sp.FAILED_PRECONDITION, self.reload())

    def test_kind_of_confinement_is_freed_by_a_rule(self):
        self.enforce(self.of(ALICE, allow_confined=["no_new_privs"]),
                     self.of(0, allow_confined=["mntns"], admin=True))
        start, answer = self.start(
            self.caller(ALICE, ["setpriv", "--no-new-privs"]))
        self.assertEqual(self.finish(start, answer, ALICE), 0)
        _, answer = self.start(self.caller(
            ALICE, ["unshare", "--net", "setpriv", "--no-new-privs"]))
        self.refused(sp.CONFINED, answer)
        who = self.who(self.caller(0, ["unshare", "--mount"]))
        self.assertEqual((who.kinds(), who.refused, who.admin),
                         ({"mnt"}, 0, True))

    def test_kinds_that_may_not_be_created_or_joined(self):
        self.enforce(self.of(ALICE, create=["user"], join=[]))
        _, answer = self.start(self.caller(ALICE), clone_flags=NEWUSER | NEWUTS)
        self.assertIn("uts", self.refused(sp.PERMISSION_DENIED, answer))
        start, answer = self.start(
            self.caller(ALICE), clone_flags=NEWUSER,
            extra=[attr(B_UID_MAP, f"0 {ALICE} 1"),
                   attr(B_GID_MAP, f"0 {ALICE} 1")])
        self.assertEqual(self.finish(start, answer, ALICE), 0)
        _, answer = self.start(self.caller(ALICE),
                               extra=[attr(27282, "net:/proc/self/ns/net")])
        self.assertIn("join", self.refused(sp.PERMISSION_DENIED, answer))

    def test_new_namespace_without_a_user_namespace_is_for_admins(self):
        self.enforce()
        _, answer = self.start(self.caller(ALICE), clone_flags=NEWUTS)
        self.refused(sp.NEED_USERNS, answer)

    def test_joins_are_narrowed_by_the_owner_of_the_namespace(self):
        join = [attr(27282, "net:/proc/self/ns/net")]
        self.enforce(self.of(0, admin=True, join_owners=[BOB]))
        start, answer = self.start(self.caller(0), extra=join)
        self.assertEqual(answer.kind, sp.ERROR, answer)
        self.assertEqual(start.report().errno, 1)
        self.write(self.of(0, admin=True, join_owners=[0]))
        self.assertEqual(self.reload().kind, sp.DONE)
        start, answer = self.start(self.caller(0), extra=join)
        self.assertEqual(self.finish(start, answer, 0), 0)

    def test_further_ids_of_a_rule_are_mapped(self):
        self.enforce(self.of(ALICE, uid_ranges=["700000-700009"],
                             gid_ranges=["710000-710009"]))
        for uid_map, ok in ((f"0 700000 10\n10 {SUB} 1000", True),
                            ("0 700000 11", False)):
            start, answer = self.start(
                self.caller(ALICE), clone_flags=NEWUSER,
                extra=[attr(B_UID_MAP, uid_map),
                       attr(B_GID_MAP, "0 710000 10")])
            if ok:
                self.assertEqual(self.finish(start, answer, ALICE), 0)
            else:
                self.assertEqual(answer.kind, sp.ERROR)
                self.assertEqual(start.report().errno, 1)

    def test_admin_of_a_rule_has_roots_stage_and_his_own_ids(self):
        self.enforce(self.of(BOB, admin=True))
        start, answer = self.start(
            self.caller(BOB, groups=(7, 8)), clone_flags=NEWUTS,
            argv=("/bin/sh", "-c",
                  f'test "$(id -u):$(id -g):$(id -G)" = '
                  f'"{BOB}:{BOB}:{BOB} 7 8"'))
        self.assertEqual(self.finish(start, answer, BOB), 0)
        # another's container, which an ordinary caller does not find
        start, answer = self.start(self.caller(ALICE), gate=sp.GATE_NAMED)
        kill = [attr(sp.CONTAINER, "web1"), attr(sp.UID, ALICE),
                attr(sp.SIGNAL_NUMBER, 9)]
        self.assertEqual(self.peer.call(
            sp.KILL_ALL, *kill, fds=[self.caller(BOB).fileno()]).kind,
            sp.DONE)
        self.assertEqual(self.finish(start, answer, ALICE), 9)

    def test_admin_without_foreign_container_finds_only_his_own(self):
        verbs = ["run", "create", "signal", "list"]
        self.enforce(self.of(BOB, admin=True, verbs=verbs))
        start, answer = self.start(self.caller(ALICE), gate=sp.GATE_NAMED)
        kill = [attr(sp.CONTAINER, "web1"), attr(sp.UID, ALICE),
                attr(sp.SIGNAL_NUMBER, 9)]
        self.refused(sp.NOT_FOUND, self.peer.call(
            sp.KILL_ALL, *kill, fds=[self.caller(BOB).fileno()]))
        self.assertEqual(self.peer.call(sp.KILL_ALL, *kill).kind, sp.DONE)
        self.assertEqual(self.finish(start, answer, ALICE), 9)

    def test_no_new_privs_is_forced_unless_a_rule_frees_of_it(self):
        check = ("/bin/sh", "-c", "grep -q 'NoNewPrivs:.0' /proc/self/status")
        self.enforce(self.of(BOB, no_new_privs=False),
                     self.of(0, no_new_privs=True))
        for uid, wanted in ((BOB, 0), (ALICE, 1 << 8), (0, 1 << 8)):
            start, answer = self.start(self.caller(uid), argv=check)
            self.assertEqual(self.finish(start, answer, uid), wanted, uid)

    def test_rules_for_a_user_bind_his_delegated_ids_without_the_extras(self):
        self.enforce(self.of(ALICE, admin=True, create=["user"]))
        self.assertTrue(self.who(self.caller(ALICE)).admin)
        who = self.who(self.caller(SUB + 1))
        self.assertEqual((who.rule, who.admin), ("rule0", False))


class ThroughTheDaemon(TestCase):
    def test_written_map_of_an_ordinary_user_has_delegated_ids(self):
        for name, text in (
                ("passwd", f"alice:x:{ORDINARY_UID}:{ORDINARY_UID}::/:\n"),
                ("subuid", f"alice:{SUB}:1000\n"),
                ("subgid", f"alice:{SUB}:1000\n")):
            WhoCase.bind(self, name, text)
        for rows, code in ((f"0:{SUB}:1000", 0), (f"0:{SUB}:1001", 125)):
            done = self.ctl("run", "--map-users", rows, "--map-groups",
                            f"0:{SUB}:1000", "--", "/bin/cat",
                            "/proc/self/uid_map", user=ORDINARY_UID)
            self.assertEqual(done.code, code, done)
            if code == 0:
                self.assertEqual(done.out.split(), ["0", str(SUB), "1000"])
            else:
                self.assertIn("MAP_DENIED", done.err)

    def setUp(self):
        super().setUp()
        self.files = {}


if __name__ == "__main__":
    main()
