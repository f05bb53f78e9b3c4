/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a decoded request to a struct spec; see request.h. This file: the
 * request around the container, its names and its namespaces. The other parts
 * lie in request_*.c.
 *
 * Attack: every number and every byte here comes from a caller of any uid.
 * Nothing is used as an index, a size or a name before it was compared with
 * its limit.
 */
#include "daemon/request.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/request_part.h"
#include "lib/sys.h"
#include "lib/table.h"
#include "lib/text.h"
#include "lib/util.h"
#include "proto/nsplan.h"
#include "proto/ops.h"

#define MAX_LABELS 64
#define MAX_LABEL_SIZE 1024

int
part_refuse(struct part *part, const char *rule, const char *hint,
	    const char *fmt, ...)
{
	char field[FAILURE_OBJECT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(field, sizeof(field), fmt, ap);
	va_end(ap);
	return error_set(part->error, ERRCODE_INVALID_ARGUMENT, "check-request",
			 field, rule, hint);
}

int
part_no_memory(struct part *part)
{
	(void)error_set(part->error, ERRCODE_OVERLOADED, "check-request",
			"memory", "the daemon has no memory left for it",
			"try again later");
	return -ENOMEM;
}

int
part_text(struct part *part, const ProtobufCBinaryData *data, size_t max,
	  const char *field, const char **ret)
{
	char *text;

	if (data->len == 0)
		return part_refuse(part, "must not be empty",
				   "leave the field out or give it a value",
				   "%s", field);
	if (data->len > max) {
		part_refuse(part, "", "shorten it", "%s", field);
		error_rule(part->error, "is %zu bytes long, at most %zu",
			   data->len, max);
		return -EINVAL;
	}
	if (memchr(data->data, 0, data->len))
		return part_refuse(part, "must not hold a NUL byte",
				   "the kernel would cut the text there", "%s",
				   field);
	text = arena_text(&part->spec->arena, data->data, data->len);
	if (!text)
		return part_no_memory(part);
	*ret = text;
	return 0;
}

int
part_path(struct part *part, const ProtobufCBinaryData *data, const char *field,
	  const char **ret)
{
	int r;

	r = part_text(part, data, PATH_MAX - 1, field, ret);
	if (r < 0)
		return r;
	if ((*ret)[0] != '/')
		return part_refuse(part, "must be an absolute path",
				   "begin it with /", "%s", field);
	return 0;
}

int
part_range(struct part *part, int64_t value, struct part_range range,
	   const char *field)
{
	if (value >= range.min && value <= range.max)
		return 0;
	part_refuse(part, "", "choose a number in that range", "%s", field);
	error_rule(part->error, "is %lld, must be %lld to %lld",
		   (long long)value, (long long)range.min,
		   (long long)range.max);
	return -EINVAL;
}

int
part_fd_index(struct part *part, uint32_t fd_index, const char *field)
{
	if (fd_index < part->spec->boot.n_channel_fds)
		return 0;
	part_refuse(part, "", "raise n_fds and send that many on the fd socket",
		    "%s", field);
	error_rule(part->error,
		   "is %u, but the fd channel brings %u descriptors", fd_index,
		   part->spec->boot.n_channel_fds);
	return -EINVAL;
}

/* An id or name: copied to out, which has SPEC_ID_MAX + 1 bytes. */
static int
name_copy(struct part *part, const char *text, const char *field, char *out)
{
	if (!text)
		return 0;
	if (!text_is_id(text, strlen(text)))
		return part_refuse(part,
				   "must be 1 to 64 of A-Z a-z 0-9 _ . - and "
				   "begin with a letter or digit",
				   "choose another name", "%s", field);
	snprintf(out, SPEC_ID_MAX + 1, "%s", text);
	return 0;
}

int
request_id(const char *id, struct error *error)
{
	struct part part = { .error = error };
	char ignored[SPEC_ID_MAX + 1];
	const char *slash;

	if (!id)
		return part_refuse(&part, "is missing",
				   "name a container by its id or name", "id");
	/* an admin's way to name one of several owners' */
	slash = strchr(id, '/');
	if (slash && slash > id && slash - id <= 10 &&
	    strspn(id, "0123456789") == (size_t)(slash - id))
		id = slash + 1;
	return name_copy(&part, id, "id", ignored);
}

/* How many of the four ways to say where a namespace comes from are used. */
static int
namespace_ways(const Nsexec__V1__Namespace *from)
{
	return (from->has_create && from->create) + !!from->has_path +
	       !!from->process + !!from->has_fd_index;
}

static int
namespace_process(struct part *part, const Nsexec__V1__ProcessRef *from,
		  const char *field, struct bootstrap_join *join)
{
	join->how = JOIN_PID;
	if (!from->has_pid || from->pid <= 0)
		return part_refuse(part, "must be a pid above 0",
				   "give the pid of a living process",
				   "%s.process.pid", field);
	join->number = (uint32_t)from->pid;
	join->start_time = from->has_start_time ? from->start_time : 0;
	join->inode = from->has_pid_inode ? from->pid_inode : 0;
	return 0;
}

static int
namespace_join(struct part *part, const Nsexec__V1__Namespace *from,
	       const char *field, uint32_t flag)
{
	struct bootstrap *boot = &part->spec->boot;
	struct bootstrap_join *join = &boot->joins[boot->n_joins];
	char path_field[64];
	int r;

	*join = (struct bootstrap_join){ .clone_flag = flag };
	if (from->process) {
		r = namespace_process(part, from->process, field, join);
	} else if (from->has_path) {
		join->how = JOIN_PATH;
		snprintf(path_field, sizeof(path_field), "%s.path", field);
		r = part_path(part, &from->path, path_field, &join->path);
	} else {
		join->how = JOIN_FD;
		join->number = from->fd_index;
		snprintf(path_field, sizeof(path_field), "%s.fd_index", field);
		r = part_fd_index(part, from->fd_index, path_field);
	}
	if (r < 0)
		return r;
	boot->n_joins++;
	part->spec->join_flags |= flag;
	return 0;
}

static int
namespace_one(struct part *part, const Nsexec__V1__Namespace *from, size_t i)
{
	struct spec *spec = part->spec;
	char field[48];
	uint32_t flag;

	snprintf(field, sizeof(field), "spec.namespaces[%zu]", i);
	if (!from->has_kind || from->kind < 1 || from->kind > N_NS_KINDS)
		return part_refuse(part, "must be a kind from 1 to 8",
				   "see NamespaceKind", "%s.kind", field);
	flag = ns_kinds[from->kind - 1].clone_flag;
	if ((spec->boot.clone_flags | spec->join_flags) & flag) {
		part_refuse(part, "", "name each kind once", "%s.kind", field);
		error_rule(part->error, "the kind %s was named before",
			   ns_kinds[from->kind - 1].name);
		return -EINVAL;
	}
	if (namespace_ways(from) != 1)
		return part_refuse(part,
				   "must have exactly one of create, path, "
				   "process and fd_index",
				   "either create the namespace or join one",
				   "%s", field);
	if (from->has_create && from->create) {
		spec->boot.clone_flags |= flag;
		return 0;
	}
	return namespace_join(part, from, field, flag);
}

static int
part_namespaces(struct part *part, const Nsexec__V1__ContainerSpec *from)
{
	int r;

	if (from->n_namespaces > N_NS_KINDS)
		return part_refuse(part, "has more than 8 entries",
				   "name each kind once", "spec.namespaces");
	for (size_t i = 0; i < from->n_namespaces; i++) {
		r = namespace_one(part, from->namespaces[i], i);
		if (r < 0)
			return r;
	}
	bootstrap_mark(&part->spec->boot, BOOTSTRAP_CLONE_FLAGS);
	if (part->spec->boot.n_joins)
		bootstrap_mark(&part->spec->boot, BOOTSTRAP_JOINS);
	return 0;
}

/* hostname or domainname: needs a uts namespace that is new. */
static int
uts_name(struct part *part, const ProtobufCBinaryData *data, const char *field,
	 enum bootstrap_attr attr)
{
	struct bootstrap *boot = &part->spec->boot;
	const char **ret = attr == BOOTSTRAP_HOSTNAME ? &boot->hostname
						      : &boot->domainname;
	int r;

	r = part_text(part, data, 64, field, ret);
	if (r < 0)
		return r;
	if (!(boot->clone_flags & CLONE_NEWUTS))
		return part_refuse(part, "needs a new uts namespace",
				   "add {kind: NS_UTS, create: true}", "%s",
				   field);
	bootstrap_mark(boot, attr);
	return 0;
}

static int
part_uts(struct part *part, const Nsexec__V1__ContainerSpec *from)
{
	int r = 0;

	if (from->has_hostname)
		r = uts_name(part, &from->hostname, "spec.hostname",
			     BOOTSTRAP_HOSTNAME);
	if (r == 0 && from->has_domainname)
		r = uts_name(part, &from->domainname, "spec.domainname",
			     BOOTSTRAP_DOMAINNAME);
	return r;
}

static int
part_labels(struct part *part, const Nsexec__V1__ContainerSpec *from)
{
	struct spec *spec = part->spec;

	if (from->n_labels > MAX_LABELS)
		return part_refuse(part, "has more than 64 entries",
				   "use fewer labels", "spec.labels");
	spec->labels = arena_alloc(&spec->arena,
				   (from->n_labels + 1) * sizeof(char *));
	if (!spec->labels)
		return part_no_memory(part);
	for (size_t i = 0; i < from->n_labels; i++) {
		const char *label = from->labels[i];
		size_t size = strlen(label);
		const char *equals = strchr(label, '=');

		if (!equals || equals == label || size > MAX_LABEL_SIZE ||
		    !text_is_utf8(label, size))
			return part_refuse(part,
					   "must be NAME=VALUE, UTF-8, at most "
					   "1024 bytes",
					   "give it a name and an =",
					   "spec.labels[%zu]", i);
		spec->labels[i] = arena_text(&spec->arena, label, size);
		if (!spec->labels[i])
			return part_no_memory(part);
	}
	spec->n_labels = from->n_labels;
	return 0;
}

static int
part_network_and_signal(struct part *part,
			const Nsexec__V1__ContainerSpec *from)
{
	struct bootstrap *boot = &part->spec->boot;
	bool new_net = boot->clone_flags & CLONE_NEWNET;
	int r;

	if (from->has_loopback && from->loopback && !new_net)
		return part_refuse(part, "needs a new net namespace",
				   "add {kind: NS_NET, create: true}",
				   "spec.loopback");
	if (new_net) {
		boot->loopback = !from->has_loopback || from->loopback;
		bootstrap_mark(boot, BOOTSTRAP_LOOPBACK);
	}
	if (from->has_parent_death_signal) {
		r = part_range(part, from->parent_death_signal,
			       (struct part_range){ 1, 64 },
			       "spec.parent_death_signal");
		if (r < 0)
			return r;
		boot->parent_death_signal = from->parent_death_signal;
		bootstrap_mark(boot, BOOTSTRAP_PARENT_DEATH_SIGNAL);
	}
	return 0;
}

static int
part_lease(struct part *part, const Nsexec__V1__ContainerSpec *from)
{
	struct spec *spec = part->spec;

	if (!from->has_lease)
		return 0;
	if (from->lease.len != SPEC_LEASE_SIZE)
		return part_refuse(part, "must be 16 bytes",
				   "make it of 16 random bytes", "spec.lease");
	spec->has_lease = true;
	memcpy(spec->lease, from->lease.data, SPEC_LEASE_SIZE);
	return 0;
}

static int
part_container(struct part *part, const Nsexec__V1__ContainerSpec *from)
{
	int r;

	if (!from)
		return part_refuse(part, "is missing",
				   "say what to start: spec.process.args",
				   "spec");
	r = name_copy(part, from->id, "spec.id", part->spec->id);
	if (r == 0)
		r = name_copy(part, from->name, "spec.name", part->spec->name);
	if (r == 0)
		r = part_namespaces(part, from);
	if (r == 0)
		r = part_maps(part, from);
	if (r == 0)
		r = part_offsets(part, from);
	if (r == 0)
		r = part_uts(part, from);
	if (r == 0)
		r = part_network_and_signal(part, from);
	if (r == 0)
		r = part_mounts(part, from);
	if (r == 0)
		r = part_process(part, from->process, "spec.process");
	if (r == 0)
		r = part_labels(part, from);
	if (r == 0)
		r = part_lease(part, from);
	return r;
}

/* What Create, Run and Exec say around the spec, in one form. */
struct envelope {
	bool has_key, has_fd_token, send_pidfd, has_timeout, trace;
	ProtobufCBinaryData key, fd_token;
	uint32_t n_fds, timeout_ms;
};

static int
part_channel(struct part *part, const struct envelope *from)
{
	struct spec *spec = part->spec;
	int r;

	r = part_range(part, from->n_fds,
		       (struct part_range){ 0, BOOTSTRAP_MAX_CHANNEL_FDS },
		       "n_fds");
	if (r < 0)
		return r;
	if (!from->has_fd_token && (from->n_fds || from->send_pidfd))
		return part_refuse(part, "is missing",
				   "connect to the fd socket and send a random "
				   "16-byte token there first",
				   "fd_token");
	if (from->has_fd_token && from->fd_token.len != sizeof(spec->fd_token))
		return part_refuse(part, "must be 16 bytes",
				   "send the token of the fd socket",
				   "fd_token");
	spec->boot.n_channel_fds = from->n_fds;
	spec->boot.send_pidfd = from->send_pidfd;
	if (from->n_fds)
		bootstrap_mark(&spec->boot, BOOTSTRAP_N_CHANNEL_FDS);
	if (from->send_pidfd)
		bootstrap_mark(&spec->boot, BOOTSTRAP_SEND_PIDFD);
	/* a token that nothing is to come or go over is not waited for */
	spec->has_fd_token = from->n_fds || from->send_pidfd;
	if (spec->has_fd_token)
		memcpy(spec->fd_token, from->fd_token.data,
		       sizeof(spec->fd_token));
	return 0;
}

static int
part_envelope(struct part *part, const struct envelope *from)
{
	struct spec *spec = part->spec;
	int r;

	spec->trace = from->trace;
	if (from->has_key && from->key.len != SPEC_KEY_SIZE)
		return part_refuse(part, "must be 16 bytes",
				   "make it of 16 random bytes", "key");
	if (from->has_key) {
		spec->has_key = true;
		memcpy(spec->key, from->key.data, SPEC_KEY_SIZE);
	}
	if (from->has_timeout && from->timeout_ms) {
		r = part_range(part, from->timeout_ms,
			       (struct part_range){ 1, SPEC_TIMEOUT_MS },
			       "timeout_ms");
		if (r < 0)
			return r;
		spec->timeout_ms = from->timeout_ms;
	}
	return part_channel(part, from);
}

/*
 * A request's own bytes, packed again, as a number for its key: without what
 * another attempt has anew, the token of its channel and its lease; and whether
 * it is traced makes no other start of it.
 */
static int
request_hash(struct part *part, const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	free_auto uint8_t *packed = malloc(size + 1);

	if (!packed)
		return part_no_memory(part);
	protobuf_c_message_pack(message, packed);
	part->spec->hash = table_hash(packed, size, 0);
	return 0;
}

#define ENVELOPE(request) \
	{ \
		.has_fd_token = (request)->has_fd_token, \
		.send_pidfd = \
			(request)->has_send_pidfd && (request)->send_pidfd, \
		.has_timeout = (request)->has_timeout_ms, \
		.trace = (request)->has_trace && (request)->trace, \
		.fd_token = (request)->fd_token, \
		.n_fds = (request)->has_n_fds ? (request)->n_fds : 0, \
		.timeout_ms = (request)->timeout_ms, \
	}

int
request_create(const Nsexec__V1__CreateRequest *request, struct spec *spec,
	       struct error *error)
{
	struct part part = { spec, error };
	struct envelope envelope = ENVELOPE(request);
	Nsexec__V1__CreateRequest plain = *request;
	Nsexec__V1__ContainerSpec plain_spec;
	int r;

	envelope.has_key = request->has_key;
	envelope.key = request->key;
	r = part_envelope(&part, &envelope);
	if (r == 0)
		r = part_container(&part, request->spec);
	if (r < 0 || !spec->has_key)
		return r;
	plain_spec = *request->spec;
	plain_spec.lease.len = 0;
	plain.spec = &plain_spec;
	plain.has_fd_token = plain.has_trace = false;
	return request_hash(&part, &plain.base);
}

int
request_run(const Nsexec__V1__RunRequest *request, struct spec *spec,
	    struct error *error)
{
	struct part part = { spec, error };
	struct envelope envelope = ENVELOPE(request);
	Nsexec__V1__RunRequest plain = *request;
	Nsexec__V1__ContainerSpec plain_spec;
	int r;

	envelope.has_key = request->has_key;
	envelope.key = request->key;
	r = part_envelope(&part, &envelope);
	if (r == 0)
		r = part_container(&part, request->spec);
	if (r < 0 || !spec->has_key)
		return r;
	plain_spec = *request->spec;
	plain_spec.lease.len = 0;
	plain.spec = &plain_spec;
	plain.has_fd_token = plain.has_trace = false;
	return request_hash(&part, &plain.base);
}

int
request_exec(const Nsexec__V1__ExecRequest *request, struct spec *spec,
	     struct error *error)
{
	struct part part = { spec, error };
	struct envelope envelope = ENVELOPE(request);
	int r;

	r = request_id(request->id, error);
	if (r == 0)
		r = part_envelope(&part, &envelope);
	if (r == 0)
		r = part_process(&part, request->process, "process");
	spec->boot.type = OP_EXEC;
	return r;
}

/* How many descriptors a message needs for the indexes in it. */
static uint32_t
fds_spoken_of(const struct bootstrap *boot)
{
	uint32_t n = 0;

	for (size_t i = 0; i < boot->n_joins; i++) {
		if (boot->joins[i].how == JOIN_FD && boot->joins[i].number >= n)
			n = boot->joins[i].number + 1;
	}
	for (size_t i = 0; i < boot->n_passed_fds; i++) {
		if (boot->passed_fds[i].fd_index >= n)
			n = boot->passed_fds[i].fd_index + 1;
	}
	for (size_t i = 0; i < 3; i++) {
		if (boot->stdio[i].kind == BOOTSTRAP_STDIO_FD &&
		    boot->stdio[i].fd_index >= n)
			n = boot->stdio[i].fd_index + 1;
	}
	return n;
}

int
request_explain(const Nsexec__V1__ExplainRequest *request, struct spec *spec,
		struct error *error)
{
	struct part part = { spec, error };
	int r;

	/* a plan may speak of descriptors that nobody has sent yet */
	spec->boot.n_channel_fds = BOOTSTRAP_MAX_CHANNEL_FDS;
	r = part_container(&part, request->spec);
	spec->boot.n_channel_fds = fds_spoken_of(&spec->boot);
	spec->has_fd_token = spec->boot.n_channel_fds > 0;
	if (spec->has_fd_token)
		bootstrap_mark(&spec->boot, BOOTSTRAP_N_CHANNEL_FDS);
	return r;
}
