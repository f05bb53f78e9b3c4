/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place where a struct error becomes nsexec.v1.ErrorDetail and the
 * code and message of a ttrpc status.
 */
#ifndef NSX_DAEMON_ERROR_PACK_H
#define NSX_DAEMON_ERROR_PACK_H

#include "daemon/error.h"
#include "proto/nsexec.pb-c.h"

#define ERROR_DETAIL_TYPE_URL "type.googleapis.com/nsexec.v1.ErrorDetail"

/* The message and the texts it points to: valid as long as this struct. */
struct error_packed {
	Nsexec__V1__ErrorDetail detail;
	int ttrpc; /* gRPC status code */
	Nsexec__V1__Trace trace;
	char step[4 * FAILURE_WORD_MAX];
	char syscall[4 * FAILURE_WORD_MAX];
	char object[4 * FAILURE_OBJECT_MAX];
	char rule[4 * 192];
	char hint[4 * 256];
	char message[2048]; /* also the status message */
};

/* Fill *ret from *error; all text comes out as valid UTF-8. */
void error_pack(const struct error *error, struct error_packed *ret);

#endif
