/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts per second of contestants whose payloads are children of the driver:
 * a fixed number is in flight; each one that ends is replaced at once.
 */
#include <errno.h>
#include <poll.h>
#include <sys/wait.h>

#include "bench/bench.h"
#include "lib/fd.h"

#define MAX_IN_FLIGHT 64

struct flight {
	pid_t pids[MAX_IN_FLIGHT];
	struct pollfd polls[MAX_IN_FLIGHT];
	unsigned int number;
};

static int
flight_start(struct flight *flight, unsigned int slot,
	     const struct contestant *contestant, enum profile profile,
	     const char *payload)
{
	int pidfd = -1, r;

	if (contestant->commands)
		r = command_start(&contestant->commands[profile],
				  flight->number++, -1, &flight->pids[slot],
				  &pidfd);
	else
		r = floor_start(profile, payload, &flight->pids[slot], &pidfd);
	flight->polls[slot] = (struct pollfd){ .fd = pidfd, .events = POLLIN };
	return r;
}

/* 1: it did what it should; 0: it ended otherwise; -errno. */
static int
flight_reap(struct flight *flight, unsigned int slot)
{
	int status;

	if (waitpid(flight->pids[slot], &status, 0) < 0)
		return -errno;
	fd_close(&flight->polls[slot].fd);
	return status == 0;
}

int
process_rate(const struct contestant *contestant, enum profile profile,
	     const char *payload, const struct load *load, struct rate *ret)
{
	uint64_t began = now_ns(), end = began + load->duration_ns;
	struct flight flight = { .number = 1000000 };
	unsigned int i, done = 0, live = 0;
	int r = 0;

	if (load->in_flight > MAX_IN_FLIGHT)
		return -EINVAL;
	for (i = 0; i < load->in_flight && r == 0; i++, live += r == 0)
		r = flight_start(&flight, i, contestant, profile, payload);
	while (live > 0 && poll(flight.polls, load->in_flight, 30000) > 0) {
		for (i = 0; i < load->in_flight; i++) {
			if (flight.polls[i].fd < 0 || !flight.polls[i].revents)
				continue;
			r = flight_reap(&flight, i);
			done += r > 0;
			ret->failed += r == 0;
			live--;
			if (r < 0 || now_ns() >= end)
				continue;
			r = flight_start(&flight, i, contestant, profile,
					 payload);
			live += r == 0;
		}
	}
	ret->per_second = done / ((double)(now_ns() - began) / 1e9);
	return r < 0 ? r : 0;
}
