/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options that belong to nsexecctl but wait for something in the daemon. They
 * are refused by name: an option that is silently dropped is a promise broken.
 * Hidden from --help; doc is what the option waits for.
 */
#include "config.h"

#include <stdlib.h>

#include "client/opts.h"
#include "lib/util.h"

#define LATER(n, name, arg, what) \
	{ \
		name, OPTS_LATER_KEYS + (n), arg, OPTION_HIDDEN, what, 0 \
	}

static const struct argp_option options[] = {
	LATER(0, "tty", NULL, "a terminal"),
	LATER(1, "console-socket", "PATH", "a terminal"),
	LATER(2, "detach-keys", "KEYS", "a terminal"),
	LATER(3, "seccomp", "FD|FILE", "seccomp filters"),
	LATER(4, "process-label", "LABEL", "SELinux labels"),
	LATER(5, "apparmor", "PROFILE", "AppArmor profiles"),
	LATER(6, "cpu-affinity", "CPUS", "CPU affinity"),
	LATER(7, "ioprio", "CLASS:N", "I/O priorities"),
	LATER(8, "join-cgroup", "PATH", "joining cgroups"),
	LATER(9, "owner", "UID:GID", "user namespaces owned by another user"),
	LATER(10, "keep-caps", NULL,
	      "keeping capabilities (use --ambient all)"),
	LATER(11, "wd-outside", "DIR", "a working directory outside"),
	LATER(12, "block-fd", "N",
	      "a blocking descriptor (use create and start)"),
	LATER(13, "init", NULL, "an init of its own"),
	LATER(14, "memory", "BYTES", "cgroup limits"),
	LATER(15, "pids-limit", "N", "cgroup limits"),
	LATER(16, "cpu-quota", "US", "cgroup limits"),
	{ NULL, 't', NULL, OPTION_HIDDEN, NULL, 0 },
	{ 0 },
};

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	/* -t is the first row's letter. */
	if (key == 't')
		key = OPTS_LATER_KEYS;
	for (size_t i = 0; options[i].name; i++) {
		if (options[i].key == key)
			ctl_option_error(
				state,
				"--%s needs %s, which this release does "
				"not have",
				options[i].name, options[i].doc);
	}
	return ARGP_ERR_UNKNOWN;
}

const struct argp later_argp = { .options = options, .parser = on_option };
