/* SPDX-License-Identifier: Apache-2.0 */
/* "key=value" words into a bootstrap message. See stage_driver.c. */
#include "tests/integration/stage_driver.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/util.h"

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

/* A user is looked up: by his record, or as "subuid=1000:10:2000:10". */
static struct resolved_user *
looked_up(struct driver *driver)
{
	struct resolved_user *user = &driver->user;

	if (!driver->caller.user)
		*user = (struct resolved_user){
			.magic = RESOLVE_MAGIC,
			.version = RESOLVE_VERSION,
			.uid = driver->caller.uid,
			.owner = driver->caller.uid,
			.has_name = 1,
			.gid = driver->caller.gid,
		};
	driver->caller.user = user;
	return user;
}

static uint32_t
parse_ranges(char *value, struct idmap_range *ranges)
{
	uint32_t n = 0;

	for (; value && *value && n < RESOLVE_MAX_RANGES; n++) {
		ranges[n].first = (uint32_t)strtoul(field(&value), NULL, 10);
		ranges[n].size = (uint32_t)strtoul(field(&value), NULL, 10);
	}
	return n;
}

static void
set_subuid(struct driver *driver, char *value)
{
	struct resolved_user *user = looked_up(driver);

	user->n_uid_ranges = parse_ranges(value, user->uid_ranges);
}

static void
set_subgid(struct driver *driver, char *value)
{
	struct resolved_user *user = looked_up(driver);

	user->n_gid_ranges = parse_ranges(value, user->gid_ranges);
}

static void
set_user(struct driver *driver, char *value)
{
	int fd = open(value, O_RDONLY | O_CLOEXEC);

	driver->caller.user = &driver->user;
	if (read(fd, &driver->user, sizeof(driver->user)) !=
		    sizeof(driver->user) ||
	    resolve_check(&driver->user, driver->caller.uid) < 0)
		die(value);
	close(fd);
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
	{ "subuid", set_subuid }, { "subgid", set_subgid },
	{ "user", set_user },
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
	NUMBER("hasname", user.has_name, -1),
	NUMBER("pwgid", user.gid, -1),
	NUMBER("anygroup", user.any_group, -1),
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
	FLAG("relay", use_relay, -1),
	FLAG("gone", caller_gone, -1),
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

void
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
