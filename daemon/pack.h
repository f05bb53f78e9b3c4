/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From containers and events to the messages that callers get. The packed
 * forms borrow from what they were made of and own only an error's text.
 */
#ifndef NSX_DAEMON_PACK_H
#define NSX_DAEMON_PACK_H

#include "daemon/container.h"
#include "daemon/error_pack.h"
#include "daemon/events.h"
#include "proto/nsexec.pb-c.h"

struct exit_packed {
	Nsexec__V1__ExitStatus status;
	Nsexec__V1__ResourceUsage usage;
};

struct info_packed {
	Nsexec__V1__ContainerInfo info;
	Nsexec__V1__NamespaceId ids[8];
	Nsexec__V1__NamespaceId *id_pointers[8];
	struct exit_packed exit;
	struct error_packed *failure; /* owned */
	Nsexec__V1__ErrorDetail bare; /* of it, without memory */
	char cgroup[96];
};

struct event_packed {
	Nsexec__V1__Event event;
	struct exit_packed exit;
	struct error_packed *error;   /* owned */
	Nsexec__V1__ErrorDetail bare; /* of it, without memory */
	struct info_packed info;      /* snapshot only */
};

void exit_pack(const struct task_exit *exit, struct exit_packed *ret);
void info_pack(const struct container *container, struct info_packed *ret);
void info_packed_deinit(struct info_packed *packed);
void event_pack(const struct daemon *daemon, const struct event *event,
		struct event_packed *ret);
void event_packed_deinit(struct event_packed *packed);

/* The two that no ring holds; seq is the newest number they speak for. */
void gap_pack(const struct daemon *daemon, uint64_t from, uint64_t to,
	      struct event_packed *ret);
void snapshot_pack(const struct daemon *daemon,
		   const struct container *container, uint64_t seq,
		   struct event_packed *ret);

#endif
