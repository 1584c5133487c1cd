/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Clocks, in ns. The one place that turns the kernel's boot time into wall time. */
#ifndef TL_BASE_CLOCK_H
#define TL_BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_NS_PER_MS 1000000ULL
#define CLOCK_NS_PER_SECOND 1000000000ULL

/* CLOCK_BOOTTIME: what the kernel side stamps events with, and what timeouts are measured by. */
uint64_t clock_boot_ns(void);

/*
 * What has to be added to a boot time to get the wall time (since 1970). It changes when the clock
 * is stepped or slewed: ask again for each batch of events.
 */
int64_t clock_wall_minus_boot_ns(void);

#endif
