/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What happened to every event, from the kernel to the last sink. At a quiet moment, exactly:
 *
 *     seen     = emitted + the sum of lost
 *     emitted  = received
 *     received = decoded + malformed
 *     decoded  = offered, for each sink
 *     offered  = written + lost + queued, for each sink
 */
#ifndef TL_PIPELINE_LEDGER_H
#define TL_PIPELINE_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sink/sink.h"

#define LEDGER_MAX_SINKS 4

struct ledger {
	uint64_t seen;
	uint64_t emitted;
	uint64_t lost_full;	 /* no room in the transport */
	uint64_t lost_no_buffer; /* the transport has no buffer for that CPU */
	uint64_t lost_skipped;	 /* the kernel did not run the program */
	uint64_t received;
	uint64_t decoded;
	uint64_t malformed;
	size_t sink_count;
	struct {
		const char *name;
		struct sink_stats stats;
	} sinks[LEDGER_MAX_SINKS];
};

/* What the kernel side lost. */
uint64_t ledger_lost_in_kernel(const struct ledger *ledger);

/* All that somebody did not get, sinks included. */
uint64_t ledger_lost(const struct ledger *ledger);

/* Whether all of the identities hold. */
bool ledger_is_balanced(const struct ledger *ledger);

/* The whole of it in one line, without a newline. */
void ledger_format(const struct ledger *ledger, char *out, size_t bytes);

/* What was lost between two readings, by cause, in one line. */
void ledger_format_losses(const struct ledger *before, const struct ledger *after, char *out,
			  size_t bytes);

#endif
