/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which uid the worker gets: the user nsexecd where there is one, else a free
 * number of systemd's dynamic range. An instance keeps its number: records and
 * gates are that uid's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/launcher_part.h"
#include "lib/text.h"
#include "lib/util.h"

#define LAUNCHER_USER "nsexecd"
#define LAUNCHER_UID_FIRST 61184
#define LAUNCHER_UID_LAST 65499 /* resolvers' begin there */

/* Mark the numbers of the range that some process runs under. */
static int
launcher_mark_processes(bool *used)
{
	struct dirent *entry;
	struct stat st;
	uint32_t pid;
	DIR *proc;

	proc = opendir("/proc");
	if (!proc)
		return -errno;
	while ((entry = readdir(proc))) {
		if (text_parse_u32(entry->d_name, &pid) < 0 ||
		    fstatat(dirfd(proc), entry->d_name, &st, 0) < 0)
			continue;
		if (st.st_uid >= LAUNCHER_UID_FIRST &&
		    st.st_uid <= LAUNCHER_UID_LAST)
			used[st.st_uid - LAUNCHER_UID_FIRST] = true;
	}
	closedir(proc);
	return 0;
}

/*
 * A free one. Started from the directory's inode, so that two instances that
 * start at the same time hardly choose the same.
 */
static int
launcher_free_uid(const struct stat *dir, uid_t *ret)
{
	const uint32_t n = LAUNCHER_UID_LAST - LAUNCHER_UID_FIRST + 1;
	free_auto bool *used = calloc(n, sizeof(*used));
	uint32_t i, at;
	int r;

	if (!used)
		return -ENOMEM;
	r = launcher_mark_processes(used);
	if (r < 0)
		return r;
	for (i = 0; i < n; i++) {
		at = (uint32_t)((dir->st_ino + i) % n);
		if (used[at] || getpwuid(LAUNCHER_UID_FIRST + at) ||
		    getgrgid(LAUNCHER_UID_FIRST + at))
			continue;
		*ret = LAUNCHER_UID_FIRST + at;
		return 0;
	}
	return -EAGAIN;
}

int
launcher_choose_user(int dir_fd, uid_t *ret_uid, gid_t *ret_gid)
{
	const struct passwd *user;
	struct stat st;
	int r;

	/* An instance that was here before. Its parent is root's alone. */
	if (fstatat(dir_fd, "records", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(st.st_mode) && st.st_uid != 0) {
		*ret_uid = st.st_uid;
		*ret_gid = st.st_gid;
		return 0;
	}
	user = getpwnam(LAUNCHER_USER);
	if (user && user->pw_uid != 0) {
		*ret_uid = user->pw_uid;
		*ret_gid = user->pw_gid;
		return 0;
	}
	if (fstat(dir_fd, &st) < 0)
		return -errno;
	r = launcher_free_uid(&st, ret_uid);
	if (r < 0)
		return r;
	*ret_gid = *ret_uid;
	return 0;
}

void
launcher_find_tool(const char *name, char ret[PATH_MAX])
{
	const char *path = getenv("PATH"), *end;

	if (!path || !*path)
		path = "/usr/bin:/bin";
	for (; *path; path = *end ? end + 1 : end) {
		end = strchrnul(path, ':');
		if (*path != '/' ||
		    snprintf(ret, PATH_MAX, "%.*s/%s", (int)(end - path), path,
			     name) >= PATH_MAX)
			continue;
		if (access(ret, X_OK) == 0)
			return;
	}
	ret[0] = '\0';
}
