/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bootstrap messages for people: as text, as JSON, compared, and checked for
 * what is legal but known to go wrong. For nsexecctl and tests; the daemons do
 * not link this (libnsx-text; jansson).
 *
 * The text is one header line and one "name: value" line per attribute, lists
 * of records one line per record:
 *
 *	bootstrap M3 seq 1
 *	clone-flags: user,pid,mnt
 *	uid-map: 0 1000 1\n
 *
 * Bytes other than printable ASCII are \n, \0, \\ or \xNN; inside records a
 * space is \x20. Lines that begin with # and empty lines are skipped. Text and
 * JSON hold the same names and values.
 */
#ifndef NSX_PROTO_BOOTSTRAP_TEXT_H
#define NSX_PROTO_BOOTSTRAP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "lib/arena.h"
#include "lib/err.h"
#include "proto/bootstrap.h"

/* A message and the memory that its pointers borrow from. */
struct bootstrap_document {
	struct bootstrap msg;
	struct arena arena;
};
/* Safe twice. */
void bootstrap_document_deinit(struct bootstrap_document *document);

struct bootstrap_text_error {
	size_t line; /* from 1; 0 = the whole */
	char text[200];
};

/*
 * Print a decoded message. 0, -ENOMEM, or -EIO of out. notes, of which n may
 * be 0, become comment lines (JSON: an array "notes").
 */
must_check int bootstrap_text_print(const struct bootstrap *msg,
				    const char *const *notes, size_t n_notes,
				    FILE *out);
must_check int bootstrap_json_print(const struct bootstrap *msg,
				    const char *const *notes, size_t n_notes,
				    FILE *out);

/*
 * Read what these print. *ret is to be deinit'ed in any case. 0, -ENOMEM, or
 * -EINVAL with *ret_error. Ranges are not checked: bootstrap_encode() does.
 */
must_check int bootstrap_text_parse(const char *text, size_t size,
				    struct bootstrap_document *ret,
				    struct bootstrap_text_error *ret_error);
must_check int bootstrap_json_parse(const char *text, size_t size,
				    struct bootstrap_document *ret,
				    struct bootstrap_text_error *ret_error);

/*
 * Print what differs as "- name: value" and "+ name: value" lines. Returns the
 * number of differing fields, or -ENOMEM.
 */
must_check int bootstrap_diff(const struct bootstrap *a,
			      const struct bootstrap *b, FILE *out);

enum bootstrap_severity {
	BOOTSTRAP_NOTE = 1, /* good to know, nothing to do */
	BOOTSTRAP_TRAP,	    /* legal, and known to go wrong */
};
struct bootstrap_finding {
	enum bootstrap_severity severity;
	const char *rule; /* "map-without-0": stable */
	char text[240];
};
#define BOOTSTRAP_MAX_FINDINGS 64

/*
 * Check the bytes and what they decode to. Returns the number of findings,
 * at most BOOTSTRAP_MAX_FINDINGS.
 */
size_t bootstrap_lint(const struct bootstrap *msg, const void *data,
		      size_t size, struct bootstrap_finding *findings);
/*
 * In which other dialects the bytes decode to something else: for a message
 * that was refused, and for the lint. Returns a bit set, 1 << enum dialect.
 */
unsigned int bootstrap_other_dialects(enum dialect dialect,
				      const struct bootstrap *msg,
				      const void *data, size_t size);
/* Do the bytes equal what the encoder makes of the message? */
bool bootstrap_is_canonical(const struct bootstrap *msg, const void *data,
			    size_t size);

#endif
