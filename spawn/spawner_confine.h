/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In what a caller's process differs from the spawner: whoever is confined must
 * not get an unconfined process from us. Read through our own procfs by the pid
 * of the connection; that it was the caller's all along is seen afterwards, by
 * the pidfd. Only what holds for the process's first thread is seen; Landlock
 * is visible nowhere but in no_new_privs.
 */
#ifndef NSX_SPAWN_SPAWNER_CONFINE_H
#define NSX_SPAWN_SPAWNER_CONFINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"
#include "proto/nsplan.h"
#include "proto/who.h"

/* The same of the spawner itself and of a caller. */
struct confinement {
	uint64_t namespaces[N_NS_KINDS];
	uint64_t root_dev, root_inode, root_mount; /* mount 0: not known */
	uint32_t seccomp, n_filters;		   /* of /proc/PID/status */
	bool no_new_privs;
	char label[POLICY_LABEL_MAX]; /* "": none */
};

/*
 * All but the label. -ENOENT, -ESRCH: the process is gone. What cannot be read
 * is an error as well: never an absence.
 */
must_check int confinement_read(int proc_fd, const char *pid,
				struct confinement *ret);
/* Pure: seccomp, n_filters, no_new_privs of /proc/PID/status. -EBADMSG. */
must_check int confinement_parse_status(const char *text,
					struct confinement *ret);
/* Pure: POLICY_CONFINED_BIT()s. */
uint32_t confinement_compare(const struct confinement *own,
			     const struct confinement *other);
/* Of ourselves, to compare with. */
must_check int confinement_read_own(int proc_fd, struct confinement *ret);
/* Label of the peer (SO_PEERSEC), cut; "" if there is no such thing. */
void confinement_peer_label(int connection, char label[POLICY_LABEL_MAX]);

#endif
