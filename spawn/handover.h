/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The go: one datagram from whoever wrote the maps (relay or mapper) to init,
 * which waits for it in a single read. Time offsets travel as a descriptor of
 * init's own timens_offsets file, so that init need not ask again once it has
 * its time namespace.
 *
 * End of file instead = the writer died: init ends, nothing was exec'd.
 */
#ifndef NSX_SPAWN_HANDOVER_H
#define NSX_SPAWN_HANDOVER_H

#include "lib/err.h"
#include "spawn/stagectx.h"

must_check int handover_open(struct stage_context *context);
/* offsets_fd: lent, -1 = none. 0 or -errno. */
must_check int handover_send(int go_write, int offsets_fd);
/* Init: -ECANCELED = end without a report. Fills context->offsets_fd. */
must_check int handover_wait(struct stage_context *context);

#endif
