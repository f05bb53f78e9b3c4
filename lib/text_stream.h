/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream into memory. open_memstream(3) of glibc loses a byte where it finds
 * no memory, and tells only who looks at what each putc() returned.
 */
#ifndef NSX_LIB_TEXT_STREAM_H
#define NSX_LIB_TEXT_STREAM_H

#include <stdbool.h>
#include <stdio.h>

#include "lib/err.h"

struct text_stream {
	FILE *out; /* to write to */
	char *text;
	size_t size, room;
	bool failed;
	char buffer[1024];
};

/* 0 or -ENOMEM; then nothing is to be closed. */
must_check int text_stream_open(struct text_stream *stream);
/*
 * Ends it in any case. Gives *ret, which has a NUL behind its *ret_size bytes.
 * -ENOMEM: not all that was written is there; both are unchanged.
 */
must_check int text_stream_close(struct text_stream *stream, char **ret,
				 size_t *ret_size);

#endif
