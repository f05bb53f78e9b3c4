/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a reload: what is written is read, all of it or nothing. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/handover_record.h"
#include "lib/crc32c.h"

static uint8_t file[65536];
static size_t file_size;

struct sample {
	Nsexec__Handover__Begin begin;
	Nsexec__Handover__Reader reader;
	Nsexec__Handover__Parked parked;
	Nsexec__Handover__Call stream, wait;
	Nsexec__Handover__Call *calls[2];
	Nsexec__Handover__Skip skip;
	Nsexec__Handover__Peer peer;
	Nsexec__Handover__Channel channel;
	Nsexec__Handover__End end;
	char *containers[1];
};

static uint8_t bytes[16] = "0123456789abcde";

static void
sample_calls(struct sample *s)
{
	s->reader = (Nsexec__Handover__Reader)NSEXEC__HANDOVER__READER__INIT;
	s->containers[0] = "web";
	s->reader.n_containers = 1;
	s->reader.containers = s->containers;
	s->reader.has_cursor = s->reader.has_stream = true;
	s->reader.cursor = 5;
	s->reader.stream = true;
	s->parked = (Nsexec__Handover__Parked)NSEXEC__HANDOVER__PARKED__INIT;
	s->parked.has_owner_uid = s->parked.has_kind = true;
	s->parked.id = "web";
	s->parked.kind = 4;
	s->stream = (Nsexec__Handover__Call)NSEXEC__HANDOVER__CALL__INIT;
	s->stream.has_id = s->stream.has_stream_id = true;
	s->stream.id = 2;
	s->stream.stream_id = 1;
	s->stream.method = "Events";
	s->wait = s->stream;
	s->wait.id = s->wait.stream_id = 3;
	s->wait.method = "Wait";
	s->stream.reader = &s->reader;
	s->wait.parked = &s->parked;
}

static void
sample_init(struct sample *s)
{
	sample_calls(s);
	s->begin = (Nsexec__Handover__Begin)NSEXEC__HANDOVER__BEGIN__INIT;
	s->begin.has_boot_id = s->begin.has_epoch = s->begin.has_last_id = true;
	s->begin.boot_id = s->begin.epoch =
		(ProtobufCBinaryData){ sizeof(bytes), bytes };
	s->begin.last_id = 9;
	s->peer = (Nsexec__Handover__Peer)NSEXEC__HANDOVER__PEER__INIT;
	s->peer.has_id = s->peer.has_in = true;
	s->peer.id = 1;
	s->peer.in = (ProtobufCBinaryData){ 7, bytes };
	s->calls[0] = &s->stream;
	s->calls[1] = &s->wait;
	s->peer.calls = s->calls;
	s->peer.n_calls = 2;
	s->skip = (Nsexec__Handover__Skip)NSEXEC__HANDOVER__SKIP__INIT;
	s->skip.has_left = s->skip.has_length = true;
	s->skip.left = 3;
	s->skip.length = 5;
	s->channel = (Nsexec__Handover__Channel)NSEXEC__HANDOVER__CHANNEL__INIT;
	s->channel.has_id = s->channel.has_token = true;
	s->channel.id = 10;
	s->channel.token = (ProtobufCBinaryData){ sizeof(bytes), bytes };
	s->end = (Nsexec__Handover__End)NSEXEC__HANDOVER__END__INIT;
	s->end.has_n_peers = s->end.has_n_channels = true;
	s->end.n_peers = s->end.n_channels = 1;
}

/* Into file[]. */
static void
sample_write(const struct sample *s)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	ssize_t n;

	assert_int_equal(
		handover_record_write(fd, HANDOVER_BEGIN, &s->begin.base), 0);
	assert_int_equal(
		handover_record_write(fd, HANDOVER_PEER, &s->peer.base), 0);
	assert_int_equal(
		handover_record_write(fd, HANDOVER_CHANNEL, &s->channel.base),
		0);
	assert_int_equal(handover_record_write(fd, HANDOVER_END, &s->end.base),
			 0);
	n = pread(fd, file, sizeof(file), 0);
	assert_true(n > 0);
	file_size = (size_t)n;
	close(fd);
}

static int
check_of(const struct sample *s)
{
	sample_write(s);
	return handover_records_read(file, file_size, NULL, NULL);
}

static int
on_begin(void *userdata, const Nsexec__Handover__Begin *begin)
{
	assert_int_equal(begin->last_id, 9);
	++*(int *)userdata;
	return 0;
}

static int
on_peer(void *userdata, const Nsexec__Handover__Peer *peer)
{
	assert_int_equal(peer->n_calls, 2);
	assert_string_equal(peer->calls[0]->reader->containers[0], "web");
	assert_string_equal(peer->calls[1]->parked->id, "web");
	assert_memory_equal(peer->in.data, bytes, 7);
	*(int *)userdata += 10;
	return 0;
}

static int
on_channel(void *userdata, const Nsexec__Handover__Channel *channel)
{
	assert_memory_equal(channel->token.data, bytes, sizeof(bytes));
	*(int *)userdata += 100;
	return 0;
}

static const struct handover_reader all = { on_begin, on_peer, on_channel };

static void
what_is_written_is_read(void **state)
{
	struct sample s;
	int seen = 0;

	sample_init(&s);
	assert_int_equal(check_of(&s), 0);
	assert_int_equal(handover_records_read(file, file_size, &all, &seen),
			 0);
	assert_int_equal(seen, 111);
}

static void
nothing_is_used_of_what_is_cut_or_damaged(void **state)
{
	struct sample s;
	int seen = 0;

	sample_init(&s);
	sample_write(&s);
	for (size_t size = 0; size < file_size; size++)
		assert_int_not_equal(
			handover_records_read(file, size, &all, &seen), 0);
	for (size_t at = 0; at < file_size; at++) {
		file[at] ^= 1;
		assert_int_not_equal(
			handover_records_read(file, file_size, &all, &seen), 0);
		file[at] ^= 1;
	}
	memcpy(file + file_size, file, file_size); /* twice */
	assert_int_equal(
		handover_records_read(file, 2 * file_size, &all, &seen),
		-EBADMSG);
	assert_int_equal(seen, 0);
}

static void
another_version_is_said_to_be_one(void **state)
{
	struct sample s;

	sample_init(&s);
	sample_write(&s);
	file[4]++;
	assert_int_equal(handover_records_read(file, file_size, NULL, NULL),
			 -EPROTONOSUPPORT);
}

#define REFUSES(change) \
	do { \
		struct sample s; \
		sample_init(&s); \
		change; \
		assert_int_equal(check_of(&s), -EBADMSG); \
	} while (0)

static void
what_no_nsexecd_writes_is_refused(void **state)
{
	REFUSES(s.begin.boot_id.len = 15);
	REFUSES(s.begin.epoch.len = 0);
	REFUSES(s.peer.id = 0);
	REFUSES(s.peer.id = 10);
	REFUSES(s.peer.skip = &s.skip); /* beside a frame begun */
	REFUSES(s.peer.n_faults = 64; s.peer.has_n_faults = true);
	REFUSES(s.stream.id = 10);
	REFUSES(s.stream.stream_id = 2);
	REFUSES(s.stream.method = NULL);
	REFUSES(s.stream.has_end_ms = true; s.stream.end_ms = -1);
	REFUSES(s.stream.has_note = true; s.stream.note.len = 0);
	REFUSES(s.stream.parked = &s.parked); /* and a reader */
	REFUSES(s.stream.has_answered = s.stream.answered = true);
	REFUSES(s.reader.cursor = 0);
	REFUSES(s.reader.stream = false); /* a poll without an end */
	REFUSES(s.reader.has_max_events = true; s.reader.max_events = 1025);
	REFUSES(s.containers[0] = "../web");
	REFUSES(s.reader.has_gap_due = s.reader.gap_due = true;
		s.reader.has_gap_from = true; s.reader.gap_from = 5);
	REFUSES(s.parked.id = "");
	REFUSES(s.parked.exec_id = "a b");
	REFUSES(s.parked.kind = 99);
	REFUSES(s.parked.has_owner_uid = false);
	REFUSES(s.channel.id = 0);
	REFUSES(s.channel.token.len = 15);
	REFUSES(s.end.n_peers = 2);
	REFUSES(s.end.n_channels = 0);
}

static void
skip_stands_for_a_frame_begun(void **state)
{
	struct sample s;

	sample_init(&s);
	s.peer.has_in = false;
	s.peer.in.len = 0;
	s.peer.skip = &s.skip;
	assert_int_equal(check_of(&s), 0);
	s.skip.left = 6; /* of 5 */
	assert_int_equal(check_of(&s), -EBADMSG);
	s.skip.left = 0;
	assert_int_equal(check_of(&s), -EBADMSG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(nothing_is_used_of_what_is_cut_or_damaged),
		cmocka_unit_test(another_version_is_said_to_be_one),
		cmocka_unit_test(what_no_nsexecd_writes_is_refused),
		cmocka_unit_test(skip_stands_for_a_frame_begun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
