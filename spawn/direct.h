/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A start without a relay: the spawner clones init itself, straight into its
 * user and pid namespace, and writes its maps. A fork less, and with it a third
 * of what a start costs beyond the kernel's own part.
 *
 *	spawner  clone ----------------> init   fds, stdio, session
 *	spawner  writes maps, go ------> init   the rest; see init.c
 *
 * Only for an admin, whose stages keep the spawner's rights: of others nothing
 * may be opened, joined or made before they are the caller. And only where
 * nothing is needed that a process inside a new user namespace cannot do:
 * direct_is_possible() has the list.
 */
#ifndef NSX_SPAWN_DIRECT_H
#define NSX_SPAWN_DIRECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"
#include "spawn/stage.h"

struct direct {
	uint64_t clone_flags;  /* CLONE_NEW* for the clone of init */
	int go_read, go_write; /* owned; -1 = init need not wait */
};

/* Pure. */
bool direct_is_possible(const struct stage_input *input);

/*
 * Pure: and may init even run in the memory of whoever clones it, until it
 * execs (zygote.h)? If it maps nothing and waits at no gate for long.
 */
bool direct_is_shareable(const struct stage_input *input);

/* Spawner, before the clone. 0 or -errno; then direct_close(). */
must_check int direct_open(const struct stage_input *input, struct direct *ret);
void direct_close(struct direct *direct);

/* In the child, in its cgroup, with nothing open but what it was given. */
_Noreturn void direct_run(const struct stage_input *input,
			  const struct direct *direct);

/*
 * Spawner, after the clone: write the maps of that child and let it go. 0, or
 * -errno with *failure (stage spawner): the child then ends by itself without
 * a report. Never waits for the child.
 */
must_check int direct_let_go(const struct stage_input *input,
			     struct direct *direct, pid_t pid,
			     struct failure *failure);

#endif
