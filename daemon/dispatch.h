/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From frames to methods: the ids' rules, the envelope, the method's own
 * bound, the limits, the request, and the one place that calls a method.
 * Behaviour towards violations: spec of ttrpc 1.5 and 1.8, in the table above
 * dispatch.c. After any of these the peer may be doomed.
 */
#ifndef NSX_DAEMON_DISPATCH_H
#define NSX_DAEMON_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/ttrpc_frame.h"

struct peer;

/* A whole frame; data is NULL where its type's data is not looked at. */
void dispatch_frame(struct peer *peer, const struct ttrpc_header *header,
		    const uint8_t *data);
/*
 * A frame that has been dropped: too long for its method, or (busy) more than
 * there is room for just now.
 */
void dispatch_too_large(struct peer *peer, const struct ttrpc_header *header,
			bool busy);

/* Worth looking into have bytes of a frame that has need bytes? */
bool dispatch_peeks_at(size_t need, size_t have);
/* Do the first bytes name a method that takes no frame of this length? */
bool dispatch_is_oversize(struct peer *peer, const struct ttrpc_header *header,
			  const uint8_t *data, size_t have);

#endif
