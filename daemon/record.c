/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records as bytes and back; see record.h. Read only from our own directory,
 * yet decoded like anything from outside: a torn or foreign file must not end
 * the daemon.
 */
#include "daemon/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/boot.h"
#include "daemon/record_part.h"
#include "lib/crc32c.h"
#include "lib/text.h"
#include "proto/pbpool.h"

struct record_header {
	uint32_t magic, version, length, crc;
};
_Static_assert(sizeof(struct record_header) == RECORD_HEADER_SIZE,
	       "the header has no padding");

int
record_encode(const ProtobufCMessage *message, uint8_t **ret, size_t *ret_size)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	struct record_header header = { .magic = RECORD_MAGIC,
					.version = RECORD_VERSION };
	uint8_t *data;

	if (size > RECORD_MAX - RECORD_HEADER_SIZE)
		return -EMSGSIZE;
	data = malloc(RECORD_HEADER_SIZE + size);
	if (!data)
		return -ENOMEM;
	protobuf_c_message_pack(message, data + RECORD_HEADER_SIZE);
	header.length = (uint32_t)size;
	header.crc = crc32c(0, data + RECORD_HEADER_SIZE, size);
	memcpy(data, &header, sizeof(header));
	*ret = data;
	*ret_size = RECORD_HEADER_SIZE + size;
	return 0;
}

/*
 * The size of the first record in data, checked, or -errno. -ENODATA: data is
 * the beginning of a record, and no more.
 */
static ssize_t
record_check(const uint8_t *data, size_t size)
{
	struct record_header header = { .magic = RECORD_MAGIC };

	memcpy(&header, data, size < sizeof(header) ? size : sizeof(header));
	if (header.magic != RECORD_MAGIC)
		return -EBADMSG;
	if (size < RECORD_HEADER_SIZE)
		return -ENODATA;
	if (header.version != RECORD_VERSION)
		return -EPROTONOSUPPORT;
	if (header.length > RECORD_MAX - RECORD_HEADER_SIZE)
		return -EBADMSG;
	if (header.length > size - RECORD_HEADER_SIZE)
		return -ENODATA;
	if (header.crc != crc32c(0, data + RECORD_HEADER_SIZE, header.length))
		return -EBADMSG;
	return (ssize_t)(RECORD_HEADER_SIZE + header.length);
}

int
record_decode(const void *data, size_t size, const uint8_t **ret,
	      size_t *ret_size)
{
	const uint8_t *at = data;
	bool found = false;
	ssize_t n;

	if (size > RECORD_MAX)
		return -EBADMSG;
	while (size > 0) {
		n = record_check(at, size);
		if (n == -ENODATA)
			break; /* cut by the death of its writer */
		if (n < 0)
			return (int)n;
		*ret = at + RECORD_HEADER_SIZE;
		*ret_size = (size_t)n - RECORD_HEADER_SIZE;
		found = true;
		at += n;
		size -= (size_t)n;
	}
	return found ? 0 : -ENODATA;
}

static ProtobufCBinaryData
text_bytes(const char *text)
{
	return (ProtobufCBinaryData){ strlen(text), (uint8_t *)text };
}

/* The parts of a task's record that are messages of their own. */
struct record_parts {
	Nsexec__Record__Exit exit;
	Nsexec__Record__Failure failure;
};

void
record_exit_fill(const struct task_exit *from, Nsexec__Record__Exit *to)
{
	*to = (Nsexec__Record__Exit)NSEXEC__RECORD__EXIT__INIT;
	to->has_unknown = to->has_wait_status = to->has_has_rusage = true;
	to->unknown = from->unknown;
	to->wait_status = from->wait_status;
	to->has_rusage = from->has_rusage;
	to->has_user_us = to->has_system_us = to->has_max_rss_kib = true;
	to->user_us = from->rusage.user_us;
	to->system_us = from->rusage.system_us;
	to->max_rss_kib = from->rusage.max_rss_kib;
	to->has_realtime_ns = to->has_oom_kills = true;
	to->realtime_ns = from->realtime_ns;
	to->oom_kills = from->oom_kills;
	to->has_lease_lost = true;
	to->lease_lost = from->lease_lost;
}

void
record_failure_fill(const struct error *from, Nsexec__Record__Failure *to)
{
	*to = (Nsexec__Record__Failure)NSEXEC__RECORD__FAILURE__INIT;
	to->has_code = to->has_stage = to->has_error = true;
	to->code = from->code;
	to->stage = from->failure.stage;
	to->error = from->failure.error;
	to->has_step = to->has_syscall = to->has_object = true;
	to->step = text_bytes(from->failure.step);
	to->syscall = text_bytes(from->failure.syscall);
	to->object = text_bytes(from->failure.object);
	to->has_rule = to->has_hint = to->has_retryable = true;
	to->rule = text_bytes(from->rule);
	to->hint = text_bytes(from->hint);
	to->retryable = from->retryable;
}

static void
process_fill(const struct task *task, Nsexec__Record__Task *to)
{
	to->has_gate = true;
	to->gate = task->gate;
	to->has_pid = to->has_start_time = to->has_pid_inode = true;
	to->pid = task->pid;
	to->start_time = task->start_time;
	to->pid_inode = task->pid_inode;
	to->n_namespaces = 8;
	to->namespaces = (uint64_t *)task->namespaces;
	to->has_joined = true;
	to->joined = task->joins.kinds;
	if (task->joins.kinds) {
		to->n_join_owners = 8;
		to->join_owners = (uint32_t *)task->joins.owners;
	}
	to->has_program_major = to->has_program_minor = true;
	to->has_program_inode = true;
	to->program_major = task->program.major;
	to->program_minor = task->program.minor;
	to->program_inode = task->program.inode;
	to->has_created_ns = to->has_started_ns = true;
	to->created_ns = task->created_ns;
	to->started_ns = task->started_ns;
	to->has_reaped = to->has_execed = true;
	to->reaped = task->reaped;
	to->execed = task->execed;
	to->has_seq_owner = to->has_seq_admin = true;
	to->seq_owner = task->terminal.owner;
	to->seq_admin = task->terminal.admin;
}

static void
container_fill(const struct container *container, Nsexec__Record__Task *to)
{
	to->id = (char *)container->id;
	to->has_owner_uid = to->has_owner_gid = true;
	to->owner_uid = container->owner;
	to->owner_gid = container->owner_gid;
	to->name = (char *)container->name;
	if (container->command) {
		to->has_command = true;
		to->command = text_bytes(container->command);
	}
	to->n_labels = container->n_labels;
	to->labels = container->labels;
	to->has_has_userns = true;
	to->has_userns = container->has_userns;
	if (container->has_ids) {
		to->has_uid = to->has_gid = true;
		to->uid = container->uid;
		to->gid = container->gid;
	}
	if (container->block.uid) {
		to->has_block_uid = to->has_block_gid = true;
		to->block_uid = container->block.uid;
		to->block_gid = container->block.gid;
	}
	if (container->has_key) {
		to->has_key = to->has_hash = true;
		to->key = (ProtobufCBinaryData){ SPEC_KEY_SIZE,
						 (uint8_t *)container->key };
		to->hash = container->hash;
	}
	if (container->has_lease) {
		to->has_lease = to->has_lease_lost = true;
		to->lease = (ProtobufCBinaryData){
			SPEC_LEASE_SIZE, (uint8_t *)container->lease_token
		};
		to->lease_lost = container->lease_lost;
	}
	if (container->ended_ns) {
		to->has_ended_boottime_ns = true;
		to->ended_boottime_ns = container->ended_ns;
	}
}

int
record_task_encode(const struct task *task, Nsexec__Record__Stage stage,
		   uint8_t **ret, size_t *ret_size)
{
	Nsexec__Record__Task record = NSEXEC__RECORD__TASK__INIT;
	struct record_parts parts;

	record.has_stage = true;
	record.stage = stage;
	container_fill(task->container, &record);
	if (!task_is_init(task))
		record.exec_id = (char *)task->exec_id;
	process_fill(task, &record);
	if (task->exit.present) {
		record_exit_fill(&task->exit, &parts.exit);
		record.exit = &parts.exit;
	}
	if (task->failure) {
		record_failure_fill(task->failure, &parts.failure);
		record.failure = &parts.failure;
	}
	record.has_boot_id = true;
	record.boot_id =
		(ProtobufCBinaryData){ BOOT_ID_SIZE, (uint8_t *)boot_id() };
	return record_encode(&record.base, ret, ret_size);
}

static bool
is_id(const char *text)
{
	return text && text_is_id(text, strlen(text));
}

static bool
record_task_is_sound(const Nsexec__Record__Task *record)
{
	if (!record->has_stage || record->stage < 1 ||
	    record->stage > NSEXEC__RECORD__STAGE__ENDED)
		return false;
	if (!is_id(record->id) || !record->has_owner_uid)
		return false;
	if (record->exec_id && !is_id(record->exec_id))
		return false;
	if (record->name && record->name[0] && !is_id(record->name))
		return false;
	if (record->pid < 0 || record->gate > GATE_NAMED)
		return false;
	if (record->has_key && record->key.len != SPEC_KEY_SIZE)
		return false;
	if (record->has_lease && record->lease.len != SPEC_LEASE_SIZE)
		return false;
	return (record->n_namespaces == 0 || record->n_namespaces == 8) &&
	       (record->n_join_owners == 0 || record->n_join_owners == 8);
}

int
record_task_decode(const void *data, size_t size, Nsexec__Record__Task **ret)
{
	ProtobufCMessage *unpacked;
	Nsexec__Record__Task *record;
	const uint8_t *message;
	size_t message_size;
	int r;

	r = record_decode(data, size, &message, &message_size);
	if (r < 0)
		return r;
	r = pb_unpack(&nsexec__record__task__descriptor, message, message_size,
		      &unpacked);
	if (r < 0)
		return r;
	record = (Nsexec__Record__Task *)unpacked;
	if (!record_task_is_sound(record)) {
		nsexec__record__task__free_unpacked(record, NULL);
		return -EBADMSG;
	}
	*ret = record;
	return 0;
}

/* Bytes of a record into a fixed text; what is too long is cut. */
static void
text_take(char *out, size_t out_size, const ProtobufCBinaryData *data)
{
	size_t size = data->len < out_size ? data->len : out_size - 1;

	if (size)
		memcpy(out, data->data, size);
	out[size] = '\0';
}

int
record_failure_restore(const Nsexec__Record__Failure *from, struct error **ret)
{
	struct error *error = calloc(1, sizeof(*error));

	if (!error)
		return -ENOMEM;
	error->code = from->code < N_ERRCODES ? (enum errcode)from->code
					      : ERRCODE_INTERNAL;
	error->failure.stage =
		from->stage < N_STAGES ? (enum stage)from->stage : STAGE_NONE;
	error->failure.error = from->error;
	text_take(error->failure.step, sizeof(error->failure.step),
		  &from->step);
	text_take(error->failure.syscall, sizeof(error->failure.syscall),
		  &from->syscall);
	text_take(error->failure.object, sizeof(error->failure.object),
		  &from->object);
	text_take(error->rule, sizeof(error->rule), &from->rule);
	text_take(error->hint, sizeof(error->hint), &from->hint);
	error->retryable = from->retryable;
	*ret = error;
	return 0;
}

void
record_exit_restore(const Nsexec__Record__Exit *from, struct task_exit *to)
{
	to->present = true;
	to->unknown = from->unknown;
	to->wait_status = from->wait_status;
	to->has_rusage = from->has_rusage;
	to->rusage.user_us = from->user_us;
	to->rusage.system_us = from->system_us;
	to->rusage.max_rss_kib = from->max_rss_kib;
	to->realtime_ns = from->realtime_ns;
	to->oom_kills = from->oom_kills;
	to->lease_lost = from->lease_lost;
}

static int
container_restore(const Nsexec__Record__Task *record,
		  struct container *container)
{
	snprintf(container->id, sizeof(container->id), "%s", record->id);
	if (record->name)
		snprintf(container->name, sizeof(container->name), "%s",
			 record->name);
	container->owner = record->owner_uid;
	container->owner_gid = record->owner_gid;
	container->has_userns = record->has_userns;
	container->has_ids = record->has_uid && record->has_gid;
	container->uid = record->uid;
	container->gid = record->gid;
	container->block.uid = record->block_uid;
	container->block.gid = record->block_gid;
	container->ended_ns = record->ended_boottime_ns;
	container->has_key = record->has_key;
	if (record->has_key) {
		memcpy(container->key, record->key.data, SPEC_KEY_SIZE);
		container->hash = record->hash;
	}
	container->has_lease = record->has_lease;
	if (record->has_lease)
		memcpy(container->lease_token, record->lease.data,
		       SPEC_LEASE_SIZE);
	container->lease_lost = record->lease_lost;
	container->command = record->command.len
				     ? strndup((char *)record->command.data,
					       record->command.len)
				     : strdup("");
	container->labels = calloc(record->n_labels + 1, sizeof(char *));
	if (!container->command || !container->labels)
		return -ENOMEM;
	for (size_t i = 0; i < record->n_labels; i++) {
		container->labels[i] = strdup(record->labels[i]);
		if (!container->labels[i])
			return -ENOMEM;
		container->n_labels++;
	}
	return 0;
}

int
record_task_restore(const Nsexec__Record__Task *record,
		    struct container *container, struct task *task)
{
	int r = 0;

	if (!record->exec_id)
		r = container_restore(record, container);
	else
		snprintf(task->exec_id, sizeof(task->exec_id), "%s",
			 record->exec_id);
	if (r < 0)
		return r;
	task->gate = (enum bootstrap_gate)record->gate;
	task->pid = record->pid;
	task->start_time = record->start_time;
	task->pid_inode = record->pid_inode;
	for (size_t i = 0; i < record->n_namespaces; i++)
		task->namespaces[i] = record->namespaces[i];
	task->joins.kinds = record->joined;
	for (size_t i = 0; i < record->n_join_owners; i++)
		task->joins.owners[i] = record->join_owners[i];
	task->program = (struct op_program){ record->program_major,
					     record->program_minor,
					     record->program_inode };
	task->created_ns = record->created_ns;
	task->started_ns = record->started_ns;
	task->reaped = record->reaped;
	task->execed = record->execed;
	task->terminal.owner = record->seq_owner;
	task->terminal.admin = record->seq_admin;
	task->recorded = true;
	task->restored = true;
	if (record->exit)
		record_exit_restore(record->exit, &task->exit);
	if (record->failure)
		r = record_failure_restore(record->failure, &task->failure);
	return r;
}
