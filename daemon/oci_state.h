/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a container as the OCI runtime specification has it in JSON. */
#ifndef NSX_DAEMON_OCI_STATE_H
#define NSX_DAEMON_OCI_STATE_H

#include "daemon/container.h"

/* *ret is new, NUL-terminated and given. 0 or -ENOMEM. */
must_check int oci_state_format(const struct container *container, char **ret);

#endif
