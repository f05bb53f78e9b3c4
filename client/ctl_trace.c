/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --debug: where the time of one start went. The daemon's points and ours are
 * on one clock (CLOCK_MONOTONIC), unless we are in another time namespace.
 */
#include "config.h"

#include <stdio.h>

#include "client/ctl.h"
#include "lib/clock.h"
#include "lib/util.h"

struct point {
	const char *at, *name;
	uint64_t us; /* 0: not passed */
};
#define MAX_POINTS 9

uint64_t
ctl_trace_now(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000u;
}

/* Into the order of time; points of one moment stay as they are. */
static void
sort(struct point *points, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct point point = points[i];
		size_t at = i;

		for (; at && points[at - 1].us > point.us; at--)
			points[at] = points[at - 1];
		points[at] = point;
	}
}

static void
print_json(const char *method, const struct point *points, size_t n)
{
	json_t *root = json_object(), *trace = json_object();
	json_t *rows = json_array();
	free_auto char *text = NULL;

	for (size_t i = 0; i < n; i++) {
		json_t *row = json_object();

		json_object_set_new(row, "at", json_string(points[i].at));
		json_object_set_new(row, "point", json_string(points[i].name));
		json_object_set_new(row, "monotonic_us",
				    json_integer((json_int_t)points[i].us));
		json_array_append_new(rows, row);
	}
	json_object_set_new(trace, "method", json_string(method));
	json_object_set_new(trace, "points", rows);
	json_object_set_new(root, "v", json_integer(1));
	json_object_set_new(root, "trace", trace);
	text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	if (text)
		(void)fprintf(stderr, "%s\n", text);
}

void
ctl_trace_print(const struct ctl *ctl, const char *method,
		const struct nsexec_call *call, uint64_t sent_us)
{
	struct nsexec_trace trace = { 0 };
	struct point points[MAX_POINTS];
	size_t n = 0;

	if (!ctl->trace)
		return;
	/* None in an answer: refused before it was sent to the spawner. */
	(void)!nsexec_call_get_trace(call, &trace);
	const struct point all[MAX_POINTS] = {
		{ "nsexecctl", "sent", sent_us },
		{ "nsexecd", "received", trace.received_us },
		{ "nsexecd", "sent", trace.sent_us },
		{ "nsexecd", "child", trace.child_us },
		{ "nsexecd", "ready", trace.ready_us },
		{ "nsexecd", "opened", trace.opened_us },
		{ "nsexecd", "started", trace.started_us },
		{ "nsexecd", "failed", trace.failed_us },
		{ "nsexecctl", "answered", ctl_trace_now() },
	};
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (all[i].us)
			points[n++] = all[i];
	}
	sort(points, n);
	if (ctl_json(ctl)) {
		print_json(method, points, n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		(void)fprintf(stderr, "trace: %s %llu us +%llu %s %s\n", method,
			      (unsigned long long)points[i].us,
			      (unsigned long long)(points[i].us -
						   points[i ? i - 1 : 0].us),
			      points[i].at, points[i].name);
}
