/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message as a list of named fields: the middle between struct bootstrap and
 * its text and JSON forms, so that both have the same names and values. Not
 * for anyone outside libnsx-text.
 */
#ifndef NSX_PROTO_BOOTSTRAP_FIELDS_H
#define NSX_PROTO_BOOTSTRAP_FIELDS_H

#include "proto/bootstrap_text.h"

enum field_json {
	FIELD_STRING,
	FIELD_NUMBER,
	FIELD_TRUTH,
	FIELD_RECORD, /* one of a list */
};

struct bootstrap_field {
	const char *name;
	const char *value; /* escaped; the fields' arena */
	enum field_json json;
};

/* 45 attributes, 8 joins, 16 limits, 64 mounts, 32 fds, 3 stdio, rounded up. */
#define BOOTSTRAP_MAX_FIELDS 192
struct bootstrap_fields {
	struct arena arena;
	size_t n;
	struct bootstrap_field items[BOOTSTRAP_MAX_FIELDS];
};

/* How a field is written; see bootstrap_fields.c. */
enum field_form {
	FORM_FLAGS, /* "user,pid", "none" */
	FORM_TEXT,  /* const char * */
	FORM_UID_MAP,
	FORM_GID_MAP,
	FORM_BYTES, /* struct bootstrap_bytes */
	FORM_BOOL,
	FORM_U32,
	FORM_I32,
	FORM_OCTAL,
	FORM_WORD,    /* one of words[] */
	FORM_WORDS,   /* fd roles */
	FORM_NUMBERS, /* groups */
	FORM_BLOCK,
	FORM_CAPS,
	FORM_JOIN, /* from here on: records */
	FORM_RLIMIT,
	FORM_MOUNT,
	FORM_STDIO,
	FORM_PASSED_FD,
};
struct field_row {
	const char *name;
	enum field_form form;
	const char *const *words;
	unsigned int n_words;
};
extern const struct field_row field_rows[N_BOOTSTRAP_ATTRS];

#define N_MOUNT_KIND_WORDS 9
extern const char *const mount_kind_words[N_MOUNT_KIND_WORDS];
#define N_MOUNT_FLAG_WORDS 5
extern const char *const mount_flag_words[N_MOUNT_FLAG_WORDS];
#define N_RLIMIT_WORDS 16
extern const char *const rlimit_words[N_RLIMIT_WORDS];
#define N_CAP_SET_WORDS 5
extern const char *const cap_set_words[N_CAP_SET_WORDS];

/* The five sets of *caps in the order of cap_set_words. */
static inline uint64_t *
caps_set(struct bootstrap_caps *caps, size_t i)
{
	return &caps->bounding + i;
}
_Static_assert(offsetof(struct bootstrap_caps, ambient) ==
		       offsetof(struct bootstrap_caps, bounding) +
			       4 * sizeof(uint64_t),
	       "five sets in a row");

/* in_record: a space would end the word, and is escaped. */
void bootstrap_escape(FILE *out, const void *data, size_t size, bool in_record);
/* Into ret, which is as large as value: never more, and a NUL. 0 or -EINVAL. */
must_check int bootstrap_unescape(const char *value, char *ret,
				  size_t *ret_size);

/* Fields of a decoded message in order of emission. 0 or -ENOMEM. *ret is to
 * be deinit'ed in any case. */
must_check int bootstrap_fields_build(const struct bootstrap *msg,
				      struct bootstrap_fields *ret);
void bootstrap_fields_deinit(struct bootstrap_fields *fields);

/*
 * Take one field into document->msg. 0, -ENOMEM, or -EINVAL with
 * *ret_error->text.
 */
must_check int bootstrap_field_apply(struct bootstrap_document *document,
				     const char *name, const char *value,
				     struct bootstrap_text_error *ret_error);

#endif
