/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The typed record: from the detail of a ttrpc status, from a bare status, or
 * from a failure on this side. One form for all three, so that a program
 * prints and decides in one way.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/internal.h"
#include "lib/text.h"
#include "lib/util.h"
#include "proto/errcode.h"
#include "proto/ttrpc.pb-c.h"

#define DETAIL_TYPE "type.googleapis.com/nsexec.v1.ErrorDetail"

_Static_assert((int)NSEXEC_INTERNAL == (int)ERRCODE_INTERNAL,
	       "the public numbers are those of proto/errcode.h");

const char *
nsexec_code_name(enum nsexec_code code)
{
	return errcode_row((unsigned int)code)->name;
}

/* Texts from outside go to terminals: control characters are escaped. */
static void
copy_text(char *out, size_t out_size, const char *text)
{
	if (!text)
		text = "";
	if (text_is_utf8(text, strlen(text)) && !strpbrk(text, "\n\r\t\033"))
		(void)snprintf(out, out_size, "%s", text);
	else
		text_escape(out, out_size, text, strlen(text));
}
#define COPY(field, text) copy_text(field, sizeof(field), text)

void
error_from_detail(struct nsexec_error *error,
		  const Nsexec__V1__ErrorDetail *detail)
{
	error->code = detail->has_code ? (enum nsexec_code)detail->code
				       : NSEXEC_INTERNAL;
	error->errno_value = detail->has_errno_value ? detail->errno_value : 0;
	error->retryable = detail->has_retryable && detail->retryable;
	COPY(error->stage, detail->stage);
	COPY(error->step, detail->step);
	COPY(error->syscall, detail->syscall);
	COPY(error->object, detail->object);
	COPY(error->rule, detail->rule);
	COPY(error->hint, detail->hint);
	COPY(error->message, detail->message);
	COPY(error->quota_kind, detail->quota_kind);
	error->limit = detail->has_limit ? detail->limit : 0;
	error->used = detail->has_used ? detail->used : UINT64_MAX;
	error->retry_ms = detail->has_retry_ms ? detail->retry_ms : 0;
}

/* A server that sent no detail: the gRPC number is all there is. */
static enum nsexec_code
code_from_ttrpc(int ttrpc_code)
{
	switch (ttrpc_code) {
	case 1:
		return NSEXEC_CANCELLED;
	case 3:
		return NSEXEC_INVALID_ARGUMENT;
	case 4:
		return NSEXEC_DEADLINE;
	case 5:
		return NSEXEC_NOT_FOUND;
	case 6:
		return NSEXEC_CONFLICT;
	case 7:
		return NSEXEC_PERMISSION_DENIED;
	case 8:
		return NSEXEC_OVERLOADED;
	case 9:
		return NSEXEC_FAILED_PRECONDITION;
	case 10:
		return NSEXEC_ABORTED_RESTART;
	case 12:
		return NSEXEC_UNSUPPORTED;
	default:
		return NSEXEC_INTERNAL;
	}
}

static void
take_trace(struct nsexec_call *call, const Nsexec__V1__Trace *message)
{
	if (!message || call->failed_trace)
		return;
	call->failed_trace = malloc(sizeof(*call->failed_trace));
	if (call->failed_trace)
		trace_from_message(call->failed_trace, message);
}

void
call_take_status(struct nsexec_call *call, const Ttrpc__Status *status)
{
	struct nsexec_error *error = calloc(1, sizeof(*error));
	bool found = false;

	call->error = error;
	if (!error)
		return;
	for (size_t i = 0; i < status->n_details && !found; i++) {
		const Ttrpc__Any *any = status->details[i];
		Nsexec__V1__ErrorDetail *detail;

		if (strcmp(any->type_url, DETAIL_TYPE) != 0)
			continue;
		detail = nsexec__v1__error_detail__unpack(NULL, any->value.len,
							  any->value.data);
		if (!detail)
			continue;
		error_from_detail(error, detail);
		take_trace(call, detail->trace);
		nsexec__v1__error_detail__free_unpacked(detail, NULL);
		found = true;
	}
	error->ttrpc_code = status->code;
	if (!found) {
		error->code = code_from_ttrpc(status->code);
		error->retryable =
			errcode_row((unsigned int)error->code)->retryable;
		COPY(error->stage, "daemon");
	}
	if (!error->message[0])
		COPY(error->message, status->message);
}

void
error_aborted(struct nsexec_error *error, int r)
{
	*error = (struct nsexec_error){ .code = NSEXEC_ABORTED_RESTART,
					.errno_value = -r,
					.retryable = true };
	COPY(error->stage, "client");
	COPY(error->step, "read-answer");
	COPY(error->object, "connection to nsexecd");
	COPY(error->rule, "the connection was lost before the answer came: "
			  "it may have been done");
	COPY(error->hint, "look at the state before you repeat it");
	COPY(error->message,
	     "the connection to nsexecd was lost before the answer came: it "
	     "may "
	     "have been done; look at the state before you repeat it");
}

void
error_local(struct nsexec_error *error, int r, const char *step,
	    const char *object)
{
	*error = (struct nsexec_error){ .code = NSEXEC_INTERNAL,
					.errno_value = -r,
					.retryable = true };
	COPY(error->stage, "client");
	COPY(error->step, step);
	COPY(error->object, object);
	(void)snprintf(error->message, sizeof(error->message),
		       "%s: cannot %s: %s", object, step, strerror(-r));
}
