#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nsexec-resolver: policy files and delegated ranges to records on descriptor
3, or one line and nothing. It runs as an ordinary uid, with files of our own
bound over those of /etc in a mount namespace that ends with it."""
import json
import os
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from harness import (ORDINARY_UID, SANITIZED, TestCase, main,  # noqa: E402
                     program, wait_for)

PASSWD = """root:x:0:0::/:/bin/sh
alice:x:1000:1000::/:/bin/sh
bob:x:1001:100::/:/bin/sh
inside:x:100007:100::/:/bin/sh
many:x:1003:100::/:/bin/sh
"""
SUBUID = """alice:100000:65536
1000:300000:10
bob:400000:65536
alice:500000:10
bob:500000:10
ghost:600000:10
2000:700000:10
700001:800000:5
900100:900200:1
900200:900100:1
950000:950000:2
alice:4294967000:65536
alice:99999999999:5
alice:7:0
not a line
""" + "".join(f"many:{2000000 + i * 10}:10\n" for i in range(70))
SUBGID = "alice:110000:65536\n"
ANYBODY = {"name": "all", "match": {"any": True}}


def policy(*rules):
    return json.dumps({"version": 1, "rules": rules})


class Resolver(TestCase):
    INSTANCE = False

    def setUp(self):
        super().setUp()
        self.dir = tempfile.mkdtemp(prefix="nsx-resolver.")
        self.addCleanup(shutil.rmtree, self.dir)
        os.chmod(self.dir, 0o755)
        # the build may lie where an ordinary user cannot go
        self.program = shutil.copy(program("nsexec-resolver"), self.dir)
        self.etc = os.path.join(self.dir, "etc")
        os.mkdir(self.etc, 0o755)

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.etc, name)
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def argv(self, *args, over=()):
        lines = ["set -e", *(f"mount --bind {shlex.quote(source)} {target}"
                             for source, target in over)]
        lines.append("exec 3>&1 1>/dev/null setpriv --reuid "
                     f"{ORDINARY_UID} --regid {ORDINARY_UID} --clear-groups "
                     f"env -i {shlex.join([self.program, *args])}")
        return ["unshare", "--mount", "sh", "-c", "\n".join(lines)]

    def resolve(self, *args, over=()):
        return subprocess.run(self.argv(*args, over=over), check=False,
                              capture_output=True, timeout=60)

    def refused(self, done, *words):
        """Exit 1, nothing on descriptor 3, one line that has the words."""
        err = done.stderr.decode()
        self.assertEqual(done.returncode, 1, err)
        self.assertEqual(done.stdout, b"")
        self.assertEqual(err.count("\n"), 1, err)
        self.assertTrue(err.startswith("nsexec-resolver: "), err)
        for word in words:
            self.assertIn(word, err)


class Policy(Resolver):
    def read(self, folder=None):
        return self.resolve("policy", "--policy-dir", folder or self.etc)

    def names(self, done):
        """Of the rules of the table that came, in order."""
        self.assertEqual(done.returncode, 0, done.stderr)
        magic, version, size, _, n_files, n_rules = struct.unpack(
            "=6I", done.stdout[:24])
        self.assertEqual((magic, version), (0x5053584e, 1))
        self.assertEqual(size, len(done.stdout))
        self.n_files = n_files
        rule = (size - 24) // 128
        return [done.stdout[24 + (i + 1) * rule - 128:][:40].rstrip(b"\0")
                .decode() for i in range(n_rules)]

    def test_no_files_are_the_defaults(self):
        self.assertEqual(self.names(self.read("/nonexistent/nsexecd")), [])
        self.assertEqual(self.names(self.read()), [])
        self.assertEqual(self.n_files, 0)

    def test_files_are_read_in_the_order_of_their_names(self):
        self.write("policy.d/20-b.json", policy(dict(ANYBODY, name="b")))
        self.write("policy.d/10-a.json", policy(dict(ANYBODY, name="a")))
        self.write("policy.d/9.json", policy(dict(ANYBODY, name="nine")))
        self.write("policy.d/.hidden.json", "{")
        self.write("policy.d/old.json~", "{")
        self.write("policy.d/README", "{")
        self.assertEqual(self.names(self.read()), ["a", "b", "nine"])
        self.write("policy.json", policy(ANYBODY))
        self.assertEqual(self.names(self.read()), ["all", "a", "b", "nine"])
        self.assertEqual(self.n_files, 4)

    def test_one_bad_file_and_there_is_no_table(self):
        self.write("policy.json", policy(ANYBODY))
        self.write("policy.d/a.json",
                   policy({"name": "a", "match": {"uid": [1]},
                           "verbz": []}))
        self.refused(self.read(), "policy.d/a.json:1: rules[0].verbz: ",
                     "no such key")

    def test_a_repeated_key_is_refused(self):
        self.write("policy.json", '{"version": 1, "rules": [], "rules": []}')
        self.refused(self.read(), "policy.json:1", "duplicate")

    def test_another_owner_is_refused(self):
        os.chown(self.write("policy.json", policy()), ORDINARY_UID, 0)
        self.refused(self.read(), "policy.json: ",
                     f"belongs to uid {ORDINARY_UID}", "chown root")

    def test_a_file_that_others_may_write_is_refused(self):
        for mode in (0o664, 0o646, 0o666):
            with self.subTest(mode=oct(mode)):
                self.write("policy.json", policy(), mode)
                self.refused(self.read(), f"mode {mode:04o}", "chmod go-w")

    def test_a_directory_that_others_may_write_is_refused(self):
        self.write("policy.d/a.json", policy())
        os.chmod(os.path.join(self.etc, "policy.d"), 0o775)
        self.refused(self.read(), "policy.d: ", "chmod go-w")
        os.chmod(os.path.join(self.etc, "policy.d"), 0o755)
        os.chmod(self.etc, 0o757)
        self.refused(self.read(), f"{self.etc}: ", "chmod go-w")

    def test_symbolic_links_are_refused(self):
        real = self.write("real", policy())
        os.symlink(real, os.path.join(self.etc, "policy.json"))
        self.refused(self.read(), "policy.json: ", "symbolic link")
        os.unlink(os.path.join(self.etc, "policy.json"))
        os.mkdir(os.path.join(self.dir, "elsewhere"), 0o755)
        os.symlink("../elsewhere", os.path.join(self.etc, "policy.d"))
        self.refused(self.read(), "policy.d: ", "symbolic link")
        os.symlink(self.etc, os.path.join(self.dir, "link"))
        self.refused(self.read(os.path.join(self.dir, "link")),
                     "symbolic link")

    def test_what_is_no_file_is_refused_without_waiting(self):
        os.mkfifo(os.path.join(self.etc, "policy.json"), 0o644)
        self.refused(self.read(), "policy.json: ", "no regular file")
        os.unlink(os.path.join(self.etc, "policy.json"))
        os.makedirs(os.path.join(self.etc, "policy.d", "x.json"))
        self.refused(self.read(), "policy.d/x.json: ", "no regular file")
        shutil.rmtree(os.path.join(self.etc, "policy.d"))
        self.write("policy.d", policy())
        self.refused(self.read(), "policy.d: ", "no directory")

    def test_a_huge_file_is_refused(self):
        self.write("policy.json", policy() + " " * 65536)
        self.refused(self.read(), "policy.json: more than 64 KiB")
        self.write("policy.json", policy().ljust(65536))
        self.assertEqual(self.names(self.read()), [])

    def test_an_unreadable_file_is_no_absent_file(self):
        self.write("policy.json", policy(), 0o600)
        self.refused(self.read(), "policy.json: ", "cannot open")

    def test_names_and_numbers_of_files_are_bounded(self):
        self.write("policy.d/a b\n.json", policy())
        self.refused(self.read(), "rename it")
        shutil.rmtree(os.path.join(self.etc, "policy.d"))
        for i in range(64):
            self.write(f"policy.d/{i}.json", policy())
        self.refused(self.read(), "more than 63 files")

    def test_deep_nesting_is_refused(self):
        self.write("policy.json", "[" * 30000)
        self.refused(self.read(), "nested deeper than 8")

    def test_a_reader_that_goes_is_told_and_nothing_hangs(self):
        process = subprocess.Popen(
            self.argv("policy", "--policy-dir", self.etc),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with process:
            process.stdout.close()
            self.assertIn(b"Broken pipe", process.stderr.read())
            self.assertEqual(process.wait(60), 1)

    def test_it_keeps_no_privilege_and_four_descriptors(self):
        # the table is larger than a pipe: it waits in its last step
        process = subprocess.Popen(
            self.argv("policy", "--policy-dir", self.etc),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL, pass_fds=(0, 1, 2))
        with process:
            proc = f"/proc/{process.pid}"

            def waits():
                with open(f"{proc}/wchan", encoding="ascii") as f:
                    return "pipe" in f.read() and \
                        "resolver" in os.readlink(f"{proc}/exe")
            wait_for(waits, what="a full pipe")
            with open(f"{proc}/status", encoding="ascii") as f:
                status = dict(line.rstrip("\n").split(":\t", 1)
                              for line in f if ":\t" in line)
            self.assertEqual(status["NoNewPrivs"], "1")
            for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                self.assertEqual(int(status[name], 16), 0, name)
            self.assertEqual(sorted(os.listdir(f"{proc}/fd")),
                             ["0", "1", "2", "3"])
            self.assertEqual(os.readlink(f"{proc}/cwd"), "/")
            with open(f"{proc}/limits", encoding="ascii") as f:
                limits = f.read()
            self.assertRegex(limits, r"Max core file size +0 +0 ")
            if not SANITIZED:
                self.assertRegex(limits, r"Max processes +0 +0 ")
                self.assertEqual(os.stat(f"{proc}/environ").st_uid, 0,
                                 "it can be traced")
                self.assertRegex(limits, r"Max address space +536870912 ")
            self.assertEqual(len(self.names(subprocess.CompletedProcess(
                [], 0, process.stdout.read(), b""))), 0)
            self.assertEqual(process.wait(60), 0)


class User(Resolver):
    def setUp(self):
        super().setUp()
        self.files = {"passwd": PASSWD, "subuid": SUBUID, "subgid": SUBGID}

    def look(self, uid):
        over = [(self.write(name, text), f"/etc/{name}")
                for name, text in self.files.items()]
        return self.resolve("user", str(uid), over=over)

    def record(self, done, uid):
        """(owner, gid or None, uid ranges, gid ranges)"""
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(done.stdout), 36 + 2 * 64 * 8)
        words = struct.unpack("=265I", done.stdout)
        self.assertEqual(words[:3], (0x5253584e, 2, uid))
        pairs = list(zip(words[9::2], words[10::2]))
        return (words[3], words[5] if words[4] else None,
                pairs[:words[7]], pairs[64:64 + words[8]])

    def test_lines_keyed_by_name_and_by_number_are_found(self):
        owner, gid, uids, gids = self.record(self.look(1000), 1000)
        self.assertEqual((owner, gid), (1000, 1000))
        self.assertEqual(uids, [(100000, 65536), (300000, 10), (500000, 10),
                                (4294967000, 295)])
        self.assertEqual(gids, [(110000, 65536)])

    def test_a_number_in_subgid_is_a_uid_and_no_gid(self):
        self.files["passwd"] += "alias:x:1000:7::/:/bin/sh\n"
        self.files["group"] = "alice:x:1001:\n"
        self.files["subgid"] = ("1001:200000:10\nalias:210000:10\n"
                                "1000:220000:10\nalice:0x35b60:010:x\n")
        self.assertEqual(self.record(self.look(1000), 1000)[3],
                         [(210000, 10), (220000, 10), (220000, 8)])
        self.assertEqual(self.record(self.look(1001), 1001)[3],
                         [(200000, 10)])

    def test_counts_that_wrap_delegate_nothing(self):
        self.files["subuid"] = self.files["subgid"] = (
            "alice:0:0\nalice:100:-1\nalice:100:18446744073709551615\n"
            "alice:4294967295:1\nalice:-1:2\nalice:1:18446744073709551616\n")
        self.assertEqual(self.record(self.look(1000), 1000)[2:], ([], []))

    def test_login_defs_may_give_ranges_to_any_group(self):
        for text, wanted in (("", 0), ("GRANT_AUX_GROUP_SUBIDS yes\n", 1),
                             ("GRANT_AUX_GROUP_SUBIDS\tYES \n", 1),
                             ("#GRANT_AUX_GROUP_SUBIDS yes\n", 0),
                             ("GRANT_AUX_GROUP_SUBIDS yes\n"
                              "GRANT_AUX_GROUP_SUBIDS \"no\"\n", 0)):
            with self.subTest(text=text):
                self.files["login.defs"] = text
                done = self.look(1000)
                self.record(done, 1000)
                self.assertEqual(struct.unpack("=7I", done.stdout[:28])[6],
                                 wanted)

    def test_a_delegated_id_is_its_owners(self):
        for uid, owner in ((100005, 1000), (165535, 1000), (300009, 1000),
                           (400000, 1001), (700000, 2000), (950000, 950000)):
            with self.subTest(uid=uid):
                self.assertEqual(self.record(self.look(uid), uid),
                                 (owner, None, [], []))

    def test_a_delegated_id_of_a_delegated_id_is_the_first_owners(self):
        self.assertEqual(self.record(self.look(800001), 800001)[0], 2000)
        self.refused(self.look(900100), "/etc/subuid: id 900100")

    def test_a_uid_without_entry_and_range_is_its_own(self):
        self.assertEqual(self.record(self.look(54321), 54321),
                         (54321, None, [], []))
        self.assertEqual(self.record(self.look(165536), 165536)[0], 165536)

    def test_a_user_inside_anothers_range_is_its_own(self):
        self.assertEqual(self.record(self.look(100007), 100007),
                         (100007, 100, [], []))

    def test_an_id_of_two_users_is_refused(self):
        self.refused(self.look(500003), "/etc/subuid: id 500003",
                     "uid 1000", "uid 1001", "give each")

    def test_an_id_of_a_user_who_is_no_more_is_refused(self):
        self.refused(self.look(600001), "/etc/subuid: ", "600001",
                     "remove lines")

    def test_root_is_nobodys_delegated_id(self):
        self.files["subuid"] = "alice:0:100\n"
        self.assertEqual(self.record(self.look(0), 0)[0], 0)
        self.files["passwd"] = "alice:x:1000:1000::/:/bin/sh\n"
        self.assertEqual(self.record(self.look(0), 0)[0], 0)
        self.assertEqual(self.record(self.look(99), 99)[0], 1000)

    def test_a_user_with_more_ranges_than_fit_has_the_first(self):
        ranges = self.record(self.look(1003), 1003)[2]
        self.assertEqual(ranges, [(2000000 + i * 10, 10) for i in range(64)])

    def test_without_the_files_nobody_has_a_range(self):
        self.write("passwd", PASSWD)
        for uid, gid in ((1000, 1000), (100005, None)):
            done = self.resolve("user", str(uid), over=[(self.etc, "/etc")])
            self.assertEqual(self.record(done, uid), (uid, gid, [], []))

    def test_an_unreadable_file_is_an_error_and_no_absence(self):
        for name in ("subuid", "subgid"):
            with self.subTest(name=name):
                over = [(self.write(n, t, 0o600 if n == name else 0o644),
                         f"/etc/{n}") for n, t in self.files.items()]
                self.refused(self.resolve("user", "1000", over=over),
                             f"/etc/{name}: cannot be read")

    def test_what_is_no_uid_is_refused(self):
        for word in ("", "-1", "01", "1000 ", "0x0", "4294967295",
                     "4294967296", "alice"):
            with self.subTest(word=word):
                self.refused(self.look(word))
        self.refused(self.resolve("user"))
        self.refused(self.resolve("user", "1", "2"))
        self.refused(self.resolve("users", "1"))
        self.refused(self.resolve())


if __name__ == "__main__":
    main()
