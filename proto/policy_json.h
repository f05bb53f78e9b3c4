/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy files: the text (nsexecd-policy(5)) to rules of a policy table. For
 * the resolver and nsexecctl alone; the daemons know only the table. Strict:
 * a file is taken whole or not at all, an unknown or repeated key, a wrong type
 * or a value out of range is an error that says where, what and what to change.
 */
#ifndef NSX_PROTO_POLICY_JSON_H
#define NSX_PROTO_POLICY_JSON_H

#include "lib/err.h"
#include "proto/policy.h"

#define POLICY_DIR "/etc/nsexecd"
#define POLICY_FILE_MAX (64u << 10)
#define POLICY_DEPTH_MAX 8

struct policy_error {
	char file[256];	   /* as in struct policy_rule's source, or a path */
	unsigned int line; /* 0: of no line in particular */
	char path[128];	   /* "rules[2].match.uid[0]"; may be empty */
	char rule[256];	   /* what is wrong; no byte of a file unescaped */
	char remedy[256];
};

/* "FILE:LINE: PATH: RULE (REMEDY)" without what is empty. Returns buf. */
#define POLICY_ERROR_MAX 1024
char *policy_error_format(const struct policy_error *error,
			  char buf[POLICY_ERROR_MAX]);

/*
 * Append the rules of one file to an initialised table. file names it in rules
 * and errors and is cut if longer than a source can be. 0; -EINVAL with
 * *ret_error, the table unchanged; -ENOMEM (with *ret_error as well). The
 * caller seals the table after the last file.
 */
must_check int policy_json_append(struct policy_table *table, const char *file,
				  const char *text, size_t size,
				  struct policy_error *ret_error);

/*
 * Initialise *table from DIR/policy.json and then DIR/policy.d/NAME.json, by
 * name in the order of bytes, and seal it. What is missing has no rules; other
 * names, and those with a dot in front, are no policy. A directory or file that
 * is not root's, that others may write, a symbolic link anywhere in the path
 * (openat2(2), RESOLVE_NO_SYMLINKS) and what is no regular file is refused. 0,
 * or -errno with *ret_error: nothing of the table is then to be used.
 */
must_check int policy_files_read(const char *dir, struct policy_table *table,
				 struct policy_error *ret_error);

/* Fill *error; returns -EINVAL. For the readers. */
int policy_error_set(struct policy_error *error, const char *file,
		     const char *remedy, const char *fmt, ...)
	printf_like(4, 5);

#endif
