/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Id maps as values: the kernel's rules said before the kernel says EINVAL,
 * the presets as rows, the text form. Every refusal names the row, the rule
 * and what to change. Nothing here opens a file, asks who the caller is, or
 * decides whether the caller may have a range. See idmap.h.
 */
#include "proto/idmap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/util.h"

/* One past the highest id: 4294967295 is "no id" in every system call. */
#define ID_END UINT64_C(4294967295)

static int printf_like(3, 4)
	idmap_fail(struct idmap_error *error, int row, const char *fmt, ...)
{
	size_t used = 0;
	va_list ap;

	error->row = row;
	error->hint[0] = '\0';
	if (row >= 0)
		used = (size_t)snprintf(error->rule, sizeof(error->rule),
					"row %d: ", row);
	va_start(ap, fmt);
	vsnprintf(error->rule + used, sizeof(error->rule) - used, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int printf_like(2, 3)
	idmap_hint(struct idmap_error *error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(error->hint, sizeof(error->hint), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static size_t
digits(uint32_t value)
{
	size_t n = 1;

	while (value >= 10) {
		value /= 10;
		n++;
	}
	return n;
}

static size_t
row_text_size(const struct idmap_row *row)
{
	return digits(row->container_id) + digits(row->host_id) +
	       digits(row->size) + 3;
}

static int
check_row(const struct idmap *map, size_t i, struct idmap_error *error)
{
	const struct idmap_row *row = &map->rows[i];

	if (row->size == 0) {
		idmap_fail(error, (int)i, "size is 0");
		return idmap_hint(error, "leave the row out, or give a size "
					 "of 1 or more");
	}
	if ((uint64_t)row->container_id + row->size > ID_END) {
		idmap_fail(error, (int)i,
			   "container ids %" PRIu32 "+%" PRIu32
			   " go beyond 4294967294",
			   row->container_id, row->size);
		return idmap_hint(error,
				  "lower the size to %" PRIu64 " or less",
				  ID_END - row->container_id);
	}
	if ((uint64_t)row->host_id + row->size > ID_END) {
		idmap_fail(error, (int)i,
			   "host ids %" PRIu32 "+%" PRIu32
			   " go beyond 4294967294",
			   row->host_id, row->size);
		return idmap_hint(error,
				  "lower the size to %" PRIu64 " or less",
				  ID_END - row->host_id);
	}
	return 0;
}

static bool
ranges_overlap(uint32_t a, uint32_t a_size, uint32_t b, uint32_t b_size)
{
	return (uint64_t)a < (uint64_t)b + b_size &&
	       (uint64_t)b < (uint64_t)a + a_size;
}

/* Row i against row k, k < i; both are within the id space. */
static int
check_pair(const struct idmap *map, size_t i, size_t k,
	   struct idmap_error *error)
{
	const struct idmap_row *a = &map->rows[i], *b = &map->rows[k];

	if (ranges_overlap(a->container_id, a->size, b->container_id,
			   b->size)) {
		idmap_fail(error, (int)i,
			   "container ids %" PRIu32 "..%" PRIu32
			   " overlap row %zu (%" PRIu32 "..%" PRIu32 ")",
			   a->container_id, a->container_id + a->size - 1, k,
			   b->container_id, b->container_id + b->size - 1);
		return idmap_hint(error,
				  "each container id may stand in one "
				  "row; start this row at %" PRIu64
				  " or shorten one of them",
				  (uint64_t)b->container_id + b->size);
	}
	if (ranges_overlap(a->host_id, a->size, b->host_id, b->size)) {
		idmap_fail(error, (int)i,
			   "host ids %" PRIu32 "..%" PRIu32
			   " overlap row %zu (%" PRIu32 "..%" PRIu32 ")",
			   a->host_id, a->host_id + a->size - 1, k, b->host_id,
			   b->host_id + b->size - 1);
		return idmap_hint(error,
				  "each host id may stand in one row; "
				  "use host ids from %" PRIu64
				  " on or shorten one of them",
				  (uint64_t)b->host_id + b->size);
	}
	return 0;
}

int
idmap_check(const struct idmap *map, struct idmap_error *ret_error)
{
	size_t i, k, text = 0;
	int r;

	if (map->n_rows == 0) {
		idmap_fail(ret_error, -1, "the map has no rows");
		return idmap_hint(ret_error, "give at least one row, or a "
					     "preset such as map-root");
	}
	if (map->n_rows > IDMAP_MAX_ROWS) {
		idmap_fail(ret_error, -1, "%zu rows, at most %d", map->n_rows,
			   IDMAP_MAX_ROWS);
		return idmap_hint(ret_error, "join neighbouring rows");
	}
	for (i = 0; i < map->n_rows; i++) {
		r = check_row(map, i, ret_error);
		if (r < 0)
			return r;
		for (k = 0; k < i; k++) {
			r = check_pair(map, i, k, ret_error);
			if (r < 0)
				return r;
		}
		text += row_text_size(&map->rows[i]);
	}
	if (text > IDMAP_MAX_TEXT) {
		idmap_fail(ret_error, -1, "%zu bytes of text, at most %d", text,
			   IDMAP_MAX_TEXT);
		return idmap_hint(ret_error, "join neighbouring rows: the "
					     "kernel takes less than one page");
	}
	return 0;
}

int
idmap_format(const struct idmap *map, char *buf, size_t buf_size,
	     size_t *ret_size)
{
	size_t i, used = 0;

	for (i = 0; i < map->n_rows; i++) {
		const struct idmap_row *row = &map->rows[i];

		if (buf_size - used < row_text_size(row) + 1)
			return -EMSGSIZE;
		used += (size_t)snprintf(
			buf + used, buf_size - used,
			"%" PRIu32 " %" PRIu32 " %" PRIu32 "\n",
			row->container_id, row->host_id, row->size);
	}
	if (buf_size > used)
		buf[used] = '\0';
	else if (buf_size == 0)
		return -EMSGSIZE;
	*ret_size = used;
	return 0;
}

static size_t
skip_blanks(const char *text, size_t size, size_t i)
{
	while (i < size && (text[i] == ' ' || text[i] == '\t'))
		i++;
	return i;
}

/* A decimal of at most 32 bits at *at: no sign, no leading zero. */
static int
take_number(const char *text, size_t size, size_t *at, uint32_t *ret)
{
	size_t i = *at, start = *at;
	uint64_t value = 0;

	while (i < size && text[i] >= '0' && text[i] <= '9') {
		value = value * 10 + (uint64_t)(text[i] - '0');
		if (value > UINT32_MAX)
			return -ERANGE;
		i++;
	}
	if (i == start || (text[start] == '0' && i > start + 1))
		return -EINVAL;
	*at = i;
	*ret = (uint32_t)value;
	return 0;
}

/* One line without its LF. */
static int
parse_row(const char *line, size_t size, int row, struct idmap_row *ret,
	  struct idmap_error *error)
{
	static const char *const names[] = { "container id", "host id",
					     "size" };
	uint32_t numbers[3];
	size_t at = 0, i;
	int r;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		size_t next = skip_blanks(line, size, at);

		if (i > 0 && next == at && next < size)
			r = -EINVAL;
		else
			r = take_number(line, size, &next, &numbers[i]);
		if (r < 0) {
			idmap_fail(error, row,
				   r == -ERANGE ? "%s is above 4294967295"
						: "%s is not a decimal number",
				   names[i]);
			return idmap_hint(error, "write a row as: container-id "
						 "host-id size");
		}
		at = next;
	}
	if (skip_blanks(line, size, at) != size) {
		idmap_fail(error, row, "text after the size");
		return idmap_hint(error, "write a row as: container-id "
					 "host-id size");
	}
	*ret = (struct idmap_row){ .container_id = numbers[0],
				   .host_id = numbers[1],
				   .size = numbers[2] };
	return 0;
}

int
idmap_parse(const char *text, size_t size, struct idmap *ret,
	    struct idmap_error *ret_error)
{
	size_t at = 0, n = 0;
	int r;

	while (at < size) {
		const char *end = memchr(text + at, '\n', size - at);
		size_t line = end ? (size_t)(end - (text + at)) : size - at;

		if (n == IDMAP_MAX_ROWS) {
			idmap_fail(ret_error, (int)n,
				   "more rows than the %d the kernel takes",
				   IDMAP_MAX_ROWS);
			return idmap_hint(ret_error, "join neighbouring rows");
		}
		r = parse_row(text + at, line, (int)n, &ret->rows[n],
			      ret_error);
		if (r < 0)
			return r;
		n++;
		at += line + 1;
	}
	ret->n_rows = n;
	if (n == 0) {
		idmap_fail(ret_error, -1, "the map has no rows");
		return idmap_hint(ret_error, "give at least one row");
	}
	return 0;
}

bool
idmap_lookup(const struct idmap *map, uint32_t container_id, uint32_t *ret_host)
{
	size_t i;

	for (i = 0; i < map->n_rows; i++) {
		const struct idmap_row *row = &map->rows[i];

		if (container_id >= row->container_id &&
		    container_id - row->container_id < row->size) {
			*ret_host = row->host_id +
				    (container_id - row->container_id);
			return true;
		}
	}
	return false;
}
