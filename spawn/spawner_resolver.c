/* SPDX-License-Identifier: Apache-2.0 */
/* Starting, reading, reaping. See spawner_resolver.h. */
#include "spawn/spawner_resolver.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/sys.h"
#include "spawn/spawner.h"
#include "spawn/spawner_defer.h"
#include "spawn/spawner_log.h"
#include "spawn/spawner_program.h"

void
resolver_init(struct resolver *resolver)
{
	size_t i;

	resolver->program_fd = -1;
	for (i = 0; i < RESOLVER_RUNS; i++)
		resolver->runs[i] = (struct resolver_run){
			.errand = ERRAND_NULL, .why_fd = -1, .out_watch.fd = -1
		};
}

void
resolver_open(struct spawner *spawner)
{
	const char *path = spawner->options.resolver;
	int r = program_load(path, &spawner->resolver.program_fd);

	if (r < 0)
		log_error(-r,
			  "cannot load the resolver %s (delegated ids and the "
			  "policy are unknown without it)",
			  path);
}

static void
run_close(struct spawner *spawner, struct resolver_run *run)
{
	watch_remove(&spawner->loop, &run->out_watch);
	errand_end(spawner, &run->errand);
	fd_close(&run->why_fd);
	free(run->data);
	run->data = NULL;
	run->fn = NULL;
}

void
resolver_deinit(struct spawner *spawner)
{
	size_t i;

	for (i = 0; i < RESOLVER_RUNS; i++)
		run_close(spawner, &spawner->resolver.runs[i]);
	fd_close(&spawner->resolver.program_fd);
}

bool
resolver_has(const struct resolver *resolver, pid_t pid)
{
	size_t i;

	for (i = 0; i < RESOLVER_RUNS; i++)
		if (resolver->runs[i].errand.pid == pid)
			return true;
	return false;
}

/* What is there now. A byte too many is kept as the proof of it. */
static void
run_read(struct spawner *spawner, struct resolver_run *run)
{
	size_t room = run->size + 1 - run->got;
	ssize_t n = 0;

	while (room > 0) {
		n = read(run->errand.out_fd, run->data + run->got, room);
		if (n <= 0)
			break;
		run->got += (size_t)n;
		room -= (size_t)n;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	watch_remove(&spawner->loop, &run->out_watch);
}

static void
run_on_output(struct spawner *spawner, void *userdata, uint32_t events)
{
	run_read(spawner, userdata);
}

/* Its line, without its name and what could break ours: the log escapes no less
 * than it, and twice would be unreadable. */
static const char *
run_why(const struct resolver_run *run, char line[RESOLVER_WHY_SIZE])
{
	static const char name[] = "nsexec-resolver: ";
	ssize_t n = read(run->why_fd, line, RESOLVER_WHY_SIZE - 1);
	char *p;

	if (n <= 0)
		return NULL;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	for (p = line; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	return strncmp(line, name, sizeof(name) - 1) == 0
		       ? line + sizeof(name) - 1
		       : line;
}

static void
run_finish(struct spawner *spawner, struct resolver_run *run, int status)
{
	struct resolver_result result = { 0 };
	char text[RESOLVER_WHY_SIZE];
	resolver_fn fn = run->fn;
	uint32_t key = run->key;
	uint8_t *data;

	run_read(spawner, run);
	if (run->errand.killed)
		result.why = "the resolver did not answer within 5 s";
	else if (WIFSIGNALED(status))
		result.why = "the resolver crashed";
	else if (WEXITSTATUS(status) != 0)
		result.why = run_why(run, text);
	else if (run->got == run->size)
		result.data = run->data;
	else
		result.why = "the resolver's record is of another size";
	result.refused = !run->errand.killed && WIFEXITED(status) &&
			 WEXITSTATUS(status) == EXIT_FAILURE && result.why;
	if (!result.data && !result.why)
		result.why = "the resolver failed and did not say why";
	data = run->data;
	run->data = NULL;
	run_close(spawner, run); /* fn may start another */
	fn(spawner, key, &result);
	free(data);
}

static void
run_on_end(struct spawner *spawner, void *userdata, uint32_t events)
{
	struct resolver_run *run = userdata;
	int status;

	if (errand_reap(&run->errand, &status))
		run_finish(spawner, run, status);
}

static int
run_fork(struct spawner *spawner, struct resolver_run *run, char *const *argv)
{
	char *const env[] = { NULL };
	int out[2], why[2], r;
	struct program program = { .name = "nsexec-resolver",
				   .fd = spawner->resolver.program_fd,
				   .argv = argv,
				   .env = env,
				   .fds = &out[1],
				   .n_fds = 1,
				   .uid = spawner->options.resolver_uid,
				   .gid = spawner->options.resolver_gid };

	if (pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	run->errand.out_fd = out[0];
	if (pipe2(why, O_CLOEXEC) < 0) {
		r = -errno;
		close(out[1]);
		return r;
	}
	run->why_fd = why[0];
	program.error_fd = why[1];
	r = program_start(spawner, &program, &run->errand.pid,
			  &run->errand.pidfd);
	close(out[1]);
	close(why[1]);
	/* Our ends alone: the two of a pipe are two open files. */
	if (r == 0 && (fcntl(run->errand.out_fd, F_SETFL, O_NONBLOCK) < 0 ||
		       fcntl(run->why_fd, F_SETFL, O_NONBLOCK) < 0))
		r = -errno;
	return r;
}

int
resolver_start(struct spawner *spawner, const struct resolver_order *order)
{
	struct resolver_run *run = NULL;
	size_t i;
	int r;

	if (spawner->resolver.program_fd < 0)
		return -ENOENT;
	for (i = 0; i < RESOLVER_RUNS && !run; i++)
		if (!spawner->resolver.runs[i].fn)
			run = &spawner->resolver.runs[i];
	if (!run)
		return -EAGAIN;
	run->data = malloc(order->size + 1);
	if (!run->data)
		return -ENOMEM;
	run->fn = order->fn;
	run->key = order->key;
	run->size = order->size;
	run->got = 0;
	run->errand.watch = (struct watch){ -1, run_on_end, run };
	run->out_watch = (struct watch){ -1, run_on_output, run };
	r = run_fork(spawner, run, order->argv);
	if (r == 0)
		r = errand_watch(spawner, &run->errand, RESOLVER_TIMEOUT_MS);
	if (r == 0)
		r = watch_add(&spawner->loop, &run->out_watch,
			      run->errand.out_fd, EPOLLIN);
	if (r < 0) {
		errand_abandon(spawner, &run->errand);
		run_close(spawner, run);
	} else {
		defer_set_timer(spawner);
	}
	return r;
}

void
resolver_check_deadlines(struct spawner *spawner, int64_t now, int64_t *next)
{
	size_t i;

	for (i = 0; i < RESOLVER_RUNS; i++)
		errand_check_deadline(&spawner->resolver.runs[i].errand, now,
				      next);
}
