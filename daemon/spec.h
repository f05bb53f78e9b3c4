/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request asks for, checked and plain: no protobuf behind this line.
 * request.c fills it, plan.c turns it into a bootstrap message, and it lives
 * until the message is sent. It owns every text it points to.
 */
#ifndef NSX_DAEMON_SPEC_H
#define NSX_DAEMON_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/arena.h"
#include "proto/bootstrap.h"
#include "proto/idmap.h"

#define SPEC_ID_MAX 64
#define SPEC_KEY_SIZE 16
#define SPEC_LEASE_SIZE 16
#define SPEC_TIMEOUT_MS 30000u

/* Id maps as asked for: rows are filled for IDMAP_EXPLICIT only. */
struct spec_maps {
	enum idmap_preset preset; /* 0: no maps asked for */
	struct idmap uid, gid;
};

struct spec {
	struct arena arena;
	char id[SPEC_ID_MAX + 1];   /* empty: to be made up */
	char name[SPEC_ID_MAX + 1]; /* empty: none */
	/*
	 * The part of the message that the request gives as it is: joins,
	 * names, mounts, limits, stdio. plan.c adds maps, ids, gate, roles.
	 * boot.clone_flags = the kinds to create.
	 */
	struct bootstrap boot;
	uint32_t join_flags;
	struct spec_maps maps;

	/* argv, then env: NUL-ended strings in a row */
	char *exec_data;
	size_t argv_size, env_size;
	uint32_t argc, envc;

	char **labels;
	size_t n_labels;

	bool has_key;
	uint8_t key[SPEC_KEY_SIZE];
	uint64_t hash; /* of what the request asks for, if has_key */
	bool has_lease;
	uint8_t lease[SPEC_LEASE_SIZE];
	bool has_fd_token;
	uint8_t fd_token[16];
	uint32_t timeout_ms;
	uint64_t received_ns; /* CLOCK_MONOTONIC */
	bool trace;	      /* wanted with the answer */
};

void spec_init(struct spec *spec);
/* Safe twice. */
void spec_deinit(struct spec *spec);
/* Allocates one; frees it with spec_free(), which returns NULL. */
must_check int spec_new(struct spec **ret);
struct spec *spec_free(struct spec *spec);

/*
 * Specs that are not in use. One is 16 KiB and made before the container that
 * stays: taken from the heap for each start it would leave a hole there, which
 * small things fill until the next has no place and the heap grows.
 */
#define SPEC_POOL_MAX 8
struct spec_pool {
	struct spec *specs[SPEC_POOL_MAX];
	size_t n;
};

/* An empty spec; it goes back with spec_give(), which returns NULL. -ENOMEM. */
must_check int spec_take(struct spec_pool *pool, struct spec **ret);
/* Keeps SPEC_POOL_MAX and frees what is more. */
struct spec *spec_give(struct spec_pool *pool, struct spec *spec);
/* Safe twice. */
void spec_pool_deinit(struct spec_pool *pool);

#endif
