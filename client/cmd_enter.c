/* SPDX-License-Identifier: Apache-2.0 */
/*
 * enter: a program in the namespaces of any process, with nsenter(1)'s letters.
 * It is a Run whose namespaces are joined: what the daemon and the kernel allow
 * is the same as for run --join.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/foreground.h"
#include "client/opts.h"
#include "client/start_opts.h"
#include "lib/fd.h"
#include "lib/text.h"
#include "lib/util.h"

enum {
	KEY_PRESERVE = OPTS_COMMAND_KEYS,
	KEY_NO_FORWARD,
	KEY_TIMEOUT,
	KEY_TARGET_FD,
	KEY_UNSUPPORTED, /* and above */
};

struct enter_opts {
	struct ctl *ctl;
	struct nsexec_spec *spec;
	struct stdio_opts stdio;
	pid_t pid;
	uint64_t pid_inode;
	bool all, preserve, target_env, no_forward;
	bool has_uid, has_gid, follow_uid, follow_gid;
	bool has_cwd;
	uint64_t timeout_ms;
	unsigned int kinds; /* from the target; bit n: enum nsexec_ns n */
	const char *files[NSEXEC_NS_TIME + 1]; /* or from these */
};

#define NS(name, letter, what) \
	{ \
		name, letter, "FILE", OPTION_ARG_OPTIONAL, \
			"Enter the " what " namespace", 5 \
	}

static const struct argp_option options[] = {
	{ "target", 't', "PID[:INODE]", 0, "The process", 5 },
	{ "all", 'a', NULL, 0, "All namespaces that differ from ours", 5 },
	NS("mount", 'm', "mnt"),
	NS("uts", 'u', "uts"),
	NS("ipc", 'i', "ipc"),
	NS("net", 'n', "net"),
	NS("pid", 'p', "pid"),
	NS("cgroup", 'C', "cgroup"),
	NS("user", 'U', "user"),
	NS("time", 'T', "time"),
	{ "setuid", 'S', "UID|follow", 0, "User inside", 5 },
	{ "setgid", 'G', "GID|follow", 0, "Group inside", 5 },
	{ "preserve-credentials", KEY_PRESERVE, NULL, 0,
	  "Keep our ids in a user namespace (default: 0)", 5 },
	{ "wd", 'w', "DIR", OPTION_ARG_OPTIONAL,
	  "Working directory (no DIR: the target's)", 5 },
	{ "env", 'e', NULL, 0, "The target's environment", 5 },
	{ "no-forward", KEY_NO_FORWARD, NULL, 0, "Do not pass signals on", 5 },
	{ "timeout", KEY_TIMEOUT, "TIME", 0,
	  "Kill after this time and exit 124", 5 },
	{ "root", 'r', "DIR", OPTION_ARG_OPTIONAL | OPTION_HIDDEN, NULL, 5 },
	{ "wdns", 'W', "DIR", OPTION_HIDDEN, NULL, 5 },
	{ "net-socket", 'N', "FD", OPTION_HIDDEN, NULL, 5 },
	{ "no-fork", 'F', NULL, OPTION_HIDDEN, NULL, 5 },
	{ "join-cgroup", 'c', NULL, OPTION_HIDDEN, NULL, 5 },
	{ "follow-context", 'Z', NULL, OPTION_HIDDEN, NULL, 5 },
	{ "target-fd", KEY_TARGET_FD, "FD", OPTION_HIDDEN, NULL, 5 },
	{ "keep-caps", KEY_UNSUPPORTED, NULL, OPTION_HIDDEN, NULL, 5 },
	{ "user-parent", KEY_UNSUPPORTED + 1, NULL, OPTION_HIDDEN, NULL, 5 },
	{ 0 },
};

/* nsenter's letters that we know and do not have, with the reason. */
static const struct {
	int key;
	const char *reason;
} refused[] = {
	{ 'r', "-r: the root of the target's mnt namespace comes with -m" },
	{ 'W', "-W: write -w, which is taken inside" },
	{ 'N', "-N: write -n=FILE, or run --join net=fd:N" },
	{ 'F', "-F: the program is always a new process" },
	{ 'c', "-c: every start has a cgroup of its own" },
	{ 'Z', "-Z: SELinux contexts are not in this release" },
	{ KEY_TARGET_FD, "--target-fd is not in this release; write -t" },
	{ KEY_UNSUPPORTED, "--keep-caps is not in this release" },
	{ KEY_UNSUPPORTED + 1, "--user-parent is not in this release" },
};

static const struct {
	int key;
	enum nsexec_ns kind;
} letters[] = {
	{ 'm', NSEXEC_NS_MNT },	 { 'u', NSEXEC_NS_UTS },
	{ 'i', NSEXEC_NS_IPC },	 { 'n', NSEXEC_NS_NET },
	{ 'p', NSEXEC_NS_PID },	 { 'C', NSEXEC_NS_CGROUP },
	{ 'U', NSEXEC_NS_USER }, { 'T', NSEXEC_NS_TIME },
};

static void
on_target(struct argp_state *state, const char *arg)
{
	struct enter_opts *opts = state->input;
	char pid[16] = "";
	const size_t size = strcspn(arg, ":");
	uint64_t number = 0;

	if (size < sizeof(pid))
		memcpy(pid, arg, size);
	if (text_parse_u64(pid, INT32_MAX, &number) < 0 || number == 0 ||
	    (arg[size] &&
	     text_parse_u64(arg + size + 1, UINT64_MAX, &opts->pid_inode) < 0))
		opts_refuse(state, "--target", arg, "write PID or PID:INODE");
	opts->pid = (pid_t)number;
}

/* -m, -m=FILE and -mFILE; --mount=FILE. */
static void
on_namespace(struct argp_state *state, enum nsexec_ns kind, const char *arg)
{
	struct enter_opts *opts = state->input;

	if (!arg) {
		opts->kinds |= 1u << kind;
		return;
	}
	if (*arg == '=')
		arg++;
	if (*arg == ':')
		opts_refuse(state, nsexec_ns_name(kind), arg,
			    "namespace ids are not in this release");
	if (*arg != '/')
		opts_refuse(state, nsexec_ns_name(kind), arg,
			    "write an absolute path");
	opts->files[kind] = arg;
}

static void
on_id(struct argp_state *state, const char *arg, bool group)
{
	struct enter_opts *opts = state->input;
	uint32_t id;

	if (strcmp(arg, "follow") == 0) {
		*(group ? &opts->follow_gid : &opts->follow_uid) = true;
		return;
	}
	if (text_parse_u32(arg, &id) < 0)
		opts_refuse(state, group ? "-G" : "-S", arg,
			    "write a number or follow");
	if (group)
		nsexec_spec_gid(opts->spec, id);
	else
		nsexec_spec_uid(opts->spec, id);
	*(group ? &opts->has_gid : &opts->has_uid) = true;
}

static void
on_cwd(struct argp_state *state, const char *arg)
{
	struct enter_opts *opts = state->input;
	char path[64], target[PATH_MAX];
	ssize_t n;

	opts->has_cwd = true;
	if (arg) {
		nsexec_spec_cwd(opts->spec, *arg == '=' ? arg + 1 : arg);
		return;
	}
	(void)snprintf(path, sizeof(path), "/proc/%d/cwd", opts->pid);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		ctl_option_error(state,
				 "-w: cannot read %s (give -t first): %s", path,
				 strerror(errno));
	target[n] = '\0';
	nsexec_spec_cwd(opts->spec, target);
}

static error_t
on_letter(int key, char *arg, struct argp_state *state)
{
	for (size_t i = 0; i < ARRAY_SIZE(letters); i++) {
		if (letters[i].key == key) {
			on_namespace(state, letters[i].kind, arg);
			return 0;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		if (refused[i].key == key)
			ctl_option_error(state, "%s", refused[i].reason);
	}
	return ARGP_ERR_UNKNOWN;
}

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct enter_opts *opts = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = opts->ctl;
		return 0;
	case 't':
		on_target(state, arg);
		return 0;
	case 'a':
		opts->all = true;
		return 0;
	case 'S':
	case 'G':
		on_id(state, arg, key == 'G');
		return 0;
	case 'w':
		on_cwd(state, arg);
		return 0;
	case 'e':
		opts->target_env = true;
		return 0;
	case KEY_PRESERVE:
		opts->preserve = true;
		return 0;
	case KEY_NO_FORWARD:
		opts->no_forward = true;
		return 0;
	case KEY_TIMEOUT:
		if (ctl_parse_duration(arg, &opts->timeout_ms) < 0)
			opts_refuse(state, "--timeout", arg,
				    "write seconds, or 300ms, 2m, 1h");
		return 0;
	default:
		return on_letter(key, arg, state);
	}
}

/* Joining one's own user namespace is an error of the kernel: leave it out. */
static bool
differs_from_ours(pid_t pid, enum nsexec_ns kind)
{
	char path[64];
	struct stat own, other;

	(void)snprintf(path, sizeof(path), "/proc/self/ns/%s",
		       nsexec_ns_name(kind));
	if (stat(path, &own) < 0)
		return false;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid,
		       nsexec_ns_name(kind));
	/* Not ours to look at: let the daemon decide. */
	if (stat(path, &other) < 0)
		return true;
	return own.st_ino != other.st_ino || own.st_dev != other.st_dev;
}

static int
apply_namespaces(struct enter_opts *opts)
{
	bool from_target = opts->all || opts->kinds;

	if (from_target && !opts->pid)
		return ctl_usage(opts->ctl, "which process? write -t PID");
	for (int i = NSEXEC_NS_USER; i <= NSEXEC_NS_TIME; i++) {
		const enum nsexec_ns kind = (enum nsexec_ns)i;

		if (opts->files[kind])
			nsexec_spec_join_path(opts->spec, kind,
					      opts->files[kind]);
		else if (opts->kinds & (1u << kind) ||
			 (opts->all && differs_from_ours(opts->pid, kind)))
			nsexec_spec_join_pid(opts->spec, kind, opts->pid,
					     opts->pid_inode);
	}
	return 0;
}

/* NUL-separated, as the kernel has it. */
static int
apply_target_env(struct enter_opts *opts)
{
	char path[64];
	free_auto char *text = malloc(2 * 1024 * 1024 + 1);
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/environ", opts->pid);
	if (!text)
		return ctl_report_local(opts->ctl, -ENOMEM, "read", path);
	n = fd_read_file(AT_FDCWD, path, text, 2 * 1024 * 1024 + 1);
	if (n < 0)
		return ctl_report_local(opts->ctl, (int)n, "read", path);
	for (const char *p = text; p < text + n; p += strlen(p) + 1) {
		if (ctl_env_passes(p))
			nsexec_spec_env(opts->spec, p);
	}
	return 0;
}

static int
apply_ids(struct enter_opts *opts)
{
	char path[64];
	struct stat st;

	if (opts->follow_uid || opts->follow_gid) {
		(void)snprintf(path, sizeof(path), "/proc/%d", opts->pid);
		if (stat(path, &st) < 0)
			return ctl_report_local(opts->ctl, -errno, "look at",
						path);
		if (opts->follow_uid)
			nsexec_spec_uid(opts->spec, st.st_uid);
		if (opts->follow_gid)
			nsexec_spec_gid(opts->spec, st.st_gid);
	}
	if (opts->preserve && !opts->has_uid && !opts->follow_uid)
		nsexec_spec_uid(opts->spec, geteuid());
	if (opts->preserve && !opts->has_gid && !opts->follow_gid)
		nsexec_spec_gid(opts->spec, getegid());
	return 0;
}

static int
apply(struct enter_opts *opts)
{
	int status = apply_namespaces(opts);

	if (!status)
		status = apply_ids(opts);
	if (!status && opts->target_env) {
		status = apply_target_env(opts);
	} else if (!status) {
		for (char **p = environ; *p; p++) {
			if (ctl_env_passes(*p))
				nsexec_spec_env(opts->spec, *p);
		}
	}
	return status;
}

static int
run(struct enter_opts *opts)
{
	struct foreground foreground = { .ctl = opts->ctl,
					 .spec = opts->spec,
					 .forward = !opts->no_forward,
					 .timeout_ms = opts->timeout_ms };
	struct nsexec_call *call = NULL;
	struct nsexec_exit exit_info;
	char id[FOREGROUND_ID_MAX];
	int status = stdio_opts_apply(opts->ctl, &opts->stdio, true), r;

	if (!status)
		status = ctl_connect(opts->ctl);
	if (status)
		return status;
	r = foreground_init(&foreground);
	if (r >= 0)
		r = nsexec_key_new(foreground.key);
	if (r < 0)
		return ctl_report_local(opts->ctl, r, "set up", "signals");
	nsexec_spec_id(opts->spec, foreground_key_text(&foreground, id));
	status = foreground_start(&foreground);
	if (!status)
		status = foreground_wait(&foreground, &exit_info);
	/* Nameless: nobody needs the answer (see cmd_run.c). */
	if ((foreground.id || foreground.failed_late) &&
	    nsexec_call_delete(opts->ctl->nsexec, id, false, &call) >= 0)
		nsexec_call_free(call);
	foreground_deinit(&foreground);
	return status ? status : ctl_exit_status(&exit_info);
}

static const struct argp_child enter_children[] = {
	{ &ctl_argp, 0, "Common:", 90 },
	{ 0 },
};

const struct argp enter_argp = {
	.options = options,
	.parser = on_option,
	.args_doc = "[COMMAND [ARG...]]",
	.doc = "Run a program ($SHELL, else /bin/sh) in the namespaces "
	       "of a process. Exit status as of run.",
	.children = enter_children,
};

/* The line as a spec, but for the streams. The caller deinits in any case. */
static int
parse(struct enter_opts *opts, struct ctl *ctl, int argc, char **argv)
{
	struct ctl_line line = { argc, argv, true, 0 };
	const char *shell = getenv("SHELL");
	int r;

	opts->ctl = opts->stdio.ctl = ctl;
	r = nsexec_spec_new(&opts->spec);
	if (r < 0)
		return ctl_report_local(ctl, r, "build", "the request");
	opts->stdio.spec = opts->spec;
	ctl_parse(ctl, &enter_argp, &line, opts);
	for (int i = line.index; i < argc; i++)
		nsexec_spec_arg(opts->spec, argv[i]);
	if (line.index >= argc)
		nsexec_spec_arg(opts->spec,
				shell && *shell ? shell : "/bin/sh");
	return apply(opts);
}

static void
enter_opts_deinit(struct enter_opts *opts)
{
	opts->spec = nsexec_spec_free(opts->spec);
	stdio_opts_deinit(&opts->stdio);
}

int
cmd_enter(struct ctl *ctl, int argc, char **argv)
{
	struct enter_opts opts = { .pid = 0 };
	int status = parse(&opts, ctl, argc, argv);

	if (!status)
		status = run(&opts);
	enter_opts_deinit(&opts);
	return status;
}

int
explain_enter(struct ctl *ctl, int argc, char **argv)
{
	struct enter_opts opts = { .pid = 0 };
	int status = parse(&opts, ctl, argc, argv);

	if (!status)
		status = ctl_connect(ctl);
	if (!status)
		status = explain_print(ctl, opts.spec);
	enter_opts_deinit(&opts);
	return status;
}
