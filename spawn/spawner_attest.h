/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks: read by the spawner itself from the caller's connection, which
 * nsexecd hands on. Bytes never say who somebody is.
 */
#ifndef NSX_SPAWN_SPAWNER_ATTEST_H
#define NSX_SPAWN_SPAWNER_ATTEST_H

#include "lib/err.h"
#include "proto/errcode.h"
#include "spawn/stage.h"

/* Why a connection was refused: static text. */
struct attest_refusal {
	enum errcode code;
	int error; /* errno or 0 */
	const char *rule;
};

/* How a connection is looked at; 0: for one that wants something done. */
enum attest_flags {
	/* A caller that has ended its sending side still reads answers, so it
	 * may be told who it is. */
	ATTEST_TELL = 1 << 0,
	/* Its namespaces were looked at before. */
	ATTEST_KNOWN = 1 << 1,
};

/*
 * Fill *ret from the caller's RPC connection (stream). 0, or -EPERM with
 * *refusal. caller_deinit() afterwards in either case.
 */
must_check int attest_caller(int connection, int proc_fd, unsigned int flags,
			     struct caller *ret,
			     struct attest_refusal *refusal);
/* The same of a connection that we accepted on spawner.sock: who asks there. */
must_check int attest_asker(int connection, int proc_fd, struct caller *ret,
			    struct attest_refusal *refusal);
/* The fd socket's connection (seqpacket) is of the same ids and groups. */
must_check int attest_channel(int connection, int proc_fd,
			      const struct caller *caller,
			      struct attest_refusal *refusal);
void caller_deinit(struct caller *caller);

#endif
