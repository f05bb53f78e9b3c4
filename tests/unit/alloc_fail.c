/* SPDX-License-Identifier: Apache-2.0 */
/* See alloc_fail.h. One thread. */
#include "tests/unit/unit.h"

#include "tests/unit/alloc_fail.h"

#include <stdlib.h>
#include <unistd.h>

/* What lies behind: the C library's, or the sanitizer's, by exported names. */
#ifdef NSX_SANITIZED
#define REAL(name) __interceptor_##name
/* called before the sanitizer is set up */
#define PLAIN __attribute__((no_sanitize("address", "undefined")))
#else
#define REAL(name) __libc_##name
#define PLAIN
#endif
void *REAL(malloc)(size_t size);
void *REAL(calloc)(size_t n, size_t size);
void *REAL(realloc)(void *old, size_t size);
void REAL(free)(void *memory);

static struct {
	bool on;
	unsigned int count, at; /* at: which one fails; 0: none */
	long live;		/* blocks */
} state;

PLAIN static bool
fails(void)
{
	if (!state.on || ++state.count != state.at)
		return false;
	errno = ENOMEM;
	return true;
}

PLAIN static void *
counted(void *memory)
{
	if (state.on && memory)
		state.live++;
	return memory;
}

PLAIN void *
malloc(size_t size)
{
	return fails() ? NULL : counted(REAL(malloc)(size));
}

PLAIN void *
calloc(size_t n, size_t size)
{
	return fails() ? NULL : counted(REAL(calloc)(n, size));
}

PLAIN void *
realloc(void *old, size_t size)
{
	void *memory = fails() ? NULL : REAL(realloc)(old, size);

	return old ? memory : counted(memory);
}

PLAIN void
free(void *memory)
{
	if (state.on && memory)
		state.live--;
	REAL(free)(memory);
}

/* The sanitizer has these for itself, around malloc(). */
char *
strndup(const char *text, size_t max)
{
	size_t size = strnlen(text, max);
	char *copy = malloc(size + 1);

	if (!copy)
		return NULL;
	memcpy(copy, text, size);
	copy[size] = '\0';
	return copy;
}

char *
strdup(const char *text)
{
	return strndup(text, strlen(text));
}

void
alloc_fail_pause(void)
{
	state.on = false;
}

void
alloc_fail_go_on(void)
{
	state.on = true;
}

/* The lowest descriptor that is free. */
static int
next_fd(void)
{
	int fd = dup(0);

	assert_true(fd >= 0);
	close(fd);
	return fd;
}

/* One call with allocation number at failing. Whether one did. */
static bool
call_once(int (*fn)(void *data), void *data, unsigned int at)
{
	const int fd = next_fd();
	bool failed;
	int r;

	state.count = 0;
	state.live = 0;
	state.at = at;
	state.on = true;
	r = fn(data);
	state.on = false;
	failed = at != 0 && state.count >= at;
	if (r != (failed ? -ENOMEM : 0))
		fail_msg("allocation %u of %u failed: returned %d", at,
			 state.count, r);
	if (state.live != 0)
		fail_msg("allocation %u failed: %ld blocks are left", at,
			 state.live);
	assert_int_equal(next_fd(), fd);
	return failed;
}

unsigned int
alloc_fail_each(int (*fn)(void *data), void *data)
{
	unsigned int at;

	/* what the C library makes once for all */
	state.at = 0;
	assert_int_equal(fn(data), 0);
	for (at = 1; call_once(fn, data, at); at++)
		(void)call_once(fn, data, 0);
	return at - 1;
}
