/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "base/clock.h"

#include <time.h>

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * CLOCK_NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

uint64_t clock_boot_ns(void)
{
	return clock_ns(CLOCK_BOOTTIME);
}

int64_t clock_wall_minus_boot_ns(void)
{
	int64_t best = 0;
	uint64_t best_width = UINT64_MAX;

	/* The reading between two others that lie closest together is the least disturbed. */
	for (int i = 0; i < 3; i++) {
		uint64_t before = clock_ns(CLOCK_BOOTTIME);
		uint64_t wall = clock_ns(CLOCK_REALTIME);
		uint64_t width = clock_ns(CLOCK_BOOTTIME) - before;

		if (width < best_width) {
			best_width = width;
			best = (int64_t)(wall - (before + width / 2));
		}
	}
	return best;
}
