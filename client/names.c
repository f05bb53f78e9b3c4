/* SPDX-License-Identifier: Apache-2.0 */
/* The words of the public enums, and back. */
#include "config.h"

#include <string.h>

#include "client/internal.h"
#include "lib/util.h"

static const char *const ns_names[] = {
	[NSEXEC_NS_USER] = "user",     [NSEXEC_NS_IPC] = "ipc",
	[NSEXEC_NS_UTS] = "uts",       [NSEXEC_NS_NET] = "net",
	[NSEXEC_NS_PID] = "pid",       [NSEXEC_NS_MNT] = "mnt",
	[NSEXEC_NS_CGROUP] = "cgroup", [NSEXEC_NS_TIME] = "time",
};
_Static_assert(ARRAY_SIZE(ns_names) == NSEXEC_NS_TIME + 1, "every kind");

static const char *const event_names[] = {
	[NSEXEC_EVENT_CREATED] = "created",
	[NSEXEC_EVENT_STARTED] = "started",
	[NSEXEC_EVENT_EXEC_STARTED] = "exec-started",
	[NSEXEC_EVENT_EXEC_EXITED] = "exec-exited",
	[NSEXEC_EVENT_EXITED] = "exited",
	[NSEXEC_EVENT_DELETED] = "deleted",
	[NSEXEC_EVENT_FAILED] = "failed",
	[NSEXEC_EVENT_GAP] = "gap",
	[NSEXEC_EVENT_SNAPSHOT] = "snapshot",
};
_Static_assert(ARRAY_SIZE(event_names) == NSEXEC_EVENT_SNAPSHOT + 1,
	       "every type");

static const char *const state_names[] = {
	[NSEXEC_STATE_CREATING] = "creating",
	[NSEXEC_STATE_CREATED] = "created",
	[NSEXEC_STATE_RUNNING] = "running",
	[NSEXEC_STATE_STOPPED] = "stopped",
};
_Static_assert(ARRAY_SIZE(state_names) == NSEXEC_STATE_STOPPED + 1,
	       "every state");

const char *
nsexec_ns_name(enum nsexec_ns kind)
{
	return (size_t)kind < ARRAY_SIZE(ns_names) ? ns_names[kind] : NULL;
}

enum nsexec_ns
nsexec_ns_parse(const char *name)
{
	for (size_t i = 1; i < ARRAY_SIZE(ns_names); i++) {
		if (strcmp(name, ns_names[i]) == 0)
			return (enum nsexec_ns)i;
	}
	/* What nsenter(1) and runc call it. */
	return strcmp(name, "mount") == 0     ? NSEXEC_NS_MNT
	       : strcmp(name, "network") == 0 ? NSEXEC_NS_NET
					      : (enum nsexec_ns)0;
}

const char *
nsexec_event_type_name(enum nsexec_event_type type)
{
	return (size_t)type < ARRAY_SIZE(event_names) ? event_names[type]
						      : NULL;
}

enum nsexec_event_type
nsexec_event_type_parse(const char *name)
{
	for (size_t i = 1; i < ARRAY_SIZE(event_names); i++) {
		if (strcmp(name, event_names[i]) == 0)
			return (enum nsexec_event_type)i;
	}
	return (enum nsexec_event_type)0;
}

const char *
nsexec_state_name(enum nsexec_state state)
{
	if ((size_t)state >= ARRAY_SIZE(state_names) || !state_names[state])
		return "unknown";
	return state_names[state];
}
