/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One real-time interval timer per stage. See guard.h.
 *
 * A signal handler has no argument, so this file holds the one static pointer
 * of the root side. The caller may send SIGALRM to its own stage: the handler
 * looks at the clock, so that gains nothing but an interrupted call.
 */
#include "spawn/guard.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "spawn/report.h"

static struct {
	struct stage_context *context;
	int64_t end_ms;
} guard;

static void
guard_on_alarm(int sig)
{
	int saved = errno;

	(void)sig;
	if (clock_boottime_ms() + 1 >= guard.end_ms) {
		(void)stage_fail(guard.context, NULL, "", ETIMEDOUT,
				 "deadline of this phase");
		stage_die(guard.context);
	}
	errno = saved;
}

static struct timeval
timeval_of_ms(int64_t ms)
{
	return (struct timeval){ .tv_sec = ms / 1000,
				 .tv_usec = ms % 1000 * 1000 };
}

int
guard_arm(struct stage_context *context)
{
	struct sigaction action = { .sa_handler = guard_on_alarm };
	const struct bootstrap *msg = context->msg;
	uint32_t timeout_ms = GUARD_TIMEOUT_DEFAULT_MS;

	if (bootstrap_has(msg, BOOTSTRAP_PHASE_TIMEOUT_MS))
		timeout_ms = msg->phase_timeout_ms;
	guard.context = context;
	guard.end_ms = clock_boottime_ms() + timeout_ms;
	/* No SA_RESTART: an interrupted call looks at its own condition. */
	if (sigaction(SIGALRM, &action, NULL) < 0)
		return stage_fail(context, NULL, "sigaction", errno, "SIGALRM");
	guard_slice(0);
	return 0;
}

void
guard_slice(uint32_t slice_ms)
{
	struct itimerval timer = { { 0, 0 }, { 0, 0 } };
	int64_t left = guard.end_ms - clock_boottime_ms();

	if (left < 1)
		left = 1;
	/* An interval, so that an alarm which comes a moment early by another
	 * clock is followed by one that does not. */
	timer.it_interval = timeval_of_ms(slice_ms ? slice_ms : 50);
	timer.it_value = timeval_of_ms(slice_ms ? slice_ms : left);
	setitimer(ITIMER_REAL, &timer, NULL);
}

void
guard_disarm(void)
{
	struct itimerval timer = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = SIG_DFL };

	setitimer(ITIMER_REAL, &timer, NULL);
	sigaction(SIGALRM, &action, NULL);
}
