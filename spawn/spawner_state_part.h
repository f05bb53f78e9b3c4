/* SPDX-License-Identifier: Apache-2.0 */
/* What the records of a state look like. Inside spawner_state*.c only. */
#ifndef NSX_SPAWN_SPAWNER_STATE_PART_H
#define NSX_SPAWN_SPAWNER_STATE_PART_H

#include "spawn/spawner_state.h"

#define STATE_ALIGN(size) (((size_t)(size) + 7) & ~(size_t)7)
#define STATE_TEXT_MAX 4096

struct state_row {
	size_t size;	 /* of the structure */
	size_t tail_max; /* of the bytes behind it */
	size_t fds_offset, n_fds;
	size_t pid_offset;
	bool has_pid;
};
extern const struct state_row state_rows[N_STATE_KINDS];

#endif
