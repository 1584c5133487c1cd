/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The kernel side's counters, one set for each CPU. seen = emitted + the sum of lost, exactly,
 * whenever no program is between its first and its last count.
 */
#ifndef TL_ABI_TALLY_H
#define TL_ABI_TALLY_H

#include <linux/types.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"

enum tl_loss {
	TL_LOSS_TRANSPORT_FULL, /* no room in the ring or perf buffer */
	TL_LOSS_NO_BUFFER,	/* the perf buffer has none for this CPU, or the kernel refused */
	TL_LOSS_SKIPPED_RUN,	/* the kernel did not run the program (recursion); counted by it */
	TL_LOSS_COUNT,
};

struct tl_tally {
	__u64 seen;
	__u64 emitted;
	__u64 lost[TL_LOSS_COUNT];
	__u64 no_slot; /* exec times that could not be kept: a duration is missing, no event */
};

_Static_assert(sizeof(struct tl_tally) == 48, "tl_tally");

#pragma GCC diagnostic pop

#endif
