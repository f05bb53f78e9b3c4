# SPDX-License-Identifier: Apache-2.0
"""An upgrade of the spawner as a package does it, under a real systemd."""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
# pylint: disable=wrong-import-position
import test_systemd
from harness import BUILD, main

# Each upgrade puts another file in the place of the old one, as dpkg does.
SCRIPT = r"""
export LC_ALL=C.UTF-8
say() { if eval "$2"; then echo "ok $1"; else echo "FAIL $1: $2"; fi; }
user() { setpriv --reuid @UID@ --regid @UID@ --clear-groups /usr/local/bin/nsexecctl "$@"; }
main_pid() { systemctl show -P MainPID "$1"; }
within() { for _ in $(seq 200); do eval "$1" && return 0; sleep 0.05; done; return 1; }
parent() { sed -n 's/^PPid:\t//p' /proc/$1/status; }
running() { user state $1 | grep -o '"pid": *[0-9]*' | grep -o '[0-9]*$'; }
program=/usr/local/libexec/nsexec-spawner
put() { cp $1 $program.new && printf %s "$2" >>$program.new && chmod 755 $program.new && mv $program.new $program; }
same() { [ "$(main_pid nsexec-spawner)" = $spawner ] && [ "$(main_pid nsexecd)" = $worker ] && systemctl -q is-active nsexec-spawner nsexecd; }
cd /
echo "version $(systemctl --version | head -n 1)"
ldconfig 2>/dev/null
echo box:x:@UID@:@UID@::/:/bin/sh >>/etc/passwd
cp $program /usr/local/talk/first
systemctl start nsexecd.socket nsexecd-fd.socket
user run -d --name lives --new user,pid --map-root -- /bin/sleep 600
user create --name waits --new user,pid --map-root -- /bin/sh -c 'exit 4'
user run -d --name ends --new user,pid --map-root -- /bin/sh -c 'sleep 1; exit 5'
pid=$(running lives)
spawner=$(main_pid nsexec-spawner) worker=$(main_pid nsexecd)
for round in 1 2 3; do
	say put$round "put /usr/local/talk/first $round"
	say reload$round 'systemctl reload nsexec-spawner'
	say upgraded$round 'same && cmp -s /proc/$spawner/exe $program && [ "$(readlink /proc/$spawner/exe)" = $program ]'
	say child$round '[ "$(parent $pid)" = $spawner ]'
	user run --new user,pid --map-root -- /bin/sh -c "exit $round"; code=$?
	say start$round "[ $code = $round ]"
done
user start waits
say waits '[ "$(user wait waits)" = 4 ]'
say ends '[ "$(user wait ends)" = 5 ]'
mkdir -p /etc/nsexecd
echo '{ "version": 1, "rules": [ { "name": "no-net", "match": { "uid": [@UID@] }, "create": ["user", "pid", "mnt"] } ] }' >/etc/nsexecd/policy.json
say policy_reload 'systemctl reload nsexec-spawner'
no_net() { user run --new user,net --map-root -- /bin/true 2>&1 | grep -q no-net; }
say policy no_net
echo '{' >/etc/nsexecd/policy.json
say bad_policy '! systemctl reload nsexec-spawner && no_net && same'
say bad_policy_said 'journalctl -q -o cat -u nsexec-spawner | grep -q "cannot reload the policy: .*policy.json"'
rm /etc/nsexecd/policy.json
put /usr/local/talk/next_spawner x
say other_state '! systemctl reload nsexec-spawner && same && ! cmp -s /proc/$spawner/exe $program'
say other_state_said 'within "journalctl -q -o cat -u nsexec-spawner | grep -q \"only 4242 is understood\""'
put /etc/passwd x
say no_program '! systemctl reload nsexec-spawner && same'
user run --new user,pid --map-root -- /bin/sh -c "exit 9"; code=$?
say serves_on "[ $code = 9 ]"
put /usr/local/talk/first 9
chmod 775 $program
say writable '! systemctl reload nsexec-spawner && same'
chmod 755 $program
say mended 'systemctl reload nsexec-spawner && same && cmp -s /proc/$spawner/exe $program'
kill -KILL $pid
say killed '[ "$(user wait lives)" = 137 ]'
say ready_in_journal '! journalctl -q -o cat -u nsexec-spawner | grep -q "cannot notify"'
journalctl -q -o short-monotonic --no-pager -u nsexecd -u nsexec-spawner
"""


class Upgrade(test_systemd.Box):
    SCRIPT = SCRIPT

    @classmethod
    def install(cls, tree):
        super().install(tree)
        shutil.copy2(f"{BUILD}/tests/integration/next_spawner",
                     f"{tree}/usr/local/talk")

    def test_reload_after_an_upgrade_keeps_process_and_children(self):
        for n in (1, 2, 3):
            self.steps(f"put{n}", f"reload{n}", f"upgraded{n}", f"child{n}",
                       f"start{n}")

    def test_what_began_before_ends_with_its_code(self):
        self.steps("waits", "ends", "killed")

    def test_policy_is_read_anew_and_a_bad_one_fails_the_reload(self):
        self.steps("policy_reload", "policy", "bad_policy", "bad_policy_said")

    def test_program_that_cannot_go_on_fails_the_reload_and_says_why(self):
        self.steps("other_state", "other_state_said", "no_program",
                   "serves_on", "writable", "mended")


class UpgradeTrixie(Upgrade):
    ROOT = test_systemd.TRIXIE


if __name__ == "__main__":
    main()
