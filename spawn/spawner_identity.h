/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the resolver said of uids, kept until one of the files it read has
 * changed. A resolver that fails costs one run a second: meanwhile the uids it
 * has not answered for are counted as their own owners, and nothing is
 * delegated to them. uid 0 needs no resolver.
 */
#ifndef NSX_SPAWN_SPAWNER_IDENTITY_H
#define NSX_SPAWN_SPAWNER_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "proto/resolve.h"
#include "spawn/spawner_resolver.h"

/* Sets of four, the least lately used of which goes: 1,024 uids. */
#define IDENTITY_SETS 256
#define IDENTITY_WAYS 4
#define IDENTITY_FILES 5
/* A directory service does not say when something has changed. */
#define IDENTITY_KEEP_MS 600000
#define IDENTITY_FAILED_MS 1000

struct spawner;

/* Which file it was: any change of it changes one of these. */
struct identity_file {
	uint64_t dev, inode, size;
	int64_t mtime_ns, ctime_ns;
};

struct identity {
	bool used;
	uint32_t generation; /* of the files, when the run began */
	uint64_t used_at;
	int64_t until_ms;
	struct resolved_user user;
};

struct identity_table {
	struct identity rows[IDENTITY_SETS][IDENTITY_WAYS];
	struct identity_file files[IDENTITY_FILES];
	uint32_t generation; /* counts changes of the files */
	uint64_t clock;	     /* of uses */
	int64_t broken_until_ms;
	bool was_broken; /* and the log says so */
	struct {
		bool used;
		uint32_t uid, generation;
	} runs[RESOLVER_RUNS];
	struct resolved_user unknown; /* the answer where there is none */
};

/*
 * Lends what is known of uid until the next call. -EINPROGRESS: the resolver
 * has to answer first, and defer_wake() follows. resolved: it just did, and
 * what it said counts even if a file has changed since.
 */
must_check int identity_get(struct spawner *spawner, uint32_t uid,
			    bool resolved, const struct resolved_user **ret);

/* Its own owner, without a name, to whom nothing is delegated. */
void identity_unknown(uint32_t uid, struct resolved_user *ret);

#endif
