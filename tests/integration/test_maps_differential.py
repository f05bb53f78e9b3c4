#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random id maps of several users: our decision against the real newuidmap and
newgidmap, and what our mapper then writes against what they write.

Names and delegations are files of our own, bound over those of /etc in this
test's mount namespace, read by nsexec-resolver for us and by shadow for them.
A difference must be one that the table in doc/IDMAPS.md names; where we allow
what the tools refuse, the kernel alone must allow it too.

usage: test_maps_differential.py [--long] [TEST...]   (--long: 50 times as many)
"""
import concurrent.futures
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
# pylint: disable=wrong-import-position
from harness import TOP, TestCase, main, program  # noqa: E402

LONG = "--long" in sys.argv or bool(os.environ.get("NSX_LONG"))
ROUNDS = 100000 if LONG else 1800
STAGE_ROUNDS = 10000 if LONG else 120
SEED = int(os.environ.get("NSX_SEED", "20240511"))
LAST = 4294967294

PASSWD = """root:x:0:0::/:/bin/sh
alice:x:61000:61000::/:/bin/sh
bob:x:61001:61001::/:/bin/sh
carol:x:61002:61002::/:/bin/sh
dave:x:61003:61003::/:/bin/sh
frank:x:61005:61005::/:/bin/sh
frank2:x:61005:7::/:/bin/sh
grace:x:61006:61006::/:/bin/sh
heidi:x:61007:61007::/:/bin/sh
ivan:x:61008:61008::/:/bin/sh
judy:x:61009:61009::/:/bin/sh
ken:x:61010:61010::/:/bin/sh
leo:x:61011:0::/:/bin/sh
mia:x:61012:61012::/:/bin/sh
"""
# judy's group has the number of bob: a trap for who asks by group.
GROUP = "root:x:0:\njudy:x:61001:\nalice:x:61000:\n"
SUBUID = """# no line
alice:100000:65536
alice:165536:1000
alice:300000:10
alice:300005:20
alice:400000:1
61001:500000:65536
61001:565536:10
dave:600000:65536
61004:650000:100
frank:700000:100
frank2:700100:100
61005:700200:100
grace:1:4294967294
heidi:0:0
ken:0:100
ken:61010:2
leo:800000:100
mia:0xdbba0:0100
mia:900064:-1
mia:4294967290:10
mia:905000:10:more
mia:906000
mia:+5:4
+mia:907000:10
mia: 908000:10
ghost:909000:10
""" + "".join(f"ivan:{2000000 + i * 20}:10\n" for i in range(70))
# Every number otherwise: a mix-up of the two sides must show.
SUBGID = re.sub(r"(?<=:)([1-9]\d{5}):", lambda m: f"{int(m[1]) + 3000}:",
                SUBUID)
# (uid, gid): whoever runs the tools
CALLERS = [(61000, 61000), (61001, 61001), (61002, 61002), (61003, 61003),
           (61003, 61099), (61004, 61004), (61005, 61005), (61005, 7),
           (61006, 61006), (61007, 61007), (61008, 61008), (61009, 61009),
           (61010, 61010), (61011, 0), (61012, 61012)]


def delegated(text, uid):
    """Ranges near which a caller's rows are made; no parser of the truth."""
    names = re.findall(rf"^(\w+):x:{uid}:", PASSWD, re.M) + [str(uid)]
    found = []
    for line in text.splitlines():
        fields = line.split(":")
        if fields[0] in names and len(fields) > 2:
            first, count = (int(x, 16 if "x" in x else 10)
                            for x in fields[1:3])
            if first >= 0 and count > 0:
                found.append((first, count))
    return found


class Maker:
    """Random maps of one caller on one side."""

    def __init__(self, source, own, ranges):
        self.random = source
        self.own = own
        self.ranges = ranges or [(100000, 65536)]

    def row(self):
        """(outside, count), near the edges where decisions change."""
        pick = self.random
        first, count = pick.choice(self.ranges)
        kind = pick.randrange(12)
        if kind < 3:
            return self.own, 1
        if kind < 5:
            return first, count
        if kind < 8:  # within
            start = pick.randrange(min(count, 1 << 30))
            return first + start, 1 + pick.randrange(min(count - start, 999))
        if kind == 8:  # over both edges, or none
            start = max(0, first + pick.randrange(-2, 3))
            return start, max(0, first + count + pick.randrange(-2, 3) - start)
        if kind == 9:  # on into the next
            other, size = pick.choice(self.ranges)
            return first, max(0, other + size - first)
        if kind == 10:
            return pick.choice((0, 1, self.own, self.own - 1, LAST, LAST + 1,
                                LAST + 2, 1 << 33)), pick.choice((1, 2))
        return pick.randrange(1 << 32), pick.choice((0, 1, 65536, LAST,
                                                     LAST + 1, LAST + 2))

    def rows(self):
        pick = self.random
        rows, inside = [], 0
        for _ in range(pick.choice((1, 1, 1, 2, 2, 3, 5, 7))):
            outside, count = self.row()
            if pick.randrange(20) == 0:
                inside = pick.choice((0, 1, LAST, LAST + 1, 1 << 32,
                                      pick.randrange(1 << 32)))
            rows.append((inside, outside, count))
            inside += count
        return rows


def text_of(rows):
    return ",".join(":".join(map(str, row)) for row in rows)


class Differential(TestCase):
    INSTANCE = False
    RECORDS = {}

    def setUp(self):
        super().setUp()
        self.dir = tempfile.mkdtemp(prefix="nsx-maps.")
        self.addCleanup(shutil.rmtree, self.dir)
        os.chmod(self.dir, 0o755)
        self.random = random.Random(SEED)
        self.differences = {}
        for name, text in (("passwd", PASSWD), ("group", GROUP),
                           ("subuid", SUBUID), ("subgid", SUBGID),
                           ("login.defs", "")):
            self.bind(name, text)
        self.resolve()

    def bind(self, name, text):
        source = os.path.join(self.dir, name)
        with open(source, "w", encoding="ascii") as f:
            f.write(text)
        if not os.path.ismount(f"/etc/{name}"):
            subprocess.run(["mount", "--bind", source, f"/etc/{name}"],
                           check=True)
            self.addCleanup(subprocess.run, ["umount", f"/etc/{name}"],
                            check=True)

    def resolve(self, login_defs=""):
        """What nsexec-resolver says of each, asked once of the same files."""
        tool = shutil.copy(program("nsexec-resolver"), self.dir)
        for uid in {uid for uid, _ in CALLERS}:
            if (uid, login_defs) not in self.RECORDS:
                self.RECORDS[uid, login_defs] = subprocess.run(
                    ["sh", "-c", f"exec 3>&1 >/dev/null; exec setpriv --reuid "
                     f"54321 --regid 54321 --clear-groups env -i {tool} "
                     f"user {uid}"], stdout=subprocess.PIPE,
                    check=True).stdout
            with open(self.record(uid), "wb") as f:
                f.write(self.RECORDS[uid, login_defs])

    def record(self, uid):
        return os.path.join(self.dir, str(uid))

    def maker(self, caller, side):
        return Maker(self.random, caller[side == "g"],
                     delegated(SUBGID if side == "g" else SUBUID, caller[0]))

    def probe_run(self, lines):
        return subprocess.run([program("tests/integration/maps_probe")],
                              input="".join(lines), stdout=subprocess.PIPE,
                              check=True, text=True).stdout

    def probe(self, cases):
        """[(why, delegated, tool, kernel, setgroups, same)] of the cases."""
        lines = [f"{self.record(uid)} {uid} {gid} {side} {text_of(rows)}\n"
                 for (uid, gid), side, rows in cases]
        half = (len(lines) + 1) // 2
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            texts = list(pool.map(self.probe_run, (lines[:half],
                                                   lines[half:])))
        answers = []
        for line in "".join(texts).splitlines():
            words = line.split()
            answers.append((int(words[0]), words[1] == "1", int(words[2]),
                            int(words[3]), words[4], words[5] == "1"))
        self.assertEqual(len(answers), len(cases))
        return answers

    def known_difference(self, case, answer):
        """The name of a difference, as the table in doc/IDMAPS.md has it."""
        (uid, gid), side, rows = case
        why, _, tool, kernel, _, _ = answer
        if why == 0 and tool != 0:
            if [row[1:] for row in rows] == [(gid if side == "g" else uid, 1)]:
                self.assertEqual(kernel, 0, (case, answer))
                return "own-alone"
            return None
        if why == 4:
            return "host-zero"
        if why == -1 and sum(len(" ".join(map(str, r))) + 1
                             for r in rows) == 4095:
            return "page"
        if why == 5 and uid == 61007:
            return "zero-zero"
        if why == 5 and uid == 61008:
            return "many-ranges"
        return None

    def judge(self, case, answer):
        why, is_delegated, tool, kernel, setgroups, same = answer
        if (why == 0) != (tool == 0):
            name = self.known_difference(case, answer)
            self.assertIsNotNone(name, f"seed {SEED}: {case}: {answer}")
            self.differences.setdefault(name, []).append(case)
            return
        if tool != 0:
            # nor does the kernel alone give what both refuse, but for the own
            # id under a number that it reads modulo 2^32
            own = case[0][case[1] == "g"]
            if [(row[1] % 2 ** 32, row[2] % 2 ** 32) for row in case[2]] != \
                    [(own, 1)]:
                self.assertNotEqual(kernel, 0,
                                    f"seed {SEED}: {case}: {answer}")
            return
        self.assertTrue(same, (case, answer))
        if case[1] == "u" or (setgroups == "a") == is_delegated:
            return
        # theirs takes the own gid for a delegated one
        self.assertEqual((case[0][0], setgroups), (61007, "a"), (case, answer))
        self.differences.setdefault("zero-zero", []).append(case)

    def compare(self, callers, rounds):
        cases = []
        for i in range(rounds):
            caller = callers[i % len(callers)]
            side = self.random.choice("ug")
            cases.append((caller, side, self.maker(caller, side).rows()))
        answers = self.probe(cases)
        for case, answer in zip(cases, answers):
            self.judge(case, answer)
        # a proof by refusals alone would be none
        allowed = sum(answer[0] == 0 for answer in answers)
        self.assertGreater(allowed, rounds // 8)
        self.assertLess(allowed, rounds - rounds // 8)
        with open(os.path.join(TOP, "doc", "IDMAPS.md"),
                  encoding="utf-8") as f:
            written = set(re.findall(r"^\| ([a-z-]+-[a-z-]+|page) \|",
                                     f.read(), re.M))
        self.assertLessEqual(set(self.differences), written)

    def test_random_maps_are_decided_as_newuidmap_and_newgidmap_do(self):
        self.compare(CALLERS, ROUNDS)

    def test_random_maps_of_any_group_are_decided_so_too(self):
        any_group = "GRANT_AUX_GROUP_SUBIDS yes\n"
        self.bind("login.defs", any_group)
        self.resolve(any_group)
        self.compare([(61003, 61099), (61000, 7), (61001, 61001), (61004, 7)],
                     ROUNDS // 8)
        self.assertTrue(all(case[0][0] == 61004 for case in
                            self.differences.get("own-alone", [])))

    def decided(self, caller, side, rows):
        """True, False, or the name of a known difference."""
        case = (caller, side, rows)
        answer = self.probe([case])[0]
        self.differences = {}
        self.judge(case, answer)
        return next(iter(self.differences), answer[0] == 0)

    def test_table_of_the_ends_of_the_id_space(self):
        grace = (61006, 61006)
        for rows, wanted in (
                ([(0, 1, LAST)], True),
                ([(1, 1, LAST)], True),
                ([(2, 1, LAST)], False),
                ([(0, 2, LAST)], False),
                ([(0, LAST, 1)], True),
                ([(0, LAST, 2)], False),
                ([(0, LAST + 1, 1)], False),
                ([(0, LAST + 2, 1)], False),
                ([(LAST, LAST, 1)], True),
                ([(LAST + 1, LAST, 1)], False),
                ([(LAST + 2, LAST, 1)], False),
                ([(0, 1, LAST + 1)], False),
                ([(0, 1, LAST + 2)], False),
                ([(0, 1, LAST + 3)], False),
                ([(0, 0, 1)], False),
                ([(0, 1 << 32, 1)], False),
                ([(0, 1 << 64, 1)], False),
                ([(0, 1, 1), (1, 2, LAST - 1)], True),
                ([(0, 1, 1), (1, 1, 1)], False),
                ([(0, 1, 1), (0, 2, 1)], False),
                ([(0, 1, 0)], False)):
            for side in "ug":
                with self.subTest(rows=rows, side=side):
                    self.assertEqual(self.decided(grace, side, rows), wanted)

    def test_numbers_of_rows_and_bytes_end_where_the_kernels_do(self):
        grace = (61006, 61006)
        rows = [(i, 9000 + i, 1) for i in range(341)]
        self.assertIs(self.decided(grace, "u", rows[:340]), True)
        self.assertIs(self.decided(grace, "g", rows[:340]), True)
        self.assertIs(self.decided(grace, "u", rows), False)
        # and one row more, of 14 to 16 bytes
        rows = [(100000 + i, 4000000000 + 2 * i, 1) for i in range(204)]
        used = sum(len(" ".join(map(str, r))) + 1 for r in rows)
        self.assertEqual(used, 4080)
        for inside, outside, wanted in ((123456, 2345, True),
                                        (1234567, 2345, "page"),
                                        (12345678, 2345, False)):
            last = [(inside, outside, 1)]
            with self.subTest(last=last):
                self.assertEqual(self.decided(grace, "u", rows + last), wanted)

    def test_a_number_of_a_group_is_nobodys_uid(self):
        """judy's group is 61001, bob's uid: bob's lines are not hers."""
        for side, first in (("u", 500000), ("g", 503000)):
            rows = [(0, first, 10)]
            self.assertIs(self.decided((61001, 61001), side, rows), True)
            self.assertIs(self.decided((61009, 61009), side, rows), False)

    def test_host_0_is_refused_even_where_it_is_delegated(self):
        for side in "ug":
            self.assertEqual(self.decided((61010, 61010), side, [(0, 0, 1)]),
                             "host-zero")
            self.assertEqual(self.decided((61010, 61010), side, [(0, 0, 9)]),
                             "host-zero")
            self.assertIs(self.decided((61010, 61010), side, [(0, 1, 9)]),
                          True)
        # but a group of one's own is one's own, with setgroups denied
        self.assertIs(self.decided((61011, 0), "g", [(0, 0, 1)]), True)
        self.assertEqual(self.probe([((61011, 0), "g", [(0, 0, 1)])])[0][4],
                         "d")

    def stage(self, caller, uid_rows, gid_rows):
        """What a payload sees of its maps, or None if they are refused."""
        done = subprocess.run(
            [program("tests/integration/stage_driver"),
             f"caller={caller[0]}:{caller[1]}",
             f"user={self.record(caller[0])}", "new=user",
             *(f"{name}=" + ";".join(" ".join(map(str, r)) for r in rows)
               for name, rows in (("uidmap", uid_rows), ("gidmap", gid_rows))),
             "--", "/bin/cat", "/proc/self/uid_map", "/proc/self/gid_map",
             "/proc/self/setgroups"], check=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        failed = re.search(r"^failed (\S+) (\S+) ", done.stdout, re.M)
        if failed:
            self.assertEqual(failed.groups(), ("relay", "map-check"),
                             (caller, uid_rows, gid_rows, done.stdout))
            return None
        shown = re.findall(r"^ *(\d+) +(\d+) +(\d+)$", done.stdout, re.M)
        return (sorted(tuple(map(int, row)) for row in shown),
                re.search(r"^(allow|deny)$", done.stdout, re.M)[1])

    def test_what_the_mapper_writes_is_what_was_decided(self):
        cases, n_started = [], 0
        for i in range(STAGE_ROUNDS):
            caller = CALLERS[i % len(CALLERS)]
            cases += [(caller, side, self.maker(caller, side).rows())
                      for side in "ug"]
            if i % 3 == 0:  # else too few are allowed on both sides
                cases[-1] = (caller, "g", [(0, caller[1], 1)])
        answers = self.probe(cases)
        for i in range(0, len(cases), 2):
            (caller, _, uids), (_, _, gids) = cases[i:i + 2]
            got = self.stage(caller, uids, gids)
            allowed = answers[i][0] == 0 and answers[i + 1][0] == 0
            self.assertEqual(got is not None, allowed, cases[i:i + 2])
            if allowed:
                n_started += 1
                self.assertEqual(got[0], sorted(uids + gids))
                self.assertEqual(got[1] == "allow", answers[i + 1][1])
        self.assertGreater(n_started, STAGE_ROUNDS // 8)


if __name__ == "__main__":
    main()
