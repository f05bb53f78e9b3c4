/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kill a process, or make one of its system calls fail, at exactly the N-th
 * call that it makes in one role.
 *
 *	injector --pid PID... [--role NAME,...] [--call NR] [--at N] [--errno E]
 *
 * Traces each PID and all that it forks. A role is the name that a process has
 * at the time ("nsx:[relay]"); "+fork" is any other process that still has the
 * name of the first PID; without one it is the first PID itself. The calls of
 * a role are counted over all processes that have it (--call: those of that
 * number alone), so the count goes on from one start to the next. At number N
 * the process gets SIGKILL, or with --errno the call is not made and fails with
 * E; without --at everything is only counted. Says "ready" when it traces; TERM
 * ends it. Then one line, "hit CALL" or "count N CALL..." with every call that
 * was counted, and all are let go.
 *
 * A process is let go at exec, unless the program's name is the role: what is
 * injected into is our own code.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __x86_64__
int
main(void)
{
	puts("unsupported: this machine's registers are not known");
	return 77;
}
#else

#define OPTIONS \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | \
	 PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC)
#define TRACEES_MAX 4096
#define CALLS_MAX 20000
#define NAME_MAX_SIZE 64

static struct {
	pid_t pid;
	const char *role;
	char first_name[NAME_MAX_SIZE];
	long at, call, error, count;
	unsigned short calls[CALLS_MAX];
	bool hit;
	unsigned long long hit_call;
	volatile sig_atomic_t ending;
} self = { .at = -1, .call = -1 };

static struct tracee {
	pid_t pid;
	bool fails; /* the call that it is in */
} tracees[TRACEES_MAX];

static struct tracee *
tracee_find(pid_t pid)
{
	struct tracee *free_row = NULL;

	for (size_t i = 0; i < TRACEES_MAX; i++) {
		if (tracees[i].pid == pid)
			return &tracees[i];
		if (tracees[i].pid == 0 && !free_row)
			free_row = &tracees[i];
	}
	if (!free_row)
		abort();
	free_row->pid = pid;
	free_row->fails = false;
	return free_row;
}

static bool
name_read(pid_t pid, char name[NAME_MAX_SIZE])
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	name[0] = '\0';
	if (fgets(name, NAME_MAX_SIZE, f))
		name[strcspn(name, "\n")] = '\0';
	fclose(f);
	return true;
}

static bool
has_role(pid_t pid)
{
	const char *at = self.role;
	char name[NAME_MAX_SIZE];
	size_t len;

	if (!self.role)
		return pid == self.pid;
	if (!name_read(pid, name))
		return false;
	if (strcmp(self.role, "+fork") == 0)
		return pid != self.pid && strcmp(name, self.first_name) == 0;
	for (; *at; at += len + (at[len] == ',')) {
		len = strcspn(at, ",");
		if (strlen(name) == len && strncmp(name, at, len) == 0)
			return true;
	}
	return false;
}

/* Does this call not count, whoever makes it? */
static bool
is_outside(unsigned long long call)
{
	/* its end: neither is there anything to lose nor can it fail */
	if (call == SYS_exit || call == SYS_exit_group)
		return true;
	/* What gives back never fails and keeps (close(2)): a leak would be our
	 * doing. */
	if (self.error != 0 && (call == SYS_close || call == SYS_close_range ||
				call == SYS_munmap))
		return true;
	return self.call >= 0 && call != (unsigned long long)self.call;
}

static void
on_enter(struct tracee *tracee)
{
	struct user_regs_struct regs;

	if (self.hit || !has_role(tracee->pid) ||
	    ptrace(PTRACE_GETREGS, tracee->pid, NULL, &regs) < 0 ||
	    is_outside(regs.orig_rax))
		return;
	if (self.count < CALLS_MAX)
		self.calls[self.count] = (unsigned short)regs.orig_rax;
	if (++self.count != self.at)
		return;
	self.hit = true;
	self.hit_call = regs.orig_rax;
	if (self.error == 0) {
		kill(tracee->pid, SIGKILL);
		return;
	}
	regs.orig_rax = (unsigned long long)-1;
	if (ptrace(PTRACE_SETREGS, tracee->pid, NULL, &regs) == 0)
		tracee->fails = true;
}

static void
on_leave(struct tracee *tracee)
{
	struct user_regs_struct regs;

	if (!tracee->fails)
		return;
	tracee->fails = false;
	if (ptrace(PTRACE_GETREGS, tracee->pid, NULL, &regs) < 0)
		return;
	regs.rax = (unsigned long long)-self.error;
	(void)!ptrace(PTRACE_SETREGS, tracee->pid, NULL, &regs);
}

/* Asked, not counted: a new process begins with the end of its clone(). */
static bool
is_enter(pid_t pid)
{
	struct __ptrace_syscall_info info = { 0 };

	return ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info),
		      &info) > 0 &&
	       info.op == PTRACE_SYSCALL_INFO_ENTRY;
}

/* One stop; the tracee goes on, or is let go. */
static void
on_stop(pid_t pid, int status)
{
	struct tracee *tracee = tracee_find(pid);
	int sig = WSTOPSIG(status), event = status >> 16;
	bool let_go = event == PTRACE_EVENT_EXEC &&
		      !(self.role && self.role[0] != '+' && has_role(pid));

	if (sig == (SIGTRAP | 0x80)) {
		if (is_enter(pid))
			on_enter(tracee);
		else
			on_leave(tracee);
		sig = 0;
	} else if (event != 0) {
		sig = 0;
	}
	if (let_go || (self.ending && !tracee->fails)) {
		ptrace(PTRACE_DETACH, pid, NULL, (void *)(long)sig);
		tracee->pid = 0;
		return;
	}
	ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)sig);
}

static void
on_term(int number)
{
	self.ending = 1;
}

static int
traced(void)
{
	int n = 0;

	for (size_t i = 0; i < TRACEES_MAX; i++)
		n += tracees[i].pid != 0;
	return n;
}

static void
interrupt_all(void)
{
	for (size_t i = 0; i < TRACEES_MAX; i++)
		if (tracees[i].pid != 0 &&
		    ptrace(PTRACE_INTERRUPT, tracees[i].pid, NULL, NULL) < 0 &&
		    errno == ESRCH)
			tracees[i].pid = 0;
}

static void
say_end(void)
{
	if (self.hit) {
		printf("hit %llu\n", self.hit_call);
		return;
	}
	printf("count %ld", self.count);
	for (long i = 0; i < self.count && i < CALLS_MAX; i++)
		printf(" %d", self.calls[i]);
	putchar('\n');
}

static int
run(void)
{
	bool interrupted = false;
	int status;
	pid_t pid;

	while (traced() > 0) {
		if (self.ending && !interrupted) {
			interrupted = true;
			interrupt_all();
			alarm(5); /* some may be beyond reach */
		}
		pid = waitpid(-1, &status, __WALL);
		if (pid < 0 && errno == EINTR) {
			if (interrupted)
				break;
			continue;
		}
		if (pid < 0)
			break;
		if (WIFSTOPPED(status))
			on_stop(pid, status);
		else
			tracee_find(pid)->pid = 0;
	}
	say_end();
	return 0;
}

static void
seize(pid_t pid)
{
	if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)OPTIONS) < 0 ||
	    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0) {
		perror("injector: ptrace");
		exit(1);
	}
	tracee_find(pid);
	if (self.pid == 0) {
		self.pid = pid;
		name_read(pid, self.first_name);
	}
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "pid", required_argument, NULL, 'p' },
		{ "role", required_argument, NULL, 'r' },
		{ "call", required_argument, NULL, 'c' },
		{ "at", required_argument, NULL, 'n' },
		{ "errno", required_argument, NULL, 'e' },
		{ NULL, 0, NULL, 0 },
	};
	struct sigaction action = { .sa_handler = on_term };
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'p')
			seize((pid_t)strtol(optarg, NULL, 10));
		else if (option == 'r')
			self.role = optarg;
		else if (option == 'c')
			self.call = strtol(optarg, NULL, 10);
		else if (option == 'n')
			self.at = strtol(optarg, NULL, 10);
		else if (option == 'e')
			self.error = strtol(optarg, NULL, 10);
		else
			return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	puts("ready");
	fflush(stdout);
	return run();
}
#endif
