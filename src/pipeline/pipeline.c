/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "pipeline/pipeline.h"

#include "base/clock.h"
#include "event/event.h"

/* Counters have one writer: a plain add that a reader never sees half of. */
static void count_one(uint64_t *counter)
{
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

void pipeline_add_sink(struct pipeline *pipeline, struct sink *sink)
{
	if (pipeline->sink_count < LEDGER_MAX_SINKS)
		pipeline->sinks[pipeline->sink_count++] = sink;
}

void pipeline_begin(struct pipeline *pipeline)
{
	pipeline->wall_minus_boot_ns = clock_wall_minus_boot_ns();
}

void pipeline_record(void *context, const void *record, size_t bytes)
{
	struct pipeline *pipeline = context;
	struct event event;

	count_one(&pipeline->received);
	if (event_decode(record, bytes, pipeline->wall_minus_boot_ns, &event) < 0) {
		count_one(&pipeline->malformed);
		return;
	}
	count_one(&pipeline->decoded);
	for (size_t i = 0; i < pipeline->sink_count; i++)
		pipeline->sinks[i]->ops->event(pipeline->sinks[i], &event);
}

void pipeline_end(struct pipeline *pipeline, bool now)
{
	for (size_t i = 0; i < pipeline->sink_count; i++)
		pipeline->sinks[i]->ops->flush(pipeline->sinks[i], now);
}

void pipeline_count(struct pipeline *pipeline, struct ledger *ledger)
{
	ledger->received = __atomic_load_n(&pipeline->received, __ATOMIC_RELAXED);
	ledger->decoded = __atomic_load_n(&pipeline->decoded, __ATOMIC_RELAXED);
	ledger->malformed = __atomic_load_n(&pipeline->malformed, __ATOMIC_RELAXED);
	ledger->sink_count = pipeline->sink_count;
	for (size_t i = 0; i < pipeline->sink_count; i++) {
		struct sink *sink = pipeline->sinks[i];

		ledger->sinks[i].name = sink->name;
		sink->ops->stats(sink, &ledger->sinks[i].stats);
	}
}
