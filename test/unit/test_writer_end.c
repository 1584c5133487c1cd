/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The end of a writer: nothing is waited for longer than was said, and all is accounted for. */
#include "writer_rig.h"

#define STALL_MS 50
#define LINE_BYTES 101

/* Closes a writer whose output takes nothing any more; returns how long that took, in ms. */
static uint64_t time_of_close(unsigned int stall_ms, uint64_t deadline_ms)
{
	struct writer_stats stats;
	struct reader reader = { 0 };
	int ends[2];

	make_pipe(ends, 4096);
	struct writer *writer = open_writer(&(struct writer_config){
	    .fd = ends[1], .owns_fd = true, .patient = true, .stall_ms = stall_ms });
	put_lines(writer, 0, 200, LINE_BYTES);
	uint64_t start = clock_boot_ns();
	writer_close(writer, deadline_ms ? start + deadline_ms * CLOCK_NS_PER_MS : 0, &stats);
	uint64_t took = (clock_boot_ns() - start) / CLOCK_NS_PER_MS;
	check_identity(&stats);
	assert_int_equal(stats.offered, 200);
	assert_int_equal(stats.queued, 0);
	assert_in_range(stats.lost, 200 - 4096 / LINE_BYTES, 200);
	reader.fd = ends[0];
	reader_drain(&reader);
	assert_int_equal(check_lines(reader.text, reader.bytes, LINE_BYTES), stats.written);
	close(ends[0]);
	reader_free(&reader);
	return took;
}

static void test_close_of_stopped(void **state)
{
	(void)state;
	/* No time at all; and no longer than one stall, whatever the deadline. */
	assert_true(time_of_close(NO_STALL_MS, 0) < 10000);
	assert_true(time_of_close(STALL_MS, NO_STALL_MS) < 10000);
}

static void test_close_keeps_its_deadline(void **state)
{
	(void)state;
	assert_true(time_of_close(5000, 50) < 3000);
}

/* Half a line at the very end is a lost one, and all that follows it; nobody waits for its rest. */
static void check_close_in_a_begun_line(unsigned int stall_ms, uint64_t deadline_ms)
{
	struct reader reader = { 0 };
	struct writer_stats stats;
	int ends[2];

	make_sockets(ends);
	struct writer *writer = open_writer(&(struct writer_config){
	    .fd = ends[1], .owns_fd = true, .patient = true, .stall_ms = stall_ms });
	for (unsigned int i = 0; i < 20; i++)
		put_lines(writer, i, 1, 10007);
	uint64_t start = clock_boot_ns();
	writer_close(writer, start + deadline_ms * CLOCK_NS_PER_MS, &stats);
	assert_true(clock_boot_ns() - start < 10 * CLOCK_NS_PER_SECOND);
	check_identity(&stats);
	assert_int_equal(stats.queued, 0);
	assert_int_equal(stats.offered, 20);
	reader.fd = ends[0];
	while (reader_read(&reader, SIZE_MAX) > 0)
		;
	assert_int_equal(stats.written, reader.bytes / 10007);
	assert_int_equal(stats.lost, 20 - stats.written);
	assert_true(reader.bytes % 10007 != 0);
	close(ends[0]);
	reader_free(&reader);
}

static void test_close_in_a_begun_line(void **state)
{
	(void)state;
	check_close_in_a_begun_line(STALL_MS, NO_STALL_MS);
	check_close_in_a_begun_line(NO_STALL_MS, STALL_MS);
}

/* What is merely slow gets everything, if there is the time. */
static void test_close_waits_for_a_reader(void **state)
{
	struct reader reader = { .pace_ms = 10, .pace_bytes = 4096 };
	int ends[2];

	(void)state;
	make_pipe(ends, 4096);
	struct writer *writer =
	    open_writer(&(struct writer_config){ .fd = ends[1], .owns_fd = true, .patient = true });
	put_lines(writer, 0, 600, LINE_BYTES);
	reader_start(&reader, ends[0]);
	struct writer_stats stats = close_writer(writer);
	reader_join(&reader);
	assert_int_equal(stats.written, 600);
	assert_int_equal(check_lines(reader.text, reader.bytes, LINE_BYTES), 600);
	reader_free(&reader);
}

/* A writer whose output takes nothing any more and whose queue is full: whoever puts waits. */
static struct writer *open_full(int ends[2])
{
	make_pipe(ends, 4096);
	struct writer *writer = open_writer(&(struct writer_config){ .fd = ends[1],
								     .owns_fd = true,
								     .patient = true,
								     .queue_bytes = 10000,
								     .stall_ms = 10000 });
	put_lines(writer, 0, 90, LINE_BYTES);
	return writer;
}

static void *put_one_too_many(void *writer)
{
	put_lines(writer, 90, 60, LINE_BYTES);
	return NULL;
}

static void test_hurry_lets_put_go(void **state)
{
	pthread_t thread;
	int ends[2];

	(void)state;
	struct writer *writer = open_full(ends);
	uint64_t start = clock_boot_ns();
	assert_int_equal(pthread_create(&thread, NULL, put_one_too_many, writer), 0);
	while (stats_of(writer).offered < 150)
		poll(NULL, 0, 1);
	writer_hurry(writer, clock_boot_ns() + 20 * CLOCK_NS_PER_MS);
	pthread_join(thread, NULL);
	assert_int_equal(stats_of(writer).lost, 60);
	/* Later ones do not wait at all. */
	put_lines(writer, 150, 60, LINE_BYTES);
	assert_int_equal(stats_of(writer).lost, 120);
	writer_close(writer, 0, NULL);
	assert_true(clock_boot_ns() - start < 5 * CLOCK_NS_PER_SECOND);
	close(ends[0]);
}

static void test_hurry_lets_sync_go(void **state)
{
	int ends[2];

	(void)state;
	struct writer *writer = open_full(ends);
	uint64_t start = clock_boot_ns();
	writer_hurry(writer, start + 20 * CLOCK_NS_PER_MS);
	writer_sync(writer);
	struct writer_stats stats = stats_of(writer);
	assert_int_equal(stats.queued, 0);
	assert_in_range(stats.written, 0, 4096 / LINE_BYTES);
	writer_close(writer, 0, NULL);
	assert_true(clock_boot_ns() - start < 5 * CLOCK_NS_PER_SECOND);
	close(ends[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_close_of_stopped),
		cmocka_unit_test(test_close_keeps_its_deadline),
		cmocka_unit_test(test_close_in_a_begun_line),
		cmocka_unit_test(test_close_waits_for_a_reader),
		cmocka_unit_test(test_hurry_lets_put_go),
		cmocka_unit_test(test_hurry_lets_sync_go),
	};

	alarm(120); /* whoever hangs ends */
	return cmocka_run_group_tests_name("writer_end", tests, NULL, NULL);
}
