/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that an earlier spawner has left. See spawner_orphan.h. */
#include "spawn/spawner_orphan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "lib/text.h"
#include "spawn/spawner.h"
#include "spawn/spawner_log.h"

/*
 * By its cgroup a process of that container. The cgroup is read by its number,
 * and that was its own all the while if it can still be signalled. -ECHILD.
 */
static int
orphan_open(const struct spawner *spawner, const struct container_name *name,
	    pid_t pid)
{
	struct container_name found;
	fd_auto int fd = sys_pidfd_open(pid);

	if (fd >= 0 && place_of(spawner, pid, &found) == 0 &&
	    container_name_equal(&found, name) &&
	    sys_pidfd_send_signal(fd, 0) == 0)
		return fd_steal(&fd);
	if (fd < 0) /* -errno: nothing to close */
		fd = -1;
	return -ECHILD;
}

int
orphan_resume(struct orphan_table *table, const struct orphan *row)
{
	size_t room = table->room ? table->room * 2 : 64;
	struct orphan *rows = table->rows;

	if (table->n == table->room) {
		rows = realloc(rows, room * sizeof(*rows));
		if (!rows)
			return -ENOMEM;
		table->rows = rows;
		table->room = room;
	}
	rows[table->n++] = *row;
	return 0;
}

struct search {
	struct spawner *spawner;
	const struct container_name *name;
	size_t max, n;
	bool more; /* there were more than that */
};

static void
search_add(void *userdata, pid_t pid)
{
	struct search *search = userdata;
	struct orphan_table *table = &search->spawner->orphans;
	struct orphan row = { .name = *search->name, .pid = pid };

	if (search->n++ >= ORPHANS_EACH)
		return;
	if (table->n >= search->max) {
		search->more = true;
		return;
	}
	row.fd = orphan_open(search->spawner, &row.name, pid);
	if (row.fd >= 0 && orphan_resume(table, &row) < 0)
		fd_close(&row.fd);
}

static void
search_in(void *userdata, const struct container_name *name, int leaf_fd)
{
	struct search *search = userdata;

	search->name = name;
	search->n = 0;
	/* of one that went meanwhile there is nothing to keep */
	(void)!cgroup_each_pid(leaf_fd, search_add, search);
}

/* Of a container, and its parent is of none. Only a zombie's stat is read. */
static bool
is_zombie_left(const struct spawner *spawner, pid_t pid,
	       struct container_name *ret)
{
	struct container_name parents;
	struct proc_stat stat;

	return proc_state_read(spawner->proc_fd, pid) == 'Z' &&
	       place_of(spawner, pid, ret) == 0 &&
	       proc_stat_read(spawner->proc_fd, pid, &stat) == 0 &&
	       stat.state == 'Z' &&
	       place_of(spawner, stat.parent, &parents) < 0;
}

/*
 * What has ended and its new parent has not reaped yet: in no list of its
 * cgroup, but it will be asked for. What ended within a container, and waits
 * for a parent there, will not.
 */
static void
search_zombies(struct search *search)
{
	struct spawner *spawner = search->spawner;
	int fd = openat(spawner->proc_fd, ".",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct container_name name;
	struct dirent *entry;
	uint32_t pid;

	if (!dir)
		fd_close(&fd);
	while (dir && (entry = readdir(dir))) {
		if (text_parse_u32(entry->d_name, &pid) < 0 ||
		    !is_zombie_left(spawner, (pid_t)pid, &name))
			continue;
		search->name = &name;
		search->n = 0;
		search_add(search, (pid_t)pid);
	}
	if (dir)
		closedir(dir);
}

void
orphans_find(struct spawner *spawner)
{
	struct search search = { .spawner = spawner };
	struct rlimit limit;

	if (!place_is_cgroup(spawner) || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	search.max = limit.rlim_cur / 4 < ORPHANS_MAX ? limit.rlim_cur / 4
						      : ORPHANS_MAX;
	cgroup_each_container(&spawner->cgroups, search_in, &search);
	search_zombies(&search);
	if (spawner->orphans.n > 0)
		log_note("%zu processes of an earlier spawner live%s",
			 spawner->orphans.n,
			 search.more ? ", and more than can be watched" : "");
}

int
orphan_pidfd(const struct spawner *spawner, const struct container_name *name,
	     pid_t pid)
{
	const struct orphan_table *table = &spawner->orphans;
	int fd = orphan_open(spawner, name, pid);
	size_t i;

	for (i = 0; fd < 0 && i < table->n; i++)
		if (table->rows[i].pid == pid &&
		    container_name_equal(&table->rows[i].name, name))
			fd = fcntl(table->rows[i].fd, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -ECHILD : fd;
}

void
orphans_forget(struct orphan_table *table, const struct container_name *name)
{
	size_t i = 0;

	while (i < table->n) {
		if (!container_name_equal(&table->rows[i].name, name)) {
			i++;
			continue;
		}
		fd_close(&table->rows[i].fd);
		table->rows[i] = table->rows[--table->n];
	}
}

void
orphan_table_deinit(struct orphan_table *table)
{
	size_t i;

	for (i = 0; i < table->n; i++)
		fd_close(&table->rows[i].fd);
	free(table->rows);
	*table = (struct orphan_table){ 0 };
}
