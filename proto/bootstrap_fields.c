/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a decoded message to named fields, by one table over the attributes.
 * Values are built in a memory stream and kept in the fields' arena. The way
 * back is bootstrap_fields_parse.c. See bootstrap_text.h for the form.
 */
#include "proto/bootstrap_fields.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text_stream.h"
#include "lib/util.h"
#include "proto/bootstrap_table.h"
#include "proto/nsplan.h"

static const char *const gate_words[] = { "none", "channel", "named" };
static const char *const propagation_words[] = { NULL, "private", "slave",
						 "shared", "unchanged" };
static const char *const setgroups_words[] = { NULL, "auto", "allow", "deny" };
static const char *const role_words[] = { NULL, "init-channel", "caller",
					  "fd-channel", "exec-block" };
_Static_assert(ARRAY_SIZE(role_words) == N_FD_ROLES, "every role has a word");
const char *const mount_kind_words[N_MOUNT_KIND_WORDS] = {
	NULL,  "bind",	 "tmpfs",  "proc",   "sysfs",
	"dev", "devpts", "mqueue", "cgroup2"
};
const char *const mount_flag_words[N_MOUNT_FLAG_WORDS] = { "ro", "nosuid",
							   "nodev", "noexec",
							   "recursive" };
const char *const rlimit_words[N_RLIMIT_WORDS] = {
	"cpu",	    "fsize",  "data",	 "stack", "core",  "rss",
	"nproc",    "nofile", "memlock", "as",	  "locks", "sigpending",
	"msgqueue", "nice",   "rtprio",	 "rttime"
};
const char *const cap_set_words[N_CAP_SET_WORDS] = { "bounding", "permitted",
						     "effective", "inheritable",
						     "ambient" };

/* clang-format off */
#define ROW(attr, name, form) [BOOTSTRAP_##attr] = { name, form, NULL, 0 }
#define WORDS(attr, name, form, words) \
	[BOOTSTRAP_##attr] = { name, form, words, ARRAY_SIZE(words) }
const struct field_row field_rows[] = {
	ROW(CLONE_FLAGS, "clone-flags", FORM_FLAGS),
	ROW(CONSOLE, "console-path", FORM_TEXT),
	ROW(NS_PATHS, "namespace-paths", FORM_TEXT),
	ROW(UID_MAP, "uid-map", FORM_UID_MAP),
	ROW(GID_MAP, "gid-map", FORM_GID_MAP),
	ROW(SETGROUP, "setgroup", FORM_BOOL),
	ROW(OOM_SCORE_ADJ, "oom-score-adj", FORM_TEXT),
	ROW(ROOTLESS, "rootless", FORM_BOOL),
	ROW(UIDMAP_PATH, "newuidmap-path", FORM_TEXT),
	ROW(GIDMAP_PATH, "newgidmap-path", FORM_TEXT),
	ROW(MOUNT_SOURCES, "mount-sources", FORM_BYTES),
	ROW(TIME_OFFSETS, "time-offsets", FORM_TEXT),
	ROW(CONTAINER, "container", FORM_TEXT),
	WORDS(FD_ROLES, "fd-roles", FORM_WORDS, role_words),
	ROW(ARGV, "argv", FORM_BYTES),
	ROW(ENV, "env", FORM_BYTES),
	ROW(EXEC_BLOCK, "exec-block", FORM_BLOCK),
	ROW(JOINS, "join", FORM_JOIN),
	ROW(CWD, "cwd", FORM_TEXT),
	ROW(UID, "uid", FORM_U32),
	ROW(GID, "gid", FORM_U32),
	ROW(GROUPS, "groups", FORM_NUMBERS),
	ROW(KEEP_GROUPS, "keep-groups", FORM_BOOL),
	ROW(CAPS, "capabilities", FORM_CAPS),
	ROW(NO_NEW_PRIVS, "no-new-privs", FORM_BOOL),
	ROW(RLIMITS, "resource-limit", FORM_RLIMIT),
	ROW(UMASK, "umask", FORM_OCTAL),
	ROW(NICE, "nice", FORM_I32),
	ROW(HOSTNAME, "hostname", FORM_TEXT),
	ROW(DOMAINNAME, "domain-name", FORM_TEXT),
	ROW(LOOPBACK, "loopback", FORM_BOOL),
	ROW(ROOTFS, "root-file-system", FORM_TEXT),
	ROW(ROOT_READONLY, "root-read-only", FORM_BOOL),
	WORDS(PROPAGATION, "propagation", FORM_WORD, propagation_words),
	ROW(MOUNT_PROC, "mount-proc", FORM_BOOL),
	ROW(MOUNTS, "mount", FORM_MOUNT),
	ROW(STDIO, "stdio", FORM_STDIO),
	ROW(PASSED_FDS, "passed-fd", FORM_PASSED_FD),
	ROW(N_CHANNEL_FDS, "channel-fds", FORM_U32),
	ROW(SEND_PIDFD, "send-pidfd", FORM_BOOL),
	WORDS(GATE, "gate", FORM_WORD, gate_words),
	ROW(PARENT_DEATH_SIGNAL, "parent-death-signal", FORM_U32),
	WORDS(SETGROUPS_MODE, "setgroups-mode", FORM_WORD, setgroups_words),
	ROW(PHASE_TIMEOUT_MS, "phase-timeout-ms", FORM_U32),
	ROW(PID, "pid", FORM_U32),
};
/* clang-format on */
_Static_assert(ARRAY_SIZE(field_rows) == N_BOOTSTRAP_ATTRS,
	       "every attribute has a form");

static void
write_word(FILE *out, const char *const *words, size_t n_words, uint32_t value)
{
	if (value < n_words && words[value])
		fputs(words[value], out);
	else
		fprintf(out, "%" PRIu32, value);
}

static void
write_pair(FILE *out, const char *name, const char *text)
{
	if (!text)
		return;
	fprintf(out, " %s=", name);
	bootstrap_escape(out, text, strlen(text), true);
}

static void
write_flags(FILE *out, uint32_t flags)
{
	const char *separator = "";
	int i;

	if (flags == 0)
		fputs("none", out);
	for (i = 0; i < N_NS_KINDS; i++) {
		if (!(flags & ns_kinds[i].clone_flag))
			continue;
		fprintf(out, "%s%s", separator, ns_kinds[i].name);
		separator = ",";
	}
}

static void
write_list(FILE *out, const struct field_row *row, const uint32_t *numbers,
	   size_t n)
{
	size_t i;

	if (n == 0)
		fputs("none", out);
	for (i = 0; i < n; i++) {
		if (i > 0)
			fputc(',', out);
		write_word(out, row->words, row->n_words, numbers[i]);
	}
}

static void
write_caps(FILE *out, const struct bootstrap_caps *from)
{
	struct bootstrap_caps caps = *from;
	size_t i;

	fprintf(out, "present=%" PRIu32, caps.present);
	for (i = 0; i < N_CAP_SET_WORDS; i++)
		fprintf(out, " %s=0x%" PRIx64, cap_set_words[i],
			*caps_set(&caps, i));
}

static void
write_join(FILE *out, const struct bootstrap_join *join)
{
	int kind = ns_kind_by_flag(join->clone_flag);

	fputs(kind >= 0 ? ns_kinds[kind].name : "?", out);
	if (join->how == JOIN_PID) {
		fprintf(out, " pid=%" PRIu32, join->number);
		fprintf(out, " start-time=%" PRIu64, join->start_time);
		fprintf(out, " inode=%" PRIu64, join->inode);
	} else if (join->how == JOIN_FD) {
		fprintf(out, " fd=%" PRIu32, join->number);
	}
	write_pair(out, "path", join->path);
}

static void
write_mount(FILE *out, const struct bootstrap_mount *mount)
{
	const char *separator = " flags=";
	unsigned int i;

	write_word(out, mount_kind_words, N_MOUNT_KIND_WORDS, mount->kind);
	for (i = 0; i < N_MOUNT_FLAG_WORDS; i++) {
		if (!(mount->flags & (1u << i)))
			continue;
		fprintf(out, "%s%s", separator, mount_flag_words[i]);
		separator = ",";
	}
	write_pair(out, "source", mount->source);
	write_pair(out, "destination", mount->destination);
	write_pair(out, "data", mount->data);
}

static void
write_stdio(FILE *out, const struct bootstrap_stdio *stdio)
{
	if (stdio->kind == BOOTSTRAP_STDIO_FD)
		fprintf(out, "fd fd=%" PRIu32, stdio->fd_index);
	else
		fputs(stdio->kind == BOOTSTRAP_STDIO_PATH ? "path" : "null",
		      out);
	write_pair(out, "path", stdio->path);
}

/* Record i of a list. */
static void
write_record(FILE *out, const struct bootstrap *msg, enum field_form form,
	     size_t i)
{
	const struct bootstrap_rlimit *limit = &msg->rlimits[i];

	switch (form) {
	case FORM_JOIN:
		write_join(out, &msg->joins[i]);
		break;
	case FORM_RLIMIT:
		write_word(out, rlimit_words, N_RLIMIT_WORDS, limit->resource);
		fprintf(out, " soft=%" PRIu64 " hard=%" PRIu64, limit->soft,
			limit->hard);
		break;
	case FORM_MOUNT:
		write_mount(out, &msg->mounts[i]);
		break;
	case FORM_STDIO:
		write_stdio(out, &msg->stdio[i]);
		break;
	default:
		fprintf(out, "number=%" PRIu32 " fd=%" PRIu32,
			msg->passed_fds[i].number, msg->passed_fds[i].fd_index);
		break;
	}
}

static size_t
record_count(const struct bootstrap *msg, enum field_form form)
{
	switch (form) {
	case FORM_JOIN:
		return msg->n_joins;
	case FORM_RLIMIT:
		return msg->n_rlimits;
	case FORM_MOUNT:
		return msg->n_mounts;
	case FORM_STDIO:
		return 3;
	default:
		return msg->n_passed_fds;
	}
}

/* A number at field: they share a size. */
static void
write_number(FILE *out, const struct field_row *row, const void *field)
{
	uint32_t value;
	int32_t number;
	bool truth;

	if (row->form == FORM_BOOL) {
		memcpy(&truth, field, sizeof(truth));
		fputs(truth ? "true" : "false", out);
		return;
	}
	memcpy(&value, field, sizeof(value));
	memcpy(&number, field, sizeof(number));
	if (row->form == FORM_WORD)
		write_word(out, row->words, row->n_words, value);
	else if (row->form == FORM_I32)
		fprintf(out, "%" PRId32, number);
	else if (row->form == FORM_OCTAL)
		fprintf(out, "%04" PRIo32, value);
	else
		fprintf(out, "%" PRIu32, value);
}

static void
write_value(FILE *out, const struct bootstrap *msg, enum bootstrap_attr attr)
{
	const struct field_row *row = &field_rows[attr];
	const void *field = (const char *)msg + bootstrap_rows[attr].offset;
	const struct bootstrap_bytes *bytes = field;
	const char *text;

	switch (row->form) {
	case FORM_FLAGS:
		write_flags(out, msg->clone_flags);
		break;
	case FORM_TEXT:
		memcpy(&text, field, sizeof(text));
		bootstrap_escape(out, text, strlen(text), false);
		break;
	case FORM_UID_MAP:
		bootstrap_escape(out, msg->uid_map, msg->uid_map_size, false);
		break;
	case FORM_GID_MAP:
		bootstrap_escape(out, msg->gid_map, msg->gid_map_size, false);
		break;
	case FORM_BYTES:
		bootstrap_escape(out, bytes->data, bytes->size, false);
		break;
	case FORM_WORDS:
		write_list(out, row, msg->fd_roles, msg->n_fd_roles);
		break;
	case FORM_NUMBERS:
		write_list(out, row, msg->groups, msg->n_groups);
		break;
	case FORM_BLOCK:
		fprintf(out, "argc=%" PRIu32 " envc=%" PRIu32 " size=%" PRIu64,
			msg->exec_block.argc, msg->exec_block.envc,
			msg->exec_block.size);
		break;
	case FORM_CAPS:
		write_caps(out, &msg->caps);
		break;
	default:
		write_number(out, row, field);
		break;
	}
}

static enum field_json
json_of(enum field_form form)
{
	if (form >= FORM_JOIN)
		return FIELD_RECORD;
	if (form == FORM_BOOL)
		return FIELD_TRUTH;
	return form == FORM_U32 || form == FORM_I32 ? FIELD_NUMBER
						    : FIELD_STRING;
}

/* record: index in the list, or -1 for a value, or -2 for an empty list. */
static int
add_field(struct bootstrap_fields *fields, const struct bootstrap *msg,
	  enum bootstrap_attr attr, int record)
{
	const struct field_row *row = &field_rows[attr];
	struct bootstrap_field *field = &fields->items[fields->n];
	free_auto char *text = NULL;
	struct text_stream stream;
	size_t size;
	int r;

	assert(fields->n < BOOTSTRAP_MAX_FIELDS);
	r = text_stream_open(&stream);
	if (r < 0)
		return r;
	if (record >= 0)
		write_record(stream.out, msg, row->form, (size_t)record);
	else if (record == -2)
		fputs("none", stream.out);
	else
		write_value(stream.out, msg, attr);
	r = text_stream_close(&stream, &text, &size);
	if (r < 0)
		return r;
	field->name = row->name;
	field->value = arena_text(&fields->arena, text, size);
	field->json = json_of(row->form);
	if (!field->value)
		return -ENOMEM;
	fields->n++;
	return 0;
}

int
bootstrap_fields_build(const struct bootstrap *msg,
		       struct bootstrap_fields *ret)
{
	size_t i, k, n;
	int r = 0;

	memset(ret, 0, sizeof(*ret));
	for (i = 0; i < N_BOOTSTRAP_ATTRS && r == 0; i++) {
		enum bootstrap_attr attr =
			(enum bootstrap_attr)bootstrap_order[i];

		if (!bootstrap_has(msg, attr))
			continue;
		if (field_rows[attr].form < FORM_JOIN) {
			r = add_field(ret, msg, attr, -1);
			continue;
		}
		n = record_count(msg, field_rows[attr].form);
		if (n == 0)
			r = add_field(ret, msg, attr, -2);
		for (k = 0; k < n && r == 0; k++)
			r = add_field(ret, msg, attr, (int)k);
	}
	return r;
}

void
bootstrap_fields_deinit(struct bootstrap_fields *fields)
{
	arena_deinit(&fields->arena);
	fields->n = 0;
}
