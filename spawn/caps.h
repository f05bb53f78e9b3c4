/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The five capability sets (capabilities(7)). For an admin an absent set stays
 * what the user namespace gives; for an ordinary caller it becomes empty.
 * Inheritable and ambient are empty unless asked for (CVE-2022-24769).
 */
#ifndef NSX_SPAWN_CAPS_H
#define NSX_SPAWN_CAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "spawn/stagectx.h"

struct capset_words {
	uint64_t effective;
	uint64_t permitted;
	uint64_t inheritable;
};

/* capset(2), capget(2) of the calling process; 0 or -errno. */
must_check int caps_set(const struct capset_words *words);
must_check int caps_get(struct capset_words *ret);

/*
 * Pure: the three words to set, from what is held, what was asked and whether
 * what is held stays. Nothing is added that is not held: the kernel refuses
 * that.
 */
void caps_build(const struct bootstrap_caps *asked, bool keep,
		const struct capset_words *held, struct capset_words *ret);

/*
 * Drop from the bounding set all that is not in keep; without CAP_SETPCAP only
 * an admin's start fails.
 */
must_check int caps_drop_bounding(struct stage_context *context, uint64_t keep);

/* Before the ids change: bounding set, and keep what is permitted. */
must_check int caps_prepare(struct stage_context *context);
/* After they changed: permitted, effective, inheritable, ambient. */
must_check int caps_finish(struct stage_context *context);

#endif
