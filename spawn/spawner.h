/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nsexec-spawner as a whole: owns one of each module. There is no other state
 * and exactly one of it, made in main().
 */
#ifndef NSX_SPAWN_SPAWNER_H
#define NSX_SPAWN_SPAWNER_H

#include <stdbool.h>
#include <sys/resource.h>

#include "proto/bootstrap.h"
#include "proto/nsplan.h"
#include "spawn/spawner_cgroup.h"
#include "spawn/spawner_child.h"
#include "spawn/spawner_confine.h"
#include "spawn/spawner_conn.h"
#include "spawn/spawner_defer.h"
#include "spawn/spawner_identity.h"
#include "spawn/spawner_keeper.h"
#include "spawn/spawner_loop.h"
#include "spawn/spawner_orphan.h"
#include "spawn/spawner_place.h"
#include "spawn/spawner_policy.h"
#include "spawn/spawner_reexec.h"
#include "spawn/spawner_removal.h"
#include "spawn/spawner_resolver.h"
#include "spawn/spawner_rundir.h"
#include "spawn/spawner_start.h"
#include "spawn/spawner_who.h"
#include "spawn/spawner_zygote.h"

struct spawner_options {
	const char *run_dir;
	const char *cgroup_root;
	const char *notify_socket; /* systemd's; NULL = none */
	bool system;		   /* under systemd: no keeper, no end */
	uid_t worker_uid;
	gid_t worker_gid;
	const char *resolver; /* its program */
	uid_t resolver_uid;   /* 0: choose one */
	gid_t resolver_gid;
	const char *policy_dir; /* NULL = there is no policy */
	bool detach;		/* no standard error once we listen */
	int ready_fd;		/* one byte when we listen; -1 = none */
	int listener_fd;	/* passed by systemd; -1 = bind one */
	int state_fd;		/* of a spawner before us; -1 = none */
	bool trial;		/* say whether we could go on from it */
	bool reload;		/* have one that lives take our place */
	/* Rootless: the set-user-ID map writers, absolute; NULL = none. */
	const char *newuidmap, *newgidmap;
};

struct spawner {
	struct spawner_options options;
	struct rlimit core_limit, fd_limit; /* as we found them */
	int proc_fd;
	bool rootless; /* we are an ordinary user: see doc/ROOTLESS.md */
	uint64_t namespaces[N_NS_KINDS]; /* our own, by inode */
	struct confinement own;
	int signal_fd;
	bool ending; /* told to: ends with the worker and the last child */
	struct watch signal_watch;
	struct spawner_loop loop;
	struct rundir rundir;
	struct cgroup_root cgroups;
	struct conn_table conns;
	struct child_table children;
	struct orphan_table orphans;
	struct start_table starts;
	struct removal_table removals;
	struct keeper keeper;
	struct zygote_pool zygotes;
	struct resolver resolver;
	struct identity_table identities;
	struct policy_state policy;
	struct defer_table deferred;
	struct who_table whos;
	struct look_table looks;
	struct reexec reexec;
	struct bootstrap bootstrap; /* the START being read */
	uint8_t message[NLMSG_MAX];
};

/* In a child of ours: signals and limits as they were before us. */
void spawner_restore_process(const struct spawner *spawner);

#endif
