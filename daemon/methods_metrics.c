/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics: looks at what there is and has it told. An admin who may see others'
 * containers is told of the instance; everybody else of what is his own, from
 * his own counts: nothing of another adds to a number of his.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/container_table.h"
#include "daemon/core_parts.h"
#include "daemon/methods.h"
#include "daemon/metrics_text.h"
#include "daemon/spawner_client.h"
#include "daemon/start_part.h"
#include "daemon/subscribe.h"
#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/util.h"

static void
count_containers(const struct daemon *daemon, struct viewer viewer,
		 struct metrics_now *now)
{
	const struct container *container;

	for (container = container_first(daemon->containers); container;
	     container = container_next(container)) {
		if (!container_visible(container, viewer))
			continue;
		now->containers[container_state(container)]++;
		now->execs += container->n_execs;
	}
}

static void
count_launches(const struct daemon *daemon, struct viewer viewer,
	       struct metrics_now *now)
{
	const struct table *launches = &daemon->core->launches;

	for (size_t i = 0; i < launches->size; i++) {
		const struct launch *launch = launches->slots[i].value;

		if (launches->slots[i].key)
			now->awaiting_fds +=
				viewer_sees(viewer, launch->caller.owner);
	}
}

static void
look(struct daemon *daemon, struct viewer viewer, struct metrics_now *now)
{
	*now = (struct metrics_now){ 0 };
	count_containers(daemon, viewer, now);
	count_launches(daemon, viewer, now);
	owners_count(daemon->containers, viewer, &now->in_flight, &now->stuck);
	now->streams = subscribers_count(daemon, viewer, true);
	now->polls = subscribers_count(daemon, viewer, false);
	server_count(daemon->server, viewer, &now->server);
}

/* /proc/self/statm: pages of the address space, resident ones. */
static void
look_at_memory(struct metrics_instance *instance)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	char text[128], *end;
	ssize_t n = fd_read_file(AT_FDCWD, "/proc/self/statm", text,
				 sizeof(text) - 1);

	if (n <= 0)
		return;
	text[n] = '\0';
	instance->virtual_bytes = strtoull(text, &end, 10) * page;
	instance->resident_bytes = strtoull(end, NULL, 10) * page;
}

static void
look_at_instance(const struct daemon *daemon, struct metrics_instance *instance)
{
	struct rlimit limit = { 0 };
	struct stat st;

	*instance = (struct metrics_instance){
		.spawner_connected = spawner_is_connected(daemon->spawner),
		.spawner_pending = spawner_pending(daemon->spawner),
		.spawner_connects = daemon->core->n_connects,
		.restarts = daemon->n_begun - 1,
		.adopted = daemon->core->n_adopted,
		.began_ns = daemon->core->began_ns,
		.cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID),
	};
	look_at_memory(instance);
	/* its size is the number of descriptors since Linux 6.2 */
	if (stat("/proc/self/fd", &st) == 0)
		instance->open_fds = (uint64_t)st.st_size;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		instance->max_fds = limit.rlim_cur;
}

static int
text_of(struct daemon *daemon, const struct rpc_caller *caller,
	struct om_writer *writer)
{
	static const struct metrics none;
	const struct viewer viewer = rpc_viewer(caller);
	struct metrics_instance instance;
	struct metrics_now now;
	const struct owner *owner;

	look(daemon, viewer, &now);
	if (viewer.admin) {
		look_at_instance(daemon, &instance);
		return metrics_text(writer, &daemon->core->metrics, &now,
				    &instance);
	}
	owner = owner_find(daemon->containers, caller->owner);
	return metrics_text(writer, owner ? &owner->metrics : &none, &now,
			    NULL);
}

METHOD(method_metrics)
{
	Nsexec__V1__MetricsResponse response =
		NSEXEC__V1__METRICS_RESPONSE__INIT;
	free_auto char *text = malloc(METRICS_TEXT_MAX);
	struct om_writer writer;

	if (!text) {
		method_refuse(daemon, call_id,
			      &(struct refusal){
				      ERRCODE_OVERLOADED, "metrics", "memory",
				      "the daemon has no memory left for it",
				      "try again later" });
		return;
	}
	om_init(&writer, text, METRICS_TEXT_MAX);
	if (text_of(daemon, caller, &writer) < 0) {
		method_refuse(
			daemon, call_id,
			&(struct refusal){ ERRCODE_INTERNAL, "metrics", "text",
					   "it is longer than it can be", "" });
		return;
	}
	response.text = text;
	(void)rpc_reply(daemon->server, call_id, &response.base);
}
