/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the tests of the writer share: numbered lines of a known length, by which a line that is
 * cut, glued to another, doubled or out of order is told; readers of outputs; standard error kept.
 */
#ifndef TL_TEST_WRITER_RIG_H
#define TL_TEST_WRITER_RIG_H

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/writer.h"

/* No wait of these tests is longer; where one is, the test has failed. */
#define BOUND_MS 20000
#define BOUND_NS (BOUND_MS * CLOCK_NS_PER_MS)

/* Never reached where a test is not about stalls. */
#define NO_STALL_MS 60000

#define MAX_LINE_BYTES 16384

/* Line number of so many bytes, newline included. */
static inline void make_line(char *out, unsigned int number, size_t bytes)
{
	char head[16];

	memset(out, 'a' + (int)(number % 26), bytes);
	snprintf(head, sizeof(head), "%08u ", number);
	memcpy(out, head, 9);
	out[bytes - 1] = '\n';
}

/* Puts lines first .. first + count - 1 as one piece. */
static inline void put_lines(struct writer *writer, unsigned int first, unsigned int count,
			     size_t line_bytes)
{
	char *lines = malloc(count * line_bytes);

	for (unsigned int i = 0; i < count; i++)
		make_line(lines + i * line_bytes, first + i, line_bytes);
	writer_put(writer, lines, count * line_bytes, count);
	free(lines);
}

/* Checks that text is whole lines of that length, their numbers rising; returns how many. */
static inline unsigned int check_lines(const char *text, size_t bytes, size_t line_bytes)
{
	char expected[MAX_LINE_BYTES];
	long last = -1;

	assert_int_equal(bytes % line_bytes, 0);
	for (size_t at = 0; at < bytes; at += line_bytes) {
		char digits[9] = { 0 };

		memcpy(digits, text + at, 8);
		long number = atol(digits);
		make_line(expected, (unsigned int)number, line_bytes);
		assert_memory_equal(text + at, expected, line_bytes);
		assert_true(number > last);
		last = number;
	}
	return (unsigned int)(bytes / line_bytes);
}

/* What was read, and the thread that reads it until the end of the file. */
struct reader {
	pthread_t thread;
	int fd;
	char *text;
	size_t bytes, room;
	/* How slow it is: so long after each pace_bytes, while it is not let go. */
	int pace_ms;
	size_t pace_bytes;
	atomic_bool free_running;
};

static inline void reader_keep(struct reader *reader, const char *bytes, size_t count)
{
	if (reader->bytes + count > reader->room) {
		reader->room = 2 * (reader->bytes + count);
		reader->text = realloc(reader->text, reader->room);
	}
	memcpy(reader->text + reader->bytes, bytes, count);
	reader->bytes += count;
}

/* Returns what read(2) does. */
static inline ssize_t reader_read(struct reader *reader, size_t most)
{
	char buffer[65536];
	ssize_t got = read(reader->fd, buffer, most < sizeof(buffer) ? most : sizeof(buffer));

	if (got > 0)
		reader_keep(reader, buffer, (size_t)got);
	return got;
}

static inline void *reader_thread(void *argument)
{
	struct reader *reader = argument;
	size_t most = reader->pace_ms ? reader->pace_bytes : SIZE_MAX;

	while (reader_read(reader, most) > 0)
		if (reader->pace_ms && !atomic_load(&reader->free_running))
			poll(NULL, 0, reader->pace_ms);
	return NULL;
}

static inline void reader_start(struct reader *reader, int fd)
{
	reader->fd = fd;
	assert_int_equal(pthread_create(&reader->thread, NULL, reader_thread, reader), 0);
}

/* Waits for the end of the file and closes it. */
static inline void reader_join(struct reader *reader)
{
	atomic_store(&reader->free_running, true);
	pthread_join(reader->thread, NULL);
	close(reader->fd);
}

/* Reads what there is now, without waiting for more. */
static inline void reader_drain(struct reader *reader)
{
	struct pollfd ready = { .fd = reader->fd, .events = POLLIN };

	while (poll(&ready, 1, 0) > 0 && ready.revents & POLLIN)
		if (reader_read(reader, SIZE_MAX) <= 0)
			break;
}

static inline void reader_free(struct reader *reader)
{
	free(reader->text);
	memset(reader, 0, sizeof(*reader));
}

/* The whole of a file. */
static inline void read_file(int fd, struct reader *reader)
{
	reader->fd = fd;
	lseek(fd, 0, SEEK_SET);
	while (reader_read(reader, SIZE_MAX) > 0)
		;
}

static inline struct writer *open_writer(const struct writer_config *config)
{
	struct writer_config filled = *config;
	struct writer *writer = NULL;

	if (!filled.name)
		filled.name = "the output";
	if (!filled.queue_bytes)
		filled.queue_bytes = 1u << 20;
	if (!filled.stall_ms)
		filled.stall_ms = NO_STALL_MS;
	assert_int_equal(writer_open(&filled, &writer), 0);
	return writer;
}

static inline void check_identity(const struct writer_stats *stats)
{
	assert_true(stats->queued <= stats->offered);
	assert_int_equal(stats->offered, stats->written + stats->lost + stats->queued);
}

static inline struct writer_stats stats_of(struct writer *writer)
{
	struct writer_stats stats;

	writer_get_stats(writer, &stats);
	check_identity(&stats);
	return stats;
}

/* Closes it with all the time there is; nothing may be left. */
static inline struct writer_stats close_writer(struct writer *writer)
{
	struct writer_stats stats;

	writer_close(writer, clock_boot_ns() + BOUND_NS, &stats);
	check_identity(&stats);
	assert_int_equal(stats.queued, 0);
	return stats;
}

/*
 * Puts lines from first on, one by one, until the output takes one; returns the number of the line
 * that it took, or UINT32_MAX where it took none in bound_ms.
 */
static inline unsigned int put_until_taken(struct writer *writer, unsigned int first,
					   size_t line_bytes, int bound_ms)
{
	uint64_t deadline = clock_boot_ns() + (uint64_t)bound_ms * CLOCK_NS_PER_MS;

	for (unsigned int number = first; clock_boot_ns() < deadline; number++) {
		struct writer_stats before = stats_of(writer), after;

		put_lines(writer, number, 1, line_bytes);
		writer_sync(writer);
		after = stats_of(writer);
		assert_int_equal(after.offered, before.offered + 1);
		if (after.lost == before.lost && after.queued == 0)
			return number;
		poll(NULL, 0, 1);
	}
	return UINT32_MAX;
}

/* Standard error into memory, and back. */
static int kept_stderr = -1;

static inline void stderr_keep(void)
{
	int memory = memfd_create("stderr", MFD_CLOEXEC);

	kept_stderr = dup(STDERR_FILENO);
	dup2(memory, STDERR_FILENO);
	close(memory);
}

/* Fills out with what was written to it; 0 bytes where there is no room. */
static inline void stderr_restore(char *out, size_t room)
{
	ssize_t got = pread(STDERR_FILENO, out, room - 1, 0);

	out[got > 0 ? got : 0] = '\0';
	dup2(kept_stderr, STDERR_FILENO);
	close(kept_stderr);
	kept_stderr = -1;
}

static inline void make_pipe(int ends[2], int bytes)
{
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	if (bytes)
		assert_true(fcntl(ends[1], F_SETPIPE_SZ, bytes) > 0);
}

/* A new terminal that changes nothing of what is written; skips the test where there is none. */
static inline int open_terminal(int *ret_master)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios settings;
	int slave = -1;

	if (master < 0)
		skip();
	if (grantpt(master) == 0 && unlockpt(master) == 0)
		slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0) {
		close(master);
		skip();
	}
	assert_int_equal(tcgetattr(slave, &settings), 0);
	cfmakeraw(&settings);
	assert_int_equal(tcsetattr(slave, TCSANOW, &settings), 0);
	*ret_master = master;
	return slave;
}

/* A pair of sockets of which the second takes little, and not whole lines: they are left begun. */
static inline void make_sockets(int ends[2])
{
	int size = 4096;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

#endif
