/* SPDX-License-Identifier: Apache-2.0 */
/* See foreground.h. */
#include "config.h"

#include "client/foreground.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/util.h"

#define SECOND_INTERRUPT_MS 2000
/* A start that nsexecd's end aborted is made anew so often. */
#define MAX_STARTS 10
#define DELETE_MS 5000
#define KILL_GRACE_MS 10000

static void
call_auto_free(struct nsexec_call **call)
{
	nsexec_call_free(*call);
}
#define call_auto __attribute__((cleanup(call_auto_free)))

int
foreground_init(struct foreground *foreground)
{
	static const int signals[] = { SIGTERM, SIGINT,	 SIGHUP,  SIGQUIT,
				       SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH };
	sigset_t mask;

	foreground->signal_fd = -1;
	foreground->pidfd = -1;
	foreground->deadline_ms = INT64_MAX;
	if (foreground->timeout_ms)
		foreground->deadline_ms =
			clock_boottime_ms() + (int64_t)foreground->timeout_ms;
	if (!foreground->forward)
		return 0;
	sigemptyset(&mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&mask, signals[i]);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -errno;
	foreground->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return foreground->signal_fd < 0 ? -errno : 0;
}

void
foreground_deinit(struct foreground *foreground)
{
	fd_close(&foreground->signal_fd);
	fd_close(&foreground->pidfd);
	foreground->info = nsexec_info_free(foreground->info);
	for (size_t i = 0; i < FOREGROUND_SIGNALS; i++)
		foreground->signals[i] =
			nsexec_call_free(foreground->signals[i]);
	free(foreground->id);
	free(foreground->exec_id);
	foreground->id = foreground->exec_id = NULL;
}

/* Send without caring for the answer: the exit will tell. */
static void
send_signal(struct foreground *foreground, int sig, bool all)
{
	const struct nsexec_target target = { foreground->id,
					      foreground->exec_id };
	struct nsexec_call **slot =
		&foreground->signals[foreground->next_signal++ %
				     FOREGROUND_SIGNALS];

	*slot = nsexec_call_free(*slot);
	(void)!nsexec_call_signal(foreground->ctl->nsexec, &target, sig, all,
				  slot);
}

/* Nothing runs yet: a deadly signal gives the start up. */
static void
cancel_start(struct foreground *foreground, int sig)
{
	call_auto struct nsexec_call *call = NULL;

	foreground->pending_signal = sig;
	if (foreground->exec_container || sig == SIGCONT || sig == SIGWINCH)
		return;
	(void)!nsexec_call_cancel(foreground->ctl->nsexec, NULL,
				  foreground->key, &call);
}

/* Note an interrupt; was there another shortly before? */
static bool
is_second_interrupt(struct foreground *foreground, int sig)
{
	const int64_t now = clock_boottime_ms();
	const int64_t last = foreground->last_interrupt_ms;

	if (sig != SIGINT)
		return false;
	foreground->last_interrupt_ms = now;
	return last && now - last < SECOND_INTERRUPT_MS;
}

static void
on_signal(struct foreground *foreground, int sig)
{
	const bool second = is_second_interrupt(foreground, sig);

	if (!foreground->id) {
		cancel_start(foreground, second ? SIGKILL : sig);
	} else if (second) {
		ctl_warn(foreground->ctl, "second interrupt: killing");
		send_signal(foreground, SIGKILL, !foreground->exec_id);
	} else {
		send_signal(foreground, sig, false);
	}
}

/* The deadline: kill, then give the exit a moment to come. */
static int
on_deadline(struct foreground *foreground)
{
	if (foreground->timed_out)
		return -ETIMEDOUT;
	foreground->timed_out = true;
	foreground->deadline_ms = clock_boottime_ms() + KILL_GRACE_MS;
	if (foreground->id)
		send_signal(foreground, SIGKILL, !foreground->exec_id);
	else
		cancel_start(foreground, SIGKILL);
	return 0;
}

static int
poll_timeout(const struct foreground *foreground)
{
	int64_t left;

	if (foreground->deadline_ms == INT64_MAX)
		return -1;
	left = foreground->deadline_ms - clock_boottime_ms();
	return left > 0 ? (int)left : 0;
}

/* One wait. 0, -ETIMEDOUT after the grace, or why the connection broke. */
static int
turn(struct foreground *foreground)
{
	struct nsexec *nsexec = foreground->ctl->nsexec;
	struct pollfd fds[] = {
		{ nsexec_fd(nsexec), nsexec_poll_events(nsexec), 0 },
		{ foreground->signal_fd, POLLIN, 0 },
	};
	struct signalfd_siginfo info;
	int n;

	n = poll(fds, ARRAY_SIZE(fds), poll_timeout(foreground));
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 0)
		return on_deadline(foreground);
	if (fds[1].revents &&
	    read(foreground->signal_fd, &info, sizeof(info)) == sizeof(info))
		on_signal(foreground, (int)info.ssi_signo);
	return fds[0].revents ? nsexec_dispatch(nsexec) : 0;
}

static int
await(struct foreground *foreground, const struct nsexec_call *call)
{
	int r;

	while (!nsexec_call_done(call)) {
		r = turn(foreground);
		if (r < 0 && !nsexec_call_done(call))
			return r;
	}
	return nsexec_call_result(call);
}

static int
send_start(struct foreground *foreground, struct nsexec_call **ret)
{
	const struct nsexec_start start = {
		.key = foreground->exec_container ? NULL : foreground->key,
		.want_pidfd = foreground->want_pidfd,
	};
	struct nsexec *nsexec = foreground->ctl->nsexec;

	if (foreground->exec_container)
		return nsexec_call_exec(nsexec, foreground->exec_container,
					foreground->spec, &start, ret);
	return nsexec_call_run(nsexec, foreground->spec, &start, ret);
}

/* Keep what the answer says. 0 or -errno. */
static int
read_start(struct foreground *foreground, struct nsexec_call *call)
{
	int r;

	if (foreground->exec_container) {
		r = nsexec_call_get_exec(call, &foreground->exec_id,
					 &foreground->pid, NULL);
		if (r < 0)
			return r;
		foreground->id = strdup(foreground->exec_container);
	} else {
		r = nsexec_call_get_info(call, &foreground->info);
		if (r < 0)
			return r;
		foreground->pid = foreground->info->pid;
		foreground->id = strdup(foreground->info->id);
	}
	if (!foreground->id)
		return -ENOMEM;
	if (!foreground->want_pidfd)
		return 0;
	foreground->pidfd = nsexec_call_take_pidfd(call);
	return foreground->pidfd < 0 ? foreground->pidfd : 0;
}

const char *
foreground_key_text(const struct foreground *foreground,
		    char buf[FOREGROUND_ID_MAX])
{
	for (size_t i = 0; i < sizeof(foreground->key); i++)
		(void)snprintf(buf + 2 * i, 3, "%02x", foreground->key[i]);
	return buf;
}

/* A stage or the spawner failed, not the request: it is on record. */
static bool
is_late(const struct nsexec_error *error)
{
	return error->code != NSEXEC_OK &&
	       strcmp(error->stage, "daemon") != 0 &&
	       strcmp(error->stage, "client") != 0;
}

/*
 * nsexecd was restarted in the middle of the set-up, which never ran: under
 * another key it is the same start for whoever waits for it.
 */
static bool
is_aborted(const struct foreground *foreground, const struct nsexec_call *call)
{
	const struct nsexec_error *error = nsexec_call_error(call);

	return nsexec_call_result(call) == -EREMOTEIO &&
	       error->code == NSEXEC_ABORTED_RESTART && error->retryable &&
	       foreground->own_key && !foreground->exec_container &&
	       !foreground->pending_signal && !foreground->timed_out;
}

/* Another key, and nothing left of the start that was aborted. */
static int
renew(struct foreground *foreground)
{
	struct nsexec *nsexec = foreground->ctl->nsexec;
	call_auto struct nsexec_call *call = NULL;
	char id[FOREGROUND_ID_MAX];
	const char *old = foreground->name;
	int r;

	if (!old)
		old = foreground_key_text(foreground, id);
	r = nsexec_call_delete(nsexec, old, true, &call);
	if (r >= 0)
		(void)!nsexec_call_await(call, DELETE_MS);
	r = nsexec_key_new(foreground->key);
	if (r >= 0 && !foreground->name)
		nsexec_spec_id(foreground->spec,
			       foreground_key_text(foreground, id));
	return r;
}

int
foreground_start(struct foreground *foreground)
{
	call_auto struct nsexec_call *call = NULL;
	uint64_t sent_us = 0;
	int r, n = 0;

	do {
		call = nsexec_call_free(call);
		r = n == 0 ? 0 : renew(foreground);
		sent_us = ctl_trace_now();
		if (r >= 0)
			r = send_start(foreground, &call);
		if (r < 0)
			return ctl_report_call(foreground->ctl, r, NULL);
		r = await(foreground, call);
	} while (is_aborted(foreground, call) && ++n < MAX_STARTS);
	ctl_trace_print(foreground->ctl,
			foreground->exec_container ? "Exec" : "Run", call,
			sent_us);
	foreground->failed_late = r < 0 && is_late(nsexec_call_error(call));
	if (r < 0 && foreground->timed_out) {
		ctl_warn(foreground->ctl, "not started within the timeout");
		return CTL_TIMEOUT;
	}
	if (r < 0)
		return ctl_report_call(foreground->ctl, r, call);
	r = read_start(foreground, call);
	if (r < 0)
		return ctl_report_call(foreground->ctl, r, NULL);
	if (foreground->pending_signal)
		send_signal(foreground, foreground->pending_signal, false);
	return 0;
}

int
foreground_wait(struct foreground *foreground, struct nsexec_exit *ret)
{
	const struct nsexec_target target = { foreground->id,
					      foreground->exec_id };
	call_auto struct nsexec_call *call = NULL;
	int r;

	r = nsexec_call_wait(foreground->ctl->nsexec, &target, 0, &call);
	if (r >= 0)
		r = await(foreground, call);
	if (foreground->timed_out) {
		ctl_warn(foreground->ctl, "%s after the timeout",
			 r >= 0 ? "killed" : "cannot be killed");
		return CTL_TIMEOUT;
	}
	if (r >= 0)
		r = nsexec_call_get_exit(call, ret);
	return r < 0 ? ctl_report_call(foreground->ctl, r, call) : 0;
}
