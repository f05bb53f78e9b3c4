/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by task.c, task_end.c, task_gate.c and task_io.c alone. */
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

/* task_gate.c: its gate was not opened, it is created again. */
void task_not_opened(struct task *task, const struct error *error);
/* Of a committed one, the spawner died. */
void task_lost_at_gate(struct task *task);
/* Committed, not executed, and no channel: look again soon. */
void task_watch_commit(struct task *task);
/* Its time is up. true: it was created before a restart, and is again. */
bool task_gate_stayed_shut(struct task *task);

#endif
