/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration; see config.h. Everything that the file may hold is one
 * row of a table: key, kind, bound, place. The reader is jansson, strict: no
 * duplicate keys, nothing after the object, no NUL in strings.
 */
#include "daemon/config.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/text.h"
#include "lib/util.h"
#include "proto/json_load.h"

#define FILE_SIZE_MAX ((size_t)64 << 10)
#define DEFAULT_RUN_DIR "/run/nsexecd"

enum kind { KIND_LEVEL, KIND_PATH, KIND_NUMBER, KIND_LIMITS };

struct row {
	const char *key;
	enum kind kind;
	uint32_t max;  /* of a number */
	size_t offset; /* in struct config, or in config_limits */
};

static const struct row rows[] = {
	{ "log_level", KIND_LEVEL, 0, offsetof(struct config, log_level) },
	{ "cgroup_root", KIND_PATH, 0, offsetof(struct config, cgroup_root) },
	{ "limits", KIND_LIMITS, 0, offsetof(struct config, limits) },
};

#define LIMIT(name, max) \
	{ \
#name, KIND_NUMBER, max, offsetof(struct config_limits, name) \
	}
#define OWNER_LIMIT(key, name, max) \
	{ \
		key, KIND_NUMBER, max, \
			offsetof(struct config_limits, owner.name) \
	}
static const struct row limit_rows[] = {
	OWNER_LIMIT("connections_per_uid", connections, 1000000),
	OWNER_LIMIT("requests_per_owner", requests, 100000),
	OWNER_LIMIT("queued_bytes_per_owner", queued_bytes, 1u << 30),
	OWNER_LIMIT("subscribers_per_owner", subscribers, 100000),
	OWNER_LIMIT("starts_per_owner", starts, 100000),
	OWNER_LIMIT("starts_per_second", starts_per_second, 1000000),
	OWNER_LIMIT("starts_burst", starts_burst, 1000000),
	OWNER_LIMIT("containers_per_owner", containers, 1000000),
	OWNER_LIMIT("execs_per_container", execs_per_container, 100000),
	OWNER_LIMIT("fds_per_request", request_fds, 32),
	OWNER_LIMIT("held_fds_per_owner", held_fds, 1000000),
	OWNER_LIMIT("stuck_per_owner", stuck, 100000),
	OWNER_LIMIT("keys_per_owner", keys, 1000000),
	LIMIT(connections, 1000000),
	LIMIT(starts_in_flight, 100000),
	LIMIT(containers, 1000000),
	LIMIT(events_per_owner, 1000000),
	LIMIT(ended_per_owner, 1000000),
	LIMIT(ended_seconds, 31536000),
	LIMIT(drain_timeout_ms, 600000),
};
_Static_assert(sizeof(limit_rows) / sizeof(limit_rows[0]) ==
		       sizeof(struct config_limits) / sizeof(uint32_t),
	       "every limit has a row");

static const struct config_limits default_limits = {
	.owner = {
		.connections = 32,
		.requests = 64,
		.queued_bytes = 4u << 20,
		.subscribers = 8,
		.starts = 16,
		.starts_per_second = 20,
		.starts_burst = 50,
		.containers = 128,
		.execs_per_container = 16,
		.request_fds = 32,
		.held_fds = 256,
		.stuck = 8,
		.keys = 1024,
	},
	.connections = 4096,
	.starts_in_flight = 512,
	.containers = 10000,
	.events_per_owner = 4096,
	.ended_per_owner = 1024,
	.ended_seconds = 3600,
	.drain_timeout_ms = 5000,
};

void
config_init(struct config *config)
{
	*config = (struct config){ .log_level = LOG_LEVEL_NOTICE,
				   .limits = default_limits };
}

void
config_deinit(struct config *config)
{
	free(config->run_dir);
	free(config->rpc_socket);
	free(config->fd_socket);
	free(config->spawner_socket);
	free(config->gates_dir);
	free(config->records_dir);
	free(config->pid_file);
	free(config->cgroup_root);
	free(config->policy_dir);
	free(config->config_file);
	config_init(config);
}

static int
set_path(char **path, const char *run_dir, const char *name)
{
	char *text;

	if (asprintf(&text, "%s/%s", run_dir, name) < 0)
		return -ENOMEM;
	free(*path);
	*path = text;
	return 0;
}

/* Absolute, without a slash at its end. */
static char *
make_absolute(const char *path)
{
	free_auto char *cwd = NULL;
	char *text = NULL;
	size_t size;

	if (path[0] != '/') {
		cwd = getcwd(NULL, 0);
		if (!cwd || asprintf(&text, "%s/%s", cwd, path) < 0)
			return NULL;
	} else {
		text = strdup(path);
	}
	if (!text)
		return NULL;
	size = strlen(text);
	while (size > 1 && text[size - 1] == '/')
		text[--size] = '\0';
	return text;
}

int
config_set_run_dir(struct config *config, const char *run_dir)
{
	const struct {
		char **path;
		const char *name;
	} paths[] = {
		{ &config->rpc_socket, "nsexecd.sock" },
		{ &config->fd_socket, "fd.sock" },
		{ &config->spawner_socket, "spawner.sock" },
		{ &config->gates_dir, "gates" },
		{ &config->records_dir, "records" },
		{ &config->pid_file, "nsexecd.pid" },
	};
	free_auto char *absolute =
		make_absolute(run_dir ? run_dir : DEFAULT_RUN_DIR);
	struct sockaddr_un address;
	size_t i;
	int r;

	if (!absolute)
		return -ENOMEM;
	if (strlen(absolute) + sizeof("/spawner.sock") >
	    sizeof(address.sun_path))
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		r = set_path(paths[i].path, absolute, paths[i].name);
		if (r < 0)
			return r;
	}
	free(config->run_dir);
	config->run_dir = ptr_steal(&absolute);
	config->private_instance = run_dir != NULL;
	return 0;
}

/* One reading of one file. */
struct reader {
	const char *name;
	const char *text;
	size_t size;
	char *error_text;
	struct config *config; /* a copy; taken over at the end */
};

/* The line of the first key of this name; jansson does not keep it. */
static unsigned int
find_line(const struct reader *reader, const char *key)
{
	const char *p = reader->text, *end = p + reader->size;
	size_t size = strlen(key);
	unsigned int line = 1;

	for (; p < end; p++) {
		if (*p == '\n')
			line++;
		if (*p == '"' && (size_t)(end - p) > size + 1 &&
		    memcmp(p + 1, key, size) == 0 && p[size + 1] == '"')
			return line;
	}
	return 1;
}

static int printf_like(3, 4) refuse(const struct reader *reader,
				    const char *key, const char *fmt, ...)
{
	char escaped[96], reason[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	text_escape(escaped, sizeof(escaped), key, strlen(key));
	snprintf(reader->error_text, CONFIG_ERROR_MAX, "%s:%u: %s: %s",
		 reader->name, find_line(reader, key), escaped, reason);
	return -EINVAL;
}

static int
read_level(struct reader *reader, const struct row *row, const json_t *value)
{
	enum log_level *level =
		(enum log_level *)((char *)reader->config + row->offset);

	if (!json_is_string(value) ||
	    log_level_parse(json_string_value(value), level) < 0)
		return refuse(reader, row->key,
			      "want \"error\", \"warning\", \"notice\", "
			      "\"info\" or \"debug\"");
	return 0;
}

static int
read_path(struct reader *reader, const struct row *row, const json_t *value)
{
	char **path = (char **)((char *)reader->config + row->offset);
	char *text;

	if (!json_is_string(value) || json_string_value(value)[0] != '/' ||
	    json_string_length(value) >= 4096)
		return refuse(reader, row->key, "want an absolute path");
	text = strdup(json_string_value(value));
	if (!text)
		return -ENOMEM;
	free(*path);
	*path = text;
	return 0;
}

static int
read_number(struct reader *reader, const struct row *row, const json_t *value)
{
	uint32_t *number =
		(uint32_t *)((char *)&reader->config->limits + row->offset);

	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    json_integer_value(value) > row->max)
		return refuse(reader, row->key,
			      "want a whole number from 0 to %u", row->max);
	*number = (uint32_t)json_integer_value(value);
	return 0;
}

static const struct row *
find_row(const struct row *table, size_t n_rows, const char *key)
{
	size_t i;

	for (i = 0; i < n_rows; i++)
		if (strcmp(table[i].key, key) == 0)
			return &table[i];
	return NULL;
}

static int
read_limits(struct reader *reader, const struct row *row, json_t *value)
{
	const struct row *limit;
	const char *key;
	json_t *number;
	int r;

	if (!json_is_object(value))
		return refuse(reader, row->key, "want an object of numbers");
	json_object_foreach(value, key, number)
	{
		limit = find_row(limit_rows, ARRAY_SIZE(limit_rows), key);
		if (!limit)
			return refuse(reader, key, "no such limit");
		r = read_number(reader, limit, number);
		if (r < 0)
			return r;
	}
	return 0;
}

static int
read_row(struct reader *reader, const struct row *row, json_t *value)
{
	switch (row->kind) {
	case KIND_LEVEL:
		return read_level(reader, row, value);
	case KIND_PATH:
		return read_path(reader, row, value);
	case KIND_NUMBER:
		return read_number(reader, row, value);
	case KIND_LIMITS:
		return read_limits(reader, row, value);
	}
	return -EINVAL;
}

static int
read_object(struct reader *reader, json_t *object)
{
	const struct row *row;
	const char *key;
	json_t *value;
	int r;

	if (!json_is_object(object)) {
		snprintf(reader->error_text, CONFIG_ERROR_MAX,
			 "%s:1: want one JSON object", reader->name);
		return -EINVAL;
	}
	json_object_foreach(object, key, value)
	{
		row = find_row(rows, ARRAY_SIZE(rows), key);
		if (!row)
			return refuse(reader, key, "no such key");
		r = read_row(reader, row, value);
		if (r < 0)
			return r;
	}
	return 0;
}

int
config_parse(struct config *config, const char *name, const char *text,
	     size_t size, char error_text[CONFIG_ERROR_MAX])
{
	struct config copy = *config;
	struct reader reader = { name, text, size, error_text, &copy };
	json_error_t error;
	json_t *root;
	int r;

	error_text[0] = '\0';
	copy.cgroup_root = NULL;
	r = json_load(text, size, &root, &error);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		snprintf(error_text, CONFIG_ERROR_MAX, "%s:%d: %s", name,
			 error.line, error.text);
		return r;
	}
	r = read_object(&reader, root);
	json_decref(root);
	if (r < 0) {
		free(copy.cgroup_root);
		return r;
	}
	if (copy.cgroup_root)
		free(config->cgroup_root);
	else
		copy.cgroup_root = config->cgroup_root;
	*config = copy;
	return 0;
}

int
config_read(struct config *config, const char *path,
	    char error_text[CONFIG_ERROR_MAX])
{
	free_auto char *text = malloc(FILE_SIZE_MAX + 1);
	char *file;
	ssize_t n;
	int r;

	if (!text)
		return -ENOMEM;
	n = fd_read_file(AT_FDCWD, path, text, FILE_SIZE_MAX + 1);
	if (n < 0) {
		snprintf(error_text, CONFIG_ERROR_MAX, "%s: cannot read: %s",
			 path,
			 n == -EMSGSIZE ? "more than 64 KiB"
					: strerror((int)-n));
		return (int)n;
	}
	r = config_parse(config, path, text, (size_t)n, error_text);
	if (r < 0)
		return r;
	file = strdup(path);
	if (!file)
		return -ENOMEM;
	free(config->config_file);
	config->config_file = file;
	return 0;
}
