/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of what nsexecctl reads from files: the text and the JSON form
 * of a bootstrap message, and the lines of subuid(5). What parses and encodes
 * must print, parse and encode to the same bytes.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "proto/bootstrap_text.h"
#include "proto/idmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef int parse_fn(const char *, size_t, struct bootstrap_document *,
		     struct bootstrap_text_error *);
typedef int print_fn(const struct bootstrap *, const char *const *, size_t,
		     FILE *);

static void
check_again(const struct bootstrap *msg, print_fn *print, parse_fn *parse,
	    const uint8_t *bytes, size_t size)
{
	free_auto uint8_t *again = malloc(NLMSG_MAX);
	struct bootstrap_document document;
	struct bootstrap_text_error text_error;
	struct bootstrap_error error;
	free_auto char *text = NULL;
	size_t text_size, again_size;
	FILE *out;

	out = open_memstream(&text, &text_size);
	assert(again && out);
	assert(print(msg, NULL, 0, out) == 0);
	fclose(out);
	assert(parse(text, text_size, &document, &text_error) == 0);
	assert(bootstrap_encode(&document.msg, again, NLMSG_MAX, &again_size,
				&error) == 0);
	assert(again_size == size && memcmp(again, bytes, size) == 0);
	bootstrap_document_deinit(&document);
}

static void
check_form(const char *text, size_t size, parse_fn *parse)
{
	struct bootstrap_finding findings[BOOTSTRAP_MAX_FINDINGS];
	free_auto uint8_t *bytes = malloc(NLMSG_MAX);
	struct bootstrap_document document;
	struct bootstrap_text_error text_error;
	struct bootstrap_error error;
	struct bootstrap msg;
	size_t bytes_size;

	assert(bytes);
	if (parse(text, size, &document, &text_error) == 0 &&
	    bootstrap_encode(&document.msg, bytes, NLMSG_MAX, &bytes_size,
			     &error) == 0) {
		assert(bootstrap_decode(document.msg.dialect, document.msg.type,
					bytes, bytes_size, &msg, &error) == 0);
		check_again(&msg, bootstrap_text_print, bootstrap_text_parse,
			    bytes, bytes_size);
		check_again(&msg, bootstrap_json_print, bootstrap_json_parse,
			    bytes, bytes_size);
		assert(bootstrap_lint(&msg, bytes, bytes_size, findings) <=
		       BOOTSTRAP_MAX_FINDINGS);
	}
	bootstrap_document_deinit(&document);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct idmap_range ranges[8];

	check_form((const char *)data, size, bootstrap_text_parse);
	check_form((const char *)data, size, bootstrap_json_parse);
	assert(idmap_ranges_parse((const char *)data, size, "alice", 1000,
				  ranges,
				  ARRAY_SIZE(ranges)) <= ARRAY_SIZE(ranges));
	return 0;
}
