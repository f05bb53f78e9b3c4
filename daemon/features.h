/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this kernel has, found by trying it; nothing is read from a version. And
 * what this instance has of it: rootless ones lack some.
 */
#ifndef NSX_DAEMON_FEATURES_H
#define NSX_DAEMON_FEATURES_H

#include <stdbool.h>
#include <stddef.h>

#define FEATURE_DETAIL_MAX 64

struct config;

struct feature {
	const char *name;
	bool present;
	char detail[FEATURE_DETAIL_MAX]; /* may be empty */
};

/* Probe all into features; returns their number, at most max. */
size_t features_probe(const struct config *config, struct feature *features,
		      size_t max);

#endif
