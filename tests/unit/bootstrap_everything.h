/* SPDX-License-Identifier: Apache-2.0 */
/* A message of NX that has all that START may have. Included once. */
#ifndef NSX_TESTS_UNIT_BOOTSTRAP_EVERYTHING_H
#define NSX_TESTS_UNIT_BOOTSTRAP_EVERYTHING_H

#include "tests/unit/bootstrap_fixture.h"

/* A START with every attribute that START may have. */
static void
fill_everything(void)
{
	static const uint32_t groups[] = { 10, 20, 4294967294 };

	set_up_message(DIALECT_NX);
	msg.seq = 77;
	SET(CLONE_FLAGS, clone_flags, 0x3c020080);
	SET_MAP(UID_MAP, uid_map, "0 1000 1\n");
	SET_MAP(GID_MAP, gid_map, "0 1000 1\n");
	SET(SETGROUP, setgroup, true);
	SET(OOM_SCORE_ADJ, oom_score_adj, "100");
	SET(ROOTLESS, rootless, true);
	SET(UIDMAP_PATH, uidmap_path, "/usr/bin/newuidmap");
	SET(GIDMAP_PATH, gidmap_path, "/usr/bin/newgidmap");
	SET(TIME_OFFSETS, time_offsets, "boottime -5 999999999\n");
	SET(CONTAINER, container, "c-1");
	msg.fd_roles[0] = FD_ROLE_INIT_CHANNEL;
	msg.fd_roles[1] = FD_ROLE_CALLER;
	msg.fd_roles[2] = FD_ROLE_FD_CHANNEL;
	SET(FD_ROLES, n_fd_roles, 3);
	SET(ARGV, argv, ((struct bootstrap_bytes){ "sh\0-c\0\0", 7 }));
	SET(ENV, env, ((struct bootstrap_bytes){ "A=1\0B=\0", 7 }));
	msg.joins[0] = (struct bootstrap_join){ .how = JOIN_PATH,
						.clone_flag = CLONE_NEWNET,
						.path = "/run/netns/x" };
	msg.joins[1] = (struct bootstrap_join){ .how = JOIN_FD,
						.clone_flag = CLONE_NEWCGROUP,
						.number = 1 };
	SET(JOINS, n_joins, 2);
	SET(CWD, cwd, "/");
	SET(UID, uid, 0);
	SET(GID, gid, 5);
	memcpy(msg.groups, groups, sizeof(groups));
	SET(GROUPS, n_groups, 3);
	SET(KEEP_GROUPS, keep_groups, false);
	SET(CAPS, caps,
	    ((struct bootstrap_caps){ .present = 31,
				      .bounding = 1,
				      .permitted = 2,
				      .effective = 4,
				      .inheritable = 8,
				      .ambient = UINT64_C(1) << 40 }));
	SET(NO_NEW_PRIVS, no_new_privs, true);
	msg.rlimits[0] = (struct bootstrap_rlimit){ 7, 0, 1024, UINT64_MAX };
	SET(RLIMITS, n_rlimits, 1);
	SET(UMASK, umask, 022);
	SET(NICE, nice, -20);
	SET(HOSTNAME, hostname, "box");
	SET(DOMAINNAME, domainname, "example.org");
	SET(LOOPBACK, loopback, true);
	SET(ROOTFS, rootfs, "/srv/root");
	SET(ROOT_READONLY, root_readonly, true);
	SET(PROPAGATION, propagation, BOOTSTRAP_PROPAGATION_SLAVE);
	SET(MOUNT_PROC, mount_proc, true);
	msg.mounts[0] = (struct bootstrap_mount){ BOOTSTRAP_MOUNT_KIND_BIND, 31,
						  "/src", "/dst", NULL };
	msg.mounts[1] = (struct bootstrap_mount){ BOOTSTRAP_MOUNT_KIND_TMPFS, 0,
						  NULL, "/tmp", "size=1M" };
	SET(MOUNTS, n_mounts, 2);
	msg.stdio[0].kind = BOOTSTRAP_STDIO_NULL;
	msg.stdio[1] = (struct bootstrap_stdio){ BOOTSTRAP_STDIO_FD, 0, NULL };
	msg.stdio[2] = (struct bootstrap_stdio){ BOOTSTRAP_STDIO_PATH, 0,
						 "/tmp/fifo" };
	bootstrap_mark(&msg, BOOTSTRAP_STDIO);
	msg.passed_fds[0] = (struct bootstrap_passed_fd){ 1, 3 };
	msg.passed_fds[1] = (struct bootstrap_passed_fd){ 1, 1023 };
	SET(PASSED_FDS, n_passed_fds, 2);
	SET(N_CHANNEL_FDS, n_channel_fds, 2);
	SET(SEND_PIDFD, send_pidfd, true);
	SET(GATE, gate, GATE_NAMED);
	SET(PARENT_DEATH_SIGNAL, parent_death_signal, 9);
	SET(SETGROUPS_MODE, setgroups_mode, BOOTSTRAP_SETGROUPS_DENY);
	SET(PHASE_TIMEOUT_MS, phase_timeout_ms, 10000);
}

#endif
