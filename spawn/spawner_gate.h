/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gates of created containers: seqpacket listeners gates/OWNER:ID, since an id
 * is one owner's alone. Init holds the
 * listener and accepts until it reads a byte; opening the gate is connecting
 * to it by name, so a new nsexecd finds it again. The directory belongs to
 * nsexecd's uid: what lies there under a name is looked at before it is used.
 */
#ifndef NSX_SPAWN_SPAWNER_GATE_H
#define NSX_SPAWN_SPAWNER_GATE_H

#include "lib/err.h"

struct container_name;

/* Bind its name. A leftover of that name is replaced: its cgroup is new. */
must_check int gate_listen(int gates_fd, const struct container_name *name,
			   int *ret_fd);
/*
 * Let init go on and remove the name. -ENOENT: no gate of that name, it was
 * opened before; -ECONNREFUSED: nobody waits there any more.
 */
must_check int gate_open(int gates_fd, int proc_fd,
			 const struct container_name *name);
/* Forget the name, if it is there. */
void gate_remove(int gates_fd, const struct container_name *name);

#endif
