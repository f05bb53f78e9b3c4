/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The figures as text; see metrics_text.h. What has a label of an enumeration
 * is told for each of its values, but failures of starts, which are told where
 * there were any: stages times codes are too many to be of use.
 */
#include "daemon/metrics_text.h"

#include <config.h>

#include "lib/util.h"

static const char *const processes[METRICS_PROCESSES] = { "init", "exec" };

#define FAMILY(type, name, unit, help) \
	(&(const struct om_family){ "nsexecd_" name, type, unit, help })
#define LABELS(...) ((const struct om_label[]){ __VA_ARGS__, { NULL, NULL } })

static void
put_one(struct om_writer *writer, const struct om_family *family,
	uint64_t value)
{
	om_family(writer, family);
	om_number(writer, NULL, value);
}

static void
put_starts(struct om_writer *writer, const struct metrics *metrics)
{
	static const char *const methods[METRICS_START] = { "create", "run",
							    "exec" };
	const struct om_family *family =
		FAMILY(OM_COUNTER, "starts", NULL,
		       "Starts that were accepted, by method.");

	om_family(writer, family);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		om_number(writer, LABELS({ "method", methods[i] }),
			  metrics->starts[i]);
	family = FAMILY(OM_COUNTER, "programs_started", NULL,
			"Programs that were executed.");
	om_family(writer, family);
	for (size_t i = 0; i < METRICS_PROCESSES; i++)
		om_number(writer, LABELS({ "process", processes[i] }),
			  metrics->started[i]);
}

static void
put_failures(struct om_writer *writer, const struct metrics *metrics)
{
	om_family(writer,
		  FAMILY(OM_COUNTER, "start_failures", NULL,
			 "Accepted starts that failed, by stage and code."));
	for (unsigned int stage = 0; stage < N_STAGES; stage++) {
		for (unsigned int code = 0; code < N_ERRCODES; code++) {
			if (!metrics->failures[stage][code])
				continue;
			om_number(writer,
				  LABELS({ "stage", stage_name(stage) },
					 { "code", errcode_row(code)->name }),
				  metrics->failures[stage][code]);
		}
	}
	om_family(writer, FAMILY(OM_COUNTER, "errors", NULL,
				 "Errors that callers were answered."));
	for (unsigned int code = 1; code < N_ERRCODES; code++)
		om_number(writer, LABELS({ "code", errcode_row(code)->name }),
			  metrics->errors[code]);
	om_family(writer, FAMILY(OM_COUNTER, "quota_refusals", NULL,
				 "Of those, by the bound that was reached."));
	for (unsigned int i = 0; i < N_QUOTAS; i++)
		om_number(writer, LABELS({ "kind", quota_kind((enum quota)i) }),
			  metrics->quotas[i]);
}

static void
put_exits(struct om_writer *writer, const struct metrics *metrics)
{
	static const char *const kinds[N_METRICS_EXITS] = {
		[METRICS_EXIT_ZERO] = "zero",
		[METRICS_EXIT_CODE] = "code",
		[METRICS_EXIT_SIGNAL] = "signal",
		[METRICS_EXIT_UNKNOWN] = "unknown",
	};

	om_family(writer, FAMILY(OM_COUNTER, "exits", NULL,
				 "Ends of programs: with 0, another code, by a "
				 "signal, or the kernel could not say."));
	for (size_t i = 0; i < METRICS_PROCESSES; i++) {
		for (size_t kind = 0; kind < N_METRICS_EXITS; kind++)
			om_number(writer,
				  LABELS({ "process", processes[i] },
					 { "kind", kinds[kind] }),
				  metrics->exits[i][kind]);
	}
	put_one(writer,
		FAMILY(OM_COUNTER, "oom_kills", NULL,
		       "Processes that the OOM killer ended in containers."),
		metrics->oom_kills);
}

static void
put_histograms(struct om_writer *writer, const struct metrics *metrics)
{
	static const char *const phases[N_METRICS_PHASES] = {
		[METRICS_ADMIT] = "admit",
		[METRICS_SPAWN] = "spawn",
		[METRICS_SETUP] = "setup",
		[METRICS_EXECVE] = "exec",
	};
	static const char *const methods[N_METRICS_METHODS] = {
		[METRICS_CREATE] = "create",
		[METRICS_RUN] = "run",
		[METRICS_EXEC] = "exec",
		[METRICS_START] = "start",
	};

	om_family(writer, FAMILY(OM_HISTOGRAM, "start_phase_seconds", "seconds",
				 "Parts of starts that succeeded."));
	for (size_t i = 0; i < N_METRICS_PHASES; i++)
		om_histogram(writer, LABELS({ "phase", phases[i] }),
			     &metrics_start_bounds, &metrics->phases[i]);
	om_family(writer,
		  FAMILY(OM_HISTOGRAM, "start_duration_seconds", "seconds",
			 "From a request to what it asked for: created, or "
			 "the program runs."));
	for (size_t i = 0; i < N_METRICS_METHODS; i++)
		om_histogram(writer, LABELS({ "method", methods[i] }),
			     &metrics_start_bounds, &metrics->methods[i]);
	om_family(writer,
		  FAMILY(OM_HISTOGRAM, "program_duration_seconds", "seconds",
			 "From a program's start to its end, where this "
			 "nsexecd saw both."));
	om_histogram(writer, NULL, &metrics_life_bounds, &metrics->lives);
}

static void
put_tasks(struct om_writer *writer, const struct metrics_now *now)
{
	om_family(writer, FAMILY(OM_GAUGE, "containers", NULL,
				 "Containers, ended ones that are remembered "
				 "too."));
	for (int state = CONTAINER_CREATING; state <= CONTAINER_STOPPED;
	     state++)
		om_number(writer,
			  LABELS({ "state",
				   container_state_name(
					   (enum container_state)state) }),
			  now->containers[state]);
	put_one(writer,
		FAMILY(OM_GAUGE, "execs", NULL, "Live processes of Exec."),
		now->execs);
	put_one(writer,
		FAMILY(OM_GAUGE, "starts_in_flight", NULL, "Starts under way."),
		now->in_flight);
	put_one(writer,
		FAMILY(OM_GAUGE, "starts_awaiting_descriptors", NULL,
		       "Requests whose descriptors did not come yet."),
		now->awaiting_fds);
	put_one(writer,
		FAMILY(OM_GAUGE, "stuck_tasks", NULL,
		       "Killed tasks that do not go away."),
		now->stuck);
}

static void
put_server(struct om_writer *writer, const struct metrics_now *now)
{
	const struct server_counts *server = &now->server;

	put_one(writer,
		FAMILY(OM_GAUGE, "connections", NULL, "Open connections."),
		server->connections);
	put_one(writer,
		FAMILY(OM_GAUGE, "requests_in_flight", NULL,
		       "Calls that are being worked on, this one too."),
		server->requests);
	put_one(writer,
		FAMILY(OM_GAUGE, "waiting_calls", NULL,
		       "Calls of Wait, NextEvents and Events."),
		server->waiting);
	om_family(writer,
		  FAMILY(OM_GAUGE, "subscribers", NULL, "Readers of events."));
	om_number(writer, LABELS({ "kind", "stream" }), now->streams);
	om_number(writer, LABELS({ "kind", "poll" }), now->polls);
	om_family(writer, FAMILY(OM_GAUGE, "queued_bytes", "bytes",
				 "What callers have not read yet."));
	om_number(writer, LABELS({ "queue", "answers" }),
		  server->queued - server->queued_events);
	om_number(writer, LABELS({ "queue", "events" }), server->queued_events);
}

static void
put_instance(struct om_writer *writer, const struct metrics_now *now,
	     const struct metrics_instance *instance)
{
	om_family(writer, FAMILY(OM_GAUGE, "build_info", NULL,
				 "The version of nsexecd; always 1."));
	om_number(writer, LABELS({ "version", PACKAGE_VERSION }), 1);
	put_one(writer,
		FAMILY(OM_COUNTER, "restarts", NULL,
		       "Starts of nsexecd with these records after the first, "
		       "counted over restarts."),
		instance->restarts);
	put_one(writer,
		FAMILY(OM_COUNTER, "tasks_adopted", NULL,
		       "Live programs that this nsexecd took over from the one "
		       "before."),
		instance->adopted);
	put_one(writer,
		FAMILY(OM_GAUGE, "identities_pending", NULL,
		       "Connections of which it is being asked whose they "
		       "are."),
		now->server.held);
	put_one(writer,
		FAMILY(OM_GAUGE, "spawner_connected", NULL,
		       "1 while there is a connection to the spawner."),
		instance->spawner_connected);
	put_one(writer,
		FAMILY(OM_COUNTER, "spawner_connects", NULL,
		       "Connections to the spawner that were made."),
		instance->spawner_connects);
	put_one(writer,
		FAMILY(OM_GAUGE, "spawner_requests", NULL,
		       "Requests that the spawner has not answered."),
		instance->spawner_pending);
}

/* Not plain process_*: node_exporter has those of its own beside a textfile. */
static void
put_process(struct om_writer *writer, const struct metrics_instance *instance)
{
	om_family(writer, FAMILY(OM_GAUGE, "process_start_time_seconds",
				 "seconds", "When nsexecd began, since 1970."));
	om_seconds(writer, NULL, instance->began_ns);
	om_family(writer, FAMILY(OM_COUNTER, "process_cpu_seconds", "seconds",
				 "CPU time of nsexecd, user and system."));
	om_seconds(writer, NULL, instance->cpu_ns);
	put_one(writer,
		FAMILY(OM_GAUGE, "process_resident_memory_bytes", "bytes",
		       "Resident memory of nsexecd."),
		instance->resident_bytes);
	put_one(writer,
		FAMILY(OM_GAUGE, "process_virtual_memory_bytes", "bytes",
		       "Address space of nsexecd."),
		instance->virtual_bytes);
	if (instance->open_fds)
		put_one(writer,
			FAMILY(OM_GAUGE, "process_open_fds", NULL,
			       "Open descriptors of nsexecd."),
			instance->open_fds);
	put_one(writer,
		FAMILY(OM_GAUGE, "process_max_fds", NULL,
		       "Its limit of open descriptors."),
		instance->max_fds);
}

int
metrics_text(struct om_writer *writer, const struct metrics *metrics,
	     const struct metrics_now *now,
	     const struct metrics_instance *instance)
{
	put_starts(writer, metrics);
	put_failures(writer, metrics);
	put_exits(writer, metrics);
	put_histograms(writer, metrics);
	put_tasks(writer, now);
	put_server(writer, now);
	if (instance) {
		put_instance(writer, now, instance);
		put_process(writer, instance);
	}
	return om_end(writer);
}
