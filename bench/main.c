/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-driver: latency of every contestant in interleaved rounds, then the
 * rate of each. Prints one JSON object a line; bench/run.py reads them.
 *
 * Interleaved, because the machine's mood changes from second to second: each
 * round asks every contestant once, and the order rotates. Slow contestants
 * (commands) take part in every tenth round only.
 */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/commands.h"
#include "lib/clock.h"
#include "lib/sys.h"
#include "lib/text.h"
#include "lib/util.h"

#define COMMAND_EVERY 10
#define MAX_CONTESTANTS (COMMANDS_MAX + 3)

struct options {
	const char *payload;
	const char *socket;
	const char *commands;
	uint64_t rounds;
	uint64_t gap_ms;
	uint64_t in_flight;
	uint64_t seconds;
};

struct samples {
	uint64_t *pid_ns;
	uint64_t *exit_ns;
	size_t n;
	size_t n_pid;
};

struct bench {
	struct options options;
	struct contestant contestants[MAX_CONTESTANTS];
	size_t n;
	unsigned int number;
};

uint64_t
now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t
profile_flags(enum profile profile)
{
	static const uint64_t flags[N_PROFILES] = {
		[PROFILE_PMUI] = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS |
				 CLONE_NEWIPC,
		[PROFILE_ALL] = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS |
				CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWNET |
				CLONE_NEWCGROUP | CLONE_NEWTIME,
	};

	return flags[profile];
}

const char *
profile_name(enum profile profile)
{
	static const char *const names[N_PROFILES] = {
		[PROFILE_NONE] = "none",
		[PROFILE_PMUI] = "pmui",
		[PROFILE_ALL] = "all",
	};

	return names[profile];
}

static bool
can(const struct contestant *contestant, enum profile profile)
{
	return !contestant->commands || contestant->commands[profile].argv;
}

static int
once(struct bench *bench, const struct contestant *contestant,
     enum profile profile, struct sample *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (contestant->client)
		return client_once(contestant->client, profile,
				   contestant->plain, ret);
	if (contestant->commands)
		return command_once(&contestant->commands[profile],
				    bench->number++, ret);
	return floor_once(profile, bench->options.payload, ret);
}

static int
compare_u64(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double
percentile_us(const uint64_t *sorted, size_t n, unsigned int percent)
{
	if (n == 0)
		return 0;
	return (double)sorted[(n - 1) * percent / 100] / 1e3;
}

static void
latency_print(const struct bench *bench, const char *name, enum profile profile,
	      struct samples *s)
{
	qsort(s->exit_ns, s->n, sizeof(uint64_t), compare_u64);
	qsort(s->pid_ns, s->n_pid, sizeof(uint64_t), compare_u64);
	printf("{\"kind\":\"latency\",\"profile\":\"%s\",\"contestant\":\"%s\","
	       "\"gap_ms\":%lu,\"n\":%zu,\"n_pid\":%zu,"
	       "\"pid_p50_us\":%.1f,\"pid_p99_us\":%.1f,"
	       "\"exit_p50_us\":%.1f,\"exit_p99_us\":%.1f}\n",
	       profile_name(profile), name, bench->options.gap_ms, s->n,
	       s->n_pid, percentile_us(s->pid_ns, s->n_pid, 50),
	       percentile_us(s->pid_ns, s->n_pid, 99),
	       percentile_us(s->exit_ns, s->n, 50),
	       percentile_us(s->exit_ns, s->n, 99));
	fflush(stdout);
}

static int
fail(const struct contestant *contestant, enum profile profile, int r)
{
	fprintf(stderr, "bench: %s, profile %s: %s\n", contestant->name,
		profile_name(profile), strerror(-r));
	return r;
}

static void
gap_sleep(const struct bench *bench)
{
	struct timespec gap = {
		.tv_sec = (time_t)(bench->options.gap_ms / 1000),
		.tv_nsec = (long)(bench->options.gap_ms % 1000) * 1000000,
	};

	if (bench->options.gap_ms)
		nanosleep(&gap, NULL);
}

static int
round_run(struct bench *bench, enum profile profile, uint64_t round,
	  struct samples *samples)
{
	struct sample sample;
	size_t i, which;
	int r;

	for (i = 0; i < bench->n; i++) {
		which = (i + round) % bench->n;
		if (!can(&bench->contestants[which], profile))
			continue;
		if (bench->contestants[which].commands &&
		    round % COMMAND_EVERY != 0)
			continue;
		gap_sleep(bench);
		r = once(bench, &bench->contestants[which], profile, &sample);
		if (r == -ECHILD && bench->contestants[which].commands) {
			fprintf(stderr, "bench: %s failed a start\n",
				bench->contestants[which].name);
			continue;
		}
		if (r < 0)
			return fail(&bench->contestants[which], profile, r);
		if (sample.pid_ns)
			samples[which].pid_ns[samples[which].n_pid++] =
				sample.pid_ns;
		samples[which].exit_ns[samples[which].n++] = sample.exit_ns;
	}
	return 0;
}

static int
latency_run(struct bench *bench, enum profile profile)
{
	struct samples samples[MAX_CONTESTANTS] = { 0 };
	struct sample warm_up;
	uint64_t round;
	size_t i;
	int r = 0;

	for (i = 0; i < bench->n && r == 0; i++) {
		samples[i].pid_ns =
			calloc(bench->options.rounds, sizeof(uint64_t));
		samples[i].exit_ns =
			calloc(bench->options.rounds, sizeof(uint64_t));
		if (!samples[i].pid_ns || !samples[i].exit_ns)
			r = -ENOMEM;
		else if (can(&bench->contestants[i], profile))
			r = once(bench, &bench->contestants[i], profile,
				 &warm_up);
		if (r < 0)
			fail(&bench->contestants[i], profile, r);
	}
	for (round = 0; round < bench->options.rounds && r == 0; round++)
		r = round_run(bench, profile, round, samples);
	for (i = 0; i < bench->n; i++) {
		if (r == 0 && samples[i].n)
			latency_print(bench, bench->contestants[i].name,
				      profile, &samples[i]);
		free(samples[i].pid_ns);
		free(samples[i].exit_ns);
	}
	return r;
}

static int
rate_run(struct bench *bench, enum profile profile)
{
	const struct options *options = &bench->options;
	struct load load = { .in_flight = (unsigned int)options->in_flight,
			     .duration_ns = options->seconds * 1000000000 };
	size_t i;
	int r;

	for (i = 0; i < bench->n; i++) {
		struct contestant *contestant = &bench->contestants[i];
		struct rate rate = { 0 };

		if (!can(contestant, profile))
			continue;
		if (contestant->client)
			r = client_rate(contestant->client, profile,
					contestant->plain, &load, &rate);
		else
			r = process_rate(contestant, profile, options->payload,
					 &load, &rate);
		if (r < 0)
			return fail(contestant, profile, r);
		printf("{\"kind\":\"rate\",\"profile\":\"%s\","
		       "\"contestant\":\"%s\",\"in_flight\":%u,"
		       "\"per_second\":%.1f,\"failed\":%u}\n",
		       profile_name(profile), contestant->name, load.in_flight,
		       rate.per_second, rate.failed);
		fflush(stdout);
	}
	return 0;
}

static error_t
option_on(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	uint64_t *number = NULL;

	switch (key) {
	case 'p':
		options->payload = arg;
		break;
	case 's':
		options->socket = arg;
		break;
	case 'c':
		options->commands = arg;
		break;
	case 'n':
		number = &options->rounds;
		break;
	case 'g':
		number = &options->gap_ms;
		break;
	case 'k':
		number = &options->in_flight;
		break;
	case 't':
		number = &options->seconds;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	if (number && text_parse_u64(arg, 1000000, number) < 0)
		argp_error(state, "not a number: %s", arg);
	return 0;
}

static const struct argp_option OPTION_TABLE[] = {
	{ "payload", 'p', "PATH", 0, "the program to start", 0 },
	{ "socket", 's', "PATH", 0, "the daemon's RPC socket", 0 },
	{ "commands", 'c', "FILE", 0, "other contestants", 0 },
	{ "rounds", 'n', "N", 0, "latency rounds of each profile", 0 },
	{ "gap-ms", 'g', "MS", 0, "idle time before each start", 0 },
	{ "in-flight", 'k', "N", 0, "starts at once, for rates", 0 },
	{ "seconds", 't', "S", 0, "length of each rate run; 0: none", 0 },
	{ 0 },
};

/* The floor first, then the daemon twice: as little as the floor, and all. */
static int
contestants_open(struct bench *bench, struct command_list *list)
{
	struct client *client = NULL;
	int r = 0;

	bench->contestants[bench->n++] = (struct contestant){ .name = "floor" };
	if (bench->options.socket) {
		r = client_open(bench->options.socket, bench->options.payload,
				&client);
		bench->contestants[bench->n++] = (struct contestant){
			.name = "nsexecd", .client = client, .plain = true
		};
		bench->contestants[bench->n++] =
			(struct contestant){ .name = "nsexecd+proc+lo",
					     .client = client };
	}
	if (r == 0 && bench->options.commands)
		r = command_list_read(bench->options.commands, list);
	memcpy(&bench->contestants[bench->n], list->contestants,
	       list->n * sizeof(list->contestants[0]));
	bench->n += list->n;
	return r;
}

int
main(int argc, char **argv)
{
	static const struct argp argp = {
		OPTION_TABLE, option_on,
		NULL,	      "Measure starts; see bench/run.py.",
		NULL,	      NULL,
		NULL
	};
	struct bench bench = { .options = { .rounds = 100, .in_flight = 8 } };
	struct command_list list = { .n = 0 };
	int profile, r;

	argp_parse(&argp, argc, argv, 0, NULL, &bench.options);
	if (!bench.options.payload) {
		fprintf(stderr, "bench: --payload is missing\n");
		return 2;
	}
	r = contestants_open(&bench, &list);
	if (r < 0)
		fprintf(stderr, "bench: %s\n", strerror(-r));
	for (profile = 0; profile < N_PROFILES && r == 0; profile++) {
		r = latency_run(&bench, (enum profile)profile);
		if (r == 0 && bench.options.seconds)
			r = rate_run(&bench, (enum profile)profile);
	}
	return r < 0;
}
