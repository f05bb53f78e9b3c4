/* SPDX-License-Identifier: Apache-2.0 */
/* Containers' cgroups: make, open, list, kill, remove. See spawner_cgroup.h. */
#include "spawn/spawner_cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "lib/text.h"
#include "spawn/spawner_log.h"

#define CGROUP_DEPTH_MAX 16
#define CGROUP_RESOLVE \
	(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | \
	 RESOLVE_NO_XDEV)
/* "u4294967295/" and an id */
#define CGROUP_LEAF_MAX (12 + CONTAINER_ID_SIZE)

static void
cgroup_leaf_format(const struct container_name *name, char *buf, size_t size)
{
	snprintf(buf, size, "u%u/%s", name->owner, name->id);
}

static int
cgroup_open_at(int dir_fd, const char *path, uint64_t flags, int *ret_fd)
{
	int fd =
		sys_openat2(dir_fd, path, flags | O_CLOEXEC, 0, CGROUP_RESOLVE);

	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

int
cgroup_name_parse(const char *root_path, const char *path,
		  struct container_name *ret)
{
	size_t n = strlen(root_path), id_size;
	const char *id, *end;
	char digits[11];

	if (n == 1) /* the root cgroup, "/" */
		n = 0;
	if (strncmp(path, root_path, n) != 0 || path[n] != '/' ||
	    path[n + 1] != 'u')
		return -ENOENT;
	path += n + 2;
	id = strchr(path, '/');
	if (!id || (size_t)(id - path) >= sizeof(digits))
		return -ENOENT;
	memcpy(digits, path, (size_t)(id - path));
	digits[id - path] = '\0';
	if (text_parse_u32(digits, &ret->owner) < 0)
		return -ENOENT;
	id++;
	end = strchrnul(id, '/');
	id_size = (size_t)(end - id);
	if (id_size >= sizeof(ret->id) || !text_is_id(id, id_size))
		return -ENOENT;
	memcpy(ret->id, id, id_size);
	ret->id[id_size] = '\0';
	return 0;
}

/* Is this word in a list with blanks? */
static bool
has_word(const char *list, const char *word)
{
	const size_t size = strlen(word);

	while (*list) {
		const size_t n = strcspn(list, " \n");

		if (n == size && memcmp(list, word, n) == 0)
			return true;
		list += n + (list[n] != '\0');
	}
	return false;
}

bool
cgroup_enable(int dir_fd, const char *controller)
{
	char controllers[256], word[32];
	fd_auto int fd = -1;

	if (fd_read_file(dir_fd, "cgroup.controllers", controllers,
			 sizeof(controllers)) < 0 ||
	    !has_word(controllers, controller))
		return false;
	(void)snprintf(word, sizeof(word), "+%s", controller);
	fd = openat(dir_fd, "cgroup.subtree_control", O_WRONLY | O_CLOEXEC);
	return fd >= 0 && fd_write_all(fd, word, strlen(word)) >= 0;
}

int
cgroup_value_read(int dir_fd, const char *path, uint64_t *ret)
{
	fd_auto int fd = -1;
	char text[32];
	ssize_t n;
	int r;

	r = cgroup_open_at(dir_fd, path, O_RDONLY, &fd);
	if (r < 0)
		return r;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (strcmp(text, "max") == 0) {
		*ret = CGROUP_NO_LIMIT;
		return 0;
	}
	return text_parse_u64(text, UINT64_MAX, ret) < 0 ? -EBADMSG : 0;
}

int
cgroup_value_write(int dir_fd, const char *path, uint64_t value)
{
	fd_auto int fd = -1;
	char text[32] = "max";
	uint64_t old;
	int r;

	r = cgroup_value_read(dir_fd, path, &old);
	if (r < 0 || old == value)
		return r;
	if (value != CGROUP_NO_LIMIT)
		(void)snprintf(text, sizeof(text), "%llu",
			       (unsigned long long)value);
	r = cgroup_open_at(dir_fd, path, O_WRONLY | O_NONBLOCK, &fd);
	return r < 0 ? r : fd_write_all(fd, text, strlen(text));
}

int
cgroup_oom_kills(int leaf_fd, uint64_t *ret)
{
	char text[512], *line, *rest = text;
	ssize_t n = fd_read_file(leaf_fd, "memory.events", text, sizeof(text));

	if (n < 0)
		return (int)n;
	while ((line = strsep(&rest, "\n")))
		if (strncmp(line, "oom_kill ", 9) == 0)
			return text_parse_u64(line + 9, UINT64_MAX, ret);
	return -ENODATA;
}

/* An owner's first container: what fails here leaves its count unknown. */
static void
cgroup_owner_memory(const struct cgroup_root *root, const char *dir)
{
	fd_auto int fd = -1;

	if (cgroup_open_at(root->fd, dir, O_RDONLY | O_DIRECTORY, &fd) < 0 ||
	    !cgroup_enable(fd, "memory"))
		log_error(errno, "cannot count OOM kills below cgroup %s", dir);
}

int
cgroup_make(const struct cgroup_root *root, const struct container_name *name,
	    int *ret_fd)
{
	char path[CGROUP_LEAF_MAX], dir[16];
	int r;

	cgroup_leaf_format(name, path, sizeof(path));
	if (mkdirat(root->fd, path, 0755) == 0)
		return cgroup_open_at(root->fd, path, O_RDONLY | O_DIRECTORY,
				      ret_fd);
	if (errno != ENOENT)
		return -errno;
	/* The owner's first container. */
	snprintf(dir, sizeof(dir), "u%u", name->owner);
	if (mkdirat(root->fd, dir, 0755) < 0 && errno != EEXIST)
		return -errno;
	if (root->memory)
		cgroup_owner_memory(root, dir);
	if (mkdirat(root->fd, path, 0755) < 0) {
		r = -errno;
		unlinkat(root->fd, dir, AT_REMOVEDIR);
		return r;
	}
	return cgroup_open_at(root->fd, path, O_RDONLY | O_DIRECTORY, ret_fd);
}

int
cgroup_open(const struct cgroup_root *root, const struct container_name *name,
	    int *ret_fd)
{
	char path[CGROUP_LEAF_MAX];

	cgroup_leaf_format(name, path, sizeof(path));
	return cgroup_open_at(root->fd, path, O_RDONLY | O_DIRECTORY, ret_fd);
}

/* Open a directory again for reading its names; closed with the DIR. */
static DIR *
cgroup_dir(int dir_fd, const char *name)
{
	int fd = sys_openat2(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC,
			     0, CGROUP_RESOLVE);
	DIR *dir;

	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	dir = fdopendir(fd);
	if (!dir)
		close(fd);
	return dir;
}

static bool
cgroup_is_child(const struct dirent *entry)
{
	return entry->d_type == DT_DIR && entry->d_name[0] != '.';
}

int
cgroup_find_owner(const struct cgroup_root *root, const char *id, uid_t *ret)
{
	char path[CGROUP_LEAF_MAX];
	struct dirent *entry;
	uid_t owner, found = 0;
	int count = 0;
	struct stat st;
	DIR *dir;

	dir = cgroup_dir(root->fd, ".");
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (!cgroup_is_child(entry) || entry->d_name[0] != 'u' ||
		    text_parse_u32(entry->d_name + 1, &owner) < 0)
			continue;
		snprintf(path, sizeof(path), "u%u/%s", owner, id);
		if (fstatat(root->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		found = owner;
		count++;
	}
	closedir(dir);
	if (count != 1)
		return count ? -EEXIST : -ENOENT;
	*ret = found;
	return 0;
}

static void
cgroup_each_of_owner(const struct cgroup_root *root, uid_t owner,
		     cgroup_container_fn fn, void *userdata)
{
	struct container_name name = { .owner = owner };
	struct dirent *entry;
	char path[16];
	DIR *dir;

	snprintf(path, sizeof(path), "u%u", owner);
	dir = cgroup_dir(root->fd, path);
	while (dir && (entry = readdir(dir))) {
		fd_auto int leaf = -1;
		size_t size = strlen(entry->d_name);

		if (!cgroup_is_child(entry) || size >= sizeof(name.id) ||
		    !text_is_id(entry->d_name, size))
			continue;
		memcpy(name.id, entry->d_name, size + 1);
		if (cgroup_open(root, &name, &leaf) == 0)
			fn(userdata, &name, leaf);
	}
	if (dir)
		closedir(dir);
}

void
cgroup_each_container(const struct cgroup_root *root, cgroup_container_fn fn,
		      void *userdata)
{
	DIR *dir = cgroup_dir(root->fd, ".");
	struct dirent *entry;
	uid_t owner;

	while (dir && (entry = readdir(dir)))
		if (cgroup_is_child(entry) && entry->d_name[0] == 'u' &&
		    text_parse_u32(entry->d_name + 1, &owner) == 0)
			cgroup_each_of_owner(root, owner, fn, userdata);
	if (dir)
		closedir(dir);
}

/* Remove what lies below a cgroup. Only an admin's payload can make that. */
static int
cgroup_remove_children(int dir_fd, int depth)
{
	fd_auto int child = -1;
	struct dirent *entry;
	int r = 0;
	DIR *dir;

	if (depth > CGROUP_DEPTH_MAX)
		return -ELOOP;
	dir = cgroup_dir(dir_fd, ".");
	if (!dir)
		return -errno;
	while (r == 0 && (entry = readdir(dir))) {
		if (!cgroup_is_child(entry))
			continue;
		if (unlinkat(dir_fd, entry->d_name, AT_REMOVEDIR) == 0)
			continue;
		fd_close(&child);
		r = cgroup_open_at(dir_fd, entry->d_name,
				   O_RDONLY | O_DIRECTORY, &child);
		if (r == 0)
			r = cgroup_remove_children(child, depth + 1);
		if (r == 0 && unlinkat(dir_fd, entry->d_name, AT_REMOVEDIR) < 0)
			r = -errno;
	}
	closedir(dir);
	return r;
}

int
cgroup_remove(const struct cgroup_root *root, const struct container_name *name)
{
	char path[CGROUP_LEAF_MAX];
	fd_auto int leaf = -1;
	int r;

	cgroup_leaf_format(name, path, sizeof(path));
	if (unlinkat(root->fd, path, AT_REMOVEDIR) == 0)
		return 0;
	if (errno != EBUSY)
		return -errno;
	r = cgroup_open(root, name, &leaf);
	if (r < 0)
		return r;
	r = cgroup_remove_children(leaf, 0);
	if (r < 0)
		return r;
	return unlinkat(root->fd, path, AT_REMOVEDIR) < 0 ? -errno : 0;
}

void
cgroup_prune(const struct cgroup_root *root)
{
	struct dirent *entry;
	uid_t owner;
	DIR *dir = cgroup_dir(root->fd, ".");

	while (dir && (entry = readdir(dir)))
		if (cgroup_is_child(entry) && entry->d_name[0] == 'u' &&
		    text_parse_u32(entry->d_name + 1, &owner) == 0)
			/* The kernel refuses it while there is a container. */
			unlinkat(root->fd, entry->d_name, AT_REMOVEDIR);
	if (dir)
		closedir(dir);
}

int
cgroup_kill(int leaf_fd)
{
	fd_auto int fd = -1;
	int r = cgroup_open_at(leaf_fd, "cgroup.kill", O_WRONLY, &fd);

	return r < 0 ? r : fd_write_all(fd, "1", 1);
}

int
cgroup_populated(int leaf_fd, bool *ret)
{
	char text[256];
	ssize_t n = fd_read_file(leaf_fd, "cgroup.events", text, sizeof(text));

	if (n < 0)
		return (int)n;
	*ret = strstr(text, "populated 1") != NULL;
	return 0;
}

static int
cgroup_each_pid_in(int dir_fd, proc_pid_fn fn, void *userdata)
{
	fd_auto int fd = -1;
	int r = cgroup_open_at(dir_fd, "cgroup.procs", O_RDONLY, &fd);

	return r < 0 ? r : proc_each_pid(fd, fn, userdata);
}

static int
cgroup_each_pid_below(int dir_fd, proc_pid_fn fn, void *userdata, int depth)
{
	fd_auto int child = -1;
	struct dirent *entry;
	DIR *dir;
	int r;

	r = cgroup_each_pid_in(dir_fd, fn, userdata);
	/* A threaded cgroup has no list of its own: EOPNOTSUPP. */
	if (r < 0 && r != -EOPNOTSUPP)
		return r;
	if (depth >= CGROUP_DEPTH_MAX)
		return 0;
	dir = cgroup_dir(dir_fd, ".");
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (!cgroup_is_child(entry))
			continue;
		fd_close(&child);
		if (cgroup_open_at(dir_fd, entry->d_name,
				   O_RDONLY | O_DIRECTORY, &child) < 0)
			continue; /* removed meanwhile */
		r = cgroup_each_pid_below(child, fn, userdata, depth + 1);
		if (r < 0)
			break;
	}
	closedir(dir);
	return r == -EOPNOTSUPP ? 0 : r;
}

int
cgroup_each_pid(int leaf_fd, proc_pid_fn fn, void *userdata)
{
	return cgroup_each_pid_below(leaf_fd, fn, userdata, 0);
}
