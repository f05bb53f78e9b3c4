/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recode DIALECT < message > message: through the project's decoder and
 * encoder, for the interoperation tests. What runc wrote must come out byte for
 * byte. Exit 1 with the decoder's or encoder's words otherwise.
 */
#include <stdio.h>
#include <unistd.h>

#include "lib/fd.h"
#include "proto/bootstrap.h"

static unsigned char data[NLMSG_MAX], out[NLMSG_MAX];

int
main(int argc, char **argv)
{
	struct bootstrap_error error = { 0 };
	static struct bootstrap msg;
	enum dialect dialect;
	size_t size = 0;
	ssize_t n;

	dialect = argc == 2 ? dialect_parse(argv[1]) : DIALECT_NONE;
	if (dialect == DIALECT_NONE) {
		fprintf(stderr, "usage: recode DIALECT\n");
		return 2;
	}
	n = fd_read_all(STDIN_FILENO, data, sizeof(data));
	if (n < 0) {
		fprintf(stderr, "recode: cannot read\n");
		return 1;
	}
	if (bootstrap_decode(dialect, BOOTSTRAP_TYPE, data, (size_t)n, &msg,
			     &error) < 0 ||
	    bootstrap_encode(&msg, out, sizeof(out), &size, &error) < 0) {
		fprintf(stderr, "recode: %s\n", error.text);
		return 1;
	}
	return fd_write_all(STDOUT_FILENO, out, size) < 0;
}
