/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dialects, and the table of attributes: the review page of the format. The
 * numbers of the dialects overlap (27283 is "ns paths" in D2 and "uid map" in
 * M0), so nothing here ever looks up a number without a dialect. See
 * doc/BOOTSTRAP.md.
 */
#include "proto/bootstrap_table.h"

#include <limits.h>
#include <string.h>

#include "lib/util.h"

#define OUR_FIRST_NUMBER 28001

static const char *const dialect_names[N_DIALECTS] = {
	[DIALECT_D1] = "D1", [DIALECT_D2] = "D2", [DIALECT_M0] = "M0",
	[DIALECT_M1] = "M1", [DIALECT_M2] = "M2", [DIALECT_M3] = "M3",
	[DIALECT_NX] = "NX",
};

/* runc's numbers; 0 = the dialect does not have it. */
static const uint16_t runc_numbers[BOOTSTRAP_CONTAINER][N_DIALECTS] = {
	/* clang-format off */
	/*			       -  D1     D2     M0     M1     M2     M3     NX */
	[BOOTSTRAP_CLONE_FLAGS]	  = { 0, 27281, 27281, 27281, 27281, 27281, 27281, 27281 },
	[BOOTSTRAP_CONSOLE]	  = { 0, 27282, 27282, 0,     0,     0,     0,     0 },
	[BOOTSTRAP_NS_PATHS]	  = { 0, 27283, 27283, 27282, 27282, 27282, 27282, 27282 },
	[BOOTSTRAP_UID_MAP]	  = { 0, 27284, 27284, 27283, 27283, 27283, 27283, 27283 },
	[BOOTSTRAP_GID_MAP]	  = { 0, 27285, 27285, 27284, 27284, 27284, 27284, 27284 },
	[BOOTSTRAP_SETGROUP]	  = { 0, 27286, 27286, 27285, 27285, 27285, 27285, 27285 },
	[BOOTSTRAP_OOM_SCORE_ADJ] = { 0, 0,     0,     27286, 27286, 27286, 27286, 27286 },
	[BOOTSTRAP_ROOTLESS]	  = { 0, 0,     0,     27287, 27287, 27287, 27287, 27287 },
	[BOOTSTRAP_UIDMAP_PATH]	  = { 0, 0,     0,     27288, 27288, 27288, 27288, 27288 },
	[BOOTSTRAP_GIDMAP_PATH]	  = { 0, 0,     0,     27289, 27289, 27289, 27289, 27289 },
	[BOOTSTRAP_MOUNT_SOURCES] = { 0, 0,     0,     0,     0,     27290, 0,     0 },
	[BOOTSTRAP_TIME_OFFSETS]  = { 0, 0,     0,     0,     0,     0,     27290, 27290 },
	/* clang-format on */
};

/* clang-format off */
#define ROW(attr, label, field, read, write, low, high) \
	[BOOTSTRAP_##attr] = { label, offsetof(struct bootstrap, field), \
			       bootstrap_read_##read, bootstrap_write_##write, \
			       low, high }
#define U32(attr, label, field, low, high) \
	ROW(attr, label, field, u32, u32, low, high)
#define BOOL(attr, label, field) ROW(attr, label, field, bool, bool, 0, 1)
#define LIST(attr, label, field, rule) ROW(attr, label, field, rule, rule, 0, 0)

/* A text's longest: what fits an attribute, and kernel limits below that. */
#define TEXT_MAX 65530u
#define ID_MAX (UINT32_MAX - 1)

const struct bootstrap_row bootstrap_rows[] = {
	ROW(CLONE_FLAGS, "clone flags", clone_flags, clone_flags, u32, 0, 0),
	ROW(CONSOLE, "console path", console, text, text, 1, TEXT_MAX),
	ROW(NS_PATHS, "namespace paths", ns_paths, ns_paths, text, 1, TEXT_MAX),
	ROW(UID_MAP, "uid map", uid_map, uid_map, uid_map, 0, 0),
	ROW(GID_MAP, "gid map", gid_map, gid_map, gid_map, 0, 0),
	BOOL(SETGROUP, "setgroup", setgroup),
	ROW(OOM_SCORE_ADJ, "oom score adj", oom_score_adj, oom, text, 1, 5),
	BOOL(ROOTLESS, "rootless", rootless),
	ROW(UIDMAP_PATH, "newuidmap path", uidmap_path, text, text, 1, TEXT_MAX),
	ROW(GIDMAP_PATH, "newgidmap path", gidmap_path, text, text, 1, TEXT_MAX),
	ROW(MOUNT_SOURCES, "mount sources", mount_sources, mount_sources,
	    mount_sources, 0, 0),
	ROW(TIME_OFFSETS, "time offsets", time_offsets, time_offsets, text, 1,
	    TEXT_MAX),

	ROW(CONTAINER, "container", container, id, text, 1, 64),
	LIST(FD_ROLES, "fd roles", fd_roles, fd_roles),
	ROW(ARGV, "argv", argv, argv, bytes, 0, 0),
	ROW(ENV, "env", env, env, bytes, 0, 0),
	LIST(EXEC_BLOCK, "exec block", exec_block, exec_block),
	LIST(JOINS, "joins", joins, joins),
	ROW(CWD, "cwd", cwd, path, text, 1, 4095),
	U32(UID, "uid", uid, 0, ID_MAX),
	U32(GID, "gid", gid, 0, ID_MAX),
	LIST(GROUPS, "groups", groups, groups),
	BOOL(KEEP_GROUPS, "keep groups", keep_groups),
	LIST(CAPS, "capabilities", caps, caps),
	BOOL(NO_NEW_PRIVS, "no new privs", no_new_privs),
	LIST(RLIMITS, "resource limits", rlimits, rlimits),
	U32(UMASK, "umask", umask, 0, 0777),
	ROW(NICE, "nice", nice, nice, u32, 0, 0),
	ROW(HOSTNAME, "hostname", hostname, text, text, 1, 64),
	ROW(DOMAINNAME, "domain name", domainname, text, text, 1, 64),
	BOOL(LOOPBACK, "loopback", loopback),
	ROW(ROOTFS, "root file system", rootfs, path, text, 1, 4095),
	BOOL(ROOT_READONLY, "root read-only", root_readonly),
	U32(PROPAGATION, "propagation", propagation,
	    BOOTSTRAP_PROPAGATION_PRIVATE, BOOTSTRAP_PROPAGATION_UNCHANGED),
	BOOL(MOUNT_PROC, "mount proc", mount_proc),
	LIST(MOUNTS, "mounts", mounts, mounts),
	LIST(STDIO, "stdio", stdio, stdio),
	LIST(PASSED_FDS, "passed fds", passed_fds, passed_fds),
	U32(N_CHANNEL_FDS, "number of channel fds", n_channel_fds, 0,
	    BOOTSTRAP_MAX_CHANNEL_FDS),
	BOOL(SEND_PIDFD, "send pidfd", send_pidfd),
	U32(GATE, "gate", gate, GATE_NONE, GATE_NAMED),
	U32(PARENT_DEATH_SIGNAL, "parent death signal", parent_death_signal, 1,
	    64),
	U32(SETGROUPS_MODE, "setgroups mode", setgroups_mode,
	    BOOTSTRAP_SETGROUPS_AUTO, BOOTSTRAP_SETGROUPS_DENY),
	U32(PHASE_TIMEOUT_MS, "phase timeout", phase_timeout_ms, 1, 60000),
	U32(PID, "pid", pid, 1, INT_MAX),
};
_Static_assert(ARRAY_SIZE(bootstrap_rows) == N_BOOTSTRAP_ATTRS,
	       "every attribute has a row");

/* runc's: the path of newuidmap before the uid map, that of newgidmap after
 * the gid map. */
const uint8_t bootstrap_order[N_BOOTSTRAP_ATTRS] = {
	BOOTSTRAP_CLONE_FLAGS, BOOTSTRAP_CONSOLE, BOOTSTRAP_NS_PATHS,
	BOOTSTRAP_UIDMAP_PATH, BOOTSTRAP_UID_MAP, BOOTSTRAP_GID_MAP,
	BOOTSTRAP_GIDMAP_PATH, BOOTSTRAP_SETGROUP, BOOTSTRAP_OOM_SCORE_ADJ,
	BOOTSTRAP_ROOTLESS, BOOTSTRAP_MOUNT_SOURCES, BOOTSTRAP_TIME_OFFSETS,
	BOOTSTRAP_CONTAINER, BOOTSTRAP_FD_ROLES, BOOTSTRAP_ARGV, BOOTSTRAP_ENV,
	BOOTSTRAP_EXEC_BLOCK, BOOTSTRAP_JOINS, BOOTSTRAP_CWD, BOOTSTRAP_UID,
	BOOTSTRAP_GID, BOOTSTRAP_GROUPS, BOOTSTRAP_KEEP_GROUPS, BOOTSTRAP_CAPS,
	BOOTSTRAP_NO_NEW_PRIVS, BOOTSTRAP_RLIMITS, BOOTSTRAP_UMASK,
	BOOTSTRAP_NICE, BOOTSTRAP_HOSTNAME, BOOTSTRAP_DOMAINNAME,
	BOOTSTRAP_LOOPBACK, BOOTSTRAP_ROOTFS, BOOTSTRAP_ROOT_READONLY,
	BOOTSTRAP_PROPAGATION, BOOTSTRAP_MOUNT_PROC, BOOTSTRAP_MOUNTS,
	BOOTSTRAP_STDIO, BOOTSTRAP_PASSED_FDS, BOOTSTRAP_N_CHANNEL_FDS,
	BOOTSTRAP_SEND_PIDFD, BOOTSTRAP_GATE, BOOTSTRAP_PARENT_DEATH_SIGNAL,
	BOOTSTRAP_SETGROUPS_MODE, BOOTSTRAP_PHASE_TIMEOUT_MS, BOOTSTRAP_PID,
};
/* clang-format on */

const char *
dialect_name(enum dialect dialect)
{
	if ((unsigned int)dialect >= N_DIALECTS)
		return NULL;
	return dialect_names[dialect];
}

enum dialect
dialect_parse(const char *name)
{
	unsigned int i;

	for (i = DIALECT_D1; i < N_DIALECTS; i++)
		if (strcmp(dialect_names[i], name) == 0)
			return (enum dialect)i;
	return DIALECT_NONE;
}

bool
dialect_has_short_bools(enum dialect dialect)
{
	return dialect == DIALECT_D1 || dialect == DIALECT_D2 ||
	       dialect == DIALECT_M0;
}

int
dialect_n_ns_kinds(enum dialect dialect)
{
	if (dialect == DIALECT_M3 || dialect == DIALECT_NX)
		return 8;
	return dialect == DIALECT_M1 || dialect == DIALECT_M2 ? 7 : 6;
}

const char *
bootstrap_attr_name(enum bootstrap_attr attr)
{
	if ((unsigned int)attr >= N_BOOTSTRAP_ATTRS)
		return "unknown";
	return bootstrap_rows[attr].name;
}

uint16_t
bootstrap_attr_number(enum dialect dialect, enum bootstrap_attr attr)
{
	if ((unsigned int)dialect >= N_DIALECTS ||
	    (unsigned int)attr >= N_BOOTSTRAP_ATTRS)
		return 0;
	if (attr < BOOTSTRAP_CONTAINER)
		return runc_numbers[attr][dialect];
	if (dialect != DIALECT_NX)
		return 0;
	return (uint16_t)(OUR_FIRST_NUMBER + (attr - BOOTSTRAP_CONTAINER));
}

int
bootstrap_attr_find(enum dialect dialect, uint16_t number)
{
	int attr;

	if (number == 0)
		return -1;
	for (attr = 0; attr < N_BOOTSTRAP_ATTRS; attr++)
		if (bootstrap_attr_number(dialect, (enum bootstrap_attr)attr) ==
		    number)
			return attr;
	return -1;
}
