/* SPDX-License-Identifier: Apache-2.0 */
/* Command line and systemd's environment. See spawner_options.h. */
#include "spawn/spawner_options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "lib/fd.h"
#include "lib/text.h"
#include "lib/util.h"
#include "spawn/spawner.h"
#include "spawn/spawner_log.h"

#define SYSTEM_USER "nsexecd"
#define SYSTEM_POLICY_DIR "/etc/nsexecd"
#define RESOLVER_USER "nsexec-resolver"
#define RESOLVER_PATH NSX_LIBEXECDIR "/nsexec-resolver"
/* Of systemd's dynamic uids; the launcher chooses nsexecd's below these. */
#define RESOLVER_UID_FIRST 65500
#define RESOLVER_UID_LAST 65519
#define LISTEN_FIRST_FD 3 /* sd_listen_fds(3) */
#define PASSWD_MAX (1024 * 1024)

static const char usage[] =
	"Usage: nsexec-spawner --run-dir DIR --user-uid N --user-gid N "
	"[--cgroup-root PATH] [--ready-fd N] [--detach] "
	"[--newuidmap PATH] [--newgidmap PATH]\n"
	"       nsexec-spawner --system [--user-uid N --user-gid N]\n"
	"       nsexec-spawner --reload [--run-dir DIR]\n"
	"The first two: [--resolver PATH] [--resolver-uid N] [--policy-dir "
	"DIR]\n"
	"The root side of nsexecd: parent of every container process.\n"
	"It is started by nsexecd --run-dir, or by systemd with --system.\n";

enum {
	OPTION_RUN_DIR = 1,
	OPTION_CGROUP_ROOT,
	OPTION_UID,
	OPTION_GID,
	OPTION_READY_FD,
	OPTION_RESOLVER,
	OPTION_RESOLVER_UID,
	OPTION_POLICY_DIR,
	OPTION_SYSTEM,
	OPTION_DETACH,
	OPTION_NEWUIDMAP,
	OPTION_NEWGIDMAP,
	OPTION_STATE_FD,
	OPTION_TRIAL,
	OPTION_RELOAD,
	OPTION_HELP,
	OPTION_VERSION
};

static const struct option long_options[] = {
	{ "run-dir", required_argument, NULL, OPTION_RUN_DIR },
	{ "cgroup-root", required_argument, NULL, OPTION_CGROUP_ROOT },
	{ "user-uid", required_argument, NULL, OPTION_UID },
	{ "user-gid", required_argument, NULL, OPTION_GID },
	{ "ready-fd", required_argument, NULL, OPTION_READY_FD },
	{ "resolver", required_argument, NULL, OPTION_RESOLVER },
	{ "resolver-uid", required_argument, NULL, OPTION_RESOLVER_UID },
	{ "policy-dir", required_argument, NULL, OPTION_POLICY_DIR },
	{ "system", no_argument, NULL, OPTION_SYSTEM },
	{ "detach", no_argument, NULL, OPTION_DETACH },
	{ "newuidmap", required_argument, NULL, OPTION_NEWUIDMAP },
	{ "newgidmap", required_argument, NULL, OPTION_NEWGIDMAP },
	{ "state-fd", required_argument, NULL, OPTION_STATE_FD },
	{ "trial", no_argument, NULL, OPTION_TRIAL },
	{ "reload", no_argument, NULL, OPTION_RELOAD },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

/* Value of a variable in an environment, or NULL. */
static const char *
options_env(char **env, const char *name)
{
	size_t n = strlen(name);

	for (; *env; env++)
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

int
options_find_listener(const char *names, const char *name)
{
	size_t n = strlen(name), size;
	int i = 0;

	for (;; i++) {
		size = strcspn(names, ":");
		if (size == n && memcmp(names, name, n) == 0)
			return i;
		if (names[size] == '\0')
			return -ENOENT;
		names += size + 1;
	}
}

/* "name:x:uid:gid:..." up to *end. */
static int
options_read_user(const char *line, const char *end, unsigned int *ret_uid,
		  unsigned int *ret_gid)
{
	char field[2][16];
	const char *p;
	size_t i, n;

	p = memchr(line, ':', (size_t)(end - line)); /* past the password */
	if (!p)
		return -EBADMSG;
	for (i = 0; i < 2; i++) {
		p++;
		n = strcspn(p, ":\n");
		if (p + n >= end || p[n] != ':' || n >= sizeof(field[i]))
			return -EBADMSG;
		memcpy(field[i], p, n);
		field[i][n] = '\0';
		p += n;
	}
	if (text_parse_u32(field[0], ret_uid) < 0 ||
	    text_parse_u32(field[1], ret_gid) < 0)
		return -EBADMSG;
	return 0;
}

int
options_find_user(const char *passwd, const char *name, unsigned int *ret_uid,
		  unsigned int *ret_gid)
{
	const char *line = passwd, *end;
	size_t n = strlen(name);

	for (; *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		if ((size_t)(end - line) > n && memcmp(line, name, n) == 0 &&
		    line[n] == ':')
			return options_read_user(line + n + 1, end, ret_uid,
						 ret_gid);
	}
	return -ENOENT;
}

static bool
options_has_uid(const char *passwd, unsigned int wanted)
{
	const char *line = passwd, *end, *colon;
	unsigned int uid, gid;

	for (; *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		colon = memchr(line, ':', (size_t)(end - line));
		if (colon &&
		    options_read_user(colon + 1, end, &uid, &gid) == 0 &&
		    uid == wanted)
			return true;
	}
	return false;
}

int
options_find_free_uid(const char *passwd, unsigned int taken, unsigned int *ret)
{
	unsigned int uid;

	for (uid = RESOLVER_UID_LAST; uid >= RESOLVER_UID_FIRST; uid--)
		if (uid != taken && !options_has_uid(passwd, uid)) {
			*ret = uid;
			return 0;
		}
	return -ENOENT;
}

static int
options_read_passwd(char **ret)
{
	free_auto char *text = malloc(PASSWD_MAX);
	ssize_t n;

	if (!text)
		return -ENOMEM;
	n = fd_read_file(AT_FDCWD, "/etc/passwd", text, PASSWD_MAX);
	if (n == -ENOENT)
		text[0] = '\0';
	else if (n < 0)
		return (int)n;
	*ret = text;
	text = NULL;
	return 0;
}

/*
 * An id of its own: what parses files may not touch nsexecd, nor the reverse.
 */
static int
options_resolver(struct spawner_options *options)
{
	free_auto char *text = NULL;
	int r;

	if (!options->resolver)
		options->resolver = RESOLVER_PATH;
	if (options->resolver_uid != 0)
		return 0;
	r = options_read_passwd(&text);
	if (r == 0 &&
	    (options_find_user(text, RESOLVER_USER, &options->resolver_uid,
			       &options->resolver_gid) < 0 ||
	     options->resolver_uid == 0 || options->resolver_gid == 0 ||
	     options->resolver_uid == options->worker_uid)) {
		r = options_find_free_uid(text, options->worker_uid,
					  &options->resolver_uid);
		options->resolver_gid = options->resolver_uid;
	}
	if (r < 0)
		log_error(-r, "cannot choose a uid for the resolver");
	return r;
}

static int
options_system_user(struct spawner_options *options)
{
	free_auto char *text = NULL;
	int r;

	r = options_read_passwd(&text);
	if (r < 0)
		return r;
	r = options_find_user(text, SYSTEM_USER, &options->worker_uid,
			      &options->worker_gid);
	if (r < 0)
		log_error(-r, "cannot find user %s in /etc/passwd",
			  SYSTEM_USER);
	return r;
}

/* Sockets that systemd passed: ours is named "spawner". */
static int
options_system(struct spawner_options *options, char **env)
{
	const char *pid = options_env(env, "LISTEN_PID");
	const char *count = options_env(env, "LISTEN_FDS");
	const char *names = options_env(env, "LISTEN_FDNAMES");
	uint32_t number, n_fds;
	int r;

	options->notify_socket = options_env(env, "NOTIFY_SOCKET");
	if (options->worker_uid == 0) {
		r = options_system_user(options);
		if (r < 0)
			return r;
	}
	if (!pid || !count || text_parse_u32(pid, &number) < 0 ||
	    number != (uint32_t)getpid() || text_parse_u32(count, &n_fds) < 0)
		return 0;
	r = options_find_listener(names ? names : "", "spawner");
	if (r >= 0 && (uint32_t)r < n_fds)
		options->listener_fd = LISTEN_FIRST_FD + r;
	return 0;
}

static int
options_number(const char *text, uint32_t max, uint32_t *ret)
{
	uint64_t value;
	int r = text_parse_u64(text, max, &value);

	if (r < 0)
		return r;
	*ret = (uint32_t)value;
	return 0;
}

static int
options_fd(const char *value, int *ret)
{
	uint32_t number;
	int r = options_number(value, 1 << 20, &number);

	if (r == 0)
		*ret = (int)number;
	return r;
}

static int
options_one(struct spawner_options *options, int option, const char *value)
{
	int r = 0;

	switch (option) {
	case OPTION_RUN_DIR:
		options->run_dir = value;
		break;
	case OPTION_CGROUP_ROOT:
		options->cgroup_root = value;
		break;
	case OPTION_UID:
		r = options_number(value, UINT32_MAX - 1, &options->worker_uid);
		break;
	case OPTION_GID:
		r = options_number(value, UINT32_MAX - 1, &options->worker_gid);
		break;
	case OPTION_READY_FD:
		r = options_fd(value, &options->ready_fd);
		break;
	case OPTION_STATE_FD:
		r = options_fd(value, &options->state_fd);
		break;
	case OPTION_TRIAL:
		options->trial = true;
		break;
	case OPTION_RELOAD:
		options->reload = true;
		break;
	case OPTION_RESOLVER:
		options->resolver = value;
		break;
	case OPTION_RESOLVER_UID:
		r = options_number(value, UINT32_MAX - 1,
				   &options->resolver_uid);
		options->resolver_gid = options->resolver_uid;
		break;
	case OPTION_POLICY_DIR:
		options->policy_dir = value;
		break;
	case OPTION_SYSTEM:
		options->system = true;
		break;
	case OPTION_DETACH:
		options->detach = true;
		break;
	case OPTION_NEWUIDMAP:
		options->newuidmap = value;
		break;
	case OPTION_NEWGIDMAP:
		options->newgidmap = value;
		break;
	case OPTION_HELP:
		fputs(usage, stdout);
		return 1;
	case OPTION_VERSION:
		puts("nsexec-spawner " PACKAGE_VERSION);
		return 1;
	default:
		r = -EINVAL;
	}
	return r;
}

int
options_parse(struct spawner_options *ret, int argc, char **argv, char **env)
{
	int option, r = 0;

	*ret = (struct spawner_options){ .ready_fd = -1,
					 .listener_fd = -1,
					 .state_fd = -1 };
	while (r == 0 &&
	       (option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		r = options_one(ret, option, optarg);
	if (r > 0)
		return r;
	/* All else is in the state, or with the one that lives. */
	if (r == 0 && optind == argc && (ret->state_fd >= 0 || ret->reload))
		return 0;
	if (r == 0 && ret->system) {
		if (!ret->run_dir)
			ret->run_dir = OPTIONS_SYSTEM_RUN_DIR;
		if (!ret->policy_dir)
			ret->policy_dir = SYSTEM_POLICY_DIR;
		r = options_system(ret, env);
		if (r < 0)
			return r;
	}
	/* uid 0 would make every caller's daemon an admin's. */
	if (r < 0 || optind != argc || !ret->run_dir ||
	    ret->run_dir[0] != '/' || ret->worker_uid == 0 ||
	    ret->resolver_uid == ret->worker_uid) {
		fputs(usage, stderr);
		return -EINVAL;
	}
	return options_resolver(ret);
}
