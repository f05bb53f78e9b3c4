/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who writes id maps, and what for. See mapper.h.
 *
 * Why a hostile sender gains nothing: for an ordinary caller the kernel decides
 * with the mapper's effective uid, which is the caller's, and without
 * CAP_SETUID and CAP_SETGID: it takes the caller's own id alone, in namespaces
 * that this caller owns (user_namespaces(7)). The pid comes from a relay that
 * runs as the caller; another pid is another of the caller's own namespaces, or
 * refused.
 */
#include "spawn/mapper.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"
#include "spawn/creds.h"
#include "spawn/fdsetup.h"
#include "spawn/idmapwrite.h"
#include "spawn/mapset.h"

#define MAPPER_TIMEOUT_S 5u

static bool
row_in_range(const struct idmap_row *row, const struct idmap_range *range)
{
	return row->host_id >= range->first &&
	       (uint64_t)row->host_id + row->size <=
		       (uint64_t)range->first + range->size;
}

int
mapper_check(const struct idmap *map, const struct idmap_range *ranges,
	     size_t n_ranges)
{
	size_t i, j;

	for (i = 0; i < map->n_rows; i++) {
		for (j = 0; j < n_ranges; j++)
			if (row_in_range(&map->rows[i], &ranges[j]))
				break;
		if (j == n_ranges)
			return (int)i + 1;
	}
	return 0;
}

static int
parse_map(struct stage_context *context, const char *text, size_t size,
	  struct idmap *ret)
{
	struct idmap_error error;

	if (idmap_parse(text, size, ret, &error) < 0)
		return stage_fail(context, "map-check", "", EINVAL, "%s",
				  error.rule);
	return 0;
}

/* One side of an ordinary caller's request: own id, one row, no more. */
static int
check_side(struct stage_context *context, enum idmap_side side, uint32_t own)
{
	const struct bootstrap *msg = context->msg;
	const struct idmap_range range = { own, 1 };
	struct idmap map;
	int r, bad;

	r = side == IDMAP_UID
		    ? parse_map(context, msg->uid_map, msg->uid_map_size, &map)
		    : parse_map(context, msg->gid_map, msg->gid_map_size, &map);
	if (r < 0)
		return r;
	bad = mapper_check(&map, &range, 1);
	if (bad == 0 && map.n_rows > 1)
		bad = 2;
	if (bad == 0)
		return 0;
	return stage_fail(context, "map-check", "", EPERM,
			  "%s map row %d: host ids %u+%u, allowed: %u",
			  side == IDMAP_UID ? "uid" : "gid", bad - 1,
			  map.rows[bad - 1].host_id, map.rows[bad - 1].size,
			  own);
}

static int
check_caller_maps(struct stage_context *context)
{
	const struct bootstrap *msg = context->msg;
	int r = 0;

	if (bootstrap_has(msg, BOOTSTRAP_UID_MAP))
		r = check_side(context, IDMAP_UID, context->caller->uid);
	if (r == 0 && bootstrap_has(msg, BOOTSTRAP_GID_MAP))
		r = check_side(context, IDMAP_GID, context->caller->gid);
	if (r == 0 && msg->setgroups_mode == BOOTSTRAP_SETGROUPS_ALLOW)
		r = stage_fail(context, "map-check", "", EPERM,
			       "setgroups allow needs a delegated gid range");
	return r;
}

/* An ordinary caller's group may be what denies it a file: never droppable. */
static bool
denies_setgroups(const struct stage_context *context)
{
	return context->msg->setgroups_mode == BOOTSTRAP_SETGROUPS_DENY ||
	       !stage_is_admin(context);
}

/* Maps and go, with the credentials that this process has now. */
static int
write_maps(struct stage_context *context, pid_t pid)
{
	struct mapset set = mapset_of(context->msg);

	set.proc_fd = context->proc_fd;
	set.go_write = context->go_write;
	set.deny_setgroups = denies_setgroups(context);
	set.stage = context->stage;
	return mapset_write(&set, pid, &context->failure);
}

/* The mapper's whole life. Its channel: a pid in; 'k' or a failure out. */
static int
mapper_work(struct stage_context *context, int channel)
{
	int32_t pid = 0;
	ssize_t n;
	int r;

	r = creds_become_mapper(context);
	if (r < 0)
		return r;
	/* After the change of credentials, which clears it. */
	prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0, 0, 0);
	n = fd_recv(channel, &pid, sizeof(pid), NULL, 0, NULL);
	if (n == 0)
		_exit(1);
	alarm(MAPPER_TIMEOUT_S);
	if (n != sizeof(pid) || pid <= 0)
		return stage_fail(context, "map-open", "recvmsg", EPROTO,
				  "pid");
	return write_maps(context, pid);
}

static _Noreturn void
mapper_run(struct stage_context *context, int channel)
{
	const int keep[] = { channel, context->proc_fd, context->go_write };
	int r;

	prctl(PR_SET_NAME, "nsx:[mapper]", 0, 0, 0);
	/* The init channel's copy first of all: one left open anywhere and its
	 * end of file never comes. */
	fdsetup_close_except(keep, ARRAY_SIZE(keep));
	signal(SIGALRM, SIG_DFL);
	context->stage = STAGE_MAPPER;
	r = mapper_work(context, channel);
	if (r == 0)
		r = fd_send(channel, "k", 1, NULL, 0);
	else
		r = fd_send(channel, &context->failure,
			    sizeof(context->failure), NULL, 0);
	_exit(r < 0);
}

int
mapper_start(struct stage_context *context)
{
	int pair[2], r;
	pid_t pid;

	if (!(context->create & CLONE_NEWUSER) || stage_is_admin(context))
		return 0;
	r = check_caller_maps(context);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return stage_fail(context, NULL, "socketpair", errno, "mapper");
	pid = fork();
	if (pid < 0) {
		r = errno;
		close(pair[0]);
		close(pair[1]);
		return stage_fail(context, NULL, "fork", r, "mapper");
	}
	if (pid == 0)
		mapper_run(context, pair[1]);
	close(pair[1]);
	context->mapper_channel = pair[0];
	context->mapper_pid = pid;
	return 0;
}

int
mapper_go(struct stage_context *context)
{
	int32_t pid = context->init_pid;
	int r;

	if (context->mapper_channel < 0)
		return write_maps(context, context->init_pid);
	fd_close(&context->go_write);
	r = fd_send(context->mapper_channel, &pid, sizeof(pid), NULL, 0);
	return r < 0 ? stage_fail(context, NULL, "sendmsg", -r, "mapper") : 0;
}

int
mapper_finish(struct stage_context *context)
{
	struct failure failure;
	ssize_t n;
	int status;

	if (context->mapper_channel < 0)
		return 0;
	n = fd_recv(context->mapper_channel, &failure, sizeof(failure), NULL, 0,
		    NULL);
	fd_close(&context->mapper_channel);
	waitpid(context->mapper_pid, &status, 0);
	context->mapper_pid = 0;
	if (n == 1)
		return 0;
	if (n == sizeof(failure)) {
		context->failure = failure;
		return failure.error > 0 ? -failure.error : -EIO;
	}
	return stage_fail(context, "map-write", "recvmsg",
			  n < 0 ? (int)-n : EIO, "the mapper ended early");
}
