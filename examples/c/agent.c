/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small agent on libnsexec: starts N programs at once in fresh namespaces,
 * keeps them apart by its own job numbers, and sleeps in one poll(2) until all
 * have ended. One connection carries every call; nothing here blocks but poll.
 *
 *	cc agent.c $(pkg-config --cflags --libs nsexec) -o agent
 *	NSEXEC_SOCKET=unix:/run/nsexecd/nsexecd.sock ./agent 3 /bin/sh -c 'exit
 *7'
 *
 * Prints a line per start and per exit; exits 0 if every program exited with
 * the same code, and that code is printed last.
 */
#include <errno.h>
#include <nsexec.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_JOBS 64

struct job {
	struct nsexec *nsexec;
	int number;
	int *running;		  /* how many jobs are not over */
	char *id;		  /* owned; NULL until it was started */
	struct nsexec_call *call; /* the one in flight, owned */
	struct nsexec_exit exit;
	int failed;
};

static void
job_end(struct job *job)
{
	(*job->running)--;
	job->call = nsexec_call_free(job->call);
}

static void
job_fail(struct job *job, const char *what)
{
	const struct nsexec_error *error = nsexec_call_error(job->call);

	fprintf(stderr, "job %d: %s: %s [%s]\n", job->number, what,
		error->message, nsexec_code_name(error->code));
	job->failed = 1;
	job_end(job);
}

/* The answer to Wait. */
static void
on_exit_known(struct nsexec_call *call, void *data)
{
	struct job *job = data;

	if (nsexec_call_get_exit(call, &job->exit) < 0) {
		job_fail(job, "wait");
		return;
	}
	if (job->exit.signal)
		printf("job %d: killed by signal %d\n", job->number,
		       job->exit.signal);
	else
		printf("job %d: exited with %d\n", job->number, job->exit.code);
	job_end(job);
}

/* The answer to Run: the program runs. Ask for its end. */
static void
on_started(struct nsexec_call *call, void *data)
{
	struct job *job = data;
	struct nsexec_info *info;
	struct nsexec_target target = { NULL, NULL };

	if (nsexec_call_get_info(call, &info) < 0) {
		job_fail(job, "run");
		return;
	}
	printf("job %d: pid %d, id %s\n", job->number, (int)info->pid,
	       info->id);
	job->id = strdup(info->id);
	nsexec_info_free(info);
	job->call = nsexec_call_free(call);
	target.id = job->id;
	if (!job->id ||
	    nsexec_call_wait(job->nsexec, &target, 0, &job->call) < 0) {
		job->failed = 1;
		job_end(job);
		return;
	}
	nsexec_call_on_done(job->call, on_exit_known, job);
}

static struct nsexec_spec *
describe(char **argv)
{
	struct nsexec_spec *spec;

	if (nsexec_spec_new(&spec) < 0)
		return NULL;
	nsexec_spec_new_ns(spec, NSEXEC_NS_USER);
	nsexec_spec_new_ns(spec, NSEXEC_NS_PID);
	nsexec_spec_new_ns(spec, NSEXEC_NS_MNT);
	nsexec_spec_new_ns(spec, NSEXEC_NS_NET);
	nsexec_spec_map_preset(spec, NSEXEC_MAP_ROOT);
	nsexec_spec_env(spec, "PATH=/usr/bin:/bin");
	nsexec_spec_stdio_fd(spec, 1, 1);
	nsexec_spec_stdio_fd(spec, 2, 2);
	for (; *argv; argv++)
		nsexec_spec_arg(spec, *argv);
	return spec;
}

/* Until no job runs. 0 or -errno. */
static int
drive(struct nsexec *nsexec, const int *running)
{
	while (*running > 0) {
		struct pollfd fd = { nsexec_fd(nsexec),
				     nsexec_poll_events(nsexec), 0 };
		int r;

		if (poll(&fd, 1, -1) < 0 && errno != EINTR)
			return -errno;
		r = nsexec_dispatch(nsexec);
		if (r < 0)
			return r;
	}
	return 0;
}

static int
report(struct job *jobs, int n_jobs)
{
	int status = 0;

	for (int i = 0; i < n_jobs; i++) {
		if (jobs[i].failed || jobs[i].exit.code != jobs[0].exit.code)
			status = 1;
		if (jobs[i].id)
			(void)nsexec_delete(jobs[i].nsexec, jobs[i].id, true);
		free(jobs[i].id);
	}
	printf("%d\n", jobs[0].exit.code);
	return status;
}

int
main(int argc, char **argv)
{
	struct job jobs[MAX_JOBS] = { 0 };
	struct nsexec *nsexec;
	struct nsexec_spec *spec;
	int n_jobs = argc > 2 ? atoi(argv[1]) : 0, running = 0, r;

	if (n_jobs < 1 || n_jobs > MAX_JOBS) {
		fprintf(stderr, "usage: agent N COMMAND [ARG...]\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	r = nsexec_connect(NULL, &nsexec);
	if (r < 0) {
		fprintf(stderr, "agent: cannot connect: %s\n", strerror(-r));
		return 1;
	}
	spec = describe(argv + 2);
	for (int i = 0; spec && i < n_jobs; i++) {
		jobs[i] = (struct job){ .nsexec = nsexec,
					.number = i + 1,
					.running = &running };
		r = nsexec_call_run(nsexec, spec, NULL, &jobs[i].call);
		if (r < 0) {
			fprintf(stderr, "agent: %s\n", strerror(-r));
			jobs[i].failed = 1;
			continue;
		}
		nsexec_call_on_done(jobs[i].call, on_started, &jobs[i]);
		running++;
	}
	r = drive(nsexec, &running);
	if (r < 0)
		fprintf(stderr, "agent: lost nsexecd: %s\n", strerror(-r));
	r = report(jobs, n_jobs) || r < 0;
	nsexec_spec_free(spec);
	nsexec_close(nsexec);
	return r;
}
