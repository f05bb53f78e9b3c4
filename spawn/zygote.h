/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A zygote: a fork of the spawner, made at its start, that does nothing but
 * clone inits for admins (direct.h) in its own memory, asleep until they exec
 * or end (lib/vfork.h). Copying page tables and faulting pages in again is most
 * of what a fork costs; here is none of it, and the spawner never waits.
 *
 *	spawner  ZYGOTE_START ------------> zygote
 *	                                    clones init with CLONE_PARENT
 *	spawner  <-- ZYGOTE_CHILD {pid} --- init, before anything else
 *	spawner  maps, then the go -------> init, if it has a user namespace
 *	spawner  <-- ZYGOTE_IDLE {pid} ---- zygote, once init exec'd or ended
 *
 * All of it on one seqpacket socket, whose end of file ends the zygote. Init is
 * the spawner's child; it runs in the zygote's memory only while it is our own
 * code with an admin's rights, and never for an ordinary caller, who may stop
 * or trace what runs under its uid.
 */
#ifndef NSX_SPAWN_ZYGOTE_H
#define NSX_SPAWN_ZYGOTE_H

#include <stdint.h>

#include "proto/nlmsg.h"

#define ZYGOTE_MAX_GROUPS 64

enum zygote_message {
	ZYGOTE_CHILD = 1,
	ZYGOTE_IDLE,
};

/* To the spawner. */
struct zygote_report {
	uint32_t message;
	int32_t pid;   /* init; with IDLE 0 = there was none */
	int32_t error; /* positive errno of clone3, with IDLE */
};

/*
 * ZYGOTE_START: this, then message_size bytes of the request, which the spawner
 * has checked. Descriptors: the cgroup, the init channel, and the fd channel if
 * there is one.
 */
struct zygote_start {
	uint32_t uid, gid; /* the caller's */
	int32_t pid;
	uint32_t n_groups;
	uint32_t groups[ZYGOTE_MAX_GROUPS];
	uint16_t type; /* OP_START */
	uint16_t has_fd_channel;
	uint32_t message_size;
};
#define ZYGOTE_DATAGRAM_MAX (sizeof(struct zygote_start) + NLMSG_MAX)

struct spawner;

/* In the fork, for its whole life. sock: owned. */
_Noreturn void zygote_run(const struct spawner *spawner, int sock);

#endif
