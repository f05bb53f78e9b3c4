/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --new, --join, --share, names and clocks. One kind has one source: a kind
 * that is named by two of the three is refused.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/opts.h"
#include "lib/text.h"
#include "lib/util.h"

enum {
	KEY_NEW = OPTS_NS_KEYS,
	KEY_JOIN,
	KEY_SHARE,
	KEY_HOSTNAME,
	KEY_DOMAINNAME,
	KEY_MONOTONIC,
	KEY_BOOTTIME,
	KEY_NO_LOOPBACK,
	KEY_KILL_CHILD,
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "Namespaces:", 10 },
	{ "new", KEY_NEW, "KIND,...|all", 0,
	  "Create these: user, ipc, uts, net, pid, mnt, cgroup, time", 10 },
	{ "join", KEY_JOIN, "KIND=SOURCE", 0,
	  "Join one: path:/FILE, pid:PID[:INODE] or fd:N; repeatable", 10 },
	{ "share", KEY_SHARE, "KIND,...", 0,
	  "Say that these stay the daemon's own (the default)", 10 },
	{ "hostname", KEY_HOSTNAME, "NAME", 0, "Of a new uts namespace", 10 },
	{ "domainname", KEY_DOMAINNAME, "NAME", 0, "Of a new uts namespace",
	  10 },
	{ "monotonic", KEY_MONOTONIC, "SECONDS", 0,
	  "Offset of CLOCK_MONOTONIC in a new time namespace", 10 },
	{ "boottime", KEY_BOOTTIME, "SECONDS", 0,
	  "Offset of CLOCK_BOOTTIME in a new time namespace", 10 },
	{ "no-loopback", KEY_NO_LOOPBACK, NULL, 0,
	  "Leave lo of a new net namespace down", 10 },
	{ "kill-child", KEY_KILL_CHILD, "SIGNAL", OPTION_ARG_OPTIONAL,
	  "Signal for the program when the spawner dies (default: KILL)", 10 },
	{ 0 },
};

void
opts_refuse(struct argp_state *state, const char *option, const char *arg,
	    const char *why)
{
	const struct ctl *ctl = *(struct ctl *const *)state->input;
	struct ctl_complaint complaint;

	(void)snprintf(complaint.object, sizeof(complaint.object), "%s %s",
		       option, arg);
	(void)snprintf(complaint.rule, sizeof(complaint.rule), "%s", why);
	exit(ctl_usage_option(ctl, &complaint));
}

/* Bits 1 to 8. */
#define ALL_KINDS 0x1feu

static unsigned int
bit(enum nsexec_ns kind)
{
	return 1u << kind;
}

/* One source per kind. */
static void
claim(struct argp_state *state, enum nsexec_ns kind, unsigned int *mask)
{
	struct ns_opts *opts = state->input;
	const unsigned int other =
		(opts->created | opts->joined | opts->shared) & ~*mask;

	if (other & bit(kind))
		ctl_option_error(state,
				 "namespace %s is named twice: one of --new, "
				 "--join and --share",
				 nsexec_ns_name(kind));
	if (mask == &opts->joined && (*mask & bit(kind)))
		ctl_option_error(state, "namespace %s is joined twice",
				 nsexec_ns_name(kind));
	*mask |= bit(kind);
}

static enum nsexec_ns
parse_kind(struct argp_state *state, const char *text, size_t size)
{
	char name[16] = "";
	enum nsexec_ns kind = 0;

	if (size < sizeof(name)) {
		memcpy(name, text, size);
		kind = nsexec_ns_parse(name);
	}
	if (!kind)
		ctl_option_error(state,
				 "\"%.*s\" is no namespace: user, ipc, uts, "
				 "net, pid, mnt, cgroup, time",
				 (int)size, text);
	return kind;
}

static void
parse_kinds(struct argp_state *state, const char *text, unsigned int *mask)
{
	struct ns_opts *opts = state->input;

	for (;;) {
		size_t size = strcspn(text, ",");

		if (size == 3 && memcmp(text, "all", 3) == 0 &&
		    mask == &opts->created)
			opts->create_rest = true;
		else
			claim(state, parse_kind(state, text, size), mask);
		if (!text[size])
			return;
		text += size + 1;
	}
}

/* "PID" or "PID:INODE". */
static bool
parse_pid(const char *text, pid_t *ret_pid, uint64_t *ret_inode)
{
	char buf[16];
	size_t size = strcspn(text, ":");
	uint64_t pid;

	if (size >= sizeof(buf))
		return false;
	memcpy(buf, text, size);
	buf[size] = '\0';
	if (text_parse_u64(buf, INT32_MAX, &pid) < 0 || pid == 0)
		return false;
	*ret_pid = (pid_t)pid;
	*ret_inode = 0;
	return !text[size] ||
	       text_parse_u64(text + size + 1, UINT64_MAX, ret_inode) == 0;
}

static void
on_join(struct argp_state *state, const char *arg)
{
	struct ns_opts *opts = state->input;
	const size_t size = strcspn(arg, "=");
	const char *source = arg[size] ? arg + size + 1 : "";
	enum nsexec_ns kind = parse_kind(state, arg, size);
	uint64_t number;
	pid_t pid;

	claim(state, kind, &opts->joined);
	if (strncmp(source, "path:", 5) == 0 && source[5] == '/')
		nsexec_spec_join_path(opts->spec, kind, source + 5);
	else if (strncmp(source, "pid:", 4) == 0 &&
		 parse_pid(source + 4, &pid, &number))
		nsexec_spec_join_pid(opts->spec, kind, pid, number);
	else if (strncmp(source, "fd:", 3) == 0 &&
		 text_parse_u64(source + 3, INT32_MAX, &number) == 0)
		nsexec_spec_join_fd(opts->spec, kind, (int)number);
	else if (strncmp(source, "id:", 3) == 0 ||
		 strncmp(source, "name:", 5) == 0)
		opts_refuse(state, "--join", arg,
			    "joining by id: or name: needs pinned "
			    "namespaces, which this release does not have");
	else
		opts_refuse(state, "--join", arg,
			    "write KIND=path:/FILE, KIND=pid:PID[:INODE] or "
			    "KIND=fd:N");
}

/* Seconds with up to nine decimals, perhaps negative. */
static void
on_offset(struct argp_state *state, const char *option, const char *arg,
	  void (*set)(struct nsexec_spec *spec, int64_t seconds,
		      uint32_t nanoseconds))
{
	struct ns_opts *opts = state->input;
	char whole[24];
	const size_t size = strcspn(arg, ".");
	uint32_t nanoseconds = 0, scale = 100000000;
	int64_t seconds;

	if (size >= sizeof(whole))
		opts_refuse(state, option, arg, "too long");
	memcpy(whole, arg, size);
	whole[size] = '\0';
	if (text_parse_i64(whole, -INT64_C(9000000000), INT64_C(9000000000),
			   &seconds) < 0)
		opts_refuse(state, option, arg, "is no number of seconds");
	for (const char *p = arg[size] ? arg + size + 1 : ""; *p; p++) {
		if (*p < '0' || *p > '9' || scale == 0)
			opts_refuse(state, option, arg,
				    "is no number of seconds");
		nanoseconds += (uint32_t)(*p - '0') * scale;
		scale /= 10;
	}
	/* -1.5 s is -2 s and 500,000,000 ns: nanoseconds count upwards. */
	if (*arg == '-' && nanoseconds) {
		seconds--;
		nanoseconds = 1000000000u - nanoseconds;
	}
	set(opts->spec, seconds, nanoseconds);
}

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct ns_opts *opts = state->input;
	int sig = 9;

	switch (key) {
	case KEY_NEW:
		parse_kinds(state, arg, &opts->created);
		return 0;
	case KEY_SHARE:
		parse_kinds(state, arg, &opts->shared);
		return 0;
	case KEY_JOIN:
		on_join(state, arg);
		return 0;
	case KEY_HOSTNAME:
		nsexec_spec_hostname(opts->spec, arg);
		return 0;
	case KEY_DOMAINNAME:
		nsexec_spec_domainname(opts->spec, arg);
		return 0;
	case KEY_MONOTONIC:
		on_offset(state, "--monotonic", arg, nsexec_spec_monotonic);
		return 0;
	case KEY_BOOTTIME:
		on_offset(state, "--boottime", arg, nsexec_spec_boottime);
		return 0;
	case KEY_NO_LOOPBACK:
		nsexec_spec_loopback(opts->spec, false);
		return 0;
	case KEY_KILL_CHILD:
		if (arg && ctl_parse_signal(arg, &sig) < 0)
			opts_refuse(state, "--kill-child", arg, "is no signal");
		nsexec_spec_parent_death_signal(opts->spec, sig);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp ns_argp = { .options = options, .parser = on_option };

/* An option that needs a namespace of its own brings it. */
static int
bring(const struct ctl *ctl, struct ns_opts *opts, enum nsexec_ns kind,
      const char *why)
{
	if (opts->shared & bit(kind) ||
	    (opts->joined & bit(kind) && kind == NSEXEC_NS_USER))
		return ctl_usage(ctl,
				 "%s needs --new %s, and that namespace "
				 "is %s",
				 why, nsexec_ns_name(kind),
				 opts->shared & bit(kind) ? "shared"
							  : "joined");
	if (!(opts->joined & bit(kind)))
		opts->created |= bit(kind);
	return 0;
}

int
ns_opts_apply(const struct ctl *ctl, struct ns_opts *opts)
{
	int status = 0;

	if (opts->create_rest)
		opts->created |= ALL_KINDS & ~(opts->joined | opts->shared);
	if (opts->needs_user)
		status = bring(ctl, opts, NSEXEC_NS_USER, opts->needs_user_why);
	if (!status && opts->needs_mnt)
		status = bring(ctl, opts, NSEXEC_NS_MNT, opts->needs_mnt_why);
	if (status)
		return status;
	for (int kind = NSEXEC_NS_USER; kind <= NSEXEC_NS_TIME; kind++) {
		if (opts->created & bit((enum nsexec_ns)kind))
			nsexec_spec_new_ns(opts->spec, (enum nsexec_ns)kind);
	}
	return 0;
}
