/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text of OpenMetrics 1.0 into a buffer of fixed size. Only what the older text
 * format of Prometheus (version 0.0.4) takes as well: counters, gauges and
 * histograms, no timestamps and no exemplars. Pure; nothing is written by half:
 * a text that does not fit is none.
 *
 *	om_family(&writer, &family)
 *	om_number() | om_seconds() | om_histogram()	its samples
 *	... the next family
 *	om_end(&writer)
 */
#ifndef NSX_DAEMON_OPENMETRICS_H
#define NSX_DAEMON_OPENMETRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

enum om_type {
	OM_GAUGE,
	OM_COUNTER, /* its samples are called NAME_total */
	OM_HISTOGRAM,
};

/* unit: NULL, or what the name ends in ("seconds", "bytes"). */
struct om_family {
	const char *name;
	enum om_type type;
	const char *unit;
	const char *help;
};

/* Name and value, UTF-8; a list ends with a NULL name. */
struct om_label {
	const char *name, *value;
};

/*
 * The upper bounds of a histogram's buckets, rising, in nanoseconds and as
 * OpenMetrics writes that number of seconds. Behind the last is "+Inf".
 */
#define OM_MAX_BOUNDS 18
struct om_bounds {
	size_t n;
	struct om_bound {
		uint64_t ns;
		const char *le;
	} items[OM_MAX_BOUNDS];
};

/* Each value is in one bucket; they are added up when they are told. */
struct om_histogram {
	uint64_t buckets[OM_MAX_BOUNDS + 1];
	uint64_t sum_ns;
};
void om_observe(struct om_histogram *histogram, const struct om_bounds *bounds,
		uint64_t ns);

struct om_writer {
	char *buf;
	size_t size, used;
	bool full;
	const struct om_family *family;
};

void om_init(struct om_writer *writer, char *buf, size_t size);
/* Borrowed until the next. */
void om_family(struct om_writer *writer, const struct om_family *family);
/* labels NULL: none. */
void om_number(struct om_writer *writer, const struct om_label *labels,
	       uint64_t value);
/* A number of nanoseconds, told in seconds. */
void om_seconds(struct om_writer *writer, const struct om_label *labels,
		uint64_t ns);
void om_histogram(struct om_writer *writer, const struct om_label *labels,
		  const struct om_bounds *bounds,
		  const struct om_histogram *histogram);
/* The end mark and a NUL. -ENOBUFS: it did not fit. */
must_check int om_end(struct om_writer *writer);

#endif
