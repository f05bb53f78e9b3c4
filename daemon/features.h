/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this kernel has, found by trying it; nothing is read from a version. And
 * what this instance has of it: rootless ones lack some.
 */
#ifndef NSX_DAEMON_FEATURES_H
#define NSX_DAEMON_FEATURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FEATURE_DETAIL_MAX 64

struct config;

struct feature {
	const char *name;
	bool present;
	char detail[FEATURE_DETAIL_MAX]; /* may be empty */
};

/*
 * Probe all into features; returns their number, at most max. bounds:
 * WHO_BOUND_* of who asks.
 */
size_t features_probe(const struct config *config, uint32_t bounds,
		      struct feature *features, size_t max);

#endif
