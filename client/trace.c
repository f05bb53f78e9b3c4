/* SPDX-License-Identifier: Apache-2.0 */
/* What a start tells of its own course, in an answer or in an error. */
#include "config.h"

#include <errno.h>

#include "client/internal.h"

void
nsexec_trace(struct nsexec *nsexec, bool wanted)
{
	nsexec->trace = wanted;
}

void
trace_from_message(struct nsexec_trace *ret, const Nsexec__V1__Trace *message)
{
#define POINT(field) \
	do { \
		if (message->has_##field) \
			ret->field = message->field; \
	} while (0)
	*ret = (struct nsexec_trace){ 0 };
	POINT(received_us);
	POINT(sent_us);
	POINT(child_us);
	POINT(ready_us);
	POINT(opened_us);
	POINT(started_us);
	POINT(failed_us);
#undef POINT
}

static const Nsexec__V1__Trace *
trace_of(const ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;

#define IF(lower, Upper) \
	if (type == &nsexec__v1__##lower##_response__descriptor) \
	return ((const Nsexec__V1__##Upper##Response *)message)->trace
	IF(create, Create);
	IF(run, Run);
	IF(exec, Exec);
	IF(start, Start);
#undef IF
	return NULL;
}

int
nsexec_call_get_trace(const struct nsexec_call *call, struct nsexec_trace *ret)
{
	const Nsexec__V1__Trace *trace;
	ProtobufCMessage *message;
	int r;

	if (call->result == -EREMOTEIO && call->failed_trace) {
		*ret = *call->failed_trace;
		return 0;
	}
	if (call->result < 0 || !call->response)
		return -ENODATA;
	r = call_unpack(call, call->response, &message);
	if (r < 0)
		return r;
	trace = trace_of(message);
	if (trace)
		trace_from_message(ret, trace);
	protobuf_c_message_free_unpacked(message, NULL);
	return trace ? 0 : -ENODATA;
}
