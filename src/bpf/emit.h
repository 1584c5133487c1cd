/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Handing a record to the transport, or counting why that failed. */
#ifndef TL_BPF_EMIT_H
#define TL_BPF_EMIT_H

#include "bpf/tally.h"

#define ENOSPC_ERRNO 28

/*
 * A record wakes the reader only if it sleeps, asked for it, and enough has gathered; otherwise
 * its own timer does. One record at most finds the request: the first one takes it back.
 */
static __always_inline __u64 emit_wakeup(void)
{
	if (!armed || bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) < wakeup_bytes)
		return BPF_RB_NO_WAKEUP;
	armed = 0;
	return BPF_RB_FORCE_WAKEUP;
}

static __always_inline void emit_record(void *ctx, void *record, __u64 bytes, struct tl_tally *here)
{
	int r; /* before 6.4 a helper's negative result may reach us without its sign */

	if (use_ringbuf)
		r = bpf_ringbuf_output(&events, record, bytes, emit_wakeup());
	else
		r = bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, record, bytes);
	if (!r)
		tally_emitted(here);
	else if (use_ringbuf || r == -ENOSPC_ERRNO)
		tally_lost(here, TL_LOSS_TRANSPORT_FULL);
	else
		tally_lost(here, TL_LOSS_NO_BUFFER);
}

static __always_inline void emit_head(struct tl_record *head, __u8 type, __u16 length, __u64 now)
{
	__u64 id = bpf_get_current_pid_tgid();

	head->length = length;
	head->version = TL_RECORD_VERSION;
	head->type = type;
	head->cpu = bpf_get_smp_processor_id();
	head->flags = 0;
	head->time_ns = now;
	head->tgid = id >> 32;
	head->tid = (__u32)id;
	head->generation = (__u32)aim_word;
	head->call = 0;
	head->abi = 0;
}

#endif
