/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nsexec [PROGRAM [ARGUMENT...]], started by a runtime as it would start
 * "runc init": _LIBCONTAINER_INITPIPE names the socket where the bootstrap
 * message comes and the pid report goes, NSEXEC_DIALECT the era. Without
 * an init pipe it does nothing, as runc's constructor does nothing.
 *
 * Exit status: 0, or 1 with one fatal record. PROGRAM runs as stage-2; without
 * one stage-2 ends with 0.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "config.h"
#include "lib/fd.h"
#include "lib/sys.h"
#include "lib/util.h"
#include "spawn/nsexec_program.h"

static const struct nsexec_era eras[] = {
	{ .dialect = DIALECT_D1,
	  .drops_groups = true,
	  .report = NSEXEC_REPORT_PID,
	  .setgroups = NSEXEC_SETGROUPS_2016 },
	{ .dialect = DIALECT_D2,
	  .drops_groups = true,
	  .report = NSEXEC_REPORT_PID,
	  .setgroups = NSEXEC_SETGROUPS_2016 },
	{ .dialect = DIALECT_M0,
	  .report = NSEXEC_REPORT_PID_FIRST,
	  .setgroups = NSEXEC_SETGROUPS_RC5 },
	{ .dialect = DIALECT_M1,
	  .nul_byte = true,
	  .cgroup_byte = true,
	  .json_log = true,
	  .report = NSEXEC_REPORT_STAGES,
	  .setgroups = NSEXEC_SETGROUPS_MODERN },
	{ .dialect = DIALECT_M2,
	  .nul_byte = true,
	  .json_log = true,
	  .report = NSEXEC_REPORT_STAGES,
	  .setgroups = NSEXEC_SETGROUPS_MODERN },
	{ .dialect = DIALECT_M3,
	  .json_log = true,
	  .report = NSEXEC_REPORT_STAGES,
	  .setgroups = NSEXEC_SETGROUPS_MODERN },
};
_Static_assert(ARRAY_SIZE(eras) == DIALECT_NX - DIALECT_D1,
	       "every dialect of runc has its row");

const struct nsexec_era *
nsexec_era_find(enum dialect dialect)
{
	for (size_t i = 0; i < ARRAY_SIZE(eras); i++)
		if (eras[i].dialect == dialect)
			return &eras[i];
	return NULL;
}

static void
options_parse(struct nsexec *self, int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};

	switch (getopt_long(argc, argv, "+hV", options, NULL)) {
	case -1:
		self->argv = argv + optind;
		return;
	case 'h':
		printf("Usage: nsexec [PROGRAM [ARGUMENT...]]\n"
		       "Bootstraps a container for a runc-like parent: reads "
		       "the bootstrap message from\n"
		       "_LIBCONTAINER_INITPIPE in the dialect NSEXEC_DIALECT "
		       "(D1, D2, M0, M1, M2 or M3, the\n"
		       "default), reports the pids, and executes PROGRAM in "
		       "the namespaces.\n");
		exit(EXIT_SUCCESS);
	case 'V':
		printf("nsexec (%s) %s\n", PACKAGE_NAME, PACKAGE_VERSION);
		exit(EXIT_SUCCESS);
	default:
		exit(2);
	}
}

/* fds -1, the newest era, and no signal that could end a stage unheard. */
static void
init_self(struct nsexec *self)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction normal = { .sa_handler = SIG_DFL };

	self->era = nsexec_era_find(DIALECT_M3);
	self->log = (struct nsexec_log){ .fd = -1,
					 .level = NSEXEC_LOG_DEBUG,
					 .json = true,
					 .stage = "nsexec" };
	self->init_fd = self->console_fd = -1;
	self->peer_socks[0] = self->peer_socks[1] = -1;
	self->parent_pidfd = -1;
	self->known[0].pidfd = self->known[1].pidfd = -1;
	self->stage1_sock[0] = self->stage1_sock[1] = -1;
	self->stage2_sock[0] = self->stage2_sock[1] = -1;
	nsjoin_init(&self->joins, STAGE_NONE, -1);
	(void)sigaction(SIGPIPE, &ignore, &self->old_sigpipe);
	(void)sigaction(SIGCHLD, &normal, &self->old_sigchld);
}

static void
choose_era(struct nsexec *self)
{
	const char *name = getenv("NSEXEC_DIALECT");
	const struct nsexec_era *era = self->era;

	if (name && *name)
		era = nsexec_era_find(dialect_parse(name));
	if (era) {
		self->era = era;
		self->log.json = era->json_log;
	}
	nsexec_env_log(self);
	if (!era)
		die(self, 0,
		    "unknown dialect NSEXEC_DIALECT=%s (known: D1, "
		    "D2, M0, M1, M2, M3)",
		    name);
}

/* Before dumpable changes: a non-dumpable ordinary user could not write it. */
static void
write_oom_score(struct nsexec *self)
{
	const char *text = self->msg.oom_score_adj;
	fd_auto int fd = -1;

	if (!bootstrap_has(&self->msg, BOOTSTRAP_OOM_SCORE_ADJ))
		return;
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		die(self, errno, "failed to open /proc/self/oom_score_adj");
	if (write(fd, text, strlen(text)) < 0)
		die(self, errno,
		    "failed to update /proc/self/oom_score_adj to %s", text);
}

/* All of them, before the first is joined. */
static void
open_joins(struct nsexec *self)
{
	bool bare = self->era->dialect == DIALECT_D1;
	struct failure failure = { 0 };

	if (!bootstrap_has(&self->msg, BOOTSTRAP_NS_PATHS))
		return;
	if (nsjoin_add_texts(&self->joins, self->msg.ns_paths, bare, &failure) <
	    0)
		die_failure(self, &failure);
	if (self->joins.n == 0)
		die(self, 0, "ns paths are empty");
	self->joins_any = true;
	/* A container's processes must not look into one that is on its way. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		die(self, errno, "failed to become non-dumpable");
}

static void
remember_death_signal(struct nsexec *self)
{
	if (prctl(PR_GET_PDEATHSIG, &self->death_signal) < 0 ||
	    self->death_signal == 0)
		return;
	self->parent_pidfd = sys_pidfd_open(getppid());
	if (self->parent_pidfd < 0)
		die(self, -self->parent_pidfd, "failed to open the parent");
}

/* Eras whose report has room for stage-1: it is the parent's to reap. */
static _Noreturn void
run_with_sibling(struct nsexec *self)
{
	pid_t pid = nsexec_clone(self, CLONE_PARENT, &self->known[0].pidfd);

	if (pid == 0) {
		self->log.stage = "nsexec-1";
		nsexec_name_process("runc:[1:CHILD]");
		nsexec_inside_run(self);
		_exit(EXIT_SUCCESS);
	}
	self->log.stage = "nsexec-0";
	self->stage1_pid = self->mapped_pid = pid;
	nsjoin_deinit(&self->joins);
	nsexec_outside_run(self);
}

/* 2016: the parent reaps stage-0 and manages one pid, so no more may exist. */
static _Noreturn void
run_with_helper(struct nsexec *self)
{
	struct nsexec_known *helper = &self->known[1];
	struct nsexec_exit end;
	pid_t self_pid = getpid();
	int r;

	if (nsexec_clone(self, 0, &helper->pidfd) == 0) {
		self->stage1_pid = self->mapped_pid = self_pid;
		nsjoin_deinit(&self->joins);
		nsexec_outside_run(self);
	}
	helper->own = true;
	nsexec_inside_run(self);
	r = nsexec_child_wait(helper->pidfd, NSEXEC_STAGE_TIMEOUT_MS, &end);
	if (r < 0)
		die(self, -r, "failed to wait for the helper");
	fd_close(&helper->pidfd);
	if (!end.exited || end.status != 0)
		die_quietly(self);
	_exit(EXIT_SUCCESS);
}

int
main(int argc, char **argv)
{
	struct nsexec self = { 0 };
	const char nul = 0;

	options_parse(&self, argc, argv);
	init_self(&self);
	choose_era(&self);
	if (!nsexec_env_init_pipe(&self))
		return EXIT_SUCCESS;
	nsexec_env_close_others(&self);
	remember_death_signal(&self);
	nsexec_log_write(&self.log, NSEXEC_LOG_DEBUG,
			 "=> nsexec container setup");
	if (self.era->nul_byte && write(self.init_fd, &nul, 1) != 1)
		die(&self, errno, "failed to write the first byte");
	nsexec_input_read(&self);
	write_oom_score(&self);
	nsexec_name_process("runc:[0:PARENT]");
	if (self.era->dialect != DIALECT_D1 ||
	    !nsexec_input_console_after_joins(&self))
		nsexec_console_open(&self);
	open_joins(&self);
	nsexec_sync_open(&self);
	if (self.era->report == NSEXEC_REPORT_PID)
		run_with_helper(&self);
	run_with_sibling(&self);
}
