/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks. Deadlines use CLOCK_BOOTTIME, which goes on during suspend. */
#ifndef NSX_LIB_CLOCK_H
#define NSX_LIB_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t
clock_ns(clockid_t clock)
{
	struct timespec ts = { 0 };

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline int64_t
clock_boottime_ms(void)
{
	return (int64_t)(clock_ns(CLOCK_BOOTTIME) / 1000000u);
}

#endif
