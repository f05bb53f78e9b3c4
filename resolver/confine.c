/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The drop. The spawner has already given this process a uid of its own, no
 * groups and an empty environment; everything here holds whoever started it.
 * See confine.h.
 */
#include "resolver/confine.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/sys.h"
#include "lib/util.h"

#define SECONDS_MAX 30 /* of the clock: a directory service may not answer */

static const struct {
	unsigned int resource; /* an enum in glibc */
	rlim_t limit;
} limits[] = {
	{ RLIMIT_CORE, 0 },	   { RLIMIT_CPU, 10 },
	{ RLIMIT_FSIZE, 1 << 20 }, { RLIMIT_NOFILE, 64 },
	{ RLIMIT_MEMLOCK, 0 },
#ifndef NSX_SANITIZED /* terabytes of shadow memory; the leak check's task */
	{ RLIMIT_AS, 512 << 20 },  { RLIMIT_NPROC, 0 },
#endif
};

static int
confine_fds(void)
{
	int fd, r;

	if (fcntl(RESOLVER_OUTPUT_FD, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	r = sys_close_range(RESOLVER_OUTPUT_FD + 1, ~0u, 0);
	if (r < 0)
		return r;
	/* or a file opened later would be a standard stream */
	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return -errno;
	} while (fd < RESOLVER_OUTPUT_FD);
	close(fd);
	return 0;
}

static int
confine_limits(void)
{
	struct rlimit now;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		if (getrlimit(limits[i].resource, &now) < 0)
			return -errno;
		if (now.rlim_max > limits[i].limit)
			now.rlim_max = limits[i].limit;
		if (now.rlim_cur > now.rlim_max)
			now.rlim_cur = now.rlim_max;
		if (setrlimit(limits[i].resource, &now) < 0)
			return -errno;
	}
	alarm(SECONDS_MAX);
	return 0;
}

static int
confine_privileges(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct none[2] = { 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	if (syscall(SYS_capset, &header, none) < 0)
		return -errno;
#ifndef NSX_SANITIZED /* whose leak check traces its own process */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
#endif
	return 0;
}

int
confine_self(const char **ret_step)
{
	int r;

	*ret_step = "output";
	r = confine_fds();
	if (r < 0)
		return r;
	*ret_step = "privileges";
	r = confine_privileges();
	if (r < 0)
		return r;
	*ret_step = "limits";
	r = confine_limits();
	if (r < 0)
		return r;
	*ret_step = "surroundings";
	if (clearenv() != 0 || chdir("/") < 0 ||
	    signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -EIO;
	umask(077);
	return 0;
}
