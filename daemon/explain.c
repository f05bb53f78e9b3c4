/* SPDX-License-Identifier: Apache-2.0 */
/* A plan told as steps; see explain.h. */
#include "daemon/explain.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/text.h"
#include "lib/util.h"
#include "proto/idmap_rights.h"
#include "proto/nsplan.h"

#define DETAIL_MAX 512

/*
 * Who says yes or no to a step. What is not listed the kernel decides, and by
 * then the stage is the caller: what he may not, it may not.
 */
static const struct {
	const char *step, *decides;
} deciders[] = {
	{ "attest", "spawner" },      { "cgroup", "spawner" },
	{ "clone-relay", "spawner" }, { "map-check", "mapper" },
	{ "gate", "nsexecd" },	      { "lease", "nsexecd" },
};

static const char *
decider(const char *step)
{
	for (size_t i = 0; i < ARRAY_SIZE(deciders); i++) {
		if (strcmp(deciders[i].step, step) == 0)
			return deciders[i].decides;
	}
	return "kernel, for the caller";
}

static void printf_like(4, 5) say(struct explanation *to, const char *stage,
				  const char *step, const char *fmt, ...)
{
	char detail[DETAIL_MAX], escaped[2 * DETAIL_MAX];
	va_list ap;
	char *text;

	if (to->n_steps == EXPLAIN_MAX_STEPS)
		return;
	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	text_escape(escaped, sizeof(escaped), detail, strlen(detail));
	text = arena_text(&to->arena, escaped, strlen(escaped));
	to->steps[to->n_steps++] =
		(struct explain_step){ .stage = stage,
				       .step = step,
				       .detail = text ? text : "",
				       .decides = decider(step) };
}

/* "user, pid, mnt" */
static const char *
kinds_text(uint32_t flags, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < N_NS_KINDS; i++) {
		int n;

		if (!(flags & ns_kinds[i].clone_flag))
			continue;
		n = snprintf(buf + used, size - used, "%s%s", used ? ", " : "",
			     ns_kinds[i].name);
		if (n < 0 || (size_t)n >= size - used)
			break;
		used += (size_t)n;
	}
	return buf;
}

static void
say_join(struct explanation *to, const struct bootstrap *boot, uint32_t flag,
	 bool late)
{
	const char *kind = ns_kinds[ns_kind_by_flag(flag)].name;

	for (size_t i = 0; i < boot->n_joins; i++) {
		const struct bootstrap_join *join = &boot->joins[i];

		if (join->clone_flag != flag)
			continue;
		if (join->how == JOIN_PATH)
			say(to, "relay", "join", "%s: setns to %s%s", kind,
			    join->path, late ? ", if it was put off" : "");
		else if (join->how == JOIN_PID)
			say(to, "relay", "join",
			    "%s: setns to that of pid %u%s", kind, join->number,
			    late ? ", if it was put off" : "");
		else
			say(to, "relay", "join",
			    "%s: setns to descriptor %u of the fd channel%s",
			    kind, join->number,
			    late ? ", if it was put off" : "");
	}
}

static void
say_joins(struct explanation *to, const struct bootstrap *boot, uint32_t flags,
	  bool late)
{
	for (size_t i = 0; i < N_NS_KINDS; i++) {
		if (flags & ns_kinds[i].clone_flag)
			say_join(to, boot, ns_kinds[i].clone_flag, late);
	}
}

/* One side of the maps, and the two functions that decide it. */
struct map_side {
	const char *kind;
	const struct idmap *map;
	uint32_t own;
	void (*ranges)(const struct identity *identity,
		       struct mapping_ranges *ret);
	int (*decide)(const struct idmap *map,
		      const struct idmap_rights *rights,
		      struct idmap_verdict *ret);
};

static void
mark_refused(struct explanation *to)
{
	if (to->n_steps > 0)
		to->steps[to->n_steps - 1].refused = true;
}

/*
 * What the mapper will say of one side (spawn/mapper.c): an admin maps any id,
 * an ordinary caller his own and what is delegated to him. true: a delegated
 * id is mapped.
 */
static bool
say_map_check(struct explanation *to, const struct map_side *side,
	      const struct plan_input *input)
{
	struct idmap_verdict verdict;
	struct mapping_ranges ranges;
	struct idmap_rights rights;
	char text[IDMAP_VERDICT_MAX];

	if (side->map->n_rows == 0)
		return false;
	if (input->admin) {
		say(to, "relay", "map-check",
		    "%s map: allowed, root may map any id of his own user "
		    "namespace",
		    side->kind);
		return false;
	}
	side->ranges(input->identity, &ranges);
	rights =
		(struct idmap_rights){ .own = side->own,
				       .ranges = ranges.ranges,
				       .n_ranges = ranges.n,
				       .why_none = ranges.n ? NULL
							    : ranges.why_none };
	if (side->decide(side->map, &rights, &verdict) == 0) {
		say(to, "relay", "map-check",
		    verdict.delegated
			    ? "%s map: allowed, the caller's own id %u and "
			      "delegated ones alone"
			    : "%s map: allowed, the caller's own id %u",
		    side->kind, side->own);
		return verdict.delegated;
	}
	idmap_verdict_text(&verdict, side->map, &rights, side->kind, text);
	say(to, "relay", "map-check", "MAP_DENIED, %s", text);
	mark_refused(to);
	return false;
}

static void
say_map_checks(struct explanation *to, const struct plan *plan,
	       const struct plan_input *input)
{
	const struct map_side sides[2] = {
		{ "uid", &plan->mapping.uid, input->uid, mapping_uid_ranges,
		  idmap_uid_decide },
		{ "gid", &plan->mapping.gid, input->gid, mapping_gid_ranges,
		  idmap_gid_decide },
	};
	bool delegated;

	if (!plan->mapping.present)
		return;
	(void)say_map_check(to, &sides[0], input);
	delegated = say_map_check(to, &sides[1], input);
	if (input->admin)
		return;
	if (plan->boot.setgroups_mode != BOOTSTRAP_SETGROUPS_ALLOW) {
		say(to, "relay", "map-check",
		    "setgroups: deny, an ordinary caller keeps his groups");
		return;
	}
	if (delegated) {
		say(to, "relay", "map-check",
		    "setgroups: allow, a delegated gid is mapped");
		return;
	}
	say(to, "relay", "map-check",
	    "setgroups: MAP_DENIED, allow needs a delegated gid range");
	mark_refused(to);
}

static void
say_maps(struct explanation *to, const struct bootstrap *boot)
{
	if (bootstrap_has(boot, BOOTSTRAP_SETGROUPS_MODE) &&
	    boot->setgroups_mode == BOOTSTRAP_SETGROUPS_DENY)
		say(to, "relay", "map", "write deny to /proc/PID/setgroups");
	if (bootstrap_has(boot, BOOTSTRAP_UID_MAP))
		say(to, "relay", "map", "write /proc/PID/uid_map: %.400s",
		    boot->uid_map);
	if (bootstrap_has(boot, BOOTSTRAP_GID_MAP))
		say(to, "relay", "map", "write /proc/PID/gid_map: %.400s",
		    boot->gid_map);
	if (!bootstrap_has(boot, BOOTSTRAP_UID_MAP))
		say(to, "relay", "map",
		    "no id maps: every id is the overflow id");
}

static void
say_plan_step(struct explanation *to, const struct bootstrap *boot,
	      const struct nsplan_step *step)
{
	char kinds[96];

	switch (step->pass) {
	case NSPLAN_JOIN_EARLY:
		say_joins(to, boot, step->flags, false);
		break;
	case NSPLAN_JOIN_USER:
		say_joins(to, boot, step->flags, false);
		say(to, "relay", "join", "user: setresgid 0, setresuid 0");
		break;
	case NSPLAN_JOIN_LATE:
		say_joins(to, boot, step->flags, true);
		break;
	case NSPLAN_CLONE:
		say(to, "relay", "clone-init", "clone3 of init with new %s",
		    step->flags ? kinds_text(step->flags, kinds, sizeof(kinds))
				: "nothing");
		break;
	case NSPLAN_MAP:
		say_maps(to, boot);
		break;
	case NSPLAN_BECOME:
		say(to, "init", "become",
		    "setresgid and setresuid in the new user namespace");
		break;
	case NSPLAN_UNSHARE:
		say(to, "init", "unshare", "unshare %s",
		    kinds_text(step->flags, kinds, sizeof(kinds)));
		break;
	case NSPLAN_OFFSETS:
		say(to, "relay", "time-offsets",
		    "write /proc/PID/timens_offsets: %s",
		    boot->time_offsets ? boot->time_offsets : "");
		break;
	}
}

static int
say_namespaces(struct explanation *to, const struct bootstrap *boot,
	       struct error *error)
{
	struct nsplan_step steps[NSPLAN_MAX_STEPS];
	uint32_t joins = 0;
	size_t n_steps;

	for (size_t i = 0; i < boot->n_joins; i++)
		joins |= boot->joins[i].clone_flag;
	if (nsplan_build(joins, boot->clone_flags, false,
			 bootstrap_has(boot, BOOTSTRAP_TIME_OFFSETS), steps,
			 &n_steps) < 0)
		return error_set(error, ERRCODE_INVALID_ARGUMENT, "explain",
				 "spec.namespaces", "cannot be arranged",
				 "create or join each kind once");
	for (size_t i = 0; i < n_steps; i++)
		say_plan_step(to, boot, &steps[i]);
	return 0;
}

static const char *const mount_kinds[] = {
	[BOOTSTRAP_MOUNT_KIND_BIND] = "bind",
	[BOOTSTRAP_MOUNT_KIND_TMPFS] = "tmpfs",
	[BOOTSTRAP_MOUNT_KIND_PROC] = "proc",
	[BOOTSTRAP_MOUNT_KIND_SYSFS] = "sysfs",
	[BOOTSTRAP_MOUNT_KIND_DEV] = "dev",
	[BOOTSTRAP_MOUNT_KIND_DEVPTS] = "devpts",
	[BOOTSTRAP_MOUNT_KIND_MQUEUE] = "mqueue",
	[BOOTSTRAP_MOUNT_KIND_CGROUP2] = "cgroup2",
};

static void
say_mounts(struct explanation *to, const struct bootstrap *boot)
{
	static const char *const propagations[] = { "", "private", "slave",
						    "shared", "unchanged" };

	if (bootstrap_has(boot, BOOTSTRAP_PROPAGATION))
		say(to, "init", "propagation", "make every mount %s",
		    propagations[boot->propagation]);
	for (size_t i = 0; i < boot->n_mounts; i++) {
		const struct bootstrap_mount *mount = &boot->mounts[i];

		say(to, "init", "mount", "%s%s%s on %s%s",
		    mount_kinds[mount->kind], mount->source ? " of " : "",
		    mount->source ? mount->source : "", mount->destination,
		    mount->flags & BOOTSTRAP_MOUNT_RDONLY ? ", read-only" : "");
	}
	if (boot->mount_proc)
		say(to, "init", "mount-proc", "a fresh proc on /proc");
	if (bootstrap_has(boot, BOOTSTRAP_ROOTFS))
		say(to, "init", "pivot-root", "%s becomes /%s", boot->rootfs,
		    boot->root_readonly ? ", read-only" : "");
}

static void
say_process(struct explanation *to, const struct bootstrap *boot)
{
	if (bootstrap_has(boot, BOOTSTRAP_LOOPBACK) && boot->loopback)
		say(to, "init", "loopback", "set lo up");
	if (bootstrap_has(boot, BOOTSTRAP_HOSTNAME))
		say(to, "init", "hostname", "sethostname %s", boot->hostname);
	if (bootstrap_has(boot, BOOTSTRAP_DOMAINNAME))
		say(to, "init", "domainname", "setdomainname %s",
		    boot->domainname);
	for (size_t i = 0; i < boot->n_rlimits; i++)
		say(to, "init", "rlimit", "limit %u to %llu of at most %llu",
		    boot->rlimits[i].resource,
		    (unsigned long long)boot->rlimits[i].soft,
		    (unsigned long long)boot->rlimits[i].hard);
	if (bootstrap_has(boot, BOOTSTRAP_OOM_SCORE_ADJ))
		say(to, "relay", "oom-score-adj", "write %s",
		    boot->oom_score_adj);
	if (bootstrap_has(boot, BOOTSTRAP_UID))
		say(to, "init", "set-ids", "uid %u", boot->uid);
	if (bootstrap_has(boot, BOOTSTRAP_GID))
		say(to, "init", "set-ids", "gid %u", boot->gid);
	if (boot->keep_groups)
		say(to, "init", "set-groups", "keep the caller's");
	else if (bootstrap_has(boot, BOOTSTRAP_GROUPS))
		say(to, "init", "set-groups", "%zu groups", boot->n_groups);
	if (bootstrap_has(boot, BOOTSTRAP_CAPS))
		say(to, "init", "set-capabilities",
		    "permitted %llx, bounding %llx",
		    (unsigned long long)boot->caps.permitted,
		    (unsigned long long)boot->caps.bounding);
	if (boot->no_new_privs)
		say(to, "init", "no-new-privs",
		    "set-uid programs gain nothing");
	if (bootstrap_has(boot, BOOTSTRAP_CWD))
		say(to, "init", "cwd", "chdir %s", boot->cwd);
}

static void
say_exec(struct explanation *to, const struct bootstrap *boot)
{
	say(to, "init", "gate", "%s",
	    boot->gate == GATE_NAMED ? "wait for Start"
				     : "opens when pid and record are known");
	if (bootstrap_has(boot, BOOTSTRAP_ARGV))
		say(to, "init", "exec", "execve %.400s", boot->argv.data);
	else
		say(to, "init", "exec",
		    "execve with %u arguments from a sealed memfd",
		    boot->exec_block.argc);
}

int
explain_build(const struct plan *plan, const struct plan_input *input,
	      struct explanation *ret, struct error *error)
{
	const struct bootstrap *boot = &plan->boot;
	int r;

	say(ret, "spawner", "attest",
	    "take uid, gid and groups from the caller's connection");
	say(ret, "spawner", "cgroup", "make the container's cgroup");
	say(ret, "spawner", "clone-relay", "fork the relay into it");
	say_map_checks(ret, plan, input);
	say(ret, "relay", "become", "take the caller's credentials");
	r = say_namespaces(ret, boot, error);
	if (r < 0)
		return r;
	say_mounts(ret, boot);
	say_process(ret, boot);
	say_exec(ret, boot);
	if (input->leased)
		say(ret, "daemon", "lease",
		    "kill it when the connection that holds its lease closes");
	return 0;
}

void
explain_deinit(struct explanation *explanation)
{
	arena_deinit(&explanation->arena);
}
