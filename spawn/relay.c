/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay: first stage of a start. See stage.h.
 *
 * It begins as root, in the container's cgroup, and becomes the caller before
 * it looks at anything that the caller named. From then on every path, join
 * and clone is decided by the kernel with the caller's credentials; what was
 * prepared as root is listed in steps_as_root and touches nothing of the
 * request but its numbers.
 *
 * The relay waits for nobody but the fd channel and the mapper: the maps are
 * written, init's pid is told to the spawner, and it is gone.
 */
#include "spawn/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "lib/util.h"
#include "proto/nsplan.h"
#include "spawn/callerstate.h"
#include "spawn/creds.h"
#include "spawn/fdsetup.h"
#include "spawn/guard.h"
#include "spawn/handover.h"
#include "spawn/hygiene.h"
#include "spawn/joins.h"
#include "spawn/mapper.h"
#include "spawn/mounts.h"
#include "spawn/report.h"
#include "spawn/stagectx.h"
#include "spawn/stageplan.h"
#include "spawn/stdio.h"
#include "spawn/timeoffset.h"

/* What init is to make, and whether it has to wait for somebody. */
static int
relay_plan(struct stage_context *context)
{
	int r = stageplan_make(context);

	if (r < 0)
		return r;
	/* Only a namespace with maps, or no gate at all, makes init wait. */
	if ((context->create & CLONE_NEWUSER) ||
	    context->msg->gate == GATE_NONE)
		return handover_open(context);
	return 0;
}

/* A time namespace with offsets that no new user namespace owns. */
static int
relay_make_time(struct stage_context *context)
{
	int r;

	if (context->offsets_fd < 0)
		return 0;
	if (unshare(CLONE_NEWTIME) < 0)
		return stage_fail(context, "unshare", "unshare", errno, "time");
	r = timeoffset_write(context->offsets_fd, context->msg->time_offsets);
	if (r < 0)
		return stage_fail(context, NULL, "write", -r, "%s",
				  context->msg->time_offsets);
	fd_close(&context->offsets_fd);
	context->create &= ~(uint32_t)CLONE_NEWTIME;
	return 0;
}

static int
relay_join(struct stage_context *context)
{
	int r = joins_enter(context);

	if (r < 0)
		return r;
	stageplan_know_own(context,
			   context->msg->clone_flags | context->joined);
	return 0;
}

static const struct stage_step steps_as_root[] = {
	{ "relay-start", guard_arm },
	{ "relay-plan", relay_plan },
	{ "relay-open", hygiene_open },
	{ "map-start", mapper_start },
	{ "caller-state", callerstate_take },
	{ "caller-credentials", creds_become_caller },
};

static const struct stage_step steps_as_caller[] = {
	{ "keyring", hygiene_keyring },
	{ "rlimits", callerstate_limit },
	{ "priority", hygiene_priority },
	{ "fd-channel", fdsetup_receive },
	{ "stdio-open", stdio_open },
	{ "mount-sources", mounts_open_sources },
	{ "join", relay_join },
	{ "time-offsets", relay_make_time },
};

/*
 * Init is a child of the spawner (CLONE_PARENT: exit_signal must be 0), so that
 * the relay may end. The rest of the namespaces is made by init itself, once it
 * is root in its user namespace: see creds_become_root().
 */
static int
relay_clone(struct stage_context *context)
{
	uint32_t flags = nsplan_clone_flags(context->create);
	struct clone_args args = {
		.flags = CLONE_PARENT | CLONE_PIDFD | CLONE_CLEAR_SIGHAND |
			 flags,
		.pidfd = (uint64_t)(uintptr_t)&context->init_pidfd,
	};
	pid_t pid;

	context->step = "clone-init";
	pid = sys_clone3(&args);
	if (pid < 0)
		return stage_fail(context, NULL, "clone3", -pid, "flags %x",
				  flags);
	if (pid == 0)
		stage_init_run(context);
	context->init_pid = pid;
	return 0;
}

/* The spawner takes this as a claim: it looks for itself whether it is so. */
static int
relay_tell_spawner(struct stage_context *context)
{
	struct relay_report report = { .pid = context->init_pid };
	int r;

	context->told_spawner = true;
	/* Of a spawner that died the kernel would tell by SIGPIPE, and init
	 * would stay. It was cloned before: the payload does not inherit this.
	 */
	signal(SIGPIPE, SIG_IGN);
	r = fd_write_all(context->relay_report, &report, sizeof(report));
	return r < 0 ? stage_fail(context, NULL, "write", -r, "spawner") : 0;
}

static int
relay_let_go(struct stage_context *context)
{
	int r;

	fd_close(&context->go_read);
	if (context->create & CLONE_NEWUSER)
		return mapper_go(context);
	if (context->go_write < 0)
		return 0;
	r = handover_send(context->go_write, -1);
	return r < 0 ? stage_fail(context, NULL, "sendmsg", -r, "init") : 0;
}

static int
relay_send_pidfd(struct stage_context *context)
{
	int r;

	if (!context->msg->send_pidfd || context->fd_channel < 0)
		return 0;
	r = fd_send(context->fd_channel, "P", 1, &context->init_pidfd, 1);
	/* A caller that went away does not end what it started. */
	if (r == -EPIPE || r == -ECONNRESET)
		return 0;
	return r < 0 ? stage_fail(context, NULL, "sendmsg", -r, "fd channel")
		     : 0;
}

/* Init first: it has the longest way to go. */
static const struct stage_step steps_after_clone[] = {
	{ "map-go", relay_let_go },
	{ "report-pid", relay_tell_spawner },
	{ "send-pidfd", relay_send_pidfd },
	{ "map-finish", mapper_finish },
};

static void
relay_end_mapper(struct stage_context *context)
{
	int status;

	if (context->mapper_pid <= 0)
		return;
	/* It is not ours to signal any more; end of file ends it. */
	fd_close(&context->mapper_channel);
	waitpid(context->mapper_pid, &status, 0);
}

/* Init is the spawner's to reap, so it is told in any case; ours to end. */
static _Noreturn void
relay_fail_with_init(struct stage_context *context)
{
	const struct failure failure = context->failure;

	if (!context->told_spawner)
		(void)!relay_tell_spawner(context);
	(void)sys_pidfd_send_signal(context->init_pidfd, SIGKILL);
	relay_end_mapper(context);
	/* Init ended first and has said why, or the spawner is gone. */
	if (failure.error == EPIPE)
		_exit(1);
	context->failure = failure;
	stage_die(context);
}

_Noreturn void
stage_relay_run(const struct stage_input *input)
{
	struct stage_context context;
	int r;

	prctl(PR_SET_NAME, "nsx:[relay]", 0, 0, 0);
	if (!input->caller->rootless)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	stage_context_init(&context, input);
	r = stage_steps_run(&context, steps_as_root, ARRAY_SIZE(steps_as_root));
	if (r == 0)
		r = stage_steps_run(&context, steps_as_caller,
				    ARRAY_SIZE(steps_as_caller));
	if (r == 0)
		r = relay_clone(&context);
	if (r < 0) {
		relay_end_mapper(&context);
		stage_die(&context);
	}
	r = stage_steps_run(&context, steps_after_clone,
			    ARRAY_SIZE(steps_after_clone));
	if (r < 0)
		relay_fail_with_init(&context);
	_exit(0);
}
