/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Setters for the process of a description: what is run, as whom, with which
 * limits and descriptors. See spec.c for ownership and errors.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/internal.h"
#include "client/spec_parts.h"

void
nsexec_spec_arg(struct nsexec_spec *spec, const char *arg)
{
	Nsexec__V1__Process *process = spec->message->process;

	spec_append_bytes(spec, &process->args, &process->n_args, arg);
}

void
nsexec_spec_env(struct nsexec_spec *spec, const char *assignment)
{
	Nsexec__V1__Process *process = spec->message->process;
	const char *equals = strchr(assignment, '=');

	if (!equals || equals == assignment) {
		if (spec->status >= 0)
			spec->status = -EINVAL;
		return;
	}
	spec_append_bytes(spec, &process->env, &process->n_env, assignment);
}

void
nsexec_spec_cwd(struct nsexec_spec *spec, const char *path)
{
	Nsexec__V1__Process *process = spec->message->process;

	spec_set_bytes(spec, &process->cwd, &process->has_cwd, path);
}

void
nsexec_spec_uid(struct nsexec_spec *spec, uint32_t uid)
{
	spec->message->process->has_uid = 1;
	spec->message->process->uid = uid;
}

void
nsexec_spec_gid(struct nsexec_spec *spec, uint32_t gid)
{
	spec->message->process->has_gid = 1;
	spec->message->process->gid = gid;
}

void
nsexec_spec_group(struct nsexec_spec *spec, uint32_t gid)
{
	Nsexec__V1__Process *process = spec->message->process;
	uint32_t *groups;

	if (spec->status < 0)
		return;
	groups = realloc(process->groups,
			 (process->n_groups + 1) * sizeof(*groups));
	if (!groups) {
		spec->status = -ENOMEM;
		return;
	}
	groups[process->n_groups++] = gid;
	process->groups = groups;
}

void
nsexec_spec_keep_groups(struct nsexec_spec *spec, bool keep)
{
	spec->message->process->has_keep_groups = 1;
	spec->message->process->keep_groups = keep;
}

void
nsexec_spec_capabilities(struct nsexec_spec *spec,
			 enum nsexec_capability_set set, uint64_t mask)
{
	Nsexec__V1__Capabilities *caps = spec->message->process->capabilities;

	if (spec->status < 0)
		return;
	if (!caps) {
		caps = malloc(sizeof(*caps));
		if (!caps) {
			spec->status = -ENOMEM;
			return;
		}
		nsexec__v1__capabilities__init(caps);
		spec->message->process->capabilities = caps;
	}
	switch (set) {
	case NSEXEC_CAPS_BOUNDING:
		caps->has_bounding = 1;
		caps->bounding = mask;
		break;
	case NSEXEC_CAPS_PERMITTED:
		caps->has_permitted = 1;
		caps->permitted = mask;
		break;
	case NSEXEC_CAPS_EFFECTIVE:
		caps->has_effective = 1;
		caps->effective = mask;
		break;
	case NSEXEC_CAPS_INHERITABLE:
		caps->has_inheritable = 1;
		caps->inheritable = mask;
		break;
	case NSEXEC_CAPS_AMBIENT:
		caps->has_ambient = 1;
		caps->ambient = mask;
		break;
	default:
		spec->status = -EINVAL;
	}
}

void
nsexec_spec_no_new_privileges(struct nsexec_spec *spec, bool on)
{
	spec->message->process->has_no_new_privileges = 1;
	spec->message->process->no_new_privileges = on;
}

void
nsexec_spec_rlimit(struct nsexec_spec *spec, int resource, uint64_t soft,
		   uint64_t hard)
{
	Nsexec__V1__Process *process = spec->message->process;
	Nsexec__V1__ResourceLimit *limit;

	limit = spec_append(spec, &process->rlimits, &process->n_rlimits,
			    sizeof(*limit));
	if (!limit)
		return;
	nsexec__v1__resource_limit__init(limit);
	limit->has_resource = limit->has_soft = limit->has_hard = 1;
	limit->resource = (uint32_t)resource;
	limit->soft = soft;
	limit->hard = hard;
}

void
nsexec_spec_umask(struct nsexec_spec *spec, mode_t mask)
{
	spec->message->process->has_umask = 1;
	spec->message->process->umask = mask;
}

void
nsexec_spec_nice(struct nsexec_spec *spec, int nice)
{
	spec->message->process->has_nice = 1;
	spec->message->process->nice = nice;
}

void
nsexec_spec_oom_score_adj(struct nsexec_spec *spec, int score)
{
	spec->message->process->has_oom_score_adj = 1;
	spec->message->process->oom_score_adj = score;
}

/* The message of stream 0, 1 or 2, emptied; NULL on error. */
static Nsexec__V1__Stdio *
stdio_reset(struct nsexec_spec *spec, int number)
{
	Nsexec__V1__Process *process = spec->message->process;
	Nsexec__V1__Stdio **field = number == 0	  ? &process->stdin
				    : number == 1 ? &process->stdout
						  : &process->stderr;

	if (spec->status < 0)
		return NULL;
	if (number < 0 || number > 2) {
		spec->status = -EINVAL;
		return NULL;
	}
	if (*field)
		nsexec__v1__stdio__free_unpacked(*field, NULL);
	*field = malloc(sizeof(**field));
	if (!*field) {
		spec->status = -ENOMEM;
		return NULL;
	}
	nsexec__v1__stdio__init(*field);
	(*field)->has_kind = 1;
	return *field;
}

void
nsexec_spec_stdio_fd(struct nsexec_spec *spec, int number, int fd)
{
	Nsexec__V1__Stdio *stdio;
	uint32_t index = 0;

	if (spec_fd_index(spec, fd, &index) < 0)
		return;
	stdio = stdio_reset(spec, number);
	if (!stdio)
		return;
	stdio->kind = NSEXEC__V1__STDIO_KIND__STDIO_FD;
	stdio->has_fd_index = 1;
	stdio->fd_index = index;
}

void
nsexec_spec_stdio_path(struct nsexec_spec *spec, int number, const char *path)
{
	Nsexec__V1__Stdio *stdio = stdio_reset(spec, number);

	if (!stdio)
		return;
	stdio->kind = NSEXEC__V1__STDIO_KIND__STDIO_PATH;
	spec_set_bytes(spec, &stdio->path, &stdio->has_path, path);
}

void
nsexec_spec_pass_fd(struct nsexec_spec *spec, int fd, int number,
		    const char *name)
{
	Nsexec__V1__Process *process = spec->message->process;
	Nsexec__V1__PassedFd *item;
	uint32_t index = 0;

	if (spec->status >= 0 && number < 3)
		spec->status = -EINVAL;
	if (spec_fd_index(spec, fd, &index) < 0)
		return;
	item = spec_append(spec, &process->fds, &process->n_fds, sizeof(*item));
	if (!item)
		return;
	nsexec__v1__passed_fd__init(item);
	item->has_fd_index = item->has_number = 1;
	item->fd_index = index;
	item->number = (uint32_t)number;
	spec_set_bytes(spec, &item->name, &item->has_name, name);
}
