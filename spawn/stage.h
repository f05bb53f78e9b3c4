/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages of a start: relay and init, forks of the spawner, never fresh
 * programs. stage_relay_run() is called in the freshly forked child, already
 * inside the container's cgroup; it never returns.
 *
 *  relay  becomes the caller, takes the caller's fds, joins, clones init
 *         with CLONE_PARENT (so init is the spawner's child), tells the
 *         spawner init's pid, writes maps and offsets (as root for an admin,
 *         by the mapper for others), exits 0
 *  init   sets itself up inside the namespaces, sends READY on the init
 *         channel, waits at the gate, execs
 *
 * A failed step is sent as FAILED on the init channel and ends both.
 */
#ifndef NSX_SPAWN_STAGE_H
#define NSX_SPAWN_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"
#include "proto/bootstrap.h"

#define STAGE_MAX_GROUPS 65536

struct policy_rights;
struct resolved_user;

/* Who asked, as the kernel says of the connection. */
struct caller {
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t n_groups;
	pid_t pid;     /* in our pid namespace; 0 if it is not there */
	int pidfd;     /* of that process; -1 of an admin */
	bool admin;    /* by the policy: who keeps the spawner's rights */
	uid_t owner;   /* whose containers: the uid, or whose delegated id it is
			*/
	bool rootless; /* the spawner's own user, who is not root */
	/* Lent. Delegated ranges; NULL: nobody's were looked up (root). */
	const struct resolved_user *user;
	/* Lent. What the policy says; NULL: nothing. */
	const struct policy_rights *rights;
};

/* All fds are lent by the spawner; -1 = none. The stage owns its copies. */
struct stage_input {
	const struct bootstrap *msg; /* decoded, dialect NX */
	const struct caller *caller;
	int init_channel;  /* seqpacket to nsexecd */
	int relay_report;  /* write end: one struct relay_report, then EOF */
	int fd_channel;	   /* the caller's fd connection */
	int exec_block;	   /* sealed memfd */
	int gate_listener; /* GATE_NAMED */
	int target_pidfd;  /* EXEC: init of the container to join */
	int proc_fd;	   /* root of a procfs of our own */
	/* The spawner's own namespaces, in the order of ns_kinds (proto/
	 * nsplan.h), read once by stage_own_namespaces(): what a start neither
	 * creates nor joins need not be looked up again, at 6 us each. NULL: it
	 * is looked up. */
	const uint64_t *own_namespaces;
	const char *newuidmap, *newgidmap; /* rootless: maptool.h; or NULL */
};

/* Fill ret[N_NS_KINDS] with the calling process's inodes. 0 or -errno. */
must_check int stage_own_namespaces(int proc_fd, uint64_t *ret);

/* Relay to spawner: init exists. A claim: the spawner verifies the pid. */
struct relay_report {
	int32_t pid;
};

_Noreturn void stage_relay_run(const struct stage_input *input);

#endif
