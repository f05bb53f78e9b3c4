/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts in flight. The relay runs as the caller, so the pid that it reports
 * is a claim: it is believed only of an own, unreaped, unknown child in that
 * very container's cgroup, and once per start.
 */
#include "spawn/spawner_flight.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/sys.h"
#include "spawn/spawner.h"
#include "spawn/spawner_gate.h"
#include "spawn/spawner_log.h"
#include "spawn/stage.h"

void
start_table_init(struct start_table *table)
{
	memset(table, 0, sizeof(*table));
}

bool
start_is_in(const struct start_table *table, const struct container_name *name)
{
	size_t i;

	if (table->count == 0)
		return false;
	for (i = 0; i < START_MAX; i++)
		if (table->rows[i].name.id[0] &&
		    container_name_equal(&table->rows[i].name, name))
			return true;
	return false;
}

bool
start_is_relay(const struct start_table *table, pid_t pid)
{
	size_t i;

	for (i = 0; i < START_MAX; i++)
		if (table->rows[i].name.id[0] && table->rows[i].relay == pid)
			return true;
	return false;
}

static void
flight_close_report(struct spawner *spawner, struct start *start)
{
	watch_remove(&spawner->loop, &start->report_watch);
	fd_close(&start->report_fd);
}

void
flight_end(struct spawner *spawner, struct start *start)
{
	flight_close_report(spawner, start);
	watch_remove(&spawner->loop, &start->relay_watch);
	fd_close(&start->relay_fd);
	memset(start, 0, sizeof(*start));
	spawner->starts.count--;
}

/* Kill the relay; with START everything of its cgroup, which is new. */
static void
flight_kill(struct spawner *spawner, struct start *start)
{
	struct place place = { spawner, &start->name, -1 };
	fd_auto int leaf = -1;
	int r = -ENOENT;

	if (!start->is_exec)
		r = place_open(spawner, &start->name, &leaf);
	place.leaf_fd = leaf;
	if (r == 0)
		r = place_kill(&place);
	if ((r < 0 || !place_is_cgroup(spawner)) && start->relay_fd >= 0)
		r = sys_pidfd_send_signal(start->relay_fd, SIGKILL);
	if (r < 0 && r != -ESRCH)
		log_error(-r, "cannot kill relay %d of container %s",
			  start->relay, start->name.id);
}

static void
flight_answer_error(struct spawner *spawner, struct start *start,
		    const struct answer_error *error)
{
	start->answered = true;
	answer_error(spawner, start->conn_id, start->seq, error);
}

/* Is this pid what a relay may report? 0 or -errno; NULL-ended rule. */
static int
flight_verify(struct spawner *spawner, struct start *start, pid_t pid)
{
	struct container_name name;
	struct child_exit end;
	int r;

	if (pid <= 0 || start_is_relay(&spawner->starts, pid) ||
	    keeper_is_worker(&spawner->keeper, pid) ||
	    child_find(&spawner->children, pid))
		return -EPERM;
	r = child_peek(pid, &end);
	if (r < 0)
		return r;
	r = place_of(spawner, pid, &name);
	/* Without cgroups all relays run as our own uid, which could give us
	 * any child of its own by other ways. */
	if (r == -ENODATA)
		return 0;
	if (r < 0)
		return r;
	return container_name_equal(&name, &start->name) ? 0 : -EPERM;
}

int
start_answer_child(struct spawner *spawner, const struct started *started)
{
	struct proc_stat stat = { .start_time = 0 };
	struct nlmsg_builder builder;
	uint8_t buf[128];
	int r = 0;

	/* Behind its gate it is our own code, and that opens on our answer.
	 * What may have executed a program already is not read: spawner_proc.h.
	 */
	if (!started->ungated)
		r = proc_stat_read(spawner->proc_fd, started->pid, &stat);
	if (r == 0)
		r = child_add(&spawner->children, started->pid, started->name,
			      stat.start_time, started->gated);
	if (r < 0)
		return r;
	nlmsg_builder_init(&builder, buf, sizeof(buf), ANSWER_CHILD,
			   started->seq);
	nlmsg_put_u32(&builder, OP_ATTR_PID, (uint32_t)started->pid);
	nlmsg_put_u64(&builder, OP_ATTR_START_TIME, stat.start_time);
	conn_send(spawner, started->conn_id, &builder, started->pidfd);
	return 0;
}

static void
flight_on_child(struct spawner *spawner, struct start *start, pid_t pid)
{
	struct started started = { .name = &start->name,
				   .conn_id = start->conn_id,
				   .seq = start->seq,
				   .pid = pid,
				   .gated = start->gated,
				   .ungated = start->ungated };
	fd_auto int pidfd = -1;
	int r;

	r = flight_verify(spawner, start, pid);
	if (r == 0) {
		pidfd = sys_pidfd_open(pid);
		r = pidfd < 0 ? pidfd : 0;
	}
	started.pidfd = pidfd;
	start->answered = true;
	if (r == 0)
		r = start_answer_child(spawner, &started);
	if (r < 0) {
		log_error(-r, "refused pid %d from the relay of container %s",
			  pid, start->name.id);
		flight_answer_error(
			spawner, start,
			&(struct answer_error){
				.code = ERRCODE_INTERNAL,
				.rule = "the relay's report does not name a "
					"child of this start" });
		flight_kill(spawner, start);
		return;
	}
	start->has_child = true;
}

/* Read what the relay wrote, if anything. Only the first report counts. */
static void
flight_read_report(struct spawner *spawner, struct start *start)
{
	struct relay_report report;
	ssize_t n;

	if (start->report_fd < 0)
		return;
	n = read(start->report_fd, &report, sizeof(report));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	flight_close_report(spawner, start);
	if (n == (ssize_t)sizeof(report))
		flight_on_child(spawner, start, report.pid);
}

static void
flight_on_report(struct spawner *spawner, void *userdata, uint32_t events)
{
	flight_read_report(spawner, userdata);
}

/* What a start left that never came to a CHILD. */
static void
flight_clean_up(struct spawner *spawner, struct start *start)
{
	struct container_name name = start->name;
	bool is_exec = start->is_exec, gated = start->gated;

	if (!is_exec)
		flight_kill(spawner, start);
	flight_end(spawner, start);
	if (gated)
		gate_remove(spawner->rundir.gates_fd, &name);
	if (!is_exec)
		removal_add(spawner, &name, 0, 0);
	sweep_soon(spawner);
}

static void
flight_on_relay_end(struct spawner *spawner, void *userdata, uint32_t events)
{
	struct start *start = userdata;
	struct failure failure = { 0 };
	siginfo_t info = { 0 };
	int r;

	flight_read_report(spawner, start);
	if (waitid(P_PIDFD, (id_t)start->relay_fd, &info,
		   WEXITED | WNOHANG | __WALL) < 0)
		log_error(errno, "cannot reap relay %d", start->relay);
	else if (info.si_pid == 0)
		return; /* not yet */
	if (!start->answered) {
		r = failure_set(&failure, STAGE_RELAY, "relay", "waitid", 0,
				info.si_code == CLD_EXITED
					? "exit status %d"
					: "killed by signal %d",
				info.si_status);
		(void)r;
		flight_answer_error(
			spawner, start,
			&(struct answer_error){
				.code = clock_boottime_ms() >=
							start->deadline_ms
						? ERRCODE_DEADLINE
						: ERRCODE_STAGE_FAILED,
				.failure = &failure });
	}
	if (start->has_child)
		flight_end(spawner, start);
	else
		flight_clean_up(spawner, start);
}

static void
flight_watch(struct spawner *spawner, struct start *start)
{
	int r = 0;

	start->relay_watch = (struct watch){ -1, flight_on_relay_end, start };
	start->report_watch = (struct watch){ -1, flight_on_report, start };
	if (start->relay_fd >= 0)
		r = watch_add(&spawner->loop, &start->relay_watch,
			      start->relay_fd, EPOLLIN);
	if (r == 0 && start->report_fd >= 0)
		r = watch_add(&spawner->loop, &start->report_watch,
			      start->report_fd, EPOLLIN);
	if (r < 0) {
		/* No memory in the kernel: the timer kills and reaps it. */
		log_error(-r, "cannot watch relay %d", start->relay);
		start->deadline_ms = 0;
		timer_set(&spawner->loop, TIMER_STARTS, 1);
	}
}

/* In a free row, of which there is one. */
static struct start *
flight_put(struct spawner *spawner, const struct start *take_start)
{
	struct start_table *table = &spawner->starts;
	struct start *start = NULL;
	size_t i;

	for (i = 0; i < START_MAX && !start; i++)
		if (!table->rows[i].name.id[0])
			start = &table->rows[i];
	assert(start);
	*start = *take_start;
	table->count++;
	return start;
}

struct start *
flight_begin(struct spawner *spawner, struct start *take_start)
{
	struct start *start = flight_put(spawner, take_start);

	start->deadline_ms = clock_boottime_ms() + START_TIMEOUT_MS;
	if (!timer_is_set(&spawner->loop, TIMER_STARTS))
		timer_set(&spawner->loop, TIMER_STARTS, START_TIMEOUT_MS);
	flight_watch(spawner, start);
	return start;
}

void
flight_resume(struct spawner *spawner, const struct start *take_start)
{
	flight_watch(spawner, flight_put(spawner, take_start));
	timer_set(&spawner->loop, TIMER_STARTS,
		  1); /* finds the next deadline */
}

void
flight_drop(struct spawner *spawner, struct start *start, pid_t pid)
{
	int pidfd = pid > 0 ? sys_pidfd_open(pid) : -1;

	start->answered = true;
	start->by_zygote = false;
	if (pidfd < 0) {
		flight_clean_up(spawner, start);
		return;
	}
	(void)sys_pidfd_send_signal(pidfd, SIGKILL);
	start->relay = pid;
	start->relay_fd = pidfd;
	flight_watch(spawner, start);
}

void
start_on_timer(struct spawner *spawner)
{
	struct start_table *table = &spawner->starts;
	int64_t now = clock_boottime_ms(), next = INT64_MAX, due;
	struct start *start;
	size_t i;

	for (i = 0; i < START_MAX; i++) {
		start = &table->rows[i];
		if (!start->name.id[0])
			continue;
		if (start->deadline_ms <= now) {
			flight_kill(spawner, start);
			/* Seen here if it could not be watched. */
			if (!start->by_zygote)
				flight_on_relay_end(spawner, start, 0);
		}
		if (!start->name.id[0])
			continue;
		/* Killed and not gone yet: look again. */
		due = start->deadline_ms <= now ? now + 100
						: start->deadline_ms;
		if (due < next)
			next = due;
	}
	if (next != INT64_MAX)
		timer_set(&spawner->loop, TIMER_STARTS, next - now);
}

void
start_table_deinit(struct spawner *spawner)
{
	struct start_table *table = &spawner->starts;
	size_t i;

	for (i = 0; i < START_MAX; i++)
		if (table->rows[i].name.id[0]) {
			flight_kill(spawner, &table->rows[i]);
			flight_end(spawner, &table->rows[i]);
		}
}
