#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The installed runc against the project, in three directions.

Capture: what a real "runc run" or "runc exec" writes to its bootstrap program
(caught by strace) is decoded and encoded again to the same bytes. Drive: the
installed "runc init" takes our encoder's messages and ends where nsexec ends.
Serve: a real "runc run" and "runc exec" with nsexec in the place of its own
bootstrap program (strace changes the path of the exec) come to the same end.
The packaged runc is 1.1: dialect M2.
"""
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), HERE]
import nsexec_driver as drv  # noqa: E402
from harness import (BUILD, SLOW, TestCase, alive, main,  # noqa: E402
                     program, wait_for)
from test_nsexec import NOBODY, become_nobody, mounted, own_mounts  # noqa

RUNC = shutil.which("runc")
STRACE = shutil.which("strace")
# A container's root cannot reach an interpreter below /root.
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") \
    else sys.executable
MAP = "0 100000 65536\n"
KINDS = ("pid", "network", "ipc", "uts", "mount")
MS_BIND = 4096


def recode(data, dialect="M2"):
    """Through our decoder and our encoder."""
    done = subprocess.run(
        [os.path.join(BUILD, "tests/integration/recode"), dialect],
        input=data, capture_output=True, check=False)
    if done.returncode != 0:
        raise AssertionError(done.stderr.decode())
    return done.stdout


def print_and_encode(data, *options):
    """Through "nsexecctl bootstrap decode" and what it printed through
    "encode"."""
    for verb in ("decode", "encode"):
        done = subprocess.run(
            [program("nsexecctl"), "bootstrap", verb, "--dialect", "M2",
             *options], input=data, capture_output=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{verb} {options}: {done.stderr.decode()}")
        data = done.stdout
    return data


def cgroup_dirs(name):
    """Directories of this name in every mounted hierarchy."""
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        for line in f:
            left, right = line.split(" - ", 1)
            if right.split()[0] in ("cgroup", "cgroup2"):
                path = os.path.join(left.split()[4], name)
                if os.path.isdir(path):
                    found.append(path)
    return found


class RuncCase(TestCase):
    INSTANCE = False

    def setUp(self):
        self.need("runc 1.1", RUNC and " 1.1." in subprocess.run(
            [RUNC, "--version"], capture_output=True, text=True,
            check=True).stdout)
        self.need("strace", STRACE)
        super().setUp()
        self.base = tempfile.mkdtemp(prefix="nsxtest-")
        self.addCleanup(shutil.rmtree, self.base)
        os.chmod(self.base, 0o755)
        self.box = os.path.basename(self.base)
        self.state = os.path.join(self.base, "state")
        self.bundle = os.path.join(self.base, "bundle")
        rootfs = os.path.join(self.bundle, "rootfs")
        for name in ("usr", "proc", "dev", "tmp", "etc"):
            os.makedirs(os.path.join(rootfs, name))
        for name in ("bin", "lib", "lib64", "sbin"):
            os.symlink("usr/" + name, os.path.join(rootfs, name))
        self.addCleanup(self.no_cgroup_left)

    def give_rootfs(self, uid):
        """To the container's root, who makes the device files in it."""
        rootfs = os.path.join(self.bundle, "rootfs")
        for base, dirs, files in os.walk(rootfs):
            for name in (".", *dirs, *files):
                os.lchown(os.path.join(base, name), uid, uid)

    def no_cgroup_left(self):
        for path in cgroup_dirs(self.box):
            with contextlib.suppress(OSError):
                os.rmdir(path)
        self.assertEqual(cgroup_dirs(self.box), [])

    def config(self, kinds=KINDS, args=("/bin/true",), linux=None, oom=None,
               mounts=()):
        process = {"terminal": False, "user": {"uid": 0, "gid": 0},
                   "args": list(args), "env": ["PATH=/usr/bin:/bin"],
                   "cwd": "/", "noNewPrivileges": True}
        if oom is not None:
            process["oomScoreAdj"] = oom
        spec = {"ociVersion": "1.0.2", "process": process,
                "root": {"path": "rootfs", "readonly": True},
                "hostname": "nsx", "mounts": [
                    {"destination": "/proc", "type": "proc",
                     "source": "proc"},
                    {"destination": "/usr", "type": "bind", "source": "/usr",
                     "options": ["bind", "ro"]}, *mounts],
                "linux": {"cgroupsPath": "/" + self.box, "namespaces": [
                    kind if isinstance(kind, dict) else {"type": kind}
                    for kind in kinds], **(linux or {})}}
        path = os.path.join(self.bundle, "config.json")
        with open(path, "w", encoding="ascii") as f:
            json.dump(spec, f)
        os.chmod(path, 0o644)

    def runc_argv(self, *args):
        return [RUNC, "--root", self.state, *args]

    def runc(self, *args, check=True, **keywords):
        return subprocess.run(self.runc_argv(*args), cwd=self.bundle,
                              stdin=subprocess.DEVNULL, check=check,
                              timeout=30 * SLOW, **keywords)

    def capture(self, *args, code=0, **keywords):
        """Run runc under strace; the bootstrap message it wrote."""
        log = os.path.join(self.base, "strace")
        done = subprocess.run(
            [STRACE, "-f", "-qq", "-e", "trace=write", "-e", "signal=none",
             "-xx", "-s", "140000", "-o", log, *self.runc_argv(*args)],
            cwd=self.bundle, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=60 * SLOW, check=False, **keywords)
        self.assertEqual(done.returncode, code, done.stderr)
        found = []
        with open(log, encoding="ascii", errors="replace") as f:
            for line in f:
                match = re.search(
                    r'write\(\d+, "((?:\\x[0-9a-f]{2})+)", (\d+)', line)
                if not match:
                    continue
                data = bytes.fromhex(match.group(1).replace("\\x", ""))
                if data[4:6] == b"\x30\xf2" and \
                        int.from_bytes(data[:4], "little") == len(data) == \
                        int(match.group(2)):
                    found.append(data)
        os.unlink(log)
        self.assertEqual(len(found), 1, "bootstrap messages in the trace")
        return found[0]

    def check_capture(self, data, **values):
        """Ours and the driver's encoder both make the same bytes."""
        self.assertEqual(recode(data).hex(), data.hex())
        self.assertEqual(print_and_encode(data).hex(), data.hex())
        self.assertEqual(print_and_encode(data, "--json").hex(), data.hex())
        traced = "".join(f"\\x{byte:02x}" for byte in data).encode()
        self.assertEqual(
            bytes.fromhex(print_and_encode(traced, "--hex").decode()), data)
        if values:
            self.assertEqual(drv.encode("M2", **values).hex(), data.hex())


class Capture(RuncCase):
    def test_a_privileged_run_is_example_e1(self):
        self.config()
        data = self.capture("run", self.box)
        self.check_capture(data, clone=0x6c020000, rootless=0)
        self.assertEqual(len(data), 32)

    def test_a_run_with_a_user_namespace_and_bind_sources(self):
        rows = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        self.config(KINDS + ("user", "cgroup"), linux={
            "uidMappings": rows, "gidMappings": rows}, oom=500)
        self.give_rootfs(100000)
        data = self.capture("run", self.box)
        self.check_capture(data, clone=0x7e020000, uidmap=MAP, gidmap=MAP,
                           setgroup=1, oom="500", rootless=0,
                           mounts=b"\0/usr\0")

    def test_a_run_that_joins_two_namespaces(self):
        held = drv.Holder(drv.NEWUTS | drv.NEWNET)
        self.addCleanup(held.end)
        self.config(("pid", "ipc", "mount",
                     {"type": "network", "path": held.ns("net")},
                     {"type": "uts", "path": held.ns("uts")}), oom=7)
        data = self.capture("run", self.box)
        self.check_capture(data, clone=0x28020000, paths=drv.paths("M2", [
            ("uts", held.ns("uts")), ("net", held.ns("net"))]), oom="7",
            rootless=0)

    def test_an_exec_joins_all_of_the_container(self):
        self.config(args=("/bin/sleep", "60"))
        self.runc("run", "-d", self.box, stdout=subprocess.DEVNULL,
                  stderr=subprocess.DEVNULL)
        self.addCleanup(self.runc, "delete", "-f", self.box)
        pid = json.loads(self.runc("state", self.box,
                                   stdout=subprocess.PIPE).stdout)["pid"]
        data = self.capture("exec", self.box, "/bin/true")
        self.check_capture(data, clone=0, paths=",".join(
            f"{kind}:/proc/{pid}/ns/{kind}"
            for kind in ("ipc", "uts", "net", "pid", "mnt")), rootless=0)
        self.runc("kill", self.box, "KILL")
        wait_for(lambda: not alive(pid), what="the container's end")

    def test_a_rootless_run_names_its_map_writers(self):
        self.need_program("newuidmap")
        self.need("/etc/subuid and /etc/subgid",
                  os.path.exists("/etc/subuid") and
                  os.path.exists("/etc/subgid"))
        uids = [{"containerID": 0, "hostID": NOBODY, "size": 1},
                {"containerID": 1, "hostID": 500000, "size": 65536}]
        self.config(("pid", "ipc", "uts", "mount", "user"), linux={
            "uidMappings": uids, "gidMappings": uids, "cgroupsPath": ""})
        self.state = os.path.join(self.base, "rootless")
        os.mkdir(self.state)
        os.chown(self.state, NOBODY, NOBODY)
        for path in (self.bundle, os.path.join(self.bundle, "rootfs")):
            os.chmod(path, 0o755)
            os.chown(path, NOBODY, NOBODY)
        os.chown(self.base, NOBODY, NOBODY)
        subid = os.path.join(self.base, "subid")
        with open(subid, "w", encoding="ascii") as f:
            f.write(f"{NOBODY}:500000:65536\n")

        def prelude():
            own_mounts()
            mounted(subid, "/etc/subuid", None, MS_BIND)
            mounted(subid, "/etc/subgid", None, MS_BIND)
            become_nobody()
        # A traced set-user-id tool gains nothing, so the run itself fails
        # at the map; the message has been written by then.
        data = self.capture("--rootless=true", "run", self.box, code=1,
                            preexec_fn=prelude)
        text = f"0 {NOBODY} 1\n1 500000 65536\n"
        self.check_capture(
            data, clone=0x3c020000, uidtool="/usr/bin/newuidmap",
            uidmap=text, gidmap=text, gidtool="/usr/bin/newgidmap",
            setgroup=1, rootless=1)


class Drive(RuncCase):
    """The same message to "runc init" and to nsexec: the same child."""

    def facts(self, pid):
        """What the message decides, as seen from outside."""
        found = {"changed": [kind for kind in drv.FLAGS
                             if drv.ns_inode(pid, kind) !=
                             drv.ns_inode("self", kind)],
                 "uid": drv.read_map(pid, "uid"),
                 "gid": drv.read_map(pid, "gid")}
        for name in ("Uid", "Gid", "Groups", "CapEff", "CapBnd"):
            found[name] = drv.status_field(pid, name)
        found["depth"] = len(drv.status_field(pid, "NSpid").split())
        for name in ("oom_score_adj", "setgroups"):
            with open(f"/proc/{pid}/{name}", encoding="ascii") as f:
                found[name] = f.read()
        return found

    @staticmethod
    def settle(path, run):
        """Until runc's Go half runs (it has threads) and awaits its config;
        until nsexec has become its program."""
        if path == RUNC:
            wait_for(lambda: int(drv.status_field(run.pid, "Threads")) > 1,
                     what=f"the Go runtime: {run.stderr}")
        else:
            run.wait_program()

    def both(self, joins=(), **values):
        """Start each; compare; returns runc's facts."""
        if joins:
            values["paths"] = drv.paths("M2", joins)
        data = recode(drv.encode("M2", **values))
        facts = []
        for path, argv in ((RUNC, ("init",)),
                           (program("nsexec"), ("sleep", "60"))):
            holes = [os.open("/dev/null", os.O_RDONLY) for _ in range(2)]
            for fd in holes:
                self.addCleanup(os.close, fd)
            env = {"_LIBCONTAINER_STATEDIR": self.base,
                   "_LIBCONTAINER_LOGLEVEL": "5"}
            if "mounts" in values:
                env["_LIBCONTAINER_MOUNT_FDS"] = "[-1,%d,-1,%d]" % \
                    tuple(holes)
            run = drv.Bootstrap(
                path, "M2", argv, env=env, extra_fds={
                    "_LIBCONTAINER_FIFOFD": holes[0], "": holes[1]},
                prelude=lambda: os.setgroups([7, 8]))
            self.addCleanup(run.end)
            run.run(data)
            self.assertEqual(run.code, 0, (path, run.fatal(), run.stderr))
            self.assertRegex(run.report,
                             rb'\A\{"stage1_pid":\d+,"stage2_pid":\d+\}\n\Z')
            self.assertEqual(run.nul, b"\0")
            self.settle(path, run)
            found = self.facts(run.pid)
            if "mounts" in values:
                found["fds"] = [os.readlink(f"/proc/{run.pid}/fd/{fd}")
                                for fd in holes]
            for kind, name in joins:
                self.assertEqual(drv.ns_inode(run.pid, kind),
                                 os.stat(name).st_ino)
            self.assertTrue(alive(run.pid), run.stderr)
            facts.append(found)
            run.end()
        self.assertEqual(facts[0], facts[1])
        return facts[0]

    def test_each_kind_new(self):
        for kind in ("ipc", "uts", "net", "pid", "mnt", "cgroup"):
            with self.subTest(kind):
                facts = self.both(clone=drv.FLAGS[kind], rootless=0)
                self.assertEqual(facts["changed"], [kind])

    def test_a_user_namespace_with_maps_and_groups(self):
        for more in ({}, {"setgroup": 1}):
            facts = self.both(clone=drv.NEWUSER | drv.NEWPID,
                              uidmap="0 100000 10\n10 5000 5\n",
                              gidmap="0 200000 10\n", rootless=0, **more)
            self.assertEqual(facts["uid"], [(0, 100000, 10), (10, 5000, 5)])
            self.assertEqual(facts["gid"], [(0, 200000, 10)])
            self.assertEqual(facts["Uid"].split()[0], "100000")
            self.assertEqual(facts["Groups"], "" if more else "7 8")

    def test_rootless_denies_setgroups(self):
        facts = self.both(clone=drv.NEWUSER, uidmap=MAP, gidmap=MAP,
                          rootless=1)
        self.assertEqual(facts["setgroups"], "deny\n")

    def test_all_seven_kinds_new(self):
        facts = self.both(clone=0x7e020000, uidmap=MAP, gidmap=MAP,
                          setgroup=1, oom="321", rootless=0)
        self.assertEqual(facts["changed"], [
            "user", "ipc", "uts", "net", "pid", "mnt", "cgroup"])
        self.assertEqual(facts["oom_score_adj"], "321\n")

    def test_each_kind_joined(self):
        for kind in ("user", "ipc", "uts", "net", "pid", "mnt", "cgroup"):
            with self.subTest(kind):
                maps = {"uid_map": MAP, "gid_map": MAP} \
                    if kind == "user" else {}
                with drv.Holder(drv.FLAGS[kind], **maps) as held:
                    facts = self.both([(kind, held.ns(kind))], clone=0,
                                      rootless=0)
                self.assertEqual(facts["changed"], [kind])

    def test_joins_beside_new_ones(self):
        with drv.Holder(drv.NEWNET | drv.NEWUTS) as held:
            facts = self.both([("uts", held.ns("uts")),
                               ("net", held.ns("net"))],
                              clone=0x28020000, oom="7", rootless=0)
        self.assertEqual(facts["changed"], ["ipc", "uts", "net", "pid",
                                            "mnt"])

    def test_mount_sources(self):
        facts = self.both(clone=drv.NEWUSER | drv.NEWNS, uidmap=MAP,
                          gidmap=MAP, rootless=0,
                          mounts=b"\0/usr\0\0/etc\0")
        self.assertEqual(facts["fds"], ["/usr", "/etc"])

    def test_failures_end_both_alike(self):
        rows = ({"clone": 0, "rootless": 0, "paths": "uts:/none"},
                {"clone": drv.NEWUSER, "rootless": 0, "gidmap": MAP,
                 "uidmap": "1 100000 5\n"},
                {"clone": 0, "rootless": 0, "oom": "1001"})
        for values in rows:
            data = drv.encode("M2", **values)
            for path, argv in ((RUNC, ("init",)),
                               (program("nsexec"), ("sleep", "60"))):
                with self.subTest(values=values, path=path):
                    run = drv.Bootstrap(path, "M2", argv, env={
                        "_LIBCONTAINER_STATEDIR": self.base})
                    self.addCleanup(run.end)
                    run.run(data)
                    self.assertEqual((run.code, run.report), (1, b""))
                    self.assertTrue(run.fatal())
                    run.end()


class Serve(RuncCase):
    """A real runc whose bootstrap program is nsexec."""

    def setUp(self):
        super().setUp()
        # strace writes this path over "/proc/self/exe": 14 bytes and a NUL.
        self.path = "/tmp/nsx" + os.urandom(3).hex()
        init = os.path.join(HERE, "runc_fake_init.py")
        text = ("#!/bin/sh\n"
                "if [ \"$1\" = init ]; then\n"
                f"\tNSEXEC_DIALECT=M2 exec '{program('nsexec')}' {self.path}"
                " go\nfi\n"
                f"exec '{PYTHON}' '{init}'\n")
        fd = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o755)
        self.addCleanup(os.unlink, self.path)
        with os.fdopen(fd, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.path, 0o755)

    def served(self, *args):
        """runc ARGS with nsexec inside; (exit code, what runc said)."""
        poke = (os.fsencode(self.path) + b"\0").hex()
        log = os.path.join(self.base, "strace")
        done = subprocess.run(
            [STRACE, "-f", "-qq", "-e", "trace=execve", "-e", "signal=none",
             "-e", f"inject=execve:poke_enter=@arg1={poke}:when=1",
             "-o", log, *self.runc_argv("--debug", *args)],
            cwd=self.bundle, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=60 * SLOW, check=False)
        with open(log, encoding="utf-8", errors="replace") as f:
            self.assertIn(program("nsexec"), f.read(), done.stderr)
        return done.returncode, done.stdout + done.stderr

    def test_runc_run_comes_to_the_programs_exit(self):
        self.config(args=("/bin/sh", "-c", "exit 42"))
        code, said = self.served("run", self.box)
        self.assertEqual(code, 42, said)
        for stage in ("nsexec", "nsexec-0", "nsexec-1", "nsexec-2"):
            self.assertIn(f'msg="{stage}[', said)

    def test_runc_run_with_a_user_namespace(self):
        rows = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        self.config(KINDS + ("user",), args=(
            "/usr/bin/python3", "-c", "import os\n"
            "print(open('/proc/self/uid_map').read(), os.getuid())"), linux={
                "uidMappings": rows, "gidMappings": rows})
        code, said = self.served("run", self.box)
        self.assertEqual(code, 0, said)
        self.assertRegex(said, r"0 +100000 +65536\n 0\n")

    def test_runc_exec_enters_the_container(self):
        self.config(args=("/bin/sleep", "60"))
        self.runc("run", "-d", self.box, stdout=subprocess.DEVNULL,
                  stderr=subprocess.DEVNULL)
        self.addCleanup(self.runc, "delete", "-f", self.box)
        pid = json.loads(self.runc("state", self.box,
                                   stdout=subprocess.PIPE).stdout)["pid"]
        # The last stage executes in the container's mount namespace: the
        # script must be there under the same path, /tmp of its rootfs.
        expected = sorted(os.readlink(f"/proc/{pid}/ns/{kind}")
                          for kind in ("ipc", "uts", "net", "pid", "mnt"))
        init = os.path.join(self.bundle, "rootfs/tmp/init.py")
        shutil.copy(os.path.join(HERE, "runc_fake_init.py"), init)
        script = os.path.join(self.bundle, "rootfs", self.path.lstrip("/"))
        with open(script, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\nexec /usr/bin/python3 /tmp/init.py\n")
        os.chmod(script, 0o755)
        code, said = self.served(
            "exec", self.box, "/usr/bin/python3", "-c",
            "import os, sys\n"
            "for kind in 'ipc', 'uts', 'net', 'pid', 'mnt':\n"
            "    print(os.readlink('/proc/self/ns/' + kind), flush=True)\n"
            "sys.exit(7)")
        self.assertEqual(code, 7, said)
        found = [line for line in said.splitlines() if ":[" in line and
                 "msg=" not in line]
        self.assertEqual(sorted(found), expected)
        self.runc("kill", self.box, "KILL")
        wait_for(lambda: not alive(pid), what="the container's end")

    def test_a_refused_join_is_told_by_runc_in_nsexecs_words(self):
        self.config(("pid", "mount", "uts",
                     {"type": "network", "path": "/proc/self/ns/uts"}))
        code, said = self.served("run", self.box)
        self.assertEqual(code, 1, said)
        self.assertRegex(said, "level=fatal.*join-check-net.*Invalid argument")


if __name__ == "__main__":
    main()
