/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * From records to sinks: decode, count, hand on. One thread drives it; the counts may be read from
 * another one.
 */
#ifndef TL_PIPELINE_PIPELINE_H
#define TL_PIPELINE_PIPELINE_H

#include <stddef.h>

#include "pipeline/ledger.h"
#include "sink/sink.h"

struct pipeline {
	struct sink *sinks[LEDGER_MAX_SINKS]; /* borrowed */
	size_t sink_count;
	int64_t wall_minus_boot_ns;
	uint64_t received, decoded, malformed; /* atomic */
};

/* At most LEDGER_MAX_SINKS; borrowed. */
void pipeline_add_sink(struct pipeline *pipeline, struct sink *sink);

/* Begins a batch: asks for the wall clock, which may have been stepped. */
void pipeline_begin(struct pipeline *pipeline);

/* Takes one record in; context is the pipeline. */
void pipeline_record(void *context, const void *record, size_t bytes);

/* Ends a batch: the sinks hand on; now: all that they gathered. */
void pipeline_end(struct pipeline *pipeline, bool now);

/* Fills in the counts from here on: received … and those of the sinks. */
void pipeline_count(struct pipeline *pipeline, struct ledger *ledger);

#endif
