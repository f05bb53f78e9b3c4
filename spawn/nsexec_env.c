/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The environment that a runc parent sets, and the descriptors it names. Only
 * the log and init pipes are nsexec's own; the others are for the program of
 * the last stage and are kept open for it, under their numbers. Everything
 * else is closed before anything is joined: a descriptor of the host that
 * reaches a container's process is a way out of it (CVE-2016-9962).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys.h"
#include "lib/text.h"
#include "lib/util.h"
#include "spawn/nsexec_program.h"

#define ALL_ERAS (~0u)
#define ERA(dialect) (1u << (dialect))

/* Variables that hold one descriptor's number, and the eras that have them. */
static const struct kept_variable {
	const char *name;
	unsigned int eras;
} kept_variables[] = {
	{ "_LIBCONTAINER_INITPIPE", ALL_ERAS },
	{ "_LIBCONTAINER_LOGPIPE", ALL_ERAS },
	{ "_LIBCONTAINER_SYNCPIPE", ALL_ERAS },
	{ "_LIBCONTAINER_FIFOFD", ALL_ERAS },
	{ "_LIBCONTAINER_CONSOLE", ALL_ERAS },
	{ "_LIBCONTAINER_PIDFD_SOCK", ALL_ERAS },
	{ "_LIBCONTAINER_DMZEXEFD", ERA(DIALECT_M3) },
	/* A descriptor in 2016 only; later a path, of nobody's concern. */
	{ "_LIBCONTAINER_STATEDIR", ERA(DIALECT_D1) | ERA(DIALECT_D2) },
};

static const char *
env_text(const char *name)
{
	const char *text = getenv(name);

	return text && *text ? text : NULL;
}

/* A number of 0 or more; -1: unset or empty; else fatal, as in runc. */
static int
env_number(struct nsexec *self, const char *name)
{
	const char *text = env_text(name);
	uint64_t number;

	if (!text)
		return -1;
	if (text_parse_u64(text, INT32_MAX, &number) < 0)
		die(self, 0, "unable to parse %s=%s", name, text);
	return (int)number;
}

static int
env_fd(struct nsexec *self, const char *name)
{
	int fd = env_number(self, name);

	if (fd >= 0 && fcntl(fd, F_GETFD) < 0)
		die(self, errno, "%s=%d is no open descriptor", name, fd);
	return fd;
}

void
nsexec_env_log(struct nsexec *self)
{
	int level;

	if (!self->log.json)
		return;
	self->log.fd = env_fd(self, "_LIBCONTAINER_LOGPIPE");
	level = env_number(self, "_LIBCONTAINER_LOGLEVEL");
	if (level >= 0)
		self->log.level = (uint32_t)level;
}

bool
nsexec_env_init_pipe(struct nsexec *self)
{
	self->init_fd = env_fd(self, "_LIBCONTAINER_INITPIPE");
	return self->init_fd >= 0;
}

static void
keep_add(struct nsexec *self, int fd)
{
	for (size_t i = 0; i < self->keep.n_fds; i++)
		if (self->keep.fds[i] == fd)
			return;
	/* A number that is free now would be ours later: nothing to keep. */
	if (fcntl(fd, F_GETFD) < 0)
		return;
	if (self->keep.n_fds == NSEXEC_MAX_KEEP)
		die(self, 0, "more than %d descriptors to keep",
		    NSEXEC_MAX_KEEP);
	self->keep.fds[self->keep.n_fds++] = fd;
}

/* A JSON array of integers and nothing else: "[-1,-1,7]". */
static void
mount_fds_parse(struct nsexec *self, const char *name)
{
	const char *text = env_text(name), *at = text;
	char *end;
	long number;

	if (!text || self->era->dialect != DIALECT_M2)
		return;
	if (strcmp(text, "[]") == 0)
		return;
	do {
		if (*at != (at == text ? '[' : ','))
			die(self, 0, "unable to parse %s=%s", name, text);
		number = strtol(at + 1, &end, 10);
		if (end == at + 1 || number < -1 || number > INT32_MAX)
			die(self, 0, "unable to parse %s=%s", name, text);
		if (self->n_mount_fds == NSEXEC_MAX_KEEP)
			die(self, 0, "%s: more than %d mounts", name,
			    NSEXEC_MAX_KEEP);
		if (number >= 0 && fcntl((int)number, F_GETFD) < 0)
			die(self, errno, "%s: %ld is no open descriptor", name,
			    number);
		self->mount_fds[self->n_mount_fds++] = (int)number;
		if (number >= 0)
			keep_add(self, (int)number);
		at = end;
	} while (*at != ']');
	if (at[1] != '\0')
		die(self, 0, "unable to parse %s=%s", name, text);
}

static int
compare_fds(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

void
nsexec_env_close_others(struct nsexec *self)
{
	struct nsexec_keep *keep = &self->keep;
	const char *text;
	uint64_t number;
	int next = 3;

	for (size_t i = 0; i < ARRAY_SIZE(kept_variables); i++) {
		const struct kept_variable *row = &kept_variables[i];

		text = env_text(row->name);
		if (text && (row->eras & ERA(self->era->dialect)) &&
		    text_parse_u64(text, INT32_MAX, &number) == 0)
			keep_add(self, (int)number);
	}
	mount_fds_parse(self, "_LIBCONTAINER_MOUNT_FDS");
	qsort(keep->fds, keep->n_fds, sizeof(keep->fds[0]), compare_fds);
	for (size_t i = 0; i < keep->n_fds; i++) {
		if (keep->fds[i] > next)
			(void)sys_close_range((unsigned int)next,
					      (unsigned int)keep->fds[i] - 1,
					      0);
		if (keep->fds[i] >= next)
			next = keep->fds[i] + 1;
	}
	(void)sys_close_range((unsigned int)next, ~0u, 0);
	/* Setuid map writers must not inherit even these. */
	(void)sys_close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
}

void
nsexec_env_inherit(struct nsexec *self)
{
	for (size_t i = 0; i < self->keep.n_fds; i++)
		if (self->keep.fds[i] > 2)
			(void)fcntl(self->keep.fds[i], F_SETFD, 0);
}
