/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results as JSON. The shapes are stable and carry "v":1; keys keep the order
 * in which they are set. Numbers are integers: bytes, nanoseconds, ids.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/ctl.h"
#include "lib/text.h"
#include "lib/util.h"
#include "proto/idmap.h"

bool
ctl_json(const struct ctl *ctl)
{
	return ctl->output == CTL_OUTPUT_JSON ||
	       ctl->output == CTL_OUTPUT_JSONL;
}

json_t *
ctl_json_text(const char *text)
{
	char escaped[1024];

	if (!text)
		return json_null();
	if (text_is_utf8(text, strlen(text)))
		return json_string(text);
	return json_string(
		text_escape(escaped, sizeof(escaped), text, strlen(text)));
}

json_t *
ctl_json_idmap(const struct idmap *map)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < map->n_rows; i++)
		json_array_append_new(
			rows,
			json_pack("{s:I, s:I, s:I}", "container_id",
				  (json_int_t)map->rows[i].container_id,
				  "host_id", (json_int_t)map->rows[i].host_id,
				  "size", (json_int_t)map->rows[i].size));
	return rows;
}

static void
set_text(json_t *object, const char *key, const char *text)
{
	json_object_set_new(object, key, ctl_json_text(text));
}

static void
set_number(json_t *object, const char *key, uint64_t number)
{
	json_object_set_new(object, key, json_integer((json_int_t)number));
}

const char *
ctl_format_time(uint64_t realtime_ns, char buf[CTL_TIME_MAX])
{
	time_t seconds = (time_t)(realtime_ns / 1000000000u);
	struct tm tm;
	char date[24];

	if (!gmtime_r(&seconds, &tm))
		return "-";
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(buf, CTL_TIME_MAX, "%s.%09uZ", date,
		       (unsigned int)(realtime_ns % 1000000000u));
	return buf;
}

static void
set_time(json_t *object, const char *key, uint64_t realtime_ns)
{
	char buf[CTL_TIME_MAX];

	if (realtime_ns == 0)
		json_object_set_new(object, key, json_null());
	else
		set_text(object, key, ctl_format_time(realtime_ns, buf));
}

/* Present only where a bound was reached. */
static void
set_quota(json_t *root, const struct nsexec_error *error)
{
	set_text(root, "quota_kind", error->quota_kind);
	set_number(root, "limit", error->limit);
	if (error->used != UINT64_MAX)
		set_number(root, "used", error->used);
	set_number(root, "retry_ms", error->retry_ms);
}

json_t *
ctl_json_error(const struct nsexec_error *error)
{
	json_t *root = json_object();

	set_number(root, "v", 1);
	set_text(root, "code", nsexec_code_name(error->code));
	set_text(root, "stage", error->stage);
	set_text(root, "step", error->step);
	set_text(root, "syscall", error->syscall);
	json_object_set_new(root, "errno", json_integer(error->errno_value));
	set_text(root, "object", error->object);
	set_text(root, "rule", error->rule);
	set_text(root, "hint", error->hint);
	json_object_set_new(root, "retryable", json_boolean(error->retryable));
	set_text(root, "message", error->message);
	if (error->quota_kind[0])
		set_quota(root, error);
	return root;
}

/* code, signal, core, unknown, oom_kills, reason and rusage, into an object
 * that is there. */
static void
set_exit(json_t *root, const struct nsexec_exit *exit)
{
	json_t *rusage = json_object();

	json_object_set_new(root, "code",
			    exit->code >= 0 ? json_integer(exit->code)
					    : json_null());
	json_object_set_new(root, "signal",
			    exit->signal ? json_integer(exit->signal)
					 : json_null());
	json_object_set_new(root, "core", json_boolean(exit->core));
	json_object_set_new(root, "unknown", json_boolean(exit->unknown));
	set_number(root, "oom_kills", exit->oom_kills);
	json_object_set_new(root, "reason",
			    exit->reason == NSEXEC_EXIT_LEASE
				    ? json_string("lease")
				    : json_null());
	set_number(rusage, "user_us", exit->user_us);
	set_number(rusage, "system_us", exit->system_us);
	set_number(rusage, "max_rss_kib", exit->max_rss_kib);
	json_object_set_new(root, "rusage", rusage);
}

json_t *
ctl_json_exit(const struct nsexec_exit *exit)
{
	json_t *root = json_object();

	set_exit(root, exit);
	set_time(root, "time", exit->realtime_ns);
	return root;
}

json_t *
ctl_json_info(const struct nsexec_info *info)
{
	json_t *root = json_object(), *namespaces = json_object();
	json_t *labels = json_array();

	set_number(root, "v", 1);
	set_text(root, "id", info->id);
	set_text(root, "name", info->name);
	set_text(root, "state", nsexec_state_name(info->state));
	set_number(root, "pid", (uint64_t)info->pid);
	set_number(root, "pid_inode", info->pid_inode);
	set_number(root, "start_time", info->start_time);
	set_number(root, "owner_uid", info->owner_uid);
	for (size_t i = 0; i < info->n_namespaces; i++) {
		const char *kind = nsexec_ns_name(info->namespaces[i].kind);

		if (kind)
			set_number(namespaces, kind, info->namespaces[i].inode);
	}
	json_object_set_new(root, "namespaces", namespaces);
	set_time(root, "created", info->created_realtime_ns);
	set_time(root, "started", info->started_realtime_ns);
	json_object_set_new(root, "exit",
			    info->exit ? ctl_json_exit(info->exit)
				       : json_null());
	set_text(root, "command", info->command);
	set_text(root, "cgroup", info->cgroup);
	json_object_set_new(root, "failure",
			    info->failure ? ctl_json_error(info->failure)
					  : json_null());
	for (size_t i = 0; i < info->n_labels; i++)
		json_array_append_new(labels, ctl_json_text(info->labels[i]));
	json_object_set_new(root, "labels", labels);
	json_object_set_new(root, "leased", json_boolean(info->leased));
	return root;
}

json_t *
ctl_json_event(const struct nsexec_event *event)
{
	json_t *root = json_object();
	const char *type = nsexec_event_type_name(event->type);
	char epoch[33] = "";

	for (size_t i = 0; i < sizeof(event->epoch); i++)
		(void)snprintf(epoch + 2 * i, 3, "%02x", event->epoch[i]);
	set_number(root, "v", 1);
	set_text(root, "epoch", epoch);
	set_number(root, "seq", event->seq);
	set_time(root, "time", event->realtime_ns);
	set_number(root, "boottime_ns", event->boottime_ns);
	set_text(root, "type", type ? type : "unknown");
	set_text(root, "container", event->container);
	set_text(root, "name", event->name);
	if (event->exec_id)
		set_text(root, "exec_id", event->exec_id);
	json_object_set_new(root, "pid",
			    event->pid ? json_integer(event->pid)
				       : json_null());
	set_number(root, "pid_inode", event->pid_inode);
	if (event->exit)
		set_exit(root, event->exit);
	if (event->error)
		json_object_set_new(root, "error",
				    ctl_json_error(event->error));
	if (event->type == NSEXEC_EVENT_GAP) {
		set_number(root, "from", event->gap_from);
		set_number(root, "to", event->gap_to);
	}
	if (event->info)
		json_object_set_new(root, "info", ctl_json_info(event->info));
	return root;
}

void
ctl_print_json_line(json_t *value)
{
	(void)json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
	putchar('\n');
	fflush(stdout);
	json_decref(value);
}

void
ctl_print_json(const struct ctl *ctl, json_t *value)
{
	if (ctl->output == CTL_OUTPUT_JSONL) {
		ctl_print_json_line(value);
		return;
	}
	(void)json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	putchar('\n');
	fflush(stdout);
	json_decref(value);
}
