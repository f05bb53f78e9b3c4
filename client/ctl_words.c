/* SPDX-License-Identifier: Apache-2.0 */
/* Words and quantities of the command line: signals, capabilities, limits. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client/ctl.h"
#include "lib/fd.h"
#include "lib/text.h"
#include "lib/util.h"

/* linux/capability.h, in order. */
static const char *const capabilities[] = {
	"chown",
	"dac_override",
	"dac_read_search",
	"fowner",
	"fsetid",
	"kill",
	"setgid",
	"setuid",
	"setpcap",
	"linux_immutable",
	"net_bind_service",
	"net_broadcast",
	"net_admin",
	"net_raw",
	"ipc_lock",
	"ipc_owner",
	"sys_module",
	"sys_rawio",
	"sys_chroot",
	"sys_ptrace",
	"sys_pacct",
	"sys_admin",
	"sys_boot",
	"sys_nice",
	"sys_resource",
	"sys_time",
	"sys_tty_config",
	"mknod",
	"lease",
	"audit_write",
	"audit_control",
	"setfcap",
	"mac_override",
	"mac_admin",
	"syslog",
	"wake_alarm",
	"block_suspend",
	"audit_read",
	"perfmon",
	"bpf",
	"checkpoint_restore",
};
_Static_assert(ARRAY_SIZE(capabilities) == 41, "up to Linux 6.18");

static const struct {
	const char *name;
	int resource;
} rlimits[] = {
	{ "as", RLIMIT_AS },
	{ "core", RLIMIT_CORE },
	{ "cpu", RLIMIT_CPU },
	{ "data", RLIMIT_DATA },
	{ "fsize", RLIMIT_FSIZE },
	{ "locks", RLIMIT_LOCKS },
	{ "memlock", RLIMIT_MEMLOCK },
	{ "msgqueue", RLIMIT_MSGQUEUE },
	{ "nice", RLIMIT_NICE },
	{ "nofile", RLIMIT_NOFILE },
	{ "nproc", RLIMIT_NPROC },
	{ "rss", RLIMIT_RSS },
	{ "rtprio", RLIMIT_RTPRIO },
	{ "rttime", RLIMIT_RTTIME },
	{ "sigpending", RLIMIT_SIGPENDING },
	{ "stack", RLIMIT_STACK },
};
_Static_assert(ARRAY_SIZE(rlimits) == RLIM_NLIMITS, "every limit");

int
ctl_parse_signal(const char *text, int *ret)
{
	uint64_t number;

	if (text_parse_u64(text, 64, &number) == 0) {
		*ret = (int)number;
		return number >= 1 ? 0 : -EINVAL;
	}
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	for (int sig = 1; sig < 32; sig++) {
		const char *name = sigabbrev_np(sig);

		if (name && strcasecmp(text, name) == 0) {
			*ret = sig;
			return 0;
		}
	}
	if (strncasecmp(text, "RTMIN", 5) == 0) {
		number = 0;
		if (text[5] && (text[5] != '+' ||
				text_parse_u64(text + 6, 30, &number) < 0))
			return -EINVAL;
		*ret = SIGRTMIN + (int)number;
		return *ret <= 64 ? 0 : -EINVAL;
	}
	return -EINVAL;
}

int
ctl_parse_capability(const char *text, int *ret)
{
	uint64_t number;

	if (text_parse_u64(text, 63, &number) == 0) {
		*ret = (int)number;
		return 0;
	}
	if (strncasecmp(text, "cap_", 4) == 0)
		text += 4;
	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++) {
		if (strcasecmp(text, capabilities[i]) == 0) {
			*ret = (int)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *
ctl_capability_name(unsigned int capability)
{
	return capability < ARRAY_SIZE(capabilities) ? capabilities[capability]
						     : NULL;
}

uint64_t
ctl_all_capabilities(void)
{
	char text[16];
	uint64_t last = ARRAY_SIZE(capabilities) - 1;
	ssize_t n = fd_read_file(AT_FDCWD, "/proc/sys/kernel/cap_last_cap",
				 text, sizeof(text));

	if (n > 0) {
		text[strcspn(text, "\n")] = '\0';
		if (text_parse_u64(text, 62, &last) < 0)
			last = ARRAY_SIZE(capabilities) - 1;
	}
	return (UINT64_C(1) << (last + 1)) - 1;
}

static int
parse_limit(const char *text, size_t size, uint64_t *ret)
{
	char buf[24];

	if (size >= sizeof(buf))
		return -EINVAL;
	memcpy(buf, text, size);
	buf[size] = '\0';
	if (strcmp(buf, "unlimited") == 0 || strcmp(buf, "infinity") == 0) {
		*ret = UINT64_MAX;
		return 0;
	}
	return text_parse_u64(buf, UINT64_MAX, ret) < 0 ? -EINVAL : 0;
}

int
ctl_parse_resource(const char *text, size_t size, int *ret)
{
	if (size > 7 && strncasecmp(text, "RLIMIT_", 7) == 0) {
		text += 7;
		size -= 7;
	}
	for (size_t i = 0; i < ARRAY_SIZE(rlimits); i++) {
		if (strlen(rlimits[i].name) == size &&
		    strncasecmp(text, rlimits[i].name, size) == 0) {
			*ret = rlimits[i].resource;
			return 0;
		}
	}
	return -EINVAL;
}

int
ctl_parse_rlimit(const char *text, struct ctl_rlimit *ret)
{
	const char *equals = strchr(text, '='), *colon;
	int r;

	if (!equals || ctl_parse_resource(text, (size_t)(equals - text),
					  &ret->resource) < 0)
		return -EINVAL;
	equals++;
	colon = strchrnul(equals, ':');
	r = parse_limit(equals, (size_t)(colon - equals), &ret->soft);
	if (r < 0)
		return r;
	ret->hard = ret->soft;
	if (!*colon)
		return 0;
	r = parse_limit(colon + 1, strlen(colon + 1), &ret->hard);
	if (r < 0)
		return r;
	return ret->soft <= ret->hard ? 0 : -EINVAL;
}

int
ctl_parse_duration(const char *text, uint64_t *ret_ms)
{
	static const struct {
		const char *suffix;
		double ms;
	} units[] = {
		{ "", 1e3 },  { "ms", 1 },   { "s", 1e3 },
		{ "m", 6e4 }, { "h", 36e5 }, { "d", 864e5 },
	};
	char *end;
	double value;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	value = strtod(text, &end);
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(end, units[i].suffix) != 0)
			continue;
		value *= units[i].ms;
		/* A week is enough for everyone, and fits an int of ms. */
		if (!(value >= 0 && value <= 7 * 864e5))
			return -EINVAL;
		*ret_ms = (uint64_t)(value + 0.5);
		return 0;
	}
	return -EINVAL;
}

bool
ctl_env_passes(const char *assignment)
{
	return *assignment != '=' && strchr(assignment, '=') &&
	       strncmp(assignment, "NSEXEC_FDNAMES=", 15) != 0;
}

bool
ctl_env_sets(const char *const *env, size_t n_env, const char *variable)
{
	const size_t size = strcspn(variable, "=");

	for (size_t i = 0; i < n_env; i++) {
		if (strncmp(env[i], variable, size) == 0 &&
		    (env[i][size] == '=' || !env[i][size]))
			return true;
	}
	return false;
}

int
ctl_absolute_path(const char *path, char **ret)
{
	free_auto char *cwd = NULL;

	if (*path == '/') {
		*ret = strdup(path);
		return *ret ? 0 : -ENOMEM;
	}
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return -errno;
	if (strcmp(path, ".") == 0) {
		*ret = ptr_steal(&cwd);
		return 0;
	}
	return asprintf(ret, "%s/%s", cwd, path) < 0 ? -ENOMEM : 0;
}
