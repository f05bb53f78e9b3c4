/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of operations, and its one reader. This is the page to review: a
 * sender may be a subverted nsexecd, and each row says why that gains nothing.
 */
#include "spawn/spawner_ops.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/text.h"
#include "lib/util.h"
#include "spawn/spawner.h"
#include "spawn/spawner_attest.h"

#define ATTR(name) (1u << (OP_ATTR_##name - OP_ATTR_CONTAINER))

struct op_row {
	op_fn fn;
	const char *name;
	uint32_t required, optional; /* attributes, by ATTR() */
	uint8_t min_fds, max_fds;
	bool root_only;	   /* the sender's uid is 0 */
	bool is_bootstrap; /* a bootstrap message: read by the function */
};

static void
op_ping(struct spawner *spawner, const struct request *request,
	const struct op_message *msg)
{
	answer_done(spawner, request->conn_id, request->seq);
	keeper_on_ping(spawner, request->conn);
}

static const struct op_row op_rows[] = {
	/* Runs nothing as anybody but the peer of a live connection accepted
	 * from a listener of root; the stage takes that peer's credentials
	 * before it opens a path. The cgroup is made by name, new. */
	[OP_START - OP_START] = { .fn = op_start,
				  .name = "start",
				  .max_fds = FD_MSG_MAX,
				  .is_bootstrap = true },
	/* As START; and the target is our own child in a cgroup of that same
	 * peer, or the peer is uid 0. */
	[OP_EXEC - OP_START] = { .fn = op_exec,
				 .name = "exec",
				 .max_fds = FD_MSG_MAX,
				 .is_bootstrap = true },
	/* Owner or admin, by the connection. Connects only to a socket that
	 * root bound, for a child of that container which still waits, or for
	 * one that an earlier spawner left and whose id is its own alone. */
	[OP_OPEN - OP_START] = { .fn = op_open,
				 .name = "open",
				 .required = ATTR(CONTAINER),
				 .optional = ATTR(UID),
				 .min_fds = 1,
				 .max_fds = 1 },
	/* Only to an own unreaped child, in that container's cgroup. With no
	 * connection only SIGKILL: to withhold and to kill is all that a
	 * subverted nsexecd can do anyway. */
	[OP_SIGNAL - OP_START] = { .fn = op_signal,
				   .name = "signal",
				   .required = ATTR(CONTAINER) | ATTR(PID) |
					       ATTR(SIGNAL),
				   .optional = ATTR(UID),
				   .max_fds = 1 },
	/* The same for all processes of a leaf below our own root. */
	[OP_KILL_ALL - OP_START] = { .fn = op_kill_all,
				     .name = "kill-all",
				     .required = ATTR(CONTAINER) | ATTR(SIGNAL),
				     .optional = ATTR(UID),
				     .max_fds = 1 },
	/* Tells of container children only, and of what is in a container's
	 * cgroup; changes nothing. */
	[OP_STATUS - OP_START] = { .fn = op_status,
				   .name = "status",
				   .required = ATTR(PID),
				   .optional = ATTR(CONTAINER) | ATTR(UID) },
	/* A zombie container child only: never a relay, never the worker. The
	 * most it does is lose an exit status that nsexecd alone wanted. */
	[OP_REAP - OP_START] = { .fn = op_reap,
				 .name = "reap",
				 .required = ATTR(PID) },
	/* As STATUS and PIDFD, of each. */
	[OP_LIST - OP_START] = { .fn = op_list, .name = "list" },
	/* nsexecd's uid may not signal a payload through it: the kernel checks
	 * the sender's credentials at the use of a pidfd. With a container also
	 * of a process that is none of our children, but in a cgroup that root
	 * has made for that container. */
	[OP_PIDFD - OP_START] = { .fn = op_pidfd,
				  .name = "pidfd",
				  .required = ATTR(PID),
				  .optional = ATTR(CONTAINER) | ATTR(UID) },
	/* rmdir of a leaf below our root, which the kernel refuses while
	 * anything lives in it, and we while a child of it is not reaped. */
	[OP_CGROUP_REMOVE -
		OP_START] = { .fn = op_cgroup_remove,
			      .name = "cgroup-remove",
			      .required = ATTR(CONTAINER) | ATTR(UID) },
	/* Says that we live. */
	[OP_PING - OP_START] = { .fn = op_ping, .name = "ping" },
	/* Starts a program without privilege, of uid 0's choice. */
	[OP_KEEP - OP_START] = { .fn = op_keep,
				 .name = "keep",
				 .min_fds = 1,
				 .max_fds = 2,
				 .root_only = true },
	/* uid 0 could kill it by itself. */
	[OP_STOP - OP_START] = { .fn = op_stop,
				 .name = "stop",
				 .root_only = true },
	/* Pids that anybody can see in /proc; changes nothing. */
	[OP_PROCESSES - OP_START] = { .fn = op_processes,
				      .name = "processes",
				      .required = ATTR(CONTAINER) | ATTR(UID) },
	/* Tells what the kernel says of a peer whose connection nsexecd holds
	 * already; changes nothing. */
	[OP_WHO - OP_START] = { .fn = op_who,
				.name = "who",
				.min_fds = 1,
				.max_fds = 1 },
	/* uid 0 wrote the files that are read. */
	[OP_RELOAD - OP_START] = { .fn = op_reload,
				   .name = "reload",
				   .root_only = true },
	/* Only the kept worker's, a few, never looked into: it gets back what
	 * it gave. Sockets and memfds alone, since to close anything else may
	 * take as long as a user's FUSE server likes. */
	[OP_STORE - OP_START] = { .fn = op_store,
				  .name = "store",
				  .required = ATTR(CONTAINER),
				  .max_fds = 1 },
	/* Runs a program as root: what root installed in our own place, or what
	 * an unconfined root of our own namespaces brought, who could replace
	 * us without asking. Never for nsexecd's uid: a subverted nsexecd can
	 * neither choose the program nor the moment. */
	[OP_REEXEC - OP_START] = { .fn = op_reexec,
				   .name = "reexec",
				   .max_fds = 1,
				   .root_only = true },
};
_Static_assert(ARRAY_SIZE(op_rows) == OP_END - OP_START,
	       "one row for each operation");

/* A rule was broken, no system call failed: so much is said of where. */
static const struct failure ops_refusal = { .stage = STAGE_SPAWNER,
					    .step = "check" };

void
ops_refuse(struct spawner *spawner, const struct request *request,
	   enum errcode code, const char *rule)
{
	const struct answer_error error = { .code = code,
					    .rule = rule,
					    .failure = &ops_refusal };

	answer_error(spawner, request->conn_id, request->seq, &error);
}

void
ops_refuse_quota(struct spawner *spawner, const struct request *request,
		 const struct op_quota *quota)
{
	const struct answer_error error = { .code = ERRCODE_QUOTA,
					    .failure = &ops_refusal,
					    .quota = quota };

	answer_error(spawner, request->conn_id, request->seq, &error);
}

void
ops_refuse_caller(struct spawner *spawner, const struct request *request,
		  const struct attest_refusal *refusal)
{
	const struct failure failure = { .stage = STAGE_SPAWNER,
					 .error = refusal->error,
					 .step = "attest" };
	const struct answer_error error = { .code = refusal->code,
					    .rule = refusal->rule,
					    .failure = &failure };

	answer_error(spawner, request->conn_id, request->seq, &error);
}

void
ops_fail(struct spawner *spawner, const struct request *request,
	 const struct op_failure *failure)
{
	struct failure record = { 0 };
	const struct answer_error error = { .code = failure->code,
					    .failure = &record };
	int r;

	r = failure_set(&record, STAGE_SPAWNER, failure->step, failure->syscall,
			-failure->error, "%s", failure->object);
	(void)r; /* returns the errno that we hold already */
	answer_error(spawner, request->conn_id, request->seq, &error);
}

void
ops_refuse_cut(struct spawner *spawner, const struct request *request)
{
	ops_refuse(spawner, request, ERRCODE_INVALID_ARGUMENT,
		   "a request is one datagram of at most 128 KiB and 40 "
		   "descriptors");
}

/* Attributes and descriptors are those of the row. NULL, or the rule. */
static const char *
ops_check(const struct op_row *row, const struct request *request,
	  const struct op_message *msg)
{
	if (request->n_fds < row->min_fds || request->n_fds > row->max_fds)
		return "wrong number of descriptors";
	if (row->is_bootstrap)
		return NULL;
	if ((msg->present & row->required) != row->required)
		return "an attribute is missing";
	if (msg->present & ~(row->required | row->optional))
		return "an attribute that this operation does not have";
	if (op_has(msg, OP_ATTR_CONTAINER) &&
	    !text_is_id(msg->container, strlen(msg->container)))
		return "the container's id is not an id";
	if (op_has(msg, OP_ATTR_PID) && (msg->pid == 0 || msg->pid > INT32_MAX))
		return "the pid is not a pid";
	if (op_has(msg, OP_ATTR_SIGNAL) &&
	    (msg->signal == 0 || msg->signal > 64))
		return "the signal is not a signal";
	return NULL;
}

void
ops_dispatch(struct spawner *spawner, const struct request *received)
{
	struct op_message msg = { 0 };
	struct request request = *received;
	const struct op_row *row;
	struct nlmsg_header header;
	struct nlmsg_error error = { 0 };
	const char *rule;

	if (request.size >= NLMSG_HEADER_SIZE)
		memcpy(&request.seq, request.data + 8, sizeof(request.seq));
	if (nlmsg_header_decode(request.data, request.size, &header, &error) <
	    0) {
		ops_refuse(spawner, &request, ERRCODE_INVALID_ARGUMENT,
			   error.rule);
		return;
	}
	request.type = header.type;
	if (header.type < OP_START || header.type >= OP_END) {
		ops_refuse(spawner, &request, ERRCODE_UNSUPPORTED,
			   "no operation has this number");
		return;
	}
	row = &op_rows[header.type - OP_START];
	if (row->root_only && request.conn->uid != geteuid()) {
		ops_refuse(spawner, &request, ERRCODE_PERMISSION_DENIED,
			   "this operation is uid 0's");
		return;
	}
	if (!row->is_bootstrap &&
	    op_decode(request.data, request.size, &msg, &error) < 0) {
		ops_refuse(spawner, &request, ERRCODE_INVALID_ARGUMENT,
			   error.rule);
		return;
	}
	rule = ops_check(row, &request, &msg);
	if (rule) {
		ops_refuse(spawner, &request, ERRCODE_INVALID_ARGUMENT, rule);
		return;
	}
	row->fn(spawner, &request, &msg);
}
