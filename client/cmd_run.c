/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run: create, start and wait. create: the same up to the gate.
 *
 * The fast path is two round trips on one connection, Run and Wait. A record
 * that a foreground run leaves is deleted at its end, as runc does; --keep and
 * -d keep it.
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client/foreground.h"
#include "client/start_opts.h"
#include "lib/fd.h"
#include "lib/util.h"

static void
call_auto_free(struct nsexec_call **call)
{
	nsexec_call_free(*call);
}
#define call_auto __attribute__((cleanup(call_auto_free)))

/* One JSON line to a descriptor that is the user's; a closed one is theirs. */
static void
write_line(int fd, json_t *value)
{
	free_auto char *text = json_dumps(value, JSON_COMPACT);

	json_decref(value);
	if (fd >= 0 && text)
		(void)dprintf(fd, "%s\n", text);
}

static void
write_infos(const struct start_opts *opts, const struct nsexec_info *info)
{
	json_t *status;

	if (opts->info_fd >= 0) {
		status = ctl_json_info(info);
		json_object_set_new(status, "child-pid",
				    json_integer(info->pid));
		write_line(opts->info_fd, status);
	}
	if (opts->status_fd >= 0) {
		status = json_object();
		json_object_set_new(status, "child-pid",
				    json_integer(info->pid));
		json_object_set_new(status, "id", ctl_json_text(info->id));
		write_line(opts->status_fd, status);
	}
}

/* --pid-file and --pidfd-socket. 0 or an exit status after a report. */
static int
hand_out_pid(const struct start_opts *opts, const struct nsexec_info *info,
	     int pidfd)
{
	int r;

	if (opts->pid_file) {
		r = pid_file_write(opts->pid_file, info->pid);
		if (r < 0)
			return ctl_report_local(opts->ctl, r, "write",
						opts->pid_file);
	}
	if (opts->pidfd_socket) {
		r = pidfd_socket_send(opts->pidfd_socket, pidfd);
		if (r < 0)
			return ctl_report_local(opts->ctl, r,
						"send the pidfd to",
						opts->pidfd_socket);
	}
	return 0;
}

static void
print_started(struct ctl *ctl, const struct nsexec_info *info)
{
	if (ctl_json(ctl))
		ctl_print_json(ctl, ctl_json_info(info));
	else
		puts(info->id);
}

/*
 * Remove the record. Nobody can ask for a nameless one again, so its answer is
 * not awaited, unless nsexecd was restarted and perhaps is just now: it would
 * go with us. A name must be free when we return.
 */
static void
delete_record(const struct start_opts *opts, const char *id)
{
	call_auto struct nsexec_call *call = NULL;

	if (opts->keep ||
	    nsexec_call_delete(opts->ctl->nsexec, id, false, &call) < 0)
		return;
	if (opts->name || nsexec_reconnects(opts->ctl->nsexec))
		(void)!nsexec_call_await(call, 5000);
}

/* Die as the program died, without a core of our own. */
static void
mirror_signal(int sig)
{
	const struct rlimit none = { 0, 0 };
	sigset_t mask;

	(void)setrlimit(RLIMIT_CORE, &none);
	(void)signal(sig, SIG_DFL);
	sigemptyset(&mask);
	sigaddset(&mask, sig);
	(void)sigprocmask(SIG_UNBLOCK, &mask, NULL);
	(void)raise(sig);
}

static int
finish(struct start_opts *opts, struct foreground *foreground)
{
	struct nsexec_exit exit_info;
	json_t *status;
	int r = foreground_wait(foreground, &exit_info);

	if (r != 0 && r != CTL_TIMEOUT)
		return r;
	if (r == 0 && opts->status_fd >= 0) {
		status = json_object();
		json_object_set_new(status, "exit-code",
				    json_integer(ctl_exit_status(&exit_info)));
		write_line(opts->status_fd, status);
	}
	delete_record(opts, foreground->id);
	if (r != 0)
		return r;
	if (exit_info.unknown)
		ctl_warn(opts->ctl, "the exit status is not known");
	if (opts->mirror_signal && exit_info.signal)
		mirror_signal(exit_info.signal);
	return ctl_exit_status(&exit_info);
}

/* After the answer. The exit status. */
static int
follow(struct start_opts *opts, struct foreground *foreground)
{
	int status;

	write_infos(opts, foreground->info);
	status = hand_out_pid(opts, foreground->info, foreground->pidfd);
	if (status) {
		(void)!nsexec_delete(opts->ctl->nsexec, foreground->id, true);
		return status;
	}
	if (!opts->detach)
		return finish(opts, foreground);
	print_started(opts->ctl, foreground->info);
	return CTL_OK;
}

static int
run(struct start_opts *opts)
{
	struct ctl *ctl = opts->ctl;
	struct foreground foreground = {
		.ctl = ctl,
		.spec = opts->spec,
		.want_pidfd = opts->pidfd_socket != NULL,
		.forward = !opts->no_forward && !opts->detach,
		.timeout_ms = opts->timeout_ms,
		.own_key = !opts->has_key,
		.name = opts->name,
	};
	char id[FOREGROUND_ID_MAX];
	int status, r;

	memcpy(foreground.key, opts->key, sizeof(foreground.key));
	r = foreground_init(&foreground);
	if (r >= 0 && !opts->has_key)
		r = nsexec_key_new(foreground.key);
	if (r < 0)
		return ctl_report_local(ctl, r, "set up", "signals");
	/* An id of our own making, so that a failed start can be deleted. */
	if (!opts->name)
		nsexec_spec_id(opts->spec,
			       foreground_key_text(&foreground, id));
	status = foreground_start(&foreground);
	if (status == 0)
		status = follow(opts, &foreground);
	else if (foreground.failed_late)
		delete_record(opts, opts->name ? opts->name
					       : foreground_key_text(
							 &foreground, id));
	foreground_deinit(&foreground);
	return status;
}

static int
run_parsed(struct start_opts *opts)
{
	struct ctl *ctl = opts->ctl;
	int status;

	if (opts->dry_run) {
		status = ctl_connect(ctl);
		return status ? status : explain_print(ctl, opts->spec);
	}
	if (opts->detach && opts->lease)
		return ctl_usage(ctl, "--lease needs the foreground: it ends "
				      "with our connection");
	if (opts->detach && opts->timeout_ms)
		return ctl_usage(ctl, "--timeout needs the foreground: it is "
				      "we who keep the time");
	status = stdio_opts_apply(ctl, &opts->stdio, !opts->detach);
	if (!status)
		status = ctl_connect(ctl);
	return status ? status : run(opts);
}

int
cmd_run(struct ctl *ctl, int argc, char **argv)
{
	struct start_opts opts;
	int status = start_opts_parse(&opts, ctl, argc, argv);

	if (!status)
		status = run_parsed(&opts);
	start_opts_deinit(&opts);
	return status;
}

static int
create(struct start_opts *opts)
{
	struct ctl *ctl = opts->ctl;
	const struct nsexec_start start = {
		.key = opts->has_key ? opts->key : NULL,
		.want_pidfd = opts->pidfd_socket != NULL,
	};
	call_auto struct nsexec_call *call = NULL;
	struct nsexec_info *info = NULL;
	fd_auto int pidfd = -1;
	uint64_t sent_us = ctl_trace_now();
	int status, r;

	r = nsexec_call_create(ctl->nsexec, opts->spec, &start, &call);
	if (r >= 0) {
		r = nsexec_call_await(call, -1);
		ctl_trace_print(ctl, "Create", call, sent_us);
	}
	if (r >= 0)
		r = nsexec_call_get_info(call, &info);
	if (r < 0)
		return ctl_report_call(ctl, r, call);
	if (opts->pidfd_socket)
		pidfd = nsexec_call_take_pidfd(call);
	write_infos(opts, info);
	status = hand_out_pid(opts, info, pidfd);
	if (status)
		(void)!nsexec_delete(ctl->nsexec, info->id, true);
	else
		print_started(ctl, info);
	nsexec_info_free(info);
	return status;
}

int
cmd_create(struct ctl *ctl, int argc, char **argv)
{
	struct start_opts opts;
	int status = start_opts_parse(&opts, ctl, argc, argv);

	if (!status && opts.lease && !opts.dry_run)
		status = ctl_usage(ctl, "--lease belongs to run: it ends with "
					"our connection, and create returns");
	if (!status && (opts.detach || opts.timeout_ms || opts.mirror_signal))
		status = ctl_usage(ctl, "-d, --timeout and --mirror-signal "
					"belong to run: create always returns");
	if (!status)
		status = stdio_opts_apply(ctl, &opts.stdio, false);
	if (!status)
		status = ctl_connect(ctl);
	if (!status)
		status = opts.dry_run ? explain_print(ctl, opts.spec)
				      : create(&opts);
	start_opts_deinit(&opts);
	return status;
}
