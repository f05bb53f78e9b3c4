/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bootstrap message: what a container's first processes are to be.
 *
 * Dialects D1 to M3 are runc's, byte for byte, of the release named beside
 * each (doc/BOOTSTRAP.md). Dialect NX is ours: M3's attributes under M3's
 * numbers, and beside them our own under numbers of our own, for what runc
 * sends later as JSON. The dialect is always told from outside, never guessed:
 * the numbers of the dialects overlap.
 *
 * A struct bootstrap borrows: every pointer in it points into the message that
 * was decoded, or into memory of whoever fills it for encoding.
 */
#ifndef NSX_PROTO_BOOTSTRAP_H
#define NSX_PROTO_BOOTSTRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"
#include "proto/nlmsg.h"

#define BOOTSTRAP_TYPE 62000 /* nlmsg_type of runc's message; ours: START */

enum dialect {
	DIALECT_NONE,
	DIALECT_D1, /* 1.0.0-rc2 */
	DIALECT_D2, /* the commit of 2016-10 */
	DIALECT_M0, /* 1.0.0-rc5 */
	DIALECT_M1, /* 1.0.3 */
	DIALECT_M2, /* 1.1.5 */
	DIALECT_M3, /* 1.3 */
	DIALECT_NX, /* ours, between nsexecd and nsexec-spawner */
	N_DIALECTS,
};

/* "D1".."M3", "NX"; NULL for anything else. */
const char *dialect_name(enum dialect dialect);
/* Exact name, upper case. DIALECT_NONE if unknown. */
enum dialect dialect_parse(const char *name);

/*
 * Attributes by meaning, over all dialects. Numbers on the wire differ per
 * dialect and stand in one const table in bootstrap.c; ours start at 28001.
 */
enum bootstrap_attr {
	/* runc's */
	BOOTSTRAP_CLONE_FLAGS,
	BOOTSTRAP_CONSOLE,
	BOOTSTRAP_NS_PATHS,
	BOOTSTRAP_UID_MAP,
	BOOTSTRAP_GID_MAP,
	BOOTSTRAP_SETGROUP,
	BOOTSTRAP_OOM_SCORE_ADJ,
	BOOTSTRAP_ROOTLESS,
	BOOTSTRAP_UIDMAP_PATH,
	BOOTSTRAP_GIDMAP_PATH,
	BOOTSTRAP_MOUNT_SOURCES,
	BOOTSTRAP_TIME_OFFSETS,
	/* ours; the number on the wire is 28001 + (attr - CONTAINER) */
	BOOTSTRAP_CONTAINER,	 /* text: id, also the cgroup's name */
	BOOTSTRAP_FD_ROLES,	 /* u32[]: enum fd_role of each fd sent along */
	BOOTSTRAP_ARGV,		 /* NUL-ended strings, at least one */
	BOOTSTRAP_ENV,		 /* NUL-ended strings */
	BOOTSTRAP_EXEC_BLOCK,	 /* struct: argv and env are in the memfd */
	BOOTSTRAP_JOINS,	 /* packed, see struct bootstrap_join */
	BOOTSTRAP_CWD,		 /* text */
	BOOTSTRAP_UID,		 /* u32, inside the user namespace */
	BOOTSTRAP_GID,		 /* u32 */
	BOOTSTRAP_GROUPS,	 /* u32[], may be empty */
	BOOTSTRAP_KEEP_GROUPS,	 /* u32 bool */
	BOOTSTRAP_CAPS,		 /* struct bootstrap_caps */
	BOOTSTRAP_NO_NEW_PRIVS,	 /* u32 bool */
	BOOTSTRAP_RLIMITS,	 /* struct bootstrap_rlimit[] */
	BOOTSTRAP_UMASK,	 /* u32, 0 to 0777 */
	BOOTSTRAP_NICE,		 /* u32 holding an int32, -20 to 19 */
	BOOTSTRAP_HOSTNAME,	 /* text, 1 to 64 bytes */
	BOOTSTRAP_DOMAINNAME,	 /* text, 1 to 64 bytes */
	BOOTSTRAP_LOOPBACK,	 /* u32 bool: lo up in a new net namespace */
	BOOTSTRAP_ROOTFS,	 /* text, absolute */
	BOOTSTRAP_ROOT_READONLY, /* u32 bool */
	BOOTSTRAP_PROPAGATION,	 /* u32 enum bootstrap_propagation */
	BOOTSTRAP_MOUNT_PROC,	 /* u32 bool */
	BOOTSTRAP_MOUNTS,	 /* packed, see struct bootstrap_mount */
	BOOTSTRAP_STDIO,	 /* packed, three struct bootstrap_stdio */
	BOOTSTRAP_PASSED_FDS,	 /* struct bootstrap_passed_fd[] */
	BOOTSTRAP_N_CHANNEL_FDS, /* u32: descriptors to expect, 0 to 32 */
	BOOTSTRAP_SEND_PIDFD,	 /* u32 bool */
	BOOTSTRAP_GATE,		 /* u32 enum bootstrap_gate */
	BOOTSTRAP_PARENT_DEATH_SIGNAL, /* u32, 1 to 64 */
	BOOTSTRAP_SETGROUPS_MODE,      /* u32 enum bootstrap_setgroups */
	BOOTSTRAP_PHASE_TIMEOUT_MS,    /* u32, 1 to 60000 */
	BOOTSTRAP_PID, /* u32: EXEC only, the container's init */
	N_BOOTSTRAP_ATTRS,
};

/* What a descriptor sent along with START or EXEC is. */
enum fd_role {
	FD_ROLE_NONE,
	FD_ROLE_INIT_CHANNEL, /* seqpacket; stages report, gate byte comes */
	FD_ROLE_CALLER,	      /* the caller's RPC connection: its credentials */
	FD_ROLE_FD_CHANNEL,   /* the caller's fd socket connection, unread */
	FD_ROLE_EXEC_BLOCK,   /* sealed memfd with argv and env */
	N_FD_ROLES,
};

enum bootstrap_gate {
	GATE_NONE,    /* exec at once */
	GATE_CHANNEL, /* one byte on the init channel; EOF = exit, no exec */
	GATE_NAMED,   /* one byte on a connection to gates/ID */
};

enum bootstrap_propagation {
	BOOTSTRAP_PROPAGATION_PRIVATE = 1,
	BOOTSTRAP_PROPAGATION_SLAVE,
	BOOTSTRAP_PROPAGATION_SHARED,
	BOOTSTRAP_PROPAGATION_UNCHANGED,
};

enum bootstrap_setgroups {
	BOOTSTRAP_SETGROUPS_AUTO =
		1, /* deny only where the kernel demands it */
	BOOTSTRAP_SETGROUPS_ALLOW,
	BOOTSTRAP_SETGROUPS_DENY,
};

enum bootstrap_join_how {
	JOIN_PATH = 1, /* text, opened by the stage as the caller */
	JOIN_PID = 2,  /* pid + start time or pidfs inode (0 = not given) */
	JOIN_FD = 3,   /* index into the fd channel message */
};

#define BOOTSTRAP_MAX_JOINS 8
/* On the wire: u32 how, u32 clone_flag, u32 number, u32 path_size,
 * u64 start_time, u64 inode, then path_size bytes (NUL counted; 0 = none). */
struct bootstrap_join {
	uint32_t how;
	uint32_t clone_flag; /* exactly one CLONE_NEW* */
	uint32_t number;     /* pid or fd index */
	uint64_t start_time;
	uint64_t inode;
	const char *path;
};

enum bootstrap_mount_kind {
	BOOTSTRAP_MOUNT_KIND_BIND = 1,
	BOOTSTRAP_MOUNT_KIND_TMPFS,
	BOOTSTRAP_MOUNT_KIND_PROC,
	BOOTSTRAP_MOUNT_KIND_SYSFS,
	BOOTSTRAP_MOUNT_KIND_DEV,
	BOOTSTRAP_MOUNT_KIND_DEVPTS,
	BOOTSTRAP_MOUNT_KIND_MQUEUE,
	BOOTSTRAP_MOUNT_KIND_CGROUP2,
};
#define BOOTSTRAP_MOUNT_RDONLY 1u
#define BOOTSTRAP_MOUNT_NOSUID 2u
#define BOOTSTRAP_MOUNT_NODEV 4u
#define BOOTSTRAP_MOUNT_NOEXEC 8u
#define BOOTSTRAP_MOUNT_RECURSIVE 16u
#define BOOTSTRAP_MAX_MOUNTS 64
/* On the wire: u32 kind, u32 flags, u32 source_size, u32 destination_size,
 * u32 data_size, then the three texts (NUL counted; 0 = none). */
struct bootstrap_mount {
	uint32_t kind;
	uint32_t flags;
	const char *source;
	const char *destination;
	const char *data;
};

enum bootstrap_stdio_kind {
	BOOTSTRAP_STDIO_NULL = 1,
	BOOTSTRAP_STDIO_FD,
	BOOTSTRAP_STDIO_PATH,
};
/* On the wire, three times: u32 kind, u32 fd_index, u32 path_size, path. */
struct bootstrap_stdio {
	uint32_t kind;
	uint32_t fd_index;
	const char *path;
};

struct bootstrap_passed_fd {
	uint32_t fd_index;
	uint32_t number; /* 3 to 1023, no number twice */
};
#define BOOTSTRAP_MAX_CHANNEL_FDS 32

struct bootstrap_rlimit {
	uint32_t resource;
	uint32_t reserved; /* 0 */
	uint64_t soft;
	uint64_t hard;
};

#define BOOTSTRAP_CAPS_BOUNDING 1u
#define BOOTSTRAP_CAPS_PERMITTED 2u
#define BOOTSTRAP_CAPS_EFFECTIVE 4u
#define BOOTSTRAP_CAPS_INHERITABLE 8u
#define BOOTSTRAP_CAPS_AMBIENT 16u
struct bootstrap_caps {
	uint32_t present;  /* BOOTSTRAP_CAPS_* bits */
	uint32_t reserved; /* 0 */
	uint64_t bounding, permitted, effective, inheritable, ambient;
};

struct bootstrap_exec_block {
	uint32_t argc; /* 1 or more */
	uint32_t envc;
	uint64_t size; /* bytes of the memfd: argv strings, then env */
};
/* Of each, argv and env: the bytes of its strings without their NULs. */
#define BOOTSTRAP_STRINGS_MAX (2u * 1024u * 1024u)
/* Of both with every NUL. A request of one frame (4 MiB) has no more. */
#define BOOTSTRAP_EXEC_BLOCK_MAX (4u * 1024u * 1024u)

/* Bytes inside the message (or lent for encoding). data NULL = absent. */
struct bootstrap_bytes {
	const char *data;
	size_t size;
};

#define BOOTSTRAP_MAX_RLIMITS 16
#define BOOTSTRAP_MAX_GROUPS 1024

struct bootstrap {
	enum dialect dialect;
	uint32_t seq;
	uint16_t type;	  /* nlmsg_type: 62000, or EXEC's (proto/ops.h) */
	uint64_t present; /* bit n = enum bootstrap_attr n was there */

	uint32_t clone_flags;
	const char *console;
	const char *ns_paths; /* "type:path,..." */
	const char *uid_map;  /* text of rows, size without NUL below */
	size_t uid_map_size;
	const char *gid_map;
	size_t gid_map_size;
	bool setgroup;
	bool rootless;
	const char *oom_score_adj;
	const char *uidmap_path, *gidmap_path;
	struct bootstrap_bytes mount_sources; /* M2: n NUL-ended strings */
	const char *time_offsets;

	const char *container;
	uint32_t fd_roles[N_FD_ROLES];
	size_t n_fd_roles;
	struct bootstrap_bytes argv, env;
	struct bootstrap_exec_block exec_block;
	struct bootstrap_join joins[BOOTSTRAP_MAX_JOINS];
	size_t n_joins;
	const char *cwd;
	uint32_t uid, gid;
	uint32_t groups[BOOTSTRAP_MAX_GROUPS];
	size_t n_groups;
	bool keep_groups, no_new_privs;
	struct bootstrap_caps caps;
	struct bootstrap_rlimit rlimits[BOOTSTRAP_MAX_RLIMITS];
	size_t n_rlimits;
	uint32_t umask;
	int32_t nice;
	const char *hostname, *domainname;
	bool loopback;
	const char *rootfs;
	bool root_readonly;
	uint32_t propagation;
	bool mount_proc;
	struct bootstrap_mount mounts[BOOTSTRAP_MAX_MOUNTS];
	size_t n_mounts;
	struct bootstrap_stdio stdio[3];
	struct bootstrap_passed_fd passed_fds[BOOTSTRAP_MAX_CHANNEL_FDS];
	size_t n_passed_fds;
	uint32_t n_channel_fds;
	bool send_pidfd;
	uint32_t gate;
	uint32_t parent_death_signal;
	uint32_t setgroups_mode;
	uint32_t phase_timeout_ms;
	uint32_t pid;
};

static inline bool
bootstrap_has(const struct bootstrap *msg, enum bootstrap_attr attr)
{
	return (msg->present >> attr) & 1;
}
/* Mark as present, so that the encoder emits it. */
static inline void
bootstrap_mark(struct bootstrap *msg, enum bootstrap_attr attr)
{
	msg->present |= UINT64_C(1) << attr;
}
_Static_assert(N_BOOTSTRAP_ATTRS <= 64, "present is 64 bits");

/* Why a message was refused: names the attribute and the rule. */
struct bootstrap_error {
	int attr;	/* enum bootstrap_attr, or -1: header or unknown */
	uint16_t type;	/* number on the wire */
	size_t offset;	/* in the message */
	char text[160]; /* "attribute uid map (27283): 341 rows, at most 340" */
};

/* "clone flags", "uid map", ... */
const char *bootstrap_attr_name(enum bootstrap_attr attr);
/* Number on the wire in this dialect, 0 = the dialect does not have it. */
uint16_t bootstrap_attr_number(enum dialect dialect, enum bootstrap_attr attr);

/*
 * Decode strictly. expected_type is BOOTSTRAP_TYPE, or OP_EXEC of NX.
 * 0, or -EBADMSG with *ret_error. On error *ret is unspecified. Checks: header;
 * every nla_len; at most one of each type; unknown type; u32 is 8 bytes long;
 * texts end in NUL and hold no other (M2 mount sources excepted); map text
 * grammar, 340 rows, 4,094 bytes; clone flags within the eight namespace bits;
 * ids, counts and ranges of our own attributes; fd indexes < n_channel_fds.
 */
must_check int bootstrap_decode(enum dialect dialect, uint16_t expected_type,
				const void *data, size_t size,
				struct bootstrap *ret,
				struct bootstrap_error *ret_error);

/*
 * Encode what is marked present, in runc's order of emission, into buf of
 * buf_size bytes. 0 and *ret_size, or -EMSGSIZE (a limit) or -EINVAL (the
 * dialect has no such attribute, or the value breaks a rule) with *ret_error.
 */
must_check int bootstrap_encode(const struct bootstrap *msg, void *buf,
				size_t buf_size, size_t *ret_size,
				struct bootstrap_error *ret_error);

#endif
