# SPDX-License-Identifier: Apache-2.0
"""A refusal says what was wrong, by which rule, and what to change."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from harness import ORDINARY_UID, TestCase, main, program  # noqa: E402


class Refusals(TestCase):
    def refused(self, *args, code=125, **keywords):
        """The typed record of a command that must fail with code."""
        result = self.ctl("--json", *args, **keywords)
        self.assertEqual(result.code, code, result)
        records = []
        for line in result.err.splitlines():
            if line.startswith("{"):
                records.append(json.loads(line))
        self.assertEqual(len(records), 1, result)
        return records[0]

    def run_user(self, *maps):
        return self.refused("run", "--new", "user", *maps, "--", "/bin/true")

    def test_overlapping_map_rows_are_named_with_their_rule(self):
        record = self.run_user("--map-users", "0:100000:10", "--map-users",
                               "5:200000:10", "--map-groups", "0:0:1")
        self.assertEqual(record["code"], "MAP_INVALID")
        self.assertIn("uid[1]", record["object"])
        self.assertIn("row 1: container ids 5..14 overlap row 0 (0..9)",
                      record["rule"])
        self.assertTrue(record["hint"])

    def test_overlap_outside_is_named_too(self):
        record = self.run_user("--map-users", "0:100000:10", "--map-users",
                               "50:100005:10", "--map-groups", "0:0:1")
        self.assertEqual(record["code"], "MAP_INVALID")
        self.assertIn("row 1: host ids 100005..100014 overlap row 0",
                      record["rule"])

    def test_a_row_of_no_ids_is_refused(self):
        record = self.run_user("--map-users", "0:100000:0", "--map-groups",
                               "0:0:1")
        self.assertEqual(record["code"], "MAP_INVALID")

    def test_more_than_340_rows_are_refused_with_the_limit(self):
        rows = []
        for row in range(341):
            rows += ["--map-users", f"{row}:{100000 + row * 2}:1"]
        record = self.run_user(*rows, "--map-groups", "0:0:1")
        self.assertEqual(record["code"], "MAP_INVALID")
        self.assertIn("340", json.dumps(record))

    def test_human_text_says_row_and_rule_without_json(self):
        result = self.ctl("run", "--new", "user", "--map-users", "0:100000:10",
                          "--map-users", "5:200000:10", "--map-groups",
                          "0:0:1", "--", "/bin/true")
        self.assertEqual(result.code, 125)
        self.assertIn("row 1: container ids 5..14 overlap row 0", result.err)

    def test_ordinary_caller_may_not_map_ids_that_are_not_his(self):
        record = self.refused("run", "--new", "user", "--map-users", "0:0:1",
                              "--map-groups", "0:0:1", "--", "/bin/true",
                              user=ORDINARY_UID)
        self.assertEqual(record["code"], "MAP_DENIED")
        self.assertIn("uid map row 0", record["object"])
        self.assertTrue(record["hint"])

    def test_a_missing_namespace_path_is_named(self):
        record = self.refused("run", "--join", "net=path:/nonexistent/ns",
                              "--", "/bin/true")
        self.assertIn("/nonexistent/ns", record["object"])
        self.assertEqual(record["errno"], 2)
        self.assertEqual(record["stage"], "relay")

    def test_failed_step_names_stage_step_syscall_and_errno(self):
        record = self.refused("run", "-w", "/nonexistent/dir", "--",
                              "/bin/true")
        self.assertEqual(record["code"], "STAGE_FAILED")
        self.assertEqual(record["stage"], "init")
        self.assertIn("/nonexistent/dir", record["object"])
        self.assertEqual(record["errno"], 2)
        self.assertTrue(record["syscall"])

    def test_missing_program_has_code_exec_failed(self):
        record = self.refused("run", "--", "/nonexistent/program", code=127)
        self.assertEqual(record["code"], "EXEC_FAILED")
        self.assertEqual(record["errno"], 2)
        self.assertFalse(record["retryable"])

    def test_hostname_without_a_new_uts_namespace_is_refused(self):
        record = self.refused("run", "--hostname", "x", "--", "/bin/true")
        self.assertEqual(record["code"], "INVALID_ARGUMENT")


class Verbs(TestCase):
    def test_unknown_container_is_exit_3(self):
        for verb in (("state", "nobody"), ("start", "nobody"),
                     ("kill", "nobody"), ("wait", "nobody"),
                     ("delete", "nobody"), ("ps", "nobody")):
            with self.subTest(verb=verb):
                self.assertEqual(self.ctl(*verb).code, 3)

    def test_usage_error_is_exit_2(self):
        self.assertEqual(self.ctl("state").code, 2)
        self.assertEqual(self.ctl("no-such-verb").code, 2)
        self.assertEqual(self.ctl("list", "--no-such-option").code, 2)

    def test_run_with_a_usage_error_is_125(self):
        self.assertEqual(self.ctl("run", "--no-such-option").code, 125)

    def test_unreachable_daemon_is_exit_5_and_125_for_run(self):
        env = {"NSEXEC_SOCKET": "unix:/nonexistent/nsexecd.sock"}
        self.assertEqual(self.ctl("list", env=env).code, 5)
        self.assertEqual(self.ctl("run", "--", "/bin/true", env=env).code, 125)

    def test_container_of_another_owner_is_not_found(self):
        self.ctl_ok("run", "-d", "--name", "mine", "--", "/bin/sleep", "100")
        self.assertEqual(self.ctl("state", "mine", user=ORDINARY_UID).code, 3)
        self.assertEqual(self.ctl("kill", "mine", user=ORDINARY_UID).code, 3)
        self.assertNotIn("mine",
                         self.ctl_ok("list", "--json", user=ORDINARY_UID).out)
        self.ctl_ok("delete", "-f", "mine")

    def test_explain_plans_without_starting_anything(self):
        before = self.ctl_ok("list", "-q").out
        result = self.ctl_ok("explain", "run", "--new", "all",
                             "--map-root-user", "--", "/bin/true")
        self.assertTrue(result.out.strip())
        self.assertEqual(self.ctl_ok("list", "-q").out, before)

    def test_idmap_check_tells_row_and_rule(self):
        result = self.ctl("idmap", "check", "--map-users", "0:100000:10",
                          "--map-users", "5:200000:10")
        self.assertNotEqual(result.code, 0)
        self.assertIn("overlap", result.out + result.err)

    def test_version_and_features_answer(self):
        self.assertTrue(self.ctl_ok("version").out.strip())
        self.assertIsInstance(self.ctl_ok("features").json(), dict)


class Confined(TestCase):
    """Root inside a container, which has the host's uid 0 and no rights."""

    def test_root_of_another_user_namespace_is_no_admin(self):
        result = self.ctl("run", "--new", "user,pid,mnt", "--map-root-user",
                          "--", program("nsexecctl"), "run", "--",
                          "/bin/true")
        self.assertEqual(result.code, 125, result)
        self.assertIn("CONFINED", result.err)
        self.assertIn("from outside of the container", result.err)

    def test_root_of_a_net_or_mount_namespace_alone_is_none_either(self):
        for kinds, word in (("net", "netns"), ("mnt", "mntns")):
            result = self.ctl("run", "--new", kinds, "--",
                              program("nsexecctl"), "run", "--", "/bin/true")
            self.assertEqual(result.code, 125, result)
            self.assertIn(f"confined by {word}", result.err)

    def test_root_of_a_hostname_of_its_own_is_root(self):
        result = self.ctl_ok("run", "--new", "uts,ipc", "--",
                             program("nsexecctl"), "run", "--", "/bin/echo",
                             "here")
        self.assertEqual(result.out.strip(), "here")


class Ordinary(TestCase):
    """A caller without any privilege."""

    def test_his_program_runs_with_his_ids_and_no_capability(self):
        out = self.ctl_ok("run", "--", "/bin/sh", "-c",
                          "id -u; id -g; grep -E 'Cap(Eff|Prm|Bnd)|NoNew' "
                          "/proc/self/status", user=ORDINARY_UID).out.split()
        self.assertEqual(out[:2], [str(ORDINARY_UID)] * 2)
        facts = dict(zip(out[2::2], out[3::2]))
        self.assertEqual(int(facts["CapEff:"], 16), 0)
        self.assertEqual(int(facts["CapPrm:"], 16), 0)
        self.assertEqual(facts["NoNewPrivs:"], "1")

    def test_he_gets_eight_namespaces_with_himself_as_root(self):
        out = self.ctl_ok("run", "--new", "all", "--map-root-user", "--",
                          "/bin/sh", "-c", "id -u; cat /proc/self/uid_map",
                          user=ORDINARY_UID).out.split()
        self.assertEqual(out, ["0", "0", str(ORDINARY_UID), "1"])

    def test_he_may_not_create_a_network_without_a_user_namespace(self):
        result = self.ctl("--json", "run", "--new", "net", "--", "/bin/true",
                          user=ORDINARY_UID)
        self.assertEqual(result.code, 125, result)
        self.assertIn("NEED_USERNS", result.err)

    def test_he_may_not_join_the_namespaces_of_root(self):
        result = self.ctl("--json", "run", "--join", "net=pid:1", "--",
                          "/bin/true", user=ORDINARY_UID)
        self.assertEqual(result.code, 125, result)
        self.assertRegex(result.err, "NS_DENIED|PERMISSION_DENIED")

    def test_he_may_not_become_another_user(self):
        result = self.ctl("run", "-u", "0", "--", "/usr/bin/id", "-u",
                          user=ORDINARY_UID)
        self.assertEqual(result.code, 125, result)


if __name__ == "__main__":
    main()
