# SPDX-License-Identifier: Apache-2.0
"""The units under a real systemd, as PID 1 in namespaces of its own.

One boot for all tests: BOX does what an administrator and a user do, and says
of each step whether it was as it should be; the tests read that.

Twice: with this machine's systemd, and with the one of Debian 13, whose root
tests/lib/trixie_root.sh makes below build/.
"""
import ctypes
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
# pylint: disable=wrong-import-position
from harness import (BUILD, ORDINARY_UID, SLOW, TOP, TestCase, cgroup2_mount,
                     main, wait_for)
from test_confine import landlock_abi

BOX = r"""
export LC_ALL=C.UTF-8
say() { if eval "$2"; then echo "ok $1"; else echo "FAIL $1: $2"; fi; }
user() { setpriv --reuid @UID@ --regid @UID@ --clear-groups /usr/local/bin/nsexecctl "$@"; }
main_pid() { systemctl show -P MainPID "$1"; }
stored() { systemctl show -P NFileDescriptorStore nsexecd; }
events() { user events --from 1 --no-follow --json; }
last_seq() { events | grep -o '"seq": *[0-9]*' | tail -n 1; }
within() { for _ in $(seq 200); do eval "$1" && return 0; sleep 0.05; done; return 1; }
cd /
echo "version $(systemctl --version | head -n 1)"
ldconfig 2>/dev/null
echo box:x:@UID@:@UID@::/:/bin/sh >>/etc/passwd
for file in subuid subgid; do echo box:3000000:65536 >>/etc/$file; done
systemctl start nsexecd.socket nsexecd-fd.socket
say idle '[ "$(systemctl is-active nsexecd)" = inactive ]'
user run --new user,pid,mnt --map-root -- /bin/sh -c 'exit 7'; code=$?
say activated "[ $code = 7 ]"
say active 'systemctl -q is-active nsexecd nsexec-spawner'
status=/proc/$(main_pid nsexecd)/status
map=$(user run --new user,pid,mnt,net,uts,ipc --map-auto -- cat /proc/self/uid_map)
say delegated '[ "$(echo $map)" = "0 @UID@ 1 1 3000000 65536" ]'
mkdir -p /etc/nsexecd
echo '{ "version": 1, "rules": [ { "name": "no-net", "match": { "uid": [@UID@] }, "create": ["user", "pid", "mnt"] } ] }' >/etc/nsexecd/policy.json
systemctl reload nsexec-spawner
say policy 'within "user run --new user,net --map-root -- /bin/true 2>&1 | grep -q no-net"'
rm /etc/nsexecd/policy.json
systemctl reload nsexec-spawner
say no_policy 'within "user run --new user,net --map-root -- /bin/true"'
say confined 'grep -q "^Seccomp:.2" $status && grep -q "^NoNewPrivs:.1" $status && grep -q "^CapEff:.0*$" $status'
say journal 'within "journalctl -q -o cat NSEXECD_CALLER_UID=@UID@ | grep -q ."'
say landlock '@LANDLOCK@ || ! journalctl -q -o cat -u nsexecd | grep -q "no Landlock"'
user run -d --name lives --new user,pid --map-root -- /bin/sleep 600
pid=$(user state lives | grep -o '"pid": *[0-9]*' | grep -o '[0-9]*$')
say in_spawners_cgroup 'grep -q nsexec-spawner.service /proc/$pid/cgroup'
say no_sandbox_inherited 'grep -q "^Seccomp:.0" /proc/$pid/status'
before=$(main_pid nsexecd)
systemctl restart nsexecd
say restarted '[ "$(main_pid nsexecd)" != $before ] && [ "$(user state lives | grep -c running)" = 1 ] && kill -0 $pid'
before=$(main_pid nsexecd)
[ "$before" -gt 1 ] && kill -9 $before
say killed 'within "[ \"\$(main_pid nsexecd)\" != $before ] && systemctl -q is-active nsexecd" && [ "$(user state lives | grep -c running)" = 1 ] && kill -0 $pid'
user exec lives -- /bin/true; code=$?
say exec_after "[ $code = 0 ]"
say no_gap '! events | grep -q gap && [ "$(events | grep -c "\"type\": *\"started\"")" = "$(events | grep -c "\"type\": *\"created\"")" ]'
say stored '[ "$(stored)" -ge 1 ]'
setpriv --reuid @UID@ --regid @UID@ --clear-groups python3 @RELOAD@ /run/nsexecd/nsexecd.sock lives /tmp/reloaded >/tmp/talk 2>&1 & talk=$!
within 'grep -q ready /tmp/talk'
for round in 1 2 3; do
	before=$(main_pid nsexecd)
	systemctl reload nsexecd
	say reloaded$round 'within "[ \"\$(main_pid nsexecd)\" != $before ] && systemctl -q is-active nsexecd" && kill -0 $pid'
done
user run -- /bin/true
touch /tmp/reloaded
wait $talk; code=$?
say reload_connections "[ $code = 0 ] || { cat /tmp/talk; false; }"
say reload_said 'journalctl -q -o cat -u nsexecd | grep -q "reloaded: [1-9]"'
say reload_store 'within "[ \"\$(stored)\" = 2 ]"'
say reload_events '! events | grep -q gap'
echo '{' >/etc/nsexecd/nsexecd.conf
before=$(main_pid nsexecd)
say reload_refused '! systemctl reload nsexecd && sleep 0.3 && [ "$(main_pid nsexecd)" = $before ] && user version >/dev/null'
rm /etc/nsexecd/nsexecd.conf
systemctl stop nsexecd.socket nsexecd-fd.socket nsexecd
say stopped '[ "$(systemctl is-active nsexecd)" = inactive ] && kill -0 $pid'
say store_dropped '[ "$(stored)" = 0 ]'
systemctl start nsexecd.socket nsexecd-fd.socket
# Activated by this very call: until the spawner has answered it is "created".
say found_again 'within "user state lives | grep -q running"'
say gap 'events | grep -q "\"type\": *\"gap\"" && events | tail -n 1 | grep -q snapshot'
mkdir -p /run/systemd/system/nsexecd.service.d
printf '[Service]\nWatchdogSec=1s\nTimeoutAbortSec=1s\n' >/run/systemd/system/nsexecd.service.d/watchdog.conf
systemctl daemon-reload
systemctl restart nsexecd
last=$(last_seq)
before=$(main_pid nsexecd)
[ "$before" -gt 1 ] && kill -STOP $before
say watchdog 'within "[ \"\$(main_pid nsexecd)\" != $before ] && systemctl -q is-active nsexecd" && [ "$(user state lives | grep -c running)" = 1 ] && kill -0 $pid'
say watchdog_said 'journalctl -q -o cat -u nsexecd | grep -qi watchdog'
say watchdog_events '[ "$(last_seq)" = "$last" ]'
rm -r /run/systemd/system/nsexecd.service.d
systemctl daemon-reload
systemctl restart nsexec-spawner
say spawner_restarted 'systemctl -q is-active nsexec-spawner && kill -0 $pid'
[ "${pid:-0}" -gt 1 ] && kill -9 $pid
user run -d --name last --new user,pid --map-root -- /bin/sh -c 'trap "exit 7" TERM; while :; do sleep 0.1; done'
last=$(user state last | grep -o '"pid": *[0-9]*' | grep -o '[0-9]*$')
say pidfd_stored 'for _ in 1 2 3; do within "[ \$(stored) -ge 2 ]" && break; done; [ $(stored) -ge 2 ]'
both="$(main_pid nsexecd) $(main_pid nsexec-spawner)"
kill -STOP $both
kill -TERM $last
within 'grep -q "^State:.Z" /proc/$last/status'
kill -9 $both
say both_killed '[ "$(timeout 20 setpriv --reuid @UID@ --regid @UID@ --clear-groups /usr/local/bin/nsexecctl wait last)" = @BOTH@ ]'
say no_denials '! journalctl -q -o cat -u nsexecd | grep -qE "not permitted|Permission denied|SIGSYS"'
journalctl -q -o short-monotonic --no-pager -u nsexecd -u nsexec-spawner
"""


TRIXIE = os.path.join(TOP, "build", "trixie")
MARK = "etc/nsexecd-test-root"


def has_pidfd_exit():
    """Linux 6.15: a pidfd says how its process ended."""
    return tuple(int(n) for n in os.uname().release.split("-")[0].split(
        ".")[:2]) >= (6, 15)


class Box(TestCase):
    """Boots once, runs SCRIPT there, and has what it said of each step."""
    INSTANCE = False
    SCRIPT = ""
    ROOT = None  # another root than this machine's
    said = {}
    log = ""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if cls.ROOT and not os.path.exists(f"{cls.ROOT}/{MARK}"):
            raise unittest.SkipTest(f"needs {os.path.basename(cls.ROOT)}: "
                                    "tests/lib/trixie_root.sh")
        for need in ("unshare", "setpriv", "systemctl", "systemd-sysusers",
                     "journalctl"):
            if not shutil.which(need):
                raise unittest.SkipTest(f"needs {need}")
        cls.base = tempfile.mkdtemp(prefix="nsxsystemd-")
        os.chmod(cls.base, 0o755)
        cls.cgroup = os.path.join(cgroup2_mount() or "/nonexistent",
                                  os.path.basename(cls.base))
        try:
            os.mkdir(cls.cgroup)
        except OSError as error:
            shutil.rmtree(cls.base)
            raise unittest.SkipTest(f"needs a cgroup: {error}") from error
        try:
            cls.boot()
        finally:
            cls.clean()
        if not cls.said:
            raise unittest.SkipTest(
                f"needs systemd as PID 1: {cls.log[-300:]}")

    @classmethod
    def install(cls, tree):
        """What make install would do, without relinking the build tree."""
        rows = [(f"{BUILD}/nsexecd", "sbin/nsexecd"),
                (f"{BUILD}/nsexec-spawner", "libexec/nsexec-spawner"),
                (f"{BUILD}/nsexec-resolver", "libexec/nsexec-resolver"),
                (f"{BUILD}/nsexecctl", "bin/nsexecctl"),
                (f"{TOP}/systemd/nsexecd.sysusers.conf",
                 "lib/sysusers.d/nsexecd.conf"),
                (f"{TOP}/systemd/nsexecd.tmpfiles.conf",
                 "lib/tmpfiles.d/nsexecd.conf")]
        rows += [(path, f"lib/systemd/system/{os.path.basename(path)}")
                 for path in glob.glob(f"{BUILD}/systemd/*.service") +
                 glob.glob(f"{TOP}/systemd/*.socket")]
        for source, target in rows:
            target = os.path.join(tree, "usr/local", target)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(source, target)
        # What the talk over a reload is made of, below a top of its own.
        rows = ["proto/nsexec.proto", "proto/ttrpc.proto", "tests/lib/pb.py",
                "tests/lib/ttrpc_client.py", "tests/integration/reload_talk.py"]
        for name in rows:
            target = os.path.join(tree, "usr/local/talk", name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(f"{TOP}/{name}", target)
        # Another root may have another version of it.
        for library in glob.glob("/usr/lib/*/libsubid.so.*"):
            os.makedirs(f"{tree}/usr/local/lib", exist_ok=True)
            shutil.copy2(library, f"{tree}/usr/local/lib")
        # Units name the programs where this tree's prefix puts them.
        for path in glob.glob(f"{tree}/usr/local/lib/systemd/system/*.service"):
            with open(path, encoding="utf-8") as f:
                text = re.sub(r"/\S*/((?:s?bin|libexec)/nsexec(?:d|-spawner))",
                              r"/usr/local/\1", f.read())
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)

    @classmethod
    def boot(cls):
        paths = {name: os.path.join(cls.base, name)
                 for name in ("work", "files", "script", "log")}
        os.mkdir(paths["work"])
        cls.install(paths["files"])
        with open(paths["script"], "w", encoding="utf-8") as f:
            f.write(cls.SCRIPT.replace("@UID@", str(ORDINARY_UID)).replace(
                "@RELOAD@", "/usr/local/talk/tests/integration/reload_talk.py").replace(
                "@BOTH@", "7" if has_pidfd_exit() else "unknown").replace(
                "@LANDLOCK@", "false" if landlock_abi() else "true"))
        with open(paths["log"], "wb"):
            pass

        libc = ctypes.CDLL(None)

        def join():
            libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
            with open(os.path.join(cls.cgroup, "cgroup.procs"), "w",
                      encoding="ascii") as f:
                f.write(str(os.getpid()))
        done = subprocess.run(
            ["unshare", "--mount", "--uts", "--ipc", "--net", "--pid",
             "--cgroup", "--fork", "--kill-child=KILL", "bash",
             f"{TOP}/tests/lib/systemd_box.sh", paths["work"],
             cgroup2_mount(), paths["files"], paths["script"], paths["log"]],
            preexec_fn=join,
            env={**os.environ, "NSX_SYSTEMD_ROOT": cls.ROOT or "/"},
            stdin=subprocess.DEVNULL, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=60 * SLOW)
        with open(paths["log"], encoding="utf-8", errors="replace") as f:
            cls.log = f.read()
        cls.said = dict(re.findall(r"^(?:ok|FAIL) (\w+)(.*)$", cls.log, re.M))
        print("#", *re.findall(r"^version (.*)", cls.log, re.M)[:1])
        cls.log += done.stdout.decode(errors="replace")

    @classmethod
    def clean(cls):
        def gone():
            for base, _, _ in os.walk(cls.cgroup, topdown=False):
                try:
                    os.rmdir(base)
                except OSError:
                    return False
            return True
        wait_for(gone, 10, "the box's cgroups are empty")
        shutil.rmtree(cls.base)

    def steps(self, *names):
        for name in names:
            if self.said.get(name, "not reached"):
                self.fail(f"{name}:\n{self.log}")


class Systemd(Box):
    SCRIPT = BOX

    def test_it_is_the_systemd_that_was_meant(self):
        version = int(re.search(r"^version systemd (\d+)", self.log, re.M)[1])
        if self.ROOT:
            self.assertGreaterEqual(version, 257)
        else:
            self.assertGreaterEqual(version, 252)

    def test_first_call_of_an_ordinary_user_starts_both_services(self):
        self.steps("idle", "activated", "active")

    def test_nsexecd_is_confined_by_itself_within_the_unit(self):
        self.steps("confined", "landlock", "no_denials")

    def test_ordinary_user_has_what_subuid_delegates(self):
        self.steps("delegated")

    def test_reload_of_the_spawner_reads_the_policy_anew(self):
        self.steps("policy", "no_policy")

    def test_audit_records_reach_the_journal_as_fields(self):
        self.steps("journal")

    def test_payload_lives_below_the_spawner_without_any_sandbox(self):
        self.steps("in_spawners_cgroup", "no_sandbox_inherited")

    def test_restart_and_kill_9_of_nsexecd_leave_containers(self):
        self.steps("restarted", "killed", "exec_after")

    def test_fd_store_has_the_events_over_kill_9_without_a_gap(self):
        self.steps("no_gap", "stored")

    def test_reload_keeps_connections_half_frames_streams_and_waits(self):
        self.steps("reloaded1", "reloaded2", "reloaded3",
                   "reload_connections", "reload_said", "reload_store",
                   "reload_events")

    def test_reload_to_what_could_not_start_is_refused(self):
        self.steps("reload_refused")

    def test_emptied_fd_store_loses_numbers_and_says_so(self):
        self.steps("store_dropped", "gap")

    def test_watchdog_ends_a_stuck_nsexecd_and_containers_live_on(self):
        self.steps("watchdog", "watchdog_said", "watchdog_events")

    def test_stop_of_nsexecd_leaves_containers_and_a_start_finds_them(self):
        self.steps("stopped", "found_again")

    def test_exit_is_known_though_nsexecd_and_spawner_died_together(self):
        self.steps("pidfd_stored", "both_killed")

    def test_restart_of_the_spawner_leaves_containers(self):
        self.steps("spawner_restarted")


class SystemdTrixie(Systemd):
    ROOT = TRIXIE


if __name__ == "__main__":
    main()
