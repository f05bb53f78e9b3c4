/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --root, --mount and what else concerns the mounts of a new mnt namespace;
 * each implies --new mnt. A mount is written as in docker:
 * type=bind,src=/data,dst=/srv,ro.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/opts.h"
#include "lib/util.h"

enum {
	KEY_ROOT = OPTS_MOUNT_KEYS,
	KEY_READ_ONLY,
	KEY_MOUNT,
	KEY_MOUNT_PROC,
	KEY_NO_MOUNT_PROC,
	KEY_PROPAGATION,
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "Mounts (each implies --new mnt):", 30 },
	{ "root", KEY_ROOT, "DIR", 0, "This directory becomes the root", 30 },
	{ "read-only", KEY_READ_ONLY, NULL, 0, "The root is read-only", 30 },
	{ "mount", KEY_MOUNT, "SPEC", 0,
	  "type=bind|tmpfs|proc|sysfs|dev|devpts|mqueue|cgroup2,src=DIR,"
	  "dst=DIR[,ro,nosuid,nodev,noexec,rbind,size=1M,mode=755]",
	  30 },
	{ "mount-proc", KEY_MOUNT_PROC, NULL, 0,
	  "A fresh /proc (default when pid and mnt are new)", 30 },
	{ "no-mount-proc", KEY_NO_MOUNT_PROC, NULL, 0, "Leave /proc alone",
	  30 },
	{ "propagation", KEY_PROPAGATION, "MODE", 0,
	  "private (default), slave, shared or unchanged", 30 },
	{ 0 },
};

static const char *const kinds[] = {
	[NSEXEC_MOUNT_BIND] = "bind",	  [NSEXEC_MOUNT_TMPFS] = "tmpfs",
	[NSEXEC_MOUNT_PROC] = "proc",	  [NSEXEC_MOUNT_SYSFS] = "sysfs",
	[NSEXEC_MOUNT_DEV] = "dev",	  [NSEXEC_MOUNT_DEVPTS] = "devpts",
	[NSEXEC_MOUNT_MQUEUE] = "mqueue", [NSEXEC_MOUNT_CGROUP2] = "cgroup2",
};

static const struct {
	const char *word;
	unsigned int flag;
} flags[] = {
	{ "ro", NSEXEC_MOUNT_RDONLY },
	{ "readonly", NSEXEC_MOUNT_RDONLY },
	{ "rw", 0 },
	{ "nosuid", NSEXEC_MOUNT_NOSUID },
	{ "nodev", NSEXEC_MOUNT_NODEV },
	{ "noexec", NSEXEC_MOUNT_NOEXEC },
	{ "rbind", NSEXEC_MOUNT_RECURSIVE },
	{ "recursive", NSEXEC_MOUNT_RECURSIVE },
};

/* "word=" at the start of token? Then what follows it. */
static const char *
value_of(const char *token, const char *word)
{
	const size_t size = strlen(word);

	return strncmp(token, word, size) == 0 && token[size] == '='
		       ? token + size + 1
		       : NULL;
}

static enum nsexec_mount_kind
parse_kind(const char *text)
{
	for (size_t i = 1; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(text, kinds[i]) == 0)
			return (enum nsexec_mount_kind)i;
	}
	return 0;
}

static bool
parse_flag(const char *token, unsigned int *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (strcmp(token, flags[i].word) == 0) {
			*ret |= flags[i].flag;
			return true;
		}
	}
	return false;
}

/* The options of the file system itself, joined by commas again. */
static bool
append_data(char **data, const char *token)
{
	char *joined;

	if (asprintf(&joined, "%s%s%s", *data ? *data : "", *data ? "," : "",
		     token) < 0)
		return false;
	free(*data);
	*data = joined;
	return true;
}

static const char *
parse_token(struct nsexec_mount *mount, char **data, const char *token)
{
	static const char *const sources[] = { "src", "source" };
	static const char *const targets[] = { "dst", "destination", "target" };
	const char *value = value_of(token, "type");

	if (value) {
		mount->kind = parse_kind(value);
		return mount->kind ? NULL
				   : "the type is one of bind, tmpfs, proc, "
				     "sysfs, dev, devpts, mqueue, cgroup2";
	}
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		value = value_of(token, sources[i]);
		if (value) {
			mount->source = value;
			return NULL;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		value = value_of(token, targets[i]);
		if (value) {
			mount->destination = value;
			return NULL;
		}
	}
	if (parse_flag(token, &mount->flags))
		return NULL;
	if (!strchr(token, '='))
		return "an unknown word";
	return append_data(data, token) ? NULL : "out of memory";
}

const char *
mount_parse(struct nsexec_spec *spec, const char *text)
{
	free_auto char *copy = strdup(text), *data = NULL, *source = NULL;
	struct nsexec_mount mount = { .kind = 0 };
	const char *error = NULL;
	char *save = NULL;

	if (!copy)
		return "out of memory";
	for (char *token = strtok_r(copy, ",", &save); token && !error;
	     token = strtok_r(NULL, ",", &save))
		error = parse_token(&mount, &data, token);
	if (error)
		return error;
	if (!mount.kind)
		return "type= is missing";
	if (!mount.destination || *mount.destination != '/')
		return "dst= must be an absolute path";
	if (mount.kind == NSEXEC_MOUNT_BIND && !mount.source)
		return "a bind mount needs src=";
	if (mount.source) {
		if (ctl_absolute_path(mount.source, &source) < 0)
			return "the current directory is gone";
		mount.source = source;
	}
	mount.data = data;
	nsexec_spec_mount(spec, &mount);
	return NULL;
}

static void
on_propagation(struct argp_state *state, const char *arg)
{
	static const char *const words[] = {
		[NSEXEC_PROPAGATION_PRIVATE] = "private",
		[NSEXEC_PROPAGATION_SLAVE] = "slave",
		[NSEXEC_PROPAGATION_SHARED] = "shared",
		[NSEXEC_PROPAGATION_UNCHANGED] = "unchanged",
	};
	struct mount_opts *opts = state->input;

	for (size_t i = 1; i < ARRAY_SIZE(words); i++) {
		if (strcmp(arg, words[i]) == 0) {
			nsexec_spec_propagation(opts->ns->spec,
						(enum nsexec_propagation)i);
			return;
		}
	}
	opts_refuse(state, "--propagation", arg,
		    "write private, slave, shared or unchanged");
}

static void
needs_mnt(struct mount_opts *opts, const char *why)
{
	opts->ns->needs_mnt = true;
	opts->ns->needs_mnt_why = why;
}

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct mount_opts *opts = state->input;
	const char *error;

	switch (key) {
	case KEY_ROOT:
		free(opts->rootfs);
		if (ctl_absolute_path(arg, &opts->rootfs) < 0)
			opts_refuse(state, "--root", arg,
				    "the current directory is gone");
		needs_mnt(opts, "--root");
		return 0;
	case KEY_READ_ONLY:
		opts->root_read_only = true;
		return 0;
	case KEY_MOUNT:
		error = mount_parse(opts->ns->spec, arg);
		if (error)
			opts_refuse(state, "--mount", arg, error);
		needs_mnt(opts, "--mount");
		return 0;
	case KEY_MOUNT_PROC:
		nsexec_spec_mount_proc(opts->ns->spec, true);
		needs_mnt(opts, "--mount-proc");
		return 0;
	case KEY_NO_MOUNT_PROC:
		nsexec_spec_mount_proc(opts->ns->spec, false);
		return 0;
	case KEY_PROPAGATION:
		on_propagation(state, arg);
		needs_mnt(opts, "--propagation");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp mount_argp = { .options = options, .parser = on_option };

int
mount_opts_apply(const struct ctl *ctl, struct mount_opts *opts)
{
	if (opts->root_read_only && !opts->rootfs)
		return ctl_usage(ctl, "--read-only needs --root");
	if (opts->rootfs)
		nsexec_spec_rootfs(opts->ns->spec, opts->rootfs,
				   opts->root_read_only);
	free(opts->rootfs);
	opts->rootfs = NULL;
	return 0;
}
