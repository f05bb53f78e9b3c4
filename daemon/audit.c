/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log; see audit.h. A record is a list of fields with values of at
 * most 1 KiB, escaped by the log:
 *
 *	MESSAGE_ID		one of the two below
 *	NSEXECD_OP		method, "connect", or "event"
 *	NSEXECD_DECISION	allow, deny; absent in events
 *	NSEXECD_RULE		the rule that denied, _QUOTA its bound
 *	NSEXECD_ERR		error code
 *	NSEXECD_INSTANCE	container; as the request names it, or its id
 *	NSEXECD_KEY		idempotency key
 *	NSEXECD_REQ_SHA256	of the request's bytes
 *	NSEXECD_ARGV_SHA256	of the arguments, each with its NUL
 *	NSEXECD_CALLER_UID _GID _PID _OWNER	who asked, whose it is
 *	NSEXECD_SEQ _EPOCH _EXIT	of an event
 *	NSEXECD_SUPPRESSED	denials of this uid that were only counted
 */
#include "daemon/audit.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "daemon/container.h"
#include "daemon/events.h"
#include "daemon/log.h"
#include "lib/clock.h"
#include "lib/util.h"
#include "proto/nsexec.pb-c.h"

#define ID_DECISION "7c1b5e1a4f0e4b6c9a4e0d5c6f2ab913"
#define ID_EVENT "b0c8f4d27a1946f8a55d3e9d1c7e6042"

/* Denials of the last second, by uid; a few hot ones are all there is. */
#define METERS 256u

static struct meter {
	bool used;
	uid_t uid;
	int64_t began_ms;
	unsigned int count;
	uint64_t suppressed;
} meters[METERS];

static void
hex(char *out, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", data[i]);
}

static const Nsexec__V1__Process *
process_of(const Nsexec__V1__ContainerSpec *spec)
{
	return spec ? spec->process : NULL;
}

static void
note_argv(struct audit_note *note, const Nsexec__V1__Process *process)
{
	struct sha256 sha256;

	if (!process || process->n_args == 0)
		return;
	sha256_init(&sha256);
	for (size_t i = 0; i < process->n_args; i++) {
		sha256_update(&sha256, process->args[i].data,
			      process->args[i].len);
		sha256_update(&sha256, "", 1);
	}
	(void)sha256_end_hex(&sha256, note->argv_sha256);
}

static void
note_key(struct audit_note *note, bool has, const ProtobufCBinaryData *key)
{
	if (has && key->len == sizeof(note->key) / 2)
		hex(note->key, key->data, key->len);
}

static void
note_id(struct audit_note *note, const char *id)
{
	(void)snprintf(note->instance, sizeof(note->instance), "%s",
		       id ? id : "");
}

/* The methods that act, and where they name what they act on. */
static void
note_message(struct audit_note *note, const ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;

#define IS(lower) (type == &nsexec__v1__##lower##_request__descriptor)
	if (IS(create)) {
		const Nsexec__V1__CreateRequest *m = (const void *)message;

		note_argv(note, process_of(m->spec));
		note_key(note, m->has_key, &m->key);
	} else if (IS(run)) {
		const Nsexec__V1__RunRequest *m = (const void *)message;

		note_argv(note, process_of(m->spec));
		note_key(note, m->has_key, &m->key);
	} else if (IS(exec)) {
		const Nsexec__V1__ExecRequest *m = (const void *)message;

		note_argv(note, m->process);
		note_id(note, m->id);
	} else if (IS(cancel)) {
		const Nsexec__V1__CancelRequest *m = (const void *)message;

		note_id(note, m->id);
		note_key(note, m->has_key, &m->key);
	} else if (IS(start)) {
		note_id(note, ((const Nsexec__V1__StartRequest *)message)->id);
	} else if (IS(signal)) {
		note_id(note, ((const Nsexec__V1__SignalRequest *)message)->id);
	} else if (IS(delete)) {
		note_id(note, ((const Nsexec__V1__DeleteRequest *)message)->id);
	}
#undef IS
}

void
audit_note_fill(struct audit_note *note, const ProtobufCMessage *message,
		const void *data, size_t size)
{
	struct sha256 sha256;

	memset(note, 0, sizeof(*note));
	sha256_init(&sha256);
	sha256_update(&sha256, data, size);
	(void)sha256_end_hex(&sha256, note->request_sha256);
	note_message(note, message);
}

/* The id of what Create and Run made. */
static const char *
instance_of(const struct audit_verdict *verdict)
{
	const ProtobufCMessage *response = verdict->response;
	const Nsexec__V1__ContainerInfo *info = NULL;

	if (response &&
	    response->descriptor == &nsexec__v1__create_response__descriptor)
		info = ((const Nsexec__V1__CreateResponse *)response)->info;
	else if (response &&
		 response->descriptor == &nsexec__v1__run_response__descriptor)
		info = ((const Nsexec__V1__RunResponse *)response)->info;
	if (info && info->id)
		return info->id;
	return verdict->note ? verdict->note->instance : "";
}

/*
 * May one more denial of this uid be written? *ret_suppressed: how many were
 * not since the last that was. Two uids that share a meter push each other
 * out, which writes more, never less.
 */
static bool
meter_take(uid_t uid, uint64_t *ret_suppressed)
{
	struct meter *meter = &meters[uid % METERS];
	int64_t now = clock_boottime_ms();

	*ret_suppressed = 0;
	if (!meter->used || meter->uid != uid) {
		if (meter->used && meter->suppressed)
			log_warning("audit: %llu denials of uid %u were only "
				    "counted",
				    (unsigned long long)meter->suppressed,
				    meter->uid);
		*meter = (struct meter){ .used = true,
					 .uid = uid,
					 .began_ms = now };
	} else if (now - meter->began_ms >= 1000) {
		meter->began_ms = now;
		meter->count = 0;
	}
	if (meter->count >= AUDIT_DENIALS) {
		meter->suppressed++;
		return false;
	}
	meter->count++;
	*ret_suppressed = meter->suppressed;
	meter->suppressed = 0;
	return true;
}

struct numbers {
	char uid[16], gid[16], pid[16], seq[24], suppressed[24];
};

static const char *
number(char *buf, size_t size, uint64_t value)
{
	(void)snprintf(buf, size, "%llu", (unsigned long long)value);
	return buf;
}

void
audit_verdict(struct daemon *daemon, const struct audit_verdict *verdict)
{
	const struct error *error = verdict->error;
	const struct audit_note *note = verdict->note;
	const struct rpc_caller *caller = verdict->caller;
	uint64_t suppressed = 0;
	struct numbers n;

	if (error && !meter_take(caller->uid, &suppressed))
		return;
	const struct log_field fields[] = {
		{ "MESSAGE_ID", ID_DECISION },
		{ "NSEXECD_OP", verdict->op },
		{ "NSEXECD_DECISION", error ? "deny" : "allow" },
		{ "NSEXECD_ERR", error ? errcode_row(error->code)->name : "" },
		{ "NSEXECD_RULE", error ? error->rule : "" },
		{ "NSEXECD_QUOTA", error ? error->quota.kind : "" },
		{ "NSEXECD_INSTANCE", instance_of(verdict) },
		{ "NSEXECD_KEY", note ? note->key : "" },
		{ "NSEXECD_REQ_SHA256", note ? note->request_sha256 : "" },
		{ "NSEXECD_ARGV_SHA256", note ? note->argv_sha256 : "" },
		{ "NSEXECD_CALLER_UID",
		  number(n.uid, sizeof(n.uid), caller->uid) },
		{ "NSEXECD_CALLER_OWNER", n.uid },
		{ "NSEXECD_CALLER_GID",
		  number(n.gid, sizeof(n.gid), caller->gid) },
		{ "NSEXECD_CALLER_PID",
		  number(n.pid, sizeof(n.pid), (uint64_t)caller->pid) },
		{ "NSEXECD_SUPPRESSED",
		  suppressed ? number(n.suppressed, sizeof(n.suppressed),
				      suppressed)
			     : "" },
	};

	log_audit(fields, ARRAY_SIZE(fields));
}

static void
format_exit(const struct task_exit *exit, char *buf, size_t size)
{
	int status = exit->wait_status;

	if (exit->unknown)
		(void)snprintf(buf, size, "unknown");
	else if (WIFSIGNALED(status))
		(void)snprintf(buf, size, "signal %d", WTERMSIG(status));
	else
		(void)snprintf(buf, size, "%d", WEXITSTATUS(status));
}

void
audit_event(struct daemon *daemon, const struct event_draft *draft,
	    const struct event_seqs *seqs)
{
	const struct error *error = draft->error;
	char epoch[2 * sizeof(daemon->epoch) + 1], exit[24] = "";
	struct numbers n;

	hex(epoch, daemon->epoch, sizeof(daemon->epoch));
	if (draft->exit)
		format_exit(draft->exit, exit, sizeof(exit));
	const struct log_field fields[] = {
		{ "MESSAGE_ID", ID_EVENT },
		{ "NSEXECD_OP", "event" },
		{ "NSEXECD_ERR", error ? errcode_row(error->code)->name : "" },
		{ "NSEXECD_RULE", error ? error->rule : "" },
		{ "NSEXECD_INSTANCE", draft->container },
		{ "NSEXECD_EXEC", draft->exec_id },
		{ "NSEXECD_EXIT", exit },
		{ "NSEXECD_CALLER_OWNER",
		  number(n.uid, sizeof(n.uid), draft->owner) },
		{ "NSEXECD_PID",
		  number(n.pid, sizeof(n.pid), (uint64_t)draft->pid) },
		{ "NSEXECD_SEQ", number(n.seq, sizeof(n.seq), seqs->owner) },
		{ "NSEXECD_EPOCH", epoch },
	};

	log_audit(fields, ARRAY_SIZE(fields));
}
