# SPDX-License-Identifier: Apache-2.0
"""Who a connection is, and what it may, before a real nsexec-spawner and a real
nsexec-resolver: accounts of files bound over those of /etc, confinement of real
processes, the policy of a directory of the test's own."""
import array
import ctypes
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
import spawner_peer as sp
from harness import TestCase, main, program, wait_for
from spawner_peer import attr

ALICE, BOB, NOBODY_YET = 61000, 61001, 61050
SUB = 200000  # alice's first delegated id
PASSWD = (f"root:x:0:0::/:/bin/sh\nalice:x:{ALICE}:{ALICE}::/:/bin/sh\n"
          f"bob:x:{BOB}:{BOB}::/:/bin/sh\n")
SUBUID = f"alice:{SUB}:1000\nbob:300000:1000\n"
SUBGID = f"alice:{SUB + 5000}:1000\n"
B_UID_MAP, B_GID_MAP = 27283, 27284
B_NO_NEW_PRIVS = 28022
NEWUSER, NEWNET, NEWUTS = 0x10000000, 0x40000000, 0x04000000
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
        assert len(data) == 1664, len(data)
        (self.magic, self.version, self.size, self.uid, self.gid, self.pid,
         self.loginuid, self.confined, self.start_time) = \
            struct.unpack_from("=8IQ", data)
        self.label = data[40:168].split(b"\0")[0].decode()
        self.unit = data[168:264].split(b"\0")[0].decode()
        self.admin = bool(data[264])
        self.no_new_privs = bool(data[265])
        self.verbs, = struct.unpack_from("=I", data, 268)
        self.refused, = struct.unpack_from("=I", data, 280)
        self.rule = data[472:512].split(b"\0")[0].decode()
        (_, _, _, self.owner, self.has_name, _, _, n_uids, _) = \
            struct.unpack_from("=9I", data, 600)
        self.ranges = [struct.unpack_from("=2I", data, 636 + 8 * i)
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


if __name__ == "__main__":
    main()
