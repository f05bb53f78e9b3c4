/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers of events over a reload. A snapshot that was half told begins anew:
 * the serials it went by are this process's own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/daemon.h"
#include "daemon/loop.h"
#include "daemon/subscribe_part.h"

Nsexec__Handover__Reader *
subscribe_save(const struct daemon *daemon, uint64_t call_id)
{
	const struct reader *reader =
		table_find(&daemon->subscribers->by_call, call_id);
	Nsexec__Handover__Reader *saved =
		reader ? malloc(sizeof(*saved)) : NULL;

	if (!saved)
		return NULL;
	*saved = (Nsexec__Handover__Reader)NSEXEC__HANDOVER__READER__INIT;
	saved->has_owner = saved->has_admin = saved->has_cursor = true;
	saved->owner = reader->viewer.owner;
	saved->admin = reader->viewer.admin;
	saved->cursor = reader->cursor;
	saved->has_gap_due = saved->has_gap_from = true;
	saved->gap_due = reader->gap_due;
	saved->gap_from = reader->gap_from;
	saved->has_behind = saved->has_terse = saved->has_types = true;
	saved->behind = reader->behind;
	saved->terse = reader->terse;
	saved->types = reader->types;
	saved->has_stream = saved->has_max_events = saved->has_end_ms = true;
	saved->stream = reader->stream;
	saved->max_events = reader->max_events;
	saved->end_ms = reader->end_ms;
	saved->containers = calloc(reader->n_containers + 1, sizeof(char *));
	if (!saved->containers) {
		free(saved);
		return NULL;
	}
	for (size_t i = 0; i < reader->n_containers; i++)
		saved->containers[saved->n_containers++] =
			reader->containers[i];
	return saved;
}

void
subscribe_saved_free(Nsexec__Handover__Reader *saved)
{
	if (saved)
		free(saved->containers);
	free(saved);
}

static int
restore_fill(struct reader *reader, const Nsexec__Handover__Reader *saved)
{
	reader->viewer.owner = saved->owner;
	reader->viewer.admin = saved->admin;
	reader->ring = viewer_ring(reader->viewer);
	reader->cursor = saved->cursor;
	reader->gap_due = saved->gap_due;
	reader->gap_from = saved->gap_from;
	reader->behind = saved->behind;
	reader->terse = saved->terse;
	reader->types = saved->types;
	reader->stream = saved->stream;
	reader->max_events = saved->max_events;
	reader->containers =
		calloc(saved->n_containers + 1, sizeof(*reader->containers));
	if (!reader->containers)
		return -ENOMEM;
	for (size_t i = 0; i < saved->n_containers; i++)
		strncpy(reader->containers[i], saved->containers[i],
			SPEC_ID_MAX);
	reader->n_containers = saved->n_containers;
	return saved->stream ? 0 : reader_arm(reader, saved->end_ms);
}

int
subscribe_restore(struct daemon *daemon, uint64_t call_id,
		  const Nsexec__Handover__Reader *saved)
{
	struct reader *reader = calloc(1, sizeof(*reader));
	int r;

	if (!reader)
		return -ENOMEM;
	reader->daemon = daemon;
	reader->call_id = call_id;
	r = restore_fill(reader, saved);
	if (r == 0)
		r = reader_add(daemon->subscribers, reader);
	if (r < 0) {
		watch_free(reader->timer);
		free(reader->containers);
		free(reader);
	}
	return r;
}
