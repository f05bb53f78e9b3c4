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

static struct who_row *
who_find(struct who_table *table, uint64_t cookie)
{
	struct who_row *set = table->rows[cookie % WHO_SETS];
	size_t i;

	for (i = 0; i < WHO_WAYS; i++)
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

/* What of the process is for the record alone: 0 or "" where it is not known.
 */
static void
who_read_record(int proc_fd, pid_t pid, struct who *who)
{
	char path[64], text[PROC_PATH_MAX];
	struct proc_stat stat;
	unsigned int value;

	if (proc_stat_read(proc_fd, pid, &stat) == 0)
		who->start_time = stat.start_time;
	if (proc_cgroup_read(proc_fd, pid, text) == 0 &&
	    policy_unit_of_cgroup(text, who->unit, sizeof(who->unit)) < 0)
		who->unit[0] = '\0';
	snprintf(path, sizeof(path), "%d/loginuid", pid);
	if (fd_read_file(proc_fd, path, text, sizeof(text)) > 0 &&
	    sscanf(text, "%u", &value) == 1)
		who->loginuid = value;
}

/*
 * What the kernel shows of the peer, by its number; then that number must still
 * be its own. A peer without a number here is in a pid namespace that we do not
 * see into, and nothing of it can be read: every kind may hold.
 */
static int
who_read_process(const struct spawner *spawner, int connection,
		 const struct caller *caller, struct who *who)
{
	struct pollfd p = { .fd = caller->pidfd, .events = POLLIN };
	struct confinement other;
	char pid[16];
	int r;

	snprintf(pid, sizeof(pid), "%d", caller->pid);
	r = caller->pid > 0 ? confinement_read(spawner->proc_fd, pid, &other)
			    : -EACCES;
	if (r == -ENOENT || r == -ESRCH)
		return -ESRCH;
	confinement_peer_label(connection, who->label);
	if (r < 0) {
		who->confined = POLICY_CONFINED_ALL;
		if (caller->pid > 0)
			log_error(-r, "cannot read process %d of a caller",
				  caller->pid);
		return 0;
	}
	memcpy(other.label, who->label, sizeof(other.label));
	who->confined = confinement_compare(&spawner->own, &other);
	who_read_record(spawner->proc_fd, caller->pid, who);
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
	 struct who *who)
{
	memset(who, 0, sizeof(*who));
	who->magic = WHO_MAGIC;
	who->version = WHO_VERSION;
	who->size = sizeof(*who);
	who->uid = caller->uid;
	who->gid = caller->gid;
	who->pid = (uint32_t)caller->pid;
	who->loginuid = WHO_NO_LOGINUID;
	who->resolved = *user;
	return who_read_process(spawner, connection, caller, who);
}

static int
who_make(struct spawner *spawner, const struct request *request, int connection,
	 const struct caller *caller, struct who_row **ret)
{
	const struct attest_refusal gone = {
		.code = ERRCODE_CALLER_GONE,
		.error = ESRCH,
		.rule = "the caller's process has ended"
	};
	struct who_table *table = &spawner->whos;
	const struct resolved_user *user;
	socklen_t size = sizeof(uint64_t);
	uint64_t cookie = 0;
	struct who_row *row;
	int r;

	if (getsockopt(connection, SOL_SOCKET, SO_COOKIE, &cookie, &size) < 0)
		cookie = 0;
	row = cookie ? who_find(table, cookie) : NULL;
	if (row && row->who.uid == caller->uid) {
		*ret = row;
		return 0;
	}
	r = identity_get(spawner, caller->uid, request->resolved, &user);
	if (r < 0) {
		defer_request(spawner, request, caller->uid);
		return -EINPROGRESS;
	}
	row = who_free_row(table, cookie);
	row->cookie = 0;
	r = who_fill(spawner, connection, caller, user, &row->who);
	if (r < 0) {
		ops_refuse_caller(spawner, request, &gone);
		return -EPERM;
	}
	row->cookie = cookie;
	who_match(spawner, caller, &row->who);
	row->generation = spawner->policy.generation;
	*ret = row;
	return 0;
}

int
who_get(struct spawner *spawner, const struct request *request, int connection,
	struct caller *caller, const struct who **ret)
{
	struct attest_refusal refusal = { 0 };
	struct who_row *row;
	int r;

	r = attest_caller(connection, spawner->proc_fd,
			  request->type == OP_WHO ? ATTEST_TO_TELL
						  : ATTEST_TO_ACT,
			  caller, &refusal);
	if (r < 0) {
		ops_refuse_caller(spawner, request, &refusal);
		return -EPERM;
	}
	if (policy_is_due(spawner)) {
		defer_for_policy(spawner, request);
		return -EINPROGRESS;
	}
	r = who_make(spawner, request, connection, caller, &row);
	if (r < 0)
		return r;
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
