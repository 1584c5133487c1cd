/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The writer and outputs that are full, stopped or gone: what is lost, and how it goes on. */
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "writer_rig.h"

#define STALL_MS 50
#define LINE_BYTES 101

static unsigned int count_in(const char *text, const char *part)
{
	unsigned int count = 0;

	for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
		count++;
	return count;
}

/* A full disk: all of it is lost and counted, and told once. */
static void test_full_disk(void **state)
{
	char told[4096];
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	stderr_keep();
	struct writer *writer = open_writer(&(struct writer_config){
	    .name = "/some/log", .fd = fd, .owns_fd = true, .patient = true });
	for (unsigned int i = 0; i < 10; i++)
		put_lines(writer, i * 10, 10, LINE_BYTES);
	writer_sync(writer);
	struct writer_stats early = stats_of(writer);
	/* Tried again, a few times over. */
	unsigned int taken = put_until_taken(writer, 100, LINE_BYTES, 500);
	struct writer_stats stats = close_writer(writer);
	stderr_restore(told, sizeof(told));
	assert_int_equal(early.offered, 100);
	assert_int_equal(early.lost, 100);
	assert_int_equal(taken, UINT32_MAX);
	assert_true(stats.offered > 100);
	assert_int_equal(stats.lost, stats.offered);
	assert_int_equal(stats.written, 0);
	assert_int_equal(count_in(told, "\n"), 1);
	assert_non_null(strstr(told, "/some/log"));
	assert_non_null(strstr(told, strerror(ENOSPC)));
}

/* A file that may grow again after a while: the line that was begun is finished, and on it goes. */
static void test_error_and_recovery(void **state)
{
	enum { BYTES = 3001 };
	struct rlimit before, limit;
	struct reader reader = { 0 };
	char told[4096];
	int fd = memfd_create("log", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = (struct rlimit){ .rlim_cur = 10000, .rlim_max = before.rlim_max };
	stderr_keep();
	struct writer *writer =
	    open_writer(&(struct writer_config){ .name = "the log", .fd = fd, .patient = true });
	setrlimit(RLIMIT_FSIZE, &limit);
	put_lines(writer, 0, 10, BYTES);
	writer_sync(writer);
	struct writer_stats stopped = stats_of(writer);
	setrlimit(RLIMIT_FSIZE, &before);
	unsigned int taken = put_until_taken(writer, 10, BYTES, BOUND_MS);
	struct writer_stats stats = close_writer(writer);
	stderr_restore(told, sizeof(told));
	assert_int_equal(stopped.written, 3);
	assert_int_equal(stopped.lost, 6);
	assert_int_equal(stopped.queued, 1); /* the one that was begun */
	assert_true(taken != UINT32_MAX);
	read_file(fd, &reader);
	assert_int_equal(check_lines(reader.text, reader.bytes, BYTES), stats.written);
	assert_true(stats.written >= 5);
	assert_memory_equal(reader.text + 3 * BYTES, "00000003 ", 9);
	assert_true(atol(reader.text + 4 * BYTES) >= 10);
	assert_int_equal(count_in(told, "\n"), 2);
	assert_int_equal(count_in(told, "cannot write to the log: File too large"), 1);
	assert_int_equal(count_in(told, "the log: writing again"), 1);
	close(fd);
	reader_free(&reader);
}

/*
 * A reader that stops and goes on. What it is too late for is lost, at once after the first
 * stall; what has been begun is finished before anything else.
 */
static void check_stall(int ends[2], size_t line_bytes, unsigned int begun)
{
	struct reader reader = { .fd = ends[0] };
	struct writer *writer = open_writer(&(struct writer_config){
	    .fd = ends[1], .owns_fd = true, .patient = true, .stall_ms = STALL_MS });
	unsigned int lines = (unsigned int)(60000 / line_bytes);

	for (unsigned int i = 0; i < 10; i++)
		put_lines(writer, i * lines, lines, line_bytes);
	writer_sync(writer);
	struct writer_stats stopped = stats_of(writer);
	assert_true(stopped.written > 0);
	assert_true(stopped.lost > 0);
	assert_int_equal(stopped.queued, begun);
	/* Many more stalls than there is time for, if each were waited for. */
	uint64_t start = clock_boot_ns();
	for (unsigned int i = 0; i < 1000; i++)
		put_lines(writer, 10 * lines + i, 1, line_bytes);
	assert_true(clock_boot_ns() - start < 1000 * STALL_MS * CLOCK_NS_PER_MS / 2);
	struct writer_stats still = stats_of(writer);
	assert_int_equal(still.lost, stopped.lost + 1000);
	assert_int_equal(still.written, stopped.written);
	reader_start(&reader, ends[0]);
	unsigned int taken = put_until_taken(writer, 10 * lines + 1000, line_bytes, BOUND_MS);
	struct writer_stats stats = close_writer(writer);
	reader_join(&reader);
	assert_true(taken != UINT32_MAX);
	assert_true(stats.written >= stopped.written + begun + 1);
	assert_int_equal(check_lines(reader.text, reader.bytes, line_bytes), stats.written);
	/* The one that was begun is followed by one of those that came after the stop. */
	assert_int_equal(atol(reader.text + (stopped.written + begun - 1) * line_bytes),
			 stopped.written + begun - 1);
	assert_true(atol(reader.text + (stopped.written + begun) * line_bytes) >=
		    10 * lines + 1000);
	reader_free(&reader);
}

static void test_stopped_pipe(void **state)
{
	int ends[2];

	(void)state;
	make_pipe(ends, 0);
	check_stall(ends, LINE_BYTES, 0);
}

/* Longer than what a pipe takes whole. */
static void test_stopped_pipe_long_lines(void **state)
{
	int ends[2];

	(void)state;
	make_pipe(ends, 65536);
	check_stall(ends, 10007, 1);
}

static void test_stopped_socket(void **state)
{
	int ends[2];

	(void)state;
	make_sockets(ends);
	check_stall(ends, 3001, 1);
}

/* A notice is no event: what becomes of it is not counted, and it never breaks a line. */
static void test_notice_while_stopped(void **state)
{
	struct reader reader = { 0 };
	int ends[2];

	(void)state;
	make_pipe(ends, 4096);
	struct writer *writer = open_writer(&(struct writer_config){
	    .fd = ends[1], .owns_fd = true, .patient = true, .stall_ms = STALL_MS });
	put_lines(writer, 0, 200, LINE_BYTES);
	writer_put_notice(writer, "first\n", 6);
	writer_sync(writer);
	writer_put_notice(writer, "second\n", 7);
	struct writer_stats stopped = stats_of(writer);
	assert_int_equal(stopped.offered, 200);
	assert_int_equal(stopped.queued, 0);
	reader_start(&reader, ends[0]);
	assert_true(put_until_taken(writer, 200, LINE_BYTES, BOUND_MS) != UINT32_MAX);
	writer_put_notice(writer, "third\n", 6);
	struct writer_stats stats = close_writer(writer);
	reader_join(&reader);
	assert_int_equal(reader.bytes, stats.written * LINE_BYTES + 6);
	check_lines(reader.text, reader.bytes - 6, LINE_BYTES);
	assert_memory_equal(reader.text + reader.bytes - 6, "third\n", 6);
	reader_free(&reader);
}

struct gone {
	sem_t told;
	atomic_uint times;
};

static void on_gone(void *context)
{
	struct gone *gone = context;

	atomic_fetch_add(&gone->times, 1);
	sem_post(&gone->told);
}

static void wait_gone(struct gone *gone)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += BOUND_MS / 1000;
	assert_int_equal(sem_timedwait(&gone->told, &until), 0);
}

/* Nobody reads any more: said once, however much still comes. SIGPIPE would end this test. */
static void check_gone(int ends[2], size_t line_bytes)
{
	struct gone gone = { .times = 0 };
	struct reader reader = { .fd = ends[0] };

	sem_init(&gone.told, 0, 0);
	struct writer *writer = open_writer(&(struct writer_config){
	    .fd = ends[1], .owns_fd = true, .patient = true, .gone = on_gone, .context = &gone });
	put_lines(writer, 0, 4, line_bytes);
	while (reader.bytes < 4 * line_bytes)
		assert_true(reader_read(&reader, SIZE_MAX) > 0);
	assert_int_equal(atomic_load(&gone.times), 0);
	/* More than it holds, so that it goes in the middle. */
	for (unsigned int i = 0; i < 10; i++)
		put_lines(writer, 4 + i * 4, 4, line_bytes);
	close(ends[0]);
	wait_gone(&gone);
	for (unsigned int i = 0; i < 100; i++)
		put_lines(writer, 44 + i, 1, line_bytes);
	writer_sync(writer);
	struct writer_stats stats = stats_of(writer);
	assert_int_equal(stats.offered, 144);
	assert_int_equal(stats.queued, 0);
	assert_in_range(stats.written, 4, 43);
	struct writer_stats final = close_writer(writer);
	assert_memory_equal(&final, &stats, sizeof(final));
	assert_int_equal(atomic_load(&gone.times), 1);
	sem_destroy(&gone.told);
	reader_free(&reader);
}

static void test_gone_pipe(void **state)
{
	int ends[2];

	(void)state;
	make_pipe(ends, 4096);
	check_gone(ends, LINE_BYTES * 4);
}

/* In the middle of a line. */
static void test_gone_pipe_long_lines(void **state)
{
	int ends[2];

	(void)state;
	make_pipe(ends, 4096);
	check_gone(ends, 10007);
}

static void test_gone_socket(void **state)
{
	int ends[2];

	(void)state;
	make_sockets(ends);
	check_gone(ends, 10007);
}

/* A terminal that has hung up. */
static void test_gone_terminal(void **state)
{
	int ends[2];

	(void)state;
	ends[1] = open_terminal(&ends[0]);
	check_gone(ends, 10007);
}

/* Without anybody to tell, it is discarded all the same. */
static void test_gone_without_callback(void **state)
{
	int ends[2];

	(void)state;
	make_pipe(ends, 0);
	close(ends[0]);
	struct writer *writer =
	    open_writer(&(struct writer_config){ .fd = ends[1], .owns_fd = true });
	put_lines(writer, 0, 10, LINE_BYTES);
	writer_sync(writer);
	assert_int_equal(stats_of(writer).lost, 10);
	close_writer(writer);
}

/* What has gone or stopped is left behind by a switch. */
static void check_switch_away(int fd, unsigned int begun)
{
	struct reader reader = { 0 };
	int file = memfd_create("log", MFD_CLOEXEC);
	_cleanup_close_ int copy = fcntl(file, F_DUPFD_CLOEXEC, 0);
	struct writer *writer = open_writer(&(struct writer_config){
	    .fd = fd, .owns_fd = true, .patient = true, .stall_ms = STALL_MS });

	for (unsigned int i = 0; i < 100; i++)
		put_lines(writer, i * 10, 10, 1009);
	writer_sync(writer);
	assert_true(stats_of(writer).lost > 0);
	assert_int_equal(stats_of(writer).queued, begun);
	writer_switch(writer, file);
	unsigned int taken = put_until_taken(writer, 1000, 1009, 3000);
	writer_close(writer, 0, NULL);
	assert_true(taken != UINT32_MAX);
	read_file(copy, &reader);
	assert_true(check_lines(reader.text, reader.bytes, 1009) >= 1);
	assert_true(atol(reader.text) >= 1000);
	reader_free(&reader);
}

static void test_switch_away_from_gone(void **state)
{
	int ends[2];

	(void)state;
	make_pipe(ends, 0);
	close(ends[0]);
	check_switch_away(ends[1], 0);
}

static void test_switch_away_from_stopped(void **state)
{
	int ends[2];

	(void)state;
	make_pipe(ends, 0);
	check_switch_away(ends[1], 0);
	close(ends[0]);
}

/* Half a line stays in the old output, as it does on a disk that is full, and is a lost one. */
static void test_switch_away_from_begun_line(void **state)
{
	int ends[2];

	(void)state;
	make_sockets(ends);
	check_switch_away(ends[1], 1);
	close(ends[0]);
}

/* It was asked for before the stall: what stood before it is lost, and it is not. */
static void test_switch_outlives_a_stall(void **state)
{
	int ends[2], file = memfd_create("log", MFD_CLOEXEC);
	_cleanup_close_ int copy = fcntl(file, F_DUPFD_CLOEXEC, 0);
	struct reader reader = { 0 };

	(void)state;
	make_pipe(ends, 4096);
	struct writer *writer = open_writer(&(struct writer_config){
	    .fd = ends[1], .owns_fd = true, .patient = true, .stall_ms = STALL_MS });
	put_lines(writer, 0, 200, LINE_BYTES);
	writer_switch(writer, file);
	unsigned int taken = put_until_taken(writer, 200, LINE_BYTES, 3000);
	struct writer_stats stats = close_writer(writer);
	assert_true(taken != UINT32_MAX);
	assert_true(stats.lost >= 200 - 4096 / LINE_BYTES);
	read_file(copy, &reader);
	unsigned int lines = check_lines(reader.text, reader.bytes, LINE_BYTES);
	assert_true(atol(reader.text) >= 200);
	reader.fd = ends[0];
	reader.bytes = 0;
	reader_drain(&reader);
	lines += check_lines(reader.text, reader.bytes, LINE_BYTES);
	assert_int_equal(lines, stats.written);
	close(ends[0]);
	reader_free(&reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_error_and_recovery),
		cmocka_unit_test(test_stopped_pipe),
		cmocka_unit_test(test_stopped_pipe_long_lines),
		cmocka_unit_test(test_stopped_socket),
		cmocka_unit_test(test_notice_while_stopped),
		cmocka_unit_test(test_gone_pipe),
		cmocka_unit_test(test_gone_pipe_long_lines),
		cmocka_unit_test(test_gone_socket),
		cmocka_unit_test(test_gone_terminal),
		cmocka_unit_test(test_gone_without_callback),
		cmocka_unit_test(test_switch_away_from_gone),
		cmocka_unit_test(test_switch_away_from_stopped),
		cmocka_unit_test(test_switch_away_from_begun_line),
		cmocka_unit_test(test_switch_outlives_a_stall),
	};

	alarm(120); /* whoever hangs ends */
	return cmocka_run_group_tests_name("writer_trouble", tests, NULL, NULL);
}
