/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes of kernel features; see features.h. Each row is a name and a function
 * that tries the thing on ourselves and leaves nothing behind.
 */
#include "daemon/features.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "daemon/config.h"
#include "lib/fd.h"
#include "lib/sys.h"
#include "lib/util.h"
#include "proto/nsplan.h"
#include "proto/who.h"

#define PIDFS_MAGIC 0x50494446
#define MFD_EXEC_FLAG 0x0010u /* linux/memfd.h of Linux 6.3 */

static bool
namespace_present(const char *name)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	return access(path, F_OK) == 0;
}

static bool
probe_pidfs(char *detail)
{
	fd_auto int fd = sys_pidfd_open(getpid());
	struct statfs st;

	return fd >= 0 && fstatfs(fd, &st) == 0 && st.f_type == PIDFS_MAGIC;
}

static bool
probe_pidfd_info(char *detail)
{
	struct sys_pidfd_info info = { .mask = SYS_PIDFD_INFO_EXIT };
	fd_auto int fd = sys_pidfd_open(getpid());

	return fd >= 0 && ioctl(fd, SYS_PIDFD_GET_INFO, &info) == 0;
}

static bool
probe_peerpidfd(char *detail)
{
	fd_auto int a = -1;
	fd_auto int b = -1;
	fd_auto int peer = -1;
	socklen_t size = sizeof(peer);
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return false;
	a = fds[0];
	b = fds[1];
	return getsockopt(a, SOL_SOCKET, SO_PEERPIDFD, &peer, &size) == 0;
}

static bool
probe_memfd_exec(char *detail)
{
	fd_auto int fd = memfd_create("probe", MFD_CLOEXEC | MFD_EXEC_FLAG);

	return fd >= 0;
}

static bool
probe_cgroup2(char *detail)
{
	static const char *const places[] = { "/sys/fs/cgroup",
					      "/sys/fs/cgroup/unified" };
	struct statfs st;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		/* CGROUP2_SUPER_MAGIC */
		if (statfs(places[i], &st) < 0 || st.f_type != 0x63677270)
			continue;
		snprintf(detail, FEATURE_DETAIL_MAX, "%s", places[i]);
		return true;
	}
	return false;
}

static bool
probe_mount_api(char *detail)
{
	return syscall(SYS_mount_setattr, -1, NULL, 0u, NULL, (size_t)0) < 0 &&
	       errno != ENOSYS;
}

static bool
probe_userns(char *detail)
{
	char text[32];
	ssize_t size =
		fd_read_file(AT_FDCWD, "/proc/sys/user/max_user_namespaces",
			     text, sizeof(text));

	if (size <= 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	snprintf(detail, FEATURE_DETAIL_MAX, "at most %.20s", text);
	return strcmp(text, "0") != 0;
}

/* What confine_files() stands on. */
static bool
probe_landlock(char *detail)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, 1u);

	if (abi < 1)
		return false;
	snprintf(detail, FEATURE_DETAIL_MAX, "version %ld", abi);
	return true;
}

static bool
probe_open_files(char *detail)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return false;
	snprintf(detail, FEATURE_DETAIL_MAX, "%llu descriptors",
		 (unsigned long long)limit.rlim_cur);
	return true;
}

static const struct {
	const char *name;
	bool (*probe)(char *detail);
} probes[] = {
	{ "mount_setattr", probe_mount_api }, { "cgroup2", probe_cgroup2 },
	{ "user-namespaces", probe_userns },  { "pidfs", probe_pidfs },
	{ "pidfd-info", probe_pidfd_info },   { "peer-pidfd", probe_peerpidfd },
	{ "memfd-exec", probe_memfd_exec },   { "landlock", probe_landlock },
	{ "open-files", probe_open_files },
};

/* What a caller gets here, whatever the kernel could do. */
static size_t
features_of_instance(const struct config *config, uint32_t bounds,
		     struct feature *features, size_t max)
{
	const struct feature rows[] = {
		{ "rootless", config->rootless, "" },
		{ "other-users", !config->rootless, "" },
		{ "container-cgroups", !config->no_cgroups, "" },
		{ "delegated-ids-without-uidmap", !config->rootless, "" },
		{ "quota-tasks", bounds & WHO_BOUND_TASKS, "" },
		{ "quota-memory", bounds & WHO_BOUND_MEMORY, "" },
	};
	size_t n;

	for (n = 0; n < ARRAY_SIZE(rows) && n < max; n++)
		features[n] = rows[n];
	if (config->no_cgroups && n > 2)
		snprintf(features[2].detail, FEATURE_DETAIL_MAX,
			 "none delegated: a container is a process tree");
	if (config->rootless && n > 3)
		snprintf(features[3].detail, FEATURE_DETAIL_MAX,
			 "newuidmap and newgidmap write those maps");
	return n;
}

size_t
features_probe(const struct config *config, uint32_t bounds,
	       struct feature *features, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < N_NS_KINDS && n < max; i++, n++) {
		static const char *const names[N_NS_KINDS] = {
			"namespace-user",   "namespace-ipc",  "namespace-uts",
			"namespace-net",    "namespace-pid",  "namespace-mnt",
			"namespace-cgroup", "namespace-time",
		};

		features[n].name = names[i];
		features[n].detail[0] = '\0';
		features[n].present = namespace_present(ns_kinds[i].name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(probes) && n < max; i++, n++) {
		features[n].name = probes[i].name;
		features[n].detail[0] = '\0';
		features[n].present = probes[i].probe(features[n].detail);
	}
	return n + features_of_instance(config, bounds, features + n, max - n);
}
