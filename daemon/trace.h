/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a start passed its points, on CLOCK_MONOTONIC. They are noted of every
 * start, for the histograms (metrics.h), and told to who asked for a trace.
 */
#ifndef NSX_DAEMON_TRACE_H
#define NSX_DAEMON_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/clock.h"
#include "proto/nsexec.pb-c.h"

enum trace_point {
	TRACE_RECEIVED, /* decoded, its method begins */
	TRACE_SENT,	/* on record; to the spawner */
	TRACE_CHILD,	/* the spawner: init exists */
	TRACE_READY,	/* init: set up, at its gate */
	TRACE_OPENED,	/* the gate is open */
	TRACE_STARTED,	/* exec is proven */
	TRACE_FAILED,
	N_TRACE_POINTS,
};

struct trace {
	bool wanted;		     /* by the caller of the start */
	uint64_t ns[N_TRACE_POINTS]; /* 0: not passed */
};

static inline void
trace_mark(struct trace *trace, enum trace_point point)
{
	trace->ns[point] = clock_ns(CLOCK_MONOTONIC);
}

/* ret, filled; NULL: it was not wanted. */
Nsexec__V1__Trace *trace_pack(const struct trace *trace,
			      Nsexec__V1__Trace *ret);

#endif
