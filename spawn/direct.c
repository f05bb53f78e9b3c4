/* SPDX-License-Identifier: Apache-2.0 */
/* Init without a relay. See direct.h. */
#include "spawn/direct.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "lib/util.h"
#include "proto/nsplan.h"
#include "spawn/creds.h"
#include "spawn/execblock.h"
#include "spawn/fdsetup.h"
#include "spawn/guard.h"
#include "spawn/hygiene.h"
#include "spawn/mapset.h"
#include "spawn/mounts.h"
#include "spawn/report.h"
#include "spawn/stagectx.h"
#include "spawn/stageplan.h"
#include "spawn/stdio.h"

static bool
has_stdio_path(const struct bootstrap *msg)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(msg->stdio); i++)
		if (msg->stdio[i].kind == BOOTSTRAP_STDIO_PATH)
			return true;
	return false;
}

static bool
has_bind(const struct bootstrap *msg)
{
	size_t i;

	for (i = 0; i < msg->n_mounts; i++)
		if (msg->mounts[i].kind == BOOTSTRAP_MOUNT_KIND_BIND)
			return true;
	return bootstrap_has(msg, BOOTSTRAP_ROOTFS);
}

/*
 * In a new user namespace from its first instruction on, init has no right
 * outside of it any more: paths and mounts of the host, groups, priorities and
 * hard limits are a relay's to prepare.
 */
static bool
needs_host_rights(const struct stage_input *input)
{
	const struct bootstrap *msg = input->msg;

	return has_stdio_path(msg) || has_bind(msg) || msg->n_rlimits > 0 ||
	       msg->keep_groups || bootstrap_has(msg, BOOTSTRAP_NICE) ||
	       bootstrap_has(msg, BOOTSTRAP_OOM_SCORE_ADJ) ||
	       input->caller->gid != 0;
}

bool
direct_is_possible(const struct stage_input *input)
{
	const struct bootstrap *msg = input->msg;
	bool user = msg->clone_flags & CLONE_NEWUSER;

	if (!input->caller->admin || input->target_pidfd >= 0)
		return false;
	/* A pid or time namespace is joined by one process for the next. */
	if (msg->n_joins > 0 || bootstrap_has(msg, BOOTSTRAP_NS_PATHS))
		return false;
	/* The relay's part: it has init's pidfd, and the spawner as parent. */
	if (msg->send_pidfd ||
	    bootstrap_has(msg, BOOTSTRAP_PARENT_DEATH_SIGNAL))
		return false;
	if (bootstrap_has(msg, BOOTSTRAP_TIME_OFFSETS) && !user)
		return false;
	return !user || !needs_host_rights(input);
}

bool
direct_is_shareable(const struct stage_input *input)
{
	const struct bootstrap *msg = input->msg;
	size_t argc = 0, envc = 0;

	/* What init maps would stay mapped; a named gate may never open. */
	if (msg->gate == GATE_NAMED || input->exec_block >= 0 ||
	    bootstrap_has(msg, BOOTSTRAP_EXEC_BLOCK) ||
	    execblock_count(msg->argv.data, msg->argv.size, &argc) < 0 ||
	    execblock_count(msg->env.data, msg->env.size, &envc) < 0 ||
	    argc + envc + 2 > STAGE_INLINE_POINTERS)
		return false;
	return direct_is_possible(input);
}

int
direct_open(const struct stage_input *input, struct direct *ret)
{
	int pair[2];

	*ret = (struct direct){ nsplan_clone_flags(input->msg->clone_flags), -1,
				-1 };
	if (!(input->msg->clone_flags & CLONE_NEWUSER))
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ret->go_read = pair[0];
	ret->go_write = pair[1];
	return 0;
}

void
direct_close(struct direct *direct)
{
	fd_close(&direct->go_read);
	fd_close(&direct->go_write);
}

int
direct_let_go(const struct stage_input *input, struct direct *direct, pid_t pid,
	      struct failure *failure)
{
	struct mapset set = mapset_of(input->msg);
	int r = 0;

	set.proc_fd = input->proc_fd;
	set.go_write = direct->go_write;
	set.stage = STAGE_SPAWNER;
	/* Only one end now: if this fails, init sees the end of file. */
	fd_close(&direct->go_read);
	if (direct->go_write >= 0)
		r = mapset_write(&set, pid, failure);
	direct_close(direct);
	return r;
}

/* The caller's groups and gid; in a new user namespace they have no number. */
static int
direct_become_caller(struct stage_context *context)
{
	if (context->create & CLONE_NEWUSER)
		return 0;
	return creds_become_caller(context);
}

static int
direct_know_own(struct stage_context *context)
{
	stageplan_know_own(context, context->create);
	return 0;
}

/* What the relay does for others, as far as it applies. */
static const struct stage_step direct_steps[] = {
	{ "init-start", guard_arm },
	{ "relay-plan", stageplan_make },
	{ "relay-open", hygiene_open },
	{ "caller-credentials", direct_become_caller },
	{ "keyring", hygiene_keyring },
	{ "priority", hygiene_priority },
	{ "fd-channel", fdsetup_receive },
	{ "stdio-open", stdio_open },
	{ "mount-sources", mounts_open_sources },
	{ "namespaces", direct_know_own },
};

void
direct_run(const struct stage_input *input, const struct direct *direct)
{
	struct stage_context context;

	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	stage_context_init(&context, input);
	context.stage = STAGE_INIT;
	context.go_read = direct->go_read;
	context.go_write = direct->go_write;
	/* A copy of the writing end in here would hide its end of file. */
	fd_close(&context.go_write);
	if (stage_steps_run(&context, direct_steps, ARRAY_SIZE(direct_steps)) <
	    0)
		stage_die(&context);
	stage_init_run(&context);
}
