/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line; see options.h. Options win over the file, so they are kept
 * until the file has been read.
 */
#include "daemon/options.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/notify.h"
#include "lib/util.h"
#include <config.h>

#define SYSTEM_CONFIG "/etc/nsexecd/nsexecd.conf"

enum option_key {
	OPTION_RUN_DIR = 256,
	OPTION_DETACH,
	OPTION_CGROUP_ROOT,
	OPTION_POLICY_DIR,
	OPTION_CONFIG,
	OPTION_LOG_LEVEL,
	OPTION_WORKER,
	OPTION_VERSION,
	OPTION_CHECK,
	OPTION_SYSTEM,
	OPTION_ROOTLESS,
	OPTION_NO_CGROUPS,
};

static const struct argp_option table[] = {
	{ "run-dir", OPTION_RUN_DIR, "DIR", 0,
	  "A private instance with its sockets in DIR", 0 },
	{ "detach", OPTION_DETACH, NULL, 0,
	  "Return when the private instance is ready", 0 },
	{ "cgroup-root", OPTION_CGROUP_ROOT, "PATH", 0,
	  "The cgroup v2 directory below which containers get theirs", 0 },
	{ "policy-dir", OPTION_POLICY_DIR, "DIR", 0,
	  "A private instance's policy (default: none)", 0 },
	{ "config", OPTION_CONFIG, "FILE", 0,
	  "Read FILE instead of the default configuration", 0 },
	{ "log-level", OPTION_LOG_LEVEL, "LEVEL", 0,
	  "error, warning, notice (the default), info or debug", 0 },
	{ "system", OPTION_SYSTEM, NULL, 0,
	  "The system's instance in /run/nsexecd, started by systemd", 0 },
	{ "check", OPTION_CHECK, NULL, 0,
	  "Read options and configuration, say what is wrong, and end", 0 },
	{ "version", OPTION_VERSION, NULL, 0, "Print the version", 0 },
	{ "worker", OPTION_WORKER, NULL, OPTION_HIDDEN,
	  "The unprivileged process of a private instance", 0 },
	{ "rootless", OPTION_ROOTLESS, NULL, OPTION_HIDDEN,
	  "With --worker: the spawner is an ordinary user", 0 },
	{ "no-cgroups", OPTION_NO_CGROUPS, NULL, OPTION_HIDDEN,
	  "With --worker: the spawner may make no cgroups", 0 },
	{ 0 },
};

static const char doc[] =
	"Start processes in Linux namespaces for programs that ask over a "
	"socket.\v"
	"By hand: nsexecd --run-dir DIR. It stays in the foreground; "
	"INT or TERM ends it cleanly and containers go on. Started again on a "
	"DIR that lives, it joins it. Under systemd: nsexecd.socket and "
	"nsexecd.service.";

/* What the command line said; texts are borrowed from argv. */
struct options {
	const char *run_dir, *cgroup_root, *policy_dir, *config, *log_level;
	bool detach, worker, check, version, system, rootless, no_cgroups;
};

static error_t
options_parse_one(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case OPTION_RUN_DIR:
		options->run_dir = arg;
		return 0;
	case OPTION_DETACH:
		options->detach = true;
		return 0;
	case OPTION_CGROUP_ROOT:
		options->cgroup_root = arg;
		return 0;
	case OPTION_POLICY_DIR:
		options->policy_dir = arg;
		return 0;
	case OPTION_CONFIG:
		options->config = arg;
		return 0;
	case OPTION_LOG_LEVEL:
		options->log_level = arg;
		return 0;
	case OPTION_WORKER:
		options->worker = true;
		return 0;
	case OPTION_CHECK:
		options->check = true;
		return 0;
	case OPTION_VERSION:
		options->version = true;
		return 0;
	case OPTION_SYSTEM:
		options->system = true;
		return 0;
	case OPTION_ROOTLESS:
		options->rootless = true;
		return 0;
	case OPTION_NO_CGROUPS:
		options->no_cgroups = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"", arg);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int
options_check(const struct options *options)
{
	const char *wrong = NULL;

	if (options->system && options->run_dir)
		wrong = "--system and --run-dir exclude each other";
	else if (options->worker && !options->run_dir)
		wrong = "--worker is for nsexec-spawner, with --run-dir";
	else if (options->detach && !options->run_dir)
		wrong = "--detach is for a private instance: give --run-dir";
	else if (!options->run_dir && !options->system &&
		 !notify_has_listeners())
		wrong = "nothing to serve: give --run-dir DIR for a private "
			"instance, or start nsexecd.socket (systemd)";
	else if (options->cgroup_root && options->cgroup_root[0] != '/')
		wrong = "--cgroup-root: want an absolute path";
	else if (options->policy_dir &&
		 (!options->run_dir || options->policy_dir[0] != '/'))
		wrong = "--policy-dir: want an absolute path, and --run-dir";
	if (!wrong)
		return 0;
	fprintf(stderr, "nsexecd: %s; see nsexecd --help\n", wrong);
	return -EINVAL;
}

/* The file that is read: named, or the instance's own, which may be missing. */
static int
options_read_file(struct config *config, const struct options *options)
{
	char error_text[CONFIG_ERROR_MAX];
	free_auto char *own = NULL;
	const char *path = options->config;
	int r;

	if (!path && options->run_dir) {
		if (asprintf(&own, "%s/nsexecd.conf", config->run_dir) < 0)
			return -ENOMEM;
		path = own;
	}
	if (!path)
		path = SYSTEM_CONFIG;
	if (!options->config && access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	r = config_read(config, path, error_text);
	if (r < 0)
		fprintf(stderr, "nsexecd: %s\n", error_text);
	return r;
}

static int
options_apply(struct config *config, const struct options *options)
{
	char *copy;

	config->worker = options->worker;
	config->detach = options->detach;
	config->system = !options->run_dir;
	config->rootless = options->rootless;
	config->no_cgroups = options->no_cgroups;
	if (options->log_level &&
	    log_level_parse(options->log_level, &config->log_level) < 0) {
		fprintf(stderr,
			"nsexecd: --log-level: want error, warning, notice, "
			"info or debug\n");
		return -EINVAL;
	}
	if (options->cgroup_root) {
		copy = strdup(options->cgroup_root);
		if (!copy)
			return -ENOMEM;
		free(config->cgroup_root);
		config->cgroup_root = copy;
	}
	if (options->policy_dir) {
		config->policy_dir = strdup(options->policy_dir);
		if (!config->policy_dir)
			return -ENOMEM;
	}
	return 0;
}

int
options_read(struct config *config, int argc, char **argv)
{
	const struct argp argp = {
		table, options_parse_one, NULL, doc, NULL, NULL, NULL
	};
	struct options options = { 0 };
	int r;

	argp_err_exit_status = 2;
	if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
		return -EINVAL;
	if (options.version) {
		puts(PACKAGE_STRING);
		return OPTIONS_DONE;
	}
	r = options_check(&options);
	if (r < 0)
		return r;
	r = config_set_run_dir(config, options.run_dir);
	if (r < 0) {
		fprintf(stderr, "nsexecd: --run-dir: %s\n",
			r == -EINVAL ? "the path is too long for a socket"
				     : "out of memory");
		return r;
	}
	r = options_read_file(config, &options);
	if (r == 0)
		r = options_apply(config, &options);
	return r == 0 && options.check ? OPTIONS_DONE : r;
}
