/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays spawner and nsexecd for one start, so that the stages can be tested
 * without either: fills a bootstrap message from "key=value" arguments, forks,
 * runs the stages, and prints one line for everything it is told:
 *
 *	child PID			what the relay reported, or the clone
 *	ready PID user=I ipc=I ...	what init reported
 *	failed STAGE STEP SYSCALL ERRNO OBJECT
 *	exited CODE | killed SIGNAL	of init
 *	relay exited CODE | relay killed SIGNAL | relay none
 *
 * As the spawner it makes init itself where that is possible; "relay=1" is for
 * a relay in any case.
 *
 * The driver's own 0, 1 and 2 are descriptors 0, 1, 2 of the fd channel and,
 * if not said otherwise, the payload's. Everything after "--" is argv.
 */
#include "tests/integration/stage_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/sys.h"
#include "lib/util.h"
#include "proto/ops.h"
#include "spawn/direct.h"

_Noreturn void
die(const char *what)
{
	fprintf(stderr, "stage_driver: %s: %s\n", what, strerror(errno));
	exit(125);
}

/* argv and env into the message, or into a sealed memfd. */
static void
set_command(struct driver *driver, char **argv)
{
	static char data[4 << 20];
	struct bootstrap *msg = &driver->msg;
	uint32_t argc = 0, envc = 0;
	size_t size = 0, i;

	for (; argv[argc]; argc++) {
		strcpy(data + size, argv[argc]);
		size += strlen(argv[argc]) + 1;
	}
	for (i = 0; i < driver->env_size; i++)
		envc += driver->env[i] == '\0';
	if (!driver->block) {
		msg->argv = (struct bootstrap_bytes){ data, size };
		msg->env = (struct bootstrap_bytes){ driver->env,
						     driver->env_size };
		return;
	}
	memcpy(data + size, driver->env, driver->env_size);
	size += driver->env_size;
	driver->block_fd =
		memfd_create("exec", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd_write_all(driver->block_fd, data, size) < 0)
		die("memfd");
	fcntl(driver->block_fd, F_ADD_SEALS,
	      F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	msg->exec_block = (struct bootstrap_exec_block){ argc, envc, size };
	bootstrap_mark(msg, BOOTSTRAP_EXEC_BLOCK);
}

static void
driver_init(struct driver *driver)
{
	size_t i;

	memset(driver, 0, sizeof(*driver));
	driver->msg.dialect = DIALECT_NX;
	driver->msg.gate = GATE_CHANNEL;
	driver->caller.groups = driver->groups;
	driver->caller.admin = true;
	/* The one who asks is us, whatever uid it is said to have. */
	driver->caller.pid = getpid();
	driver->caller.pidfd = sys_pidfd_open(getpid());
	driver->listener = driver->block_fd = -1;
	for (i = 0; i < 3; i++) {
		driver->fds[driver->n_fds++] = (int)i;
		driver->msg.stdio[i].kind = BOOTSTRAP_STDIO_FD;
		driver->msg.stdio[i].fd_index = (uint32_t)i;
	}
}

/* Somebody who connected, asked and ended; and whose pid is ours by now. */
static void
let_caller_go(struct driver *driver)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0)
		_exit(0);
	close(driver->caller.pidfd);
	driver->caller.pidfd = sys_pidfd_open(pid);
	if (waitpid(pid, NULL, 0) < 0)
		die("waitpid");
}

static void
open_channels(struct driver *driver)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int type = SOCK_SEQPACKET | SOCK_CLOEXEC;

	if (socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, driver->init_channel) <
		    0 ||
	    socketpair(AF_UNIX, type, 0, driver->fd_channel) < 0 ||
	    pipe2(driver->report, O_CLOEXEC) < 0)
		die("channels");
	if (!driver->no_send && fd_send(driver->fd_channel[1], "F", 1,
					driver->fds, driver->n_fds) < 0)
		die("fd channel");
	driver->msg.n_channel_fds = (uint32_t)driver->n_fds;
	if (!driver->gate_path)
		return;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s",
		 driver->gate_path);
	driver->listener = socket(AF_UNIX, type, 0);
	if (bind(driver->listener, (struct sockaddr *)&address,
		 sizeof(address)) < 0 ||
	    listen(driver->listener, 8) < 0)
		die("gate");
}

static void
print_failure(const struct failure *failure)
{
	printf("failed %s %s %s %d %s\n", stage_name(failure->stage),
	       failure->step, failure->syscall[0] ? failure->syscall : "-",
	       failure->error, failure->object);
	fflush(stdout);
}

static struct stage_input
make_input(struct driver *driver)
{
	struct stage_input input = {
		.msg = &driver->msg,
		.caller = &driver->caller,
		.init_channel = driver->init_channel[1],
		.relay_report = driver->report[1],
		.fd_channel = driver->fd_channel[0],
		.exec_block = driver->block_fd,
		.gate_listener = driver->listener,
		.target_pidfd = -1,
		.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
	};

	if (stage_own_namespaces(input.proc_fd, driver->own) < 0)
		die("own namespaces");
	if (!driver->look_up)
		input.own_namespaces = driver->own;
	if (bootstrap_has(&driver->msg, BOOTSTRAP_PID))
		input.target_pidfd = sys_pidfd_open((pid_t)driver->msg.pid);
	return input;
}

/* The child's side of the clone: as the spawner leaves it. */
static void
become_stage(struct driver *driver)
{
	close(driver->init_channel[0]);
	close(driver->report[0]);
	close(driver->fd_channel[1]);
	/* as the spawner does: whoever runs us may ignore some */
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
}

static pid_t
start_relay(struct driver *driver, const struct stage_input *input)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		become_stage(driver);
		if (driver->kill_relay)
			raise(SIGSTOP);
		stage_relay_run(input);
	}
	return pid;
}

/* Init itself; a failure of its maps is told as a stage's. */
static pid_t
start_direct(struct driver *driver, struct stage_input *input)
{
	struct clone_args args = { .flags = 0 };
	struct failure failure;
	struct direct direct;
	pid_t pid;

	input->relay_report = -1;
	if (direct_open(input, &direct) < 0)
		die("go");
	args.flags = direct.clone_flags;
	pid = sys_clone3(&args);
	if (pid < 0)
		die("clone3");
	if (pid == 0) {
		become_stage(driver);
		close(driver->report[1]);
		direct_run(input, &direct);
	}
	printf("child %d\n", pid);
	driver->has_child = true;
	if (direct_let_go(input, &direct, pid, &failure) < 0)
		print_failure(&failure);
	fflush(stdout);
	return pid;
}

static void
print_status(const char *who, int status)
{
	if (WIFEXITED(status))
		printf("%sexited %d\n", who, WEXITSTATUS(status));
	else
		printf("%skilled %d\n", who, WTERMSIG(status));
}

/* One message of init or a stage; false at end of file. */
static bool
print_message(struct driver *driver)
{
	struct op_message message;
	struct nlmsg_error error;
	char buf[4096];
	ssize_t n;
	size_t i;

	if (fd_wait_readable(driver->init_channel[0], 20000) < 1)
		die("init channel");
	n = fd_recv(driver->init_channel[0], buf, sizeof(buf), NULL, 0, NULL);
	if (n <= 0)
		return false;
	if (op_decode(buf, (size_t)n, &message, &error) < 0)
		die("message");
	if (message.header.type == REPORT_READY) {
		printf("ready %u", message.pid);
		for (i = 0; i < N_NS_KINDS; i++)
			printf(" %s=%lu", ns_kinds[i].name,
			       (unsigned long)message.namespaces[i]);
		printf("\n");
		fflush(stdout);
		/* As nsexecd: nobody goes whom the spawner has not told of. */
		if (driver->msg.gate == GATE_CHANNEL && !driver->abort_gate &&
		    driver->has_child &&
		    fd_send(driver->init_channel[0], "G", 1, NULL, 0) < 0)
			die("gate");
		return !driver->abort_gate && driver->has_child;
	}
	print_failure(&message.failure);
	return true;
}

static void
print_pidfd(struct driver *driver)
{
	size_t n_fds = 0;
	char byte;
	int fd = -1;

	if (!driver->msg.send_pidfd)
		return;
	if (fd_recv(driver->fd_channel[1], &byte, 1, &fd, 1, &n_fds) != 1 ||
	    n_fds != 1)
		die("pidfd");
	printf("pidfd %d\n", sys_pidfd_send_signal(fd, 0));
	close(fd);
}

int
main(int argc, char **argv)
{
	static struct driver driver;
	struct relay_report report = { 0 };
	struct stage_input input;
	int i, status = 0;
	pid_t relay = 0;

	driver_init(&driver);
	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		set_option(&driver, argv[i]);
	if (i + 1 >= argc)
		die("no command");
	set_command(&driver, argv + i + 1);
	if (driver.caller_gone)
		let_caller_go(&driver);
	open_channels(&driver);
	input = make_input(&driver);
	if (driver.use_relay || driver.kill_relay || driver.kill_after_us ||
	    !direct_is_possible(&input)) {
		relay = start_relay(&driver, &input);
	} else {
		report.pid = start_direct(&driver, &input);
	}
	close(driver.init_channel[1]);
	close(driver.report[1]);
	close(driver.fd_channel[0]);
	fd_close(&driver.listener);
	if (relay > 0) {
		usleep(driver.kill_after_us);
		if (driver.kill_relay || driver.kill_after_us > 0)
			kill(relay, SIGKILL);
		if (read(driver.report[0], &report, sizeof(report)) ==
		    sizeof(report))
			printf("child %d\n", report.pid);
		driver.has_child = report.pid > 0;
	}
	fflush(stdout);
	print_pidfd(&driver);
	while (print_message(&driver))
		continue;
	close(driver.init_channel[0]);
	if (report.pid > 0 && waitpid(report.pid, &status, __WALL) > 0)
		print_status("", status);
	if (relay > 0 && waitpid(relay, &status, __WALL) > 0)
		print_status("relay ", status);
	else
		printf("relay none\n");
	while (waitpid(-1, &status, __WALL) > 0)
		print_status("stray ", status);
	if (driver.gate_path)
		unlink(driver.gate_path);
	return 0;
}
