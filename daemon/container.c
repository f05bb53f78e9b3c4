/* SPDX-License-Identifier: Apache-2.0 */
/* Birth, end and outer state of containers and tasks; see container.h. */
#include "daemon/container.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/loop.h"
#include "lib/fd.h"

void
task_init(struct task *task, struct daemon *daemon, struct container *container,
	  uint64_t id)
{
	memset(task, 0, sizeof(*task));
	task->id = id;
	task->daemon = daemon;
	task->container = container;
	task->pidfd = -1;
	task->channel = -1;
}

void
task_deinit(struct task *task)
{
	assert(!task->parked);
	task->pidfd_watch = watch_free(task->pidfd_watch);
	task->channel_watch = watch_free(task->channel_watch);
	task->timer = watch_free(task->timer);
	fd_close(&task->pidfd);
	fd_close(&task->channel);
	free(task->failure);
	task->failure = NULL;
}

int
container_new(struct container **ret)
{
	struct container *container = calloc(1, sizeof(*container));

	if (!container)
		return -ENOMEM;
	container->init.pidfd = -1;
	container->init.channel = -1;
	*ret = container;
	return 0;
}

struct container *
container_free(struct container *container)
{
	if (!container)
		return NULL;
	while (container->execs) {
		struct task *task = container->execs;

		container->execs = task->next;
		task_deinit(task);
		free(task);
	}
	task_deinit(&container->init);
	for (size_t i = 0; i < container->n_labels; i++)
		free(container->labels[i]);
	free(container->labels);
	free(container->command);
	free(container);
	return NULL;
}

enum container_state
container_state(const struct container *container)
{
	static const enum container_state states[] = {
		[TASK_NONE] = CONTAINER_CREATING,
		[TASK_STARTING] = CONTAINER_CREATING,
		[TASK_CREATED] = CONTAINER_CREATED,
		[TASK_COMMITTED] = CONTAINER_CREATED,
		[TASK_RUNNING] = CONTAINER_RUNNING,
		[TASK_ENDED] = CONTAINER_STOPPED,
	};
	_Static_assert(sizeof(states) / sizeof(states[0]) == N_TASK_STATES,
		       "every state of a task is shown");

	return states[container->init.state];
}

const char *
container_state_name(enum container_state state)
{
	static const char *const names[] = {
		[CONTAINER_CREATING] = "creating",
		[CONTAINER_CREATED] = "created",
		[CONTAINER_RUNNING] = "running",
		[CONTAINER_STOPPED] = "stopped",
	};

	return names[state];
}
