/* SPDX-License-Identifier: Apache-2.0 */
/* The readers that there are: subscribe.h, subscribe_part.h. */
#include <errno.h>
#include <stdlib.h>

#include "daemon/daemon.h"
#include "daemon/loop.h"
#include "daemon/subscribe.h"
#include "daemon/subscribe_part.h"

int
subscribers_new(struct subscribers **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

int
reader_add(struct subscribers *subscribers, struct reader *reader)
{
	int r = table_add(&subscribers->by_call, reader->call_id, reader);

	if (r < 0)
		return r;
	reader->next = subscribers->first;
	if (reader->next)
		reader->next->prev = reader;
	subscribers->first = reader;
	return 0;
}

void
reader_free(struct subscribers *subscribers, struct reader *reader)
{
	table_remove(&subscribers->by_call, reader->call_id);
	if (reader->prev)
		reader->prev->next = reader->next;
	else if (subscribers->first == reader)
		subscribers->first = reader->next;
	if (reader->next)
		reader->next->prev = reader->prev;
	reader->timer = watch_free(reader->timer);
	free(reader->containers);
	free(reader);
}

struct subscribers *
subscribers_free(struct subscribers *subscribers)
{
	if (!subscribers)
		return NULL;
	while (subscribers->first)
		reader_free(subscribers, subscribers->first);
	table_deinit(&subscribers->by_call);
	free(subscribers);
	return NULL;
}

size_t
subscribers_count(const struct daemon *daemon, struct viewer viewer,
		  bool streams)
{
	size_t n = 0;

	for (const struct reader *reader = daemon->subscribers->first; reader;
	     reader = reader->next)
		n += reader->stream == streams &&
		     viewer_sees(viewer, reader->viewer.owner);
	return n;
}
