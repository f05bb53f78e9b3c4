/* SPDX-License-Identifier: Apache-2.0 */
/* A trace as a message; see trace.h. */
#include "daemon/trace.h"

Nsexec__V1__Trace *
trace_pack(const struct trace *trace, Nsexec__V1__Trace *ret)
{
	if (!trace->wanted)
		return NULL;
	*ret = (Nsexec__V1__Trace)NSEXEC__V1__TRACE__INIT;
#define POINT(point, field) \
	do { \
		ret->has_##field = trace->ns[point] != 0; \
		ret->field = trace->ns[point] / 1000u; \
	} while (0)
	POINT(TRACE_RECEIVED, received_us);
	POINT(TRACE_SENT, sent_us);
	POINT(TRACE_CHILD, child_us);
	POINT(TRACE_READY, ready_us);
	POINT(TRACE_OPENED, opened_us);
	POINT(TRACE_STARTED, started_us);
	POINT(TRACE_FAILED, failed_us);
#undef POINT
	return ret;
}
