/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Counting. Adds are atomic: a program that may be preempted can find another one on its CPU
 * half-way through the same counter.
 */
#ifndef TL_BPF_TALLY_H
#define TL_BPF_TALLY_H

#include "bpf/maps.h"

static __always_inline struct tl_tally *tally_here(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&tally, &zero);
}

static __always_inline void tally_seen(struct tl_tally *here)
{
	if (here)
		__sync_fetch_and_add(&here->seen, 1);
}

static __always_inline void tally_emitted(struct tl_tally *here)
{
	if (here)
		__sync_fetch_and_add(&here->emitted, 1);
}

static __always_inline void tally_lost(struct tl_tally *here, enum tl_loss cause)
{
	if (here)
		__sync_fetch_and_add(&here->lost[cause], 1);
}

#endif
