/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of a start: launch.c (the call, its descriptors, its
 * key), start.c (a container), start_exec.c (a process in one) and
 * start_send.c (the message).
 */
#ifndef NSX_DAEMON_START_PART_H
#define NSX_DAEMON_START_PART_H

#include "daemon/park.h"
#include "daemon/plan.h"
#include "daemon/rpc.h"
#include "daemon/start.h"

/* A call that is about to start something. */
struct launch {
	uint64_t call_id;
	struct rpc_caller caller;
	enum park_kind kind;
	struct spec *spec;	       /* owned */
	char target[SPEC_ID_MAX + 13]; /* with an owner: "UID/" */
};

/* What goes to the spawner beside the message. */
struct parcel {
	struct plan plan;
	int caller_fd;	/* lent by the server */
	int channel_fd; /* the caller's fd connection; owned */
};

/* Each -EINVAL with *error. */
int start_out_of_memory(struct error *error);
int start_fail_setup(struct error *error, const char *step, const char *syscall,
		     int r);

/*
 * The task is in its table and the plan is made: send it, and let the call wait
 * for it. On error nothing of it was sent, and the call has no answer yet.
 */
must_check int start_parked(struct task *task, struct parcel *parcel,
			    const struct launch *launch, struct error *error);

/* A new container, or a process in one; the call is parked on success. */
must_check int start_container(struct daemon *daemon,
			       const struct launch *launch,
			       struct parcel *parcel, struct error *error);
must_check int start_exec(struct daemon *daemon, const struct launch *launch,
			  struct parcel *parcel, struct error *error);

#endif
