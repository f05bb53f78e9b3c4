/* SPDX-License-Identifier: Apache-2.0 */
/* Trying, draining, changing. See spawner_reexec.h. */
#include "spawn/spawner_reexec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/sys.h"
#include "lib/text.h"
#include "spawn/spawner.h"
#include "spawn/spawner_attest.h"
#include "spawn/spawner_carry.h"
#include "spawn/spawner_log.h"
#include "spawn/spawner_ops.h"
#include "spawn/spawner_process.h"

#define REEXEC_LINE_SIZE 192 /* of what it says, before it is escaped */
#define REEXEC_SAYS_SIZE 512
#define STATE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

void
reexec_init(struct reexec *reexec, char **env)
{
	ssize_t n = readlink("/proc/self/exe", reexec->program,
			     sizeof(reexec->program) - 1);

	/* A memfd has no place to look for a newer one. */
	if (n < 0 || strncmp(reexec->program, "/memfd:", 7) == 0)
		n = 0;
	reexec->program[n] = '\0';
	reexec->env = env;
	reexec->program_fd = -1;
	reexec->state_fd = -1;
	reexec->trial = (struct errand)ERRAND_NULL;
}

static void
reexec_to_idle(struct spawner *spawner)
{
	struct reexec *reexec = &spawner->reexec;

	errand_end(spawner, &reexec->trial);
	fd_close(&reexec->program_fd);
	fd_close(&reexec->state_fd);
	reexec->state = REEXEC_IDLE;
	if (reexec->leftovers.n == 0)
		timer_clear(&spawner->loop, TIMER_REEXEC);
}

void
reexec_deinit(struct spawner *spawner)
{
	size_t i;

	reexec_to_idle(spawner);
	for (i = 0; i < N_STATE_TEXTS; i++) {
		free(spawner->reexec.texts[i]);
		spawner->reexec.texts[i] = NULL;
	}
}

bool
reexec_has(const struct reexec *reexec, pid_t pid)
{
	size_t i;

	for (i = 0; i < reexec->leftovers.n; i++)
		if (reexec->leftovers.pids[i] == pid)
			return true;
	return reexec->trial.pid == pid;
}

bool
reexec_is_near(const struct spawner *spawner)
{
	return spawner->reexec.state == REEXEC_DRAIN;
}

/* It is not to be: the old program goes on. error: a positive errno, or 0. */
static void
reexec_fail(struct spawner *spawner, const char *why, int error)
{
	struct reexec *reexec = &spawner->reexec;
	struct failure failure = { .stage = STAGE_SPAWNER,
				   .error = error,
				   .step = "reexec" };

	log_error(error, "goes on as it is: %s", why);
	reexec_to_idle(spawner);
	answer_error(
		spawner, reexec->conn_id, reexec->seq,
		&(struct answer_error){ .code = ERRCODE_FAILED_PRECONDITION,
					.rule = why,
					.failure = &failure });
}

/* The state in a sealed memfd. 0 or -errno. */
static int
state_write(const struct state_writer *writer, int *ret_fd)
{
	fd_auto int fd = memfd_create("nsexec-spawner-state",
				      MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, writer->data, writer->size);
	if (r == 0 && fcntl(fd, F_ADD_SEALS, STATE_SEALS) < 0)
		r = -errno;
	if (r == 0)
		*ret_fd = fd_steal(&fd);
	return r;
}

/* Close-on-exec or not, for all that a state names, and its own memfd. */
static void
state_set_cloexec(const struct state_writer *writer, int state_fd, int flags)
{
	struct state_iter iter;
	struct state_item item;
	const int32_t *fds;
	size_t i, n;

	fcntl(state_fd, F_SETFD, flags);
	state_iter_init(&iter, writer->data, writer->size);
	while (state_iter_next(&iter, &item)) {
		n = state_item_fds(&item, &fds);
		for (i = 0; i < n; i++)
			if (fds[i] >= 0)
				fcntl(fds[i], F_SETFD, flags);
	}
}

/* Put the program in our place. Returns if that cannot be: -errno. */
static int
program_run(const struct spawner *spawner, int state_fd, bool trial)
{
	char number[16], *argv[] = { "nsexec-spawner",
				     "--system",
				     "--state-fd",
				     number,
				     NULL,
				     NULL,
				     NULL };
	size_t n = 4;

	snprintf(number, sizeof(number), "%d", state_fd);
	if (!spawner->options.system) { /* for who reads a list of processes */
		argv[1] = "--run-dir";
		argv[2] = (char *)spawner->options.run_dir;
		argv[3] = "--state-fd";
		argv[n++] = number;
	}
	if (trial)
		argv[n] = "--trial";
	syscall(SYS_execveat, spawner->reexec.program_fd, "", argv,
		spawner->reexec.env, AT_EMPTY_PATH);
	return -errno;
}

/* In the child. It says what it has to say into the pipe. */
static _Noreturn void
trial_child(const struct spawner *spawner, const struct state_writer *writer,
	    int pipe_fd)
{
	int state_fd = spawner->reexec.state_fd;

	state_set_cloexec(writer, state_fd, 0);
	if (dup2(pipe_fd, STDOUT_FILENO) >= 0 &&
	    dup2(pipe_fd, STDERR_FILENO) >= 0)
		dprintf(STDERR_FILENO, "it cannot be run: %s\n",
			strerror(-program_run(spawner, state_fd, true)));
	_exit(126);
}

static int
trial_fork(struct spawner *spawner, const struct state_writer *writer)
{
	struct clone_args args = { .flags = CLONE_PIDFD,
				   .exit_signal = SIGCHLD };
	struct errand *trial = &spawner->reexec.trial;
	int pipe_fds[2], r;

	if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	trial->out_fd = pipe_fds[0];
	args.pidfd = (uint64_t)(uintptr_t)&trial->pidfd;
	r = sys_clone3(&args);
	if (r == 0)
		trial_child(spawner, writer, pipe_fds[1]);
	close(pipe_fds[1]);
	if (r > 0)
		trial->pid = r;
	return r < 0 ? r : 0;
}

static void reexec_on_trial(struct spawner *spawner, void *userdata,
			    uint32_t events);

static int
trial_start(struct spawner *spawner)
{
	struct state_writer writer
		__attribute__((cleanup(state_writer_deinit))) = { 0 };
	struct reexec *reexec = &spawner->reexec;
	int r;

	r = carry_save(spawner, true, &writer);
	if (r == 0)
		r = state_write(&writer, &reexec->state_fd);
	if (r == 0)
		r = trial_fork(spawner, &writer);
	if (r < 0)
		return r;
	reexec->trial.watch = (struct watch){ -1, reexec_on_trial, NULL };
	r = errand_watch(spawner, &reexec->trial, REEXEC_TRIAL_MS);
	if (r < 0)
		errand_abandon(spawner, &reexec->trial);
	return r;
}

/* The first line that it said, fit to be shown. */
static void
trial_says(const struct reexec *reexec, char says[REEXEC_SAYS_SIZE])
{
	static const char prefix[] = "spawner: ";
	char raw[REEXEC_LINE_SIZE];
	const char *text = raw;
	ssize_t n = read(reexec->trial.out_fd, raw, sizeof(raw) - 1);

	raw[n > 0 ? n : 0] = '\0';
	raw[strcspn(raw, "\n")] = '\0';
	if (strncmp(text, prefix, sizeof(prefix) - 1) == 0)
		text += sizeof(prefix) - 1;
	text_escape(says, REEXEC_SAYS_SIZE, text, strlen(text));
}

/* Why not, into text; NULL if it can go on. */
static const char *
trial_judge(const struct reexec *reexec, int status, char *text, size_t size)
{
	char says[REEXEC_SAYS_SIZE];

	trial_says(reexec, says);
	if (reexec->trial.killed)
		return "the new program did not say within 5 s that it can go "
		       "on";
	if (WIFSIGNALED(status))
		snprintf(text, size, "the new program was killed by signal %d",
			 WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		snprintf(text, size, "the new program ended with status %d: %s",
			 WEXITSTATUS(status),
			 says[0] ? says : "no reason said");
	else if (strncmp(says, REEXEC_OK, sizeof(REEXEC_OK) - 1) != 0)
		return "the new program did not say that it can go on: it is "
		       "no nsexec-spawner";
	else
		return NULL;
	return text;
}

static void
reexec_on_trial(struct spawner *spawner, void *userdata, uint32_t events)
{
	struct reexec *reexec = &spawner->reexec;
	char text[REEXEC_SAYS_SIZE + 64];
	const char *why;
	int status;

	if (!errand_reap(&reexec->trial, &status))
		return;
	why = trial_judge(reexec, status, text, sizeof(text));
	if (why) {
		reexec_fail(spawner, why, 0);
		return;
	}
	reexec->trial.pid = 0;
	errand_end(spawner, &reexec->trial);
	fd_close(&reexec->state_fd);
	reexec->state = REEXEC_DRAIN;
	reexec->drain_ms = clock_boottime_ms() + REEXEC_DRAIN_MS;
	timer_set(&spawner->loop, TIMER_REEXEC, 0); /* finds what is next */
}

/* They were killed by the new program when it began. */
static void
leftovers_reap(struct spawner *spawner)
{
	struct leftovers *leftovers = &spawner->reexec.leftovers;
	struct child_exit end;
	size_t i, n = 0;

	for (i = 0; i < leftovers->n; i++)
		if (child_reap(leftovers->pids[i], &end) == -EBUSY)
			leftovers->pids[n++] = leftovers->pids[i];
	leftovers->n = n;
}

void
reexec_on_timer(struct spawner *spawner)
{
	struct reexec *reexec = &spawner->reexec;
	int64_t now = clock_boottime_ms(), next = 0;

	leftovers_reap(spawner);
	if (reexec->leftovers.n > 0)
		next = now + REEXEC_REAP_MS;
	if (reexec->state == REEXEC_TRIAL)
		errand_check_deadline(&reexec->trial, now, &next);
	if (reexec->state == REEXEC_DRAIN && now >= reexec->drain_ms)
		zygotes_end_starts(&spawner->zygotes);
	else if (reexec->state == REEXEC_DRAIN &&
		 (next == 0 || reexec->drain_ms < next))
		next = reexec->drain_ms;
	if (next)
		timer_set(&spawner->loop, TIMER_REEXEC,
			  next > now ? next - now : 1);
}

/* Only returns if it failed, and nothing has changed then. */
static int
reexec_go(struct spawner *spawner, char why[STATE_WHY_SIZE])
{
	struct state_writer writer
		__attribute__((cleanup(state_writer_deinit))) = { 0 };
	fd_auto int state_fd = -1;
	int r;

	r = carry_save(spawner, false, &writer);
	/* What the other program will not believe is seen here already. */
	if (r == 0)
		r = state_check(writer.data, writer.size, why);
	if (r == 0)
		r = state_write(&writer, &state_fd);
	if (r < 0)
		return r;
	process_notify(spawner->options.notify_socket, "RELOADING=1");
	state_set_cloexec(&writer, state_fd, 0);
	r = program_run(spawner, state_fd, false);
	state_set_cloexec(&writer, state_fd, FD_CLOEXEC);
	process_notify(spawner->options.notify_socket, "READY=1");
	return r;
}

void
reexec_after_event(struct spawner *spawner)
{
	char why[STATE_WHY_SIZE] = "the new program cannot be put in place";
	int r;

	if (spawner->reexec.state != REEXEC_DRAIN || spawner->loop.quit ||
	    zygotes_are_starting(&spawner->zygotes))
		return;
	r = reexec_go(spawner, why);
	reexec_fail(spawner, why, -r);
}

/* The program and who asks */

/*
 * What root has put where we were started from, and nobody else may write. It
 * is held open: what is tried is what is run.
 */
static const char *
program_open(struct reexec *reexec)
{
	struct stat st;

	if (!reexec->program[0])
		return "this spawner was not started from a file: the request "
		       "has to bring the program";
	reexec->program_fd =
		open(reexec->program, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (reexec->program_fd < 0 || fstat(reexec->program_fd, &st) < 0)
		return "there is no program any more where this one was "
		       "started from";
	if (!S_ISREG(st.st_mode) ||
	    (st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022))
		return "the program is not root's alone to write";
	return NULL;
}

static const char *
program_take(struct reexec *reexec, const struct request *request)
{
	const int need = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int seals = fcntl(request->fds[0], F_GET_SEALS);

	if (seals < 0 || (seals & need) != need)
		return "the program is a sealed memfd";
	reexec->program_fd = fcntl(request->fds[0], F_DUPFD_CLOEXEC, 3);
	return reexec->program_fd < 0 ? "no descriptor is free" : NULL;
}

/*
 * Whoever says what root's program is has to be all that we are: uid 0 in a
 * container or sandbox has less, and would gain by it.
 */
static const char *
asker_check(const struct spawner *spawner, const struct request *request)
{
	struct caller caller = { .pidfd = -1 };
	struct attest_refusal refusal = { 0 };
	struct pollfd p = { .events = POLLIN };
	const char *why = NULL;
	struct look look = { 0 };
	int r;

	if (spawner->rootless)
		return NULL; /* there is only one user, without such walls */
	r = attest_asker(request->conn->fd, spawner->proc_fd, &caller,
			 &refusal);
	if (r == 0) {
		look_read(spawner->proc_fd, caller.pid, &look);
		confinement_peer_label(request->conn->fd, look.seen.label);
		p.fd = caller.pidfd; /* was it the same all along? */
	}
	if (r < 0)
		why = refusal.rule;
	else if (look.error < 0 || poll(&p, 1, 0) != 0)
		why = "nothing is known of who asks";
	else if (confinement_compare(&spawner->own, &look.seen))
		why = "who asks is confined, and this one is not";
	caller_deinit(&caller);
	return why;
}

void
op_reexec(struct spawner *spawner, const struct request *request,
	  const struct op_message *msg)
{
	struct reexec *reexec = &spawner->reexec;
	const char *why;
	int r;

	if (reexec->state != REEXEC_IDLE || spawner->ending) {
		ops_refuse(spawner, request, ERRCODE_CONFLICT,
			   "another re-exec, or the end, is under way");
		return;
	}
	why = asker_check(spawner, request);
	if (why) {
		ops_refuse(spawner, request, ERRCODE_PERMISSION_DENIED, why);
		return;
	}
	reexec->conn_id = request->conn_id;
	reexec->seq = request->seq;
	why = request->n_fds ? program_take(reexec, request)
			     : program_open(reexec);
	if (why) {
		reexec_fail(spawner, why, 0);
		return;
	}
	r = trial_start(spawner);
	if (r < 0) {
		reexec_fail(spawner, "the new program cannot be tried", -r);
		return;
	}
	reexec->state = REEXEC_TRIAL;
	timer_set(&spawner->loop, TIMER_REEXEC, 0);
}
