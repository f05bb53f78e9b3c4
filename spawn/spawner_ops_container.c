/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on a container by id: OPEN, SIGNAL, KILL_ALL, PROCESSES,
 * CGROUP_REMOVE. Who owns it is the cgroup's place below u<uid>, which only
 * root can make; who asks is the connection's peer. What is not yours is not
 * found.
 */
#include "spawn/spawner_ops.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "lib/sys.h"
#include "lib/util.h"
#include "spawn/spawner.h"
#include "spawn/spawner_attest.h"
#include "spawn/spawner_gate.h"

/* 65,535 bytes of attribute hold this many. */
#define PROCESSES_MAX 16000

static void
op_fail_container(struct spawner *spawner, const struct request *request,
		  const char *syscall_name, const struct op_failure *what)
{
	struct op_failure failure = *what;

	failure.step = "container";
	failure.syscall = syscall_name;
	ops_fail(spawner, request, &failure);
}

/* What the policy calls it. Who deletes kills as well. */
static uint32_t
op_verbs(const struct request *request)
{
	switch (request->type) {
	case OP_OPEN:
		return POLICY_VERB_BIT(POLICY_VERB_START);
	case OP_KILL_ALL:
		return POLICY_VERB_BIT(POLICY_VERB_SIGNAL) |
		       POLICY_VERB_BIT(POLICY_VERB_DELETE);
	default:
		return POLICY_VERB_BIT(POLICY_VERB_SIGNAL);
	}
}

/*
 * Which container is meant, and may the peer of fd (if one came) act on it.
 * Without a connection it is nsexecd's own wish: *ret_own. 0, or -errno and
 * the request is answered.
 */
static int
op_find_container(struct spawner *spawner, const struct request *request,
		  const struct op_message *msg, struct container_name *ret,
		  bool *ret_own)
{
	struct caller caller = { .pidfd = -1 };
	int r = 0;

	*ret_own = request->n_fds == 0;
	if (!*ret_own) {
		r = who_admit(spawner, request, request->fds[0], &caller);
		if (r == 0)
			r = who_check_verb(spawner, request, &caller,
					   op_verbs(request));
		caller_deinit(&caller); /* groups and pidfd: not asked for */
	}
	if (r < 0)
		return r;
	memcpy(ret->id, msg->container, strlen(msg->container) + 1);
	if (op_has(msg, OP_ATTR_UID))
		ret->owner = msg->uid;
	else if (*ret_own || caller.admin)
		r = place_find_owner(spawner, ret->id, &ret->owner);
	else
		ret->owner = caller.owner;
	if (r == 0 && !*ret_own && !who_reaches(&caller, ret->owner))
		r = -ENOENT;
	if (r < 0)
		op_fail_container(
			spawner, request, "openat2",
			&(struct op_failure){ .code = ERRCODE_NOT_FOUND,
					      .error = r,
					      .object = ret->id });
	return r;
}

/* Its cgroup. 0, or -errno and the request is answered. */
static int
op_open_container(struct spawner *spawner, const struct request *request,
		  const struct container_name *name, int *ret_fd)
{
	int r = place_open(spawner, name, ret_fd);

	if (r < 0)
		op_fail_container(spawner, request, "openat2",
				  &(struct op_failure){
					  .code = r == -ENOENT
							  ? ERRCODE_NOT_FOUND
							  : ERRCODE_INTERNAL,
					  .error = r,
					  .object = name->id });
	return r;
}

/*
 * May gates/ID be this container's? Gates are named by id alone. Either a child
 * of it waits there, or we know none: it outlived the spawner that made it, and
 * then nobody else may have that id.
 */
static int
op_check_gate(struct spawner *spawner, const struct container_name *name,
	      struct child **ret)
{
	uid_t owner;

	*ret = child_find_gated(&spawner->children, name);
	if (*ret)
		return 0;
	if (child_find_in(&spawner->children, name) ||
	    place_find_owner(spawner, name->id, &owner) < 0 ||
	    owner != name->owner)
		return -ENOENT;
	return 0;
}

void
op_open(struct spawner *spawner, const struct request *request,
	const struct op_message *msg)
{
	struct container_name name;
	fd_auto int leaf = -1;
	struct child *child;
	bool own;
	int r;

	if (op_find_container(spawner, request, msg, &name, &own) < 0 ||
	    op_open_container(spawner, request, &name, &leaf) < 0)
		return;
	r = op_check_gate(spawner, &name, &child);
	if (r == 0)
		r = gate_open(spawner->rundir.gates_fd, spawner->proc_fd,
			      &name);
	if (r < 0) {
		op_fail_container(
			spawner, request, "connect",
			&(struct op_failure){
				.code = r == -ENOENT || r == -ECONNREFUSED
						? ERRCODE_FAILED_PRECONDITION
						: ERRCODE_INTERNAL,
				.error = r,
				.object = name.id });
		return;
	}
	if (child)
		child->gated = false;
	answer_done(spawner, request->conn_id, request->seq);
}

void
op_signal(struct spawner *spawner, const struct request *request,
	  const struct op_message *msg)
{
	struct container_name name;
	fd_auto int pidfd = -1;
	struct child_exit end;
	struct child *child;
	bool own;
	int r;

	if (op_find_container(spawner, request, msg, &name, &own) < 0)
		return;
	if (own && msg->signal != SIGKILL) {
		ops_refuse(spawner, request, ERRCODE_PERMISSION_DENIED,
			   "without a caller only SIGKILL is sent");
		return;
	}
	child = child_find(&spawner->children, (pid_t)msg->pid);
	r = child && container_name_equal(&child->name, &name)
		    ? child_peek(child->pid, &end)
		    : -ECHILD;
	if (r == 0 && end.exited)
		r = -ESRCH;
	/* Proven to be an unreaped child of ours: the pid cannot be another's
	 * between here and there, as nobody else reaps. */
	if (r == 0) {
		pidfd = sys_pidfd_open(child->pid);
		r = pidfd < 0 ? pidfd
			      : sys_pidfd_send_signal(pidfd, (int)msg->signal);
	}
	if (r < 0) {
		op_fail_container(
			spawner, request, "pidfd_send_signal",
			&(struct op_failure){
				.code = r == -ECHILD  ? ERRCODE_NOT_FOUND
					: r == -ESRCH ? ERRCODE_GONE
						      : ERRCODE_INTERNAL,
				.error = r,
				.object = name.id });
		return;
	}
	answer_done(spawner, request->conn_id, request->seq);
}

struct kill_all {
	struct spawner *spawner;
	const struct container_name *name;
	int signal;
};

/* A pid read from cgroup.procs may be gone: pin it, then look again. */
static void
op_kill_one(void *userdata, pid_t pid)
{
	const struct kill_all *kill_all = userdata;
	struct spawner *spawner = kill_all->spawner;
	struct container_name name;
	fd_auto int pidfd = sys_pidfd_open(pid);

	if (pidfd < 0) {
		pidfd = -1;
		return;
	}
	/* Without cgroups all that we could signal is our own uid's. */
	if (place_is_cgroup(spawner) &&
	    (place_of(spawner, pid, &name) < 0 ||
	     !container_name_equal(&name, kill_all->name)))
		return;
	if (sys_pidfd_send_signal(pidfd, kill_all->signal) < 0)
		return; /* it ended meanwhile */
}

void
op_kill_all(struct spawner *spawner, const struct request *request,
	    const struct op_message *msg)
{
	struct container_name name;
	struct kill_all kill_all = { spawner, &name, (int)msg->signal };
	struct place place = { spawner, &name, -1 };
	fd_auto int leaf = -1;
	bool own;
	int r;

	if (op_find_container(spawner, request, msg, &name, &own) < 0)
		return;
	if (own && msg->signal != SIGKILL) {
		ops_refuse(spawner, request, ERRCODE_PERMISSION_DENIED,
			   "without a caller only SIGKILL is sent");
		return;
	}
	if (op_open_container(spawner, request, &name, &leaf) < 0)
		return;
	place.leaf_fd = leaf;
	if (msg->signal == SIGKILL)
		r = place_kill(&place);
	else
		r = place_each_pid(&place, op_kill_one, &kill_all);
	if (r < 0) {
		op_fail_container(
			spawner, request, "cgroup.kill",
			&(struct op_failure){ .code = ERRCODE_INTERNAL,
					      .error = r,
					      .object = name.id });
		return;
	}
	answer_done(spawner, request->conn_id, request->seq);
}

struct process_list {
	uint32_t *pids;
	size_t n;
};

static void
op_add_process(void *userdata, pid_t pid)
{
	struct process_list *list = userdata;

	if (list->n < PROCESSES_MAX)
		list->pids[list->n++] = (uint32_t)pid;
}

void
op_processes(struct spawner *spawner, const struct request *request,
	     const struct op_message *msg)
{
	free_auto uint32_t *pids = calloc(PROCESSES_MAX, sizeof(*pids));
	free_auto uint8_t *buf = malloc(NLMSG_MAX);
	struct process_list list = { .pids = pids };
	struct nlmsg_builder builder;
	struct container_name name;
	struct place place = { spawner, &name, -1 };
	fd_auto int leaf = -1;
	bool own;
	int r;

	if (!pids || !buf) {
		ops_refuse(spawner, request, ERRCODE_OVERLOADED, "no memory");
		return;
	}
	if (op_find_container(spawner, request, msg, &name, &own) < 0 ||
	    op_open_container(spawner, request, &name, &leaf) < 0)
		return;
	place.leaf_fd = leaf;
	r = place_each_pid(&place, op_add_process, &list);
	if (r < 0) {
		op_fail_container(
			spawner, request, "cgroup.procs",
			&(struct op_failure){ .code = ERRCODE_INTERNAL,
					      .error = r,
					      .object = name.id });
		return;
	}
	nlmsg_builder_init(&builder, buf, NLMSG_MAX, ANSWER_DONE, request->seq);
	nlmsg_put(&builder, OP_ATTR_PIDS, pids, list.n * sizeof(*pids));
	conn_send(spawner, request->conn_id, &builder, -1);
}

void
op_cgroup_remove(struct spawner *spawner, const struct request *request,
		 const struct op_message *msg)
{
	struct container_name name = { .owner = msg->uid };

	memcpy(name.id, msg->container, strlen(msg->container) + 1);
	if (child_find_in(&spawner->children, &name)) {
		op_fail_container(spawner, request, "rmdir",
				  &(struct op_failure){
					  .code = ERRCODE_FAILED_PRECONDITION,
					  .error = -EBUSY,
					  .object = name.id });
		return;
	}
	removal_add(spawner, &name, request->conn_id, request->seq);
}
