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
 *	NSEXECD_CALLER_START	of that process, as /proc/PID/stat has it
 *	NSEXECD_CALLER_LOGINUID _LABEL _CGROUP	login, LSM label, system unit
 *	NSEXECD_POLICY_RULE	name of the policy's rule for him
 *	NSEXECD_NS_NEW _NS_JOIN	kinds of namespaces that were asked for; where
 *				init has joined them, KIND:INODE:OWNER, OWNER
 *				being the uid of the user namespace that they
 *				belong to, or "-"
 *	NSEXECD_EXE		MAJOR:MINOR:INODE of the program's file, as it
 *				was when init was ready
 *	NSEXECD_UIDMAP _GIDMAP	the preset, or its rows
 *	NSEXECD_SEQ _EPOCH _EXIT	of an event
 *	NSEXECD_SUPPRESSED	denials of this owner that were only counted
 */
#include "daemon/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "daemon/container.h"
#include "daemon/container_table.h"
#include "daemon/events.h"
#include "daemon/identity.h"
#include "daemon/log.h"
#include "lib/clock.h"
#include "lib/util.h"
#include "proto/nsexec.pb-c.h"
#include "proto/nsplan.h"

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

/* Add a word behind a comma; what does not fit ends in ",...". */
static void
add_word(char *buf, size_t size, const char *word)
{
	static const char cut[] = ",...";
	size_t used = strlen(buf);

	if (used + 1 + strlen(word) + sizeof(cut) <= size)
		(void)snprintf(buf + used, size - used, "%s%s", used ? "," : "",
			       word);
	else if (used < sizeof(cut) ||
		 strcmp(buf + used - sizeof(cut) + 1, cut) != 0)
		(void)snprintf(buf + used, size - used, "%s", cut);
}

static void
note_rows(char *buf, Nsexec__V1__IdMapping **rows, size_t n)
{
	char row[48];

	for (size_t i = 0; i < n; i++) {
		(void)snprintf(row, sizeof(row), "%u:%u:%u",
			       rows[i]->container_id, rows[i]->host_id,
			       rows[i]->size);
		add_word(buf, AUDIT_MAP_MAX, row);
	}
}

/* Namespaces and maps, as asked for. */
static void
note_spec(struct audit_note *note, const Nsexec__V1__ContainerSpec *spec)
{
	const Nsexec__V1__IdMaps *maps = spec ? spec->id_maps : NULL;

	for (size_t i = 0; spec && i < spec->n_namespaces; i++) {
		const Nsexec__V1__Namespace *ns = spec->namespaces[i];
		bool new = ns->has_create && ns->create;
		const char *name = "unknown";

		if (ns->has_kind && ns->kind >= 1 &&
		    (size_t)ns->kind <= N_NS_KINDS)
			name = ns_kinds[ns->kind - 1].name;
		add_word(new ? note->ns_new : note->ns_join,
			 sizeof(note->ns_new), name);
	}
	if (!maps)
		return;
	if (maps->has_preset && (int)maps->preset != IDMAP_EXPLICIT) {
		const char *name =
			idmap_preset_name((enum idmap_preset)maps->preset);

		add_word(note->uid_map, AUDIT_MAP_MAX, name ? name : "unknown");
		add_word(note->gid_map, AUDIT_MAP_MAX, name ? name : "unknown");
		return;
	}
	note_rows(note->uid_map, maps->uid, maps->n_uid);
	note_rows(note->gid_map, maps->gid, maps->n_gid);
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
		note_spec(note, m->spec);
		note_key(note, m->has_key, &m->key);
	} else if (IS(run)) {
		const Nsexec__V1__RunRequest *m = (const void *)message;

		note_argv(note, process_of(m->spec));
		note_spec(note, m->spec);
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

struct audit_note *
audit_note_restore(const void *data)
{
	struct audit_note *note = malloc(sizeof(*note));

	if (!note)
		return NULL;
	memcpy(note, data, sizeof(*note));
	note->request_sha256[sizeof(note->request_sha256) - 1] = '\0';
	note->argv_sha256[sizeof(note->argv_sha256) - 1] = '\0';
	note->instance[sizeof(note->instance) - 1] = '\0';
	note->key[sizeof(note->key) - 1] = '\0';
	note->ns_new[sizeof(note->ns_new) - 1] = '\0';
	note->ns_join[sizeof(note->ns_join) - 1] = '\0';
	note->uid_map[sizeof(note->uid_map) - 1] = '\0';
	note->gid_map[sizeof(note->gid_map) - 1] = '\0';
	return note;
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

/* What a stage has told of a task, as texts. */
struct facts {
	char joins[N_NS_KINDS * 40];
	char exe[48];
};

static void
facts_fill(struct facts *facts, const struct task *task)
{
	char word[48];

	memset(facts, 0, sizeof(*facts));
	if (!task)
		return;
	for (size_t i = 0; i < N_NS_KINDS; i++) {
		char owner[16] = "-";

		if (!(task->joins.kinds & ns_kinds[i].clone_flag))
			continue;
		if (task->joins.owners[i] != UINT32_MAX)
			(void)snprintf(owner, sizeof(owner), "%u",
				       task->joins.owners[i]);
		(void)snprintf(word, sizeof(word), "%s:%llu:%s",
			       ns_kinds[i].name,
			       (unsigned long long)task->namespaces[i], owner);
		add_word(facts->joins, sizeof(facts->joins), word);
	}
	if (task->program.inode)
		(void)snprintf(facts->exe, sizeof(facts->exe), "%u:%u:%llu",
			       task->program.major, task->program.minor,
			       (unsigned long long)task->program.inode);
}

/* What Create and Run have made; NULL: nothing, or not yet. */
static const char *
made_by(const struct audit_verdict *verdict)
{
	const ProtobufCMessage *response = verdict->response;
	const Nsexec__V1__ContainerInfo *info = NULL;

	if (response &&
	    response->descriptor == &nsexec__v1__create_response__descriptor)
		info = ((const Nsexec__V1__CreateResponse *)response)->info;
	else if (response &&
		 response->descriptor == &nsexec__v1__run_response__descriptor)
		info = ((const Nsexec__V1__RunResponse *)response)->info;
	return info ? info->id : NULL;
}

static const char *
instance_of(const struct audit_verdict *verdict)
{
	const char *made = made_by(verdict);

	if (made)
		return made;
	return verdict->note ? verdict->note->instance : "";
}

/* Init of what was made. */
static const struct task *
task_of(const struct daemon *daemon, const struct audit_verdict *verdict)
{
	const char *made = made_by(verdict);
	const struct container *container =
		made ? container_find_id(daemon->containers,
					 verdict->caller->owner, made)
		     : NULL;

	return container ? &container->init : NULL;
}

/*
 * May one more denial of this owner be written? *ret_suppressed: how many were
 * not since the last that was. Two that share a meter push each other
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
	char owner[16], login[16], start[24];
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
	const struct who *who =
		caller->identity ? &caller->identity->who : NULL;
	bool logged_in = who && who->loginuid != WHO_NO_LOGINUID;
	uint64_t suppressed = 0;
	struct facts facts;
	struct numbers n;

	if (error && !meter_take(caller->owner, &suppressed))
		return;
	facts_fill(&facts, task_of(daemon, verdict));
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
		{ "NSEXECD_CALLER_OWNER",
		  number(n.owner, sizeof(n.owner), caller->owner) },
		{ "NSEXECD_CALLER_GID",
		  number(n.gid, sizeof(n.gid), caller->gid) },
		{ "NSEXECD_CALLER_PID",
		  number(n.pid, sizeof(n.pid), (uint64_t)caller->pid) },
		{ "NSEXECD_SUPPRESSED",
		  suppressed ? number(n.suppressed, sizeof(n.suppressed),
				      suppressed)
			     : "" },
		{ "NSEXECD_CALLER_START",
		  who && who->start_time
			  ? number(n.start, sizeof(n.start), who->start_time)
			  : "" },
		{ "NSEXECD_CALLER_LOGINUID",
		  logged_in ? number(n.login, sizeof(n.login), who->loginuid)
			    : "" },
		{ "NSEXECD_CALLER_LABEL", who ? who->label : "" },
		{ "NSEXECD_CALLER_CGROUP", who ? who->unit : "" },
		{ "NSEXECD_POLICY_RULE", who ? who->rights.name : "" },
		{ "NSEXECD_NS_NEW", note ? note->ns_new : "" },
		{ "NSEXECD_NS_JOIN", facts.joins[0] ? facts.joins
				     : note	    ? note->ns_join
						    : "" },
		{ "NSEXECD_EXE", facts.exe },
		{ "NSEXECD_UIDMAP", note ? note->uid_map : "" },
		{ "NSEXECD_GIDMAP", note ? note->gid_map : "" },
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
	    const struct event_seqs *seqs, const struct task *task)
{
	const struct error *error = draft->error;
	char epoch[2 * sizeof(daemon->epoch) + 1], exit[24] = "";
	struct facts facts;
	struct numbers n;

	facts_fill(&facts, task);
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
		{ "NSEXECD_NS_JOIN", facts.joins },
		{ "NSEXECD_EXE", facts.exe },
	};

	log_audit(fields, ARRAY_SIZE(fields));
}
