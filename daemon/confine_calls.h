/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls that a confined nsexecd may make, as one table, and the
 * filter built from it. A call on no list gets EPERM and nsexecd goes on; one
 * of confine_fatal ends it, for no bug of ours makes such a call.
 */
#ifndef NSX_DAEMON_CONFINE_CALLS_H
#define NSX_DAEMON_CONFINE_CALLS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

/* What an argument must be for the row to allow the call. */
enum confine_condition {
	CONFINE_ANY = 0,   /* the call with whatever arguments */
	CONFINE_MASKED_EQ, /* (argument & mask) == value */
	CONFINE_OWN_PID,   /* the argument is this process's pid */
};

struct confine_call {
	const char *name;
	const char *why; /* who needs it; or why it is fatal */
	int number;	 /* of libseccomp: negative if this machine has none */
	enum confine_condition condition;
	unsigned int argument; /* the condition's, from 0 */
	uint32_t mask, value;
};

/* Both end with a row without a name. */
extern const struct confine_call confine_allowed[];
extern const struct confine_call confine_fatal[];

/* Build the filter and put it on for ever; needs no_new_privs. -errno. */
must_check int confine_calls(void);

#endif
