/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a struct spec to the message that the spawner gets. Pure but for the
 * sealed memfd of a large argv and env.
 */
#ifndef NSX_DAEMON_PLAN_H
#define NSX_DAEMON_PLAN_H

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/error.h"
#include "daemon/mapping.h"
#include "daemon/spec.h"

#define PLAN_INLINE_MAX (16u * 1024u) /* argv + env above it: a memfd */
#define PLAN_PHASE_TIMEOUT_MS 10000u

struct plan_input {
	uid_t uid;
	gid_t gid;
	bool admin;
	bool no_new_privs;		 /* forced */
	const struct identity *identity; /* NULL: nothing is delegated */
	struct id_block block;		 /* for IDMAP_AUTO_PRIVATE */
	const char *container;		 /* id */
	enum bootstrap_gate gate;
	bool leased;		/* told by explain, planned by nobody */
	pid_t target_pid;	/* EXEC: init of the container */
	bool target_has_userns; /* EXEC: it is in another user namespace */
};

struct plan {
	struct bootstrap boot; /* borrows from the spec and from mapping */
	struct mapping mapping;
	int exec_block; /* sealed memfd or -1; owned */
};

/*
 * Rules that need the caller: NEED_USERNS, ids that the maps do not hold.
 * Fills *ret; plan_deinit() it. 0 or -errno with *error.
 */
must_check int plan_build(const struct spec *spec,
			  const struct plan_input *input, struct plan *ret,
			  struct error *error);
struct plan_message {
	size_t size;
	unsigned char data[NLMSG_MAX];
};

/* Safe twice. */
void plan_deinit(struct plan *plan);

/*
 * Encode with this seq. 0, or -EINVAL with *error naming the
 * attribute and the limit.
 */
must_check int plan_encode(struct plan *plan, uint32_t seq,
			   struct plan_message *message, struct error *error);

#endif
