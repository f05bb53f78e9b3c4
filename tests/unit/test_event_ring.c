/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of events: what was written is there, whatever the last moment. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/event_ring.h"
#include "daemon/events.h"
#include "lib/clock.h"

#define KEEP_NS UINT64_C(3600000000000)

static const uint8_t epoch[16] = { 1, 2, 3 };

struct seen {
	uint32_t first, last;
	size_t n;
};

/* Entries are a number and then filling that goes with it. */
static int
see(void *userdata, const uint8_t *data, size_t size)
{
	struct seen *seen = userdata;
	uint32_t number;

	assert_true(size >= sizeof(number));
	memcpy(&number, data, sizeof(number));
	assert_int_equal(size, sizeof(number) + number % 3000);
	for (size_t i = sizeof(number); i < size; i++)
		assert_int_equal(data[i], (uint8_t)number);
	if (seen->n++ == 0)
		seen->first = number;
	else
		assert_int_equal(number, seen->last + 1);
	seen->last = number;
	return 0;
}

static void
append(struct event_ring *ring, uint32_t number)
{
	uint8_t data[sizeof(number) + 3000];

	memcpy(data, &number, sizeof(number));
	memset(data + sizeof(number), (uint8_t)number, number % 3000);
	event_ring_append(ring, data, sizeof(number) + number % 3000);
}

/* As the next nsexecd gets it. */
static struct event_ring *
again(const struct event_ring *ring)
{
	struct event_ring *copy;
	uint8_t id[EVENT_RING_ID_SIZE];
	int fd = fcntl(event_ring_fd(ring), F_DUPFD_CLOEXEC, 3);

	memcpy(id, event_ring_id(ring), sizeof(id));
	assert_int_equal(event_ring_open(fd, epoch, id, &copy), 0);
	return copy;
}

static void
entries_come_back_in_order(void **state)
{
	struct event_ring *ring, *copy;
	struct seen seen = { 0 };

	assert_int_equal(event_ring_new(epoch, &ring), 0);
	for (uint32_t i = 1; i <= 1000; i++)
		append(ring, i);
	copy = again(ring);
	event_ring_free(ring);
	assert_int_equal(event_ring_walk(copy, see, &seen), 0);
	assert_int_equal(seen.first, 1);
	assert_int_equal(seen.last, 1000);
	/* and go on */
	append(copy, 1001);
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(event_ring_walk(copy, see, &seen), 0);
	assert_int_equal(seen.last, 1001);
	event_ring_free(copy);
}

static void
oldest_go_when_it_is_full(void **state)
{
	struct event_ring *ring;
	struct seen seen = { 0 };

	assert_int_equal(event_ring_new(epoch, &ring), 0);
	for (uint32_t i = 1; i <= 30000; i++) {
		append(ring, i);
		if (i % 997)
			continue;
		memset(&seen, 0, sizeof(seen));
		assert_int_equal(event_ring_walk(ring, see, &seen), 0);
		assert_int_equal(seen.last, i);
	}
	assert_true(seen.first > 20000);
	event_ring_free(again(ring));
	event_ring_free(ring);
}

static int
open_copy(const struct event_ring *ring, const uint8_t *of_epoch,
	  const uint8_t *id)
{
	struct event_ring *copy;
	int fd = fcntl(event_ring_fd(ring), F_DUPFD_CLOEXEC, 3);
	int r = event_ring_open(fd, of_epoch, id, &copy);

	if (r == 0)
		event_ring_free(copy);
	else
		close(fd);
	return r;
}

static void
another_ring_is_not_taken_for_ours(void **state)
{
	const uint8_t other[16] = { 9 };
	struct event_ring *ring, *copy;
	uint8_t id[EVENT_RING_ID_SIZE];
	int fd;

	assert_int_equal(event_ring_new(epoch, &ring), 0);
	memcpy(id, event_ring_id(ring), sizeof(id));
	assert_int_equal(open_copy(ring, epoch, id), 0);
	assert_int_equal(open_copy(ring, other, id), -EBADMSG);
	assert_int_equal(open_copy(ring, epoch, other), -EBADMSG);
	event_ring_free(ring);
	/* not sealed: it could shrink under us */
	fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(fd, EVENT_RING_SIZE), 0);
	assert_int_equal(event_ring_open(fd, epoch, id, &copy), -EBADMSG);
	close(fd);
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(event_ring_open(fd, epoch, id, &copy), -EBADMSG);
	close(fd);
}

static void
any_damaged_byte_of_an_entry_is_seen(void **state)
{
	struct event_ring *ring;
	uint8_t id[EVENT_RING_ID_SIZE], byte;

	assert_int_equal(event_ring_new(epoch, &ring), 0);
	memcpy(id, event_ring_id(ring), sizeof(id));
	append(ring, 100);
	append(ring, 101);
	for (off_t at = 4096; at < 4096 + 24 + 104; at++) {
		assert_int_equal(pread(event_ring_fd(ring), &byte, 1, at), 1);
		byte ^= 0x10;
		assert_int_equal(pwrite(event_ring_fd(ring), &byte, 1, at), 1);
		assert_int_equal(open_copy(ring, epoch, id), -EBADMSG);
		byte ^= 0x10;
		assert_int_equal(pwrite(event_ring_fd(ring), &byte, 1, at), 1);
	}
	assert_int_equal(open_copy(ring, epoch, id), 0);
	event_ring_free(ring);
}

static void
writer_may_be_killed_at_any_moment(void **state)
{
	struct event_ring *ring;
	struct seen seen;
	uint32_t last = 0;

	assert_int_equal(event_ring_new(epoch, &ring), 0);
	for (int round = 0; round < 100; round++) {
		pid_t child = fork();

		if (child == 0)
			for (uint32_t i = last + 1;; i++)
				append(ring, i);
		usleep((useconds_t)(500 + round * 37 % 1000));
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		event_ring_free(again(ring));
		memset(&seen, 0, sizeof(seen));
		assert_int_equal(event_ring_walk(ring, see, &seen), 0);
		assert_true(seen.last >= last);
		last = seen.last;
	}
	assert_true(last > 1000);
	event_ring_free(ring);
}

/* With a log of events on top */

static void
log_begin(struct daemon *daemon, struct event_ring *ring, uint64_t limit)
{
	memset(daemon, 0, sizeof(*daemon));
	assert_int_equal(event_log_new(daemon, 8, KEEP_NS, &daemon->events), 0);
	if (limit) {
		event_log_resume(daemon->events, 0, limit);
		event_log_resume(daemon->events, 7, limit);
	}
	assert_int_equal(event_log_attach(daemon->events, ring), 0);
}

static void
publish(struct daemon *daemon, enum event_type type)
{
	const struct task_exit ended = { .present = true, .wait_status = 9 };
	const struct event_draft draft = {
		.type = type,
		.owner = 7,
		.container = "c",
		.pid = 12,
		.exit = type == EVENT_EXITED ? &ended : NULL,
	};

	event_publish(daemon->events, &draft);
}

static void
numbers_and_events_go_on_in_the_next_log(void **state)
{
	struct event_ring *ring, *copy;
	struct daemon first, second;
	const struct event *event;

	assert_int_equal(event_ring_new(epoch, &ring), 0);
	log_begin(&first, ring, 0);
	publish(&first, EVENT_CREATED);
	publish(&first, EVENT_STARTED);
	publish(&first, EVENT_EXITED);
	copy = again(ring);
	first.events = event_log_free(first.events);
	log_begin(&second, copy, 4096);
	assert_int_equal(event_last(second.events, 7), 3);
	assert_int_equal(event_last(second.events, 0), 3);
	publish(&second, EVENT_DELETED);
	event = event_from(second.events, 7, 1);
	assert_int_equal(event->type, EVENT_CREATED);
	event = event_from(second.events, 0, 3);
	assert_int_equal(event->exit.wait_status, 9);
	assert_int_equal(event->pid, 12);
	assert_int_equal(event_from(second.events, 7, 4)->type, EVENT_DELETED);
	second.events = event_log_free(second.events);
}

static void
recorded_end_is_told_once_whether_it_was_told_or_not(void **state)
{
	const struct event_draft draft = { .type = EVENT_EXITED,
					   .owner = 7,
					   .container = "c" };
	const struct event_seqs told = { 1, 1 }, untold = { 2, 2 };
	uint64_t now = clock_ns(CLOCK_BOOTTIME);
	struct event_ring *ring, *copy;
	struct daemon first, second;

	assert_int_equal(event_ring_new(epoch, &ring), 0);
	log_begin(&first, ring, 0);
	publish(&first, EVENT_EXITED);
	copy = again(ring);
	first.events = event_log_free(first.events);
	log_begin(&second, copy, 4096);
	event_restore(second.events, &draft, &told, 1, now);
	assert_int_equal(event_last(second.events, 7), 1);
	event_restore(second.events, &draft, &untold, 1, now);
	assert_int_equal(event_last(second.events, 7), 2);
	assert_int_equal(event_last(second.events, 0), 2);
	/* and it is in the ring for the one after it, too */
	copy = again((struct event_ring *)event_log_ring(second.events));
	second.events = event_log_free(second.events);
	log_begin(&second, copy, 4096);
	assert_int_equal(event_last(second.events, 7), 2);
	second.events = event_log_free(second.events);
}

static void
ring_with_numbers_that_were_never_reserved_is_refused(void **state)
{
	struct daemon first, second = { 0 };
	struct event_ring *ring, *copy;

	assert_int_equal(event_ring_new(epoch, &ring), 0);
	log_begin(&first, ring, 0);
	publish(&first, EVENT_CREATED);
	publish(&first, EVENT_STARTED);
	copy = again(ring);
	first.events = event_log_free(first.events);
	assert_int_equal(event_log_new(&second, 8, KEEP_NS, &second.events), 0);
	event_log_resume(second.events, 0, 1);
	event_log_resume(second.events, 7, 1);
	assert_int_equal(event_log_attach(second.events, copy), -EBADMSG);
	assert_int_equal(event_last(second.events, 7), 1);
	event_ring_free(copy);
	second.events = event_log_free(second.events);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_come_back_in_order),
		cmocka_unit_test(oldest_go_when_it_is_full),
		cmocka_unit_test(another_ring_is_not_taken_for_ours),
		cmocka_unit_test(any_damaged_byte_of_an_entry_is_seen),
		cmocka_unit_test(writer_may_be_killed_at_any_moment),
		cmocka_unit_test(numbers_and_events_go_on_in_the_next_log),
		cmocka_unit_test(
			recorded_end_is_told_once_whether_it_was_told_or_not),
		cmocka_unit_test(
			ring_with_numbers_that_were_never_reserved_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
