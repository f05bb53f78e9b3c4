/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations: one const table row each, read by one dispatcher that checks
 * sender, attributes and descriptors before it calls. Every function answers
 * its request exactly once, at once or (START, EXEC, CGROUP_REMOVE, KEEP, STOP)
 * later by connection id and seq.
 */
#ifndef NSX_SPAWN_SPAWNER_OPS_H
#define NSX_SPAWN_SPAWNER_OPS_H

#include "proto/ops.h"
#include "spawn/spawner_conn.h"

typedef void (*op_fn)(struct spawner *spawner, const struct request *request,
		      const struct op_message *msg);

/* Check a request and run it; or refuse it. */
void ops_dispatch(struct spawner *spawner, const struct request *request);
/* A datagram that was too long, or carried what is not a descriptor. */
void ops_refuse_cut(struct spawner *spawner, const struct request *request);

/* A refusal: code and which rule. */
void ops_refuse(struct spawner *spawner, const struct request *request,
		enum errcode code, const char *rule);
/* A bound of the owner's cgroup. */
void ops_refuse_quota(struct spawner *spawner, const struct request *request,
		      const struct op_quota *quota);
/* The caller's connection was refused. */
struct attest_refusal;
void ops_refuse_caller(struct spawner *spawner, const struct request *request,
		       const struct attest_refusal *refusal);
/* A system call that failed; error is a negative errno. */
struct op_failure {
	enum errcode code;
	int error;
	const char *step, *syscall, *object;
};
void ops_fail(struct spawner *spawner, const struct request *request,
	      const struct op_failure *failure);

/* spawner_ops_child.c */
void op_status(struct spawner *spawner, const struct request *request,
	       const struct op_message *msg);
void op_reap(struct spawner *spawner, const struct request *request,
	     const struct op_message *msg);
void op_list(struct spawner *spawner, const struct request *request,
	     const struct op_message *msg);
void op_pidfd(struct spawner *spawner, const struct request *request,
	      const struct op_message *msg);
/* Send more entries of a LIST, as many as the socket takes. */
void ops_list_continue(struct spawner *spawner, struct conn *conn);

/* spawner_ops_container.c */
void op_open(struct spawner *spawner, const struct request *request,
	     const struct op_message *msg);
void op_signal(struct spawner *spawner, const struct request *request,
	       const struct op_message *msg);
void op_kill_all(struct spawner *spawner, const struct request *request,
		 const struct op_message *msg);
void op_processes(struct spawner *spawner, const struct request *request,
		  const struct op_message *msg);
void op_cgroup_remove(struct spawner *spawner, const struct request *request,
		      const struct op_message *msg);

/* spawner_ops_who.c */
void op_who(struct spawner *spawner, const struct request *request,
	    const struct op_message *msg);

#endif
