/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Init, or the child of an exec: the last stage, which becomes the payload.
 * Everything that it makes is made inside its namespaces, as root there or as
 * the caller; nothing of the spawner's is left in it but descriptors that
 * close at exec. Order: ids before namespaces, namespaces before mounts,
 * mounts before credentials, credentials before the working directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"
#include "proto/nsplan.h"
#include "spawn/callerstate.h"
#include "spawn/caps.h"
#include "spawn/creds.h"
#include "spawn/execblock.h"
#include "spawn/fdsetup.h"
#include "spawn/gate.h"
#include "spawn/guard.h"
#include "spawn/handover.h"
#include "spawn/hygiene.h"
#include "spawn/mounts.h"
#include "spawn/netup.h"
#include "spawn/report.h"
#include "spawn/stagectx.h"
#include "spawn/timeoffset.h"

#define UNSHARE_TRIES 5

/* The relay's ends: while a copy is open, nobody sees them close. */
static int
init_close(struct stage_context *context)
{
	fd_close(&context->relay_report);
	fd_close(&context->go_write);
	fd_close(&context->mapper_channel);
	fd_close(&context->fd_channel);
	fd_close(&context->target_pidfd);
	return 0;
}

static int
init_wait_go(struct stage_context *context)
{
	return handover_wait(context);
}

/* Clone made these: they are there before the go. */
static int
init_look_up(struct stage_context *context)
{
	uint32_t made = nsplan_clone_flags(context->create);

	return made ? report_look_up(context, made) : 0;
}

static int
init_become_root(struct stage_context *context)
{
	if (!(context->create & CLONE_NEWUSER))
		return 0;
	return creds_become_root(context);
}

static int
init_unshare(struct stage_context *context)
{
	uint32_t flags = nsplan_unshare_flags(context->create);
	int i;

	if (flags == 0)
		return 0;
	/* EINVAL: before Linux 4.3 while somebody reads /proc/PID/status. */
	for (i = 0; i < UNSHARE_TRIES; i++) {
		if (unshare((int)flags) == 0)
			return 0;
		if (errno != EINVAL)
			break;
	}
	return stage_fail(context, NULL, "unshare", errno, "flags %x", flags);
}

static int
init_time(struct stage_context *context)
{
	int r;

	if (context->offsets_fd < 0)
		return 0;
	r = timeoffset_write(context->offsets_fd, context->msg->time_offsets);
	fd_close(&context->offsets_fd);
	if (r < 0)
		return stage_fail(context, NULL, "write", -r, "%s",
				  context->msg->time_offsets);
	return 0;
}

static int
init_network(struct stage_context *context)
{
	int r;

	if (!context->msg->loopback || !(context->create & CLONE_NEWNET))
		return 0;
	r = netup_loopback();
	return r < 0 ? stage_fail(context, NULL, "ioctl", -r, "lo") : 0;
}

/* Only in a uts namespace that was made for this: root's is the host's. */
static int
init_names(struct stage_context *context)
{
	const char *host = context->msg->hostname;
	const char *domain = context->msg->domainname;

	if (!bootstrap_has(context->msg, BOOTSTRAP_HOSTNAME))
		host = NULL;
	if (!bootstrap_has(context->msg, BOOTSTRAP_DOMAINNAME))
		domain = NULL;
	if ((host || domain) && !(context->create & CLONE_NEWUTS))
		return stage_fail(context, NULL, "", EINVAL,
				  "no new uts namespace");
	if (host && sethostname(host, strlen(host)) < 0)
		return stage_fail(context, NULL, "sethostname", errno, "%s",
				  host);
	if (domain && setdomainname(domain, strlen(domain)) < 0)
		return stage_fail(context, "domainname", "setdomainname", errno,
				  "%s", domain);
	return 0;
}

/*
 * As the process, no longer as root of its namespace. A directory outside of
 * our root shows as "(unreachable)...": a descriptor's directory that leads
 * out is refused (CVE-2024-21626).
 */
static int
init_cwd(struct stage_context *context)
{
	char now[4096];
	const char *cwd = "/";

	if (bootstrap_has(context->msg, BOOTSTRAP_CWD))
		cwd = context->msg->cwd;
	if (chdir(cwd) < 0)
		return stage_fail(context, NULL, "chdir", errno, "%s", cwd);
	if (syscall(SYS_getcwd, now, sizeof(now)) < 0)
		return stage_fail(context, NULL, "getcwd", errno, "%s", cwd);
	if (now[0] != '/')
		return stage_fail(context, NULL, "getcwd", EXDEV, "%s", cwd);
	return 0;
}

static int
init_no_new_privs(struct stage_context *context)
{
	/* An ordinary caller's relay has set it already. */
	if (context->msg->no_new_privs &&
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return stage_fail(context, NULL, "prctl", errno, "%s", "");
	return 0;
}

/*
 * What needs none of the new ids stands before the go: the maps are written
 * meanwhile, and setsid() alone, which makes a scheduling group, takes as long.
 */
static const struct stage_step init_steps[] = {
	{ "init-start", guard_arm },
	{ "init-close", init_close },
	{ "session", hygiene_session },
	{ "exec-block", execblock_load },
	{ "namespaces", init_look_up },
	{ "init-go", init_wait_go },
	{ "become-root", init_become_root },
	{ "unshare", init_unshare },
	{ "time-offsets", init_time },
	{ "loopback", init_network },
	{ "hostname", init_names },
	{ "mounts", mounts_make },
	{ "fds", fdsetup_finish },
	{ "capabilities", caps_prepare },
	{ "ids", creds_become_process },
	{ "death-signal", hygiene_death_signal },
	{ "no-new-privs", init_no_new_privs },
	{ "capabilities", caps_finish },
	{ "cwd", init_cwd },
	{ "program", execblock_look },
};

_Noreturn void
stage_init_run(struct stage_context *context)
{
	int r;

	prctl(PR_SET_NAME, "nsx:[init]", 0, 0, 0);
	context->stage = STAGE_INIT;
	r = stage_steps_run(context, init_steps, ARRAY_SIZE(init_steps));
	if (r == 0) {
		guard_disarm();
		context->step = "ready";
		r = report_ready(context);
	}
	if (r == 0) {
		context->step = "gate";
		r = gate_wait(context);
	}
	if (r == 0) {
		/* Not before: the gate and the report need descriptors. */
		context->step = "rlimits";
		r = callerstate_finish(context);
	}
	if (r == 0)
		r = hygiene_rlimits(context);
	if (r == 0)
		r = execblock_exec(context);
	/* Whoever lets go is gone: nothing was exec'd, and nobody listens. */
	if (r == -ECANCELED)
		_exit(1);
	stage_die(context);
}
