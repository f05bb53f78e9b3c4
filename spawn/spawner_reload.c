/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "nsexec-spawner --reload": the other end of REEXEC and RELOAD, for systemctl
 * reload, packagers and people. All it reads are answers of the spawner.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/fd.h"
#include "proto/ops.h"
#include "spawn/spawner_log.h"
#include "spawn/spawner_options.h"
#include "spawn/spawner_program.h"
#include "spawn/spawner_reexec.h"
#include "spawn/spawner_rundir.h"

/* A trial, a drain, the policy; and a machine that is busy. */
#define RELOAD_TIMEOUT_MS 30000

static int
reload_connect(const char *run_dir, int *ret_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	fd_auto int fd = -1, dir = -1;

	dir = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || dir < 0)
		return -errno;
	/* By descriptor: the path may be longer than an address. */
	snprintf(address.sun_path, sizeof(address.sun_path),
		 "/proc/self/fd/%d/" RUNDIR_SPAWNER_SOCKET, dir);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_fd = fd_steal(&fd);
	return 0;
}

static int
reload_answer(int fd, const char *what)
{
	struct op_message msg = { 0 };
	struct nlmsg_error error;
	uint8_t buf[2048];
	ssize_t n;
	int r;

	r = fd_wait_readable(fd, RELOAD_TIMEOUT_MS);
	if (r == 0)
		r = -ETIMEDOUT;
	n = r > 0 ? fd_recv(fd, buf, sizeof(buf), NULL, 0, NULL) : r;
	if (n == 0)
		n = -ECONNRESET;
	if (n > 0)
		r = op_decode(buf, (size_t)n, &msg, &error);
	else
		r = (int)n;
	if (r == 0 && msg.header.type == ANSWER_DONE)
		return 0;
	if (r < 0)
		log_error(-r, "cannot %s", what);
	else
		log_error(op_has(&msg, OP_ATTR_FAILURE) ? msg.failure.error : 0,
			  "cannot %s: %s", what,
			  op_has(&msg, OP_ATTR_RULE) ? msg.rule
						     : "no reason given");
	return r < 0 ? r : -EPROTO;
}

/* One request and its answer. program_fd -1: none is sent. */
static int
reload_ask(int fd, enum op op, int program_fd, const char *what)
{
	struct nlmsg_builder builder;
	uint8_t buf[64];
	size_t size;
	int r;

	nlmsg_builder_init(&builder, buf, sizeof(buf), (uint16_t)op, 1);
	r = nlmsg_builder_end(&builder, &size);
	if (r == 0)
		r = fd_send(fd, buf, size, &program_fd, program_fd >= 0);
	if (r == 0)
		return reload_answer(fd, what);
	log_error(-r, "cannot %s", what);
	return r;
}

int
reload_run(const char *run_dir)
{
	const char *dir = run_dir ? run_dir : OPTIONS_SYSTEM_RUN_DIR;
	fd_auto int fd = -1, program = -1;
	int r;

	r = reload_connect(dir, &fd);
	if (r < 0) {
		log_error(-r, "cannot reach a spawner in %s", dir);
		return r;
	}
	if (run_dir) {
		r = program_load("/proc/self/exe", &program);
		if (r < 0) {
			log_error(-r, "cannot copy its own program");
			return r;
		}
	}
	r = reload_ask(fd, OP_REEXEC, program, "take the spawner's place");
	if (run_dir)
		return r;
	/* Both are tried: rules that are right shall not wait for a program. */
	if (r == 0)
		return reload_ask(fd, OP_RELOAD, -1, "reload the policy");
	(void)!reload_ask(fd, OP_RELOAD, -1, "reload the policy");
	return r;
}
