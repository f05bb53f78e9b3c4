/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process of run, create, exec and explain: ids, environment, directory,
 * capabilities, limits. The environment is the caller's unless --clear-env.
 */
#include "config.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/opts.h"
#include "lib/text.h"
#include "lib/util.h"

enum {
	KEY_CLEAR_ENV = OPTS_PROCESS_KEYS,
	KEY_GROUPS,
	KEY_CAP_ADD,
	KEY_CAP_DROP,
	KEY_AMBIENT,
	KEY_RLIMIT,
	KEY_NO_NEW_PRIVS,
	KEY_OOM,
	KEY_NICE,
	KEY_UMASK,
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "Process:", 40 },
	{ "user", 'u', "UID[:GID]", 0, "Ids inside the user namespace", 40 },
	{ "groups", KEY_GROUPS, "GID,...|keep|none", 0, "Supplementary groups",
	  40 },
	{ "env", 'e', "NAME[=VALUE]", 0,
	  "Set a variable, or pass ours with --clear-env; repeatable", 40 },
	{ "clear-env", KEY_CLEAR_ENV, NULL, 0,
	  "Do not pass our environment on (default: it is passed)", 40 },
	{ "cwd", 'w', "DIR", 0,
	  "Working directory inside (default /; . is the current one)", 40 },
	{ "workdir", 'w', NULL, OPTION_ALIAS, NULL, 40 },
	{ "cap-add", KEY_CAP_ADD, "CAP,...|all", 0,
	  "Give these (alone: added to the full set where you have it, else "
	  "to none)",
	  40 },
	{ "cap-drop", KEY_CAP_DROP, "CAP,...|all", 0, "Take these away", 40 },
	{ "ambient", KEY_AMBIENT, "CAP,...|all", 0,
	  "Inheritable and ambient: kept over execve by an ordinary user", 40 },
	{ "rlimit", KEY_RLIMIT, "NAME=SOFT[:HARD]", 0,
	  "Such as nofile=1024:4096, core=unlimited; repeatable", 40 },
	{ "no-new-privs", KEY_NO_NEW_PRIVS, NULL, 0,
	  "No set-user-ID gains (always on for an ordinary caller)", 40 },
	{ "oom-score-adj", KEY_OOM, "N", 0, "-1000 to 1000", 40 },
	{ "nice", KEY_NICE, "N", 0, "-20 to 19", 40 },
	{ "umask", KEY_UMASK, "OCTAL", 0, "File mode mask", 40 },
	{ 0 },
};

static void
give(struct process_opts *opts, enum process_given what)
{
	opts->given |= 1u << what;
}

/* "UID[:GID]", numbers or names of this system. */
static void
on_user(struct argp_state *state, const char *arg)
{
	struct process_opts *opts = state->input;
	free_auto char *copy = strdup(arg);
	char *colon = copy ? strchr(copy, ':') : NULL;
	const struct passwd *user = NULL;
	const struct group *group;
	uint32_t uid, gid;

	if (!copy)
		ctl_option_error(state, "out of memory");
	if (colon)
		*colon = '\0';
	if (text_parse_u32(copy, &uid) < 0) {
		user = getpwnam(copy);
		if (!user)
			opts_refuse(state, "--user", arg, "no such user here");
		uid = user->pw_uid;
	}
	nsexec_spec_uid(opts->spec, uid);
	give(opts, PROCESS_GIVEN_UID);
	if (colon && text_parse_u32(colon + 1, &gid) < 0) {
		group = getgrnam(colon + 1);
		if (!group)
			opts_refuse(state, "--user", arg, "no such group here");
		gid = group->gr_gid;
	} else if (!colon && user) {
		gid = user->pw_gid;
	} else if (!colon) {
		return;
	}
	give(opts, PROCESS_GIVEN_GID);
	nsexec_spec_gid(opts->spec, gid);
}

static void
on_groups(struct argp_state *state, char *arg)
{
	struct process_opts *opts = state->input;
	char *save = NULL;
	uint32_t gid;

	give(opts, PROCESS_GIVEN_GROUPS);
	if (strcmp(arg, "keep") == 0) {
		nsexec_spec_keep_groups(opts->spec, true);
		return;
	}
	if (strcmp(arg, "none") == 0)
		return;
	for (char *token = strtok_r(arg, ",", &save); token;
	     token = strtok_r(NULL, ",", &save)) {
		if (text_parse_u32(token, &gid) < 0)
			opts_refuse(state, "--groups", token,
				    "write numbers with commas, or keep");
		nsexec_spec_group(opts->spec, gid);
	}
}

static void
on_env(struct argp_state *state, const char *arg)
{
	struct process_opts *opts = state->input;
	const char **grown;

	if (!*arg || *arg == '=')
		opts_refuse(state, "--env", arg, "write NAME or NAME=VALUE");
	grown = realloc(opts->env, (opts->n_env + 1) * sizeof(*grown));
	if (!grown)
		ctl_option_error(state, "out of memory");
	opts->env = grown;
	opts->env[opts->n_env++] = arg;
}

static uint64_t
parse_caps(struct argp_state *state, const char *option, const char *arg)
{
	free_auto char *copy = strdup(arg);
	uint64_t mask = 0;
	char *save = NULL;
	int number;

	if (!copy)
		ctl_option_error(state, "out of memory");
	for (char *token = strtok_r(copy, ",", &save); token;
	     token = strtok_r(NULL, ",", &save)) {
		if (strcasecmp(token, "all") == 0)
			mask |= ctl_all_capabilities();
		else if (ctl_parse_capability(token, &number) < 0)
			opts_refuse(state, option, token, "is no capability");
		else
			mask |= UINT64_C(1) << number;
	}
	return mask;
}

static int64_t
parse_number(struct argp_state *state, const char *option, const char *arg,
	     int64_t min, int64_t max)
{
	int64_t number;

	if (text_parse_i64(arg, min, max, &number) < 0)
		ctl_option_error(state,
				 "%s %s: write a number from %lld to %lld",
				 option, arg, (long long)min, (long long)max);
	return number;
}

static void
on_umask(struct argp_state *state, const char *arg)
{
	struct process_opts *opts = state->input;
	char *end;
	const unsigned long mask = strtoul(arg, &end, 8);

	if (*end || end == arg || mask > 0777 || *arg == '-' || *arg == '+')
		opts_refuse(state, "--umask", arg, "write an octal mask");
	give(opts, PROCESS_GIVEN_UMASK);
	nsexec_spec_umask(opts->spec, (mode_t)mask);
}

static void
on_cwd(struct argp_state *state, const char *arg)
{
	struct process_opts *opts = state->input;
	free_auto char *path = NULL;

	if (ctl_absolute_path(arg, &path) < 0)
		opts_refuse(state, "--cwd", arg,
			    "the current directory is gone");
	give(opts, PROCESS_GIVEN_CWD);
	nsexec_spec_cwd(opts->spec, path);
}

static void
on_rlimit(struct argp_state *state, const char *arg)
{
	struct process_opts *opts = state->input;
	struct ctl_rlimit limit;

	if (ctl_parse_rlimit(arg, &limit) < 0)
		opts_refuse(state, "--rlimit", arg,
			    "write NAME=SOFT[:HARD], soft not above hard, "
			    "such as nofile=1024:4096");
	opts->rlimits |= 1u << limit.resource;
	nsexec_spec_rlimit(opts->spec, limit.resource, limit.soft, limit.hard);
}

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct process_opts *opts = state->input;

	switch (key) {
	case 'u':
		on_user(state, arg);
		return 0;
	case 'e':
		on_env(state, arg);
		return 0;
	case 'w':
		on_cwd(state, arg);
		return 0;
	case KEY_CLEAR_ENV:
		opts->clear_env = true;
		return 0;
	case KEY_GROUPS:
		on_groups(state, arg);
		return 0;
	case KEY_CAP_ADD:
		opts->cap_add |= parse_caps(state, "--cap-add", arg);
		opts->has_cap_add = true;
		return 0;
	case KEY_CAP_DROP:
		opts->cap_drop |= parse_caps(state, "--cap-drop", arg);
		opts->has_cap_drop = true;
		return 0;
	case KEY_AMBIENT:
		opts->ambient |= parse_caps(state, "--ambient", arg);
		opts->has_ambient = true;
		return 0;
	case KEY_RLIMIT:
		on_rlimit(state, arg);
		return 0;
	case KEY_NO_NEW_PRIVS:
		give(opts, PROCESS_GIVEN_NO_NEW_PRIVS);
		nsexec_spec_no_new_privileges(opts->spec, true);
		return 0;
	case KEY_OOM:
		give(opts, PROCESS_GIVEN_OOM_SCORE_ADJ);
		nsexec_spec_oom_score_adj(
			opts->spec, (int)parse_number(state, "--oom-score-adj",
						      arg, -1000, 1000));
		return 0;
	case KEY_NICE:
		nsexec_spec_nice(opts->spec, (int)parse_number(state, "--nice",
							       arg, -20, 19));
		return 0;
	case KEY_UMASK:
		on_umask(state, arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp process_argp = { .options = options, .parser = on_option };

static void
apply_env(const struct process_opts *opts)
{
	for (char **p = environ; *p && !opts->clear_env; p++) {
		if (ctl_env_passes(*p) &&
		    !ctl_env_sets(opts->env, opts->n_env, *p))
			nsexec_spec_env(opts->spec, *p);
	}
	for (size_t i = 0; i < opts->n_env; i++) {
		free_auto char *assignment = NULL;
		const char *value;

		if (ctl_env_sets(opts->env + i + 1, opts->n_env - i - 1,
				 opts->env[i]))
			continue;
		if (strchr(opts->env[i], '=')) {
			nsexec_spec_env(opts->spec, opts->env[i]);
			continue;
		}
		/* Like docker: a name alone passes our value, if any. */
		value = getenv(opts->env[i]);
		if (value &&
		    asprintf(&assignment, "%s=%s", opts->env[i], value) >= 0)
			nsexec_spec_env(opts->spec, assignment);
	}
}

static void
apply_capabilities(const struct process_opts *opts)
{
	/* A full set is there to start from: root, or root of a namespace. */
	const bool full =
		geteuid() == 0 ||
		(opts->ns && opts->ns->created & (1u << NSEXEC_NS_USER));
	uint64_t set = full || opts->has_cap_drop ? ctl_all_capabilities() : 0;

	if (opts->has_ambient) {
		nsexec_spec_capabilities(opts->spec, NSEXEC_CAPS_INHERITABLE,
					 opts->ambient);
		nsexec_spec_capabilities(opts->spec, NSEXEC_CAPS_AMBIENT,
					 opts->ambient);
	}
	if (!opts->has_cap_add && !opts->has_cap_drop)
		return;
	set = (set & ~opts->cap_drop) | opts->cap_add | opts->ambient;
	nsexec_spec_capabilities(opts->spec, NSEXEC_CAPS_BOUNDING, set);
	nsexec_spec_capabilities(opts->spec, NSEXEC_CAPS_PERMITTED, set);
	nsexec_spec_capabilities(opts->spec, NSEXEC_CAPS_EFFECTIVE, set);
	if (!opts->has_ambient) {
		nsexec_spec_capabilities(opts->spec, NSEXEC_CAPS_INHERITABLE,
					 0);
		nsexec_spec_capabilities(opts->spec, NSEXEC_CAPS_AMBIENT, 0);
	}
}

int
process_opts_apply(const struct ctl *ctl, struct process_opts *opts)
{
	int r;

	apply_env(opts);
	apply_capabilities(opts);
	r = nsexec_spec_status(opts->spec);
	if (r < 0)
		return ctl_report_local(ctl, r, "build", "the request");
	return 0;
}

void
process_opts_deinit(struct process_opts *opts)
{
	free(opts->env);
	opts->env = NULL;
	opts->n_env = 0;
}
