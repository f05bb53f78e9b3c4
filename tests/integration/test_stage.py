#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The stages alone: relay, mapper and init under a driver that plays spawner
and nsexecd (stage_driver.c). What a payload finds, what each failed step says,
what an ordinary caller gets, and what a kill at the wrong moment leaves.
"""
import errno
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
from harness import (KINDS, ORDINARY_UID, SLOW, TestCase,  # noqa: E402
                     alive, main, namespaces, program, wait_for)

UID = ORDINARY_UID
CALLER = f"caller={UID}:{UID}"
OWN_MAPS = (f"uidmap=0 {UID} 1", f"gidmap=0 {UID} 1")
DELEGATED = ("subuid=100000:65536", "subgid=200000:65536")
ROOT_MAPS = ("uidmap=0 0 4294967295", "gidmap=0 0 4294967295")
AUTO_MAPS = ("uidmap=0 100000 65536", "gidmap=0 100000 65536")
# Mount flags and kinds of proto/bootstrap.h.
RDONLY, NOSUID, NODEV, NOEXEC, RECURSIVE = 1, 2, 4, 8, 16
BIND, TMPFS, PROC, SYSFS, DEV, DEVPTS, MQUEUE, CGROUP2 = range(1, 9)


class Run:
    """A finished run of the driver: its lines, and what the payload wrote."""

    def __init__(self, text):
        self.text = text
        self.ready = re.search(r"^ready (\d+) (.*)$", text, re.M)
        self.failed = re.search(
            r"^failed (\S+) (\S+) (\S+) (\d+) ?(.*)$", text, re.M)
        self.child = re.search(r"^child (\d+)$", text, re.M)
        self.ended = re.search(r"^(exited|killed) (\d+)$", text, re.M)
        drop = re.compile(
            r"^(child|ready|failed|exited|killed|relay|pidfd|stray) ")
        self.out = [x for x in text.splitlines() if not drop.match(x)]

    @property
    def is_direct(self):
        return "\nrelay none\n" in self.text

    @property
    def code(self):
        """Exit code of init, or minus its signal."""
        if not self.ended:
            return None
        sign = 1 if self.ended.group(1) == "exited" else -1
        return sign * int(self.ended.group(2))

    @property
    def failure(self):
        """(stage, step, errno) of the first failure, or None."""
        if not self.failed:
            return None
        return (self.failed.group(1), self.failed.group(2),
                int(self.failed.group(4)))

    @property
    def inodes(self):
        return {k: int(v) for k, v in
                (w.split("=") for w in self.ready.group(2).split())}


class StageTest(TestCase):
    INSTANCE = False
    RELAY = False  # else the driver does without where the spawner would

    def setUp(self):
        super().setUp()
        self.dir = tempfile.mkdtemp(prefix="nsxstage-")
        os.chmod(self.dir, 0o755)
        self.addCleanup(shutil.rmtree, self.dir, True)

    def start(self, *options, argv=("/bin/true",), **popen):
        popen.setdefault("stdin", subprocess.DEVNULL)
        if self.RELAY:
            options += ("relay=1",)
        return subprocess.Popen(
            [program("tests/integration/stage_driver"), *options, "--", *argv],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **popen)

    def finish(self, process, timeout=30):
        out, _ = process.communicate(timeout=timeout * SLOW)
        return Run(out.decode(errors="backslashreplace"))

    def run_stage(self, *options, argv=("/bin/true",), **popen):
        return self.finish(self.start(*options, argv=argv, **popen))

    def sh(self, *options, script, **popen):
        return self.run_stage(*options, argv=("/bin/sh", "-c", script),
                              **popen)

    def assert_failed(self, run, stage, step, number):
        if stage == "relay" and run.is_direct:
            stage = "spawner" if step.startswith("map-") else "init"
        self.assertEqual(run.failure, (stage, step, number), run.text)

    def assert_ok(self, run):
        self.assertEqual((run.failure, run.code), (None, 0), run.text)

    def path(self, name):
        return os.path.join(self.dir, name)


class Namespaces(StageTest):
    def test_all_eight_are_new_and_reported_as_they_are(self):
        run = self.sh("new=all", *AUTO_MAPS, "proc=1", "loopback=1",
                      "hostname=box", "domainname=dom",
                      script="for k in user ipc uts net pid mnt cgroup time;"
                      "do readlink /proc/self/ns/$k; done; hostname; id -u;"
                      "cat /proc/self/uid_map; cat /proc/sys/kernel/domainname;"
                      "grep -c . /proc/net/if_inet6; echo $$")
        self.assert_ok(run)
        mine = namespaces(os.getpid())
        seen = {x.split(":[")[0]: int(x.split("[")[1][:-1])
                for x in run.out[:8]}
        self.assertEqual(seen, run.inodes)
        for kind in KINDS:
            self.assertNotEqual(seen[kind], mine[kind], kind)
        self.assertEqual(run.out[8:10], ["box", "0"])
        self.assertEqual(run.out[10].split(), ["0", "100000", "65536"])
        self.assertEqual(run.out[11], "dom")
        self.assertEqual(run.out[-1], "1")
        self.assertEqual(run.ready.group(1), "1")

    def test_each_kind_alone_is_new(self):
        mine = namespaces(os.getpid())
        for kind in KINDS:
            maps = ROOT_MAPS if kind == "user" else ()
            run = self.run_stage("new=" + kind, *maps, argv=(
                "/bin/readlink", f"/proc/self/ns/{kind}"))
            self.assert_ok(run)
            for other in KINDS:
                same = run.inodes[other] == mine[other]
                self.assertEqual(same, other != kind, (kind, other, run.text))

    def test_without_any_nothing_is_new(self):
        for told in "01":
            run = self.run_stage("lookup=" + told)
            self.assert_ok(run)
            self.assertEqual(run.inodes, namespaces(os.getpid()))

    def test_mqueue_belongs_to_root_of_the_user_namespace(self):
        run = self.sh("new=user,ipc,mnt", *AUTO_MAPS,
                      f"mount={MQUEUE}:0::{self.dir}:",
                      script=f"stat -c %u:%g {self.dir}")
        self.assert_ok(run)
        self.assertEqual(run.out, ["0:0"])

    def test_offsets_with_and_without_a_user_namespace(self):
        for extra in ((), ("new=time,user", *ROOT_MAPS)):
            run = self.sh("new=time", *extra,
                          "offsets=monotonic 172800 0;boottime 604800 7",
                          script="cat /proc/self/timens_offsets")
            self.assert_ok(run)
            self.assertEqual([x.split() for x in run.out],
                             [["monotonic", "172800", "0"],
                              ["boottime", "604800", "7"]])

    def test_offsets_need_a_new_time_namespace(self):
        run = self.run_stage("offsets=monotonic 1 0")
        self.assert_failed(run, "relay", "time-offsets", 22)

    def test_hostname_needs_a_new_uts_namespace(self):
        run = self.run_stage("hostname=stolen")
        self.assert_failed(run, "init", "hostname", 22)
        self.assertNotEqual(socket.gethostname(), "stolen")

    def test_loopback_is_up_only_if_asked(self):
        script = "cat /sys/class/net/lo/flags"
        for asked, want in (("1", 1), ("0", 0)):
            run = self.sh("new=net,mnt", f"loopback={asked}",
                          f"mount={SYSFS}:0::/sys:", script=script)
            self.assert_ok(run)
            self.assertEqual(int(run.out[0], 16) & 1, want)


class Joins(StageTest):
    def setUp(self):
        super().setUp()
        self.target = subprocess.Popen(
            ["unshare", "-inpufmCT", "sleep", "60"],
            stdin=subprocess.DEVNULL, process_group=0)
        self.addCleanup(self.end_target)
        mine = namespaces(os.getpid())
        self.pid = wait_for(self.sleeper, what="sleep in its namespaces")
        self.theirs = namespaces(self.pid)
        self.assertNotEqual(self.theirs["net"], mine["net"])

    def sleeper(self):
        path = f"/proc/{self.target.pid}/task/{self.target.pid}/children"
        with open(path, encoding="ascii") as f:
            words = f.read().split()
        if not words:
            return None
        with open(f"/proc/{words[0]}/comm", encoding="ascii") as f:
            return int(words[0]) if f.read() == "sleep\n" else None

    def end_target(self):
        os.killpg(self.target.pid, signal.SIGKILL)
        self.target.wait()

    def test_path_pid_and_fd_reach_the_same_namespace(self):
        for kind in KINDS[1:]:
            file = f"/proc/{self.pid}/ns/{kind}"
            for join in ((f"join={kind}:path:{file}",),
                         (f"join={kind}:pid:{self.pid}",),
                         (f"open={file}", f"join={kind}:fd:3")):
                run = self.run_stage(*join)
                self.assert_ok(run)
                for other in KINDS:
                    want = self.theirs if other == kind else \
                        namespaces(os.getpid())
                    self.assertEqual(run.inodes[other], want[other],
                                     (join, other))

    def test_wrong_kind_is_refused_by_name(self):
        file = f"/proc/{self.pid}/ns/uts"
        for join in ((f"join=net:path:{file}",),
                     (f"open={file}", "join=net:fd:3")):
            run = self.run_stage(*join)
            self.assert_failed(run, "relay", "join-check-net", 22)

    def test_a_file_that_is_no_namespace_is_refused_unopened(self):
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        for path in (fifo, "/dev/null", "/etc/passwd"):
            begin = time.monotonic()
            run = self.run_stage(f"join=net:path:{path}")
            self.assert_failed(run, "relay", "join-check-net", 22)
            self.assertLess(time.monotonic() - begin, 5 * SLOW)

    def test_missing_path_says_which(self):
        run = self.run_stage("join=ipc:path:/nowhere/ipc")
        self.assert_failed(run, "relay", "join-open-ipc", 2)
        self.assertEqual(run.failed.group(5), "/nowhere/ipc")

    def test_reused_pid_is_refused(self):
        run = self.run_stage(f"join=net:pid:{self.pid}:12345")
        self.assert_failed(run, "relay", "join-process", 3)
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as f:
            start = f.read().rpartition(") ")[2].split()[19]
        pidfd = os.pidfd_open(self.pid)
        inode = os.fstat(pidfd).st_ino
        os.close(pidfd)
        self.assert_ok(self.run_stage(f"join=net:pid:{self.pid}:{start}"))
        self.assert_ok(
            self.run_stage(f"join=net:pid:{self.pid}:0:{inode}"))
        self.assert_failed(
            self.run_stage(f"join=net:pid:{self.pid}:0:{inode + 1}"),
            "relay", "join-process", 3)

    def test_missing_process_is_esrch(self):
        run = self.run_stage("join=net:pid:4194303")
        self.assert_failed(run, "relay", "join-process", 3)

    def test_ordinary_caller_cannot_join_roots_by_any_way(self):
        file = f"/proc/{self.pid}/ns/net"
        run = self.run_stage(CALLER, f"join=net:path:{file}")
        self.assert_failed(run, "relay", "join-open-net", 13)
        run = self.run_stage(CALLER, f"join=net:pid:{self.pid}")
        self.assert_failed(run, "relay", "join-open-net", 13)
        # A leaked descriptor is no right either: setns refuses.
        run = self.run_stage(CALLER, f"open={file}", "join=net:fd:3")
        self.assert_failed(run, "relay", "join-net", 1)

    def test_join_net_and_create_the_rest(self):
        run = self.run_stage("new=pid,mnt,uts,ipc", "proc=1",
                             f"join=net:pid:{self.pid}")
        self.assert_ok(run)
        self.assertEqual(run.inodes["net"], self.theirs["net"])
        self.assertNotEqual(run.inodes["pid"], self.theirs["pid"])


class UserJoins(StageTest):
    """Joining what an ordinary user made for itself."""

    def begin(self, uid):
        argv = ["unshare", "-Urn", "sleep", "60"]
        ids = {"user": uid, "group": uid, "extra_groups": []} if uid else {}
        target = subprocess.Popen(argv, stdin=subprocess.DEVNULL, cwd="/",
                                  **ids)
        self.addCleanup(target.wait)
        self.addCleanup(target.kill)
        mine = namespaces(os.getpid())

        def inside():
            with open(f"/proc/{target.pid}/comm", encoding="ascii") as f:
                return f.read() == "sleep\n" and \
                    namespaces(target.pid)["net"] != mine["net"]
        wait_for(inside, what="sleep in its user namespace")
        return target.pid

    def test_owner_joins_user_first_and_is_root_there(self):
        pid = self.begin(UID)
        run = self.sh(CALLER, f"join=net:pid:{pid}", f"join=user:pid:{pid}",
                      script="id -u; id -g")
        self.assert_ok(run)
        self.assertEqual(run.inodes["user"], namespaces(pid)["user"])
        self.assertEqual(run.inodes["net"], namespaces(pid)["net"])
        self.assertEqual(run.out, ["0", "0"])

    def test_stranger_is_refused(self):
        pid = self.begin(UID)
        run = self.run_stage(f"caller={UID + 1}:{UID + 1}",
                             f"join=user:pid:{pid}")
        self.assert_failed(run, "relay", "join-open-user", 13)

    def test_admin_joins_user_with_a_net_that_the_host_owns(self):
        pid = self.begin(0)
        other = subprocess.Popen(["unshare", "-n", "sleep", "60"],
                                 stdin=subprocess.DEVNULL)
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        mine = namespaces(os.getpid())
        wait_for(lambda: namespaces(other.pid)["net"] != mine["net"],
                 what="a network namespace of the host")
        run = self.run_stage(f"join=user:pid:{pid}",
                             f"join=net:pid:{other.pid}")
        self.assert_ok(run)
        self.assertEqual(run.inodes["net"], namespaces(other.pid)["net"])
        self.assertEqual(run.inodes["user"], namespaces(pid)["user"])

    def test_own_user_namespace_counts_as_joined(self):
        run = self.run_stage("join=user:path:/proc/self/ns/user")
        self.assert_ok(run)
        self.assertEqual(run.inodes, namespaces(os.getpid()))


class Maps(StageTest):
    def test_many_rows_are_read_back_equal(self):
        rows = ";".join(f"{i * 10} {200000 + i * 10} 5" for i in range(300, 0,
                                                                       -1))
        self.assertLess(len(rows), 6000)
        rows = ";".join(rows.split(";")[:200] + ["0 0 1"])
        run = self.sh("new=user", f"uidmap={rows}", f"gidmap={rows}",
                      script="wc -l </proc/self/uid_map; id -u")
        self.assert_ok(run)
        self.assertEqual(run.out, ["201", "0"])

    def test_overlap_names_the_map(self):
        run = self.run_stage("new=user", "uidmap=0 0 10;5 100 10",
                             "gidmap=0 0 10")
        self.assert_failed(run, "relay", "map-uid", 22)
        self.assertIn("5 100 10", run.text)

    def test_ordinary_caller_maps_itself_and_nobody_else(self):
        run = self.sh(CALLER + ":44", "new=user", *OWN_MAPS,
                      script="id -u; cat /proc/self/setgroups")
        self.assert_ok(run)
        self.assertEqual(run.out, ["0", "deny"])
        for uid, gid in (("0 0 1", None), (f"0 {UID} 2", None),
                         ("0 100000 65536", None), (None, "0 0 1"),
                         (f"0 {UID} 1;1 {UID} 1", None), (None, "0 44 1")):
            run = self.run_stage(
                CALLER, "new=user", f"uidmap={uid or f'0 {UID} 1'}",
                f"gidmap={gid or f'0 {UID} 1'}")
            self.assert_failed(run, "relay", "map-check",
                               errno.EINVAL if uid and ";" in uid else 1)

    def test_ordinary_caller_may_not_allow_setgroups(self):
        run = self.run_stage(CALLER, "new=user", "setgroups=2", *OWN_MAPS)
        self.assert_failed(run, "relay", "map-check", 1)

    def test_delegated_ranges_are_mapped_and_setgroups_stays(self):
        run = self.sh(CALLER, *DELEGATED, "new=user,pid,mnt,net,uts,ipc",
                      f"uidmap=0 {UID} 1;1 100000 65536",
                      f"gidmap=0 {UID} 1;1 200000 65536", "proc=1",
                      script="cat /proc/self/uid_map /proc/self/gid_map "
                      "/proc/self/setgroups; setpriv --reuid 5 --regid 6 "
                      "--groups 7 sh -c 'id -u; id -g; id -G'")
        self.assert_ok(run)
        self.assertEqual([x.split() for x in run.out],
                         [["0", str(UID), "1"], ["1", "100000", "65536"],
                          ["0", str(UID), "1"], ["1", "200000", "65536"],
                          ["allow"], ["5"], ["6"], ["6", "7"]])

    def test_setgroups_stays_denied_without_a_delegated_gid_row(self):
        for options in ((f"gidmap=0 {UID} 1",),
                        ("gidmap=0 200000 9", "setgroups=3")):
            run = self.sh(CALLER, *DELEGATED, "new=user",
                          "uidmap=0 100000 65536", *options,
                          script="cat /proc/self/setgroups")
            self.assert_ok(run)
            self.assertEqual(run.out, ["deny"])
        run = self.sh(CALLER, *DELEGATED, "new=user", "setgroups=2",
                      "uidmap=0 100000 65536", "gidmap=0 200000 9",
                      script="cat /proc/self/setgroups")
        self.assertEqual(run.out, ["allow"])

    def test_each_side_is_delegated_by_itself(self):
        """Uids of a uid range only, and gids of a gid range only."""
        for uid, gid, side in (("0 200000 1", "0 200000 1", "uid"),
                               ("0 100000 1", "0 100000 1", "gid"),
                               ("0 165535 2", "0 200000 1", "uid"),
                               ("0 99999 2", "0 200000 1", "uid"),
                               ("0 100000 1", "0 265535 2", "gid"),
                               ("0 100000 1", "0 0 1", "gid"),
                               ("0 0 1", "0 200000 1", "uid")):
            run = self.run_stage(CALLER, *DELEGATED, "new=user",
                                 f"uidmap={uid}", f"gidmap={gid}")
            self.assert_failed(run, "relay", "map-check", 1)
            self.assertIn(f"{side} map row 0: host ids", run.text)
            self.assertIn(f"allowed: {UID}, ", run.text)

    def mapper_capabilities(self, *maps):
        """(permitted, effective ones in their order) of the mapper."""
        trace = self.path("trace")
        process = subprocess.run(
            ["strace", "-f", "-o", trace, "-e", "trace=capset",
             program("tests/integration/stage_driver"), CALLER, *DELEGATED,
             "new=user", *maps, "--", "/bin/true"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
        self.assert_ok(Run(process.stdout.decode()))
        with open(trace, encoding="ascii") as f:
            lines = re.findall(r"effective=(\S+), permitted=(\S+), "
                               r"inheritable=0\}\) += 0", f.read())
        names = [tuple(re.sub("1<<CAP_", "", x) for x in line)
                 for line in lines if line[1] != "0"]
        self.assertEqual(len({x[1] for x in names}), 1, names)
        return names[0][1], [x[0] for x in names]

    def test_mapper_has_no_capability_but_what_each_write_needs(self):
        own, uids, gids = (f"0 {UID} 1", "0 100000 9", "0 200000 9")
        dac, setuid, setgid = "DAC_OVERRIDE", "SETUID", "SETGID"
        for uid, gid, permitted, effective in (
                (own, own, dac, ["0", dac, dac, dac, "0"]),
                (uids, own, f"{dac}|{setuid}",
                 ["0", dac, f"{dac}|{setuid}", dac, "0"]),
                (own, gids, f"{dac}|{setgid}",
                 ["0", dac, dac, f"{dac}|{setgid}", "0"]),
                (uids, gids, f"{dac}|{setgid}|{setuid}",
                 ["0", dac, f"{dac}|{setuid}", f"{dac}|{setgid}", "0"])):
            with self.subTest(uid=uid, gid=gid):
                self.assertEqual(
                    self.mapper_capabilities(f"uidmap={uid}", f"gidmap={gid}"),
                    (permitted, effective))

    def test_nothing_is_delegated_without_name_or_primary_group(self):
        maps = ("new=user", "uidmap=0 100000 1", "gidmap=0 200000 1")
        for option, word in (("hasname=0", "passwd entry"),
                             ("pwgid=7", "primary")):
            run = self.run_stage(CALLER, *DELEGATED, option, *maps)
            self.assert_failed(run, "relay", "map-check", 1)
            self.assertIn(word, run.text)
            self.assert_ok(self.run_stage(CALLER, *DELEGATED, option,
                                          "new=user", *OWN_MAPS))
        self.assert_ok(self.run_stage(CALLER, *DELEGATED, "pwgid=7",
                                      "anygroup=1", *maps))

    def test_host_gid_0_is_never_given_away(self):
        """A mapper with CAP_SETGID could: no rule of the kernel is behind."""
        everything = ("subuid=0:4294967295", "subgid=0:4294967295")
        for maps in (("uidmap=0 0 1", "gidmap=0 1 1"),
                     ("uidmap=0 1 1", "gidmap=0 0 1"),
                     ("uidmap=0 1 1", "gidmap=0 1 5;5 0 1"),
                     ("uidmap=0 1 1", "gidmap=0 0 4294967295")):
            run = self.run_stage(CALLER, *everything, "new=user", *maps)
            self.assert_failed(run, "relay", "map-check", 1)
            self.assertIn("host id 0 is never given away", run.text)
        self.assert_ok(self.run_stage(CALLER, *everything, "new=user",
                                      "uidmap=0 1 4294967294",
                                      "gidmap=0 1 4294967294"))

    def test_ids_do_not_wrap_around_to_host_0(self):
        """The kernel reads 4294967296 as 0 (security of id maps, row 7)."""
        for text in ("0 4294967296 1", "4294967296 100000 1",
                     "0 100000 4294967297", "0 4294967295 1",
                     "0 4294967294 2", "4294967295 100000 1",
                     "0 18446744073709551616 1", "0 -1 1", "0 0x186a0 1"):
            for side in ("uid", "gid"):
                maps = {"uid": "0 100000 1", "gid": "0 200000 1", side: text}
                run = self.run_stage(CALLER, *DELEGATED, "new=user",
                                     *(f"{k}map={v}" for k, v in maps.items()))
                self.assert_failed(run, "relay", "map-check", 22)

    def test_340_delegated_rows_are_mapped_and_no_more(self):
        long = [f"{i} {100000 + i * 2} 1" for i in range(340)]
        short = [f"{i} {9000 + i} 1" for i in range(340)]
        ranges = ("subuid=9000:341:100000:1000", DELEGATED[1])
        maps = ("new=user", "gidmap=0 200000 1")
        run = self.sh(CALLER, *ranges, *maps,
                      "uidmap=" + ";".join(reversed(short)),
                      script="wc -l </proc/self/uid_map")
        self.assert_ok(run)
        self.assertEqual(run.out, ["340"])
        for rows, word in ((long, "bytes of text"),
                           (short + ["340 9340 1"], "340")):
            run = self.run_stage(CALLER, *ranges, *maps,
                                 "uidmap=" + ";".join(rows))
            self.assert_failed(run, "relay", "map-check", 22)
            self.assertIn(word, run.text)

    def test_supplementary_groups_cannot_be_dropped(self):
        secret = self.path("secret")
        with open(secret, "w", encoding="ascii") as f:
            f.write("x")
        os.chown(secret, 0, 4444)
        os.chmod(secret, 0o704)
        for script in (f"cat {secret} && echo leaked",
                       f"setpriv --clear-groups cat {secret} && echo leaked"):
            run = self.sh(f"caller={UID}:{UID}:4444", *DELEGATED, "new=user",
                          "uidmap=0 100000 65536", f"gidmap=0 {UID} 1",
                          script=script)
            self.assertNotIn("leaked", run.out)
            self.assertIn(run.code, (1, 127))
        run = self.sh(f"caller={UID}:{UID}:4444", "new=user", *OWN_MAPS,
                      script=f"cat {secret} && echo leaked")
        self.assertNotIn("leaked", run.out)
        self.assertEqual(run.code, 1)

    def test_deny_is_written_for_an_admin_who_asks(self):
        run = self.sh("new=user", "setgroups=3", *AUTO_MAPS,
                      script="cat /proc/self/setgroups")
        self.assert_ok(run)
        self.assertEqual(run.out, ["deny"])

    def test_map_without_zero_keeps_the_callers_number(self):
        run = self.sh(CALLER, "new=user", f"uidmap={UID} {UID} 1",
                      f"gidmap={UID} {UID} 1", script="id -u; id -g")
        self.assert_ok(run)
        self.assertEqual(run.out, [str(UID), str(UID)])


class Process(StageTest):
    def status(self, run):
        return dict(x.split(":\t", 1) for x in run.out if ":\t" in x)

    def test_payload_gets_nothing_that_was_not_asked(self):
        run = self.run_stage(argv=("/bin/cat", "/proc/self/status"))
        self.assert_ok(run)
        status = self.status(run)
        for name in ("SigBlk", "SigIgn", "CapInh", "CapAmb"):
            self.assertEqual(int(status[name], 16), 0, name)
        self.assertEqual(status["Umask"], "0022")
        run = self.sh(script="ls /proc/self/fd | tr '\\n' ' '; "
                      "cut -d' ' -f5-8 /proc/self/stat; "
                      "cat /proc/self/timerslack_ns; pwd; env")
        self.assertEqual(run.out[0].split()[:4], ["0", "1", "2", "3"])
        # Session leader without a terminal (tty_nr 0, tpgid -1).
        self.assertIn(" 0 -1", run.out[0])
        self.assertEqual(run.out[1], "50000")
        self.assertEqual(run.out[2], "/")

    def test_ordinary_payload_is_the_caller_and_no_more(self):
        run = self.run_stage(f"caller={UID}:{UID + 1}:44:45",
                             argv=("/bin/cat", "/proc/self/status"))
        self.assert_ok(run)
        status = self.status(run)
        self.assertEqual(status["Uid"].split(), [str(UID)] * 4)
        self.assertEqual(status["Gid"].split(), [str(UID + 1)] * 4)
        self.assertEqual(status["Groups"].split(), ["44", "45"])
        self.assertEqual(status["NoNewPrivs"], "1")
        for name in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
            self.assertEqual(int(status[name], 16), 0, name)

    def test_ordinary_caller_cannot_name_other_ids(self):
        for option, step in (("uid=0", "setuid"), ("gid=0", "setgid"),
                             ("groups=0", "setgroups")):
            run = self.run_stage(CALLER, option)
            self.assert_failed(run, "init", step, 1)

    def test_ordinary_caller_cannot_create_without_a_user_namespace(self):
        for kind in KINDS[1:]:
            run = self.run_stage(CALLER, "new=" + kind)
            self.assertIn(run.failure, (("init", "unshare", 1),
                                        ("relay", "clone-init", 1)), run.text)

    def test_ids_groups_umask_nice_oom(self):
        run = self.sh("uid=1234", "gid=2345", "groups=7:8", "umask=0o077"
                      .replace("0o", "0"), "nice=7", "oom=500",
                      script="id -u; id -g; id -G; umask; nice;"
                      "cat /proc/self/oom_score_adj")
        self.assert_ok(run)
        self.assertEqual(run.out, ["1234", "2345", "2345 7 8", "0077", "7",
                                   "500"])

    def test_oom_score_of_an_ordinary_caller_only_grows(self):
        run = self.sh(CALLER, "oom=900", script="cat /proc/self/oom_score_adj")
        self.assert_ok(run)
        self.assertEqual(run.out, ["900"])
        run = self.run_stage(CALLER, "oom=-900")
        self.assert_failed(run, "relay", "oom-score-adj", 13)

    def test_better_nice_is_refused_to_an_ordinary_caller(self):
        run = self.run_stage(CALLER, "nice=-5")
        self.assertEqual(run.failure[:2], ("relay", "nice"), run.text)

    def test_ordinary_payload_has_its_callers_limits_and_priorities(self):
        script = "cat /proc/self/limits; nice; cat /proc/self/oom_score_adj;" \
            "cut -d' ' -f41 /proc/self/stat; taskset -p $$"

        def begin():
            for what, soft, hard in ((resource.RLIMIT_NOFILE, 61, 62),
                                     (resource.RLIMIT_MSGQUEUE, 5, 6),
                                     (resource.RLIMIT_NPROC, 900, 901)):
                resource.setrlimit(what, (soft, hard))
            os.nice(3)
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            os.sched_setaffinity(0, [0])
            with open("/proc/self/oom_score_adj", "w", encoding="ascii") as f:
                f.write("123")
        run = self.sh(CALLER, script=script, preexec_fn=begin)
        self.assert_ok(run)
        self.assertEqual(run.out[-4:-1], ["3", "123", "3"])
        self.assertTrue(run.out[-1].endswith(": 1"), run.text)
        for line in ("Max open files            61 62",
                     "Max msgqueue size         5 6",
                     "Max processes             900 901"):
            self.assertIn(re.sub(" +", " ", line),
                          re.sub(" +", " ", run.text))

    def test_raising_a_limit_is_refused_before_anything_is_made(self):
        def begin():
            resource.setrlimit(resource.RLIMIT_NOFILE, (50, 100))
        run = self.run_stage(CALLER, "rlimit=7:101:101", preexec_fn=begin)
        self.assert_failed(run, "relay", "rlimits", 1)
        run = self.sh(CALLER, "rlimit=7:100:100", script="ulimit -n",
                      preexec_fn=begin)
        self.assertEqual(run.out, ["100"])

    def test_a_caller_that_is_gone_is_refused(self):
        run = self.run_stage(CALLER, "gone=1")
        self.assert_failed(run, "relay", "caller-state", 3)

    def test_limits_are_exact_even_when_tiny(self):
        run = self.sh("rlimit=7:5:9", "rlimit=4:0:0",
                      script="ulimit -n; ulimit -Hn; ulimit -c")
        self.assert_ok(run)
        self.assertEqual(run.out, ["5", "9", "0"])

    def test_five_capability_sets(self):
        run = self.run_stage("uid=1234", "caps=3:3:1:3:1", argv=(
            "/bin/cat", "/proc/self/status"))
        self.assert_ok(run)
        status = self.status(run)
        self.assertEqual([int(status["Cap" + name], 16) for name in
                          ("Inh", "Prm", "Eff", "Bnd", "Amb")],
                         [3, 1, 1, 3, 1])

    def test_ordinary_root_in_its_namespace_gets_what_it_asks(self):
        run = self.run_stage(
            CALLER, "new=user,net", *OWN_MAPS, "caps=3000:3000:3000:0:0",
            argv=("/bin/cat", "/proc/self/status"))
        self.assert_ok(run)
        status = self.status(run)
        self.assertEqual(int(status["CapEff"], 16), 0x3000)
        self.assertEqual(int(status["CapBnd"], 16), 0x3000)

    def test_ordinary_root_in_its_namespace_has_what_the_kernel_gives(self):
        run = self.run_stage(CALLER, "new=user", *OWN_MAPS, argv=(
            "/bin/cat", "/proc/self/status"))
        self.assert_ok(run)
        status = self.status(run)
        everything = int(open("/proc/self/status").read()
                         .split("CapBnd:")[1].split()[0], 16)
        self.assertEqual(int(status["CapEff"], 16) & everything, everything)
        self.assertEqual(int(status["CapInh"], 16), 0)
        self.assertEqual(int(status["CapAmb"], 16), 0)
        self.assertEqual(status["NoNewPrivs"], "1")

    def test_capability_not_held_is_refused(self):
        run = self.run_stage(CALLER, "caps=:1:1::")
        self.assert_failed(run, "init", "capabilities", 1)

    def test_no_new_privs_if_asked(self):
        for asked in "01":
            run = self.run_stage("nnp=" + asked, argv=(
                "/bin/cat", "/proc/self/status"))
            self.assertEqual(self.status(run)["NoNewPrivs"], asked)

    def test_session_keyring_is_not_roots(self):
        with open("/proc/keys", encoding="ascii") as f:
            before = f.read()
        run = self.sh(CALLER, script="cat /proc/keys")
        self.assert_ok(run)
        mine = [x for x in run.out if "_ses" in x]
        self.assertTrue(mine)
        for line in mine:
            self.assertNotIn(line.split()[0], before)
            self.assertEqual(line.split()[5], str(UID))

    def test_cwd_is_reached_as_the_process(self):
        os.mkdir(self.path("open"))
        os.mkdir(self.path("closed"), 0o700)
        run = self.sh("cwd=" + self.path("open"), script="pwd")
        self.assertEqual(run.out, [self.path("open")])
        run = self.run_stage(CALLER, "cwd=" + self.path("closed"))
        self.assert_failed(run, "init", "cwd", 13)
        run = self.run_stage("uid=1234", "cwd=" + self.path("closed"))
        self.assert_failed(run, "init", "cwd", 13)
        run = self.run_stage("cwd=/nowhere")
        self.assert_failed(run, "init", "cwd", 2)

    def test_cwd_by_a_descriptor_that_leads_out_is_refused(self):
        root = make_root(self.path("root"))
        leak = os.open("/", os.O_RDONLY)
        self.addCleanup(os.close, leak)
        run = self.run_stage("new=mnt,pid", "proc=1", f"rootfs={root}",
                             "open=/", "cwd=/proc/self/fd/7", USR)
        self.assertEqual(run.failure[:2], ("init", "cwd"), run.text)

    def test_parent_death_signal_is_armed(self):
        run = self.start("death=9", argv=("/bin/sleep", "60"))
        line = run.stdout.readline()
        pid = int(line.split()[1])
        run.stdout.readline()
        run.kill()
        run.wait()
        run.stdout.close()
        wait_for(lambda: not alive(pid), what="init follows its parent")


class Exec(StageTest):
    def test_search_in_path_of_the_given_environment(self):
        tool = self.path("mytool")
        with open(tool, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\necho found $0\n")
        os.chmod(tool, 0o755)
        run = self.run_stage(f"env=PATH=/nowhere:{self.dir}",
                             argv=("mytool",))
        self.assertEqual(run.out, [f"found {tool}"])
        self.assert_failed(self.run_stage(argv=("mytool",)), "init", "exec", 2)
        self.assert_ok(self.run_stage(argv=("true",)))

    def test_failures_are_told_apart(self):
        plain = self.path("plain")
        with open(plain, "w", encoding="ascii") as f:
            f.write("no program\n")
        self.assert_failed(self.run_stage(argv=(plain,)), "init", "exec", 13)
        os.chmod(plain, 0o755)
        run = self.run_stage(argv=(plain,))
        self.assert_failed(run, "init", "exec", 8)
        self.assertEqual(run.failed.group(5), plain)
        self.assertEqual(run.code, 1)
        self.assert_failed(self.run_stage(argv=("/no/where",)), "init",
                           "exec", 2)
        self.assert_failed(self.run_stage(f"env=PATH={self.dir}:/etc", argv=(
            "passwd",)), "init", "exec", 13)
        self.assert_failed(self.run_stage(argv=("",)), "init", "exec", 2)

    def test_block_in_a_memfd_equals_the_message(self):
        for block in "01":
            run = self.sh(f"block={block}", "env=A=1", "env=B=two words",
                          script="echo \"$A $B\"")
            self.assert_ok(run)
            self.assertEqual(run.out, ["1 two words"])

    def test_two_mebibytes_of_arguments(self):
        argv = ["/bin/sh", "-c", "echo $#"] + ["x" * 100000] * 19
        run = self.run_stage("block=1", argv=argv)
        self.assert_ok(run)
        self.assertEqual(run.out, ["18"])

    def test_aborted_gate_executes_nothing(self):
        mark = self.path("mark")
        run = self.run_stage("abort=1", argv=("/usr/bin/touch", mark))
        self.assertEqual((run.failure, run.code), (None, 1), run.text)
        self.assertFalse(os.path.exists(mark))

    def test_named_gate_waits_for_the_byte_and_only_it(self):
        gate = self.path("gate")
        process = self.start("gate=2", f"gatepath={gate}", argv=(
            "/bin/echo", "through"))
        for line in process.stdout:
            if line.startswith(b"ready"):
                break
        for message in (None, b"x", b""):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
                s.connect(gate)
                if message is not None:
                    s.send(message)
        time.sleep(0.05)
        self.assertIsNone(process.poll())
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.connect(gate)
            s.send(b"G")
            run = self.finish(process)
        self.assertEqual(run.out, ["through"])

    def test_no_gate_at_all(self):
        run = self.run_stage("gate=0", argv=("/bin/echo", "ran"))
        self.assertEqual(run.out, ["ran"])

    def test_killed_relay_leaves_no_child(self):
        run = self.run_stage("killrelay=1")
        self.assertIsNone(run.child)
        self.assertIn("relay killed 9", run.text)


    def test_relay_killed_at_any_moment_starts_nothing_untold(self):
        # Whoever was not told of never runs, and ends by itself: its go or
        # its gate sees the end of file.
        told = 0
        for i in range(60):
            options = (CALLER, *OWN_MAPS) if i % 2 else AUTO_MAPS
            run = self.run_stage(f"killafter={1 + i * 4}", "new=user,pid,mnt",
                                 "proc=1", *options,
                                 argv=("/bin/echo", "ran"))
            if run.child:
                told += 1
            else:
                self.assertNotIn("ran", run.out)
            for line in run.text.splitlines():
                if line.startswith("stray"):
                    self.assertIn(line, ("stray exited 1", "stray exited 0",
                                         "stray killed 9"))
        self.assertLess(told, 60)


class Descriptors(StageTest):
    def test_passed_fds_land_on_their_numbers_without_clobbering(self):
        names = [self.path(f"f{i}") for i in range(6)]
        for name in names:
            with open(name, "w", encoding="ascii") as f:
                f.write(os.path.basename(name))
        options = [f"open={name}" for name in names]
        # Every number that the stage itself may be using.
        numbers = [3, 8, 5, 4, 12, 700]
        options += [f"passed={3 + i}:{n}" for i, n in enumerate(numbers)]
        run = self.sh(*options, script="; ".join(
            f"echo $(cat /proc/self/fd/{n})" for n in numbers) +
            "; ls /proc/$$/fd; :")
        self.assert_ok(run)
        self.assertEqual(run.out[:6], [f"f{i}" for i in range(6)])
        self.assertEqual(sorted(map(int, run.out[6:])),
                         sorted([0, 1, 2] + numbers))

    def test_every_low_number_can_be_taken(self):
        options = ["open=/etc/hostname"]
        numbers = list(range(3, 3 + 29))
        options += [f"passed=3:{n}" for n in numbers]
        run = self.sh(*options, "hostname=h", "new=uts",
                      script="ls /proc/$$/fd; :")
        self.assert_ok(run)
        # No pipe in the script: the shell would have its ends open.
        self.assertEqual(sorted(map(int, run.out)), list(range(32)))

    def test_one_descriptor_as_two_and_stdio_swapped(self):
        a, b = self.path("a"), self.path("b")
        for name in (a, b):
            with open(name, "w", encoding="ascii") as f:
                f.write(os.path.basename(name))
        run = self.sh(f"open={a}", f"open={b}", "passed=3:4", "passed=4:3",
                      "passed=3:9", script="cat <&3; cat <&4; echo")
        self.assert_ok(run)
        self.assertEqual(run.out, ["ba"])

    def test_null_by_default(self):
        run = self.sh("stdio=0:null", script="readlink /proc/self/fd/0")
        self.assertEqual(run.out, ["/dev/null"])

    def test_missing_message_is_reported_in_two_seconds(self):
        begin = time.monotonic()
        run = self.run_stage("nosend=1")
        self.assert_failed(run, "relay", "fd-channel", 110)
        self.assertLess(time.monotonic() - begin, 6 * SLOW)

    def test_pidfd_comes_back(self):
        run = self.run_stage("sendpidfd=1")
        self.assert_ok(run)
        self.assertIn("pidfd 0", run.text)

    def test_output_file_is_opened_as_the_caller(self):
        mine, roots = self.path("mine"), self.path("roots")
        for name, uid in ((mine, UID), (roots, 0)):
            with open(name, "w", encoding="ascii"):
                pass
            os.chmod(name, 0o600)
            os.chown(name, uid, uid)
        run = self.run_stage(CALLER, f"stdio=1:path:{mine}",
                             argv=("/bin/echo", "text"))
        self.assert_ok(run)
        with open(mine, encoding="ascii") as f:
            self.assertEqual(f.read(), "text\n")
        run = self.run_stage(CALLER, f"stdio=1:path:{roots}")
        self.assert_failed(run, "relay", "stdio-open", 13)

    def test_fifos_in_any_order(self):
        for order in ("in-out", "out-in"):
            fifos = self.path("in" + order), self.path("out" + order)
            for fifo in fifos:
                os.mkfifo(fifo)
            process = self.start(f"stdio=0:path:{fifos[0]}",
                                 f"stdio=1:path:{fifos[1]}", argv=("/bin/cat",))
            result = []

            def read():
                with open(fifos[1], "rb") as f:
                    result.append(f.read())
            reader = threading.Thread(target=read)
            if order == "out-in":
                reader.start()
                time.sleep(0.05)
            with open(fifos[0], "wb") as f:
                if order == "in-out":
                    reader.start()
                time.sleep(0.05)
                f.write(b"through")
            run = self.finish(process)
            reader.join()
            self.assert_ok(run)
            self.assertEqual(result, [b"through"])

    def test_writer_that_came_and_went_is_enough(self):
        fifo, out = self.path("in"), self.path("out")
        os.mkfifo(fifo)
        os.mkfifo(out)
        process = self.start(f"stdio=0:path:{fifo}", f"stdio=1:path:{out}",
                             argv=("/bin/cat",))
        with open(fifo, "wb") as f:
            f.write(b"early")
        with open(out, "rb") as f:
            self.assertEqual(f.read(), b"early")
        self.assert_ok(self.finish(process))

    def test_fifo_without_other_end_ends_at_the_deadline(self):
        fifo = self.path("in")
        os.mkfifo(fifo)
        for which in (0, 1):
            begin = time.monotonic()
            run = self.run_stage("timeout=300", f"stdio={which}:path:{fifo}")
            self.assert_failed(run, "relay", "stdio-open", 110)
            self.assertLess(time.monotonic() - begin, 5 * SLOW)


def make_root(path):
    """A root directory for everybody to read; programs come by a bind."""
    os.mkdir(path, 0o755)
    for name in ("proc", "dev", "sys", "tmp", "etc", "usr"):
        os.mkdir(os.path.join(path, name))
    for name in ("bin", "lib", "lib64"):
        os.symlink("usr/" + name, os.path.join(path, name))
    os.chmod(os.path.join(path, "tmp"), 0o1777)
    return path


USR = f"mount={BIND}:{RDONLY | RECURSIVE}:/usr:/usr:"


class Mounts(StageTest):
    def setUp(self):
        super().setUp()
        self.root = make_root(self.path("root"))

    def callers(self):
        """Options for an admin, an admin with a map, an ordinary caller."""
        shutil.chown(self.root, UID, UID)
        for name in ("proc", "dev", "sys", "tmp", "etc"):
            shutil.chown(os.path.join(self.root, name), UID, UID)
        return ((), ("new=mnt,pid,user", *ROOT_MAPS),
                ("new=mnt,pid,user", CALLER, *OWN_MAPS))

    def test_root_is_the_directory_and_nothing_else(self):
        for options in self.callers():
            run = self.sh("new=mnt,pid", *options, "proc=1", USR,
                          f"rootfs={self.root}",
                          script="echo /*; cat /proc/1/comm;"
                          "cat /proc/self/mountinfo")
            self.assert_ok(run)
            self.assertEqual(run.out[0].split(), [
                "/" + name for name in sorted(os.listdir(self.root))])
            self.assertEqual(run.out[1], "sh")
            self.assertEqual(sorted(x.split()[4] for x in run.out[2:]),
                             ["/", "/proc", "/usr"], run.text)

    def test_hidden_directory_is_reached_as_the_admin_was(self):
        hidden = self.path("hidden")
        os.mkdir(hidden, 0o700)
        root = make_root(os.path.join(hidden, "root"))
        os.chmod(root, 0o755)
        run = self.sh("new=mnt,pid,user", *AUTO_MAPS, f"rootfs={root}", USR,
                      "proc=1", script="ls /")
        self.assert_ok(run)
        run = self.run_stage(CALLER, "new=mnt,user", *OWN_MAPS,
                             f"rootfs={root}")
        self.assert_failed(run, "init", "rootfs", 13)

    def test_mounts_of_every_kind(self):
        source = self.path("source")
        os.mkdir(source)
        with open(os.path.join(source, "file"), "w", encoding="ascii") as f:
            f.write("text")
        for options in self.callers():
            run = self.sh(
                "new=mnt,pid,net,ipc,cgroup", *options,
                *(["new=mnt,pid,net,ipc,cgroup,user"] if options else []),
                f"rootfs={self.root}", USR,
                f"mount={PROC}:{NOSUID}::/proc:",
                f"mount={DEV}:{NOSUID}::/dev:",
                f"mount={DEVPTS}:0::/dev/pts:",
                f"mount={MQUEUE}:0::/dev/mqueue:",
                f"mount={SYSFS}:{RDONLY}::/sys:",
                f"mount={CGROUP2}:0::/sys/fs/cgroup:",
                f"mount={TMPFS}:{NOEXEC}::/tmp:size=1M,mode=700",
                f"mount={BIND}:{RDONLY | RECURSIVE}:{source}:/etc/deep/er:",
                f"mount={BIND}:{RDONLY}:{source}/file:/etc/one:",
                script="cat /proc/self/mountinfo; cat /etc/deep/er/file;"
                "echo; cat /etc/one; echo; ls /dev; echo x >/dev/null && "
                "echo null; ls -d /dev/pts/ptmx; touch /etc/deep/er/x")
            self.assertIsNone(run.failure, run.text)
            seen = {x.split()[4]: x for x in run.out if " - " in x}
            for place, fs_name in (
                    ("/proc", "proc"), ("/dev", "tmpfs"), ("/sys", "sysfs"),
                    ("/dev/pts", "devpts"), ("/dev/mqueue", "mqueue"),
                    ("/sys/fs/cgroup", "cgroup2"), ("/tmp", "tmpfs")):
                self.assertIn(f" - {fs_name} {fs_name} ", seen[place])
            self.assertIn("noexec", seen["/tmp"])
            self.assertIn("size=1024k,mode=700", seen["/tmp"])
            self.assertIn(" ro", seen["/etc/deep/er"])
            rest = [x for x in run.out if " - " not in x]
            self.assertEqual(rest[:2], ["text", "text"])
            for name in ("null", "zero", "full", "random", "urandom", "tty",
                         "ptmx", "fd", "stdin", "pts", "shm", "null",
                         "/dev/pts/ptmx"):
                self.assertIn(name, rest)
            self.assertIn("Read-only", run.text)
            shutil.rmtree(os.path.join(self.root, "etc/deep"))
            os.unlink(os.path.join(self.root, "etc/one"))

    def test_links_in_the_root_do_not_lead_out(self):
        outside = self.path("outside")
        os.mkdir(outside)
        os.symlink(outside, os.path.join(self.root, "link"))
        os.symlink("/../../../.." + outside,
                   os.path.join(self.root, "dots"))
        for name in ("link", "dots"):
            run = self.run_stage(
                "new=mnt", f"rootfs={self.root}", USR,
                f"mount={TMPFS}:0::/{name}/made:")
            self.assertIsNotNone(run.failure, run.text)
        self.assertEqual(os.listdir(outside), [])

    def test_read_only_root(self):
        run = self.sh("new=mnt", f"rootfs={self.root}", "readonly=1", USR,
                      f"mount={TMPFS}:0::/tmp:",
                      script="touch /tmp/x && echo tmp; touch /etc/x")
        self.assertIn("tmp", run.out)
        self.assertIn("Read-only", run.text)
        self.assertEqual(os.listdir(os.path.join(self.root, "etc")), [])

    def test_nothing_gets_out_to_the_host(self):
        with open("/proc/self/mountinfo", encoding="utf-8") as f:
            before = f.read()
        for propagation in "1234":
            if propagation == "4":
                continue
            run = self.sh("new=mnt", f"propagation={propagation}",
                          f"mount={TMPFS}:0::{self.dir}:",
                          script="grep -c . /proc/self/mountinfo; "
                          "cut -d' ' -f7 /proc/self/mountinfo")
            self.assert_ok(run)
            want = {"1": "-", "2": None, "3": "shared:"}[propagation]
            if want:
                self.assertTrue(all(x.startswith(want) for x in run.out[1:]),
                                run.text)
        with open("/proc/self/mountinfo", encoding="utf-8") as f:
            self.assertEqual(f.read(), before)

    def test_mounts_without_a_namespace_of_their_own_are_refused(self):
        for option in (f"mount={TMPFS}:0::/mnt:", f"rootfs={self.root}",
                       "readonly=1", "propagation=1"):
            run = self.run_stage(option)
            self.assert_failed(run, "relay", "mounts", 22)

    def test_bad_option_names_the_call_and_the_options(self):
        run = self.run_stage("new=mnt", f"mount={TMPFS}:0::/mnt:size=apple")
        self.assert_failed(run, "init", "mount-tmpfs", 22)
        self.assertEqual(run.failed.group(3), "fsconfig")
        self.assertIn("/mnt with data size=apple", run.text)

    def test_missing_source_is_told(self):
        run = self.run_stage("new=mnt", f"mount={BIND}:0:/nowhere:/mnt:")
        self.assert_failed(run, "relay", "mount-bind", 2)

    def test_ordinary_caller_cannot_bind_what_it_cannot_reach(self):
        hidden = self.path("hidden")
        os.mkdir(hidden, 0o700)
        os.mkdir(os.path.join(hidden, "in"))
        run = self.run_stage(CALLER, "new=user,mnt", *OWN_MAPS,
                             f"mount={BIND}:{RECURSIVE}:{hidden}/in:/mnt:")
        self.assert_failed(run, "init", "mount-bind", 13)


class ExecInto(StageTest):
    """A process into the namespaces of a running one (EXEC)."""

    def begin(self, *options):
        process = self.start(*options, argv=("/bin/sleep", "60"))
        pid = int(process.stdout.readline().split()[1])
        process.stdout.readline()
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)

        def end():
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.addCleanup(end)

        def started():
            with open(f"/proc/{pid}/comm", encoding="ascii") as f:
                return f.read() == "sleep\n"
        wait_for(started, what="sleep")
        return pid

    def test_every_namespace_is_the_targets(self):
        for options in (("new=all", *AUTO_MAPS, "proc=1"),
                        ("new=pid,mnt,net", "proc=1"), ()):
            pid = self.begin(*options)
            for told in "01":
                run = self.sh(f"target={pid}", f"lookup={told}",
                              script="id -u; cat /proc/1/comm")
                self.assert_ok(run)
                self.assertEqual(run.inodes, namespaces(pid))
                self.assertEqual(run.out[0], "0")
                if options:
                    self.assertEqual(run.out[1], "sleep")

    def test_owner_enters_its_own_and_a_stranger_does_not(self):
        pid = self.begin(CALLER, "new=all", *OWN_MAPS, "proc=1")
        run = self.sh(CALLER, f"target={pid}", script="id -u")
        self.assert_ok(run)
        self.assertEqual(run.inodes, namespaces(pid))
        self.assertEqual(run.out, ["0"])
        run = self.run_stage(f"caller={UID + 1}:{UID + 1}", f"target={pid}")
        self.assertEqual((run.failed.group(1), int(run.failed.group(4))),
                         ("relay", 13), run.text)

    def test_ordinary_caller_without_namespaces(self):
        pid = self.begin(CALLER)
        run = self.sh(CALLER, f"target={pid}", script="id -u")
        self.assert_ok(run)
        self.assertEqual(run.out, [str(UID)])


class Direct(StageTest):
    def test_only_what_needs_no_right_outside_goes_without_a_relay(self):
        user = ("new=user", *ROOT_MAPS)
        for options, direct in (
                ((), True), (("new=all", *ROOT_MAPS), True),
                (("new=pid,mnt", "oom=10", "nice=1"), True),
                (("new=mnt", "rootfs=" + self.dir), True),
                (("new=time", "offsets=monotonic 1 0"), False),
                ((*user, "keepgroups=1"), False), ((*user, "nice=1"), False),
                ((*user, "oom=10"), False), ((*user, "rlimit=7:10:10"), False),
                ((*user, "stdio=0:path:/dev/null"), False),
                (("sendpidfd=1",), False), (("death=9",), False),
                (("join=net:path:/proc/self/ns/net",), False),
                (("caller=65500:65500",), False)):
            run = self.run_stage(*options)
            self.assertEqual(run.is_direct, direct, (options, run.text))

    def test_a_refused_map_ends_init_without_a_word(self):
        run = self.run_stage("new=user,pid", "uidmap=0 0 10;5 100 10",
                             "gidmap=0 0 1")
        self.assert_failed(run, "relay", "map-uid", 22)
        self.assertTrue(run.is_direct, run.text)
        self.assertEqual(run.code, 1, run.text)


class Secrecy(StageTest):
    def test_a_waiting_init_cannot_be_looked_into(self):
        gate = self.path("gate")
        process = self.start(CALLER, "gate=2", f"gatepath={gate}", "new=user",
                             *OWN_MAPS)
        pid = int(process.stdout.readline().split()[1])
        process.stdout.readline()
        for name in ("mem", "root", "fd/0", "environ", "ns/net"):
            done = subprocess.run(
                ["cat", f"/proc/{pid}/{name}"], user=UID, group=UID,
                extra_groups=[], stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, check=False, cwd="/")
            self.assertIn(b"Permission denied", done.stderr, name)
        with open(f"/proc/{pid}/comm", encoding="ascii") as f:
            self.assertEqual(f.read(), "nsx:[init]\n")
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(self.finish(process).code, -9)


# The same promises for a start with a relay.
for _tests in (Namespaces, Maps, Process, Exec, Descriptors, Mounts, Secrecy):
    _name = _tests.__name__ + "ByRelay"
    globals()[_name] = type(_name, (_tests,), {"RELAY": True})
del _tests


if __name__ == "__main__":
    main()
