#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Metrics move by exactly what was done, as text that every reader takes, and
show nobody what is another's; the trace of a start tells its points in their
order."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
# pylint: disable=wrong-import-position
import openmetrics  # noqa: E402
from harness import ORDINARY_UID, TestCase, main, program, wait_for  # noqa: E402,E501
from test_fairness import spec, user_client  # noqa: E402
from ttrpc_client import Client, RpcError  # noqa: E402

OTHER = ORDINARY_UID + 1
ALL = ("--new", "all", "--map-root-user")


class Figures:
    """One text, read strictly: of("name", label="value") is a number."""

    def __init__(self, text):
        self.text = text
        self.families = openmetrics.parse(text)

    def of(self, name, suffix=None, **labels):
        family = self.families["nsexecd_" + name]
        if suffix is None:
            suffix = "_total" if family.type == "counter" else ""
        return family.samples.get((suffix, tuple(sorted(labels.items()))), 0)

    def moved(self, before):
        """{(name, labels): by how much} of all counters that moved."""
        found = {}
        for name, family in self.families.items():
            for (suffix, labels), value in family.samples.items():
                if suffix not in ("_total", "_count"):
                    continue
                old = before.families[name].samples.get((suffix, labels), 0)
                if value != old and "cpu" not in name:
                    key = name.removeprefix("nsexecd_")
                    found[(key, *(v for _, v in labels))] = value - old
        return found


class MetricsCase(TestCase):
    def figures(self, user=None):
        return Figures(self.ctl_ok("metrics", user=user).out)

    def user(self, uid):
        client = user_client(self.nsx.socket_path, uid)
        self.addCleanup(client.close)
        return client

    def admin(self):
        client = Client(self.nsx.socket_path)
        self.addCleanup(client.close)
        return client

    @classmethod
    def warm_up(cls):
        super().warm_up()
        for uid in (ORDINARY_UID, OTHER):
            client = user_client(cls.nsx.socket_path, uid)
            client.call("Version", {})
            client.close()


class Counts(MetricsCase):
    def test_three_runs_are_three_in_each_place(self):
        before = self.figures()
        for _ in range(3):
            self.ctl_ok("run", *ALL, "--", "/bin/true")
        self.assertEqual(self.figures().moved(before), {
            ("starts", "run"): 3, ("programs_started", "init"): 3,
            ("exits", "zero", "init"): 3,
            ("start_phase_seconds", "admit"): 3,
            ("start_phase_seconds", "spawn"): 3,
            ("start_phase_seconds", "setup"): 3,
            ("start_phase_seconds", "exec"): 3,
            ("start_duration_seconds", "run"): 3,
            ("program_duration_seconds",): 3})

    def test_a_program_that_is_not_there_is_a_failure_of_init(self):
        before = self.figures()
        self.assertEqual(self.ctl("run", "--", "/no/such").code, 127)
        self.assertEqual(self.figures().moved(before), {
            ("starts", "run"): 1, ("errors", "EXEC_FAILED"): 1,
            ("start_failures", "EXEC_FAILED", "init"): 1})

    def test_a_wrong_request_is_an_error_and_no_start(self):
        before = self.figures()
        client = self.admin()
        with self.assertRaises(RpcError):
            client.call("Run", {"spec": {}})
        with self.assertRaises(RpcError):
            client.call("State", {"id": "nobody"})
        self.assertEqual(self.figures().moved(before), {
            ("errors", "INVALID_ARGUMENT"): 1, ("errors", "NOT_FOUND"): 1})

    def test_every_way_to_end_is_counted_as_itself(self):
        before = self.figures()
        self.assertEqual(self.ctl("run", "--", "/bin/sh", "-c",
                                  "exit 3").code, 3)
        self.ctl_ok("run", "-d", "--name", "k", *ALL, "--", "/bin/sleep", "99")
        self.ctl_ok("exec", "k", "/bin/true")
        self.assertEqual(self.ctl("exec", "k", "/bin/false").code, 1)
        self.assertEqual(self.ctl("exec", "k", "/no/such").code, 127)
        now = self.figures()
        self.assertEqual(now.of("containers", state="running"), 1)
        self.assertEqual(now.of("execs"), 0)
        self.ctl_ok("kill", "-s", "KILL", "k")
        self.assertEqual(self.ctl_ok("wait", "k").out.strip(), "137")
        self.assertEqual(self.figures().of("containers", state="stopped"), 1)
        self.ctl_ok("delete", "k")
        after = self.figures()
        self.assertEqual(after.of("containers", state="stopped"), 0)
        self.assertEqual(
            {key: value for key, value in after.moved(before).items()
             if "seconds" not in key[0]}, {
                ("starts", "run"): 2, ("starts", "exec"): 3,
                ("programs_started", "init"): 2,
                ("programs_started", "exec"): 2,
                ("start_failures", "EXEC_FAILED", "init"): 1,
                ("errors", "EXEC_FAILED"): 1,
                ("exits", "code", "init"): 1, ("exits", "signal", "init"): 1,
                ("exits", "zero", "exec"): 1, ("exits", "code", "exec"): 1})
        self.assertEqual(after.moved(before)[
            ("start_duration_seconds", "exec")], 2)

    def test_create_and_start_are_two_latencies(self):
        before = self.figures()
        self.ctl_ok("create", "--name", "gate", *ALL, "--", "/bin/true")
        self.assertEqual(self.figures().of("containers", state="created"), 1)
        self.assertEqual(self.figures().moved(before), {
            ("starts", "create"): 1, ("start_phase_seconds", "admit"): 1,
            ("start_phase_seconds", "spawn"): 1,
            ("start_phase_seconds", "setup"): 1,
            ("start_duration_seconds", "create"): 1})
        middle = self.figures()
        self.ctl_ok("start", "gate")
        self.ctl_ok("wait", "gate")
        self.assertEqual(self.figures().moved(middle), {
            ("programs_started", "init"): 1, ("exits", "zero", "init"): 1,
            ("start_phase_seconds", "exec"): 1,
            ("start_duration_seconds", "start"): 1,
            ("program_duration_seconds",): 1})
        self.ctl_ok("delete", "gate")

    def test_a_life_of_half_a_second_is_in_its_bucket(self):
        name = "program_duration_seconds"
        before = self.figures()
        self.ctl_ok("run", "--", "/bin/sleep", "0.5")
        after = self.figures()
        total = after.of(name, "_sum") - before.of(name, "_sum")
        self.assertGreater(total, 0.49)
        self.assertEqual(after.of(name, "_bucket", le="0.1"),
                         before.of(name, "_bucket", le="0.1"))
        self.assertEqual(after.of(name, "_bucket", le="600.0"),
                         before.of(name, "_bucket", le="600.0") + 1)

    def test_what_waits_is_told_as_long_as_it_waits(self):
        client, reader = self.admin(), self.admin()
        self.ctl_ok("run", "-d", "--name", "w", *ALL, "--", "/bin/sleep", "99")
        before = self.figures()
        client.send_request("Wait", {"id": "w"})
        client.send_request("NextEvents", {"timeout_ms": 60000})
        events = reader.stream("Events", {})
        now = wait_for(lambda: self.moved_to(before, "waiting_calls", 3), 10,
                       "three that wait")
        self.assertEqual(now.of("subscribers", kind="stream"), 1)
        self.assertEqual(now.of("subscribers", kind="poll"), 1)
        self.assertEqual(now.of("connections"), before.of("connections"))
        self.assertEqual(now.of("requests_in_flight"), 1)
        self.ctl_ok("delete", "-f", "w")
        self.assertEqual(next(events)["container"], self.last(client))
        client.close()
        reader.close()
        wait_for(lambda: self.moved_to(before, "waiting_calls", 0), 10,
                 "nobody waits")
        self.assertEqual(self.figures().of("connections"),
                         before.of("connections") - 2)

    def moved_to(self, before, name, by):
        now = self.figures()
        return now if now.of(name) == before.of(name) + by else None

    def last(self, client):
        """The container that both waiting calls are answered about."""
        found = [client.recv_response()[1] for _ in range(2)]
        for payload in found:
            events = client.decode("NextEvents", payload).get("events", [])
            if events and isinstance(events[0], dict) and \
                    "container" in events[0]:
                return events[0]["container"]
        return None

    def test_a_start_without_its_descriptors_is_told_as_such(self):
        client = self.admin()
        before = self.figures()
        client.send_request("Run", {
            "spec": {"process": {"args": [b"/bin/true"]}},
            "fd_token": os.urandom(16), "n_fds": 1})
        wait_for(lambda: self.moved_to(
            before, "starts_awaiting_descriptors", 1), 2, "it waits")
        with self.assertRaises(RpcError) as caught:
            client.recv_response()
        self.assertEqual(caught.exception.detail["code"], "DEADLINE")
        after = self.figures()
        self.assertEqual(after.of("starts_awaiting_descriptors"), 0)
        self.assertEqual(after.moved(before), {("errors", "DEADLINE"): 1})

    def test_a_refusal_by_quota_is_counted_by_its_kind(self):
        client = self.user(ORDINARY_UID)
        before = self.figures()
        for _ in range(9):
            client.send_request("Events", {})
        with self.assertRaises(RpcError) as caught:
            client.recv_response()
        self.assertEqual(caught.exception.detail["quota_kind"], "subscribers")
        self.assertEqual(self.figures().moved(before), {
            ("errors", "QUOTA"): 1, ("quota_refusals", "subscribers"): 1})

    def test_the_process_is_the_one_that_runs(self):
        now, pid = self.figures(), self.nsx.nsexecd_pid()
        self.assertEqual(now.of("process_open_fds"),
                         len(os.listdir(f"/proc/{pid}/fd")) + 1)
        with open(f"/proc/{pid}/statm", encoding="ascii") as f:
            resident = int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")
        self.assertLess(abs(now.of("process_resident_memory_bytes") -
                            resident), resident / 2)
        self.assertLess(abs(now.of("process_start_time_seconds") -
                            os.stat(f"/proc/{pid}").st_ctime), 10)
        self.assertGreater(now.of("process_cpu_seconds"), 0)
        self.assertEqual(now.of("spawner_connected"), 1)
        self.assertEqual(now.of("build_info", version=self.version()), 1)

    def version(self):
        return self.ctl_ok("version", "--json").json()["nsexecd"]["version"]


class Restarts(MetricsCase):
    AUDIT = False

    def test_a_restart_is_counted_and_what_lived_through_it(self):
        self.ctl_ok("run", "-d", "--name", "a", *ALL, "--", "/bin/sleep", "99")
        self.ctl_ok("create", "--name", "b", *ALL, "--", "/bin/true")
        self.ctl_ok("run", "-d", "--name", "over", "--", "/bin/true")
        self.ctl_ok("wait", "over")
        before = self.figures()
        self.assertEqual((before.of("restarts"), before.of("tasks_adopted")),
                         (0, 0))
        for n in (1, 2):
            self.nsx.kill_nsexecd()
            now = self.figures()
            self.assertEqual((now.of("restarts"), now.of("tasks_adopted")),
                             (n, 2))
            self.assertEqual([now.of("containers", state=state) for state in
                              ("created", "running", "stopped")], [1, 1, 1])
            # What is counted begins anew, as Prometheus expects it.
            self.assertEqual(now.of("starts", method="run"), 0)
            self.assertEqual(now.of("programs_started", process="init"), 0)
            self.assertEqual(now.of("spawner_connects"), 1)
        self.ctl_ok("start", "b")
        self.ctl_ok("wait", "b")
        self.ctl_ok("kill", "-s", "KILL", "a")
        self.ctl_ok("wait", "a")
        after = self.figures()
        self.assertEqual(after.moved(now), {
            ("programs_started", "init"): 1, ("exits", "zero", "init"): 1,
            ("exits", "signal", "init"): 1,
            ("start_phase_seconds", "exec"): 1,
            ("start_duration_seconds", "start"): 1,
            ("program_duration_seconds",): 1})
        for name in ("a", "b", "over"):
            self.ctl_ok("delete", name)


class Whose(MetricsCase):
    """A user has his own figures; another is as if he were not there."""

    def test_nothing_of_another_moves_a_number_of_mine(self):
        mine = self.user(ORDINARY_UID)
        other = self.user(OTHER)

        def text():
            return mine.call("Metrics", {})["text"]
        before = text()
        openmetrics.parse(before)
        ident = other.call("Run", {
            "spec": spec("/bin/sleep", "99")})["info"]["id"]
        self.ctl_ok("run", "-d", "--name", "root", *ALL, "--",
                    "/bin/sleep", "99")
        with self.assertRaises(RpcError):
            other.call("State", {"id": "nobody"})
        with self.assertRaises(RpcError):
            other.call("Run", {"spec": {}})
        next(self.user(OTHER).stream("Events", {"from_seq": 1}))
        self.assertEqual(text(), before)
        other.call("Exec", {"id": ident,
                            "process": spec("/bin/true")["process"]})
        self.nsx.ctl("delete", "-f", "root")
        other.close()
        self.user(OTHER).call("Delete", {"id": ident, "force": True})
        self.assertEqual(text(), before)

    def test_mine_are_mine_and_the_admin_has_the_sum(self):
        mine, other = self.user(ORDINARY_UID), self.user(OTHER)
        before = [Figures(client.call("Metrics", {})["text"])
                  for client in (mine, other, self.admin())]
        idents = [(client, client.call("Run", {
            "spec": spec("/bin/sleep", "99")})["info"]["id"])
                  for client, n in ((mine, 2), (other, 1)) for _ in range(n)]
        with self.assertRaises(RpcError):
            mine.call("State", {"id": idents[2][1]})
        found = [Figures(client.call("Metrics", {})["text"])
                 for client in (mine, other, self.admin())]
        self.assertEqual([now.of("containers", state="running")
                          for now in found], [2, 1, 3])
        moved = [now.moved(then) for now, then in zip(found, before)]
        self.assertEqual([by.get(("starts", "run")) for by in moved],
                         [2, 1, 3])
        self.assertEqual([by.get(("errors", "NOT_FOUND")) for by in moved],
                         [1, None, 1])
        self.assertEqual([by.get(("start_duration_seconds", "run"))
                          for by in moved], [2, 1, 3])
        for client, ident in idents:
            client.call("Delete", {"id": ident, "force": True})

    def test_what_is_the_instances_is_an_admins_alone(self):
        own = self.figures(user=ORDINARY_UID).families
        whole = self.figures().families
        self.assertEqual(sorted(set(whole) - set(own)), sorted(
            "nsexecd_" + name for name in (
                "build_info", "identities_pending", "process_cpu_seconds",
                "process_max_fds", "process_open_fds",
                "process_resident_memory_bytes",
                "process_start_time_seconds", "process_virtual_memory_bytes",
                "restarts", "spawner_connected", "spawner_connects",
                "spawner_requests", "tasks_adopted")))
        self.assertEqual(set(own) - set(whole), set())

    def test_one_whose_first_word_it_is_has_zeros(self):
        uid = ORDINARY_UID + 7
        now = self.figures(user=uid)
        self.assertEqual(now.of("connections"), 1)
        self.assertEqual(now.of("requests_in_flight"), 1)
        rest = [value for name, family in now.families.items()
                for value in family.samples.values()
                if name not in ("nsexecd_connections",
                                "nsexecd_requests_in_flight")]
        self.assertEqual(set(rest), {0.0})


class ByPolicy(MetricsCase):
    MONITOR, SHUT, BLIND = 62101, 62102, 62103

    @classmethod
    def setUpClass(cls):
        cls.policy = tempfile.mkdtemp(prefix="nsxpolicy-")
        os.chmod(cls.policy, 0o755)
        rules = [
            {"name": "monitor", "match": {"uid": [cls.MONITOR]},
             "admin": True, "verbs": ["metrics", "foreign_container"]},
            {"name": "shut", "match": {"uid": [cls.SHUT]}, "verbs": ["list"]},
            {"name": "blind", "match": {"uid": [cls.BLIND]}, "admin": True,
             "verbs": ["metrics", "run"]}]
        with open(os.path.join(cls.policy, "policy.json"), "w",
                  encoding="ascii") as f:
            json.dump({"version": 1, "rules": rules}, f)
        cls.ARGS = ("--policy-dir", cls.policy)
        try:
            super().setUpClass()
        except BaseException:
            shutil.rmtree(cls.policy)
            raise

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.policy)

    def test_a_monitor_reads_the_instance_and_nothing_else(self):
        self.ctl_ok("run", "-d", "--name", "r", *ALL, "--", "/bin/sleep", "99")
        now = self.figures(user=self.MONITOR)
        self.assertEqual(now.of("containers", state="running"), 1)
        self.assertIn("nsexecd_restarts", now.families)
        done = self.ctl_refused("PERMISSION_DENIED", "monitor", "list",
                                user=self.MONITOR)
        self.assertEqual(done.code, 4)
        self.ctl_ok("delete", "-f", "r")

    def test_without_the_verb_there_are_none(self):
        done = self.ctl_refused("PERMISSION_DENIED", "shut", "metrics",
                                user=self.SHUT)
        self.assertEqual((done.code, done.out), (4, ""))

    def test_an_admin_who_may_not_see_others_has_his_own(self):
        self.ctl_ok("run", "-d", "--name", "r", *ALL, "--", "/bin/sleep", "99")
        now = self.figures(user=self.BLIND)
        self.assertEqual(now.of("containers", state="running"), 0)
        self.assertNotIn("nsexecd_restarts", now.families)
        self.ctl_ok("delete", "-f", "r")


class Cli(MetricsCase):
    def test_the_text_is_the_same_whatever_form_is_asked_for(self):
        for form in ("table", "json", "jsonl"):
            Figures(self.ctl_ok("-o", form, "metrics").out)
        Figures(self.ctl_ok("metrics", env={"NSEXEC_OUTPUT": "json"}).out)

    def test_operands_and_a_daemon_that_is_not_there(self):
        self.assertEqual(self.ctl("metrics", "web").code, 2)
        done = self.ctl("-H", "unix:/nowhere/at/all", "metrics")
        self.assertEqual((done.code, done.out), (5, ""))

    def test_a_full_disk_is_told(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [program("nsexecctl"), "metrics"], env=self.nsx.env,
                stdout=full, stderr=subprocess.PIPE, check=False, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"stdout", done.stderr)


class Prometheus(MetricsCase):
    """The reference implementation's reader agrees with ours."""
    # Debian's own: the package is not for any other that may be in PATH.
    PYTHON = "/usr/bin/python3"
    READ = """
import json, sys
from prometheus_client import parser as old
from prometheus_client.openmetrics import parser as new
text = sys.stdin.read()
print(json.dumps([[[s.name, sorted(s.labels.items()), s.value]
    for family in reader.text_string_to_metric_families(text)
    for s in family.samples] for reader in (new, old)]))
"""

    def setUp(self):
        super().setUp()
        self.need("python3-prometheus-client", subprocess.run(
            [self.PYTHON, "-c", "import prometheus_client.openmetrics"],
            stderr=subprocess.DEVNULL, check=False).returncode == 0)

    def test_both_formats_are_read_with_the_same_numbers(self):
        self.ctl_ok("run", *ALL, "--", "/bin/true")
        self.assertEqual(self.ctl("run", "--", "/no/such").code, 127)
        for user in (None, ORDINARY_UID):
            now = self.figures(user=user)
            ours = {(family.name + suffix, labels): value
                    for family in now.families.values()
                    for (suffix, labels), value in family.samples.items()}
            found = json.loads(subprocess.run(
                [self.PYTHON, "-c", self.READ], input=now.text, text=True,
                stdout=subprocess.PIPE, check=True, timeout=60).stdout)
            for samples in found:
                self.assertEqual(
                    {(name, tuple((label, text) for label, text in labels)):
                     value for name, labels, value in samples}, ours)


class Strict(TestCase):
    """Our own reader refuses what is wrong: else it would prove nothing."""
    INSTANCE = False

    def test_every_breach_is_refused(self):
        good = ('# TYPE a counter\n# HELP a A.\na_total{x="1"} 1\n'
                '# TYPE h_seconds histogram\n# UNIT h_seconds seconds\n'
                '# HELP h_seconds H.\nh_seconds_bucket{le="0.5"} 1\n'
                'h_seconds_bucket{le="+Inf"} 2\nh_seconds_count 2\n'
                'h_seconds_sum 1.5\n# EOF\n')
        openmetrics.parse(good)
        for old, new in (
                ("# EOF\n", ""), ("# EOF\n", "# EOF"), ("a_total", "a"),
                ('x="1"', 'x="1'), ('x="1"', 'x="\\z"'), ('x="1"', 'x=1'),
                ('x="1"', 'x="1",x="2"'), (" 1\n", " 1 \n"),
                (" 1\n", " one\n"), (" 1\n", " -1\n"), (" 1\n", " 1 99\n"),
                ("# TYPE a counter\n", ""), ("# HELP a A.\n", ""),
                ("counter", "info"), ("# HELP a A.\n", "# HELP a A.\n\n"),
                ('# HELP a A.\na_total{x="1"} 1\n',
                 'a_total{x="1"} 1\n# HELP a A.\n'),
                ('a_total{x="1"} 1\n', 'a_total{x="1"} 1\n' * 2),
                ("UNIT h_seconds seconds", "UNIT h_seconds bytes"),
                ('le="0.5"', 'le=".5"'), ('le="0.5"} 1', 'le="0.5"} 3'),
                ('h_seconds_bucket{le="+Inf"} 2\n', ""),
                ("count 2", "count 3"), ("h_seconds_sum 1.5\n", ""),
                ("# TYPE h_seconds", "# TYPE a")):
            self.assertIn(old, good)
            with self.assertRaises((openmetrics.Bad, KeyError), msg=new):
                openmetrics.parse(good.replace(old, new, 1))


def points(text):
    """[(microseconds, what)] of the lines of a trace."""
    found = []
    for line in text.splitlines():
        if line.startswith("trace: "):
            _, _, us, _, _, *what = line.split()
            found.append((int(us), " ".join(what)))
    return found


class Trace(MetricsCase):
    FIRST, LAST = "nsexecctl sent", "nsexecctl answered"

    def traced(self, *args, code=0):
        """What stood where in the trace of one command."""
        began = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        done = self.ctl(*args)
        ended = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.assertEqual(done.code, code, done)
        found = points(done.err)
        times = [us for us, _ in found]
        self.assertEqual(times, sorted(times))
        self.assertGreaterEqual(times[0], began)
        self.assertLessEqual(times[-1], ended)
        names = [what for _, what in found]
        self.assertEqual((names[0], names[-1]), (self.FIRST, self.LAST))
        return [name.removeprefix("nsexecd ") for name in names[1:-1]]

    def of_a_run(self, names):
        """Init and the spawner speak for themselves: ready comes any time."""
        self.assertEqual([name for name in names if name != "ready"],
                         ["received", "sent", "child", "opened", "started"])
        self.assertIn("ready", names[2:-1])

    def test_a_run_tells_its_points_in_their_order(self):
        for flag in ("--debug", "-v"):
            self.of_a_run(self.traced("run", flag, *ALL, "--", "/bin/true"))
        self.of_a_run(self.traced("--debug", "run", "--", "/bin/true"))

    def test_create_start_and_exec_have_traces_of_their_own(self):
        names = self.traced("create", "--debug", "--name", "c", *ALL, "--",
                            "/bin/sleep", "99")
        self.assertEqual((names[:2], sorted(names[2:])),
                         (["received", "sent"], ["child", "ready"]))
        names = self.traced("start", "--debug", "c")
        self.assertEqual([name for name in names if name != "opened"],
                         ["received", "sent", "started"])
        self.of_a_run(self.traced("exec", "--debug", "c", "/bin/true"))
        self.ctl_ok("delete", "-f", "c")

    def test_a_failed_start_tells_how_far_it_came(self):
        names = self.traced("run", "--debug", "--", "/no/such", code=127)
        self.assertEqual((names[:2], names[-1]),
                         (["received", "sent"], "failed"))
        self.assertNotIn("started", names)
        # refused before anything was sent: our own two points
        self.assertEqual(self.traced("exec", "--debug", "nobody", "/bin/true",
                                     code=125), [])

    def test_as_json_it_is_one_record(self):
        done = self.ctl_ok("run", "--debug", "--json", "--", "/bin/true")
        record = json.loads(done.err)
        self.assertEqual(record["v"], 1)
        self.assertEqual(record["trace"]["method"], "Run")
        rows = record["trace"]["points"]
        self.assertEqual([(p["at"], p["point"]) for p in (rows[0], rows[-1])],
                         [("nsexecctl", "sent"), ("nsexecctl", "answered")])
        self.assertEqual({p["at"] for p in rows[1:-1]}, {"nsexecd"})
        self.of_a_run([p["point"] for p in rows[1:-1]])
        times = [p["monotonic_us"] for p in rows]
        self.assertEqual(times, sorted(times))

    def test_nobody_has_one_who_did_not_ask(self):
        self.assertEqual(self.ctl_ok("run", "--", "/bin/true").err, "")
        client = self.user(ORDINARY_UID)
        for wanted in (None, False, True):
            request = {"spec": spec("/bin/true")}
            if wanted is not None:
                request["trace"] = wanted
            answer = client.call("Run", request)
            self.assertEqual("trace" in answer, bool(wanted))
            client.call("Wait", {"id": answer["info"]["id"]})
            client.call("Delete", {"id": answer["info"]["id"]})

    def test_a_key_repeated_with_a_trace_is_the_same_start(self):
        client, key = self.user(ORDINARY_UID), os.urandom(16)
        request = {"spec": spec("/bin/sleep", "99"), "key": key}
        first = client.call("Run", request)
        again = client.call("Run", dict(request, trace=True))
        self.assertEqual(again["info"], first["info"])
        self.assertEqual(sorted(again["trace"]), sorted(
            f"{name}_us" for name in ("received", "sent", "child", "opened",
                                      "ready", "started")))
        client.call("Delete", {"id": first["info"]["id"], "force": True})

    def test_who_waits_for_a_failed_start_has_no_trace_of_it(self):
        client = self.user(ORDINARY_UID)
        request = {"spec": spec("/no/such", id="bad"), "trace": True}
        with self.assertRaises(RpcError) as caught:
            client.call("Run", request)
        self.assertIn("failed_us", caught.exception.detail["trace"])
        with self.assertRaises(RpcError) as caught:
            client.call("Wait", {"id": "bad"})
        self.assertEqual(caught.exception.detail["code"], "EXEC_FAILED")
        self.assertNotIn("trace", caught.exception.detail)
        client.call("Delete", {"id": "bad"})


if __name__ == "__main__":
    main()
