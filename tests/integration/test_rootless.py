# SPDX-License-Identifier: Apache-2.0
"""An instance without root anywhere: launcher, spawner, nsexecd and containers
of one ordinary user, with newuidmap and newgidmap for delegated ids, and with
cgroups only where some were delegated.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
from harness import (Instance, TestCase, alive, cgroup2_mount, main, program,
                     wait_for)
from own_etc import OwnEtc  # noqa: E402

UID = 61500
FILES = {
    "passwd": f"root:x:0:0::/:/bin/sh\nrosa:x:{UID}:{UID}::/:/bin/sh\n",
    "subuid": "rosa:300000:65536\n",
    "subgid": "rosa:400000:65536\n",
}
ALL = "user,pid,mnt,net,uts,ipc,cgroup,time"
ETC = OwnEtc()


def setUpModule():
    """rosa and what is delegated to her, in our own mounts alone."""
    ETC.put(FILES)


def tearDownModule():
    ETC.back()


class Rootless(Instance):
    """rosa's own instance."""

    def __init__(self, path="/usr/bin:/bin:/usr/sbin:/sbin"):
        super().__init__(env={"PATH": path, "HOME": "/"})
        if self.cgroup:
            os.rmdir(self.cgroup)
        self.cgroup = None
        os.chown(self.dir, UID, UID)
        os.chown(self.base, UID, UID)
        self.enter = ()  # a cgroup to be in

    def command(self):
        argv = super().command()
        if self.enter:
            argv = ["/bin/sh", "-c", 'echo $$ > "$0"/cgroup.procs; shift 0; '
                    f'exec /usr/bin/setpriv --reuid {UID} --regid {UID} '
                    '--clear-groups "$@"', self.enter, *argv]
            return argv
        return ["/usr/bin/setpriv", "--reuid", str(UID), "--regid", str(UID),
                "--clear-groups", *argv]

    def ctl(self, *args, user=UID, **keywords):
        return super().ctl(*args, user=user, **keywords)


def status(pid, name):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        for line in f:
            if line.startswith(name + ":"):
                return line.split()[1:]
    raise AssertionError(f"no {name} of {pid}")


class RootlessCase(TestCase):
    INSTANCE = False
    AUDIT = False
    MAKE = Rootless

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.nsx = cls.MAKE()
        try:
            cls.nsx.start()
        except BaseException:
            cls.nsx.stop()
            raise

    def setUp(self):
        super().setUp()
        self.addCleanup(self.leave_nothing)

    def leave_nothing(self):
        for name in self.ctl("list", "-q").lines():
            self.ctl("delete", "-f", name)
        wait_for(lambda: self.spawner_children() == [], 5,
                 "the spawner without children")

    def spawner_children(self):
        spawner = self.nsx.spawner_pid()
        with open(f"/proc/{spawner}/task/{spawner}/children",
                  encoding="ascii") as f:
            return [pid for pid in map(int, f.read().split())
                    if pid != self.nsx.nsexecd_pid()]


def renewed_spawner_keeps_what_lives(self):
    """Without root the spawner becomes another program as well."""
    self.ctl_ok("run", "-d", "--name", "over", "--new", "user,pid",
                "--map-auto", "--", "sh", "-c",
                "trap 'exit 6' TERM; while :; do sleep 0.1; done")
    pids = (self.nsx.spawner_pid(), self.nsx.nsexecd_pid())
    for _ in range(3):
        done = subprocess.run(
            ["/usr/bin/setpriv", "--reuid", str(UID), "--regid", str(UID),
             "--clear-groups", program("nsexec-spawner"), "--reload",
             "--run-dir", self.nsx.dir], stdout=subprocess.PIPE, text=True,
            stderr=subprocess.STDOUT, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""))
    self.assertEqual((self.nsx.spawner_pid(), self.nsx.nsexecd_pid()), pids)
    self.assertIn("300000", self.ctl_ok(
        "run", "--new", "user", "--map-auto", "--", "cat",
        "/proc/self/uid_map").out)
    self.ctl_ok("kill", "-s", "TERM", "over")
    self.assertEqual(self.ctl_ok("wait", "over").out.strip(), "6")
    self.ctl_ok("delete", "over")


class OneUser(RootlessCase):
    test_renewed_spawner_keeps_what_lives = renewed_spawner_keeps_what_lives

    def test_all_kinds_of_namespaces_with_the_own_id(self):
        result = self.ctl_ok("run", "--new", ALL, "--map-root-user", "--",
                             "sh", "-c", "id -u; cat /proc/self/uid_map; "
                             "cat /proc/self/setgroups; echo $$")
        lines = result.lines()
        self.assertEqual(lines[0], "0")
        self.assertEqual(lines[1].split(), ["0", str(UID), "1"])
        self.assertEqual(lines[2:], ["deny", "1"])

    def test_delegated_ids_are_written_by_the_set_user_id_programs(self):
        result = self.ctl_ok(
            "run", "--new", "user,mnt,pid", "--map-auto", "--", "sh", "-c",
            "cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups")
        rows = [line.split() for line in result.lines()]
        self.assertIn([str(UID), "1"], [row[1:] for row in rows[:2]])
        self.assertIn(["300000", "65536"], [row[1:] for row in rows[:2]])
        self.assertIn(["400000", "65536"], [row[1:] for row in rows[2:4]])
        self.assertEqual(rows[4], ["allow"])

    def test_rows_of_delegated_ids(self):
        result = self.ctl_ok(
            "run", "--new", "user", "--map-users",
            f"0:{UID}:1,1:300000:10,11:300100:5", "--map-groups", f"0:{UID}:1",
            "--", "cat", "/proc/self/uid_map", "/proc/self/setgroups")
        rows = [line.split() for line in result.lines()]
        self.assertEqual(rows, [["0", str(UID), "1"], ["1", "300000", "10"],
                                ["11", "300100", "5"], ["deny"]])

    def test_ids_of_others_are_refused_in_the_words_of_newuidmap(self):
        self.ctl_refused("MAP_DENIED", "newuidmap", "run", "--new", "user",
                         "--map-users", "0:0:1", "--map-groups", f"0:{UID}:1",
                         "--", "true")
        self.ctl_refused("MAP_DENIED", "newgidmap", "run", "--new", "user",
                         "--map-users", f"0:{UID}:1", "--map-groups",
                         "0:399999:2", "--", "true")

    def test_life_of_a_container(self):
        self.ctl_ok("create", "--name", "c", "--new", "user,pid", "--map-root",
                    "--", "sh", "-c", "sleep 30 & wait")
        init = self.ctl_ok("state", "c").json()["pid"]
        # The stage that waits at the gate is nobody's to trace.
        self.assertEqual(os.stat(f"/proc/{init}/mem").st_uid, 0)
        self.ctl_ok("start", "c")
        wait_for(lambda: len(self.ctl("ps", "c", "-q").lines()) == 2 or
                 len(self.ctl("ps", "c").lines()) >= 3, 5, "both processes")
        self.assertEqual(self.ctl_ok("exec", "c", "--", "sh", "-c",
                                     "echo $(id -u) $(readlink "
                                     "/proc/self/ns/pid)").lines(),
                         ["0 " + os.readlink(f"/proc/{init}/ns/pid")])
        self.assertEqual(self.ctl("exec", "c", "--", "sh", "-c",
                                  "exit 9").code, 9)
        self.ctl_ok("kill", "-s", "KILL", "c")
        self.assertEqual(self.ctl_ok("wait", "c").lines(), ["137"])
        self.ctl_ok("delete", "c")

    def test_kill_of_all_reaches_descendants_without_a_pid_namespace(self):
        self.ctl_ok("run", "-d", "--name", "tree", "--", "sh", "-c",
                    "sh -c 'sleep 31; :' & sleep 32; :")
        init = self.ctl_ok("state", "tree").json()["pid"]

        def below(pid):
            found = []
            with open(f"/proc/{pid}/task/{pid}/children",
                      encoding="ascii") as f:
                for child in map(int, f.read().split()):
                    found += [child] + below(child)
            return found
        wait_for(lambda: len(below(init)) == 3, 5, "three descendants")
        pids = below(init)
        self.ctl_ok("kill", "--all", "-s", "KILL", "tree")
        wait_for(lambda: not any(alive(pid) for pid in pids), 5,
                 "the end of all")

    def test_containers_outlive_nsexecd(self):
        self.ctl_ok("run", "-d", "--name", "stays", "--new", "user,pid",
                    "--map-root", "--", "sh", "-c", "sleep 2; exit 5")
        self.nsx.kill_nsexecd()
        self.assertEqual(self.ctl_ok("state", "stays").json()["status"],
                         "running")
        self.assertEqual(self.ctl_ok("wait", "stays").lines(), ["5"])

    def test_reload_hands_connections_over(self):
        self.ctl_ok("run", "-d", "--name", "waited", "--", "sh", "-c",
                    "sleep 3; exit 6")
        waits = self.nsx.ctl_start("wait", "waited", user=UID)
        for _ in range(10):  # until it was connected at one of them
            self.nsx.kill_nsexecd(signal.SIGHUP)
            if re.search("reloaded: [1-9]", self.nsx.log()):
                break
        self.assertEqual(waits.communicate()[0], b"6\n")
        self.assertRegex(self.nsx.log(), "reloaded: [1-9]")

    def test_nobody_of_it_is_root_or_has_a_capability(self):
        self.ctl_ok("run", "-d", "--name", "plain", "--", "sleep", "33")
        plain = self.ctl_ok("state", "plain").json()["pid"]
        for pid in (self.nsx.spawner_pid(), self.nsx.nsexecd_pid(), plain):
            self.assertEqual(set(status(pid, "Uid")), {str(UID)})
            for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                self.assertEqual(int(status(pid, name)[0], 16), 0)
        self.assertEqual(status(plain, "NoNewPrivs"), ["1"])
        self.assertEqual(status(self.nsx.nsexecd_pid(), "NoNewPrivs"), ["1"])
        self.assertEqual(status(self.nsx.nsexecd_pid(), "Seccomp"), ["2"])

    def test_other_users_are_not_served(self):
        sock = self.nsx.socket_path
        self.assertEqual(os.stat(sock).st_mode & 0o777, 0o600)
        self.assertEqual(self.ctl("version", user=UID + 1).code, 5)
        # Root passes the file's mode, and gets nothing all the same.
        self.ctl_refused("PERMISSION_DENIED", "its own user alone", "run",
                         "--", "true", user=0)

    def test_other_groups_than_its_own_are_not_served(self):
        done = subprocess.run(
            ["setpriv", "--reuid", str(UID), "--regid", "61501",
             "--clear-groups", *self.nsx.ctl_argv("run", "--", "true")],
            env=self.nsx.env, capture_output=True, text=True, timeout=20,
            check=False)
        self.assertIn("its own user alone", done.stderr)
        self.assertEqual(done.returncode, 125)

    def test_namespaces_without_a_user_namespace_are_refused(self):
        self.ctl_refused("NEED_USERNS", "user", "run", "--new", "net", "--",
                         "true")

    def test_features_and_doctor_say_what_is_less(self):
        features = self.ctl_ok("features").json()
        text = str(features)
        for word in ("rootless", "container-cgroups",
                     "delegated-ids-without-uidmap", "other-users"):
            self.assertIn(word, text)
        doctor = self.ctl("doctor")
        self.assertIn("rootless", doctor.out)
        self.assertIn("process tree", doctor.out)


class WithoutTools(RootlessCase):
    @staticmethod
    def MAKE():
        return Rootless(path="/nonexistent")

    def test_own_id_works_and_the_rest_names_what_is_missing(self):
        self.ctl_ok("run", "--new", "user", "--map-root-user", "--",
                    "/bin/true")
        self.ctl_refused("MAP_DENIED", "package uidmap", "run", "--new",
                         "user", "--map-auto", "--", "/bin/true")


class Limited(Rootless):
    """In a user namespace whose limit for net namespaces is 0."""
    # Its maps are written from outside, by a child that stays there.
    ENTER = """
import ctypes, os, sys
go = os.pipe()
if os.fork() == 0:
    os.read(go[0], 1)
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{os.getppid()}/{name}", "w") as f:
            f.write("0 0 4294967295")
    os._exit(0)
assert ctypes.CDLL(None).unshare(0x10000000) == 0
os.write(go[1], b"g")
os.wait()
with open("/proc/sys/user/max_net_namespaces", "w") as f:
    f.write("0")
os.execv(sys.argv[1], sys.argv[1:])
"""
    AS_ROSA = ("setpriv", "--reuid", str(UID), "--regid", str(UID),
               "--clear-groups")

    def command(self):
        return [sys.executable, "-c", self.ENTER, *super().command()]

    def ctl_argv(self, *args):
        return ["nsenter", "--user", "--preserve-credentials", "-t",
                str(self.spawner_pid()), *self.AS_ROSA,
                *super().ctl_argv(*args)]

    def ctl(self, *args, user=None, **keywords):
        return super().ctl(*args, user=None, **keywords)


class NamespacesCounted(RootlessCase):
    MAKE = Limited

    def test_row43_a_limit_of_the_kernel_is_ns_limit(self):
        self.ctl_ok("run", "--new", "user,uts", "--map-root-user", "--",
                    "/bin/true")
        self.ctl_refused("NS_LIMIT", "", "run", "--new", "user,net",
                         "--map-root-user", "--", "/bin/true")


class DelegatedCgroup(RootlessCase):
    """As systemd does it with Delegate=yes: a subtree that is the user's."""
    test_renewed_spawner_keeps_what_lives = renewed_spawner_keeps_what_lives

    @classmethod
    def setUpClass(cls):
        mount = cgroup2_mount()
        if not mount:
            raise cls.skipTest("needs cgroup2")
        cls.place = tempfile.mkdtemp(prefix="nsxtest-", dir=mount)
        for name in ("", "cgroup.procs", "cgroup.threads",
                     "cgroup.subtree_control"):
            os.chown(os.path.join(cls.place, name), UID, UID)
        super().setUpClass()

    @classmethod
    def MAKE(cls):
        instance = Rootless()
        instance.enter = cls.place
        return instance

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        wait_for(lambda: remove(cls.place), 8, "an empty cgroup")

    def test_each_container_has_a_cgroup_of_its_own(self):
        self.ctl_ok("run", "-d", "--name", "c", "--new", "user,pid",
                    "--map-root", "--", "sh", "-c", "sleep 34 & sleep 35")
        pid = self.ctl_ok("state", "c").json()["pid"]
        with open(f"/proc/{pid}/cgroup", encoding="ascii") as f:
            path = [line for line in f if line.startswith("0::")][0]
        self.assertIn(os.path.basename(self.place) + "/nsexecd-", path)
        self.assertIn(f"/u{UID}/", path)
        self.assertIn("'container-cgroups': {'present': True",
                      str(self.ctl_ok("features").json()))
        self.assertEqual(self.ctl_ok("exec", "c", "--", "sh", "-c",
                                     "id -u").lines(), ["0"])
        self.ctl_ok("kill", "--all", "-s", "KILL", "c")
        self.assertEqual(self.ctl_ok("wait", "c").lines(), ["137"])


def remove(path):
    try:
        os.rmdir(path)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
