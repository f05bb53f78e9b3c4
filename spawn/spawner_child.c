/* SPDX-License-Identifier: Apache-2.0 */
/* Container processes among our children. See spawner_child.h. */
#include "spawn/spawner_child.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t
child_pid_bucket(pid_t pid)
{
	return (uint32_t)pid % CHILD_BUCKETS;
}

static size_t
child_name_bucket(const struct container_name *name)
{
	uint32_t hash = 2166136261u ^ name->owner; /* FNV-1a */
	const char *p;

	for (p = name->id; *p; p++)
		hash = (hash ^ (uint8_t)*p) * 16777619u;
	return hash % CHILD_BUCKETS;
}

bool
container_name_equal(const struct container_name *a,
		     const struct container_name *b)
{
	return a->owner == b->owner && strcmp(a->id, b->id) == 0;
}

int
child_add(struct child_table *table, pid_t pid,
	  const struct container_name *name, uint64_t start_time, bool gated)
{
	struct child *child;
	size_t by_pid = child_pid_bucket(pid);
	size_t by_name = child_name_bucket(name);

	assert(!child_find(table, pid));
	child = calloc(1, sizeof(*child));
	if (!child)
		return -ENOMEM;
	child->pid = pid;
	child->name = *name;
	child->start_time = start_time;
	child->gated = gated;
	child->next_pid = table->by_pid[by_pid];
	table->by_pid[by_pid] = child;
	child->next_name = table->by_name[by_name];
	table->by_name[by_name] = child;
	table->count++;
	return 0;
}

struct child *
child_find(const struct child_table *table, pid_t pid)
{
	struct child *child = table->by_pid[child_pid_bucket(pid)];

	while (child && child->pid != pid)
		child = child->next_pid;
	return child;
}

struct child *
child_find_in(const struct child_table *table,
	      const struct container_name *name)
{
	struct child *child = table->by_name[child_name_bucket(name)];

	while (child && !container_name_equal(&child->name, name))
		child = child->next_name;
	return child;
}

struct child *
child_find_gated(const struct child_table *table,
		 const struct container_name *name)
{
	struct child *child = table->by_name[child_name_bucket(name)];

	while (child &&
	       !(child->gated && container_name_equal(&child->name, name)))
		child = child->next_name;
	return child;
}

void
child_remove(struct child_table *table, struct child *child)
{
	struct child **p = &table->by_pid[child_pid_bucket(child->pid)];

	while (*p != child)
		p = &(*p)->next_pid;
	*p = child->next_pid;
	p = &table->by_name[child_name_bucket(&child->name)];
	while (*p != child)
		p = &(*p)->next_name;
	*p = child->next_name;
	table->count--;
	free(child);
}

void
child_table_deinit(struct child_table *table)
{
	size_t i;

	for (i = 0; i < CHILD_BUCKETS; i++)
		while (table->by_pid[i])
			child_remove(table, table->by_pid[i]);
}

static uint64_t
child_us(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * 1000000u + (uint64_t)time->tv_usec;
}

/*
 * waitid(2) with the kernel's fifth argument, which glibc hides. Always one
 * pid and __WALL: init has exit_signal 0 until it execs.
 */
static int
child_wait(pid_t pid, int flags, struct child_exit *ret)
{
	struct rusage usage;
	siginfo_t info;
	long r;

	memset(ret, 0, sizeof(*ret));
	memset(&info, 0, sizeof(info));
	memset(&usage, 0, sizeof(usage));
	do
		r = syscall(SYS_waitid, P_PID, pid, &info,
			    flags | WEXITED | WNOHANG | __WALL, &usage);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	if (info.si_pid == 0)
		return 0;
	ret->exited = true;
	if (info.si_code == CLD_EXITED)
		ret->wait_status = ((uint32_t)info.si_status & 0xff) << 8;
	else
		ret->wait_status = (uint32_t)info.si_status |
				   (info.si_code == CLD_DUMPED ? 0x80u : 0u);
	ret->rusage.user_us = child_us(&usage.ru_utime);
	ret->rusage.system_us = child_us(&usage.ru_stime);
	ret->rusage.max_rss_kib = (uint64_t)usage.ru_maxrss;
	return 0;
}

int
child_peek(pid_t pid, struct child_exit *ret)
{
	return child_wait(pid, WNOWAIT, ret);
}

int
child_reap(pid_t pid, struct child_exit *ret)
{
	int r = child_wait(pid, 0, ret);

	if (r < 0)
		return r;
	return ret->exited ? 0 : -EBUSY;
}
