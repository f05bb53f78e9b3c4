/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays spawner and nsexecd for one start, so that the stages can be tested
 * without either: fills a bootstrap message from "key=value" arguments, forks,
 * calls stage_relay_run(), and prints one line for everything it is told:
 *
 *	child PID			what the relay reported
 *	ready PID user=I ipc=I ...	what init reported
 *	failed STAGE STEP SYSCALL ERRNO OBJECT
 *	exited CODE | killed SIGNAL	of init
 *	relay exited CODE | relay killed SIGNAL
 *
 * The driver's own 0, 1 and 2 are descriptors 0, 1, 2 of the fd channel and,
 * if not said otherwise, the payload's. Everything after "--" is argv.
 */
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
#include "proto/nsplan.h"
#include "proto/ops.h"
#include "spawn/stage.h"

#define CHANNEL_MAX BOOTSTRAP_MAX_CHANNEL_FDS

struct driver {
	struct bootstrap msg;
	struct caller caller;
	gid_t groups[64];
	int fds[CHANNEL_MAX];
	size_t n_fds;
	char env[65536];
	size_t env_size;
	bool block, abort_gate, kill_relay, no_send, look_up;
	uint64_t own[N_NS_KINDS];
	uint32_t kill_after_us; /* the relay, at a moment of chance */
	bool has_child;
	const char *gate_path;
	int init_channel[2], report[2], fd_channel[2], listener, block_fd;
};

static _Noreturn void
die(const char *what)
{
	fprintf(stderr, "stage_driver: %s: %s\n", what, strerror(errno));
	exit(125);
}

static uint32_t
kind_flags(char *text)
{
	uint32_t flags = 0;
	char *word;
	int i;

	for (word = strtok(text, ","); word; word = strtok(NULL, ",")) {
		if (strcmp(word, "all") == 0) {
			flags |= NSPLAN_ALL_FLAGS;
			continue;
		}
		i = ns_kind_by_name(word, strlen(word));
		if (i < 0)
			die(word);
		flags |= ns_kinds[i].clone_flag;
	}
	return flags;
}

static char *
lines_of(char *text)
{
	char *copy = malloc(strlen(text) + 2), *p;

	strcpy(copy, text);
	for (p = copy; *p; p++)
		if (*p == ';')
			*p = '\n';
	strcat(copy, "\n");
	return copy;
}

/* The next field of "a:b:c"; "" when there is none. */
static char *
field(char **text)
{
	char *part = strsep(text, ":");

	return part ? part : (char *)"";
}

static void
set_join(struct driver *driver, char *value)
{
	struct bootstrap_join *join = &driver->msg.joins[driver->msg.n_joins++];
	char *how;

	join->clone_flag = kind_flags(field(&value));
	how = field(&value);
	if (strcmp(how, "path") == 0) {
		join->how = JOIN_PATH;
		join->path = value;
		return;
	}
	join->how = strcmp(how, "pid") == 0 ? JOIN_PID : JOIN_FD;
	join->number = (uint32_t)strtoul(field(&value), NULL, 10);
	join->start_time = strtoull(field(&value), NULL, 10);
	join->inode = strtoull(field(&value), NULL, 10);
}

static void
set_mount(struct driver *driver, char *value)
{
	struct bootstrap_mount *mount;

	mount = &driver->msg.mounts[driver->msg.n_mounts++];
	mount->kind = (uint32_t)strtoul(field(&value), NULL, 10);
	mount->flags = (uint32_t)strtoul(field(&value), NULL, 10);
	mount->source = field(&value);
	mount->destination = field(&value);
	mount->data = field(&value);
}

static void
set_stdio(struct driver *driver, char *value)
{
	unsigned int i = (unsigned int)strtoul(field(&value), NULL, 10);
	char *how = field(&value);

	if (i > 2)
		die("stdio");
	driver->msg.stdio[i] = (struct bootstrap_stdio){ 0 };
	if (strcmp(how, "null") == 0) {
		driver->msg.stdio[i].kind = BOOTSTRAP_STDIO_NULL;
	} else if (strcmp(how, "path") == 0) {
		driver->msg.stdio[i].kind = BOOTSTRAP_STDIO_PATH;
		driver->msg.stdio[i].path = value;
	} else {
		driver->msg.stdio[i].kind = BOOTSTRAP_STDIO_FD;
		driver->msg.stdio[i].fd_index =
			(uint32_t)strtoul(value, NULL, 10);
	}
}

static void
set_caller(struct driver *driver, char *value)
{
	driver->caller.uid = (uid_t)strtoul(field(&value), NULL, 10);
	driver->caller.gid = (gid_t)strtoul(field(&value), NULL, 10);
	driver->caller.n_groups = 0;
	while (value)
		driver->groups[driver->caller.n_groups++] =
			(gid_t)strtoul(field(&value), NULL, 10);
	driver->caller.admin = driver->caller.uid == 0;
}

static void
set_caps(struct driver *driver, char *value)
{
	struct bootstrap_caps *caps = &driver->msg.caps;
	uint64_t *sets[] = { &caps->bounding, &caps->permitted,
			     &caps->effective, &caps->inheritable,
			     &caps->ambient };
	char *text;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sets); i++) {
		text = field(&value);
		if (text[0] == '\0')
			continue;
		*sets[i] = strtoull(text, NULL, 16);
		caps->present |= 1u << i;
	}
	bootstrap_mark(&driver->msg, BOOTSTRAP_CAPS);
}

static void
set_rlimit(struct driver *driver, char *value)
{
	struct bootstrap_rlimit *limit;

	limit = &driver->msg.rlimits[driver->msg.n_rlimits++];
	limit->resource = (uint32_t)strtoul(field(&value), NULL, 10);
	limit->soft = strtoull(field(&value), NULL, 10);
	limit->hard = strtoull(field(&value), NULL, 10);
}

static void
set_passed(struct driver *driver, char *value)
{
	struct bootstrap_passed_fd *passed;

	passed = &driver->msg.passed_fds[driver->msg.n_passed_fds++];
	passed->fd_index = (uint32_t)strtoul(field(&value), NULL, 10);
	passed->number = (uint32_t)strtoul(field(&value), NULL, 10);
}

static void
set_open(struct driver *driver, char *value)
{
	int fd = open(value, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		die(value);
	driver->fds[driver->n_fds++] = fd;
}

static void
set_groups(struct driver *driver, char *value)
{
	bootstrap_mark(&driver->msg, BOOTSTRAP_GROUPS);
	while (value && *value)
		driver->msg.groups[driver->msg.n_groups++] =
			(uint32_t)strtoul(field(&value), NULL, 10);
}

static void
set_env(struct driver *driver, char *value)
{
	size_t size = strlen(value) + 1;

	memcpy(driver->env + driver->env_size, value, size);
	driver->env_size += size;
}

/* Keys whose value is more than one number or text. */
static const struct {
	const char *key;
	void (*set)(struct driver *driver, char *value);
} setters[] = {
	{ "join", set_join },	  { "mount", set_mount },
	{ "stdio", set_stdio },	  { "caller", set_caller },
	{ "caps", set_caps },	  { "rlimit", set_rlimit },
	{ "passed", set_passed }, { "open", set_open },
	{ "groups", set_groups }, { "env", set_env },
};

#define NUMBER(k, f, a) \
	{ \
		k, offsetof(struct driver, f), a, 'u' \
	}
#define TEXT(k, f, a) \
	{ \
		k, offsetof(struct driver, f), a, 's' \
	}
#define FLAG(k, f, a) \
	{ \
		k, offsetof(struct driver, f), a, 'b' \
	}
static const struct {
	const char *key;
	size_t offset;
	int attr; /* to mark, or -1 */
	char kind;
} keys[] = {
	NUMBER("uid", msg.uid, BOOTSTRAP_UID),
	NUMBER("gid", msg.gid, BOOTSTRAP_GID),
	NUMBER("umask", msg.umask, BOOTSTRAP_UMASK),
	NUMBER("nice", msg.nice, BOOTSTRAP_NICE),
	NUMBER("gate", msg.gate, BOOTSTRAP_GATE),
	NUMBER("target", msg.pid, BOOTSTRAP_PID),
	NUMBER("setgroups", msg.setgroups_mode, BOOTSTRAP_SETGROUPS_MODE),
	NUMBER("propagation", msg.propagation, BOOTSTRAP_PROPAGATION),
	NUMBER("timeout", msg.phase_timeout_ms, BOOTSTRAP_PHASE_TIMEOUT_MS),
	NUMBER("death", msg.parent_death_signal, BOOTSTRAP_PARENT_DEATH_SIGNAL),
	NUMBER("killafter", kill_after_us, -1),
	TEXT("oom", msg.oom_score_adj, BOOTSTRAP_OOM_SCORE_ADJ),
	TEXT("hostname", msg.hostname, BOOTSTRAP_HOSTNAME),
	TEXT("domainname", msg.domainname, BOOTSTRAP_DOMAINNAME),
	TEXT("rootfs", msg.rootfs, BOOTSTRAP_ROOTFS),
	TEXT("cwd", msg.cwd, BOOTSTRAP_CWD),
	TEXT("gatepath", gate_path, -1),
	FLAG("loopback", msg.loopback, BOOTSTRAP_LOOPBACK),
	FLAG("proc", msg.mount_proc, BOOTSTRAP_MOUNT_PROC),
	FLAG("readonly", msg.root_readonly, BOOTSTRAP_ROOT_READONLY),
	FLAG("nnp", msg.no_new_privs, BOOTSTRAP_NO_NEW_PRIVS),
	FLAG("keepgroups", msg.keep_groups, BOOTSTRAP_KEEP_GROUPS),
	FLAG("sendpidfd", msg.send_pidfd, BOOTSTRAP_SEND_PIDFD),
	FLAG("block", block, -1),
	FLAG("abort", abort_gate, -1),
	FLAG("killrelay", kill_relay, -1),
	FLAG("nosend", no_send, -1),
	FLAG("lookup", look_up, -1),
};

static bool
set_key(struct driver *driver, const char *key, char *value)
{
	uint32_t number = (uint32_t)strtol(value, NULL, 0);
	size_t i;
	void *p;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcmp(keys[i].key, key) != 0)
			continue;
		p = (char *)driver + keys[i].offset;
		if (keys[i].kind == 'u')
			memcpy(p, &number, sizeof(number));
		else if (keys[i].kind == 's')
			memcpy(p, &value, sizeof(value));
		else
			*(bool *)p = number != 0;
		if (keys[i].attr >= 0)
			bootstrap_mark(&driver->msg,
				       (enum bootstrap_attr)keys[i].attr);
		return true;
	}
	return false;
}

static void
set_option(struct driver *driver, char *text)
{
	char *value = text, *key = strsep(&value, "=");
	struct bootstrap *msg = &driver->msg;
	size_t i;

	if (!value)
		die(key);
	if (strcmp(key, "new") == 0) {
		msg->clone_flags = kind_flags(value);
	} else if (strcmp(key, "uidmap") == 0) {
		msg->uid_map = lines_of(value);
		msg->uid_map_size = strlen(msg->uid_map);
		bootstrap_mark(msg, BOOTSTRAP_UID_MAP);
	} else if (strcmp(key, "gidmap") == 0) {
		msg->gid_map = lines_of(value);
		msg->gid_map_size = strlen(msg->gid_map);
		bootstrap_mark(msg, BOOTSTRAP_GID_MAP);
	} else if (strcmp(key, "offsets") == 0) {
		msg->time_offsets = lines_of(value);
		bootstrap_mark(msg, BOOTSTRAP_TIME_OFFSETS);
	} else if (!set_key(driver, key, value)) {
		for (i = 0; i < ARRAY_SIZE(setters); i++)
			if (strcmp(setters[i].key, key) == 0)
				break;
		if (i == ARRAY_SIZE(setters))
			die(key);
		setters[i].set(driver, value);
	}
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
	driver->listener = driver->block_fd = -1;
	for (i = 0; i < 3; i++) {
		driver->fds[driver->n_fds++] = (int)i;
		driver->msg.stdio[i].kind = BOOTSTRAP_STDIO_FD;
		driver->msg.stdio[i].fd_index = (uint32_t)i;
	}
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

static pid_t
start_relay(struct driver *driver)
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
	pid_t pid;

	if (stage_own_namespaces(input.proc_fd, driver->own) < 0)
		die("own namespaces");
	if (!driver->look_up)
		input.own_namespaces = driver->own;
	if (bootstrap_has(&driver->msg, BOOTSTRAP_PID))
		input.target_pidfd = sys_pidfd_open((pid_t)driver->msg.pid);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		close(driver->init_channel[0]);
		close(driver->report[0]);
		close(driver->fd_channel[1]);
		/* as the spawner does: whoever runs us may ignore some */
		for (int sig = 1; sig < NSIG; sig++)
			signal(sig, SIG_DFL);
		if (driver->kill_relay)
			raise(SIGSTOP);
		stage_relay_run(&input);
	}
	close(driver->init_channel[1]);
	close(driver->report[1]);
	close(driver->fd_channel[0]);
	fd_close(&driver->listener);
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
	printf("failed %s %s %s %d %s\n", stage_name(message.failure.stage),
	       message.failure.step,
	       message.failure.syscall[0] ? message.failure.syscall : "-",
	       message.failure.error, message.failure.object);
	fflush(stdout);
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
	int i, status = 0;
	pid_t relay;

	driver_init(&driver);
	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		set_option(&driver, argv[i]);
	if (i + 1 >= argc)
		die("no command");
	set_command(&driver, argv + i + 1);
	open_channels(&driver);
	relay = start_relay(&driver);
	usleep(driver.kill_after_us);
	if (driver.kill_relay || driver.kill_after_us > 0)
		kill(relay, SIGKILL);
	if (read(driver.report[0], &report, sizeof(report)) == sizeof(report))
		printf("child %d\n", report.pid);
	driver.has_child = report.pid > 0;
	fflush(stdout);
	print_pidfd(&driver);
	while (print_message(&driver))
		continue;
	close(driver.init_channel[0]);
	if (report.pid > 0 && waitpid(report.pid, &status, __WALL) > 0)
		print_status("", status);
	waitpid(relay, &status, __WALL);
	print_status("relay ", status);
	while (waitpid(-1, &status, __WALL) > 0)
		print_status("stray ", status);
	if (driver.gate_path)
		unlink(driver.gate_path);
	return 0;
}
