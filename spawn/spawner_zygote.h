/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spawner's zygotes (zygote.h): one per CPU, at most four. A start goes to
 * an idle one; when all are busy, asleep until their inits exec, or one has
 * died, the spawner clones init itself, so nobody ever waits for a zygote.
 */
#ifndef NSX_SPAWN_SPAWNER_ZYGOTE_H
#define NSX_SPAWN_SPAWNER_ZYGOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/idmap.h"
#include "spawn/mapset.h"
#include "spawn/spawner_loop.h"
#include "spawn/zygote.h"

#define ZYGOTES_MAX 4

struct container_name;
struct request;
struct spawner;
struct stage_input;
struct start;

struct zygote_slot {
	pid_t pid; /* 0 = none */
	int pidfd; /* owned */
	int sock;  /* owned */
	struct watch pid_watch, sock_watch;
	bool busy;
	struct start *start; /* in flight; NULL when told of or dropped */
	pid_t child;	     /* as it was reported; 0 = not yet */
	struct mapset maps;  /* of that start */
	bool has_user;
	char uid_map[IDMAP_MAX_TEXT], gid_map[IDMAP_MAX_TEXT];
};

struct zygote_pool {
	size_t n;
	struct zygote_slot slots[ZYGOTES_MAX];
	uint8_t datagram[ZYGOTE_DATAGRAM_MAX]; /* being sent */
};

/* All lent. */
struct zygote_order {
	const struct stage_input *input;
	const struct request *request;
	const struct container_name *name;
	int leaf_fd;
};

void zygotes_init(struct zygote_pool *pool);
/* Fork them. Where that fails there are fewer, or none. */
void zygotes_start(struct spawner *spawner);
void zygotes_deinit(struct spawner *spawner);
void zygotes_on_timer(struct spawner *spawner);
/* Has any a start that it did not tell of yet? */
bool zygotes_are_starting(const struct zygote_pool *pool);
/* Kill those: their starts fail, as at any death of a zygote. */
void zygotes_end_starts(struct zygote_pool *pool);
bool zygotes_has(const struct zygote_pool *pool, pid_t pid);

/*
 * Give a start to an idle zygote; the request is answered when its init
 * exists, and the cgroup is the flight's from now on. false: it has to be done
 * in another way.
 */
bool zygotes_take(struct spawner *spawner, const struct zygote_order *order);

#endif
