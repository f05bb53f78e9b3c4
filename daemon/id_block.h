/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of 65,536 delegated ids, one for each container of the preset
 * auto-private: no two live ones of an owner share one. Which are taken is read
 * from the containers themselves, so it is on record with them and free with
 * their end.
 */
#ifndef NSX_DAEMON_ID_BLOCK_H
#define NSX_DAEMON_ID_BLOCK_H

#include <stdint.h>

#include "daemon/error.h"

struct daemon;
struct rpc_caller;
struct spec;

/* First host ids of both sides; 0: none (host id 0 is never delegated). */
struct id_block {
	uint32_t uid, gid;
};

/*
 * The first that is free, for a spec that asks for one; {0, 0} for any other.
 * 0, or -EINVAL with *error: MAP_INVALID if none is delegated at all, QUOTA
 * `id-blocks` if each is taken.
 */
must_check int id_block_choose(struct daemon *daemon,
			       const struct rpc_caller *caller,
			       const struct spec *spec, struct id_block *ret,
			       struct error *error);

#endif
