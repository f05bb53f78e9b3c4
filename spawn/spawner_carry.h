/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spawner's state out of it and into another program in the same process.
 * Carried: what others hold us to, as children, connections, answers owed,
 * requests that wait, starts in flight, nsexecd, the policy in force. Not
 * carried, and made or asked anew: zygotes, errands, accounts, who a connection
 * is.
 */
#ifndef NSX_SPAWN_SPAWNER_CARRY_H
#define NSX_SPAWN_SPAWNER_CARRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

struct spawner;
struct state_writer;

/*
 * Write all of it. for_trial: for a program that shall only say whether it
 * could go on. It gets no requests that wait: a copy of an init channel in it
 * would put off that channel's end. 0 or -ENOMEM.
 */
must_check int carry_save(const struct spawner *spawner, bool for_trial,
			  struct state_writer *writer);

/*
 * All descriptors that a checked state names are open: close-on-exec from now
 * on; and no other is open any more above 2. 0 or -errno.
 */
must_check int carry_take_fds(const uint8_t *data, size_t size);
/* A checked state into an empty spawner, which has them from now on. 0 or
 * -errno. */
must_check int carry_resume(struct spawner *spawner, const uint8_t *data,
			    size_t size);
#endif
