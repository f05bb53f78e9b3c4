/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command-line contestants, read from a file. What is read lives as long
 * as the driver.
 */
#ifndef NSX_BENCH_COMMANDS_H
#define NSX_BENCH_COMMANDS_H

#include "bench/bench.h"

#define COMMANDS_MAX 8

struct command_list {
	struct contestant contestants[COMMANDS_MAX];
	size_t n;
};

/* 0, -EINVAL for a line of no known form, or -errno of open(2). */
must_check int command_list_read(const char *path, struct command_list *list);

#endif
