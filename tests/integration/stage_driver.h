/* SPDX-License-Identifier: Apache-2.0 */
/* The driver of the stages: what it was asked to start. See stage_driver.c. */
#ifndef NSX_TESTS_STAGE_DRIVER_H
#define NSX_TESTS_STAGE_DRIVER_H

#include "proto/nsplan.h"
#include "proto/resolve.h"
#include "spawn/stage.h"

#define CHANNEL_MAX BOOTSTRAP_MAX_CHANNEL_FDS

struct driver {
	struct bootstrap msg;
	struct caller caller;
	struct resolved_user user;
	gid_t groups[64];
	int fds[CHANNEL_MAX];
	size_t n_fds;
	char env[65536];
	size_t env_size;
	bool block, abort_gate, kill_relay, no_send, look_up, use_relay,
		caller_gone;
	uint64_t own[N_NS_KINDS];
	uint32_t kill_after_us; /* the relay, at a moment of chance */
	bool has_child;
	const char *gate_path;
	int init_channel[2], report[2], fd_channel[2], listener, block_fd;
};

_Noreturn void die(const char *what);
/* One "key=value" of the command line. */
void set_option(struct driver *driver, char *text);

#endif
