/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of credentials, in the order that cannot leave a gap. See creds.h. */
#include "spawn/creds.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/sys.h"
#include "proto/policy.h"
#include "spawn/caps.h"

static void
forbid_dump(const struct stage_context *context)
{
	/* From clone to exec nobody, root of a joined namespace included, may
	 * trace a stage or read its memory (CVE-2016-9962). */
	if (!stage_is_rootless(context) || context->stage != STAGE_RELAY)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* Supplementary groups first, uid last: each needs what the next gives up. */
static int
set_caller_ids(struct stage_context *context)
{
	const struct caller *caller = context->caller;
	gid_t gid = caller->gid;
	uid_t uid = caller->uid;

	if (setgroups(caller->n_groups, caller->groups) < 0)
		return stage_fail(context, NULL, "setgroups", errno,
				  "%lu groups",
				  (unsigned long)caller->n_groups);
	if (setresgid(gid, gid, gid) < 0)
		return stage_fail(context, NULL, "setresgid", errno, "gid %u",
				  gid);
	if (setresuid(uid, uid, uid) < 0)
		return stage_fail(context, NULL, "setresuid", errno, "uid %u",
				  uid);
	return 0;
}

int
creds_become_caller(struct stage_context *context)
{
	const struct capset_words none = { 0, 0, 0 };
	int r;

	/* uid, gid and groups are those of the connection (SO_PEERCRED,
	 * SO_PEERGROUPS), read by the spawner: nothing in the message can name
	 * others. An uid that is not 0 loses all capabilities at setresuid();
	 * only an admin, who is root already, keeps them.
	 * Rootless they are ours, attest_is_self() has seen to it. */
	r = stage_is_rootless(context) ? 0 : set_caller_ids(context);
	if (r < 0)
		return r;
	forbid_dump(context);
	if (stage_is_admin(context))
		return 0;
	r = caps_set(&none);
	if (r < 0)
		return stage_fail(context, NULL, "capset", -r, "empty");
	/* Freed of it by a rule that names him: as the request has it. */
	if (context->caller->rights && !context->caller->rights->no_new_privs)
		return 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return stage_fail(context, NULL, "prctl", errno,
				  "no_new_privs");
	return 0;
}

int
creds_become_mapper(struct stage_context *context)
{
	const struct capset_words words = { 0, context->mapper_caps, 0 };
	const struct caller *caller = context->caller;
	int r;

	if (setgroups(0, NULL) < 0)
		return stage_fail(context, NULL, "setgroups", errno, "none");
	if (setresgid(caller->gid, caller->gid, caller->gid) < 0)
		return stage_fail(context, NULL, "setresgid", errno, "gid %u",
				  caller->gid);
	/* Effective uid of the caller: the kernel then lets it write only the
	 * maps of a namespace that this caller owns. Real and saved uid 0 keep
	 * the caller from signalling it. Never CAP_SETFCAP, without which host
	 * uid 0 is refused, whatever we thought of the map. */
	if (setresuid(0, caller->uid, 0) < 0)
		return stage_fail(context, NULL, "setresuid", errno, "uid %u",
				  caller->uid);
	r = caps_set(&words);
	if (r < 0)
		return stage_fail(context, NULL, "capset", -r, "%lx",
				  (unsigned long)context->mapper_caps);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	forbid_dump(context);
	return 0;
}

/*
 * Take an id in the new user namespace: 0, else the one that the request
 * names. Neither mapped (EINVAL): the creator's own id stays, which a map of
 * the caller to itself covers.
 */
static int
take_id(int (*set)(uint32_t id), bool has_wanted, uint32_t wanted)
{
	int r = set(0);

	if (r == -EINVAL && has_wanted)
		r = set(wanted);
	return r == -EINVAL ? 0 : r;
}

static int
set_gid(uint32_t id)
{
	return setresgid(id, id, id) < 0 ? -errno : 0;
}

static int
set_uid(uint32_t id)
{
	return setresuid(id, id, id) < 0 ? -errno : 0;
}

int
creds_become_root(struct stage_context *context)
{
	const struct bootstrap *msg = context->msg;
	int r;

	/* Before the other namespaces are made: what they create by
	 * themselves, /dev/mqueue's root for one, belongs to these ids. All
	 * capabilities in this namespace are ours since clone(); its maps
	 * decide what they mean outside. */
	r = take_id(set_gid, bootstrap_has(msg, BOOTSTRAP_GID), msg->gid);
	if (r < 0)
		return stage_fail(context, NULL, "setresgid", -r, "gid 0");
	r = take_id(set_uid, bootstrap_has(msg, BOOTSTRAP_UID), msg->uid);
	if (r < 0)
		return stage_fail(context, NULL, "setresuid", -r, "uid 0");
	forbid_dump(context);
	return 0;
}

static int
set_process_groups(struct stage_context *context)
{
	const struct bootstrap *msg = context->msg;

	_Static_assert(sizeof(gid_t) == sizeof(msg->groups[0]), "gid_t is u32");
	if (bootstrap_has(msg, BOOTSTRAP_GROUPS)) {
		if (setgroups(msg->n_groups, msg->groups) < 0)
			return stage_fail(context, "setgroups", "setgroups",
					  errno, "%lu groups",
					  (unsigned long)msg->n_groups);
		return 0;
	}
	if (msg->keep_groups)
		return 0;
	/* EPERM: the kernel keeps the caller in its groups, for a group may be
	 * what denies it a file (user_namespaces(7), CVE-2014-8989). */
	if (setgroups(0, NULL) < 0 && errno != EPERM)
		return stage_fail(context, "setgroups", "setgroups", errno,
				  "none");
	return 0;
}

int
creds_become_process(struct stage_context *context)
{
	const struct bootstrap *msg = context->msg;
	int r;

	/* As the caller or as root of its own namespace: the kernel allows
	 * exactly the ids that are mapped there, or the caller's own. */
	r = set_process_groups(context);
	if (r < 0)
		return r;
	if (bootstrap_has(msg, BOOTSTRAP_GID) &&
	    setresgid(msg->gid, msg->gid, msg->gid) < 0)
		return stage_fail(context, "setgid", "setresgid", errno,
				  "gid %u", msg->gid);
	if (bootstrap_has(msg, BOOTSTRAP_UID) &&
	    setresuid(msg->uid, msg->uid, msg->uid) < 0)
		return stage_fail(context, "setuid", "setresuid", errno,
				  "uid %u", msg->uid);
	forbid_dump(context);
	return 0;
}
