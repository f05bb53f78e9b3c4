/* SPDX-License-Identifier: Apache-2.0 */
/* Putting it together. See spawner_who.h. */
#include "spawn/spawner_who.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/util.h"
#include "spawn/spawner.h"
#include "spawn/spawner_attest.h"
#include "spawn/spawner_defer.h"
#include "spawn/spawner_log.h"
#include "spawn/spawner_ops.h"
#include "spawn/spawner_quota.h"

static struct who_row *
who_find(struct who_table *table, uint64_t cookie)
{
	struct who_row *set = table->rows[cookie % WHO_SETS];
	size_t i;

	for (i = 0; cookie && i < WHO_WAYS; i++)
		if (set[i].cookie == cookie)
			return &set[i];
	return NULL;
}

/* A free one, or the one that was not used for longest. */
static struct who_row *
who_free_row(struct who_table *table, uint64_t cookie)
{
	struct who_row *set = table->rows[cookie % WHO_SETS], *found = set;
	size_t i;

	for (i = 0; i < WHO_WAYS; i++) {
		if (set[i].cookie == 0)
			return &set[i];
		if (set[i].used_at < found->used_at)
			found = &set[i];
	}
	return found;
}

void
who_looked(struct spawner *spawner, uint64_t cookie, const struct look *look)
{
	struct who_row *row = who_find(&spawner->whos, cookie);

	if (!row)
		row = who_free_row(&spawner->whos, cookie);
	memset(row, 0, sizeof(*row));
	row->cookie = cookie;
	row->used_at = ++spawner->whos.clock;
	row->look = *look;
}

/*
 * What there was to see of the peer, by its number; now that number must still
 * be its own. What cannot be seen may be anything: every kind holds.
 */
static int
who_take_look(const struct spawner *spawner, int connection,
	      const struct caller *caller, struct who_row *row)
{
	struct pollfd p = { .fd = caller->pidfd, .events = POLLIN };
	struct look *look = &row->look;
	struct who *who = &row->who;

	if (look->error == -ENOENT || look->error == -ESRCH)
		return -ESRCH;
	confinement_peer_label(connection, who->label);
	if (look->error < 0) {
		who->confined = POLICY_CONFINED_ALL;
		return 0;
	}
	memcpy(look->seen.label, who->label, sizeof(look->seen.label));
	who->confined = confinement_compare(&spawner->own, &look->seen);
	who->start_time = look->start_time;
	who->loginuid = look->loginuid;
	memcpy(who->unit, look->unit, sizeof(who->unit));
	return poll(&p, 1, 0) == 0 ? 0 : -ESRCH;
}

static void
who_match(const struct spawner *spawner, const struct caller *caller,
	  struct who *who)
{
	const struct policy_subject subject = {
		.uid = who->uid,
		.owner = who->resolved.owner,
		.gid = who->gid,
		.groups = caller->groups,
		.n_groups = caller->n_groups,
		.label = who->label[0] ? who->label : NULL,
		.unit = who->unit[0] ? who->unit : NULL,
		.confined = who->confined
	};

	policy_match(spawner->policy.table, &subject, &who->rights);
}

static int
who_fill(const struct spawner *spawner, int connection,
	 const struct caller *caller, const struct resolved_user *user,
	 struct who_row *row)
{
	struct who *who = &row->who;

	memset(who, 0, sizeof(*who));
	who->magic = WHO_MAGIC;
	who->version = WHO_VERSION;
	who->size = sizeof(*who);
	who->uid = caller->uid;
	who->gid = caller->gid;
	who->pid = (uint32_t)caller->pid;
	who->loginuid = WHO_NO_LOGINUID;
	who->bounds = quota_bounds(spawner);
	who->resolved = *user;
	return who_take_look(spawner, connection, caller, row);
}

/*
 * Account and look, or -EINPROGRESS: the request waits for one of them. -EPERM:
 * it was refused.
 */
static int
who_gather(struct spawner *spawner, const struct request *request,
	   uint64_t cookie, const struct caller *caller,
	   const struct resolved_user **ret)
{
	struct who_row *row = who_find(&spawner->whos, cookie);
	struct look look;
	bool wait = false;
	int r;

	if (!row && caller->uid == 0) {
		look_read(spawner->proc_fd, caller->pid, &look);
		who_looked(spawner, cookie, &look);
	} else if (!row) {
		r = look_start(spawner, cookie, caller);
		if (r < 0 && r != -EAGAIN) {
			ops_refuse(spawner, request, ERRCODE_OVERLOADED,
				   "no process to look at the caller");
			return -EPERM;
		}
		wait = true;
	}
	r = identity_get(spawner, caller->uid, request->resolved, ret);
	if (r == 0 && !wait)
		return 0;
	defer_request(spawner, request, caller->uid);
	return -EINPROGRESS;
}

/* 0: it has none, or is no socket. */
static uint64_t
who_cookie(int connection)
{
	socklen_t size = sizeof(uint64_t);
	uint64_t cookie = 0;

	if (getsockopt(connection, SOL_SOCKET, SO_COOKIE, &cookie, &size) < 0)
		return 0;
	return cookie;
}

/* Of a connection that is not known yet, or was forgotten. */
static int
who_make(struct spawner *spawner, const struct request *request, int connection,
	 const struct caller *caller, struct who_row **ret)
{
	const struct attest_refusal gone = {
		.code = ERRCODE_CALLER_GONE,
		.error = ESRCH,
		.rule = "the caller's process has ended"
	};
	const uint64_t cookie = who_cookie(connection);
	const struct resolved_user *user;
	struct who_row *row;
	int r;

	if (cookie == 0) {
		ops_refuse(spawner, request, ERRCODE_INTERNAL,
			   "the connection has no cookie (socket(7))");
		return -EPERM;
	}
	r = who_gather(spawner, request, cookie, caller, &user);
	if (r < 0)
		return r;
	row = who_find(&spawner->whos, cookie);
	r = row ? who_fill(spawner, connection, caller, user, row) : -ESRCH;
	if (r < 0) {
		if (row)
			row->cookie = 0;
		ops_refuse_caller(spawner, request, &gone);
		return -EPERM;
	}
	who_match(spawner, caller, &row->who);
	row->generation = spawner->policy.generation;
	row->complete = true;
	*ret = row;
	return 0;
}

int
who_get(struct spawner *spawner, const struct request *request, int connection,
	struct caller *caller, const struct who **ret)
{
	unsigned int flags = request->type == OP_WHO ? ATTEST_TELL : 0;
	struct attest_refusal refusal = { 0 };
	struct who_row *row;
	int r;

	row = who_find(&spawner->whos, who_cookie(connection));
	if (row && row->complete)
		flags |= ATTEST_KNOWN;
	else
		row = NULL;
	r = attest_caller(connection, spawner->proc_fd, flags, caller,
			  &refusal);
	if (r < 0) {
		ops_refuse_caller(spawner, request, &refusal);
		return -EPERM;
	}
	if (policy_is_due(spawner)) {
		defer_for_policy(spawner, request);
		return -EINPROGRESS;
	}
	if (!row) {
		r = who_make(spawner, request, connection, caller, &row);
		if (r < 0)
			return r;
	}
	row->used_at = ++spawner->whos.clock;
	if (row->generation != spawner->policy.generation) {
		who_match(spawner, caller, &row->who);
		row->generation = spawner->policy.generation;
	}
	*ret = &row->who;
	return 0;
}

int
who_refuse(struct spawner *spawner, const struct request *request,
	   const struct policy_refusal *refusal)
{
	ops_refuse(spawner, request, refusal->code, refusal->rule);
	return -EPERM;
}

int
who_admit(struct spawner *spawner, const struct request *request,
	  int connection, struct caller *caller)
{
	const struct policy_request nothing = { 0 };
	struct policy_refusal refusal;
	const struct who *who;
	int r;

	r = who_get(spawner, request, connection, caller, &who);
	if (r < 0)
		return r;
	r = policy_request_check(&who->rights, &nothing, &refusal);
	if (r < 0)
		return who_refuse(spawner, request, &refusal);
	caller->admin = who->rights.admin;
	caller->owner = who->resolved.owner;
	caller->rights = &who->rights;
	caller->user = &who->resolved;
	if (caller->admin)
		fd_close(&caller->pidfd);
	return 0;
}

bool
who_reaches(const struct caller *caller, uint32_t owner)
{
	return caller->owner == owner ||
	       (caller->admin &&
		(caller->rights->verbs &
		 POLICY_VERB_BIT(POLICY_VERB_FOREIGN_CONTAINER)));
}

int
who_check_verb(struct spawner *spawner, const struct request *request,
	       const struct caller *caller, uint32_t verbs)
{
	const struct policy_request wanted = {
		/* one of them is enough */
		.verbs = caller->rights->verbs & verbs ? 0 : verbs & -verbs
	};
	struct policy_refusal refusal;

	if (policy_request_check(caller->rights, &wanted, &refusal) < 0)
		return who_refuse(spawner, request, &refusal);
	return 0;
}
