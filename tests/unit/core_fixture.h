/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core with a spawner that the test plays and a server that only notes
 * what it was told, all in one loop. Children are real (a pidfd is needed),
 * what is said of them is the test's word.
 */
#ifndef NSX_TESTS_UNIT_CORE_FIXTURE_H
#define NSX_TESTS_UNIT_CORE_FIXTURE_H

#include "tests/unit/unit.h"

#include "daemon/config.h"
#include "daemon/container_table.h"
#include "daemon/core.h"
#include "daemon/daemon.h"
#include "daemon/events.h"
#include "daemon/loop.h"
#include "daemon/rpc.h"
#include "proto/bootstrap.h"
#include "proto/nsexec.pb-c.h"
#include "proto/ops.h"
#include "proto/record.pb-c.h"

struct answer {
	uint64_t call_id;
	bool failed;
	struct error error; /* if failed */
	uint8_t *packed;    /* else */
	size_t size;
};

struct core_fixture {
	struct daemon daemon; /* first: the server's functions get it back */
	struct config config;
	char dir[32];
	int listener, spawner; /* the test's ends */
	struct watch *spawner_watch, *deadline;
	bool late;
	int caller_fd; /* what rpc_connection_fd() lends */
	struct answer answers[64];
	size_t n_answers;
	struct op_message msg; /* of the last request but START */
	struct bootstrap boot; /* of the last START or EXEC */
	uint16_t type;
	uint32_t seq;
	int init_channel; /* of the last START */
	uint8_t data[NLMSG_MAX];
	uint64_t last_call;
	pid_t child; /* 0: none lives */
	pid_t child_pid;
};

int core_setup(void **state);
int core_teardown(void **state);
/* End and begin the core again on the same directory, as after a crash. */
void core_restart(struct core_fixture *fixture);
/* Turn the loop once, until something has happened. */
void core_turn(struct core_fixture *fixture);
/* Accept its connection and answer LIST (n entries by hand before) and PING. */
void spawner_greet(struct core_fixture *fixture);
/* Accept and stop at LIST, whose seq is then fixture->seq. */
void spawner_accept(struct core_fixture *fixture);
/* The next request must be this one (PING is answered along the way). */
void spawner_expect(struct core_fixture *fixture, enum op op);
void spawner_say_done(struct core_fixture *fixture);
void spawner_say_error(struct core_fixture *fixture, const char *step,
		       int error);
/* A real child that waits to be killed; CHILD with its pidfd. */
void spawner_say_child(struct core_fixture *fixture, uint32_t seq);
/* A child whose pidfd cannot be watched. */
void spawner_say_child_unwatched(struct core_fixture *fixture, uint32_t seq);
void spawner_say_entry(struct core_fixture *fixture, const char *id,
		       bool execed, bool exited);
struct status_answer {
	bool execed, exited;
	int wait_status;
};
/* With all that STATUS says, and the pidfd. */
void spawner_say_whole_entry(struct core_fixture *fixture, const char *id,
			     const struct status_answer *status);
void spawner_say_status(struct core_fixture *fixture,
			const struct status_answer *status);
/* Until there is something to read; it is left there. */
void await_fd(struct core_fixture *fixture, int fd);
void child_kill(struct core_fixture *fixture);
void stage_say_ready(struct core_fixture *fixture);
void stage_say_failed(struct core_fixture *fixture, const char *step,
		      const char *syscall, int error);
void stage_close(struct core_fixture *fixture);
/* The gate byte must be there. */
void stage_expect_gate(struct core_fixture *fixture);

/* Call a method as uid; returns the call id. */
uint64_t call_as(struct core_fixture *fixture, uid_t uid, const char *method,
		 const ProtobufCMessage *request);
/* The answer to a call; waits for it. */
struct answer *answer_to(struct core_fixture *fixture, uint64_t call_id);
bool is_answered(const struct core_fixture *fixture, uint64_t call_id);
/* Run {args: ["/bin/true"], id}; key may be NULL. */
uint64_t call_run(struct core_fixture *fixture, const char *id,
		  const char *key);
uint64_t call_id_only(struct core_fixture *fixture, const char *method,
		      const char *id);
/* The stage of the record of this id; 0: none. */
int record_stage(const struct core_fixture *fixture, const char *id);
/* Types of uid 0's events, as "created started ...". */
const char *event_types(const struct core_fixture *fixture, char *buf,
			size_t size);

/* What STATUS may say. */
extern const struct status_answer running, ended, died;
/* Run up to the gate: CHILD and READY are said. The call. */
uint64_t run_to_gate(struct core_fixture *fixture, const char *id);
/* The child dies, and all that follows is asked and answered. */
void end_it(struct core_fixture *fixture);
uint64_t call_create(struct core_fixture *fixture, uid_t uid, const char *id);
/* Created: its child waits at a gate by name. */
uint64_t create(struct core_fixture *fixture, const char *id);

#define CORE_TEST(name) \
	cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

#endif
