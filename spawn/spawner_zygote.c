/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Zygotes as the spawner sees them. What they report comes from code of our own
 * with root's rights, for admins; a pid is looked at all the same before it is
 * told to anybody. See spawner_zygote.h.
 */
#include "spawn/spawner_zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "lib/vfork.h"
#include "spawn/direct.h"
#include "spawn/spawner.h"
#include "spawn/spawner_flight.h"
#include "spawn/spawner_log.h"
#include "spawn/spawner_ops.h"

#define ZYGOTE_AGAIN_MS 1000

void
zygotes_init(struct zygote_pool *pool)
{
	size_t i;

	for (i = 0; i < ZYGOTES_MAX; i++)
		pool->slots[i] = (struct zygote_slot){ .pidfd = -1,
						       .sock = -1,
						       .pid_watch.fd = -1,
						       .sock_watch.fd = -1 };
}

bool
zygotes_has(const struct zygote_pool *pool, pid_t pid)
{
	size_t i;

	for (i = 0; i < pool->n; i++)
		if (pool->slots[i].pid == pid)
			return true;
	return false;
}

bool
zygotes_are_starting(const struct zygote_pool *pool)
{
	size_t i;

	for (i = 0; i < pool->n; i++)
		if (pool->slots[i].start)
			return true;
	return false;
}

void
zygotes_end_starts(struct zygote_pool *pool)
{
	size_t i;

	for (i = 0; i < pool->n; i++)
		if (pool->slots[i].start && pool->slots[i].pidfd >= 0)
			(void)sys_pidfd_send_signal(pool->slots[i].pidfd,
						    SIGKILL);
}

static void
slot_close(struct spawner *spawner, struct zygote_slot *slot)
{
	watch_remove(&spawner->loop, &slot->pid_watch);
	watch_remove(&spawner->loop, &slot->sock_watch);
	fd_close(&slot->sock);
	fd_close(&slot->pidfd);
	slot->pid = 0;
	slot->busy = false;
}

/* No CHILD was told: say why, and end what there is of it. */
static void
slot_fail(struct spawner *spawner, struct zygote_slot *slot,
	  const struct answer_error *error)
{
	struct start *start = slot->start;

	slot->start = NULL;
	answer_error(spawner, start->conn_id, start->seq, error);
	flight_drop(spawner, start, slot->child);
}

/* Its maps, its go, its answer. */
static int
slot_let_go(struct spawner *spawner, struct zygote_slot *slot,
	    struct failure *failure)
{
	struct start *start = slot->start;
	struct started started = { .name = &start->name,
				   .conn_id = start->conn_id,
				   .seq = start->seq,
				   .pid = slot->child,
				   .ungated = start->ungated };
	fd_auto int pidfd = -1;
	struct child_exit end;
	int r;

	r = child_find(&spawner->children, slot->child)
		    ? -EEXIST
		    : child_peek(slot->child, &end);
	if (r == 0 && slot->has_user) {
		r = mapset_write(&slot->maps, slot->child, failure);
		if (r < 0)
			return r;
	}
	if (r == 0) {
		pidfd = sys_pidfd_open(slot->child);
		started.pidfd = pidfd;
		r = pidfd < 0 ? pidfd : start_answer_child(spawner, &started);
	}
	if (r == 0)
		return 0;
	return failure_set(failure, STAGE_SPAWNER, "child", "", -r, "pid %d",
			   slot->child);
}

static void
slot_on_child(struct spawner *spawner, struct zygote_slot *slot, pid_t pid)
{
	struct failure failure = { 0 };
	struct start *start = slot->start;

	if (!start || slot->child != 0)
		return;
	slot->child = pid;
	if (slot_let_go(spawner, slot, &failure) < 0) {
		/* Which code that is nsexecd knows, as of a stage's. */
		slot_fail(spawner, slot,
			  &(struct answer_error){ .failure = &failure });
		return;
	}
	slot->start = NULL;
	flight_end(spawner, start);
}

static void
slot_on_idle(struct spawner *spawner, struct zygote_slot *slot,
	     const struct zygote_report *report)
{
	struct failure failure = { 0 };

	slot->busy = false;
	if (!slot->start)
		return;
	slot->child = report->pid;
	failure_set(&failure, STAGE_SPAWNER, "clone",
		    report->error ? "clone3" : "", report->error, "%s",
		    report->error ? slot->start->name.id
				  : "init ended at once");
	slot_fail(spawner, slot,
		  &(struct answer_error){
			  .code = report->error == EAGAIN ||
						  report->error == ENOSPC
					  ? ERRCODE_NS_LIMIT
					  : ERRCODE_STAGE_FAILED,
			  .failure = &failure });
}

static void
slot_read(struct spawner *spawner, struct zygote_slot *slot)
{
	struct zygote_report report;
	ssize_t n;

	for (;;) {
		n = fd_recv(slot->sock, &report, sizeof(report), NULL, 0, NULL);
		if (n != (ssize_t)sizeof(report))
			break;
		if (report.message == ZYGOTE_CHILD)
			slot_on_child(spawner, slot, report.pid);
		else if (report.message == ZYGOTE_IDLE)
			slot_on_idle(spawner, slot, &report);
	}
	/* Its end is seen by the pidfd. What could not be read is there yet. */
	if (n == 0)
		watch_remove(&spawner->loop, &slot->sock_watch);
}

static void
slot_on_sock(struct spawner *spawner, void *userdata, uint32_t events)
{
	slot_read(spawner, userdata);
}

/* It died: what it was at is ended, another one is made in a while. */
static void
slot_on_pidfd(struct spawner *spawner, void *userdata, uint32_t events)
{
	struct zygote_slot *slot = userdata;
	siginfo_t info = { 0 };

	slot_read(spawner, slot);
	if (waitid(P_PIDFD, (id_t)slot->pidfd, &info,
		   WEXITED | WNOHANG | __WALL) == 0 &&
	    info.si_pid == 0)
		return; /* not yet */
	log_error(0, "zygote %d ended (%s %d)", slot->pid,
		  info.si_code == CLD_EXITED ? "exit status" : "signal",
		  info.si_status);
	slot_close(spawner, slot);
	if (slot->start)
		slot_fail(spawner, slot,
			  &(struct answer_error){
				  .code = ERRCODE_INTERNAL,
				  .rule = "the process that made it ended" });
	timer_set(&spawner->loop, TIMER_ZYGOTES, ZYGOTE_AGAIN_MS);
}

static int
slot_fork(struct spawner *spawner, struct zygote_slot *slot)
{
	struct clone_args args = { .flags = CLONE_PIDFD };
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	slot->sock = pair[0];
	/* exit_signal 0: inits inherit it from the zygote (CLONE_PARENT). */
	args.pidfd = (uint64_t)(uintptr_t)&slot->pidfd;
	r = fcntl(slot->sock, F_SETFL, O_NONBLOCK) < 0 ? -errno
						       : sys_clone3(&args);
	if (r == 0)
		zygote_run(spawner, pair[1]);
	close(pair[1]);
	if (r < 0)
		return r;
	slot->pid = r;
	slot->pid_watch = (struct watch){ -1, slot_on_pidfd, slot };
	slot->sock_watch = (struct watch){ -1, slot_on_sock, slot };
	r = watch_add(&spawner->loop, &slot->pid_watch, slot->pidfd, EPOLLIN);
	if (r == 0)
		r = watch_add(&spawner->loop, &slot->sock_watch, slot->sock,
			      EPOLLIN);
	return r;
}

/* One that came to be and cannot be watched. */
static void
slot_abandon(struct spawner *spawner, struct zygote_slot *slot)
{
	siginfo_t info;

	if (slot->pid > 0) {
		(void)sys_pidfd_send_signal(slot->pidfd, SIGKILL);
		(void)!waitid(P_PIDFD, (id_t)slot->pidfd, &info,
			      WEXITED | __WALL);
	}
	slot_close(spawner, slot);
}

void
zygotes_start(struct spawner *spawner)
{
	struct zygote_pool *pool = &spawner->zygotes;
	cpu_set_t cpus;
	size_t i;
	int r;

	pool->n = 1;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		pool->n = (size_t)CPU_COUNT(&cpus);
	if (pool->n > ZYGOTES_MAX)
		pool->n = ZYGOTES_MAX;
	if (!VFORK_IS_POSSIBLE)
		pool->n = 0;
	for (i = 0; i < pool->n; i++) {
		if (pool->slots[i].pid > 0)
			continue;
		r = slot_fork(spawner, &pool->slots[i]);
		if (r == 0)
			continue;
		log_error(-r, "cannot start a zygote");
		slot_abandon(spawner, &pool->slots[i]);
		timer_set(&spawner->loop, TIMER_ZYGOTES, ZYGOTE_AGAIN_MS);
	}
}

void
zygotes_on_timer(struct spawner *spawner)
{
	zygotes_start(spawner);
}

void
zygotes_deinit(struct spawner *spawner)
{
	size_t i;

	for (i = 0; i < ZYGOTES_MAX; i++)
		slot_close(spawner, &spawner->zygotes.slots[i]);
}

/* The maps outlive the message: they are written when the child reports. */
static void
slot_keep_maps(struct zygote_slot *slot, const struct stage_input *input)
{
	struct mapset *maps = &slot->maps;

	*maps = mapset_of(input->msg);
	slot->has_user = input->msg->clone_flags & CLONE_NEWUSER;
	if (maps->uid_map)
		memcpy(slot->uid_map, maps->uid_map, maps->uid_map_size);
	if (maps->gid_map)
		memcpy(slot->gid_map, maps->gid_map, maps->gid_map_size);
	maps->uid_map = maps->uid_map ? slot->uid_map : NULL;
	maps->gid_map = maps->gid_map ? slot->gid_map : NULL;
	maps->proc_fd = input->proc_fd;
	maps->go_write = slot->sock;
	maps->stage = STAGE_SPAWNER;
}

static int
slot_send(struct spawner *spawner, struct zygote_slot *slot,
	  const struct zygote_order *order)
{
	const struct caller *caller = order->input->caller;
	const struct request *request = order->request;
	uint8_t *datagram = spawner->zygotes.datagram;
	struct zygote_start start = {
		.uid = caller->uid,
		.gid = caller->gid,
		.pid = caller->pid,
		.n_groups = (uint32_t)caller->n_groups,
		.type = request->type,
		.has_fd_channel = order->input->fd_channel >= 0,
		.message_size = (uint32_t)request->size,
	};
	const int fds[] = { order->leaf_fd, order->input->init_channel,
			    order->input->fd_channel };

	if (caller->n_groups > 0)
		memcpy(start.groups, caller->groups,
		       caller->n_groups * sizeof(start.groups[0]));
	memcpy(datagram, &start, sizeof(start));
	memcpy(datagram + sizeof(start), request->data, request->size);
	return fd_send(slot->sock, datagram, sizeof(start) + request->size, fds,
		       start.has_fd_channel ? 3 : 2);
}

bool
zygotes_take(struct spawner *spawner, const struct zygote_order *order)
{
	struct zygote_pool *pool = &spawner->zygotes;
	struct zygote_slot *slot = NULL;
	size_t i;

	if (reexec_is_near(spawner))
		return false; /* it ends with us, and with what it is at */
	for (i = 0; i < pool->n && !slot; i++)
		if (pool->slots[i].pid > 0 && !pool->slots[i].busy)
			slot = &pool->slots[i];
	if (!slot || order->input->caller->n_groups > ZYGOTE_MAX_GROUPS ||
	    order->request->size > NLMSG_MAX ||
	    !direct_is_shareable(order->input))
		return false;
	if (slot_send(spawner, slot, order) < 0)
		return false;
	slot_keep_maps(slot, order->input);
	slot->busy = true;
	slot->child = 0;
	slot->start = flight_begin(
		spawner, &(struct start){ .name = *order->name,
					  .conn_id = order->request->conn_id,
					  .seq = order->request->seq,
					  .ungated = order->input->msg->gate ==
						     GATE_NONE,
					  .by_zygote = true,
					  .relay_fd = -1,
					  .report_fd = -1 });
	return true;
}
