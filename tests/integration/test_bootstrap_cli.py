#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nsexecctl bootstrap and idmap: bytes to text and JSON and back, findings,
exit statuses. No daemon takes part. The messages are the ones of
tests/data/hostile_bootstrap.py, whose encoder shares nothing with ours."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"),
                os.path.join(HERE, "..", "data")]
import hostile_bootstrap as table  # noqa: E402
from harness import ORDINARY_UID, TestCase, main, program  # noqa: E402

E2 = """98 00 00 00 30 f2 01 00 01 00 00 00 00 00 00 00 | 08 00 91 6a 00 00 02 3c
17 00 98 6a 2f 75 73 72 2f 62 69 6e 2f 6e 65 77 75 69 64 6d 61 70 00 00
1d 00 93 6a 30 20 31 30 30 30 20 31 0a 31 20 35 30 30 30 30 30 20 36 35 35 33 36 0a 00 00 00 00
1d 00 94 6a 30 20 31 30 30 30 20 31 0a 31 20 36 30 30 30 30 30 20 36 35 35 33 36 0a 00 00 00 00
17 00 99 6a 2f 75 73 72 2f 62 69 6e 2f 6e 65 77 67 69 64 6d 61 70 00 00
08 00 95 6a 01 00 00 00 | 08 00 97 6a 01 00 00 00   # E2 of doc/BOOTSTRAP.md
"""
E2_TEXT = r"""bootstrap M3 seq 1
clone-flags: user,ipc,uts,pid,mnt
newuidmap-path: /usr/bin/newuidmap
uid-map: 0 1000 1\n1 500000 65536\n
gid-map: 0 1000 1\n1 600000 65536\n
newgidmap-path: /usr/bin/newgidmap
setgroup: true
rootless: true
"""


def ctl(*args, data=b"", user=None):
    data = data.encode() if isinstance(data, str) else data
    with tempfile.TemporaryDirectory() as folder:
        path = program("nsexecctl")
        if user:
            # the build may lie where an ordinary user cannot go
            path = shutil.copy(path, folder)
            os.chmod(folder, 0o755)
        return subprocess.run([path, *args], input=data, capture_output=True,
                              check=False, user=user)


class Bootstrap(TestCase):
    INSTANCE = False

    def check(self, done, code, err=""):
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(err, done.stderr.decode())
        return done.stdout

    def encode(self, text, dialect):
        return self.check(ctl("bootstrap", "encode", "--dialect", dialect,
                              data=text), 0)

    def test_captured_hex_is_printed_and_encodes_to_the_same_bytes(self):
        text = self.check(ctl("bootstrap", "decode", "-d", "M3", "--hex",
                              data=E2), 0)
        self.assertEqual(text.decode(), E2_TEXT)
        want = bytes.fromhex(E2.split("#", maxsplit=1)[0].replace("|", ""))
        self.assertEqual(self.encode(text, "M3"), want)
        hexed = self.check(ctl("bootstrap", "encode", "-d", "M3", "-x",
                               data=text), 0)
        self.assertEqual(bytes.fromhex(hexed.decode()), want)

    def test_escapes_of_strace_are_read(self):
        raw = table.m(table.CLONE)
        text = '"' + "".join(f"\\x{b:02x}" for b in raw) + '"'
        out = self.check(ctl("bootstrap", "decode", "-d", "M3", "-x",
                             data=text), 0)
        self.assertEqual(out, b"bootstrap M3 seq 1\nclone-flags: none\n")

    def test_json_goes_round_too(self):
        out = self.check(ctl("bootstrap", "decode", "-d", "M3", "-x", "--json",
                             data=E2), 0)
        tree = json.loads(out)
        self.assertEqual(tree["attributes"]["uid-map"],
                         r"0 1000 1\n1 500000 65536\n")
        self.assertIs(tree["attributes"]["rootless"], True)
        again = self.check(ctl("bootstrap", "encode", "-d", "M3", "--json",
                               data=out), 0)
        self.assertEqual(again, self.encode(E2_TEXT, "M3"))

    def test_good_messages_of_every_dialect_say_the_same_again(self):
        for dialect, raw in table.good():
            name = dialect.split(":")[0]
            for options in ((), ("--json",)):
                with self.subTest(dialect=dialect, options=options):
                    said = self.check(ctl("bootstrap", "decode", "-d", name,
                                          *options, data=raw), 0)
                    self.check(ctl("bootstrap", "encode", "-d", name, *options,
                                   data=said), 0)

    def test_hostile_messages_are_refused_with_their_text(self):
        for row in table.rows[::7]:
            name, dialect, _, text, raw = row
            if dialect == "NX:EXEC":
                continue
            with self.subTest(name=name):
                self.check(ctl("bootstrap", "decode", "-d", dialect, data=raw),
                           1, text)

    def test_table_of_hostile_messages_is_what_its_script_writes(self):
        with open(os.path.join(HERE, "..", "data", "hostile_bootstrap.txt"),
                  encoding="utf-8") as f:
            lines = [line.rstrip("\n") for line in f if line[0] != "#"]
        self.assertEqual(lines, ["\t".join((*row[:4], table.tokens(row[4])))
                                 for row in table.rows])
        self.assertGreaterEqual(len(lines), 80)

    def test_message_of_another_dialect_is_recognised_in_the_hint(self):
        raw = self.encode(E2_TEXT, "M3")
        self.check(ctl("bootstrap", "decode", "-d", "D2", data=raw), 1,
                   "these bytes are a message of M1, M2, M3")
        done = ctl("bootstrap", "decode", "-d", "D2", "--json", data=raw)
        record = json.loads(done.stderr)
        self.assertEqual(record["code"], "INVALID_ARGUMENT")
        self.assertIn("27288", record["rule"])

    def test_join_only_message_of_2016_is_linted_for_main(self):
        raw = self.encode("bootstrap D2 seq 1\nclone-flags: none\n"
                          "namespace-paths: net:/proc/1/ns/net\n", "D2")
        out = self.check(ctl("bootstrap", "lint", "-d", "D2", data=raw), 1)
        self.assertIn(b"trap joins-nothing-in-M3", out)
        out = self.check(ctl("bootstrap", "lint", "-d", "D2", "--json",
                             data=raw), 1)
        self.assertIn("joins-nothing-in-M3",
                      [f["rule"] for f in json.loads(out)["findings"]])

    def test_clean_message_lints_clean(self):
        raw = self.encode("bootstrap M3 seq 1\nclone-flags: pid,mnt\n"
                          "rootless: false\n", "M3")
        self.assertEqual(self.check(ctl("bootstrap", "lint", "-d", "M3",
                                        data=raw), 0), b"")

    def test_diff_names_each_difference(self):
        other = E2_TEXT.replace("rootless: true", "rootless: false")
        with tempfile.TemporaryDirectory() as folder:
            names = [os.path.join(folder, n) for n in "ab"]
            for name, text in zip(names, (E2_TEXT, other)):
                with open(name, "wb") as out:
                    out.write(self.encode(text, "M3"))
            done = ctl("bootstrap", "diff", "-d", "M3", *names)
            self.assertEqual(self.check(done, 1).decode(),
                             "- rootless: true\n+ rootless: false\n")
            self.check(ctl("bootstrap", "diff", "-d", "M3", names[0],
                           names[0]), 0)

    def test_wrong_order_is_noted(self):
        raw = table.m(table.u32(27287, 0), table.CLONE)
        out = self.check(ctl("bootstrap", "decode", "-d", "M3", data=raw), 0)
        self.assertIn(b"# encoded again, the bytes differ", out)
        out = self.check(ctl("bootstrap", "lint", "-d", "M3", data=raw), 1)
        self.assertIn(b"trap order", out)

    def test_limits_are_named(self):
        rows = "".join(f"{i} {i} 1\\n" for i in range(341))
        self.check(ctl("bootstrap", "encode", "-d", "M3",
                       data=f"bootstrap M3 seq 1\nuid-map: {rows}\n"), 1,
                   "attribute uid map (27283): 341 rows, at most 340")

    def test_wrong_text_names_its_line(self):
        self.check(ctl("bootstrap", "encode", "-d", "M3",
                       data="bootstrap M3 seq 1\n\nfoo: 1\n"), 1,
                   "line 3: foo: no attribute has this name")
        self.check(ctl("bootstrap", "encode", "-d", "M2",
                       data="bootstrap M3 seq 1\n"), 1, "another dialect")

    def test_usage_is_2(self):
        for args in (("decode",), ("-d", "M3"), ("frob", "-d", "M3"),
                     ("decode", "-d", "m3"), ("diff", "-d", "M3", "a"),
                     ("decode", "-d", "M3", "a", "b")):
            with self.subTest(args=args):
                self.check(ctl("bootstrap", *args), 2)
        self.check(ctl("bootstrap", "decode", "-d", "M3", "/nonexistent"), 1,
                   "No such file")


class Idmap(TestCase):
    INSTANCE = False

    def check(self, args, code, text="", data=b"", user=None):
        done = ctl("idmap", *args, data=data, user=user)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(text, (done.stdout + done.stderr).decode())
        return done

    def test_wrong_row_is_named_with_its_rule_and_hint(self):
        done = self.check(("check", "--map-users", "0:1000:10",
                           "--map-users", "9:2000:1"), 1,
                          "uid map: row 1: container ids 9..9 overlap row 0 "
                          "(0..9)")
        self.assertIn(b"hint: ", done.stderr)
        self.check(("check", "-U", "0:1000:1,1:x:1"), 1,
                   "row 1: host id is not a decimal number")
        self.check(("check", "-U", "0:1000:1", "-U", "1:x:1"), 1,
                   "row 1: host id is not a decimal number")
        self.check(("check", "-G", "0:1000:0"), 1, "gid map: row 0: size is 0")
        self.check(("check", "-"), 1, "row 0: host ids 4294967295+1 go beyond",
                   data=b"0 4294967295 1\n")

    def test_right_map_is_0(self):
        self.check(("check", "-U", "0:1000:1", "-G", "0:1000:1,1:5000:10"), 0,
                   "gid map: 2 rows, ok")
        self.check(("check", "-"), 0, "uid map: 1 row, ok",
                   data=b"         0          0 4294967295\n")

    def test_json_error_is_a_record(self):
        done = ctl("idmap", "check", "--json", "-U", "0:1:0")
        record = json.loads(done.stderr)
        self.assertEqual((record["code"], record["row"]), ("MAP_INVALID", 0))
        done = ctl("idmap", "check", "--json", "-U", "1:1:1")
        self.assertEqual(json.loads(done.stdout)["uid"],
                         {"ok": True, "rows": 1, "has_0": False})

    def test_ordinary_user_is_told_what_is_delegated(self):
        self.check(("check", "-U", "0:0:65536"), 1,
                   f"row 0: uid {ORDINARY_UID} may not map uid 0-65535 "
                   f"(allowed: {ORDINARY_UID} alone)", user=ORDINARY_UID)
        self.check(("check", "-U", f"0:{ORDINARY_UID}:1"), 0,
                   user=ORDINARY_UID)

    def test_too_many_rows_are_counted(self):
        rows = ",".join(f"{i}:{i}:1" for i in range(340))
        self.check(("check", "-U", rows), 0, "340 rows, ok")
        self.check(("check", "-U", rows, "-U", "340:340:1"), 1,
                   "341 rows, at most 340")

    def test_presets_are_shown_as_rows(self):
        self.check(("show", "identity"), 0, "uid 0 0 4294967295\n")
        self.check(("show", "map-root"), 0,
                   f"uid 0 {ORDINARY_UID} 1\n", user=ORDINARY_UID)
        tree = json.loads(self.check(("show", "max-uid", "--json"),
                                     0).stdout)
        self.assertEqual(tree["uid"][1]["container_id"], 1)
        self.check(("show", "auto"), 1, "no delegated ranges",
                   user=ORDINARY_UID)

    def test_usage_is_2(self):
        for args in ((), ("check",), ("show",), ("show", "nothing"),
                     ("check", "-U", "0:0:1", "file"), ("frob", "x")):
            with self.subTest(args=args):
                self.check(args, 2)


if __name__ == "__main__":
    main()
