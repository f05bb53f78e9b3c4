/* SPDX-License-Identifier: Apache-2.0 */
/* See text_stream.h. */
#include "lib/text_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define ROOM_MIN 256u

/* Room for size bytes more and a NUL. */
static bool
grow(struct text_stream *stream, size_t size)
{
	size_t room = stream->room ? stream->room : ROOM_MIN;
	char *text;

	while (room - stream->size <= size)
		room *= 2;
	if (room == stream->room)
		return true;
	text = realloc(stream->text, room);
	if (!text)
		return false;
	stream->text = text;
	stream->room = room;
	return true;
}

/* 0: an error, as fopencookie(3) has it. */
static ssize_t
on_write(void *cookie, const char *data, size_t size)
{
	struct text_stream *stream = cookie;

	if (stream->failed || !grow(stream, size)) {
		stream->failed = true;
		return 0;
	}
	memcpy(stream->text + stream->size, data, size);
	stream->size += size;
	return (ssize_t)size;
}

int
text_stream_open(struct text_stream *stream)
{
	stream->text = NULL;
	stream->size = stream->room = 0;
	stream->failed = false;
	stream->out = fopencookie(stream, "w",
				  (cookie_io_functions_t){ .write = on_write });
	if (!stream->out)
		return -ENOMEM;
	(void)setvbuf(stream->out, stream->buffer, _IOFBF,
		      sizeof(stream->buffer));
	return 0;
}

int
text_stream_close(struct text_stream *stream, char **ret, size_t *ret_size)
{
	if (fclose(stream->out) != 0)
		stream->failed = true;
	stream->out = NULL;
	if (stream->failed || !grow(stream, 0)) {
		free(stream->text);
		return -ENOMEM;
	}
	stream->text[stream->size] = '\0';
	*ret = stream->text;
	*ret_size = stream->size;
	return 0;
}
