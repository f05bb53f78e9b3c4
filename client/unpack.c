/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers and events as plain structs. Each result is one heap block that
 * owns the decoded message, into which its texts point.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/internal.h"
#include "lib/util.h"

/* The public part comes first, so that one pointer serves for both. */
struct info_block {
	struct nsexec_info info;
	Nsexec__V1__ContainerInfo *message;
	struct nsexec_exit exit;
	struct nsexec_error failure;
	struct nsexec_namespace namespaces[];
};

struct event_block {
	struct nsexec_event event;
	Nsexec__V1__Event *message;
	struct nsexec_exit exit;
	struct nsexec_error *error;
	struct nsexec_info *info;
};

void
exit_from_message(struct nsexec_exit *ret,
		  const Nsexec__V1__ExitStatus *message)
{
	*ret = (struct nsexec_exit){ .code = -1 };
	if (message->has_code)
		ret->code = (int)message->code;
	if (message->has_signal)
		ret->signal = (int)message->signal;
	ret->core = message->has_core && message->core;
	ret->unknown = (message->has_unknown && message->unknown) ||
		       (ret->code < 0 && ret->signal == 0);
	ret->realtime_ns = message->has_realtime_ns ? message->realtime_ns : 0;
	if (message->has_reason &&
	    message->reason == NSEXEC__V1__EXIT_REASON__EXIT_LEASE)
		ret->reason = NSEXEC_EXIT_LEASE;
	ret->oom_kills = message->has_oom_kills ? message->oom_kills : 0;
	if (message->rusage) {
		ret->user_us = message->rusage->user_us;
		ret->system_us = message->rusage->system_us;
		ret->max_rss_kib = message->rusage->max_rss_kib;
	}
}

/* Bytes as text: our NUL at the end, in place (protobuf-c leaves no room). */
static int
bytes_to_text(ProtobufCBinaryData *bytes, const char **ret)
{
	char *text = realloc(bytes->data, bytes->len + 1);

	if (!text)
		return -ENOMEM;
	text[bytes->len] = '\0';
	bytes->data = (uint8_t *)text;
	*ret = text;
	return 0;
}

static const char *
text_or_null(const char *text)
{
	return text && *text ? text : NULL;
}

static int
info_fill(struct info_block *block, Nsexec__V1__ContainerInfo *message)
{
	struct nsexec_info *info = &block->info;
	int r = 0;

	info->id = message->id ? message->id : "";
	info->name = text_or_null(message->name);
	if (message->has_state)
		info->state = (enum nsexec_state)message->state;
	info->pid = message->has_pid ? message->pid : 0;
	info->pid_inode = message->has_pid_inode ? message->pid_inode : 0;
	info->start_time = message->has_start_time ? message->start_time : 0;
	info->owner_uid = message->has_owner_uid ? message->owner_uid : 0;
	info->created_realtime_ns = message->has_created_realtime_ns
					    ? message->created_realtime_ns
					    : 0;
	info->started_realtime_ns = message->has_started_realtime_ns
					    ? message->started_realtime_ns
					    : 0;
	for (size_t i = 0; i < message->n_namespaces; i++) {
		block->namespaces[i].kind =
			(enum nsexec_ns)message->namespaces[i]->kind;
		block->namespaces[i].inode = message->namespaces[i]->inode;
	}
	info->namespaces = block->namespaces;
	info->n_namespaces = message->n_namespaces;
	if (message->exit) {
		exit_from_message(&block->exit, message->exit);
		info->exit = &block->exit;
	}
	if (message->failure) {
		error_from_detail(&block->failure, message->failure);
		info->failure = &block->failure;
	}
	if (message->has_command)
		r = bytes_to_text(&message->command, &info->command);
	if (r == 0 && message->has_cgroup)
		r = bytes_to_text(&message->cgroup, &info->cgroup);
	info->leased = message->has_leased && message->leased;
	info->labels = (const char *const *)message->labels;
	info->n_labels = message->n_labels;
	return r;
}

int
info_take_message(Nsexec__V1__ContainerInfo *message, struct nsexec_info **ret)
{
	struct info_block *block;
	int r;

	if (!message)
		return -EBADMSG;
	block = calloc(1, sizeof(*block) + message->n_namespaces *
						   sizeof(*block->namespaces));
	if (!block) {
		nsexec__v1__container_info__free_unpacked(message, NULL);
		return -ENOMEM;
	}
	block->message = message;
	r = info_fill(block, message);
	if (r < 0) {
		nsexec_info_free(&block->info);
		return r;
	}
	*ret = &block->info;
	return 0;
}

struct nsexec_info *
nsexec_info_free(struct nsexec_info *info)
{
	struct info_block *block = (struct info_block *)info;

	if (!block)
		return NULL;
	nsexec__v1__container_info__free_unpacked(block->message, NULL);
	free(block);
	return NULL;
}

static int
event_fill_parts(struct event_block *block, Nsexec__V1__Event *message)
{
	int r;

	if (message->exit) {
		exit_from_message(&block->exit, message->exit);
		block->event.exit = &block->exit;
	}
	if (message->error) {
		block->error = calloc(1, sizeof(*block->error));
		if (!block->error)
			return -ENOMEM;
		error_from_detail(block->error, message->error);
		block->event.error = block->error;
	}
	if (message->info) {
		r = info_take_message(ptr_steal(&message->info), &block->info);
		if (r < 0)
			return r;
		block->event.info = block->info;
	}
	return 0;
}

int
event_take_message(Nsexec__V1__Event *message, struct nsexec_event **ret)
{
	struct event_block *block = calloc(1, sizeof(*block));
	struct nsexec_event *event;
	int r;

	if (!block) {
		nsexec__v1__event__free_unpacked(message, NULL);
		return -ENOMEM;
	}
	event = &block->event;
	block->message = message;
	if (message->has_epoch && message->epoch.len == sizeof(event->epoch))
		memcpy(event->epoch, message->epoch.data, sizeof(event->epoch));
	event->seq = message->has_seq ? message->seq : 0;
	event->realtime_ns =
		message->has_realtime_ns ? message->realtime_ns : 0;
	event->boottime_ns =
		message->has_boottime_ns ? message->boottime_ns : 0;
	event->type = message->has_type ? (enum nsexec_event_type)message->type
					: (enum nsexec_event_type)0;
	event->container = text_or_null(message->container);
	event->name = text_or_null(message->name);
	event->exec_id = text_or_null(message->exec_id);
	event->pid = message->has_pid ? message->pid : 0;
	event->pid_inode = message->has_pid_inode ? message->pid_inode : 0;
	event->gap_from = message->has_gap_from ? message->gap_from : 0;
	event->gap_to = message->has_gap_to ? message->gap_to : 0;
	r = event_fill_parts(block, message);
	if (r < 0) {
		nsexec_event_free(event);
		return r;
	}
	*ret = event;
	return 0;
}

struct nsexec_event *
nsexec_event_free(struct nsexec_event *event)
{
	struct event_block *block = (struct event_block *)event;

	if (!block)
		return NULL;
	nsexec_info_free(block->info);
	nsexec__v1__event__free_unpacked(block->message, NULL);
	free(block->error);
	free(block);
	return NULL;
}
