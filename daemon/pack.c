/* SPDX-License-Identifier: Apache-2.0 */
/* Containers and events as messages of nsexec.v1; see pack.h. */
#include "daemon/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/clock.h"

void
exit_pack(const struct task_exit *exit, struct exit_packed *ret)
{
	Nsexec__V1__ExitStatus *status = &ret->status;

	*status = (Nsexec__V1__ExitStatus)NSEXEC__V1__EXIT_STATUS__INIT;
	status->has_realtime_ns = true;
	status->realtime_ns = exit->realtime_ns;
	if (exit->unknown) {
		status->has_unknown = true;
		status->unknown = true;
		return;
	}
	if (exit->lease_lost) {
		status->has_reason = true;
		status->reason = NSEXEC__V1__EXIT_REASON__EXIT_LEASE;
	}
	status->has_oom_kills = true;
	status->oom_kills = exit->oom_kills;
	if (WIFEXITED(exit->wait_status)) {
		status->has_code = true;
		status->code = (uint32_t)WEXITSTATUS(exit->wait_status);
	} else if (WIFSIGNALED(exit->wait_status)) {
		status->has_signal = true;
		status->signal = (uint32_t)WTERMSIG(exit->wait_status);
		status->has_core = true;
		status->core = WCOREDUMP(exit->wait_status);
	}
	if (exit->has_rusage) {
		ret->usage = (Nsexec__V1__ResourceUsage)
			NSEXEC__V1__RESOURCE_USAGE__INIT;
		ret->usage.has_user_us = true;
		ret->usage.user_us = exit->rusage.user_us;
		ret->usage.has_system_us = true;
		ret->usage.system_us = exit->rusage.system_us;
		ret->usage.has_max_rss_kib = true;
		ret->usage.max_rss_kib = exit->rusage.max_rss_kib;
		status->rusage = &ret->usage;
	}
}

/* Its texts take memory; that there is an error, and which, does not. */
static Nsexec__V1__ErrorDetail *
failure_pack(const struct error *error, struct error_packed **ret,
	     Nsexec__V1__ErrorDetail *bare)
{
	*ret = NULL;
	if (!error)
		return NULL;
	*ret = malloc(sizeof(**ret));
	if (*ret) {
		error_pack(error, *ret);
		return &(*ret)->detail;
	}
	*bare = (Nsexec__V1__ErrorDetail)NSEXEC__V1__ERROR_DETAIL__INIT;
	bare->has_code = true;
	bare->code = (Nsexec__V1__ErrorCode)error->code;
	bare->stage = (char *)stage_name(error->failure.stage);
	bare->has_errno_value = true;
	bare->errno_value = error->failure.error;
	bare->has_retryable = true;
	bare->retryable = error->retryable;
	bare->message = "no memory to say more";
	return bare;
}

static void
info_pack_namespaces(const struct task *task, struct info_packed *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < 8; i++) {
		if (!task->namespaces[i])
			continue;
		ret->ids[n] =
			(Nsexec__V1__NamespaceId)NSEXEC__V1__NAMESPACE_ID__INIT;
		ret->ids[n].has_kind = true;
		ret->ids[n].kind = (Nsexec__V1__NamespaceKind)(i + 1);
		ret->ids[n].has_inode = true;
		ret->ids[n].inode = task->namespaces[i];
		ret->id_pointers[n] = &ret->ids[n];
		n++;
	}
	ret->info.n_namespaces = n;
	ret->info.namespaces = ret->id_pointers;
}

static void
info_pack_task(const struct task *task, struct info_packed *ret)
{
	Nsexec__V1__ContainerInfo *info = &ret->info;

	if (task->pid) {
		info->has_pid = true;
		info->pid = task->pid;
		info->has_start_time = true;
		info->start_time = task->start_time;
	}
	if (task->pid_inode) {
		info->has_pid_inode = true;
		info->pid_inode = task->pid_inode;
	}
	if (task->created_ns) {
		info->has_created_realtime_ns = true;
		info->created_realtime_ns = task->created_ns;
	}
	if (task->started_ns) {
		info->has_started_realtime_ns = true;
		info->started_realtime_ns = task->started_ns;
	}
	if (task->exit.present) {
		exit_pack(&task->exit, &ret->exit);
		info->exit = &ret->exit.status;
	}
	info->failure = failure_pack(task->failure, &ret->failure, &ret->bare);
	info_pack_namespaces(task, ret);
}

void
info_pack(const struct container *container, struct info_packed *ret)
{
	Nsexec__V1__ContainerInfo *info = &ret->info;

	*info = (Nsexec__V1__ContainerInfo)NSEXEC__V1__CONTAINER_INFO__INIT;
	info->id = (char *)container->id;
	if (container->name[0])
		info->name = (char *)container->name;
	info->has_state = true;
	info->state = (Nsexec__V1__ContainerState)container_state(container);
	info->has_owner_uid = true;
	info->owner_uid = container->owner;
	if (container->command) {
		info->has_command = true;
		info->command.data = (uint8_t *)container->command;
		info->command.len = strlen(container->command);
	}
	snprintf(ret->cgroup, sizeof(ret->cgroup), "u%u/%s", container->owner,
		 container->id);
	info->has_cgroup = true;
	info->cgroup.data = (uint8_t *)ret->cgroup;
	info->cgroup.len = strlen(ret->cgroup);
	info->has_leased = info->leased = container->has_lease;
	info->n_labels = container->n_labels;
	info->labels = container->labels;
	info_pack_task(&container->init, ret);
}

void
info_packed_deinit(struct info_packed *packed)
{
	free(packed->failure);
	packed->failure = NULL;
}

static void
event_begin(const struct daemon *daemon, uint64_t seq, struct event_packed *ret)
{
	Nsexec__V1__Event *event = &ret->event;

	*event = (Nsexec__V1__Event)NSEXEC__V1__EVENT__INIT;
	ret->error = NULL;
	ret->info.failure = NULL;
	event->has_epoch = true;
	event->epoch.data = (uint8_t *)daemon->epoch;
	event->epoch.len = sizeof(daemon->epoch);
	event->has_seq = true;
	event->seq = seq;
	event->has_realtime_ns = true;
	event->has_boottime_ns = true;
	event->has_type = true;
}

void
event_pack(const struct daemon *daemon, const struct event *from,
	   struct event_packed *ret)
{
	Nsexec__V1__Event *event = &ret->event;

	event_begin(daemon, from->seq, ret);
	event->realtime_ns = from->realtime_ns;
	event->boottime_ns = from->boottime_ns;
	event->type = (Nsexec__V1__EventType)from->type;
	event->container = (char *)from->container;
	if (from->name[0])
		event->name = (char *)from->name;
	if (from->exec_id[0])
		event->exec_id = (char *)from->exec_id;
	if (from->pid) {
		event->has_pid = true;
		event->pid = from->pid;
	}
	if (from->pid_inode) {
		event->has_pid_inode = true;
		event->pid_inode = from->pid_inode;
	}
	if (from->exit.present) {
		exit_pack(&from->exit, &ret->exit);
		event->exit = &ret->exit.status;
	}
	event->error = failure_pack(from->error, &ret->error, &ret->bare);
}

void
event_packed_deinit(struct event_packed *packed)
{
	free(packed->error);
	packed->error = NULL;
	info_packed_deinit(&packed->info);
}

void
gap_pack(const struct daemon *daemon, uint64_t from, uint64_t to,
	 struct event_packed *ret)
{
	event_begin(daemon, to, ret);
	ret->event.realtime_ns = clock_ns(CLOCK_REALTIME);
	ret->event.boottime_ns = clock_ns(CLOCK_BOOTTIME);
	ret->event.type = NSEXEC__V1__EVENT_TYPE__EVENT_GAP;
	ret->event.has_gap_from = true;
	ret->event.gap_from = from;
	ret->event.has_gap_to = true;
	ret->event.gap_to = to;
}

void
snapshot_pack(const struct daemon *daemon, const struct container *container,
	      uint64_t seq, struct event_packed *ret)
{
	Nsexec__V1__Event *event = &ret->event;

	event_begin(daemon, seq, ret);
	event->realtime_ns = clock_ns(CLOCK_REALTIME);
	event->boottime_ns = clock_ns(CLOCK_BOOTTIME);
	event->type = NSEXEC__V1__EVENT_TYPE__EVENT_SNAPSHOT;
	info_pack(container, &ret->info);
	event->info = &ret->info.info;
	event->container = ret->info.info.id;
	event->name = ret->info.info.name;
	event->has_pid = ret->info.info.has_pid;
	event->pid = ret->info.info.pid;
	event->has_pid_inode = ret->info.info.has_pid_inode;
	event->pid_inode = ret->info.info.pid_inode;
}
