/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nsexec-resolver: parses what the daemons must not, once, and ends.
 *
 *	nsexec-resolver policy [--policy-dir DIR]   struct policy_table
 *	nsexec-resolver user UID                    struct resolved_user
 *
 * writes that one structure to descriptor 3 and exits 0, or writes nothing
 * there, one line to standard error, and exits 1. It runs as a uid of its own
 * and has nothing to lose but the truth of its answer: it holds no descriptor
 * but a pipe, reads files that anybody may read, and what it says is checked by
 * whoever started it. Never set-user-id; started as root it keeps nothing of it
 * but the number.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fd.h"
#include "lib/text.h"
#include "lib/util.h"
#include "proto/policy_json.h"
#include "resolver/confine.h"
#include "resolver/user.h"

static int
complain(const char *text)
{
	fprintf(stderr, "nsexec-resolver: %s\n", text);
	return EXIT_FAILURE;
}

static int
answer(const void *data, size_t size)
{
	int r = fd_write_all(RESOLVER_OUTPUT_FD, data, size);

	return r < 0 ? complain(strerror(-r)) : EXIT_SUCCESS;
}

static int
run_policy(int argc, char **argv)
{
	free_auto struct policy_table *table = malloc(sizeof(*table));
	const char *dir = POLICY_DIR, *why;
	char text[POLICY_ERROR_MAX];
	struct policy_error error;

	if (argc == 2 && strcmp(argv[0], "--policy-dir") == 0)
		dir = argv[1];
	else if (argc != 0)
		return complain("usage: policy [--policy-dir DIR]");
	if (!table)
		return complain("out of memory");
	if (policy_files_read(dir, table, &error) < 0)
		return complain(policy_error_format(&error, text));
	/* a mistake of ours is to be seen here, not in the spawner */
	if (policy_check(table, &why) < 0)
		return complain(why);
	return answer(table, sizeof(*table));
}

static int
run_user(int argc, char **argv)
{
	char text[USER_ERROR_MAX], escaped[USER_ERROR_MAX];
	struct resolved_user user;
	uint32_t uid;

	if (argc != 1 || text_parse_u32(argv[0], &uid) < 0)
		return complain("usage: user UID");
	if (user_resolve(uid, &user, text) < 0)
		return complain(text_escape(escaped, sizeof(escaped), text,
					    strlen(text)));
	if (resolve_check(&user, uid) < 0)
		return complain("a record that cannot be");
	return answer(&user, sizeof(user));
}

int
main(int argc, char **argv)
{
	const char *step;
	int r;

	r = confine_self(&step);
	if (r < 0) {
		fprintf(stderr, "nsexec-resolver: cannot confine %s: %s\n",
			step, strerror(-r));
		return EXIT_FAILURE;
	}
	if (argc > 1 && strcmp(argv[1], "policy") == 0)
		return run_policy(argc - 2, argv + 2);
	if (argc > 1 && strcmp(argv[1], "user") == 0)
		return run_user(argc - 2, argv + 2);
	return complain("usage: nsexec-resolver policy|user ...");
}
