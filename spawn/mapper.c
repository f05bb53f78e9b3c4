/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who writes id maps, and what for. See mapper.h.
 *
 * Why a hostile sender gains nothing. The maps are decided by the relay while
 * it is root, before init exists and before anything runs as the caller, by
 * pure functions of the message, the connection's uid and gid and the
 * resolver's record; the mapper is forked after that and writes those bytes and
 * no others: all that it is told later is a pid.
 *
 * That pid comes from a relay that runs as the caller. For the own id alone the
 * mapper has nothing but CAP_DAC_OVERRIDE, and the kernel decides with its
 * effective uid, the caller's: another pid is another of the caller's own
 * namespaces, or refused. With CAP_SETUID or CAP_SETGID the kernel still asks
 * that the target's user namespace belong to the caller (whoever opens the file
 * needs CAP_SYS_ADMIN over it, which the mapper has as its owner alone) and,
 * for these capabilities to count, that its parent be our own. What it no
 * longer asks is whose ids these are. So the mapper looks whether the target is
 * the init of this very start, a child of the spawner in the cgroup of this
 * container (maptarget.h), by the descriptor through which it then writes.
 * Without that look a wrong pid would still be a namespace of the caller, get
 * ids that are delegated to him, and be what newuidmap gives him. The look is
 * for the day on which a map may hold more than newuidmap gives.
 *
 * Never CAP_SETFCAP: the kernel then refuses host uid 0 (Linux 5.12). Nothing
 * like it stands behind host gid 0: see proto/idmap_rights_gid.c.
 */
#include "spawn/mapper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"
#include "proto/idmap_rights.h"
#include "proto/policy.h"
#include "proto/resolve.h"
#include "spawn/creds.h"
#include "spawn/fdsetup.h"
#include "spawn/idmapwrite.h"
#include "spawn/mapset.h"

#define MAPPER_TIMEOUT_S 5u

#define CAP_BIT(cap) (UINT64_C(1) << (cap))

static int
parse_map(struct stage_context *context, enum idmap_side side,
	  struct idmap *ret)
{
	const struct bootstrap *msg = context->msg;
	struct idmap_error error;
	int r;

	if (side == IDMAP_UID)
		r = idmap_parse(msg->uid_map, msg->uid_map_size, ret, &error);
	else
		r = idmap_parse(msg->gid_map, msg->gid_map_size, ret, &error);
	if (r == 0)
		r = idmap_check(ret, &error);
	return r < 0 ? stage_fail(context, "map-check", "", EINVAL, "%s map %s",
				  side == IDMAP_UID ? "uid" : "gid", error.rule)
		     : 0;
}

static int
refuse_map(struct stage_context *context, const struct idmap_verdict *verdict,
	   const struct idmap *map, const struct idmap_rights *rights,
	   enum idmap_side side)
{
	char text[IDMAP_VERDICT_MAX];

	idmap_verdict_text(verdict, map, rights,
			   side == IDMAP_UID ? "uid" : "gid", text);
	return stage_fail(context, "map-check", "", EPERM, "%s", text);
}

struct all_ranges {
	struct idmap_range ranges[RESOLVE_MAX_RANGES + POLICY_MAX_RANGES];
};

/*
 * What the policy gives beyond what is delegated. It names the caller, so it is
 * his whether he has an account or not.
 */
static void
add_ranges(struct idmap_rights *rights, const struct idmap_range *more,
	   uint32_t n_more, struct all_ranges *all)
{
	size_t n = rights->why_none ? 0 : rights->n_ranges;

	if (n_more == 0 || n_more > POLICY_MAX_RANGES || n > RESOLVE_MAX_RANGES)
		return;
	if (n > 0)
		memcpy(all->ranges, rights->ranges, n * sizeof(*more));
	memcpy(all->ranges + n, more, n_more * sizeof(*more));
	rights->ranges = all->ranges;
	rights->n_ranges = n + n_more;
	rights->why_none = NULL;
}

static int
check_uids(struct stage_context *context)
{
	const struct caller *caller = context->caller;
	struct idmap_verdict verdict;
	struct idmap_rights rights;
	struct all_ranges all;
	struct idmap map;
	int r;

	if (!bootstrap_has(context->msg, BOOTSTRAP_UID_MAP))
		return 0;
	r = parse_map(context, IDMAP_UID, &map);
	if (r < 0)
		return r;
	idmap_rights_uid(caller->user, caller->uid, caller->gid, &rights);
	if (caller->rights)
		add_ranges(&rights, caller->rights->uid_ranges,
			   caller->rights->n_uid_ranges, &all);
	if (idmap_uid_decide(&map, &rights, &verdict) < 0)
		return refuse_map(context, &verdict, &map, &rights, IDMAP_UID);
	if (verdict.delegated)
		context->mapper_caps |= CAP_BIT(CAP_SETUID);
	return 0;
}

static int
check_gids(struct stage_context *context)
{
	const struct caller *caller = context->caller;
	struct idmap_verdict verdict;
	struct idmap_rights rights;
	struct all_ranges all;
	struct idmap map;
	int r;

	if (!bootstrap_has(context->msg, BOOTSTRAP_GID_MAP))
		return 0;
	r = parse_map(context, IDMAP_GID, &map);
	if (r < 0)
		return r;
	idmap_rights_gid(caller->user, caller->uid, caller->gid, &rights);
	if (caller->rights)
		add_ranges(&rights, caller->rights->gid_ranges,
			   caller->rights->n_gid_ranges, &all);
	if (idmap_gid_decide(&map, &rights, &verdict) < 0)
		return refuse_map(context, &verdict, &map, &rights, IDMAP_GID);
	if (verdict.delegated)
		context->mapper_caps |= CAP_BIT(CAP_SETGID);
	return 0;
}

/* Was a delegated gid allowed? What newgidmap lets setgroups(2) stay for. */
static bool
has_delegated_gids(const struct stage_context *context)
{
	return context->mapper_caps & CAP_BIT(CAP_SETGID);
}

/* One row of the own id: what the kernel lets its owner map
 * (user_namespaces(7)). */
static bool
is_own_id(const struct idmap *map, uint32_t own)
{
	return map->n_rows == 1 && map->rows[0].size == 1 &&
	       map->rows[0].host_id == own;
}

/*
 * Rootless: everything but the own id is newuidmap's and newgidmap's, who
 * decide as they do for anybody; here is only seen which of them are needed.
 */
static int
plan_tools(struct stage_context *context, enum idmap_side side, bool *ret)
{
	const struct caller *caller = context->caller;
	const bool uid = side == IDMAP_UID;
	struct idmap map;
	int r;

	*ret = false;
	if (!bootstrap_has(context->msg,
			   uid ? BOOTSTRAP_UID_MAP : BOOTSTRAP_GID_MAP))
		return 0;
	r = parse_map(context, side, &map);
	if (r < 0 || is_own_id(&map, uid ? caller->uid : caller->gid))
		return r;
	if (!(uid ? context->input->newuidmap : context->input->newgidmap))
		return stage_fail(
			context, "map-check", "", EPERM,
			"%s map: more than the own id needs %s, which "
			"was not found (package uidmap)",
			uid ? "uid" : "gid", uid ? "newuidmap" : "newgidmap");
	*ret = true;
	return 0;
}

static int
check_caller_maps(struct stage_context *context)
{
	int r;

	if (stage_is_rootless(context)) {
		r = plan_tools(context, IDMAP_UID, &context->mapper_uid_tool);
		if (r == 0)
			r = plan_tools(context, IDMAP_GID,
				       &context->mapper_gid_tool);
		return r;
	}

	context->mapper_caps = CAP_BIT(CAP_DAC_OVERRIDE);
	r = check_uids(context);
	if (r == 0)
		r = check_gids(context);
	if (r == 0 && !has_delegated_gids(context) &&
	    context->msg->setgroups_mode == BOOTSTRAP_SETGROUPS_ALLOW)
		r = stage_fail(context, "map-check", "", EPERM,
			       "setgroups allow needs a delegated gid range");
	return r;
}

/* An ordinary caller's group may be what denies it a file: it stays, unless
 * newgidmap would let it be dropped. */
static bool
denies_setgroups(const struct stage_context *context)
{
	/* newgidmap denies it by itself where nothing was delegated. */
	if (context->mapper_gid_tool)
		return context->msg->setgroups_mode == BOOTSTRAP_SETGROUPS_DENY;
	return context->msg->setgroups_mode == BOOTSTRAP_SETGROUPS_DENY ||
	       !(stage_is_admin(context) || has_delegated_gids(context));
}

/* Maps and go, with the credentials that this process has now. */
static int
write_maps(struct stage_context *context, pid_t pid, const int *done_channel)
{
	struct mapset set = mapset_of(context->msg);

	set.proc_fd = context->proc_fd;
	set.go_write = context->go_write;
	set.done_channel = done_channel;
	set.deny_setgroups = denies_setgroups(context);
	set.stage = context->stage;
	set.caps = context->mapper_caps;
	set.parent = context->spawner_pid;
	if (context->mapper_uid_tool)
		set.uid_tool = context->input->newuidmap;
	if (context->mapper_gid_tool)
		set.gid_tool = context->input->newgidmap;
	return mapset_write(&set, pid, &context->failure);
}

/* The mapper's whole life. Its channel: a pid in; 'k' or a failure out. */
static int
mapper_work(struct stage_context *context, int channel)
{
	int32_t pid = 0;
	ssize_t n;
	int r;

	/* Rootless there is nothing to give up, and the set-user-ID programs
	 * need that no_new_privs is not set. */
	r = stage_is_rootless(context) ? 0 : creds_become_mapper(context);
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
	return write_maps(context, pid, &channel);
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
		_exit(0);
	(void)!fd_send(channel, &context->failure, sizeof(context->failure),
		       NULL, 0);
	_exit(1);
}

int
mapper_start(struct stage_context *context)
{
	int pair[2], r;
	pid_t pid;

	if (!(context->create & CLONE_NEWUSER) || stage_is_admin(context))
		return 0;
	context->spawner_pid = getppid();
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
		return write_maps(context, context->init_pid, NULL);
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
