/* SPDX-License-Identifier: Apache-2.0 */
/*
 * START and EXEC until the first process is cloned: check the message, its
 * descriptors and who asks; make the cgroup and the gate; clone. An admin's
 * simple start needs no relay (direct.h) and is answered at once; what follows
 * a relay is in spawner_flight.c. Neither shares memory with us: a relay
 * becomes the caller, who may trace what runs under its uid.
 */
#include "spawn/spawner_start.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/sys.h"
#include "lib/util.h"
#include "spawn/direct.h"
#include "spawn/spawner.h"
#include "spawn/spawner_attest.h"
#include "spawn/spawner_flight.h"
#include "spawn/spawner_gate.h"
#include "spawn/spawner_ops.h"
#include "spawn/spawner_process.h"
#include "spawn/spawner_quota.h"
#include "spawn/spawner_start_check.h"
#include "spawn/stage.h"

/* A start being made: what it owns until the relay has it. */
struct setup {
	struct spawner *spawner;
	const struct request *request;
	const struct bootstrap *msg;
	bool is_exec;
	struct caller caller;
	struct container_name name;
	int fds[N_FD_ROLES]; /* by role, lent; -1 = not sent */
	int leaf_fd, gate_fd, target_fd;
	int report[2];
	bool made_leaf, made_gate;
	bool changed; /* the message says less than is meant */
};

static void
setup_deinit(struct setup *setup)
{
	struct spawner *spawner = setup->spawner;

	caller_deinit(&setup->caller);
	fd_close(&setup->leaf_fd);
	fd_close(&setup->gate_fd);
	fd_close(&setup->target_fd);
	fd_close(&setup->report[0]);
	fd_close(&setup->report[1]);
	if (setup->made_gate)
		gate_remove(spawner->rundir.gates_fd, &setup->name);
	if (setup->made_leaf)
		removal_add(spawner, &setup->name, 0, 0);
}

/* Refuse with a rule; returns -EINVAL so that a check can end with it. */
static int
setup_refuse(const struct setup *setup, enum errcode code, const char *rule)
{
	ops_refuse(setup->spawner, setup->request, code, rule);
	return -EINVAL;
}

static int
setup_fail(const struct setup *setup, enum errcode code, int error,
	   const char *step, const char *syscall_name)
{
	const struct op_failure failure = { .code = code,
					    .error = error,
					    .step = step,
					    .syscall = syscall_name,
					    .object = setup->name.id };

	ops_fail(setup->spawner, setup->request, &failure);
	return error;
}

/* Which descriptor is what: exactly those that the message calls for. */
static int
setup_fds(struct setup *setup)
{
	const struct bootstrap *msg = setup->msg;
	bool want_channel = msg->n_channel_fds > 0 || msg->send_pidfd;
	bool want_block = bootstrap_has(msg, BOOTSTRAP_EXEC_BLOCK);
	size_t i;

	for (i = 0; i < N_FD_ROLES; i++)
		setup->fds[i] = -1;
	if (msg->n_fd_roles != setup->request->n_fds)
		return setup_refuse(setup, ERRCODE_INVALID_ARGUMENT,
				    "as many descriptors as fd roles");
	for (i = 0; i < msg->n_fd_roles; i++) {
		if (msg->fd_roles[i] == FD_ROLE_NONE ||
		    msg->fd_roles[i] >= N_FD_ROLES ||
		    setup->fds[msg->fd_roles[i]] >= 0)
			return setup_refuse(setup, ERRCODE_INVALID_ARGUMENT,
					    "each fd role once");
		setup->fds[msg->fd_roles[i]] = setup->request->fds[i];
	}
	if (setup->fds[FD_ROLE_INIT_CHANNEL] < 0 ||
	    setup->fds[FD_ROLE_CALLER] < 0)
		return setup_refuse(setup, ERRCODE_INVALID_ARGUMENT,
				    "an init channel and a caller");
	if (want_channel != (setup->fds[FD_ROLE_FD_CHANNEL] >= 0))
		return setup_refuse(setup, ERRCODE_INVALID_ARGUMENT,
				    "an fd channel exactly if it is used");
	if (want_block != (setup->fds[FD_ROLE_EXEC_BLOCK] >= 0))
		return setup_refuse(setup, ERRCODE_INVALID_ARGUMENT,
				    "an exec block's memfd exactly if there "
				    "is one");
	return 0;
}

static int
setup_check_channel(const struct setup *setup)
{
	int fd = setup->fds[FD_ROLE_INIT_CHANNEL], domain, type;
	socklen_t size = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
	    domain != AF_UNIX || type != SOCK_SEQPACKET)
		return setup_refuse(setup, ERRCODE_INVALID_ARGUMENT,
				    "the init channel is a seqpacket socket");
	return 0;
}

/* Sealed, so that nobody changes it while a stage reads it. */
static int
setup_check_block(const struct setup *setup)
{
	const int need = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int fd = setup->fds[FD_ROLE_EXEC_BLOCK], seals;
	struct stat st;

	if (fd < 0)
		return 0;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & need) != need)
		return setup_refuse(setup, ERRCODE_INVALID_ARGUMENT,
				    "the exec block is a sealed memfd");
	if (fstat(fd, &st) < 0 ||
	    (uint64_t)st.st_size != setup->msg->exec_block.size ||
	    setup->msg->exec_block.size > BOOTSTRAP_EXEC_BLOCK_MAX)
		return setup_refuse(setup, ERRCODE_INVALID_ARGUMENT,
				    "the exec block is of the size it says");
	return 0;
}

static int
setup_attest(struct setup *setup)
{
	struct attest_refusal refusal = { 0 };
	int proc_fd = setup->spawner->proc_fd;
	int r;

	r = who_admit(setup->spawner, setup->request,
		      setup->fds[FD_ROLE_CALLER], &setup->caller);
	if (r < 0 || setup->fds[FD_ROLE_FD_CHANNEL] < 0)
		return r;
	r = attest_channel(setup->fds[FD_ROLE_FD_CHANNEL], proc_fd,
			   &setup->caller, &refusal);
	if (r < 0)
		ops_refuse_caller(setup->spawner, setup->request, &refusal);
	return r;
}

/* What the policy says of it, and makes of it. */
static int
setup_policy(struct setup *setup)
{
	int r;

	r = start_check_policy(setup->spawner, setup->request, &setup->caller,
			       setup->msg);
	if (r < 0)
		return r;
	r = start_apply_policy(&setup->spawner->bootstrap, &setup->caller,
			       &setup->changed);
	if (r < 0)
		return setup_refuse(setup, ERRCODE_PERMISSION_DENIED,
				    "an admin of more than 1024 groups names "
				    "the groups of the process");
	return 0;
}

/* A name that is free: no child, no start, and an empty cgroup goes. */
static int
setup_make_leaf(struct setup *setup)
{
	struct spawner *spawner = setup->spawner;
	int r;

	if (child_find_in(&spawner->children, &setup->name) ||
	    start_is_in(&spawner->starts, &setup->name))
		return setup_refuse(setup, ERRCODE_CONFLICT,
				    "a container of this id exists");
	r = place_make(spawner, &setup->name, &setup->leaf_fd);
	if (r == -EEXIST) {
		r = place_remove(spawner, &setup->name);
		if (r == -EBUSY)
			return setup_refuse(setup, ERRCODE_CONFLICT,
					    "a container of this id lives");
		r = place_make(spawner, &setup->name, &setup->leaf_fd);
	}
	if (r < 0)
		return setup_fail(setup, ERRCODE_INTERNAL, r, "cgroup",
				  "mkdir");
	setup->made_leaf = true;
	return 0;
}

/*
 * What the policy lets this owner's containers have together. A start is a
 * relay, for a moment a mapper, and init.
 */
static int
setup_bounds(struct setup *setup)
{
	const struct spawner *spawner = setup->spawner;
	const struct bootstrap *msg = setup->msg;
	const bool maps = bootstrap_has(msg, BOOTSTRAP_UID_MAP) ||
			  bootstrap_has(msg, BOOTSTRAP_GID_MAP);
	struct op_quota quota;
	int r = 0;

	if (setup->name.owner == setup->caller.owner)
		r = quota_apply(spawner, &setup->caller, &quota);
	if (r == 0 && !setup->caller.admin &&
	    quota_tasks_full(spawner, setup->name.owner, maps ? 3 : 2, &quota))
		r = -EDQUOT;
	if (r == -EDQUOT)
		ops_refuse_quota(setup->spawner, setup->request, &quota);
	else if (r < 0)
		(void)setup_fail(setup, ERRCODE_INTERNAL, r, "quota", "write");
	return r;
}

static int
setup_make_gate(struct setup *setup)
{
	struct spawner *spawner = setup->spawner;
	int r;

	if (setup->msg->gate != GATE_NAMED)
		return 0;
	r = gate_listen(spawner->rundir.gates_fd, &setup->name,
			&setup->gate_fd);
	if (r < 0)
		return setup_fail(setup, ERRCODE_INTERNAL, r, "gate", "bind");
	setup->made_gate = true;
	return 0;
}

/* EXEC: the container's init is a living child of ours, of this owner. */
static int
setup_target(struct setup *setup)
{
	struct spawner *spawner = setup->spawner;
	struct child *child =
		child_find(&spawner->children, (pid_t)setup->msg->pid);
	struct child_exit end;
	int r;

	if (!child || strcmp(child->name.id, setup->name.id) != 0 ||
	    !who_reaches(&setup->caller, child->name.owner))
		return setup_refuse(setup, ERRCODE_NOT_FOUND,
				    "no such container of this caller");
	setup->name.owner = child->name.owner;
	r = child_peek(child->pid, &end);
	if (r < 0 || end.exited)
		return setup_refuse(setup, ERRCODE_FAILED_PRECONDITION,
				    "the container has ended");
	setup->target_fd = sys_pidfd_open(child->pid);
	if (setup->target_fd < 0) {
		r = setup->target_fd;
		setup->target_fd = -1;
		return setup_fail(setup, ERRCODE_INTERNAL, r, "target",
				  "pidfd_open");
	}
	r = place_open(spawner, &setup->name, &setup->leaf_fd);
	if (r < 0)
		return setup_fail(setup, ERRCODE_INTERNAL, r, "cgroup",
				  "openat2");
	return 0;
}

static int
setup_compare_fds(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/*
 * In the stage: nothing stays open but 0, 1, 2 and what it was given. One
 * stray copy of another start's init channel, and its EOF never comes.
 */
static void
setup_close_others(const struct stage_input *input, const struct direct *direct)
{
	int keep[] = { input->init_channel,  input->relay_report,
		       input->fd_channel,    input->exec_block,
		       input->gate_listener, input->target_pidfd,
		       input->proc_fd,	     input->caller->pidfd,
		       direct->go_read,	     direct->go_write };
	unsigned int next = 3;
	size_t i;

	qsort(keep, ARRAY_SIZE(keep), sizeof(keep[0]), setup_compare_fds);
	for (i = 0; i < ARRAY_SIZE(keep); i++) {
		if (keep[i] < (int)next)
			continue;
		if (keep[i] > (int)next &&
		    sys_close_range(next, (unsigned int)keep[i] - 1, 0) < 0)
			_exit(1);
		next = (unsigned int)keep[i] + 1;
	}
	if (sys_close_range(next, ~0u, 0) < 0)
		_exit(1);
}

static struct stage_input
setup_input(const struct setup *setup)
{
	return (struct stage_input){
		.msg = setup->msg,
		.caller = &setup->caller,
		.init_channel = setup->fds[FD_ROLE_INIT_CHANNEL],
		.relay_report = setup->report[1],
		.fd_channel = setup->fds[FD_ROLE_FD_CHANNEL],
		.exec_block = setup->fds[FD_ROLE_EXEC_BLOCK],
		.gate_listener = setup->gate_fd,
		.target_pidfd = setup->target_fd,
		.proc_fd = setup->spawner->proc_fd,
		.own_namespaces = setup->spawner->namespaces,
		.newuidmap = setup->spawner->options.newuidmap,
		.newgidmap = setup->spawner->options.newgidmap,
	};
}

static int
setup_fork_failed(const struct setup *setup, int error)
{
	struct op_quota quota;

	if (error == -EAGAIN &&
	    quota_tasks_full(setup->spawner, setup->name.owner, 1, &quota)) {
		ops_refuse_quota(setup->spawner, setup->request, &quota);
		return error;
	}
	return setup_fail(setup,
			  error == -EAGAIN || error == -ENOSPC
				  ? ERRCODE_NS_LIMIT
				  : ERRCODE_INTERNAL,
			  error, "clone", "clone3");
}

/* The first process of a start: the relay, or init if there is a direct one.
 * Its pid, or -errno and answered. exit_signal stays 0: children of the relay
 * by CLONE_PARENT inherit it, and every wait of ours names a pid and says
 * __WALL. */
static pid_t
setup_fork(struct setup *setup, const struct stage_input *input,
	   const struct direct *direct, int *ret_pidfd)
{
	struct clone_args args = {
		.flags = CLONE_PIDFD | direct->clone_flags,
		.pidfd = (uint64_t)(uintptr_t)ret_pidfd,
	};
	pid_t pid;

	if (setup->leaf_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (unsigned int)setup->leaf_fd;
	}
	/* The child has the name of a stage from its first instruction: by it
	 * STATUS tells one that has not executed its program yet. */
	prctl(PR_SET_NAME, "nsx:[init]", 0, 0, 0);
	pid = sys_clone3(&args);
	if (pid != 0)
		prctl(PR_SET_NAME, SPAWNER_NAME, 0, 0, 0);
	if (pid == 0) {
		setup_close_others(input, direct);
		spawner_restore_process(setup->spawner);
		if (input->relay_report >= 0)
			stage_relay_run(input);
		direct_run(input, direct);
	}
	return pid < 0 ? setup_fork_failed(setup, pid) : pid;
}

static int
setup_clone_relay(struct setup *setup)
{
	const struct direct none = { 0, -1, -1 };
	struct spawner *spawner = setup->spawner;
	struct stage_input input;
	struct start start = { .name = setup->name,
			       .conn_id = setup->request->conn_id,
			       .seq = setup->request->seq,
			       .is_exec = setup->is_exec,
			       .gated = setup->made_gate,
			       .ungated = setup->msg->gate == GATE_NONE,
			       .relay_fd = -1,
			       .report_fd = -1 };

	if (pipe2(setup->report, O_CLOEXEC | O_NONBLOCK) < 0)
		return setup_fail(setup, ERRCODE_OVERLOADED, -errno, "relay",
				  "pipe2");
	input = setup_input(setup);
	start.relay = setup_fork(setup, &input, &none, &start.relay_fd);
	if (start.relay < 0)
		return start.relay;
	start.report_fd = fd_steal(&setup->report[0]);
	/* From here on the flight owns the leaf and the gate. */
	setup->made_leaf = false;
	setup->made_gate = false;
	flight_begin(spawner, &start);
	return 0;
}

/* A direct init that comes to nothing: answered already; killed, reaped. */
static void
setup_abandon(struct setup *setup, pid_t pid)
{
	struct spawner *spawner = setup->spawner;
	struct start start = { .name = setup->name,
			       .gated = setup->made_gate,
			       .relay_fd = -1,
			       .report_fd = -1 };

	setup->made_leaf = false;
	setup->made_gate = false;
	flight_drop(spawner, flight_begin(spawner, &start), pid);
}

/* Init at once: maps, go, answer. */
static int
setup_clone_direct(struct setup *setup, const struct stage_input *input)
{
	struct spawner *spawner = setup->spawner;
	struct started started = { .name = &setup->name,
				   .conn_id = setup->request->conn_id,
				   .seq = setup->request->seq,
				   .gated = setup->made_gate,
				   .ungated = setup->msg->gate == GATE_NONE };
	struct failure failure = { 0 };
	struct direct direct;
	fd_auto int pidfd = -1;
	int r;

	r = direct_open(input, &direct);
	if (r < 0)
		return setup_fail(setup, ERRCODE_OVERLOADED, r, "go",
				  "socketpair");
	started.pid = setup_fork(setup, input, &direct, &pidfd);
	if (started.pid < 0) {
		direct_close(&direct);
		return started.pid;
	}
	r = direct_let_go(input, &direct, started.pid, &failure);
	if (r == 0) {
		started.pidfd = pidfd;
		r = start_answer_child(spawner, &started);
		if (r < 0)
			failure_set(&failure, STAGE_SPAWNER, "child", "", -r,
				    "%s", setup->name.id);
	}
	if (r < 0) {
		/* Which code that is nsexecd knows, as of a stage's. */
		answer_error(spawner, started.conn_id, started.seq,
			     &(struct answer_error){ .failure = &failure });
		setup_abandon(setup, started.pid);
		return r;
	}
	setup->made_leaf = false;
	setup->made_gate = false;
	return 0;
}

static int
setup_clone(struct setup *setup)
{
	struct stage_input input = setup_input(setup);
	const struct zygote_order order = { .input = &input,
					    .request = setup->request,
					    .name = &setup->name,
					    .leaf_fd = setup->leaf_fd };

	if (!direct_is_possible(&input))
		return setup_clone_relay(setup);
	if (setup->changed || !zygotes_take(setup->spawner, &order))
		return setup_clone_direct(setup, &input);
	setup->made_leaf = false;
	return 0;
}

/* Returns for the sake of early returns; whatever it is, it is answered. */
static int
setup_run(struct setup *setup)
{
	int r;

	r = setup_fds(setup);
	if (r < 0)
		return r;
	if (setup->spawner->starts.count >= START_MAX)
		return setup_refuse(setup, ERRCODE_OVERLOADED,
				    "512 starts are in flight");
	r = setup_check_channel(setup);
	if (r < 0)
		return r;
	r = setup_check_block(setup);
	if (r < 0)
		return r;
	r = setup_attest(setup);
	if (r == 0)
		r = setup_policy(setup);
	if (r < 0)
		return r;
	memcpy(setup->name.id, setup->msg->container,
	       strlen(setup->msg->container) + 1);
	setup->name.owner = setup->caller.owner;
	r = setup->is_exec ? setup_target(setup) : setup_make_leaf(setup);
	if (r == 0)
		r = setup_bounds(setup);
	if (r < 0)
		return r;
	r = setup_make_gate(setup);
	if (r < 0)
		return r;
	return setup_clone(setup);
}

static void
setup_bootstrap(struct spawner *spawner, const struct request *request,
		bool is_exec)
{
	struct bootstrap_error error = { 0 };
	struct setup setup = { .spawner = spawner,
			       .request = request,
			       .msg = &spawner->bootstrap,
			       .is_exec = is_exec,
			       .caller = { .pidfd = -1 },
			       .leaf_fd = -1,
			       .gate_fd = -1,
			       .target_fd = -1,
			       .report = { -1, -1 } };
	int r;

	r = bootstrap_decode(DIALECT_NX, request->type, request->data,
			     request->size, &spawner->bootstrap, &error);
	if (r < 0) {
		ops_refuse(spawner, request, ERRCODE_INVALID_ARGUMENT,
			   error.text);
		return;
	}
	if (!setup.msg->container)
		r = setup_refuse(&setup, ERRCODE_INVALID_ARGUMENT,
				 "a container's id");
	else if (is_exec != bootstrap_has(setup.msg, BOOTSTRAP_PID))
		r = setup_refuse(&setup, ERRCODE_INVALID_ARGUMENT,
				 "init's pid exactly for EXEC");
	else if (is_exec && setup.msg->gate == GATE_NAMED)
		r = setup_refuse(&setup, ERRCODE_INVALID_ARGUMENT,
				 "a gate by name only for START");
	else
		r = setup_run(&setup);
	(void)r; /* answered, or in flight */
	setup_deinit(&setup);
}

void
op_start(struct spawner *spawner, const struct request *request,
	 const struct op_message *msg)
{
	setup_bootstrap(spawner, request, false);
}

void
op_exec(struct spawner *spawner, const struct request *request,
	const struct op_message *msg)
{
	setup_bootstrap(spawner, request, true);
}
