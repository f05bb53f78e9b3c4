/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files are the policy, and whether they may be: root's, and nobody
 * else's to write, reached without a symbolic link. See policy_json.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "lib/text.h"
#include "lib/util.h"
#include "proto/policy_json.h"

int
policy_error_set(struct policy_error *error, const char *file,
		 const char *remedy, const char *fmt, ...)
{
	va_list ap;

	memset(error, 0, sizeof(*error));
	text_escape(error->file, sizeof(error->file), file, strlen(file));
	snprintf(error->remedy, sizeof(error->remedy), "%s", remedy);
	va_start(ap, fmt);
	vsnprintf(error->rule, sizeof(error->rule), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

char *
policy_error_format(const struct policy_error *error,
		    char buf[POLICY_ERROR_MAX])
{
	char line[16] = "";

	if (error->line)
		snprintf(line, sizeof(line), ":%u", error->line);
	snprintf(buf, POLICY_ERROR_MAX, "%s%s: %s%s%s (%s)", error->file, line,
		 error->path, error->path[0] ? ": " : "", error->rule,
		 error->remedy);
	return buf;
}

static int
refuse_errno(struct policy_error *error, const char *file, int r)
{
	if (r == -ELOOP)
		policy_error_set(error, file,
				 "put the file itself there, and name the "
				 "directory by its real path",
				 "a symbolic link is in its path");
	else if (r == -EACCES)
		policy_error_set(error, file,
				 "make it readable for all: a policy is no "
				 "secret",
				 "cannot open: %s", strerror(EACCES));
	else
		policy_error_set(error, file, "see that it can be read",
				 "cannot read: %s", strerror(-r));
	return r;
}

/* The file is root's and only root may change it. */
static int
owner_check(int fd, mode_t type, const char *file, struct policy_error *error)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return refuse_errno(error, file, -errno);
	if ((st.st_mode & S_IFMT) != type)
		return policy_error_set(
			error, file, "put the right thing here", "is no %s",
			type == S_IFDIR ? "directory" : "regular file");
	if (st.st_uid != 0)
		return policy_error_set(error, file, "chown root",
					"belongs to uid %u", st.st_uid);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return policy_error_set(error, file, "chmod go-w",
					"others than root may write it (mode "
					"%04o)",
					st.st_mode & 07777);
	return 0;
}

/* What is opened, and how rules and errors call it. */
struct place {
	int dir_fd;
	const char *name, *file;
	mode_t type; /* S_IFDIR or S_IFREG */
};

/* *ret_fd is -1 if there is none. */
static int
open_checked(const struct place *place, int *ret_fd, struct policy_error *error)
{
	uint64_t flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	uint64_t resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
	fd_auto int fd = -1;
	int r;

	*ret_fd = -1;
	if (place->dir_fd != AT_FDCWD)
		resolve |= RESOLVE_BENEATH;
	fd = sys_openat2(place->dir_fd, place->name, flags, 0, resolve);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return refuse_errno(error, place->file, fd);
	r = owner_check(fd, place->type, place->file, error);
	if (r < 0)
		return r;
	*ret_fd = fd_steal(&fd);
	return 0;
}

static int
append_file(const struct place *place, struct policy_table *table,
	    struct policy_error *error)
{
	const char *file = place->file;
	free_auto char *text = malloc(POLICY_FILE_MAX + 1);
	fd_auto int fd = -1;
	ssize_t n;
	int r;

	if (!text)
		return refuse_errno(error, file, -ENOMEM);
	r = open_checked(place, &fd, error);
	if (r < 0 || fd < 0)
		return r;
	n = fd_read_all(fd, text, POLICY_FILE_MAX + 1);
	if (n == -EMSGSIZE || n > (ssize_t)POLICY_FILE_MAX)
		return policy_error_set(error, file, "spread it over policy.d",
					"more than 64 KiB");
	if (n < 0)
		return refuse_errno(error, file, (int)n);
	return policy_json_append(table, file, text, (size_t)n, error);
}

struct names {
	char *list[POLICY_MAX_FILES];
	size_t n;
};

static void
names_deinit(struct names *names)
{
	while (names->n > 0)
		free(names->list[--names->n]);
}
#define names_auto __attribute__((cleanup(names_deinit)))

static int
names_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool
is_policy_name(const char *name)
{
	size_t size = strlen(name);

	return name[0] != '.' && size > 5 &&
	       strcmp(name + size - 5, ".json") == 0;
}

/* Names in policy.d, sorted. Takes the descriptor. */
static int
names_read(int take_fd, struct names *names, struct policy_error *error)
{
	struct dirent *entry;
	char shown[96];
	DIR *dir = fdopendir(take_fd);
	int r = 0;

	if (!dir) {
		r = -errno;
		fd_close(&take_fd);
		return refuse_errno(error, "policy.d", r);
	}
	while (r == 0 && (entry = readdir(dir))) {
		if (!is_policy_name(entry->d_name))
			continue;
		if (!text_is_id(entry->d_name, strlen(entry->d_name)))
			r = policy_error_set(
				error, "policy.d",
				"rename it: at most 64 of A-Z a-z 0-9 _ . -",
				"has a file of another name, %s",
				text_escape(shown, sizeof(shown), entry->d_name,
					    strlen(entry->d_name)));
		else if (names->n == POLICY_MAX_FILES - 1)
			r = policy_error_set(error, "policy.d", "merge files",
					     "more than %d files",
					     POLICY_MAX_FILES - 1);
		else if (!(names->list[names->n] = strdup(entry->d_name)))
			r = refuse_errno(error, "policy.d", -ENOMEM);
		else
			names->n++;
	}
	closedir(dir);
	if (r == 0)
		qsort(names->list, names->n, sizeof(names->list[0]),
		      names_compare);
	return r;
}

static int
append_folder(int dir_fd, struct policy_table *table,
	      struct policy_error *error)
{
	const struct place folder = { dir_fd, "policy.d", "policy.d", S_IFDIR };
	names_auto struct names names = { .n = 0 };
	char file[128];
	fd_auto int fd = -1;
	size_t i;
	int r, copy;

	r = open_checked(&folder, &fd, error);
	if (r < 0 || fd < 0)
		return r;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return refuse_errno(error, "policy.d", -errno);
	r = names_read(copy, &names, error);
	for (i = 0; r == 0 && i < names.n; i++) {
		const struct place place = { fd, names.list[i], file, S_IFREG };

		snprintf(file, sizeof(file), "policy.d/%s", names.list[i]);
		r = append_file(&place, table, error);
	}
	return r;
}

/* Errors say the whole path, where the sources of rules are short. */
static void
error_prefix(struct policy_error *error, const char *dir)
{
	char file[sizeof(error->file)], escaped[sizeof(error->file)];

	if (error->file[0] == '/')
		return;
	memcpy(file, error->file, sizeof(file));
	text_escape(escaped, sizeof(escaped), dir, strlen(dir));
	if (strlen(escaped) + 1 + strlen(file) < sizeof(error->file))
		snprintf(error->file, sizeof(error->file), "%.150s/%.100s",
			 escaped, file);
}

int
policy_files_read(const char *dir, struct policy_table *table,
		  struct policy_error *ret_error)
{
	const struct place top = { AT_FDCWD, dir, dir, S_IFDIR };
	struct place file = { -1, "policy.json", "policy.json", S_IFREG };
	fd_auto int fd = -1;
	int r;

	memset(ret_error, 0, sizeof(*ret_error));
	policy_table_init(table);
	r = open_checked(&top, &fd, ret_error);
	if (r < 0 || fd < 0)
		return r;
	file.dir_fd = fd;
	r = append_file(&file, table, ret_error);
	if (r == 0)
		r = append_folder(fd, table, ret_error);
	if (r < 0) {
		error_prefix(ret_error, dir);
		return r;
	}
	policy_table_seal(table);
	return 0;
}
