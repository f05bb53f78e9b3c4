/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the answer of a call: each function unpacks one response message and
 * gives a plain result, in one heap block that owns the message.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/internal.h"
#include "lib/util.h"

/* A decoded answer that a cleanup local owns. */
static void
message_auto_free(ProtobufCMessage **message)
{
	if (*message)
		protobuf_c_message_free_unpacked(*message, NULL);
}
#define message_auto __attribute__((cleanup(message_auto_free)))

static void
copy_epoch(uint8_t epoch[16], const ProtobufCBinaryData *bytes)
{
	if (bytes->len == 16)
		memcpy(epoch, bytes->data, 16);
}

static const char *
text_or_empty(const char *text)
{
	return text ? text : "";
}

int
nsexec_call_get_info(const struct nsexec_call *call, struct nsexec_info **ret)
{
	message_auto ProtobufCMessage *message = NULL;
	Nsexec__V1__ContainerInfo **info = NULL;
	int r;

	/* Four methods, one shape. */
	r = call_unpack(call, call->response, &message);
	if (r < 0)
		return r;
	if (call->response == &nsexec__v1__run_response__descriptor)
		info = &((Nsexec__V1__RunResponse *)message)->info;
	else if (call->response == &nsexec__v1__create_response__descriptor)
		info = &((Nsexec__V1__CreateResponse *)message)->info;
	else if (call->response == &nsexec__v1__start_response__descriptor)
		info = &((Nsexec__V1__StartResponse *)message)->info;
	else if (call->response == &nsexec__v1__state_response__descriptor)
		info = &((Nsexec__V1__StateResponse *)message)->info;
	if (!info)
		return -EBADMSG;
	return info_take_message(ptr_steal(info), ret);
}

int
nsexec_call_get_oci_state(const struct nsexec_call *call, char **ret)
{
	message_auto ProtobufCMessage *message = NULL;
	const Nsexec__V1__StateResponse *response;
	char *text;
	int r;

	r = call_unpack(call, &nsexec__v1__state_response__descriptor,
			&message);
	if (r < 0)
		return r;
	response = (const Nsexec__V1__StateResponse *)message;
	text = strndup((const char *)response->oci_json.data,
		       response->oci_json.len);
	if (!text)
		return -ENOMEM;
	*ret = text;
	return 0;
}

int
nsexec_call_get_metrics(const struct nsexec_call *call, char **ret)
{
	message_auto ProtobufCMessage *message = NULL;
	Nsexec__V1__MetricsResponse *response;
	char *text;
	int r;

	r = call_unpack(call, &nsexec__v1__metrics_response__descriptor,
			&message);
	if (r < 0)
		return r;
	response = (Nsexec__V1__MetricsResponse *)message;
	if (!response->text)
		return -EBADMSG;
	text = strdup(response->text);
	if (!text)
		return -ENOMEM;
	*ret = text;
	return 0;
}

int
nsexec_call_get_exit(const struct nsexec_call *call, struct nsexec_exit *ret)
{
	message_auto ProtobufCMessage *message = NULL;
	const Nsexec__V1__WaitResponse *response;
	int r;

	r = call_unpack(call, &nsexec__v1__wait_response__descriptor, &message);
	if (r < 0)
		return r;
	response = (const Nsexec__V1__WaitResponse *)message;
	if (!response->exit)
		return -EBADMSG;
	exit_from_message(ret, response->exit);
	return 0;
}

int
nsexec_call_get_exec(const struct nsexec_call *call, char **ret_exec_id,
		     pid_t *ret_pid, uint64_t *ret_pid_inode)
{
	message_auto ProtobufCMessage *message = NULL;
	const Nsexec__V1__ExecResponse *response;
	char *exec_id;
	int r;

	r = call_unpack(call, &nsexec__v1__exec_response__descriptor, &message);
	if (r < 0)
		return r;
	response = (const Nsexec__V1__ExecResponse *)message;
	exec_id = strdup(text_or_empty(response->exec_id));
	if (!exec_id)
		return -ENOMEM;
	if (ret_pid)
		*ret_pid = response->has_pid ? response->pid : 0;
	if (ret_pid_inode)
		*ret_pid_inode =
			response->has_pid_inode ? response->pid_inode : 0;
	*ret_exec_id = exec_id;
	return 0;
}

struct nsexec_list *
nsexec_list_free(struct nsexec_list *list)
{
	if (!list)
		return NULL;
	for (size_t i = 0; i < list->n_items; i++)
		nsexec_info_free(list->items[i]);
	free(list->items);
	free(list);
	return NULL;
}

int
nsexec_call_get_list(const struct nsexec_call *call, struct nsexec_list **ret)
{
	message_auto ProtobufCMessage *message = NULL;
	Nsexec__V1__ListResponse *response;
	struct nsexec_list *list;
	int r;

	r = call_unpack(call, &nsexec__v1__list_response__descriptor, &message);
	if (r < 0)
		return r;
	response = (Nsexec__V1__ListResponse *)message;
	list = calloc(1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	list->items = calloc(response->n_containers + 1,
			     sizeof(struct nsexec_info *));
	r = list->items ? 0 : -ENOMEM;
	for (size_t i = 0; i < response->n_containers && r >= 0; i++) {
		r = info_take_message(ptr_steal(&response->containers[i]),
				      &list->items[i]);
		if (r >= 0)
			list->n_items++;
	}
	if (r < 0) {
		nsexec_list_free(list);
		return r;
	}
	copy_epoch(list->epoch, &response->epoch);
	list->as_of_seq = response->has_as_of_seq ? response->as_of_seq : 0;
	*ret = list;
	return 0;
}

struct version_block {
	struct nsexec_version version;
	ProtobufCMessage *message;
	struct nsexec_feature features[];
};

struct nsexec_version *
nsexec_version_free(struct nsexec_version *version)
{
	struct version_block *block = (struct version_block *)version;

	if (!block)
		return NULL;
	message_auto_free(&block->message);
	free(block);
	return NULL;
}

int
nsexec_call_get_version(const struct nsexec_call *call,
			struct nsexec_version **ret)
{
	message_auto ProtobufCMessage *message = NULL;
	const Nsexec__V1__VersionResponse *response;
	struct version_block *block;
	int r;

	r = call_unpack(call, &nsexec__v1__version_response__descriptor,
			&message);
	if (r < 0)
		return r;
	response = (const Nsexec__V1__VersionResponse *)message;
	block = calloc(1, sizeof(*block) + response->n_features *
						   sizeof(*block->features));
	if (!block)
		return -ENOMEM;
	for (size_t i = 0; i < response->n_features; i++) {
		const Nsexec__V1__Feature *from = response->features[i];

		block->features[i] = (struct nsexec_feature){
			.name = text_or_empty(from->name),
			.present = from->has_present && from->present,
			.detail = from->detail,
		};
	}
	block->version = (struct nsexec_version){
		.version = text_or_empty(response->version),
		.api = text_or_empty(response->api),
		.kernel = text_or_empty(response->kernel),
		.pid = response->has_pid ? response->pid : 0,
		.features = block->features,
		.n_features = response->n_features,
		.last_seq = response->has_last_seq ? response->last_seq : 0,
	};
	copy_epoch(block->version.epoch, &response->epoch);
	block->message = ptr_steal(&message);
	*ret = &block->version;
	return 0;
}

struct processes_block {
	struct nsexec_processes processes;
	ProtobufCMessage *message;
	struct nsexec_process items[];
};

struct nsexec_processes *
nsexec_processes_free(struct nsexec_processes *list)
{
	struct processes_block *block = (struct processes_block *)list;

	if (!block)
		return NULL;
	message_auto_free(&block->message);
	free(block);
	return NULL;
}

int
nsexec_call_get_processes(const struct nsexec_call *call,
			  struct nsexec_processes **ret)
{
	message_auto ProtobufCMessage *message = NULL;
	const Nsexec__V1__ProcessesResponse *response;
	struct processes_block *block;
	int r;

	r = call_unpack(call, &nsexec__v1__processes_response__descriptor,
			&message);
	if (r < 0)
		return r;
	response = (const Nsexec__V1__ProcessesResponse *)message;
	block = calloc(1, sizeof(*block) + response->n_processes *
						   sizeof(*block->items));
	if (!block)
		return -ENOMEM;
	for (size_t i = 0; i < response->n_processes; i++) {
		block->items[i].pid = response->processes[i]->pid;
		block->items[i].name =
			text_or_empty(response->processes[i]->name);
	}
	block->processes.items = block->items;
	block->processes.n_items = response->n_processes;
	block->message = ptr_steal(&message);
	*ret = &block->processes;
	return 0;
}

struct plan_block {
	struct nsexec_plan plan;
	ProtobufCMessage *message;
	struct nsexec_step steps[];
};

struct nsexec_plan *
nsexec_plan_free(struct nsexec_plan *plan)
{
	struct plan_block *block = (struct plan_block *)plan;

	if (!block)
		return NULL;
	message_auto_free(&block->message);
	free(block);
	return NULL;
}

int
nsexec_call_get_plan(const struct nsexec_call *call, struct nsexec_plan **ret)
{
	message_auto ProtobufCMessage *message = NULL;
	const Nsexec__V1__ExplainResponse *response;
	struct plan_block *block;
	int r;

	r = call_unpack(call, &nsexec__v1__explain_response__descriptor,
			&message);
	if (r < 0)
		return r;
	response = (const Nsexec__V1__ExplainResponse *)message;
	block = calloc(1, sizeof(*block) +
				  response->n_steps * sizeof(*block->steps));
	if (!block)
		return -ENOMEM;
	for (size_t i = 0; i < response->n_steps; i++) {
		const Nsexec__V1__ExplainStep *from = response->steps[i];

		block->steps[i] = (struct nsexec_step){
			.stage = text_or_empty(from->stage),
			.step = text_or_empty(from->step),
			.detail = text_or_empty(from->detail),
			.decides = text_or_empty(from->decides),
			.refused = from->has_refused && from->refused,
		};
	}
	block->plan.steps = block->steps;
	block->plan.n_steps = response->n_steps;
	block->plan.bootstrap = response->bootstrap.data;
	block->plan.bootstrap_size = response->bootstrap.len;
	block->message = ptr_steal(&message);
	*ret = &block->plan;
	return 0;
}

int
nsexec_call_get_cancelled(const struct nsexec_call *call, bool *ret)
{
	message_auto ProtobufCMessage *message = NULL;
	const Nsexec__V1__CancelResponse *response;
	int r;

	r = call_unpack(call, &nsexec__v1__cancel_response__descriptor,
			&message);
	if (r < 0)
		return r;
	response = (const Nsexec__V1__CancelResponse *)message;
	*ret = response->has_cancelled && response->cancelled;
	return 0;
}

struct nsexec_batch *
nsexec_batch_free(struct nsexec_batch *batch)
{
	if (!batch)
		return NULL;
	for (size_t i = 0; i < batch->n_items; i++)
		nsexec_event_free(batch->items[i]);
	free(batch->items);
	free(batch);
	return NULL;
}

int
nsexec_call_get_batch(const struct nsexec_call *call, struct nsexec_batch **ret)
{
	message_auto ProtobufCMessage *message = NULL;
	Nsexec__V1__NextEventsResponse *response;
	struct nsexec_batch *batch;
	int r;

	r = call_unpack(call, &nsexec__v1__next_events_response__descriptor,
			&message);
	if (r < 0)
		return r;
	response = (Nsexec__V1__NextEventsResponse *)message;
	batch = calloc(1, sizeof(*batch));
	if (!batch)
		return -ENOMEM;
	batch->items =
		calloc(response->n_events + 1, sizeof(struct nsexec_event *));
	r = batch->items ? 0 : -ENOMEM;
	for (size_t i = 0; i < response->n_events && r >= 0; i++) {
		r = event_take_message(ptr_steal(&response->events[i]),
				       &batch->items[i]);
		if (r >= 0)
			batch->n_items++;
	}
	if (r < 0) {
		nsexec_batch_free(batch);
		return r;
	}
	copy_epoch(batch->epoch, &response->epoch);
	batch->next_seq = response->has_next_seq ? response->next_seq : 0;
	*ret = batch;
	return 0;
}
