/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much one owner may have, and how fast he may start. Each bound is
 * counted in one place (named in the table of quota.c) and refused by one
 * function here, so that every refusal has the same form: QUOTA or RATE with
 * kind, limit, use and time to wait.
 *
 * Admins are bound by the global limits only, and keep a twentieth of those to
 * themselves.
 */
#ifndef NSX_DAEMON_QUOTA_H
#define NSX_DAEMON_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/error.h"
#include "daemon/rpc.h"

enum quota {
	QUOTA_CONTAINERS,
	QUOTA_STARTS,
	QUOTA_START_RATE,
	QUOTA_EXECS,
	QUOTA_REQUEST_FDS,
	QUOTA_HELD_FDS,
	QUOTA_STUCK,
	QUOTA_CONNECTIONS,
	QUOTA_REQUESTS,
	QUOTA_WAITING_CALLS,
	QUOTA_REQUEST_BYTES,
	QUOTA_QUEUED_BYTES,
	QUOTA_SUBSCRIBERS,
	QUOTA_ID_BLOCKS,
	QUOTA_TASKS,
	QUOTA_MEMORY,
	N_QUOTAS,
};

/*
 * The bounds of this caller's owner; NULL: an admin, none but the global ones.
 * The only place that decides it. Valid until the daemon ends.
 */
const struct owner_limits *owner_limits(const struct daemon *daemon,
					const struct rpc_caller *caller);

/* Keys remembered for this caller's owner. */
size_t key_limit(const struct daemon *daemon, const struct rpc_caller *caller);

/* What is wanted beyond what is used already. */
struct quota_use {
	enum quota quota;
	uint64_t limit, used, wanted;
};
/* 0, or -EINVAL with *error: it does not fit. */
must_check int quota_check(const struct quota_use *use, struct error *error);
/* The refusal alone; for a bound of all owners, code OVERLOADED, no use. */
int quota_refuse(const struct quota_use *use, struct error *error);
int quota_refuse_all(const struct quota_use *use, struct error *error);

/* Its word on the wire; and back, -1 for NULL or a word that is none. */
const char *quota_kind(enum quota quota);
int quota_by_kind(const char *kind);

/* What a start asks for. */
struct quota_start {
	bool container; /* not an exec */
	uint32_t n_fds; /* descriptors that come with it */
};
/*
 * May this caller start one more now? Takes a token of the rate if so. 0, or
 * -EINVAL with *error QUOTA, RATE or OVERLOADED.
 */
must_check int quota_check_start(struct daemon *daemon,
				 const struct rpc_caller *caller,
				 const struct quota_start *start,
				 struct error *error);
/* May this caller have one more gate opened? As above; takes no token. */
must_check int quota_check_open(struct daemon *daemon,
				const struct rpc_caller *caller,
				struct error *error);

#endif
