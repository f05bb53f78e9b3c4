/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of run, create and explain: all groups of options together,
 * and the options that only a start has. Owns its spec.
 */
#ifndef NSX_CLIENT_START_OPTS_H
#define NSX_CLIENT_START_OPTS_H

#include "client/ctl.h"
#include "client/opts.h"

struct start_opts {
	struct ctl *ctl;
	struct nsexec_spec *spec; /* owned */
	struct ns_opts ns;
	struct map_opts maps;
	struct mount_opts mounts;
	struct process_opts process;
	struct stdio_opts stdio;

	bool detach, keep, no_forward, dry_run, mirror_signal, lease;
	const char *name; /* --name or --id, whichever came last; or NULL */
	const char *pid_file, *pidfd_socket;
	int status_fd, info_fd; /* -1: none */
	uint64_t timeout_ms;
	uint8_t key[16];
	bool has_key;
};

/*
 * Parse, and fill the spec with all but the streams. The caller deinits in any
 * case. 0 or an exit status after a report.
 */
must_check int start_opts_parse(struct start_opts *opts, struct ctl *ctl,
				int argc, char **argv);
void start_opts_deinit(struct start_opts *opts);

/* Print the plan of a spec (explain, --dry-run). The exit status. */
int explain_print(struct ctl *ctl, const struct nsexec_spec *spec);

/* explain enter, explain idmap: as enter, as the map options of run. */
int explain_enter(struct ctl *ctl, int argc, char **argv);
int explain_idmap(struct ctl *ctl, int argc, char **argv);

/* --pid-file: the number, by rename(2). 0 or -errno. */
must_check int pid_file_write(const char *path, pid_t pid);
/* --pidfd-socket: connect, send the descriptor with the text "pidfd". */
must_check int pidfd_socket_send(const char *path, int pidfd);

#endif
