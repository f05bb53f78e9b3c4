/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the reader of policy files (policy_json.h): where it is, how it
 * refuses, and the kinds of values. A function that reads returns 0, or
 * -EINVAL after policy_refuse().
 */
#ifndef NSX_PROTO_POLICY_JSON_VALUES_H
#define NSX_PROTO_POLICY_JSON_VALUES_H

#include <jansson.h>

#include "proto/policy_json.h"

struct policy_reader {
	const char *file;
	const char *text;
	size_t size;
	struct policy_table *table;
	struct policy_rule *rule; /* being read; NULL: none */
	size_t index;		  /* of it in the file */
	char path[128];		  /* to the value at hand */
	struct policy_error *error;
};

/* Lengthen the path; returns how long it was, for policy_path_cut(). */
size_t policy_path_add(struct policy_reader *reader, const char *fmt, ...)
	printf_like(2, 3);
void policy_path_cut(struct policy_reader *reader, size_t used);
/* Fill the error with file, line, path, what is wrong and the remedy. */
int policy_refuse(struct policy_reader *reader, const char *remedy,
		  const char *fmt, ...) printf_like(3, 4);

/*
 * One pass over the brackets outside of strings. nth: which object within the
 * second bracket (the rules) is looked for; its line in *ret_line, 0 if it is
 * not there. Returns the greatest depth.
 */
unsigned int policy_scan(const char *text, size_t size, size_t nth,
			 unsigned int *ret_line);

/* Bytes of the file for an error, escaped and cut. */
#define POLICY_SHOWN_MAX 64
const char *policy_shown(const char *text, char buf[POLICY_SHOWN_MAX]);

must_check int policy_read_flag(struct policy_reader *reader, json_t *value,
				uint32_t *ret);
/* Is it a list of min to max entries? */
must_check int policy_array_check(struct policy_reader *reader, json_t *value,
				  size_t min, size_t max);
/* 1 to max - 1 bytes of printable ASCII, borrowed. */
must_check int policy_read_string(struct policy_reader *reader, json_t *value,
				  size_t max, const char **ret);
/* 1000, "1000" or "1000-1999": a range of ids, inclusive. */
must_check int policy_read_ids(struct policy_reader *reader, json_t *value,
			       struct idmap_range *ret);
/* A list of 1 to max of them. */
must_check int policy_read_id_list(struct policy_reader *reader, json_t *value,
				   struct idmap_range *ranges, size_t max,
				   uint32_t *ret_n);
/* out: room for POLICY_MAX_PATTERNS texts of size bytes each. */
must_check int policy_read_patterns(struct policy_reader *reader, json_t *value,
				    char *out, size_t size);

/* A list of words becomes a mask. bit: of a word, or 0. */
struct policy_vocabulary {
	uint32_t (*bit)(const char *word);
	const char *remedy; /* the words */
};
must_check int policy_read_words(struct policy_reader *reader, json_t *value,
				 const struct policy_vocabulary *vocabulary,
				 uint32_t *ret);

#endif
