/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The caller's limits and priorities. See callerstate.h.
 *
 * For each of them the kernel's own rule decides: what could the caller have
 * done itself? What anybody may choose freely (timer slack, personality, umask,
 * terminal) is set to its default, so that nothing of the spawner's shows.
 * What the spawner's rights are needed for (a floor that only root moves) is
 * done before they are given up, with values of the kernel's alone.
 */
#include "spawn/callerstate.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"
#include "spawn/caps.h"

#define TIMER_SLACK_NS 50000UL /* the kernel's default, INIT_TASK */
#define CPU_MASK_WORDS 128     /* 8192 CPUs, the most that x86 has */
#define WORD_BITS (8 * sizeof(unsigned long))
/* linux/ioprio.h; absent from the headers of some distributions */
#define IOPRIO_WHO 1
#define IOPRIO_CLASS_OF(value) ((value) >> 13)
#define IOPRIO_CLASS_REALTIME 1
/* The columns of /proc/PID/limits: "%-25s %-20s %-20s %-10s" */
#define LIMIT_NAME_WIDTH 26

struct state {
	struct rlimit limits[RLIM_NLIMITS];
	int oom_score_adj;
	uint32_t login_uid;
	bool has_login_uid;
	int nice;
	int policy;
	int io_priority; /* -1 = the kernel has none */
	unsigned long cpus[CPU_MASK_WORDS];
	size_t cpus_size; /* bytes */
};

static int
state_fail(struct stage_context *context, const char *call, int error,
	   const char *what)
{
	return stage_fail(context, NULL, call, error, "%s of process %d", what,
			  context->caller->pid);
}

static int
limit_value_parse(const char **text, rlim_t *ret)
{
	const char *p = *text + strspn(*text, " ");
	char *end;

	if (strncmp(p, "unlimited ", 10) == 0) {
		*ret = RLIM_INFINITY;
		*text = p + 9;
		return 0;
	}
	if (*p < '0' || *p > '9')
		return -EBADMSG;
	errno = 0;
	*ret = strtoul(p, &end, 10);
	if (errno != 0 || *end != ' ')
		return -EBADMSG;
	*text = end;
	return 0;
}

/* The row of a resource is its number (fs/proc/base.c prints an array). */
static const char *const first_name = "Max cpu time ";
static const char *const nofile_name = "Max open files ";
static const char *const last_name = "Max realtime timeout ";

int
callerstate_parse_limits(const char *text, struct rlimit *ret)
{
	const char *name, *p;
	size_t i;

	for (i = 0; i < RLIM_NLIMITS; i++) {
		text = strchr(text, '\n');
		if (!text)
			return -EBADMSG;
		name = ++text;
		if (strnlen(name, LIMIT_NAME_WIDTH) < LIMIT_NAME_WIDTH ||
		    memchr(name, '\n', LIMIT_NAME_WIDTH) ||
		    name[LIMIT_NAME_WIDTH - 1] != ' ')
			return -EBADMSG;
		/* Should the order ever change, this is not what we know. */
		if ((i == RLIMIT_CPU && strncmp(name, first_name, 13) != 0) ||
		    (i == RLIMIT_NOFILE &&
		     strncmp(name, nofile_name, 15) != 0) ||
		    (i == RLIMIT_RTTIME && strncmp(name, last_name, 21) != 0))
			return -EBADMSG;
		p = name + LIMIT_NAME_WIDTH;
		if (limit_value_parse(&p, &ret[i].rlim_cur) < 0 ||
		    limit_value_parse(&p, &ret[i].rlim_max) < 0 ||
		    ret[i].rlim_cur > ret[i].rlim_max)
			return -EBADMSG;
	}
	return 0;
}

/*
 * prlimit(2) would ask for CAP_SYS_RESOURCE, which a spawner in a container
 * lacks; this file anybody may read, and it is of the same values.
 */
static int
read_limits(struct stage_context *context, struct state *state)
{
	char path[32], text[2048];
	ssize_t n;

	snprintf(path, sizeof(path), "%d/limits", context->caller->pid);
	n = fd_read_file(context->proc_fd, path, text, sizeof(text));
	/* Of a process that has ended it is empty. */
	if (n == 0 || n == -ENOENT)
		n = -ESRCH;
	if (n < 0)
		return state_fail(context, "read", (int)-n, "limits");
	if (callerstate_parse_limits(text, state->limits) < 0)
		return state_fail(context, "read", EBADMSG, "limits");
	return 0;
}

/* A file of one number. Its value, or -errno in *ret_error. */
static long long
read_number(const struct stage_context *context, pid_t pid, const char *name,
	    int *ret_error)
{
	char path[48], text[32], *end;
	long long value;
	ssize_t n;

	snprintf(path, sizeof(path), "%d/%s", pid, name);
	n = fd_read_file(context->proc_fd, path, text, sizeof(text));
	*ret_error = n < 0 ? (int)n : 0;
	if (n < 0)
		return 0;
	value = strtoll(text, &end, 10);
	if (end == text || (*end != '\n' && *end != '\0'))
		*ret_error = -EBADMSG;
	return value;
}

static int
read_files(struct stage_context *context, struct state *state)
{
	pid_t pid = context->caller->pid;
	int r;

	state->oom_score_adj =
		(int)read_number(context, pid, "oom_score_adj", &r);
	if (r < 0)
		return state_fail(context, "read", r == -ENOENT ? ESRCH : -r,
				  "oom_score_adj");
	state->login_uid = (uint32_t)read_number(context, pid, "loginuid", &r);
	/* ENOENT: a kernel without audit, or a process that just ended, which
	 * check_alive() finds. */
	state->has_login_uid = r == 0;
	return 0;
}

static int
read_scheduling(struct stage_context *context, struct state *state)
{
	pid_t pid = context->caller->pid;
	long n;

	errno = 0;
	state->nice = getpriority(PRIO_PROCESS, (id_t)pid);
	if (errno != 0)
		return state_fail(context, "getpriority", errno, "nice");
	state->policy = sched_getscheduler(pid);
	if (state->policy < 0)
		return state_fail(context, "sched_getscheduler", errno,
				  "policy");
	state->io_priority = (int)syscall(SYS_ioprio_get, IOPRIO_WHO, pid);
	if (state->io_priority < 0 && errno != ENOSYS)
		return state_fail(context, "ioprio_get", errno, "io priority");
	n = syscall(SYS_sched_getaffinity, pid, sizeof(state->cpus),
		    state->cpus);
	if (n < 0)
		return state_fail(context, "sched_getaffinity", errno, "CPUs");
	state->cpus_size = (size_t)n;
	return 0;
}

/* Its end of the connection lives, so every value was of this process. */
static int
check_alive(struct stage_context *context)
{
	struct pollfd p = { .fd = context->caller_pidfd, .events = POLLIN };

	if (context->caller_pidfd < 0 || context->caller->pid <= 0 ||
	    poll(&p, 1, 0) != 0)
		return state_fail(context, "poll", ESRCH, "pidfd");
	fd_close(&context->caller_pidfd);
	return 0;
}

static rlim_t
rlim_min(rlim_t a, rlim_t b)
{
	/* RLIM_INFINITY is the greatest */
	return a < b ? a : b;
}

/*
 * Each limit is the lower of the caller's and the spawner's, soft and hard.
 * Only noted here: the stage's own work needs descriptors and memory yet.
 */
static int
note_limits(struct stage_context *context, const struct state *state)
{
	struct rlimit own;
	size_t i;

	for (i = 0; i < RLIM_NLIMITS; i++) {
		if (getrlimit((__rlimit_resource_t)i, &own) < 0)
			return stage_fail(context, NULL, "getrlimit", errno,
					  "resource %u", (unsigned int)i);
		context->limits[i].rlim_cur =
			rlim_min(own.rlim_cur, state->limits[i].rlim_cur);
		context->limits[i].rlim_max =
			rlim_min(own.rlim_max, state->limits[i].rlim_max);
	}
	return 0;
}

/*
 * The worse of the two scores. Written as root and even if it is the same: with
 * CAP_SYS_RESOURCE the kernel takes what is written for the floor as well,
 * below which the process cannot go by itself later (proc(5)). As the caller
 * the spawner's floor would stay, and the payload could hide from the OOM
 * killer as the spawner does.
 */
static int
apply_oom_score(struct stage_context *context, const struct state *state)
{
	fd_auto int fd = -1;
	int own, score, r;
	char text[16];

	own = (int)read_number(context, getpid(), "oom_score_adj", &r);
	if (r < 0)
		return stage_fail(context, NULL, "read", -r,
				  "self/oom_score_adj");
	score = own > state->oom_score_adj ? own : state->oom_score_adj;
	fd = openat(context->proc_fd, "self/oom_score_adj",
		    O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return stage_fail(context, NULL, "openat", errno,
				  "self/oom_score_adj");
	r = snprintf(text, sizeof(text), "%d", score);
	if (write(fd, text, (size_t)r) < 0)
		return stage_fail(context, NULL, "write", errno,
				  "self/oom_score_adj %d", score);
	return 0;
}

/*
 * Whom the audit trail blames. The kernel lets root set it once, and later only
 * with CAP_AUDIT_CONTROL unless it is immutable (audit_set_loginuid_perm):
 * where it refuses, the spawner's stays, which blames its administrator and
 * gives nobody a right. The session number is the kernel's to choose.
 */
static int
apply_login_uid(struct stage_context *context, const struct state *state)
{
	fd_auto int fd = -1;
	uint32_t own;
	char text[16];
	int r;

	if (!state->has_login_uid)
		return 0;
	own = (uint32_t)read_number(context, getpid(), "loginuid", &r);
	if (r < 0 || own == state->login_uid)
		return 0;
	fd = openat(context->proc_fd, "self/loginuid", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return stage_fail(context, NULL, "openat", errno,
				  "self/loginuid");
	r = snprintf(text, sizeof(text), "%u", state->login_uid);
	if (write(fd, text, (size_t)r) < 0 && errno != EPERM)
		return stage_fail(context, NULL, "write", errno,
				  "self/loginuid %u", state->login_uid);
	return 0;
}

/*
 * The caller's nice value, and of its policies those that are no privilege.
 * Nobody leaves SCHED_IDLE without RLIMIT_NICE (sched(7)), so that one stays;
 * a real-time caller's program is an ordinary one, as is the spawner's.
 */
static int
apply_scheduling(struct stage_context *context, const struct state *state)
{
	const struct sched_param none = { 0 };
	int policy = SCHED_OTHER, own, r;

	if (state->policy == SCHED_IDLE || state->policy == SCHED_BATCH)
		policy = state->policy;
	own = sched_getscheduler(0);
	if (own != policy && sched_setscheduler(0, policy, &none) < 0)
		return stage_fail(context, NULL, "sched_setscheduler", errno,
				  "policy %d", policy);
	own = getpriority(PRIO_PROCESS, 0); /* of oneself it cannot fail */
	if (own == state->nice)
		return 0;
	r = setpriority(PRIO_PROCESS, 0, state->nice);
	/* A spawner without CAP_SYS_NICE: the worse one stays. */
	if (r < 0 && own < state->nice)
		return stage_fail(context, NULL, "setpriority", errno, "%d",
				  state->nice);
	return 0;
}

/* Real-time I/O is a privilege; the other classes anybody may take. */
static int
apply_io_priority(struct stage_context *context, const struct state *state)
{
	int wanted = state->io_priority;

	if (wanted < 0 || wanted == syscall(SYS_ioprio_get, IOPRIO_WHO, 0))
		return 0;
	if (IOPRIO_CLASS_OF(wanted) == IOPRIO_CLASS_REALTIME)
		wanted = 0;
	if (syscall(SYS_ioprio_set, IOPRIO_WHO, 0, wanted) < 0)
		return stage_fail(context, NULL, "ioprio_set", errno, "%d",
				  wanted);
	return 0;
}

/*
 * The CPUs of both; the caller's if there is none of both, as far as the
 * kernel allows them here. A mask is no wall: the kernel lets anybody widen its
 * own within its cpuset.
 */
static int
apply_cpus(struct stage_context *context, const struct state *state)
{
	unsigned long own[CPU_MASK_WORDS] = { 0 }, both[CPU_MASK_WORDS];
	size_t n = state->cpus_size / sizeof(own[0]), i;
	unsigned long any = 0;

	if (syscall(SYS_sched_getaffinity, 0, sizeof(own), own) < 0)
		return stage_fail(context, NULL, "sched_getaffinity", errno,
				  "own CPUs");
	for (i = 0; i < n; i++) {
		both[i] = own[i] & state->cpus[i];
		any |= both[i];
	}
	if (memcmp(both, own, state->cpus_size) == 0)
		return 0;
	if (syscall(SYS_sched_setaffinity, 0, state->cpus_size,
		    any ? both : state->cpus) < 0)
		return stage_fail(context, NULL, "sched_setaffinity", errno,
				  "the caller's CPUs");
	return 0;
}

/* Free for all, so they are the default and not the spawner's. */
static int
reset_the_free(struct stage_context *context)
{
	if (prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0) < 0)
		return stage_fail(context, NULL, "prctl", errno, "timer slack");
	if (personality(0xffffffff) != PER_LINUX && personality(PER_LINUX) < 0)
		return stage_fail(context, NULL, "personality", errno,
				  "PER_LINUX");
	return 0;
}

/*
 * Securebits outlive the change of uid, and the bounding set is what exec of a
 * set-uid program could give. A new user namespace begins with both as new
 * (user_namespaces(7)), so there is nothing to drop for one.
 */
static int
drop_the_rest(struct stage_context *context)
{
	if (stage_is_rootless(context))
		return 0; /* both are the user's own, and no_new_privs follows
			   */
	if (prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) != 0 &&
	    prctl(PR_SET_SECUREBITS, 0, 0, 0, 0) < 0)
		return stage_fail(context, NULL, "prctl", errno, "securebits");
	if (context->create & CLONE_NEWUSER)
		return 0;
	return caps_drop_bounding(context, 0);
}

static int
take_state(struct stage_context *context, struct state *state)
{
	int r;

	r = read_limits(context, state);
	if (r == 0)
		r = read_files(context, state);
	if (r == 0)
		r = read_scheduling(context, state);
	if (r == 0)
		r = check_alive(context);
	return r;
}

int
callerstate_take(struct stage_context *context)
{
	struct state state;
	int r;

	if (stage_is_admin(context))
		return 0;
	memset(&state, 0, sizeof(state));
	r = take_state(context, &state);
	if (r == 0)
		r = note_limits(context, &state);
	if (r == 0)
		r = apply_oom_score(context, &state);
	if (r == 0)
		r = apply_login_uid(context, &state);
	if (r == 0)
		r = apply_scheduling(context, &state);
	if (r == 0)
		r = apply_io_priority(context, &state);
	if (r == 0)
		r = apply_cpus(context, &state);
	if (r == 0)
		r = reset_the_free(context);
	if (r == 0)
		r = drop_the_rest(context);
	return r;
}

static int
limit_set(struct stage_context *context, int resource,
	  const struct rlimit *limit)
{
	if (setrlimit((__rlimit_resource_t)resource, limit) < 0)
		return stage_fail(context, "rlimits", "setrlimit", errno,
				  "resource %d soft %lu hard %lu", resource,
				  (unsigned long)limit->rlim_cur,
				  (unsigned long)limit->rlim_max);
	return 0;
}

/*
 * NPROC binds the clone of init, so that nobody starts through us what its own
 * fork() would be refused; NICE and RTPRIO what the request may ask for. CORE
 * is 0 until exec, whatever the caller has.
 */
int
callerstate_limit(struct stage_context *context)
{
	static const int early[] = { RLIMIT_NPROC, RLIMIT_NICE, RLIMIT_RTPRIO };
	const struct bootstrap *msg = context->msg;
	struct rlimit core = context->limits[RLIMIT_CORE];
	size_t i;
	int r;

	if (stage_is_admin(context))
		return 0;
	for (i = 0; i < msg->n_rlimits; i++) {
		const struct bootstrap_rlimit *asked = &msg->rlimits[i];

		if (asked->resource >= RLIM_NLIMITS)
			return stage_fail(context, "rlimits", "setrlimit",
					  EINVAL, "resource %u",
					  asked->resource);
		if (asked->hard > context->limits[asked->resource].rlim_max)
			return stage_fail(context, "rlimits", "setrlimit",
					  EPERM, "resource %u hard %lu",
					  asked->resource,
					  (unsigned long)asked->hard);
	}
	core.rlim_cur = 0;
	r = limit_set(context, RLIMIT_CORE, &core);
	for (i = 0; r == 0 && i < ARRAY_SIZE(early); i++)
		r = limit_set(context, early[i], &context->limits[early[i]]);
	return r;
}

int
callerstate_finish(struct stage_context *context)
{
	int resource, r = 0;

	if (stage_is_admin(context))
		return 0;
	for (resource = 0; r == 0 && resource < RLIM_NLIMITS; resource++)
		r = limit_set(context, resource, &context->limits[resource]);
	return r;
}
