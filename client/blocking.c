/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blocking layer: a call of calls.c, awaited, its record kept as the
 * connection's last error. Nothing here knows the wire.
 */
#include "config.h"

#include <errno.h>

#include "client/internal.h"
#include "lib/util.h"

static void
call_auto_free(struct nsexec_call **call)
{
	nsexec_call_free(*call);
}
#define call_auto __attribute__((cleanup(call_auto_free)))

/*
 * r: what starting the call returned. Await it and keep the error of either.
 */
static int
finish(struct nsexec *nsexec, int r, struct nsexec_call *call, const char *what)
{
	if (r < 0) {
		error_local(&nsexec->last_error, r, "send-request", what);
		return r;
	}
	r = nsexec_call_await(call, -1);
	if (r < 0 && nsexec_call_error(call)->code != NSEXEC_OK)
		nsexec->last_error = *nsexec_call_error(call);
	else if (r < 0)
		error_local(&nsexec->last_error, r, "await-answer", what);
	return r;
}

/* An answer that came but cannot be read. */
static int
result(struct nsexec *nsexec, int r, const char *what)
{
	if (r < 0)
		error_local(&nsexec->last_error, r, "read-answer", what);
	return r;
}

int
nsexec_version(struct nsexec *nsexec, struct nsexec_version **ret)
{
	call_auto struct nsexec_call *call = NULL;
	int r;

	r = nsexec_call_version(nsexec, &call);
	r = finish(nsexec, r, call, "Version");
	if (r < 0 || !ret)
		return r;
	return result(nsexec, nsexec_call_get_version(call, ret), "Version");
}

static int
finish_info(struct nsexec *nsexec, int r, struct nsexec_call *call,
	    const char *what, struct nsexec_info **ret)
{
	r = finish(nsexec, r, call, what);
	if (r < 0 || !ret)
		return r;
	return result(nsexec, nsexec_call_get_info(call, ret), what);
}

int
nsexec_create(struct nsexec *nsexec, const struct nsexec_spec *spec,
	      struct nsexec_info **ret)
{
	call_auto struct nsexec_call *call = NULL;
	int r = nsexec_call_create(nsexec, spec, NULL, &call);

	return finish_info(nsexec, r, call, "Create", ret);
}

int
nsexec_run(struct nsexec *nsexec, const struct nsexec_spec *spec,
	   struct nsexec_info **ret)
{
	call_auto struct nsexec_call *call = NULL;
	int r = nsexec_call_run(nsexec, spec, NULL, &call);

	return finish_info(nsexec, r, call, "Run", ret);
}

int
nsexec_exec(struct nsexec *nsexec, const char *id,
	    const struct nsexec_spec *spec, char **ret_exec_id, pid_t *ret_pid)
{
	call_auto struct nsexec_call *call = NULL;
	free_auto char *exec_id = NULL;
	int r;

	r = nsexec_call_exec(nsexec, id, spec, NULL, &call);
	r = finish(nsexec, r, call, "Exec");
	if (r < 0)
		return r;
	r = nsexec_call_get_exec(call, &exec_id, ret_pid, NULL);
	if (r >= 0 && ret_exec_id)
		*ret_exec_id = ptr_steal(&exec_id);
	return result(nsexec, r, "Exec");
}

int
nsexec_start(struct nsexec *nsexec, const char *id, struct nsexec_info **ret)
{
	call_auto struct nsexec_call *call = NULL;
	int r = nsexec_call_start(nsexec, id, &call);

	return finish_info(nsexec, r, call, "Start", ret);
}

int
nsexec_state(struct nsexec *nsexec, const char *id, struct nsexec_info **ret)
{
	call_auto struct nsexec_call *call = NULL;
	int r = nsexec_call_state(nsexec, id, &call);

	return finish_info(nsexec, r, call, "State", ret);
}

int
nsexec_list(struct nsexec *nsexec, struct nsexec_list **ret)
{
	call_auto struct nsexec_call *call = NULL;
	int r;

	r = nsexec_call_list(nsexec, &call);
	r = finish(nsexec, r, call, "List");
	if (r < 0 || !ret)
		return r;
	return result(nsexec, nsexec_call_get_list(call, ret), "List");
}

int
nsexec_wait(struct nsexec *nsexec, const char *id, const char *exec_id,
	    struct nsexec_exit *ret)
{
	call_auto struct nsexec_call *call = NULL;
	const struct nsexec_target target = { id, exec_id };
	int r;

	r = nsexec_call_wait(nsexec, &target, 0, &call);
	r = finish(nsexec, r, call, "Wait");
	if (r < 0 || !ret)
		return r;
	return result(nsexec, nsexec_call_get_exit(call, ret), "Wait");
}

int
nsexec_signal(struct nsexec *nsexec, const char *id, int sig, bool all)
{
	call_auto struct nsexec_call *call = NULL;
	const struct nsexec_target target = { id, NULL };
	int r = nsexec_call_signal(nsexec, &target, sig, all, &call);

	return finish(nsexec, r, call, "Signal");
}

int
nsexec_processes(struct nsexec *nsexec, const char *id,
		 struct nsexec_processes **ret)
{
	call_auto struct nsexec_call *call = NULL;
	int r;

	r = nsexec_call_processes(nsexec, id, &call);
	r = finish(nsexec, r, call, "Processes");
	if (r < 0 || !ret)
		return r;
	return result(nsexec, nsexec_call_get_processes(call, ret),
		      "Processes");
}

int
nsexec_delete(struct nsexec *nsexec, const char *id, bool force)
{
	call_auto struct nsexec_call *call = NULL;
	int r = nsexec_call_delete(nsexec, id, force, &call);

	return finish(nsexec, r, call, "Delete");
}

int
nsexec_metrics(struct nsexec *nsexec, char **ret)
{
	call_auto struct nsexec_call *call = NULL;
	int r;

	r = nsexec_call_metrics(nsexec, &call);
	r = finish(nsexec, r, call, "Metrics");
	if (r < 0 || !ret)
		return r;
	return result(nsexec, nsexec_call_get_metrics(call, ret), "Metrics");
}

int
nsexec_explain(struct nsexec *nsexec, const struct nsexec_spec *spec,
	       struct nsexec_plan **ret)
{
	call_auto struct nsexec_call *call = NULL;
	int r;

	r = nsexec_call_explain(nsexec, spec, &call);
	r = finish(nsexec, r, call, "Explain");
	if (r < 0 || !ret)
		return r;
	return result(nsexec, nsexec_call_get_plan(call, ret), "Explain");
}
