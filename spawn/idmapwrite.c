/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Id maps from outside: one write per file, then read back. See idmapwrite.h.
 *
 * The process directory is opened once and everything else goes through that
 * descriptor, so a pid that is reused meanwhile is never written to.
 */
#include "spawn/idmapwrite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/fd.h"
#include "proto/idmap.h"

static const struct {
	const char *file;
	const char *step;
} sides[] = {
	[IDMAP_UID] = { "uid_map", "map-uid" },
	[IDMAP_GID] = { "gid_map", "map-gid" },
};

int
idmap_process_open(int proc_fd, int pid)
{
	char path[32];
	int fd;

	if (pid <= 0)
		return -EINVAL;
	snprintf(path, sizeof(path), proc_fd >= 0 ? "%d" : "/proc/%d", pid);
	fd = openat(proc_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The kernel sorts maps of more than five rows: compare as sets. */
static bool
maps_equal(const struct idmap *a, const struct idmap *b)
{
	const struct idmap_row *row;
	size_t i, j;

	if (a->n_rows != b->n_rows)
		return false;
	for (i = 0; i < a->n_rows; i++) {
		row = &a->rows[i];
		for (j = 0; j < b->n_rows; j++)
			if (memcmp(row, &b->rows[j], sizeof(*row)) == 0)
				break;
		if (j == b->n_rows)
			return false;
	}
	return true;
}

/* 0: the kernel shows what was written. */
static int
map_verify(int fd, const char *text, size_t size)
{
	/* The kernel pads each of the three numbers to ten columns. */
	char shown[IDMAP_MAX_ROWS * 33 + 1];
	struct idmap wanted, have;
	struct idmap_error error;
	size_t used = 0;
	ssize_t n;

	do {
		n = pread(fd, shown + used, sizeof(shown) - used, (off_t)used);
		if (n < 0)
			return -errno;
		used += (size_t)n;
	} while (n > 0 && used < sizeof(shown));
	if (idmap_parse(shown, used, &have, &error) < 0 ||
	    idmap_parse(text, size, &wanted, &error) < 0)
		return -EIO;
	return maps_equal(&wanted, &have) ? 0 : -EIO;
}

int
idmap_write(int pid_dir_fd, enum idmap_side side, const char *text, size_t size,
	    enum stage stage, struct failure *failure)
{
	const char *step = sides[side].step, *file = sides[side].file;
	fd_auto int fd = -1;
	ssize_t n;
	int r;

	fd = openat(pid_dir_fd, file, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return failure_set(failure, stage, step, "openat", errno, "%s",
				   file);
	/* Never retried: after a partial write a second one is refused. */
	n = write(fd, text, size);
	if (n < 0)
		return failure_set(failure, stage, step, "write", errno,
				   "%s: %.*s", file, (int)size, text);
	if ((size_t)n != size)
		return failure_set(failure, stage, step, "write", EIO,
				   "%s: %d of %d bytes", file, (int)n,
				   (int)size);
	r = map_verify(fd, text, size);
	if (r < 0)
		return failure_set(failure, stage, step, "read", -r, "%s",
				   file);
	return 0;
}

int
idmap_verify(int pid_dir_fd, enum idmap_side side, const char *text,
	     size_t size)
{
	fd_auto int fd =
		openat(pid_dir_fd, sides[side].file, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : map_verify(fd, text, size);
}

int
idmap_setgroups_write(int pid_dir_fd, bool allow, enum stage stage,
		      struct failure *failure)
{
	const char *word = allow ? "allow" : "deny";
	const size_t size = strlen(word);
	fd_auto int fd = -1;
	char shown[16];

	fd = openat(pid_dir_fd, "setgroups", O_RDWR | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0; /* before Linux 3.19 */
	if (fd < 0)
		return failure_set(failure, stage, "map-setgroups", "openat",
				   errno, "setgroups");
	if (write(fd, word, size) < 0)
		return failure_set(failure, stage, "map-setgroups", "write",
				   errno, "setgroups: %s", word);
	/* "deny" is what keeps a group that takes rights away (CVE-2014-8989):
	 * seen, not believed */
	if (pread(fd, shown, sizeof(shown), 0) != (ssize_t)size + 1 ||
	    memcmp(shown, word, size) != 0)
		return failure_set(failure, stage, "map-setgroups", "read", EIO,
				   "setgroups: %s", word);
	return 0;
}
