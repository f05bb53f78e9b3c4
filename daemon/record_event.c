/* SPDX-License-Identifier: Apache-2.0 */
/* Events as bytes and back; see record_event.h. */
#include "daemon/record_event.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/event_ring.h"
#include "daemon/record_part.h"
#include "lib/text.h"
#include "proto/pbpool.h"

int
record_event_encode(const struct event_record *record, uint8_t **ret,
		    size_t *ret_size)
{
	const struct event_draft *draft = &record->draft;
	Nsexec__Record__Event message = NSEXEC__RECORD__EVENT__INIT;
	Nsexec__Record__Failure failure;
	Nsexec__Record__Exit exit;
	uint8_t *data;
	size_t size;

	message.has_type = message.has_owner_uid = true;
	message.type = draft->type;
	message.owner_uid = draft->owner;
	message.has_seq_owner = message.has_seq_admin = true;
	message.seq_owner = record->seqs.owner;
	message.seq_admin = record->seqs.admin;
	message.has_realtime_ns = message.has_boottime_ns = true;
	message.realtime_ns = record->realtime_ns;
	message.boottime_ns = record->boottime_ns;
	message.container = (char *)draft->container;
	message.name = (char *)draft->name;
	message.exec_id = (char *)draft->exec_id;
	message.has_pid = message.has_pid_inode = true;
	message.pid = draft->pid;
	message.pid_inode = draft->pid_inode;
	if (draft->exit) {
		record_exit_fill(draft->exit, &exit);
		message.exit = &exit;
	}
	if (draft->error) {
		record_failure_fill(draft->error, &failure);
		message.failure = &failure;
	}
	size = nsexec__record__event__get_packed_size(&message);
	if (size > EVENT_RING_ENTRY_MAX)
		return -EMSGSIZE;
	data = malloc(size);
	if (!data)
		return -ENOMEM;
	nsexec__record__event__pack(&message, data);
	*ret = data;
	*ret_size = size;
	return 0;
}

void
event_record_parts_deinit(struct event_record_parts *parts)
{
	if (parts->message)
		nsexec__record__event__free_unpacked(parts->message, NULL);
	parts->message = NULL;
	free(parts->error);
	parts->error = NULL;
}

static bool
is_id_or_none(const char *text)
{
	return !text || !text[0] || text_is_id(text, strlen(text));
}

static bool
is_sound(const Nsexec__Record__Event *message)
{
	return message->type > EVENT_NONE && message->type < EVENT_GAP &&
	       message->has_owner_uid && message->container &&
	       message->container[0] && is_id_or_none(message->container) &&
	       is_id_or_none(message->name) &&
	       is_id_or_none(message->exec_id) && message->pid >= 0;
}

int
record_event_decode(const void *data, size_t size, struct event_record *ret,
		    struct event_record_parts *parts)
{
	const Nsexec__Record__Event *message;
	ProtobufCMessage *unpacked;
	int r;

	*parts = (struct event_record_parts){ 0 };
	r = pb_unpack(&nsexec__record__event__descriptor, data, size,
		      &unpacked);
	if (r < 0)
		return r;
	parts->message = (Nsexec__Record__Event *)unpacked;
	message = parts->message;
	if (!is_sound(message))
		return -EBADMSG;
	*ret = (struct event_record){
		.draft = { .type = (enum event_type)message->type,
			   .owner = message->owner_uid,
			   .container = message->container,
			   .name = message->name,
			   .exec_id = message->exec_id,
			   .pid = message->pid,
			   .pid_inode = message->pid_inode },
		.seqs = { .owner = message->seq_owner,
			  .admin = message->seq_admin },
		.realtime_ns = message->realtime_ns,
		.boottime_ns = message->boottime_ns,
	};
	if (message->exit) {
		record_exit_restore(message->exit, &parts->exit);
		ret->draft.exit = &parts->exit;
	}
	if (message->failure) {
		r = record_failure_restore(message->failure, &parts->error);
		if (r < 0)
			return r;
		ret->draft.error = parts->error;
	}
	return 0;
}
