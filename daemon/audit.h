/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log: one record for each decision on a request that acts (allowed)
 * or on any request at all (denied), and one for each terminal event. Fields
 * are in audit.c's table; arguments appear as a digest only.
 *
 * An admin's request is on record before it acts, any other's when it is
 * answered. What the log does not take is counted and told later; nothing
 * waits for it. Denials of one owner are at most ten a second, the rest is
 * counted.
 */
#ifndef NSX_DAEMON_AUDIT_H
#define NSX_DAEMON_AUDIT_H

#include <stdbool.h>

#include "daemon/daemon.h"
#include "daemon/error.h"
#include "daemon/rpc.h"
#include "lib/sha256.h"

struct event_draft;
struct event_seqs;
struct task;

/* Denials of one owner in a second. */
#define AUDIT_DENIALS 10u
#define AUDIT_MAP_MAX 128 /* bytes of a map in a record, with the NUL */

/* What is kept of a request until its decision. */
struct audit_note {
	char request_sha256[SHA256_HEX_SIZE];
	char argv_sha256[SHA256_HEX_SIZE]; /* empty: it has none */
	char instance[65];		   /* empty: not named */
	char key[33];			   /* hexadecimal; empty: none */
	/* Of a spec: "user,pid", "net", "map-root" or "0:1000:1,1:..."; cut to
	 * fit, with ",..." at the end. */
	char ns_new[64], ns_join[64];
	char uid_map[AUDIT_MAP_MAX], gid_map[AUDIT_MAP_MAX];
};
/* size bytes are the request as it came, message the same decoded. */
void audit_note_fill(struct audit_note *note, const ProtobufCMessage *message,
		     const void *data, size_t size);

/* A new copy of one that was handed over, its texts ended; NULL: no memory. */
struct audit_note *audit_note_restore(const void *data);

struct audit_verdict {
	const char *op; /* the method's name, or "connect" */
	const struct rpc_caller *caller;
	const struct audit_note *note;	  /* NULL: none */
	const struct error *error;	  /* NULL: allowed */
	const ProtobufCMessage *response; /* names a new instance, or NULL */
};
void audit_verdict(struct daemon *daemon, const struct audit_verdict *verdict);
/* draft is of the terminal event of this task. */
void audit_event(struct daemon *daemon, const struct event_draft *draft,
		 const struct event_seqs *seqs, const struct task *task);

#endif
