/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon was told: defaults, then one file of strict JSON, then
 * options; the later wins. Read once at start, constant afterwards. A file
 * that has an unknown key, a repeated key or a wrong value is refused whole,
 * with the key and the line.
 *
 * The file: --config FILE; else RUN_DIR/nsexecd.conf of a private instance or
 * /etc/nsexecd/nsexecd.conf of the system's, where it may be missing.
 */
#ifndef NSX_DAEMON_CONFIG_H
#define NSX_DAEMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/log.h"
#include "lib/err.h"

/*
 * What one owner may have; who gets which is owner_limits()' to say. 0 is
 * none, never "unlimited".
 */
struct owner_limits {
	uint32_t connections;	      /* 32 */
	uint32_t requests;	      /* 64 in flight, parked ones not */
	uint32_t queued_bytes;	      /* 4 MiB of answers not yet read */
	uint32_t subscribers;	      /* 8 event streams */
	uint32_t starts;	      /* 16 in flight */
	uint32_t starts_per_second;   /* 20 */
	uint32_t starts_burst;	      /* 50 */
	uint32_t containers;	      /* 128 live */
	uint32_t execs_per_container; /* 16 */
	uint32_t request_fds;	      /* 32, of one request */
	uint32_t held_fds;	      /* 256, of starts in flight */
	uint32_t stuck;		      /* 8 killed and still there */
	uint32_t keys;		      /* 1024 remembered, the newest */
};

/* 0 is none. Defaults are those of doc/LIMITS.md. */
struct config_limits {
	struct owner_limits owner;
	uint32_t connections;	   /* 4096, in all */
	uint32_t starts_in_flight; /* 512, in all */
	uint32_t containers;	   /* 10000 live, in all */
	uint32_t events_per_owner; /* 4096 in the ring */
	uint32_t ended_per_owner;  /* 1024 remembered, */
	uint32_t ended_seconds;	   /* 3600 long */
	uint32_t drain_timeout_ms; /* 5000 */
};

struct config {
	bool worker; /* --worker: the unprivileged nsexecd of a spawner */
	bool system; /* --system, or listeners passed and no --run-dir */
	bool detach; /* --detach: the launcher returns when ready */
	bool private_instance; /* --run-dir was given */
	bool rootless;	       /* --rootless: nobody of it is root */
	bool no_cgroups;       /* --no-cgroups: the spawner has none */
	/* All absolute. */
	char *run_dir; /* /run/nsexecd without --run-dir */
	char *rpc_socket;
	char *fd_socket;
	char *spawner_socket;
	char *gates_dir;
	char *records_dir;
	char *pid_file;
	char *cgroup_root; /* NULL: the spawner's default */
	char *policy_dir;  /* NULL: a private instance has no policy */
	char *config_file; /* the file that was read; NULL: none */
	enum log_level log_level;
	struct config_limits limits;
};

/* The most text that an error of config_* takes, NUL included. */
#define CONFIG_ERROR_MAX 512

/* Defaults; nothing is allocated. */
void config_init(struct config *config);
/* Frees what it holds; safe twice. */
void config_deinit(struct config *config);

/*
 * Set run_dir (made absolute) and the paths below it. -EINVAL if the rpc
 * socket's path would not fit sun_path, -ENOMEM.
 */
must_check int config_set_run_dir(struct config *config, const char *run_dir);

/*
 * Apply the text of a configuration file. On error nothing of *config has
 * changed and error_text says "NAME:LINE: key: reason". -EINVAL, -ENOMEM.
 */
must_check int config_parse(struct config *config, const char *name,
			    const char *text, size_t size,
			    char error_text[CONFIG_ERROR_MAX]);
/* Read it from a file of at most 64 KiB; sets config_file. -errno. */
must_check int config_read(struct config *config, const char *path,
			   char error_text[CONFIG_ERROR_MAX]);

#endif
