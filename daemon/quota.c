/* SPDX-License-Identifier: Apache-2.0 */
/* The bounds of owners; see quota.h. */
#include "daemon/quota.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/container_table.h"
#include "daemon/identity.h"
#include "lib/clock.h"

#define ADMIN_KEYS 65536u

struct quota_row {
	const char *kind; /* on the wire; stable */
	const char *object;
	const char *rule;
	const char *hint;
	uint32_t retry_ms; /* 0: only the owner himself can make room */
};

static const struct quota_row quota_rows[] = {
	/* counted in container_table.c: owner.live */
	[QUOTA_CONTAINERS] = { "containers", "your live containers",
			       "as many containers as you may have are alive",
			       "end or delete one", 0 },
	/* owner.in_flight, by task_count() */
	[QUOTA_STARTS] = { "starts", "your starts in flight",
			   "as many starts as you may have are under way",
			   "wait for one of them", 50 },
	/* owner.tokens */
	[QUOTA_START_RATE] = { "start-rate", "your starts per second",
			       "you start faster than you may", "slow down",
			       0 },
	/* container.n_execs */
	[QUOTA_EXECS] = { "execs", "exec processes of this container",
			  "as many exec processes as it may have are alive",
			  "wait for one to end", 0 },
	/* of the request alone */
	[QUOTA_REQUEST_FDS] = { "request-fds", "descriptors of this request",
				"more descriptors than one request may bring",
				"pass fewer", 0 },
	/* owner.held_fds, by task_count() */
	[QUOTA_HELD_FDS] = { "held-fds", "descriptors of your starts in flight",
			     "more descriptors than you may have under way",
			     "wait for a start, or pass fewer", 50 },
	/* owner.stuck, by task_mark_stuck() */
	[QUOTA_STUCK] = { "stuck", "processes of yours that do not end",
			  "too many of them were killed and are still there",
			  "let what they wait for answer (a FUSE file?)", 0 },
	/* server.h: owner.n_peers */
	[QUOTA_CONNECTIONS] = { "connections", "your connections",
				"as many connections as you may have are open",
				"close one, or use one for many calls", 100 },
	/* server.h: owner.n_calls */
	[QUOTA_REQUESTS] = { "requests", "your requests in flight",
			     "as many requests as you may have are in flight",
			     "wait for an answer", 20 },
	/* peer.n_parked */
	[QUOTA_WAITING_CALLS] = { "waiting-calls",
				  "waiting calls of this connection",
				  "as many calls as it may have wait",
				  "wait for less, or use another connection",
				  0 },
	/* server.h: owner.large */
	[QUOTA_REQUEST_BYTES] = { "request-bytes",
				  "your large requests under way",
				  "too many large requests are under way",
				  "wait for answers", 50 },
	/* server.h: owner.queued */
	[QUOTA_QUEUED_BYTES] = { "queued-bytes", "answers queued for you",
				 "more is queued for you than you may have",
				 "read what was answered", 0 },
	/* subscribe.c: the readers of one viewer */
	[QUOTA_SUBSCRIBERS] = { "subscribers", "your event streams",
				"as many streams as you may have are open",
				"end one of them", 0 },
	/* id_block.c: of what is delegated to him */
	[QUOTA_ID_BLOCKS] = { "id-blocks", "your blocks of 65536 ids",
			      "each that is delegated to you belongs to a "
			      "live container",
			      "end one of those, or have more ids delegated",
			      0 },
	/* by the kernel: pids.max of the owner's cgroup, spawner_quota.c */
	[QUOTA_TASKS] = { "tasks", "your processes and threads",
			  "as many as your containers may have together run",
			  "end some of them", 0 },
	/* the same of memory.max; here only if it is nothing at all */
	[QUOTA_MEMORY] = { "memory", "memory of your containers",
			   "they may have none",
			   "ask the administrator: memory_mib of the policy",
			   0 },
};
_Static_assert(sizeof(quota_rows) / sizeof(quota_rows[0]) == N_QUOTAS,
	       "every quota has a row");

const char *
quota_kind(enum quota quota)
{
	return quota_rows[quota].kind;
}

int
quota_by_kind(const char *kind)
{
	for (int i = 0; kind && i < N_QUOTAS; i++) {
		if (strcmp(quota_rows[i].kind, kind) == 0)
			return i;
	}
	return -1;
}

const struct owner_limits *
owner_limits(const struct daemon *daemon, const struct rpc_caller *caller)
{
	if (caller->admin)
		return NULL;
	return caller->identity ? &caller->identity->limits
				: &daemon->config->limits.owner;
}

size_t
key_limit(const struct daemon *daemon, const struct rpc_caller *caller)
{
	const struct owner_limits *limits = owner_limits(daemon, caller);

	return limits ? limits->keys : ADMIN_KEYS;
}

static void
fill(const struct quota_use *use, enum errcode code, struct error *error)
{
	const struct quota_row *row = &quota_rows[use->quota];

	(void)error_set(error, code, "check-quota", row->object, row->rule,
			row->hint);
	error->quota = (struct error_quota){ .kind = row->kind,
					     .limit = use->limit,
					     .retry_ms = row->retry_ms };
}

int
quota_refuse(const struct quota_use *use, struct error *error)
{
	fill(use, use->quota == QUOTA_START_RATE ? ERRCODE_RATE : ERRCODE_QUOTA,
	     error);
	error->quota.has_used = true;
	error->quota.used = use->used;
	return -EINVAL;
}

int
quota_refuse_all(const struct quota_use *use, struct error *error)
{
	static const char your[] = "your ";
	const char *object = quota_rows[use->quota].object;
	size_t skip = strncmp(object, your, strlen(your)) ? 0 : strlen(your);

	fill(use, ERRCODE_OVERLOADED, error);
	(void)snprintf(error->failure.object, sizeof(error->failure.object),
		       "%s", object + skip);
	error->quota.retry_ms = 100;
	error_rule(error, "as many as all callers together may have");
	error_hint(error, "try again later");
	return -EINVAL;
}

int
quota_check(const struct quota_use *use, struct error *error)
{
	if (use->used <= use->limit && use->wanted <= use->limit - use->used)
		return 0;
	return quota_refuse(use, error);
}

/* A token bucket: burst at most, refilled by the clock. */
static int
take_token(struct owner *owner, const struct owner_limits *limits,
	   struct error *error)
{
	const struct quota_use use = { QUOTA_START_RATE,
				       limits->starts_per_second,
				       limits->starts_per_second, 1 };
	int64_t now = clock_boottime_ms();
	double wait;

	if (owner->tokens < 0)
		owner->tokens = limits->starts_burst;
	else
		owner->tokens += (double)(now - owner->tokens_ms) *
				 limits->starts_per_second / 1000.0;
	if (owner->tokens > limits->starts_burst)
		owner->tokens = limits->starts_burst;
	owner->tokens_ms = now;
	if (owner->tokens >= 1) {
		owner->tokens -= 1;
		return 0;
	}
	(void)quota_refuse(&use, error);
	error->quota.has_used = false;
	if (limits->starts_per_second && limits->starts_burst) {
		wait = (1 - owner->tokens) * 1000 / limits->starts_per_second;
		error->quota.retry_ms = (uint32_t)wait + 1;
	}
	return -EINVAL;
}

/* The bounds of all callers, less the admins' twentieth for others. */
static int
check_all(struct daemon *daemon, const struct owner_limits *limits,
	  bool container, struct error *error)
{
	const struct config_limits *all = &daemon->config->limits;
	struct quota_use starts = { QUOTA_STARTS, all->starts_in_flight, 0, 0 };
	struct quota_use live = { QUOTA_CONTAINERS, all->containers, 0, 0 };

	if (limits) {
		starts.limit -= starts.limit / 20;
		live.limit -= live.limit / 20;
	}
	if (container_table_in_flight(daemon->containers) >= starts.limit)
		return quota_refuse_all(&starts, error);
	if (container && container_table_live(daemon->containers) >= live.limit)
		return quota_refuse_all(&live, error);
	return 0;
}

static int
check_owner(const struct owner *owner, const struct owner_limits *limits,
	    const struct quota_start *start, struct error *error)
{
	const struct quota_use uses[] = {
		{ QUOTA_STUCK, limits->stuck, owner->stuck, 1 },
		{ QUOTA_STARTS, limits->starts, owner->in_flight, 1 },
		{ QUOTA_REQUEST_FDS, limits->request_fds, 0, start->n_fds },
		{ QUOTA_HELD_FDS, limits->held_fds, owner->held_fds,
		  start->n_fds },
		{ QUOTA_CONTAINERS, limits->containers, owner->live,
		  start->container },
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]) && r == 0; i++)
		if (uses[i].wanted)
			r = quota_check(&uses[i], error);
	return r;
}

static int
no_memory(struct error *error)
{
	return error_set(error, ERRCODE_OVERLOADED, "check-quota", "memory",
			 "the daemon has no memory left for it",
			 "try again later");
}

int
quota_check_start(struct daemon *daemon, const struct rpc_caller *caller,
		  const struct quota_start *start, struct error *error)
{
	const struct owner_limits *limits = owner_limits(daemon, caller);
	struct owner *owner = owner_counts(daemon->containers, caller->owner);
	int r;

	if (!owner)
		return no_memory(error);
	r = check_all(daemon, limits, start->container, error);
	if (r < 0 || !limits)
		return r;
	r = check_owner(owner, limits, start, error);
	return r < 0 ? r : take_token(owner, limits, error);
}

int
quota_check_open(struct daemon *daemon, const struct rpc_caller *caller,
		 struct error *error)
{
	const struct owner_limits *limits = owner_limits(daemon, caller);
	struct owner *owner = owner_counts(daemon->containers, caller->owner);
	const struct quota_start none = { .container = false };
	int r;

	if (!owner)
		return no_memory(error);
	r = check_all(daemon, limits, false, error);
	return r < 0 || !limits ? r : check_owner(owner, limits, &none, error);
}
