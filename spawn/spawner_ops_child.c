/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on one child by pid: STATUS, REAP, PIDFD; and LIST. They serve
 * container processes alone: a relay or the worker is -ECHILD to everybody.
 */
#include "spawn/spawner_ops.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/sys.h"
#include "spawn/spawner.h"
#include "spawn/spawner_log.h"

static void
op_fail_pid(struct spawner *spawner, const struct request *request,
	    const char *syscall_name, int error)
{
	char object[32];
	const struct op_failure failure = {
		.code = error == -ECHILD  ? ERRCODE_NOT_FOUND
			: error == -EBUSY ? ERRCODE_FAILED_PRECONDITION
					  : ERRCODE_INTERNAL,
		.error = error,
		.step = "child",
		.syscall = syscall_name,
		.object = object
	};
	struct op_message msg;
	struct nlmsg_error ignored;

	snprintf(object, sizeof(object), "pid");
	if (op_decode(request->data, request->size, &msg, &ignored) == 0)
		snprintf(object, sizeof(object), "pid %u", msg.pid);
	ops_fail(spawner, request, &failure);
}

/* The child and what the kernel says of it. 0 or -errno, answered. */
static int
op_find_child(struct spawner *spawner, const struct request *request,
	      const struct op_message *msg, struct child **ret,
	      struct child_exit *ret_exit)
{
	struct child *child = child_find(&spawner->children, (pid_t)msg->pid);
	int r = child ? child_peek(child->pid, ret_exit) : -ECHILD;

	if (r < 0) {
		op_fail_pid(spawner, request, "waitid", r);
		return r;
	}
	*ret = child;
	return 0;
}

/*
 * Has it executed its program? Of a zombie PF_FORKNOEXEC says it, which is
 * cleared exactly at exec. Of one that lives the flag would have to be read
 * from stat, which a payload can make wait for ever (spawner_proc.h); its name
 * says it nearly as well: a payload that calls itself a stage counts as not
 * started until its end, and so deceives its own user alone. -errno: of a
 * zombie it could not be read.
 */
static int
op_execed(const struct spawner *spawner, struct child *child, bool exited)
{
	struct proc_stat stat;
	int r;

	if (child->execed)
		return 1;
	if (exited) {
		r = proc_stat_read(spawner->proc_fd, child->pid, &stat);
		if (r < 0)
			return r;
		child->execed = !(stat.flags & SYS_PF_FORKNOEXEC);
	} else {
		child->execed =
			proc_is_stage(spawner->proc_fd, child->pid) == 0;
	}
	return child->execed;
}

/*
 * The container's cgroup goes only after the reap, so that it is there while
 * its process is a zombie. Nothing is opened where no controller counts.
 */
static void
op_put_oom_kills(const struct spawner *spawner, const struct child *child,
		 struct nlmsg_builder *builder)
{
	fd_auto int fd = -1;
	uint64_t count;

	if (!place_is_cgroup(spawner) || !spawner->cgroups.memory ||
	    cgroup_open(&spawner->cgroups, &child->name, &fd) < 0 ||
	    cgroup_oom_kills(fd, &count) < 0)
		return;
	nlmsg_put_u64(builder, OP_ATTR_OOM_KILLS, count);
}

/*
 * What STATUS says, and an entry of LIST. As long as nobody can say whether it
 * ran, it has not ended: a zombie stays, and is asked for again.
 */
static void
op_put_status(const struct spawner *spawner, struct child *child,
	      const struct child_exit *end, struct nlmsg_builder *builder)
{
	const int execed = op_execed(spawner, child, end->exited);
	const bool told = end->exited && execed >= 0;

	nlmsg_put_u32(builder, OP_ATTR_PID, (uint32_t)child->pid);
	nlmsg_put_u64(builder, OP_ATTR_START_TIME, child->start_time);
	nlmsg_put_u32(builder, OP_ATTR_EXECED, execed > 0);
	nlmsg_put_u32(builder, OP_ATTR_EXITED, told);
	if (!told)
		return;
	nlmsg_put_u32(builder, OP_ATTR_WAIT_STATUS, end->wait_status);
	nlmsg_put(builder, OP_ATTR_RUSAGE, &end->rusage, sizeof(end->rusage));
	op_put_oom_kills(spawner, child, builder);
}

/*
 * What an earlier spawner has left (spawner_orphan.h). Only STATUS needs it to
 * live. A hostile nsexecd gains a pidfd of a process whose cgroup is that
 * container's, and may do with it what its own uid may: look how it ended.
 */
static void
op_orphan(struct spawner *spawner, const struct request *request,
	  const struct op_message *msg)
{
	struct container_name name = { .owner = msg->uid };
	pid_t pid = (pid_t)msg->pid;
	struct nlmsg_builder builder;
	fd_auto int pidfd = -1;
	uint8_t buf[128];

	strncpy(name.id, msg->container, sizeof(name.id) - 1);
	pidfd = orphan_pidfd(spawner, &name, pid);
	if (pidfd < 0 || (request->type == OP_STATUS &&
			  sys_pidfd_send_signal(pidfd, 0) < 0)) {
		op_fail_pid(spawner, request, "pidfd_open", -ECHILD);
		if (pidfd < 0)
			pidfd = -1;
		return;
	}
	nlmsg_builder_init(&builder, buf, sizeof(buf), ANSWER_STATUS,
			   request->seq);
	nlmsg_put_u32(&builder, OP_ATTR_PID, msg->pid);
	nlmsg_put_u32(&builder, OP_ATTR_EXECED,
		      proc_is_stage(spawner->proc_fd, pid) == 0);
	nlmsg_put_u32(&builder, OP_ATTR_EXITED, 0);
	conn_send(spawner, request->conn_id, &builder,
		  request->type == OP_PIDFD ? pidfd : -1);
}

/* A child of that number in another container is another process. */
static bool
op_is_orphan(const struct spawner *spawner, const struct op_message *msg)
{
	const struct child *child;

	if (!op_has(msg, OP_ATTR_CONTAINER) || !op_has(msg, OP_ATTR_UID))
		return false;
	child = child_find(&spawner->children, (pid_t)msg->pid);
	return !child || child->name.owner != msg->uid ||
	       strcmp(child->name.id, msg->container) != 0;
}

void
op_status(struct spawner *spawner, const struct request *request,
	  const struct op_message *msg)
{
	struct nlmsg_builder builder;
	struct child_exit end;
	struct child *child;
	uint8_t buf[512];

	if (op_is_orphan(spawner, msg)) {
		op_orphan(spawner, request, msg);
		return;
	}
	if (op_find_child(spawner, request, msg, &child, &end) < 0)
		return;
	nlmsg_builder_init(&builder, buf, sizeof(buf), ANSWER_STATUS,
			   request->seq);
	op_put_status(spawner, child, &end, &builder);
	conn_send(spawner, request->conn_id, &builder, -1);
}

void
op_reap(struct spawner *spawner, const struct request *request,
	const struct op_message *msg)
{
	struct child_exit end;
	struct child *child;
	int r;

	if (op_find_child(spawner, request, msg, &child, &end) < 0)
		return;
	r = child_reap(child->pid, &end);
	if (r < 0) {
		op_fail_pid(spawner, request, "waitid", r);
		return;
	}
	child_remove(&spawner->children, child);
	answer_done(spawner, request->conn_id, request->seq);
}

void
op_pidfd(struct spawner *spawner, const struct request *request,
	 const struct op_message *msg)
{
	struct nlmsg_builder builder;
	fd_auto int pidfd = -1;
	struct child_exit end;
	struct child *child;
	uint8_t buf[64];

	if (op_is_orphan(spawner, msg)) {
		op_orphan(spawner, request, msg);
		return;
	}
	if (op_find_child(spawner, request, msg, &child, &end) < 0)
		return;
	pidfd = sys_pidfd_open(child->pid);
	if (pidfd < 0) {
		op_fail_pid(spawner, request, "pidfd_open", pidfd);
		pidfd = -1;
		return;
	}
	nlmsg_builder_init(&builder, buf, sizeof(buf), ANSWER_DONE,
			   request->seq);
	conn_send(spawner, request->conn_id, &builder, pidfd);
}

/*
 * What the table holds, asked of the kernel anew for each. All that nsexecd
 * would ask of each of ten thousand after its restart is in the entry: the
 * status and the pidfd. Without a descriptor to spare it goes without, and
 * nsexecd asks.
 */
static void
op_list_entry(struct spawner *spawner, struct conn *conn, pid_t pid)
{
	struct child *child = child_find(&spawner->children, pid);
	struct nlmsg_builder builder;
	fd_auto int pidfd = -1;
	struct child_exit end;
	uint8_t buf[512];

	if (!child || child_peek(pid, &end) < 0)
		return; /* reaped since */
	pidfd = sys_pidfd_open(pid);
	if (pidfd < 0)
		pidfd = -1;
	nlmsg_builder_init(&builder, buf, sizeof(buf), ANSWER_ENTRY,
			   conn->list_seq);
	nlmsg_put_text(&builder, OP_ATTR_CONTAINER, child->name.id);
	nlmsg_put_u32(&builder, OP_ATTR_UID, child->name.owner);
	op_put_status(spawner, child, &end, &builder);
	conn_send(spawner, conn->id, &builder, pidfd);
}

void
ops_list_continue(struct spawner *spawner, struct conn *conn)
{
	while (conn->list_next < conn->n_listed && !conn->queue)
		op_list_entry(spawner, conn, conn->listed[conn->list_next++]);
	if (conn->list_next < conn->n_listed)
		return;
	free(conn->listed);
	conn->listed = NULL;
	answer_done(spawner, conn->id, conn->list_seq);
}

void
op_list(struct spawner *spawner, const struct request *request,
	const struct op_message *msg)
{
	struct conn *conn = request->conn;
	struct child *child;
	size_t i, n = 0;

	/* A second LIST before the first is out cannot be read; but a worker
	 * that is being retired is read without regard to that. */
	if (conn->listed) {
		ops_refuse(spawner, request, ERRCODE_OVERLOADED,
			   "another list is under way");
		return;
	}
	conn->listed = calloc(spawner->children.count + 1, sizeof(int));
	if (!conn->listed) {
		ops_refuse(spawner, request, ERRCODE_OVERLOADED, "no memory");
		return;
	}
	for (i = 0; i < CHILD_BUCKETS; i++)
		for (child = spawner->children.by_pid[i]; child;
		     child = child->next_pid)
			conn->listed[n++] = child->pid;
	conn->n_listed = n;
	conn->list_next = 0;
	conn->list_seq = request->seq;
	ops_list_continue(spawner, conn);
}
