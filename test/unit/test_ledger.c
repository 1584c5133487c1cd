/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The ledger: each identity holds or is seen not to, and nothing that was lost goes unnamed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "pipeline/ledger.h"

/* A balanced one in which every number is another one. */
static struct ledger balanced(void)
{
	return (struct ledger){
		.seen = 1000,
		.emitted = 940,
		.lost_full = 30,
		.lost_no_buffer = 20,
		.lost_skipped = 10,
		.received = 940,
		.decoded = 933,
		.malformed = 7,
		.sink_count = 2,
		.sinks = {
			{ "log file", { .offered = 933, .written = 900, .lost = 29, .queued = 4 } },
			{ "standard output",
			  { .offered = 933, .written = 800, .lost = 130, .queued = 3 } },
		},
	};
}

static void test_balanced(void **state)
{
	struct ledger ledger = balanced();
	struct ledger empty = { 0 };

	(void)state;
	assert_true(ledger_is_balanced(&ledger));
	assert_true(ledger_is_balanced(&empty));
	ledger.sink_count = 0;
	assert_true(ledger_is_balanced(&ledger));
}

/* One too many or too few anywhere breaks it. */
static void test_each_number_counts(void **state)
{
	static const size_t offsets[] = {
		offsetof(struct ledger, seen),
		offsetof(struct ledger, emitted),
		offsetof(struct ledger, lost_full),
		offsetof(struct ledger, lost_no_buffer),
		offsetof(struct ledger, lost_skipped),
		offsetof(struct ledger, received),
		offsetof(struct ledger, decoded),
		offsetof(struct ledger, malformed),
		offsetof(struct ledger, sinks[0].stats.offered),
		offsetof(struct ledger, sinks[0].stats.written),
		offsetof(struct ledger, sinks[0].stats.lost),
		offsetof(struct ledger, sinks[0].stats.queued),
		offsetof(struct ledger, sinks[1].stats.offered),
		offsetof(struct ledger, sinks[1].stats.written),
		offsetof(struct ledger, sinks[1].stats.lost),
		offsetof(struct ledger, sinks[1].stats.queued),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		struct ledger ledger = balanced();
		uint64_t *number = (uint64_t *)((char *)&ledger + offsets[i]);

		*number += 1;
		assert_false(ledger_is_balanced(&ledger));
		*number -= 2;
		assert_false(ledger_is_balanced(&ledger));
		*number += 1;
		assert_true(ledger_is_balanced(&ledger));
	}
}

/* Two wrongs in different stages do not make up for each other. */
static void test_wrongs_do_not_cancel(void **state)
{
	struct ledger ledger = balanced();

	(void)state;
	ledger.emitted++;
	ledger.seen++;
	assert_false(ledger_is_balanced(&ledger));
	ledger = balanced();
	ledger.sinks[0].stats.offered++;
	ledger.sinks[0].stats.written++;
	assert_false(ledger_is_balanced(&ledger));
	ledger = balanced();
	ledger.decoded++;
	ledger.malformed--;
	assert_false(ledger_is_balanced(&ledger));
}

static void test_sums(void **state)
{
	struct ledger ledger = balanced();

	(void)state;
	assert_int_equal(ledger_lost_in_kernel(&ledger), 60);
	assert_int_equal(ledger_lost(&ledger), 60 + 7 + 29 + 130);
	ledger.sink_count = 1;
	assert_int_equal(ledger_lost(&ledger), 60 + 7 + 29);
}

static void test_format(void **state)
{
	struct ledger ledger = balanced();
	char line[512];

	(void)state;
	memset(line, '#', sizeof(line));
	ledger_format(&ledger, line, sizeof(line));
	assert_string_equal(line, "ledger: seen 1000, emitted 940, lost 60 (transport full 30, "
				  "no buffer 20, program not run 10); received 940, decoded 933, "
				  "malformed 7; log file: offered 933, written 900, lost 29; "
				  "standard output: offered 933, written 800, lost 130; balanced");
	ledger.seen++;
	ledger.sink_count = 0;
	ledger_format(&ledger, line, sizeof(line));
	assert_string_equal(line, "ledger: seen 1001, emitted 940, lost 60 (transport full 30, "
				  "no buffer 20, program not run 10); received 940, decoded 933, "
				  "malformed 7; NOT BALANCED");
}

/* However little room there is, it is kept to. */
static void test_format_is_cut(void **state)
{
	struct ledger before = { 0 }, ledger = balanced();
	char whole[512], line[512];

	(void)state;
	ledger_format(&ledger, whole, sizeof(whole));
	for (size_t room = 1; room <= strlen(whole) + 1; room++) {
		memset(line, '#', sizeof(line));
		ledger_format(&ledger, line, room);
		assert_int_equal(strlen(line), room - 1);
		assert_memory_equal(line, whole, room - 1);
		assert_int_equal(line[room], '#');
	}
	ledger_format_losses(&before, &ledger, whole, sizeof(whole));
	for (size_t room = 1; room <= strlen(whole) + 1; room++) {
		memset(line, '#', sizeof(line));
		ledger_format_losses(&before, &ledger, line, room);
		assert_int_equal(strlen(line), room - 1);
		assert_memory_equal(line, whole, room - 1);
		assert_int_equal(line[room], '#');
	}
}

/* The largest numbers there can be fit the room that callers give it. */
static void test_longest_losses(void **state)
{
	struct ledger before = { 0 }, ledger = { .lost_full = UINT64_MAX,
						 .lost_no_buffer = UINT64_MAX,
						 .lost_skipped = UINT64_MAX,
						 .malformed = UINT64_MAX,
						 .sink_count = 2,
						 .sinks = {
						     { "standard output", { .lost = UINT64_MAX } },
						     { "log file", { .lost = UINT64_MAX } },
						 } };
	char line[512];

	(void)state;
	ledger_format_losses(&before, &ledger, line, sizeof(line));
	assert_non_null(strstr(line, "malformed 18446744073709551615)"));
}

static void test_losses(void **state)
{
	struct ledger before = balanced(), after = balanced(), none = { 0 };
	char line[512];

	(void)state;
	after.lost_full += 5;
	ledger_format_losses(&before, &after, line, sizeof(line));
	assert_string_equal(line, "lost 5 events (transport full 5)");

	after.lost_skipped += 1;
	after.sinks[1].stats.lost += 30;
	after.malformed += 2;
	ledger_format_losses(&before, &after, line, sizeof(line));
	assert_string_equal(line, "lost 38 events (transport full 5, program not run 1, "
				  "standard output 30, malformed 2)");

	/* The first reading of all, in which there was no sink yet. */
	ledger_format_losses(&none, &before, line, sizeof(line));
	assert_string_equal(line, "lost 226 events (transport full 30, no buffer 20, "
				  "program not run 10, log file 29, standard output 130, "
				  "malformed 7)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_balanced),
		cmocka_unit_test(test_each_number_counts),
		cmocka_unit_test(test_wrongs_do_not_cancel),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_format_is_cut),
		cmocka_unit_test(test_longest_losses),
		cmocka_unit_test(test_losses),
	};

	return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
