/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error codes that callers see, one table: name, ttrpc status, exit status
 * of nsexecctl, whether a retry can help. Numbers equal nsexec.v1.ErrorCode.
 */
#ifndef NSX_PROTO_ERRCODE_H
#define NSX_PROTO_ERRCODE_H

#include <stdbool.h>

enum errcode {
	ERRCODE_NONE,
	ERRCODE_INVALID_ARGUMENT,
	ERRCODE_MAP_INVALID,
	ERRCODE_NS_TYPE_MISMATCH,
	ERRCODE_NOT_FOUND,
	ERRCODE_GONE,
	ERRCODE_CONFLICT,
	ERRCODE_FAILED_PRECONDITION,
	ERRCODE_PERMISSION_DENIED,
	ERRCODE_MAP_DENIED,
	ERRCODE_NS_DENIED,
	ERRCODE_NEED_USERNS,
	ERRCODE_CONFINED,
	ERRCODE_CALLER_GONE,
	ERRCODE_QUOTA,
	ERRCODE_RATE,
	ERRCODE_OVERLOADED,
	ERRCODE_NS_LIMIT,
	ERRCODE_EXEC_FAILED,
	ERRCODE_STAGE_FAILED,
	ERRCODE_DEADLINE,
	ERRCODE_CANCELLED,
	ERRCODE_ABORTED_RESTART,
	ERRCODE_UNSUPPORTED,
	ERRCODE_INTERNAL,
	N_ERRCODES,
};

struct errcode_row {
	const char *name;
	int ttrpc;     /* gRPC status code */
	int verb_exit; /* nsexecctl, verbs that run nothing */
	int run_exit;  /* nsexecctl run, exec, enter */
	bool retryable;
};
/* Row of a code; INTERNAL's for a number that is not one. */
const struct errcode_row *errcode_row(unsigned int code);

#endif
