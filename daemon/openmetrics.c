/* SPDX-License-Identifier: Apache-2.0 */
/* The text of OpenMetrics; see openmetrics.h. */
#include "daemon/openmetrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_SECOND 1000000000u

void
om_observe(struct om_histogram *histogram, const struct om_bounds *bounds,
	   uint64_t ns)
{
	size_t i = 0;

	while (i < bounds->n && ns > bounds->items[i].ns)
		i++;
	histogram->buckets[i]++;
	histogram->sum_ns += ns;
}

void
om_init(struct om_writer *writer, char *buf, size_t size)
{
	*writer = (struct om_writer){ .buf = buf, .size = size };
}

static void printf_like(2, 3)
	put(struct om_writer *writer, const char *fmt, ...)
{
	size_t room = writer->size - writer->used;
	va_list ap;
	int n;

	if (writer->full)
		return;
	va_start(ap, fmt);
	n = vsnprintf(writer->buf + writer->used, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room)
		writer->full = true;
	else
		writer->used += (size_t)n;
}

static void
put_bytes(struct om_writer *writer, const char *bytes, size_t n)
{
	/* room for the NUL stays */
	if (writer->full || n >= writer->size - writer->used) {
		writer->full = true;
		return;
	}
	memcpy(writer->buf + writer->used, bytes, n);
	writer->used += n;
	writer->buf[writer->used] = '\0';
}

static void
put_text(struct om_writer *writer, const char *text)
{
	put_bytes(writer, text, strlen(text));
}

/* ABNF of the specification: backslash, quote and newline. */
static void
put_escaped(struct om_writer *writer, const char *text)
{
	for (;;) {
		size_t n = strcspn(text, "\\\"\n");

		put_bytes(writer, text, n);
		text += n;
		if (!*text)
			return;
		put_text(writer, *text == '\n'	? "\\n"
				 : *text == '"' ? "\\\""
						: "\\\\");
		text++;
	}
}

void
om_family(struct om_writer *writer, const struct om_family *family)
{
	static const char *const types[] = { [OM_GAUGE] = "gauge",
					     [OM_COUNTER] = "counter",
					     [OM_HISTOGRAM] = "histogram" };

	writer->family = family;
	put(writer, "# TYPE %s %s\n", family->name, types[family->type]);
	if (family->unit)
		put(writer, "# UNIT %s %s\n", family->name, family->unit);
	put(writer, "# HELP %s ", family->name);
	put_escaped(writer, family->help);
	put_text(writer, "\n");
}

static void
put_name(struct om_writer *writer, const char *suffix,
	 const struct om_label *labels, const char *le)
{
	const char *before = "{";

	put_text(writer, writer->family->name);
	put_text(writer, suffix);
	for (; labels && labels->name; labels++) {
		put_text(writer, before);
		put_text(writer, labels->name);
		put_text(writer, "=\"");
		put_escaped(writer, labels->value);
		put_text(writer, "\"");
		before = ",";
	}
	if (le) {
		put_text(writer, before);
		put_text(writer, "le=\"");
		put_text(writer, le);
		put_text(writer, "\"");
	}
	put_text(writer, le || *before == ',' ? "} " : " ");
}

static const char *
suffix_of(const struct om_writer *writer)
{
	return writer->family->type == OM_COUNTER ? "_total" : "";
}

static void
put_seconds(struct om_writer *writer, uint64_t ns)
{
	put(writer, "%" PRIu64 ".%09" PRIu64 "\n", ns / NS_PER_SECOND,
	    ns % NS_PER_SECOND);
}

void
om_number(struct om_writer *writer, const struct om_label *labels,
	  uint64_t value)
{
	put_name(writer, suffix_of(writer), labels, NULL);
	put(writer, "%" PRIu64 "\n", value);
}

void
om_seconds(struct om_writer *writer, const struct om_label *labels, uint64_t ns)
{
	put_name(writer, suffix_of(writer), labels, NULL);
	put_seconds(writer, ns);
}

void
om_histogram(struct om_writer *writer, const struct om_label *labels,
	     const struct om_bounds *bounds,
	     const struct om_histogram *histogram)
{
	uint64_t n = 0;

	for (size_t i = 0; i <= bounds->n; i++) {
		n += histogram->buckets[i];
		put_name(writer, "_bucket", labels,
			 i < bounds->n ? bounds->items[i].le : "+Inf");
		put(writer, "%" PRIu64 "\n", n);
	}
	put_name(writer, "_count", labels, NULL);
	put(writer, "%" PRIu64 "\n", n);
	put_name(writer, "_sum", labels, NULL);
	put_seconds(writer, histogram->sum_ns);
}

int
om_end(struct om_writer *writer)
{
	put_text(writer, "# EOF\n");
	return writer->full ? -ENOBUFS : 0;
}
