/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process part of a request: ids, capabilities, limits, stdio, passed
 * descriptors. argv and env are in request_exec.c.
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "daemon/request_part.h"
#include "lib/util.h"

/* The highest id: (uid_t)-1 means "unchanged" to the kernel. */
#define ID_MAX ((int64_t)UINT32_MAX - 1)

_Static_assert((int)BOOTSTRAP_STDIO_PATH == NSEXEC__V1__STDIO_KIND__STDIO_PATH,
	       "stdio kinds have the wire's numbers");

static int
process_ids(struct part *part, const Nsexec__V1__Process *from,
	    const char *prefix)
{
	struct bootstrap *boot = &part->spec->boot;
	const struct part_range ids = { 0, ID_MAX };
	char field[64];
	int r = 0;

	snprintf(field, sizeof(field), "%s.uid", prefix);
	if (from->has_uid)
		r = part_range(part, from->uid, ids, field);
	snprintf(field, sizeof(field), "%s.gid", prefix);
	if (r == 0 && from->has_gid)
		r = part_range(part, from->gid, ids, field);
	if (r < 0)
		return r;
	if (from->has_uid) {
		boot->uid = from->uid;
		bootstrap_mark(boot, BOOTSTRAP_UID);
	}
	if (from->has_gid) {
		boot->gid = from->gid;
		bootstrap_mark(boot, BOOTSTRAP_GID);
	}
	return 0;
}

static int
process_groups(struct part *part, const Nsexec__V1__Process *from,
	       const char *prefix)
{
	struct bootstrap *boot = &part->spec->boot;
	char field[64];
	int r;

	if (from->n_groups > BOOTSTRAP_MAX_GROUPS)
		return part_refuse(part, "has more than 1024 entries",
				   "use fewer groups", "%s.groups", prefix);
	if (from->n_groups && from->has_keep_groups && from->keep_groups)
		return part_refuse(part,
				   "groups and keep_groups exclude each other",
				   "use one of them", "%s.keep_groups", prefix);
	for (size_t i = 0; i < from->n_groups; i++) {
		snprintf(field, sizeof(field), "%s.groups[%zu]", prefix, i);
		r = part_range(part, from->groups[i],
			       (struct part_range){ 0, ID_MAX }, field);
		if (r < 0)
			return r;
		boot->groups[i] = from->groups[i];
	}
	boot->n_groups = from->n_groups;
	if (from->n_groups)
		bootstrap_mark(boot, BOOTSTRAP_GROUPS);
	if (from->has_keep_groups && from->keep_groups) {
		boot->keep_groups = true;
		bootstrap_mark(boot, BOOTSTRAP_KEEP_GROUPS);
	}
	return 0;
}

static int
process_capabilities(struct part *part, const Nsexec__V1__Process *from,
		     const char *prefix)
{
	const Nsexec__V1__Capabilities *sets = from->capabilities;
	struct bootstrap *boot = &part->spec->boot;
	struct bootstrap_caps *caps = &boot->caps;

	if (!sets)
		return 0;
	const struct {
		bool has;
		uint64_t set;
		uint32_t bit;
		uint64_t *ret;
		const char *name;
	} rows[] = {
		{ sets->has_bounding, sets->bounding, BOOTSTRAP_CAPS_BOUNDING,
		  &caps->bounding, "bounding" },
		{ sets->has_permitted, sets->permitted,
		  BOOTSTRAP_CAPS_PERMITTED, &caps->permitted, "permitted" },
		{ sets->has_effective, sets->effective,
		  BOOTSTRAP_CAPS_EFFECTIVE, &caps->effective, "effective" },
		{ sets->has_inheritable, sets->inheritable,
		  BOOTSTRAP_CAPS_INHERITABLE, &caps->inheritable,
		  "inheritable" },
		{ sets->has_ambient, sets->ambient, BOOTSTRAP_CAPS_AMBIENT,
		  &caps->ambient, "ambient" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!rows[i].has)
			continue;
		/* CAP_LAST_CAP is 40 since Linux 5.9 */
		if (rows[i].set >> 41)
			return part_refuse(part,
					   "has a bit above 40, the last "
					   "capability",
					   "bit n is capability n",
					   "%s.capabilities.%s", prefix,
					   rows[i].name);
		*rows[i].ret = rows[i].set;
		caps->present |= rows[i].bit;
	}
	if (caps->present)
		bootstrap_mark(boot, BOOTSTRAP_CAPS);
	return 0;
}

static int
process_rlimits(struct part *part, const Nsexec__V1__Process *from,
		const char *prefix)
{
	struct bootstrap *boot = &part->spec->boot;
	uint32_t seen = 0;

	if (from->n_rlimits > BOOTSTRAP_MAX_RLIMITS)
		return part_refuse(part, "has more than 16 entries",
				   "name each resource once", "%s.rlimits",
				   prefix);
	for (size_t i = 0; i < from->n_rlimits; i++) {
		const Nsexec__V1__ResourceLimit *limit = from->rlimits[i];

		if (!limit->has_resource || limit->resource >= RLIM_NLIMITS)
			return part_refuse(part, "must be a RLIMIT_* number",
					   "see getrlimit(2)",
					   "%s.rlimits[%zu].resource", prefix,
					   i);
		if (seen & (1u << limit->resource))
			return part_refuse(part, "was named before",
					   "name each resource once",
					   "%s.rlimits[%zu].resource", prefix,
					   i);
		if (!limit->has_soft || !limit->has_hard ||
		    limit->soft > limit->hard)
			return part_refuse(part,
					   "must have soft and hard, and soft "
					   "at most hard",
					   "18446744073709551615 is unlimited",
					   "%s.rlimits[%zu].soft", prefix, i);
		seen |= 1u << limit->resource;
		boot->rlimits[i] = (struct bootstrap_rlimit){
			.resource = limit->resource,
			.soft = limit->soft,
			.hard = limit->hard,
		};
	}
	boot->n_rlimits = from->n_rlimits;
	if (from->n_rlimits)
		bootstrap_mark(boot, BOOTSTRAP_RLIMITS);
	return 0;
}

static int
process_scheduling(struct part *part, const Nsexec__V1__Process *from,
		   const char *prefix)
{
	struct bootstrap *boot = &part->spec->boot;
	char field[64], text[16];
	int r = 0;

	snprintf(field, sizeof(field), "%s.umask", prefix);
	if (from->has_umask)
		r = part_range(part, from->umask,
			       (struct part_range){ 0, 0777 }, field);
	snprintf(field, sizeof(field), "%s.nice", prefix);
	if (r == 0 && from->has_nice)
		r = part_range(part, from->nice, (struct part_range){ -20, 19 },
			       field);
	snprintf(field, sizeof(field), "%s.oom_score_adj", prefix);
	if (r == 0 && from->has_oom_score_adj)
		r = part_range(part, from->oom_score_adj,
			       (struct part_range){ -1000, 1000 }, field);
	if (r < 0)
		return r;
	if (from->has_umask) {
		boot->umask = from->umask;
		bootstrap_mark(boot, BOOTSTRAP_UMASK);
	}
	if (from->has_nice) {
		boot->nice = from->nice;
		bootstrap_mark(boot, BOOTSTRAP_NICE);
	}
	if (from->has_oom_score_adj) {
		snprintf(text, sizeof(text), "%d", from->oom_score_adj);
		boot->oom_score_adj =
			arena_text(&part->spec->arena, text, strlen(text));
		if (!boot->oom_score_adj)
			return part_no_memory(part);
		bootstrap_mark(boot, BOOTSTRAP_OOM_SCORE_ADJ);
	}
	return 0;
}

static int
stdio_one(struct part *part, const Nsexec__V1__Stdio *from, const char *field,
	  struct bootstrap_stdio *stdio)
{
	char name[80];

	stdio->kind = BOOTSTRAP_STDIO_NULL;
	if (!from)
		return 0;
	if (!from->has_kind || from->kind < 1 ||
	    (int)from->kind > BOOTSTRAP_STDIO_PATH)
		return part_refuse(part, "must be a kind from 1 to 3",
				   "see StdioKind", "%s.kind", field);
	stdio->kind = (uint32_t)from->kind;
	snprintf(name, sizeof(name), "%s.%s", field,
		 stdio->kind == BOOTSTRAP_STDIO_FD ? "fd_index" : "path");
	if (stdio->kind == BOOTSTRAP_STDIO_FD) {
		if (!from->has_fd_index)
			return part_refuse(part, "is missing",
					   "STDIO_FD needs an index", "%s",
					   name);
		stdio->fd_index = from->fd_index;
		return part_fd_index(part, from->fd_index, name);
	}
	if (stdio->kind == BOOTSTRAP_STDIO_PATH) {
		if (!from->has_path)
			return part_refuse(part, "is missing",
					   "STDIO_PATH needs a path", "%s",
					   name);
		return part_path(part, &from->path, name, &stdio->path);
	}
	return 0;
}

static int
process_stdio(struct part *part, const Nsexec__V1__Process *from,
	      const char *prefix)
{
	static const char *const names[3] = { "stdin", "stdout", "stderr" };
	const Nsexec__V1__Stdio *streams[3] = { from->stdin, from->stdout,
						from->stderr };
	char field[48];
	int r;

	for (size_t i = 0; i < 3; i++) {
		snprintf(field, sizeof(field), "%s.%s", prefix, names[i]);
		r = stdio_one(part, streams[i], field,
			      &part->spec->boot.stdio[i]);
		if (r < 0)
			return r;
	}
	bootstrap_mark(&part->spec->boot, BOOTSTRAP_STDIO);
	return 0;
}

static int
process_fds(struct part *part, const Nsexec__V1__Process *from,
	    const char *prefix)
{
	struct bootstrap *boot = &part->spec->boot;
	char field[64];
	int r;

	if (from->n_fds > BOOTSTRAP_MAX_CHANNEL_FDS)
		return part_refuse(part, "has more than 32 entries",
				   "pass fewer descriptors", "%s.fds", prefix);
	for (size_t i = 0; i < from->n_fds; i++) {
		const Nsexec__V1__PassedFd *fd = from->fds[i];

		snprintf(field, sizeof(field), "%s.fds[%zu].fd_index", prefix,
			 i);
		r = part_fd_index(part,
				  fd->has_fd_index ? fd->fd_index : UINT32_MAX,
				  field);
		if (r < 0)
			return r;
		snprintf(field, sizeof(field), "%s.fds[%zu].number", prefix, i);
		r = part_range(part, fd->has_number ? (int64_t)fd->number : -1,
			       (struct part_range){ 3, 1023 }, field);
		if (r < 0)
			return r;
		for (size_t j = 0; j < i; j++) {
			if (boot->passed_fds[j].number == fd->number)
				return part_refuse(part, "was used before",
						   "give each its own number",
						   "%s", field);
		}
		boot->passed_fds[i].fd_index = fd->fd_index;
		boot->passed_fds[i].number = fd->number;
	}
	boot->n_passed_fds = from->n_fds;
	if (from->n_fds)
		bootstrap_mark(boot, BOOTSTRAP_PASSED_FDS);
	return 0;
}

static int
process_cwd(struct part *part, const Nsexec__V1__Process *from,
	    const char *prefix)
{
	struct bootstrap *boot = &part->spec->boot;
	char field[48];
	int r;

	boot->cwd = "/";
	if (from->has_cwd) {
		snprintf(field, sizeof(field), "%s.cwd", prefix);
		r = part_path(part, &from->cwd, field, &boot->cwd);
		if (r < 0)
			return r;
	}
	bootstrap_mark(boot, BOOTSTRAP_CWD);
	return 0;
}

int
part_process(struct part *part, const Nsexec__V1__Process *process,
	     const char *prefix)
{
	int r;

	if (!process)
		return part_refuse(part, "is missing", "say what to run: args",
				   "%s", prefix);
	r = part_exec_data(part, process, prefix);
	if (r == 0)
		r = process_cwd(part, process, prefix);
	if (r == 0)
		r = process_ids(part, process, prefix);
	if (r == 0)
		r = process_groups(part, process, prefix);
	if (r == 0)
		r = process_capabilities(part, process, prefix);
	if (r == 0)
		r = process_rlimits(part, process, prefix);
	if (r == 0)
		r = process_scheduling(part, process, prefix);
	if (r == 0)
		r = process_stdio(part, process, prefix);
	if (r == 0)
		r = process_fds(part, process, prefix);
	if (r < 0)
		return r;
	part->spec->boot.no_new_privs =
		process->has_no_new_privileges && process->no_new_privileges;
	return 0;
}
