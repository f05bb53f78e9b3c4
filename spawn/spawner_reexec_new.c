/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The new program's side of a re-exec: the same steps in the trial and in
 * earnest, so that what the trial passed does not fail when there is no way
 * back. See spawner_reexec.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "lib/util.h"
#include "spawn/spawner.h"
#include "spawn/spawner_carry.h"
#include "spawn/spawner_log.h"
#include "spawn/spawner_process.h"
#include "spawn/stage.h"

/* A sealed memfd's bytes, whole and checked. 0 or -errno, said. */
static int
state_read(int fd, uint8_t **ret, size_t *ret_size)
{
	const int need = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int seals = fcntl(fd, F_GET_SEALS), r;
	free_auto uint8_t *data = NULL;
	char why[STATE_WHY_SIZE] = "no memory";
	struct stat st;
	ssize_t n;

	if (seals < 0 || (seals & need) != need || fstat(fd, &st) < 0 ||
	    st.st_size < 0 || (size_t)st.st_size > STATE_MAX) {
		log_error(0, "cannot take a state that is no sealed memfd");
		return -EBADF;
	}
	data = malloc((size_t)st.st_size + 1);
	n = data ? pread(fd, data, (size_t)st.st_size, 0) : -1;
	r = n == st.st_size ? state_check(data, (size_t)n, why) : -ENOMEM;
	if (r < 0) {
		log_error(0, "cannot take the state: %s", why);
		return r;
	}
	*ret = ptr_steal(&data);
	*ret_size = (size_t)n;
	return 0;
}

static int
state_had_resolver(const uint8_t *data, size_t size)
{
	struct state_iter iter;
	struct state_item item;

	state_iter_init(&iter, data, size);
	return state_iter_next(&iter, &item) && item.fixed.global.has_resolver;
}

/* The trial's last word. */
static _Noreturn void
trial_end(const struct spawner *spawner, bool had_resolver)
{
	if (had_resolver && spawner->resolver.program_fd < 0)
		_exit(EXIT_FAILURE); /* why was said */
	dprintf(STDOUT_FILENO, REEXEC_OK "%s\n", PACKAGE_VERSION);
	_exit(EXIT_SUCCESS);
}

/*
 * They are our children still, and nobody but us reaps them: each pid is the
 * one that was meant. A zygote may go while its init runs: the memory stays as
 * long as either has it.
 */
static void
leftovers_kill(struct spawner *spawner)
{
	const struct leftovers *leftovers = &spawner->reexec.leftovers;
	struct child_exit end;
	size_t i;

	for (i = 0; i < leftovers->n; i++)
		if (child_peek(leftovers->pids[i], &end) == 0)
			kill(leftovers->pids[i], SIGKILL);
	timer_set(&spawner->loop, TIMER_REEXEC, 0);
}

int
reexec_resume(struct spawner *spawner)
{
	free_auto uint8_t *data = NULL;
	size_t size = 0;
	int r;

	r = state_read(spawner->options.state_fd, &data, &size);
	if (r < 0)
		return r;
	r = carry_take_fds(data, size);
	if (r == 0)
		r = process_resume(spawner);
	if (r == 0)
		r = carry_resume(spawner, data, size);
	if (r == 0)
		r = watch_add(&spawner->loop, &spawner->signal_watch,
			      spawner->signal_fd, EPOLLIN);
	if (r == 0)
		r = stage_own_namespaces(spawner->proc_fd, spawner->namespaces);
	if (r == 0)
		r = confinement_read_own(spawner->proc_fd, &spawner->own);
	if (r < 0) {
		log_error(-r, "cannot go on from the state");
		return r;
	}
	resolver_open(spawner);
	if (spawner->options.trial)
		trial_end(spawner, state_had_resolver(data, size));
	leftovers_kill(spawner);
	return 0;
}

void
reexec_resumed(struct spawner *spawner)
{
	log_note("goes on as nsexec-spawner " PACKAGE_VERSION
		 ": %zu children, %zu connections",
		 spawner->children.count, spawner->conns.count);
	answer_done(spawner, spawner->reexec.conn_id, spawner->reexec.seq);
	/* Until it is read the old rules hold, if there were any. */
	policy_reload(spawner);
	defer_wake_policy(spawner);
	defer_set_timer(spawner);
}
