# SPDX-License-Identifier: Apache-2.0
"""Each namespace kind, created and joined by path, pid and descriptor, beside
what unshare(1) and nsenter(1) give; id maps read back from the kernel."""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from harness import (KINDS, TestCase, children, main, namespaces,  # noqa: E402
                     wait_for)

# unshare's and nsenter's words for the kinds.
OPTIONS = {"user": "--user", "ipc": "--ipc", "uts": "--uts", "net": "--net",
           "pid": "--pid", "mnt": "--mount", "cgroup": "--cgroup",
           "time": "--time"}
# In a shell, since a new pid or time namespace holds only for children.
SHOW = ("for k in " + " ".join(KINDS) + "; do "
        "readlink /proc/self/ns/$k; done")


def parse(text):
    """{kind: inode} from the output of SHOW."""
    return {line.split(":")[0]: int(line.split("[")[1].rstrip("]"))
            for line in text.split()}


def shell(*argv):
    done = subprocess.run([*argv, "/bin/sh", "-c", SHOW], check=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    return parse(done.stdout.decode())


class Target:
    """A process in eight namespaces of its own, made by unshare(1)."""

    def __init__(self):
        self.parent = subprocess.Popen(
            ["unshare", *OPTIONS.values(), "--map-root-user", "--fork",
             "--kill-child", "/bin/sleep", "1000"], stdin=subprocess.DEVNULL)
        self.pid = wait_for(self._sleeper, 5, "the target")

    def _sleeper(self):
        for pid in children(self.parent.pid):
            with open(f"/proc/{pid}/comm", encoding="ascii") as f:
                if f.read().strip() == "sleep":
                    return pid
        return None

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        self.parent.wait()


class Created(TestCase):
    def run_new(self, *args):
        return parse(self.ctl_ok("run", *args, "--", "/bin/sh", "-c",
                                 SHOW).out)

    def new_kind(self, kind):
        """Only that namespace is new, as it is with unshare."""
        ours = namespaces(os.getpid())
        extra = ("--map-root-user",) if kind == "user" else ()
        got = self.run_new("--new", kind, *extra)
        theirs = shell("unshare", OPTIONS[kind], "--fork", *extra)
        changed = [k for k in KINDS if got[k] != ours[k]]
        self.assertEqual(changed, [k for k in KINDS if theirs[k] != ours[k]])
        self.assertEqual(changed, [kind])

    def test_all_eight_are_new_at_once(self):
        ours = namespaces(os.getpid())
        got = self.run_new("--new", "all", "--map-root-user")
        self.assertEqual([k for k in KINDS if got[k] == ours[k]], [])

    def test_none_is_new_unless_asked_for(self):
        self.assertEqual(self.run_new(), namespaces(os.getpid()))

    def test_time_offsets_are_seen_inside(self):
        with open("/proc/uptime", encoding="ascii") as f:
            outside = float(f.read().split()[0])
        result = self.ctl_ok("run", "--new", "time", "--boottime", "100000",
                             "--monotonic", "5", "--", "/bin/cat",
                             "/proc/uptime", "/proc/self/timens_offsets")
        inside = float(result.out.split()[0])
        self.assertAlmostEqual(inside - outside, 100000, delta=60)
        self.assertRegex(result.out, r"monotonic\s+5\s+0")

    def test_mqueue_of_a_new_user_namespace_belongs_to_its_root(self):
        result = self.ctl("run", "--new", "all", "--map-root-user", "--mount",
                          "type=mqueue,destination=/dev/mqueue", "--",
                          "/usr/bin/stat", "-c", "%u:%g", "/dev/mqueue")
        self.assertEqual((result.code, result.out.strip()), (0, "0:0"), result)


class Joined(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.target = Target()

    @classmethod
    def tearDownClass(cls):
        cls.target.close()
        super().tearDownClass()

    def join(self, kind, how):
        """Joining a kind gives what nsenter with the same kind gives."""
        pid = self.target.pid
        path = f"/proc/{pid}/ns/{kind}"
        if how == "fd":
            fd = os.open(path, os.O_RDONLY)
            try:
                run = self.nsx.ctl_start("run", "--join", f"{kind}=fd:{fd}",
                                         "--", "/bin/sh", "-c", SHOW,
                                         pass_fds=(fd,))
                out, err = run.communicate(timeout=30)
            finally:
                os.close(fd)
            self.assertEqual(run.returncode, 0, (err, self.nsx.log()))
            got = parse(out.decode())
        else:
            word = f"path:{path}" if how == "path" else f"pid:{pid}"
            got = parse(self.ctl_ok("run", "--join", f"{kind}={word}", "--",
                                    "/bin/sh", "-c", SHOW).out)
        theirs = shell("nsenter", f"--target={pid}", OPTIONS[kind])
        self.assertEqual(got, theirs)
        self.assertEqual(got[kind], namespaces(pid)[kind])

    def test_all_eight_by_pid_are_those_of_nsenter_a(self):
        pid = self.target.pid
        args = []
        for kind in KINDS:
            args += ["--join", f"{kind}=pid:{pid}"]
        got = parse(self.ctl_ok("run", *args, "--", "/bin/sh", "-c",
                                SHOW).out)
        self.assertEqual(got, shell("nsenter", "--all", f"--target={pid}"))
        self.assertEqual(got, namespaces(pid))

    def test_network_of_another_user_namespace_is_joined_beside_it(self):
        """The order of joins: a net namespace not owned by the joined user
        namespace must be entered before it."""
        done = subprocess.Popen(["unshare", "--net", "--fork", "--kill-child",
                                 "/bin/sleep", "1000"])
        try:
            pid = wait_for(lambda: (children(done.pid) or [None])[0], 5, "net")
            wait_for(lambda: namespaces(pid)["net"] !=
                     namespaces(os.getpid())["net"], 5, "a new net")
            got = parse(self.ctl_ok(
                "run", "--join", f"user=pid:{self.target.pid}", "--join",
                f"net=pid:{pid}", "--", "/bin/sh", "-c", SHOW).out)
            self.assertEqual(got["net"], namespaces(pid)["net"])
            self.assertEqual(got["user"], namespaces(self.target.pid)["user"])
        finally:
            os.kill(pid, signal.SIGKILL)
            done.wait()

    def test_join_and_new_mix_in_one_request(self):
        got = parse(self.ctl_ok(
            "run", "--join", f"net=pid:{self.target.pid}", "--new", "uts,ipc",
            "--", "/bin/sh", "-c", SHOW).out)
        ours = namespaces(os.getpid())
        self.assertEqual(got["net"], namespaces(self.target.pid)["net"])
        self.assertEqual([k for k in KINDS if got[k] != ours[k]],
                         ["ipc", "uts", "net"])

    def test_path_of_another_kind_is_refused_by_name(self):
        result = self.ctl("run", "--join",
                          f"net=path:/proc/{self.target.pid}/ns/uts", "--",
                          "/bin/true")
        self.assertEqual(result.code, 125, result)
        self.assertIn("net", result.err)

    def test_one_kind_both_new_and_joined_is_refused(self):
        result = self.ctl("run", "--new", "net", "--join",
                          f"net=pid:{self.target.pid}", "--", "/bin/true")
        self.assertEqual(result.code, 125, result)


def _add_kind_tests():
    for kind in KINDS:
        def new(self, kind=kind):
            self.new_kind(kind)
        setattr(Created, f"test_new_{kind}_is_what_unshare_gives", new)
        for how in ("path", "pid", "fd"):
            def join(self, kind=kind, how=how):
                self.join(kind, how)
            setattr(Joined, f"test_join_{kind}_by_{how}_is_what_nsenter_gives",
                    join)


_add_kind_tests()


class Maps(TestCase):
    """Maps as the kernel shows them to the payload."""

    def maps(self, *args):
        """(uid rows, gid rows, setgroups) of a payload."""
        out = self.ctl_ok("run", "--new", "user", *args, "--", "/bin/sh", "-c",
                          "cd /proc/self; cat uid_map; echo; cat gid_map; "
                          "echo; cat setgroups").out
        uid, gid, groups = out.split("\n\n")
        return (*([tuple(int(word) for word in line.split())
                   for line in text.splitlines()] for text in (uid, gid)),
                groups.strip())

    def test_map_root_maps_zero_to_the_caller(self):
        uid, gid, _ = self.maps("--map-root-user")
        self.assertEqual((uid, gid), ([(0, 0, 1)], [(0, 0, 1)]))

    def test_map_current_keeps_the_callers_number(self):
        uid, gid, _ = self.maps("--map-current-user")
        self.assertEqual((uid, gid), ([(0, 0, 1)], [(0, 0, 1)]))

    def test_identity_maps_every_id_to_itself(self):
        uid, gid, groups = self.maps("--map-preset", "identity")
        self.assertEqual((uid, gid), ([(0, 0, 4294967295)],) * 2)
        self.assertEqual(groups, "allow")

    def test_max_uid_maps_root_to_the_highest_id(self):
        uid, gid, groups = self.maps("--map-preset", "max-uid")
        top = uid[0][1]
        self.assertGreater(top, 4000000000)
        expected = [(0, top, 1), (1, 1, top - 1)]
        self.assertEqual((uid, gid), (expected, expected))
        self.assertEqual(groups, "allow")

    def test_explicit_rows_are_written_as_given(self):
        uid, gid, _ = self.maps(
            "--map-users", "0:100000:1000", "--map-users", "1000:0:1",
            "--map-groups", "0:200000:500")
        self.assertEqual(uid, [(0, 100000, 1000), (1000, 0, 1)])
        self.assertEqual(gid, [(0, 200000, 500)])

    def test_340_rows_are_written_in_one_go(self):
        args = []
        for row in range(340):
            args += ["--map-users", f"{row}:{400 + row * 2}:1"]
        uid, _, _ = self.maps(*args, "--map-groups", "0:100000:1")
        self.assertEqual(uid, [(row, 400 + row * 2, 1) for row in range(340)])

    def test_setgroups_is_denied_when_asked_for(self):
        _, _, groups = self.maps("--map-root-user", "--setgroups", "deny")
        self.assertEqual(groups, "deny")


if __name__ == "__main__":
    main()
