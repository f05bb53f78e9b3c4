/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The zygote's side; see zygote.h. It parses nothing that the spawner has not
 * parsed before it, and knows no caller but admins: direct_is_possible() was
 * asked there and is asked again here.
 */
#include "spawn/zygote.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/util.h"
#include "lib/vfork.h"
#include "spawn/direct.h"
#include "spawn/fdsetup.h"
#include "spawn/spawner.h"

#define ZYGOTE_STACK_SIZE ((size_t)256 << 10)
#define ZYGOTE_GUARD_SIZE ((size_t)64 << 10)

enum { FD_LEAF, FD_INIT_CHANNEL, FD_FD_CHANNEL, N_ZYGOTE_FDS };

struct zygote {
	const struct spawner *spawner;
	int sock;
	void *stack;
	pid_t pid; /* of the init being made: the kernel writes it */
	int fds[N_ZYGOTE_FDS];
	struct bootstrap bootstrap;
	struct caller caller;
	gid_t groups[ZYGOTE_MAX_GROUPS];
	uint8_t data[ZYGOTE_DATAGRAM_MAX];
};

static struct stage_input
zygote_input(struct zygote *zygote)
{
	return (struct stage_input){
		.msg = &zygote->bootstrap,
		.caller = &zygote->caller,
		.init_channel = zygote->fds[FD_INIT_CHANNEL],
		.relay_report = -1,
		.fd_channel = zygote->fds[FD_FD_CHANNEL],
		.exec_block = -1,
		.gate_listener = -1,
		.target_pidfd = -1,
		.proc_fd = zygote->spawner->proc_fd,
		.own_namespaces = zygote->spawner->namespaces,
	};
}

static int
zygote_tell(const struct zygote *zygote, enum zygote_message message, pid_t pid,
	    int error)
{
	const struct zygote_report report = { .message = message,
					      .pid = pid,
					      .error = error };

	return fd_send(zygote->sock, &report, sizeof(report), NULL, 0);
}

/* Init, in the zygote's memory. Its descriptors are copies of its own. */
static void
zygote_child(void *arg)
{
	struct zygote *zygote = arg;
	struct stage_input input = zygote_input(zygote);
	struct direct direct = { 0, -1, -1 };

	spawner_restore_process(zygote->spawner);
	fd_close(&(int){ zygote->fds[FD_LEAF] });
	if (zygote_tell(zygote, ZYGOTE_CHILD, zygote->pid, 0) < 0)
		_exit(1);
	if (input.msg->clone_flags & CLONE_NEWUSER)
		direct.go_read = zygote->sock;
	direct_run(&input, &direct);
}

/* The request into the struct. 0 or -EBADMSG: not from our spawner. */
static int
zygote_parse(struct zygote *zygote, size_t size, size_t n_fds)
{
	struct bootstrap_error error = { 0 };
	struct zygote_start start;
	struct stage_input input;

	if (size < sizeof(start))
		return -EBADMSG;
	memcpy(&start, zygote->data, sizeof(start));
	if (start.n_groups > ZYGOTE_MAX_GROUPS || start.has_fd_channel > 1 ||
	    start.message_size != size - sizeof(start) ||
	    n_fds != (start.has_fd_channel ? 3u : 2u))
		return -EBADMSG;
	if (bootstrap_decode(DIALECT_NX, start.type,
			     zygote->data + sizeof(start), start.message_size,
			     &zygote->bootstrap, &error) < 0)
		return -EBADMSG;
	_Static_assert(sizeof(gid_t) == sizeof(start.groups[0]), "u32");
	memcpy(zygote->groups, start.groups, sizeof(zygote->groups));
	zygote->caller = (struct caller){ .pidfd = -1,
					  .uid = start.uid,
					  .gid = start.gid,
					  .groups = zygote->groups,
					  .n_groups = start.n_groups,
					  .pid = start.pid,
					  .admin = true };
	input = zygote_input(zygote);
	return direct_is_shareable(&input) ? 0 : -EBADMSG;
}

static pid_t
zygote_clone(struct zygote *zygote)
{
	struct clone_args args = {
		.flags = CLONE_PARENT | CLONE_PARENT_SETTID |
			 CLONE_INTO_CGROUP |
			 nsplan_clone_flags(zygote->bootstrap.clone_flags),
		.parent_tid = (uint64_t)(uintptr_t)&zygote->pid,
		.stack = (uint64_t)(uintptr_t)zygote->stack,
		.stack_size = ZYGOTE_STACK_SIZE,
		.cgroup = (unsigned int)zygote->fds[FD_LEAF],
	};

	return vfork_clone(&args, zygote_child, zygote);
}

/* One datagram: a start, or a go that came too late for its init. */
static void
zygote_serve(struct zygote *zygote)
{
	size_t n_fds = 0, i;
	ssize_t size;
	pid_t pid;
	int r;

	for (i = 0; i < N_ZYGOTE_FDS; i++)
		zygote->fds[i] = -1;
	size = fd_recv(zygote->sock, zygote->data, sizeof(zygote->data),
		       zygote->fds, N_ZYGOTE_FDS, &n_fds);
	if (size == 0)
		_exit(0);
	if (size > 1) {
		r = zygote_parse(zygote, (size_t)size, n_fds);
		pid = r == 0 ? zygote_clone(zygote) : r;
		r = pid < 0 ? zygote_tell(zygote, ZYGOTE_IDLE, 0, -pid)
			    : zygote_tell(zygote, ZYGOTE_IDLE, pid, 0);
		/* Nobody's environment stays in here. */
		explicit_bzero(zygote->data, (size_t)size);
		if (r < 0)
			_exit(1);
	}
	for (i = 0; i < N_ZYGOTE_FDS; i++)
		fd_close(&zygote->fds[i]);
}

static void *
zygote_stack(void)
{
	uint8_t *memory = mmap(NULL, ZYGOTE_GUARD_SIZE + ZYGOTE_STACK_SIZE,
			       PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (memory == MAP_FAILED ||
	    mprotect(memory, ZYGOTE_GUARD_SIZE, PROT_NONE) < 0)
		_exit(1);
	return memory + ZYGOTE_GUARD_SIZE;
}

void
zygote_run(const struct spawner *spawner, int sock)
{
	const int keep[] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO,
			     spawner->proc_fd, sock };
	struct zygote *zygote = calloc(1, sizeof(*zygote));

	if (!zygote)
		_exit(1);
	if (prctl(PR_SET_NAME, "nsx:[zygote]", 0, 0, 0) < 0)
		_exit(1); /* nobody would know it for one */
	fdsetup_close_except(keep, ARRAY_SIZE(keep));
	zygote->spawner = spawner;
	zygote->sock = sock;
	zygote->stack = zygote_stack();
	for (;;)
		zygote_serve(zygote);
}
