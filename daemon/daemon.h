/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon as a whole: owns one of each module. Passed to methods and
 * callbacks; there is no other state.
 */
#ifndef NSX_DAEMON_DAEMON_H
#define NSX_DAEMON_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct server;
struct spawner_client;
struct container_table;
struct event_log;
struct record_store;
struct subscribers;
struct core;
struct store;
struct handover;
struct config;

struct daemon {
	const struct config *config;
	struct loop *loop;
	struct server *server;
	struct spawner_client *spawner;
	struct container_table *containers;
	struct event_log *events;
	struct record_store *records;
	struct subscribers *subscribers;
	struct core *core;
	struct handover *handover;
	struct store *store; /* NULL: nobody keeps anything for us */
	uint8_t epoch[16];
	uint64_t n_begun;    /* nsexecds with these records, this one too */
	uint8_t ring_id[16]; /* of the ring of events; zero: there is none */
	bool draining;
};

#endif
