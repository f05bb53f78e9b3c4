/* SPDX-License-Identifier: Apache-2.0 */
/* Resetting of what is inherited. See hygiene.h. */
#include "spawn/hygiene.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/sys.h"

#define UMASK_DEFAULT 022

int
hygiene_open(struct stage_context *context)
{
	const struct bootstrap *msg = context->msg;

	/* A process that is not dumpable cannot open its own files below /proc
	 * once it is not root. Only the opening is done as root: the value is
	 * written as the caller, and the kernel judges the writer (lowering
	 * needs CAP_SYS_RESOURCE, proc(5)). */
	if (bootstrap_has(msg, BOOTSTRAP_OOM_SCORE_ADJ)) {
		context->oom_fd = openat(context->proc_fd, "self/oom_score_adj",
					 O_WRONLY | O_CLOEXEC);
		if (context->oom_fd < 0)
			return stage_fail(context, "oom-score-adj", "openat",
					  errno, "self/oom_score_adj");
	}
	if (bootstrap_has(msg, BOOTSTRAP_PARENT_DEATH_SIGNAL)) {
		context->parent_pidfd = sys_pidfd_open(getppid());
		if (context->parent_pidfd < 0)
			return stage_fail(context, "death-signal", "pidfd_open",
					  -context->parent_pidfd, "parent");
	}
	return 0;
}

int
hygiene_keyring(struct stage_context *context)
{
	/* Root's session keyring would be readable by the payload otherwise.
	 * Made by the caller, counted against the caller (keyrings(7)). */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0) <
		    0 &&
	    errno != ENOSYS)
		return stage_fail(context, NULL, "keyctl", errno,
				  "new session keyring");
	return 0;
}

static int
write_oom_score_adj(struct stage_context *context)
{
	const char *text = context->msg->oom_score_adj;

	if (context->oom_fd < 0)
		return 0;
	if (write(context->oom_fd, text, strlen(text)) < 0)
		return stage_fail(context, "oom-score-adj", "write", errno,
				  "%s", text);
	close(context->oom_fd);
	context->oom_fd = -1;
	return 0;
}

static int
set_nice(struct stage_context *context)
{
	const struct bootstrap *msg = context->msg;

	if (bootstrap_has(msg, BOOTSTRAP_NICE) &&
	    setpriority(PRIO_PROCESS, 0, msg->nice) < 0)
		return stage_fail(context, "nice", "setpriority", errno, "%d",
				  msg->nice);
	return 0;
}

/*
 * A hard limit can be raised with CAP_SYS_RESOURCE in the first user
 * namespace alone, so before init is in another: the hard one only, that this
 * process's own work is not limited.
 */
static int
raise_rlimits(struct stage_context *context)
{
	const struct bootstrap *msg = context->msg;
	struct rlimit now;
	size_t i;

	for (i = 0; i < msg->n_rlimits; i++) {
		const struct bootstrap_rlimit *asked = &msg->rlimits[i];

		if (getrlimit(asked->resource, &now) < 0)
			return stage_fail(context, "rlimits", "getrlimit",
					  errno, "resource %u",
					  asked->resource);
		if (asked->hard <= now.rlim_max)
			continue;
		now.rlim_max = asked->hard;
		if (setrlimit(asked->resource, &now) < 0)
			return stage_fail(context, "rlimits", "setrlimit",
					  errno, "resource %u hard %lu",
					  asked->resource,
					  (unsigned long)asked->hard);
	}
	return 0;
}

int
hygiene_priority(struct stage_context *context)
{
	int r;

	r = write_oom_score_adj(context);
	if (r == 0)
		r = set_nice(context);
	if (r == 0)
		r = raise_rlimits(context);
	return r;
}

int
hygiene_session(struct stage_context *context)
{
	const struct bootstrap *msg = context->msg;

	/* No controlling terminal: what the payload opens with TIOCSTI in mind
	 * is not one (CVE-2017-5226). */
	if (setsid() < 0)
		return stage_fail(context, NULL, "setsid", errno, "%s", "");
	umask(bootstrap_has(msg, BOOTSTRAP_UMASK) ? (mode_t)msg->umask
						  : UMASK_DEFAULT);
	prctl(PR_SET_TIMERSLACK, 0UL, 0, 0, 0);
	return 0;
}

int
hygiene_rlimits(struct stage_context *context)
{
	const struct bootstrap *msg = context->msg;
	struct rlimit limit;
	size_t i;

	for (i = 0; i < msg->n_rlimits; i++) {
		limit.rlim_cur = msg->rlimits[i].soft;
		limit.rlim_max = msg->rlimits[i].hard;
		if (setrlimit(msg->rlimits[i].resource, &limit) < 0)
			return stage_fail(context, NULL, "setrlimit", errno,
					  "resource %u soft %lu hard %lu",
					  msg->rlimits[i].resource,
					  (unsigned long)limit.rlim_cur,
					  (unsigned long)limit.rlim_max);
	}
	return 0;
}

int
hygiene_death_signal(struct stage_context *context)
{
	struct pollfd p = { .fd = context->parent_pidfd, .events = POLLIN };
	uint32_t sig = context->msg->parent_death_signal;

	if (context->parent_pidfd < 0)
		return 0;
	if (prctl(PR_SET_PDEATHSIG, (unsigned long)sig, 0, 0, 0) < 0)
		return stage_fail(context, NULL, "prctl", errno, "signal %u",
				  sig);
	/* It may have died just before; getppid() says 0 in a new pid
	 * namespace anyway, so its pidfd is asked. */
	if (poll(&p, 1, 0) > 0)
		return stage_fail(context, NULL, "poll", ESRCH,
				  "the spawner is gone");
	return 0;
}
