/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* From records to sinks, with sinks of the test's own that remember what they were given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "abi/record.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "pipeline/pipeline.h"

struct counting_sink {
	struct sink sink;
	struct sink_stats stats;
	struct event last;
	char comm[TL_COMM_BYTES + 1];
	unsigned int flushes, flushes_now;
	unsigned int lose_every; /* 0: none */
};

static void counting_event(struct sink *sink, const struct event *event)
{
	struct counting_sink *counting = (struct counting_sink *)sink;

	counting->stats.offered++;
	if (counting->lose_every && counting->stats.offered % counting->lose_every == 0)
		counting->stats.lost++;
	else
		counting->stats.written++;
	counting->last = *event;
	memcpy(counting->comm, event->comm, event->comm_bytes);
	counting->comm[event->comm_bytes] = '\0';
}

static void counting_flush(struct sink *sink, bool now)
{
	struct counting_sink *counting = (struct counting_sink *)sink;

	counting->flushes++;
	counting->flushes_now += now;
}

static void counting_stats(struct sink *sink, struct sink_stats *ret_stats)
{
	*ret_stats = ((struct counting_sink *)sink)->stats;
}

static const struct sink_ops counting_ops = {
	.event = counting_event,
	.flush = counting_flush,
	.stats = counting_stats,
};

static struct counting_sink make_sink(const char *name)
{
	return (struct counting_sink){ .sink = { .ops = &counting_ops, .name = name } };
}

static struct tl_call_record make_record(void)
{
	return (struct tl_call_record){
		.head = { .length = sizeof(struct tl_call_record),
			  .version = TL_RECORD_VERSION,
			  .type = TL_RECORD_CALL,
			  .time_ns = clock_boot_ns(),
			  .tgid = 7,
			  .tid = 8 },
		.comm = "cat",
	};
}

/* What the kernel side would have counted of it: everything arrived. */
static struct ledger count(struct pipeline *pipeline, uint64_t emitted)
{
	struct ledger ledger = { .seen = emitted, .emitted = emitted };

	pipeline_count(pipeline, &ledger);
	return ledger;
}

static void test_hands_on_to_all(void **state)
{
	struct counting_sink first = make_sink("first"), second = make_sink("second");
	struct pipeline pipeline = { 0 };
	struct tl_call_record record = make_record();

	(void)state;
	pipeline_add_sink(&pipeline, &first.sink);
	pipeline_add_sink(&pipeline, &second.sink);
	pipeline_begin(&pipeline);
	for (int i = 0; i < 1000; i++)
		pipeline_record(&pipeline, &record, sizeof(record));
	pipeline_end(&pipeline, false);
	assert_int_equal(first.stats.offered, 1000);
	assert_int_equal(second.stats.offered, 1000);
	assert_int_equal(first.last.pid, 7);
	assert_int_equal(second.last.tid, 8);
	assert_string_equal(first.comm, "cat");
	struct ledger ledger = count(&pipeline, 1000);
	assert_int_equal(ledger.received, 1000);
	assert_int_equal(ledger.decoded, 1000);
	assert_int_equal(ledger.malformed, 0);
	assert_int_equal(ledger.sink_count, 2);
	assert_string_equal(ledger.sinks[0].name, "first");
	assert_string_equal(ledger.sinks[1].name, "second");
	assert_int_equal(ledger.sinks[1].stats.written, 1000);
	assert_true(ledger_is_balanced(&ledger));
}

/* No sink sees what cannot be decoded, and it is counted. */
static void test_malformed(void **state)
{
	struct counting_sink sink = make_sink("sink");
	struct pipeline pipeline = { 0 };
	struct tl_call_record record = make_record(), wrong = make_record();
	unsigned int seed = 20260301;
	unsigned char garbage[64];

	(void)state;
	pipeline_add_sink(&pipeline, &sink.sink);
	pipeline_begin(&pipeline);
	pipeline_record(&pipeline, &record, sizeof(record));
	wrong.head.version++;
	pipeline_record(&pipeline, &wrong, sizeof(wrong));
	pipeline_record(&pipeline, &record, sizeof(record) - 1);
	pipeline_record(&pipeline, &record, 0);
	pipeline_record(&pipeline, &record, sizeof(record));
	pipeline_end(&pipeline, false);
	assert_int_equal(sink.stats.offered, 2);
	struct ledger ledger = count(&pipeline, 5);
	assert_int_equal(ledger.received, 5);
	assert_int_equal(ledger.decoded, 2);
	assert_int_equal(ledger.malformed, 3);
	assert_true(ledger_is_balanced(&ledger));
	for (int i = 0; i < 10000; i++) {
		for (size_t j = 0; j < sizeof(garbage); j++)
			garbage[j] = (unsigned char)rand_r(&seed);
		pipeline_record(&pipeline, garbage, (size_t)rand_r(&seed) % sizeof(garbage));
	}
	ledger = count(&pipeline, 10005);
	assert_true(ledger.malformed > 3);
	assert_true(ledger_is_balanced(&ledger));
}

static void test_losses_of_a_sink(void **state)
{
	struct counting_sink good = make_sink("good"), bad = make_sink("bad");
	struct pipeline pipeline = { 0 };
	struct tl_call_record record = make_record();

	(void)state;
	bad.lose_every = 4;
	pipeline_add_sink(&pipeline, &bad.sink);
	pipeline_add_sink(&pipeline, &good.sink);
	for (int i = 0; i < 100; i++)
		pipeline_record(&pipeline, &record, sizeof(record));
	assert_int_equal(good.stats.written, 100);
	struct ledger ledger = count(&pipeline, 100);
	assert_true(ledger_is_balanced(&ledger));
	assert_int_equal(ledger_lost(&ledger), 25);
	/* One that forgets an event is found out. */
	good.stats.offered--;
	good.stats.written--;
	ledger = count(&pipeline, 100);
	assert_false(ledger_is_balanced(&ledger));
	/* So is a record that never arrived. */
	good.stats.offered++;
	good.stats.written++;
	ledger = count(&pipeline, 101);
	assert_false(ledger_is_balanced(&ledger));
}

static void test_flush(void **state)
{
	struct counting_sink first = make_sink("first"), second = make_sink("second");
	struct pipeline pipeline = { 0 };

	(void)state;
	pipeline_end(&pipeline, true); /* without a sink */
	pipeline_add_sink(&pipeline, &first.sink);
	pipeline_add_sink(&pipeline, &second.sink);
	pipeline_end(&pipeline, false);
	pipeline_end(&pipeline, false);
	pipeline_end(&pipeline, true);
	assert_int_equal(first.flushes, 3);
	assert_int_equal(first.flushes_now, 1);
	assert_int_equal(second.flushes, 3);
	assert_int_equal(second.flushes_now, 1);
}

static void test_sinks_are_bounded(void **state)
{
	struct counting_sink sinks[LEDGER_MAX_SINKS + 1];
	struct pipeline pipeline = { 0 };
	struct tl_call_record record = make_record();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sinks); i++) {
		sinks[i] = make_sink("sink");
		pipeline_add_sink(&pipeline, &sinks[i].sink);
	}
	pipeline_record(&pipeline, &record, sizeof(record));
	assert_int_equal(pipeline.sink_count, LEDGER_MAX_SINKS);
	assert_int_equal(sinks[LEDGER_MAX_SINKS - 1].stats.offered, 1);
	assert_int_equal(sinks[LEDGER_MAX_SINKS].stats.offered, 0);
	struct ledger ledger = count(&pipeline, 1);
	assert_int_equal(ledger.sink_count, LEDGER_MAX_SINKS);
	assert_true(ledger_is_balanced(&ledger));
}

/* The wall clock is asked for at each batch: an event of now is one of now. */
static void test_wall_clock(void **state)
{
	struct counting_sink sink = make_sink("sink");
	struct pipeline pipeline = { 0 };
	struct tl_call_record record = make_record();

	(void)state;
	pipeline_add_sink(&pipeline, &sink.sink);
	pipeline.wall_minus_boot_ns = 12345; /* what an earlier batch has left */
	pipeline_begin(&pipeline);
	pipeline_record(&pipeline, &record, sizeof(record));
	assert_in_range(sink.last.wall_ns / (int64_t)CLOCK_NS_PER_SECOND, time(NULL) - 60,
			time(NULL) + 60);
	assert_int_equal(sink.last.boot_ns, record.head.time_ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hands_on_to_all),	  cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_losses_of_a_sink),  cmocka_unit_test(test_flush),
		cmocka_unit_test(test_sinks_are_bounded), cmocka_unit_test(test_wall_clock),
	};

	return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
