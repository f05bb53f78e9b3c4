/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of the request decode: the first byte picks the request and the
 * caller, the rest is its protobuf. What is refused names a field and a rule;
 * what is accepted and can be planned must encode as a bootstrap message that
 * the spawner's strict decoder takes, or be refused with an attribute's name.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/plan.h"
#include "daemon/request.h"
#include "proto/ops.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct plan_message encoded;
static struct bootstrap decoded;
static struct plan plan;

static void
check_error(const struct error *error)
{
	char text[256];

	assert(error->code > ERRCODE_NONE && error->code < N_ERRCODES);
	assert(error->failure.step[0]);
	error_message(error, text, sizeof(text));
	assert(text[0]);
}

static void
check_spec(const struct spec *spec, uid_t uid)
{
	struct plan_input input = { .uid = uid,
				    .gid = uid,
				    .container = "fuzz",
				    .gate = GATE_CHANNEL };
	struct bootstrap_error refused;
	struct error error;

	assert(spec->argc > 0);
	assert(spec->exec_data[spec->argv_size - 1] == '\0');
	assert(spec->argv_size + spec->env_size <= BOOTSTRAP_EXEC_BLOCK_MAX);
	if (spec->boot.type != BOOTSTRAP_TYPE)
		input.target_pid = 1;
	if (plan_build(spec, &input, &plan, &error) < 0) {
		check_error(&error);
	} else if (plan_encode(&plan, 1, &encoded, &error) < 0) {
		check_error(&error);
	} else {
		assert(bootstrap_decode(DIALECT_NX, spec->boot.type,
					encoded.data, encoded.size, &decoded,
					&refused) == 0);
	}
	plan_deinit(&plan);
}

static int
decode(uint8_t kind, const ProtobufCMessage *message, struct spec *spec,
       struct error *error)
{
	switch (kind) {
	case 0:
		return request_create(
			(const Nsexec__V1__CreateRequest *)message, spec,
			error);
	case 1:
		return request_run((const Nsexec__V1__RunRequest *)message,
				   spec, error);
	case 2:
		return request_exec((const Nsexec__V1__ExecRequest *)message,
				    spec, error);
	default:
		return request_explain(
			(const Nsexec__V1__ExplainRequest *)message, spec,
			error);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const ProtobufCMessageDescriptor *const types[] = {
		&nsexec__v1__create_request__descriptor,
		&nsexec__v1__run_request__descriptor,
		&nsexec__v1__exec_request__descriptor,
		&nsexec__v1__explain_request__descriptor,
	};
	ProtobufCMessage *message;
	struct error error;
	struct spec *spec;
	uint8_t kind;

	if (size < 1)
		return 0;
	kind = data[0] & 3;
	message = protobuf_c_message_unpack(types[kind], NULL, size - 1,
					    data + 1);
	if (!message)
		return 0;
	if (spec_new(&spec) == 0) {
		if (decode(kind, message, spec, &error) < 0)
			check_error(&error);
		else
			check_spec(spec, data[0] & 4 ? 1000 : 0);
		spec_free(spec);
	}
	protobuf_c_message_free_unpacked(message, NULL);
	return 0;
}
