/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct error to nsexec.v1.ErrorDetail; see error_pack.h. Texts from a stage
 * may hold any byte (a path): they are escaped here, because the Go client
 * refuses a whole response over one byte that is not UTF-8.
 */
#include "daemon/error_pack.h"

#include <string.h>

#include "lib/text.h"

static void
pack_quota(const struct error_quota *quota, Nsexec__V1__ErrorDetail *detail)
{
	if (!quota->kind)
		return;
	detail->quota_kind = (char *)quota->kind;
	detail->has_limit = true;
	detail->limit = quota->limit;
	detail->has_used = quota->has_used;
	detail->used = quota->used;
	detail->has_retry_ms = true;
	detail->retry_ms = quota->retry_ms;
}

void
error_pack(const struct error *error, struct error_packed *ret)
{
	const struct failure *failure = &error->failure;
	char plain[1024];
	Nsexec__V1__ErrorDetail *detail = &ret->detail;

	*detail = (Nsexec__V1__ErrorDetail)NSEXEC__V1__ERROR_DETAIL__INIT;
	ret->ttrpc = errcode_row(error->code)->ttrpc;
	text_escape(ret->step, sizeof(ret->step), failure->step,
		    strlen(failure->step));
	text_escape(ret->syscall, sizeof(ret->syscall), failure->syscall,
		    strlen(failure->syscall));
	text_escape(ret->object, sizeof(ret->object), failure->object,
		    strlen(failure->object));
	text_escape(ret->rule, sizeof(ret->rule), error->rule,
		    strlen(error->rule));
	text_escape(ret->hint, sizeof(ret->hint), error->hint,
		    strlen(error->hint));
	error_message(error, plain, sizeof(plain));
	/* error_message() escaped the object; a cut may have split UTF-8 */
	if (text_is_utf8(plain, strlen(plain)))
		memcpy(ret->message, plain, strlen(plain) + 1);
	else
		text_escape(ret->message, sizeof(ret->message), plain,
			    strlen(plain));

	detail->has_code = true;
	detail->code = (Nsexec__V1__ErrorCode)error->code;
	detail->stage = (char *)stage_name(failure->stage);
	detail->step = ret->step;
	detail->syscall = ret->syscall;
	detail->has_errno_value = true;
	detail->errno_value = failure->error;
	detail->object = ret->object;
	detail->rule = ret->rule;
	detail->hint = ret->hint;
	detail->has_retryable = true;
	detail->retryable = error->retryable;
	detail->message = ret->message;
	pack_quota(&error->quota, detail);
	detail->trace = trace_pack(&error->trace, &ret->trace);
}
