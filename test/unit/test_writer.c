/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The writer and outputs that work, fast or slowly: what goes in comes out, and is counted. */
#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "writer_rig.h"

static int make_file(void)
{
	int fd = memfd_create("output", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* Lines of a length that divides neither a page nor the socket's buffers. */
#define LINE_BYTES 101

/* Puts count lines in pieces of changing sizes, up to the largest that there may be. */
static void put_many(struct writer *writer, unsigned int count)
{
	for (unsigned int done = 0, piece = 1; done < count; piece = piece * 7 % 641) {
		unsigned int lines = piece < count - done ? piece : count - done;

		put_lines(writer, done, lines, LINE_BYTES);
		done += lines;
	}
}

static void check_all_written(const struct reader *reader, const struct writer_stats *stats,
			      unsigned int count)
{
	assert_int_equal(check_lines(reader->text, reader->bytes, LINE_BYTES), count);
	assert_int_equal(stats->offered, count);
	assert_int_equal(stats->written, count);
	assert_int_equal(stats->lost, 0);
}

static void test_pipe(void **state)
{
	struct reader reader = { 0 };
	int ends[2];

	(void)state;
	make_pipe(ends, 0);
	struct writer *writer =
	    open_writer(&(struct writer_config){ .fd = ends[1], .owns_fd = true, .patient = true });
	reader_start(&reader, ends[0]);
	put_many(writer, 20000);
	struct writer_stats stats = close_writer(writer);
	reader_join(&reader);
	check_all_written(&reader, &stats, 20000);
	reader_free(&reader);
}

static void test_socket(void **state)
{
	struct reader reader = { 0 };
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	struct writer *writer =
	    open_writer(&(struct writer_config){ .fd = ends[1], .owns_fd = true, .patient = true });
	reader_start(&reader, ends[0]);
	put_many(writer, 20000);
	struct writer_stats stats = close_writer(writer);
	reader_join(&reader);
	check_all_written(&reader, &stats, 20000);
	reader_free(&reader);
}

static void test_file(void **state)
{
	struct reader reader = { 0 };
	int fd = make_file();
	struct writer *writer = open_writer(&(struct writer_config){ .fd = fd, .patient = true });

	(void)state;
	put_many(writer, 20000);
	writer_sync(writer);
	/* All of it is there before anything is closed. */
	struct writer_stats stats = stats_of(writer);
	assert_int_equal(stats.queued, 0);
	read_file(fd, &reader);
	check_all_written(&reader, &stats, 20000);
	stats = close_writer(writer);
	assert_int_equal(stats.written, 20000);
	assert_true(fcntl(fd, F_GETFD) >= 0); /* it was only borrowed */
	close(fd);
	reader_free(&reader);
}

static void test_terminal(void **state)
{
	struct reader reader = { 0 };
	int master = -1, slave = open_terminal(&master);
	struct writer *writer =
	    open_writer(&(struct writer_config){ .fd = slave, .owns_fd = true, .patient = true });

	(void)state;
	put_many(writer, 3000); /* more than the terminal holds, less than the queue */
	reader.fd = master;
	while (reader.bytes < 3000 * LINE_BYTES)
		assert_true(reader_read(&reader, SIZE_MAX) > 0);
	struct writer_stats stats = close_writer(writer);
	close(master);
	check_all_written(&reader, &stats, 3000);
	reader_free(&reader);
}

/* O_NONBLOCK on a file that others have open too would surprise them. */
static void check_stays_blocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	struct writer *writer = open_writer(&(struct writer_config){ .fd = fd, .patient = true });

	assert_false(flags & O_NONBLOCK);
	put_many(writer, 20);
	assert_int_equal(fcntl(fd, F_GETFL), flags);
	writer_sync(writer);
	assert_int_equal(fcntl(fd, F_GETFL), flags);
	assert_int_equal(close_writer(writer).written, 20);
	assert_int_equal(fcntl(fd, F_GETFL), flags);
	close(fd);
}

static void test_others_are_left_blocking(void **state)
{
	int ends[2], master = -1;

	(void)state;
	make_pipe(ends, 0);
	check_stays_blocking(ends[1]);
	close(ends[0]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	check_stays_blocking(ends[1]);
	close(ends[0]);
	check_stays_blocking(open_terminal(&master));
	close(master);
}

/* In order with the lines, of any length, and no event. */
static void test_notices(void **state)
{
	struct reader reader = { 0 };
	int fd = make_file();
	struct writer *writer =
	    open_writer(&(struct writer_config){ .fd = fd, .patient = true, .queue_bytes = 5000 });
	size_t bytes = 3 * WRITER_PIECE_BYTES;
	_cleanup_free_ char *notice = malloc(bytes);

	(void)state;
	memset(notice, '#', bytes);
	notice[bytes - 1] = '\n';
	put_lines(writer, 0, 2, LINE_BYTES);
	writer_put_notice(writer, notice, bytes);
	put_lines(writer, 2, 1, LINE_BYTES);
	writer_put(writer, "", 0, 0);
	struct writer_stats stats = close_writer(writer);
	assert_int_equal(stats.offered, 3);
	assert_int_equal(stats.written, 3);
	read_file(fd, &reader);
	assert_int_equal(reader.bytes, 3 * LINE_BYTES + bytes);
	assert_int_equal(check_lines(reader.text, 2 * LINE_BYTES, LINE_BYTES), 2);
	assert_memory_equal(reader.text + 2 * LINE_BYTES, notice, bytes);
	assert_memory_equal(reader.text + 2 * LINE_BYTES + bytes, "00000002 ", 9);
	close(fd);
	reader_free(&reader);
}

struct producer {
	pthread_t thread;
	struct writer *writer;
	unsigned int first, pieces, lines;
	size_t line_bytes;
};

static void *produce(void *argument)
{
	struct producer *producer = argument;

	for (unsigned int i = 0; i < producer->pieces; i++)
		put_lines(producer->writer, producer->first + i * producer->lines, producer->lines,
			  producer->line_bytes);
	return NULL;
}

/* A full queue makes a patient writer's callers wait: it never holds more than it may. */
static void test_patient(void **state)
{
	enum { BYTES = 500, PIECES = 200, LINES = 20, QUEUE_BYTES = 32000 };
	struct reader reader = { 0 };
	int ends[2];

	(void)state;
	make_pipe(ends, 4096);
	struct writer *writer = open_writer(&(struct writer_config){
	    .fd = ends[1], .owns_fd = true, .patient = true, .queue_bytes = QUEUE_BYTES });
	struct producer producer = {
		.writer = writer, .pieces = PIECES, .lines = LINES, .line_bytes = BYTES
	};
	assert_int_equal(pthread_create(&producer.thread, NULL, produce, &producer), 0);
	reader.fd = ends[0];
	while (reader.bytes < (size_t)BYTES * PIECES * LINES) {
		assert_true(reader_read(&reader, 2048) > 0);
		/* What is in the queue, and the piece that waits for room. */
		assert_in_range(stats_of(writer).queued, 0, QUEUE_BYTES / BYTES + LINES);
	}
	pthread_join(producer.thread, NULL);
	struct writer_stats stats = close_writer(writer);
	assert_int_equal(check_lines(reader.text, reader.bytes, BYTES), PIECES * LINES);
	assert_int_equal(stats.written, PIECES * LINES);
	assert_int_equal(stats.lost, 0);
	close(ends[0]);
	reader_free(&reader);
}

/* It takes longer than stall_ms as a whole, but never so long without taking something. */
static void test_merely_slow(void **state)
{
	enum { BYTES = 500, PIECES = 24, LINES = 8 };
	struct reader reader = { .pace_ms = 100, .pace_bytes = 4096 };
	int ends[2];

	(void)state;
	make_pipe(ends, 4096);
	struct writer *writer = open_writer(&(struct writer_config){ .fd = ends[1],
								     .owns_fd = true,
								     .patient = true,
								     .queue_bytes = 8000,
								     .stall_ms = 1500 });
	reader_start(&reader, ends[0]);
	struct producer producer = {
		.writer = writer, .pieces = PIECES, .lines = LINES, .line_bytes = BYTES
	};
	produce(&producer);
	struct writer_stats stats = close_writer(writer);
	reader_join(&reader);
	assert_int_equal(check_lines(reader.text, reader.bytes, BYTES), PIECES * LINES);
	assert_int_equal(stats.written, PIECES * LINES);
	assert_int_equal(stats.lost, 0);
	reader_free(&reader);
}

/* Nobody reads, and still no caller of an impatient writer waits. */
static void test_impatient(void **state)
{
	enum { BYTES = 500, PIECES = 100, LINES = 20, QUEUE_BYTES = 50000 };
	struct reader reader = { 0 };
	int ends[2];

	(void)state;
	make_pipe(ends, 4096);
	struct writer *writer = open_writer(
	    &(struct writer_config){ .fd = ends[1], .owns_fd = true, .queue_bytes = QUEUE_BYTES });
	struct producer producer = {
		.writer = writer, .pieces = PIECES, .lines = LINES, .line_bytes = BYTES
	};
	produce(&producer);
	struct writer_stats stats = stats_of(writer);
	assert_int_equal(stats.offered, PIECES * LINES);
	/* Whole pieces are refused. What the queue holds was kept, and a page of it is out. */
	assert_int_equal(stats.lost % LINES, 0);
	assert_in_range(stats.queued, QUEUE_BYTES / BYTES - 2 * LINES, QUEUE_BYTES / BYTES);
	assert_in_range(stats.written, 0, 4096 / BYTES);
	reader_start(&reader, ends[0]);
	stats = close_writer(writer);
	reader_join(&reader);
	assert_int_equal(check_lines(reader.text, reader.bytes, BYTES), stats.written);
	assert_int_equal(stats.written + stats.lost, PIECES * LINES);
	assert_in_range(stats.written, QUEUE_BYTES / BYTES - LINES, QUEUE_BYTES / BYTES + LINES);
	reader_free(&reader);
}

/* Only whole lines are ever in a pipe that nobody reads: whoever reads half of it sees no half. */
static void test_pipe_gets_whole_lines(void **state)
{
	struct reader reader = { 0 };
	int ends[2];

	(void)state;
	make_pipe(ends, 65536);
	struct writer *writer =
	    open_writer(&(struct writer_config){ .fd = ends[1], .owns_fd = true, .stall_ms = 50 });
	put_many(writer, 2000);
	writer_sync(writer);
	struct writer_stats stats = stats_of(writer);
	assert_int_equal(stats.queued, 0);
	assert_true(stats.lost > 0);
	/* A page is not filled up with the beginning of a line: some room is never used. */
	assert_in_range(stats.written, 30000 / LINE_BYTES, 65536 / LINE_BYTES);
	reader.fd = ends[0];
	reader_drain(&reader);
	assert_int_equal(check_lines(reader.text, reader.bytes, LINE_BYTES), stats.written);
	assert_int_equal(close_writer(writer).written, stats.written);
	close(ends[0]);
	reader_free(&reader);
}

/* Several callers: each one's lines stay whole and in order; the counts agree at every moment. */
static void test_threads(void **state)
{
	enum { THREADS = 4, PIECES = 300, LINES = 3 };
	struct producer producers[THREADS];
	struct reader reader = { 0 };
	unsigned int next[THREADS] = { 0 };
	int ends[2];

	(void)state;
	make_pipe(ends, 0);
	struct writer *writer = open_writer(&(struct writer_config){
	    .fd = ends[1], .owns_fd = true, .patient = true, .queue_bytes = 4096 });
	for (unsigned int i = 0; i < THREADS; i++) {
		producers[i] = (struct producer){ .writer = writer,
						  .first = i * 1000000,
						  .pieces = PIECES,
						  .lines = LINES,
						  .line_bytes = LINE_BYTES };
		assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]),
				 0);
	}
	reader_start(&reader, ends[0]);
	struct writer_stats last = { 0 };
	while (last.offered < THREADS * PIECES * LINES) {
		struct writer_stats stats = stats_of(writer);

		assert_true(stats.offered >= last.offered && stats.written >= last.written);
		assert_int_equal(stats.lost, 0);
		last = stats;
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(producers[i].thread, NULL);
	struct writer_stats stats = close_writer(writer);
	reader_join(&reader);
	assert_int_equal(stats.written, THREADS * PIECES * LINES);
	assert_int_equal(reader.bytes, THREADS * PIECES * LINES * LINE_BYTES);
	for (size_t at = 0; at < reader.bytes; at += LINE_BYTES) {
		unsigned int thread = (unsigned int)(reader.text[at + 1] - '0');

		assert_in_range(thread, 0, THREADS - 1);
		check_lines(reader.text + at, LINE_BYTES, LINE_BYTES);
		assert_int_equal(atol(reader.text + at), thread * 1000000 + next[thread]);
		next[thread]++;
	}
	reader_free(&reader);
}

static void check_same_file(int left, int right)
{
	struct stat a, b;

	assert_int_equal(fstat(left, &a), 0);
	assert_int_equal(fstat(right, &b), 0);
	assert_int_equal(a.st_dev, b.st_dev);
	assert_int_equal(a.st_ino, b.st_ino);
}

/* What was queued goes to the old file, what comes after to the new one. */
static void test_switch(void **state)
{
	struct reader first = { 0 }, second = { 0 }, third = { 0 };
	int ends[2], middle = make_file(), last = make_file();
	_cleanup_close_ int middle_copy = fcntl(middle, F_DUPFD_CLOEXEC, 0);
	_cleanup_close_ int last_copy = fcntl(last, F_DUPFD_CLOEXEC, 0);

	(void)state;
	make_pipe(ends, 4096);
	struct writer *writer =
	    open_writer(&(struct writer_config){ .fd = ends[1], .patient = true });
	check_same_file(writer_fd(writer), ends[1]);
	/* More than the pipe holds: the rest is queued when the switch comes. */
	put_lines(writer, 0, 200, LINE_BYTES);
	writer_switch(writer, middle);
	put_lines(writer, 200, 10, LINE_BYTES);
	writer_switch(writer, last);
	put_lines(writer, 210, 5, LINE_BYTES);
	check_same_file(writer_fd(writer), ends[1]);
	reader_start(&first, ends[0]);
	writer_sync(writer);
	check_same_file(writer_fd(writer), last_copy);
	assert_true(fcntl(ends[1], F_GETFD) >= 0);		   /* that one was borrowed */
	assert_true(fcntl(middle, F_GETFD) < 0 && errno == EBADF); /* this one was taken */
	close(ends[1]);
	struct writer_stats stats = close_writer(writer);
	assert_true(fcntl(last, F_GETFD) < 0 && errno == EBADF);
	assert_int_equal(stats.written, 215);
	assert_int_equal(stats.lost, 0);
	reader_join(&first);
	assert_int_equal(check_lines(first.text, first.bytes, LINE_BYTES), 200);
	read_file(middle_copy, &second);
	assert_int_equal(check_lines(second.text, second.bytes, LINE_BYTES), 10);
	assert_memory_equal(second.text, "00000200 ", 9);
	read_file(last_copy, &third);
	assert_int_equal(check_lines(third.text, third.bytes, LINE_BYTES), 5);
	assert_memory_equal(third.text, "00000210 ", 9);
	reader_free(&first);
	reader_free(&second);
	reader_free(&third);
}

/* A caller that has to wait for its output is let go in time, however slowly the output goes on. */
static void test_sync_is_bounded(void **state)
{
	struct reader reader = { .pace_ms = 20, .pace_bytes = 4096 };
	int ends[2];

	(void)state;
	make_pipe(ends, 4096);
	struct writer *writer = open_writer(&(struct writer_config){
	    .fd = ends[1], .owns_fd = true, .patient = true, .stall_ms = 200 });
	reader_start(&reader, ends[0]);
	put_many(writer, 10000); /* five seconds at that pace */
	writer_sync(writer);
	/* Nothing of it is written from here on but the rest of a line that was begun. */
	struct writer_stats stats = stats_of(writer);
	assert_true(stats.lost > 0);
	assert_in_range(stats.queued, 0, 1);
	struct writer_stats final = close_writer(writer);
	assert_int_equal(final.written, stats.written + stats.queued);
	assert_int_equal(final.lost, stats.lost);
	reader_join(&reader);
	assert_int_equal(check_lines(reader.text, reader.bytes, LINE_BYTES), final.written);
	reader_free(&reader);
}

/* Where the pipe cannot be opened anew (it is somebody else's) nothing is held up either. */
static void test_pipe_of_somebody_else(void **state)
{
	struct reader reader = { 0 };
	struct writer *writer;
	int ends[2];

	(void)state;
	if (geteuid() != 0)
		skip();
	make_pipe(ends, 4096);
	assert_int_equal(seteuid(65534), 0);
	writer =
	    open_writer(&(struct writer_config){ .fd = ends[1], .stall_ms = 50, .patient = true });
	int written_to = writer_fd(writer);
	assert_int_equal(seteuid(0), 0);
	prctl(PR_SET_DUMPABLE, 1); /* it was taken away with the rights */
	assert_int_equal(written_to, ends[1]);
	put_lines(writer, 0, 200, LINE_BYTES);
	writer_sync(writer);
	struct writer_stats stats = stats_of(writer);
	assert_int_equal(stats.written, 4096 / LINE_BYTES);
	assert_int_equal(stats.queued, 1); /* it has been begun */
	assert_false(fcntl(ends[1], F_GETFL) & O_NONBLOCK);
	reader_start(&reader, ends[0]);
	assert_true(put_until_taken(writer, 200, LINE_BYTES, BOUND_MS) != UINT32_MAX);
	stats = close_writer(writer);
	close(ends[1]);
	reader_join(&reader);
	assert_int_equal(check_lines(reader.text, reader.bytes, LINE_BYTES), stats.written);
	reader_free(&reader);
}

static void test_close_null(void **state)
{
	(void)state;
	writer_close(NULL, 0, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_socket),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_others_are_left_blocking),
		cmocka_unit_test(test_notices),
		cmocka_unit_test(test_patient),
		cmocka_unit_test(test_merely_slow),
		cmocka_unit_test(test_impatient),
		cmocka_unit_test(test_pipe_gets_whole_lines),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_switch),
		cmocka_unit_test(test_sync_is_bounded),
		cmocka_unit_test(test_pipe_of_somebody_else),
		cmocka_unit_test(test_close_null),
	};

	alarm(120); /* whoever hangs ends */
	return cmocka_run_group_tests_name("writer", tests, NULL, NULL);
}
