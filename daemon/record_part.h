/* SPDX-License-Identifier: Apache-2.0 */
/* Parts that records of tasks and of events have in common. */
#ifndef NSX_DAEMON_RECORD_PART_H
#define NSX_DAEMON_RECORD_PART_H

#include "daemon/container.h"
#include "lib/err.h"
#include "proto/record.pb-c.h"

/* Texts of the message are borrowed from the struct. */
void record_exit_fill(const struct task_exit *from, Nsexec__Record__Exit *to);
void record_failure_fill(const struct error *from, Nsexec__Record__Failure *to);

void record_exit_restore(const Nsexec__Record__Exit *from,
			 struct task_exit *to);
/* *ret is new and given. -ENOMEM. */
must_check int record_failure_restore(const Nsexec__Record__Failure *from,
				      struct error **ret);

#endif
