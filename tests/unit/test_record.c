/* SPDX-License-Identifier: Apache-2.0 */
/* Records: what is written is read; what is damaged is no record. */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "daemon/record.h"
#include "lib/arena.h"
#include "lib/crc32c.h"
#include "lib/sha256.h"
#include "lib/table.h"

static struct container *
sample(void)
{
	struct container *container;
	struct task *task;

	assert_int_equal(container_new(&container), 0);
	task = &container->init;
	task_init(task, NULL, container, 1);
	strcpy(container->id, "web-1");
	strcpy(container->name, "web");
	container->owner = 1000;
	container->command = strdup("/bin/true");
	container->has_key = true;
	memset(container->key, 7, sizeof(container->key));
	container->hash = UINT64_C(0xfedcba9876543210);
	task->pid = 42;
	task->start_time = 43;
	task->gate = GATE_NAMED;
	task->namespaces[7] = 99;
	task->exit.present = true;
	task->exit.wait_status = 7 << 8;
	task->exit.has_rusage = true;
	task->exit.rusage.max_rss_kib = 5;
	task->exit.oom_kills = 4;
	task->failure = calloc(1, sizeof(*task->failure));
	(void)error_set(task->failure, ERRCODE_DEADLINE, "exec", "obj\xff",
			"rule", "hint");
	return container;
}

static void
task_comes_back_as_it_was(void **state)
{
	struct container *container = sample(), *copy;
	Nsexec__Record__Task *record;
	uint8_t *data;
	size_t size;

	assert_int_equal(record_task_encode(&container->init,
					    NSEXEC__RECORD__STAGE__ENDED, &data,
					    &size),
			 0);
	assert_int_equal(record_task_decode(data, size, &record), 0);
	assert_int_equal(container_new(&copy), 0);
	task_init(&copy->init, NULL, copy, 2);
	assert_int_equal(record_task_restore(record, copy, &copy->init), 0);
	assert_string_equal(copy->id, "web-1");
	assert_string_equal(copy->name, "web");
	assert_int_equal(copy->owner, 1000);
	assert_memory_equal(copy->key, container->key, SPEC_KEY_SIZE);
	assert_true(copy->hash == container->hash);
	assert_int_equal(copy->init.pid, 42);
	assert_int_equal(copy->init.gate, GATE_NAMED);
	assert_int_equal(copy->init.namespaces[7], 99);
	assert_int_equal(copy->init.exit.wait_status, 7 << 8);
	assert_int_equal(copy->init.exit.rusage.max_rss_kib, 5);
	assert_int_equal(copy->init.exit.oom_kills, 4);
	assert_int_equal(copy->init.failure->code, ERRCODE_DEADLINE);
	assert_string_equal(copy->init.failure->failure.object, "obj\xff");
	nsexec__record__task__free_unpacked(record, NULL);
	container_free(copy);
	container_free(container);
	free(data);
}

static void
last_record_of_a_file_counts(void **state)
{
	struct container *container = sample();
	Nsexec__Record__Task *record;
	uint8_t *first, *second, *file;
	size_t first_size, second_size;

	assert_int_equal(record_task_encode(&container->init,
					    NSEXEC__RECORD__STAGE__INTENT,
					    &first, &first_size),
			 0);
	assert_int_equal(record_task_encode(&container->init,
					    NSEXEC__RECORD__STAGE__COMMIT,
					    &second, &second_size),
			 0);
	file = malloc(first_size + second_size);
	memcpy(file, first, first_size);
	memcpy(file + first_size, second, second_size);
	assert_int_equal(
		record_task_decode(file, first_size + second_size, &record), 0);
	assert_int_equal(record->stage, NSEXEC__RECORD__STAGE__COMMIT);
	nsexec__record__task__free_unpacked(record, NULL);
	free(first);
	free(second);
	free(file);
	container_free(container);
}

/* A writer that is killed leaves the beginning of its record. */
static void
cut_tail_does_not_count_and_spoils_nothing(void **state)
{
	struct container *container = sample();
	const uint8_t *message;
	uint8_t *first, *second, *file;
	size_t first_size, second_size, message_size;

	assert_int_equal(record_task_encode(&container->init,
					    NSEXEC__RECORD__STAGE__INTENT,
					    &first, &first_size),
			 0);
	assert_int_equal(record_task_encode(&container->init,
					    NSEXEC__RECORD__STAGE__COMMIT,
					    &second, &second_size),
			 0);
	file = malloc(first_size + second_size);
	memcpy(file, first, first_size);
	memcpy(file + first_size, second, second_size);
	for (size_t cut = 0; cut < second_size; cut++) {
		assert_int_equal(record_decode(file, first_size + cut, &message,
					       &message_size),
				 0);
		assert_ptr_equal(message + message_size, file + first_size);
	}
	/* other bytes than a record's are no tail of one */
	file[first_size] ^= 1;
	for (size_t cut = 1; cut <= second_size; cut++)
		assert_int_equal(record_decode(file, first_size + cut, &message,
					       &message_size),
				 -EBADMSG);
	free(first);
	free(second);
	free(file);
	container_free(container);
}

static void
every_changed_bit_and_every_cut_is_refused(void **state)
{
	struct container *container = sample();
	Nsexec__Record__Task *record;
	uint8_t *data;
	size_t size;

	assert_int_equal(record_task_encode(&container->init,
					    NSEXEC__RECORD__STAGE__CREATED,
					    &data, &size),
			 0);
	for (size_t i = 0; i < size * 8; i++) {
		data[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_true(record_task_decode(data, size, &record) < 0);
		data[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (size_t cut = 0; cut < size; cut++)
		assert_int_equal(record_task_decode(data, cut, &record),
				 -ENODATA);
	free(data);
	container_free(container);
}

static void
newer_version_is_told_apart(void **state)
{
	uint8_t data[RECORD_HEADER_SIZE] = "NSXR\x02";
	const uint8_t *message;
	size_t size;

	assert_int_equal(record_decode(data, sizeof(data), &message, &size),
			 -EPROTONOSUPPORT);
}

static void
crc32c_gives_the_check_value_of_rfc_3720(void **state)
{
	uint8_t zeros[32] = { 0 };

	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, zeros, sizeof(zeros)), 0x8a9136aa);
	assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}

static void
table_finds_what_is_in_and_nothing_else(void **state)
{
	struct table table = { 0 };
	int value;

	for (uint64_t i = 1; i <= 1000; i++)
		assert_int_equal(table_add(&table, i * 7919, &value), 0);
	assert_int_equal(table_add(&table, 7919, &value), -EEXIST);
	for (uint64_t i = 1; i <= 1000; i += 2)
		assert_ptr_equal(table_remove(&table, i * 7919), &value);
	for (uint64_t i = 1; i <= 1000; i++)
		assert_true((table_find(&table, i * 7919) != NULL) ==
			    (i % 2 == 0));
	assert_int_equal(table.used, 500);
	table_deinit(&table);
	assert_null(table_find(&table, 7919));
	assert_null(table_remove(&table, 7919));
}

static void
arena_keeps_texts_of_any_size(void **state)
{
	struct arena arena = { 0 };
	char big[9000];
	char *small, *large;

	memset(big, 'b', sizeof(big));
	small = arena_text(&arena, "small", 5);
	large = arena_text(&arena, big, sizeof(big));
	assert_string_equal(small, "small");
	assert_int_equal(strlen(large), sizeof(big));
	assert_null(arena_alloc(&arena, SIZE_MAX));
	arena_deinit(&arena);
	arena_deinit(&arena);
}

/* The vectors of FIPS 180-4 and of NIST's SHAVS; a million bytes in odd parts,
 * and every length around a block. */
static void
sha256_gives_the_digests_of_nist(void **state)
{
	static const struct {
		const char *text, *digest;
	} rows[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb924"
		      "27ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223"
			 "b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039"
		  "a33ce45964ff2167f6ecedd419db06c1" },
		{ "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
		  "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
		  "cf5b16a778af8380036ce59e7b049237"
		  "0b249b11e8f07a51afac45037afee9d1" },
	};
	char hex[SHA256_HEX_SIZE], parts[SHA256_HEX_SIZE], bytes[200];
	struct sha256 sha256;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		sha256_init(&sha256);
		sha256_update(&sha256, rows[i].text, strlen(rows[i].text));
		assert_string_equal(sha256_end_hex(&sha256, hex),
				    rows[i].digest);
	}
	memset(bytes, 'a', sizeof(bytes));
	sha256_init(&sha256);
	for (size_t left = 1000000, n; left > 0; left -= n) {
		n = left % 199 + 1;
		n = n < left ? n : left;
		sha256_update(&sha256, bytes, n);
	}
	assert_string_equal(sha256_end_hex(&sha256, hex),
			    "cdc76e5c9914fb9281a1c7e284d73e67"
			    "f1809a48a497200e046d39ccc7112cd0");
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		sha256_init(&sha256);
		sha256_update(&sha256, bytes, n);
		(void)sha256_end_hex(&sha256, hex);
		sha256_init(&sha256);
		for (size_t i = 0; i < n; i++)
			sha256_update(&sha256, bytes + i, 1);
		assert_string_equal(sha256_end_hex(&sha256, parts), hex);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(task_comes_back_as_it_was),
		cmocka_unit_test(last_record_of_a_file_counts),
		cmocka_unit_test(cut_tail_does_not_count_and_spoils_nothing),
		cmocka_unit_test(every_changed_bit_and_every_cut_is_refused),
		cmocka_unit_test(newer_version_is_told_apart),
		cmocka_unit_test(crc32c_gives_the_check_value_of_rfc_3720),
		cmocka_unit_test(sha256_gives_the_digests_of_nist),
		cmocka_unit_test(table_finds_what_is_in_and_nothing_else),
		cmocka_unit_test(arena_keeps_texts_of_any_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
