/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by task.c, task_end.c and task_io.c alone. */
#ifndef NSX_DAEMON_TASK_PART_H
#define NSX_DAEMON_TASK_PART_H

#include "daemon/events.h"
#include "daemon/task.h"

#define TASK_POLL_MS 5 /* of a status that no channel announces */

void task_publish(struct task *task, enum event_type type);
/* It ended without exec and without saying why; msg is its STATUS. */
void task_fail_died(struct task *task, const struct op_message *msg);
void task_close_channel(struct task *task);
/* Take everything that is there; a stage says two things at most. */
void task_drain_channel(struct task *task);

#endif
