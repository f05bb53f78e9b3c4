/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What relay, mapper and init of one start share: the request, and what the
 * relay has prepared for init. A struct stage_context lives on the relay's
 * stack; init and mapper are forks and have copies of their own.
 *
 * A step is a function of the context that returns 0, or -errno with
 * context->failure filled. Steps of one process stand in one const table; the
 * name of the running step is in context->step for the deadline's report.
 *
 * Nothing here may allocate, log or touch the locale (lib/err.h, rule 5).
 */
#ifndef NSX_SPAWN_STAGECTX_H
#define NSX_SPAWN_STAGECTX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "lib/err.h"
#include "proto/bootstrap.h"
#include "proto/nsplan.h"
#include "proto/ops.h"
#include "spawn/stage.h"

#define STAGE_INLINE_POINTERS 512

struct stage_context {
	const struct stage_input *input;
	const struct bootstrap *msg;
	const struct caller *caller;
	enum stage stage;
	const char *step; /* static text */
	struct failure failure;

	uint32_t create; /* CLONE_NEW* still to be made by init */
	uint32_t made;	 /* by the relay for init: a time namespace */
	uint32_t joined;
	uint64_t inodes[N_NS_KINDS]; /* of init's namespaces; 0 = not known */
	struct op_joins joins;	     /* what READY says of them, */
	struct op_program program;   /* and of this; inode 0 = not known */
	bool outside_offsets;	     /* init gets timens_offsets with the go */

	/* Descriptors, -1 = none. What init uses is inherited by the fork. */
	int init_channel;
	int relay_report;
	int fd_channel;
	int exec_block;
	int gate_listener;
	int target_pidfd;
	int proc_fd;
	int go_read; /* init waits here for the relay's or mapper's go */
	int go_write;
	int mapper_channel; /* relay's end */
	int caller_pidfd;   /* the process at the caller's end */
	int parent_pidfd;   /* the spawner, for the parent death signal */
	int oom_fd;	    /* opened while root, written as the caller */
	int offsets_fd;	    /* the same, of the relay's own time namespace */
	int init_pidfd;
	int ns_fd; /* init's /proc/self/ns */
	int channel_fds[BOOTSTRAP_MAX_CHANNEL_FDS];
	size_t n_channel_fds;
	int stdio_fds[3];
	int root_tree; /* detached mount, when the relay made it */
	int mount_trees[BOOTSTRAP_MAX_MOUNTS];

	pid_t mapper_pid;
	bool mapper_uid_tool, mapper_gid_tool; /* rootless: see maptool.h */
	/* Capabilities of the mapper: what the maps that were allowed need. */
	uint64_t mapper_caps;
	pid_t spawner_pid; /* of whom init will be a child */
	pid_t init_pid;
	bool told_spawner;

	/* Of an ordinary caller's payload, see callerstate.h. */
	struct rlimit limits[RLIM_NLIMITS];

	char **argv; /* of the payload, see execblock.h */
	char **env;
	char *pointers[STAGE_INLINE_POINTERS]; /* of both, if they fit */
};

struct stage_step {
	const char *name;
	int (*run)(struct stage_context *context);
};

/* All descriptors -1, then the input's. */
void stage_context_init(struct stage_context *context,
			const struct stage_input *input);
/* Run a table of steps; -errno of the first that failed. */
must_check int stage_steps_run(struct stage_context *context,
			       const struct stage_step *steps, size_t n);

/*
 * Fill context->failure for the running process and return -error. step NULL:
 * the running step's name.
 */
int stage_fail(struct stage_context *context, const char *step,
	       const char *syscall, int error, const char *fmt, ...)
	printf_like(5, 6);

/* Was the request an admin's, who keeps the spawner's rights? */
static inline bool
stage_is_admin(const struct stage_context *context)
{
	return context->caller->admin;
}

/*
 * Is the spawner an ordinary user, and this start its own? Then there is no
 * root to prepare anything: our own files below /proc have to be opened as that
 * user, and so the relay stays dumpable until it joins a namespace. Nobody
 * gains by it that could not trace the spawner itself; a payload cannot look
 * out of its user namespace (ptrace(2)).
 */
static inline bool
stage_is_rootless(const struct stage_context *context)
{
	return context->caller->rootless;
}

/* The last process of a start. Never returns. */
_Noreturn void stage_init_run(struct stage_context *context);

#endif
