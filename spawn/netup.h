/* SPDX-License-Identifier: Apache-2.0 */
/* The loopback device of a new network namespace. */
#ifndef NSX_SPAWN_NETUP_H
#define NSX_SPAWN_NETUP_H

#include "lib/err.h"

/* "lo" up in the calling process's network namespace. 0 or -errno. */
must_check int netup_loopback(void);

#endif
