/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As whom somebody looks at containers and events: an owner at his own, an
 * admin at all.
 */
#ifndef NSX_DAEMON_VIEWER_H
#define NSX_DAEMON_VIEWER_H

#include <stdbool.h>
#include <sys/types.h>

struct viewer {
	uid_t owner;
	bool admin;
};

static inline bool
viewer_sees(struct viewer viewer, uid_t owner)
{
	return viewer.admin || viewer.owner == owner;
}

/*
 * Whose numbers of events are his: the admins share root's, which have an event
 * of everybody's. Root who is no admin by the policy reads those too, but is
 * shown his own alone.
 */
static inline uid_t
viewer_ring(struct viewer viewer)
{
	return viewer.admin ? 0 : viewer.owner;
}

#endif
