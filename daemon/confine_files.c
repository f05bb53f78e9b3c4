/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Landlock; see confine_files.h. The rows come from traces of whole lives:
 * after its start nsexecd opens nothing else. Sockets are not files here: the
 * spawner's and the journal's are reached by path, which Landlock (up to ABI
 * 8) does not govern, and the mode of the one and the other does.
 */
#include "daemon/confine_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"

/* linux/landlock.h of Debian 12 ends with ABI 2. */
#define CREATE_VERSION 1u
#define RULE_PATH_BENEATH 1
#define FS_EXECUTE (1u << 0)
#define FS_WRITE_FILE (1u << 1)
#define FS_READ_FILE (1u << 2)
#define FS_READ_DIR (1u << 3)
#define FS_REMOVE_FILE (1u << 5)
#define FS_MAKE_REG (1u << 8)
#define FS_TRUNCATE (1u << 14)
#define FS_ABI_1 ((1u << 13) - 1)
#define FS_ABI_2 (FS_ABI_1 | 1u << 13) /* rename between directories */
#define FS_ABI_3 (FS_ABI_2 | FS_TRUNCATE)
#define FS_ABI_5 (FS_ABI_3 | 1u << 15)	 /* ioctl of devices */
#define NET_ALL 3u			 /* ABI 4: bind and connect of TCP */
#define SCOPE_ABSTRACT_SOCKETS (1u << 0) /* ABI 6 */
#define SCOPE_SIGNALS (1u << 1)

struct ruleset {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

struct rule {
	uint64_t fs;
	int32_t fd;
} __attribute__((packed));

static const struct {
	const char *path;
	uint64_t fs;
} readable[] = {
	/* proc_stat: of its containers; features; boot id and own maps */
	{ "/proc", FS_READ_FILE },
	/* server: the descriptor kept for when there are none */
	{ "/dev/null", FS_READ_FILE },
	/* libevent's own random numbers */
	{ "/dev/urandom", FS_READ_FILE },
#ifdef NSX_SANITIZED /* a report names lines of the program */
	{ "/", FS_READ_FILE | FS_READ_DIR },
#endif
};

static const uint64_t records_rights = FS_READ_FILE | FS_READ_DIR |
				       FS_WRITE_FILE | FS_TRUNCATE |
				       FS_MAKE_REG | FS_REMOVE_FILE;

/* What the kernel can refuse, all of it; the size of the struct it knows. */
static size_t
ruleset_for(long abi, struct ruleset *ret)
{
	const char *notify = secure_getenv("NOTIFY_SOCKET");

	*ret = (struct ruleset){ .fs = abi >= 5	  ? FS_ABI_5
				       : abi >= 3 ? FS_ABI_3
				       : abi >= 2 ? FS_ABI_2
						  : FS_ABI_1 };
	if (abi >= 4)
		ret->net = NET_ALL;
	if (abi >= 6)
		ret->scoped = SCOPE_SIGNALS;
	/* A service manager may listen where only this would keep us from. */
	if (abi >= 6 && !(notify && notify[0] == '@'))
		ret->scoped |= SCOPE_ABSTRACT_SOCKETS;
	return abi >= 6	  ? sizeof(*ret)
	       : abi >= 4 ? offsetof(struct ruleset, scoped)
			  : offsetof(struct ruleset, net);
}

static int
allow(int ruleset_fd, const struct ruleset *ruleset, const char *path,
      uint64_t fs)
{
	fd_auto int fd = open(path, O_PATH | O_CLOEXEC);
	struct rule rule = { .fs = fs & ruleset->fs, .fd = fd };

	if (fd < 0)
		return -errno;
	if (syscall(SYS_landlock_add_rule, ruleset_fd, RULE_PATH_BENEATH, &rule,
		    0u) < 0)
		return -errno;
	return 0;
}

static int
allow_all(int ruleset_fd, const struct ruleset *ruleset,
	  const char *records_dir)
{
	size_t i;
	int r;

	if (mkdir(records_dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	r = allow(ruleset_fd, ruleset, records_dir, records_rights);
	for (i = 0; r == 0 && i < ARRAY_SIZE(readable); i++) {
		r = allow(ruleset_fd, ruleset, readable[i].path,
			  readable[i].fs);
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

int
confine_files(const char *records_dir)
{
	fd_auto int fd = -1;
	struct ruleset ruleset;
	size_t size;
	long abi;
	int r;

	abi = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0,
		      CREATE_VERSION);
	if (abi < 1) {
		/* EPERM: a filter that we were started under. */
		return abi == 0 || errno == ENOSYS || errno == EOPNOTSUPP ||
				       errno == EPERM
			       ? -EOPNOTSUPP
			       : -errno;
	}
	size = ruleset_for(abi, &ruleset);
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0u);
	if (fd < 0)
		return -errno;
	r = allow_all(fd, &ruleset, records_dir);
	if (r < 0)
		return r;
	if (syscall(SYS_landlock_restrict_self, fd, 0u) < 0)
		return -errno;
	return 0;
}
