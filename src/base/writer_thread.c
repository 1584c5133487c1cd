/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The writer's thread: what it takes from the queue, and what it makes of a refusal. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/writer_internal.h"

/* After an error, how long until the output is tried again, and how often it is reported. */
#define RETRY_NS (200 * CLOCK_NS_PER_MS)
#define REPORT_NS (10 * CLOCK_NS_PER_SECOND)

/* At the end, after the deadline: time for the begun line and for notices. */
#define LAST_WORDS_NS (50 * CLOCK_NS_PER_MS)

static uint64_t count_lines(const char *bytes, size_t count)
{
	const char *end = bytes + count;
	uint64_t lines = 0;

	for (const char *at = bytes; at < end; at++, lines++) {
		at = memchr(at, '\n', (size_t)(end - at));
		if (!at)
			break;
	}
	return lines;
}

void writer_piece_free_locked(struct writer *writer, struct piece *piece)
{
	writer->used_bytes -= piece->bytes;
	writer->finished_total++;
	free(piece);
}

/* Cuts a piece that has been begun after the line that has been begun; counts the rest as lost. */
static void piece_trim(struct writer *writer, struct piece *piece)
{
	const char *newline = memchr(piece->lines + piece->done, '\n', piece->bytes - piece->done);
	size_t keep = newline ? (size_t)(newline - piece->lines) + 1 : piece->bytes;
	uint64_t cut = 0;

	if (piece->done && piece->lines[piece->done - 1] == '\n')
		keep = piece->done;
	if (piece->events)
		cut = count_lines(piece->lines + keep, piece->bytes - keep);
	writer->used_bytes -= piece->bytes - keep;
	writer->stats.lost += cut;
	piece->events -= cut;
	piece->bytes = keep;
}

/* Discards what is queued but for the rest of a begun line; notices too, or events alone. */
static void discard_locked(struct writer *writer, bool notices)
{
	struct piece **link = &writer->first;

	if (writer->first && writer->first->done) {
		piece_trim(writer, writer->first);
		if (writer->first->done < writer->first->bytes)
			link = &writer->first->next;
	}
	while (*link) {
		struct piece *piece = *link;

		/* A switch is no output: it stays. */
		if (piece->next_fd >= 0 || (!notices && !piece->events)) {
			link = &piece->next;
			continue;
		}
		*link = piece->next;
		writer->stats.lost += piece->events;
		writer_piece_free_locked(writer, piece);
	}
	writer->last = writer->first;
	while (writer->last && writer->last->next)
		writer->last = writer->last->next;
	pthread_cond_broadcast(&writer->changed);
}

void writer_wake(struct writer *writer)
{
	uint64_t one = 1;
	ssize_t written = write(writer->wake_fd, &one, sizeof(one));

	(void)written; /* the counter is full: it is awake anyway */
}

/* Waits for the output to be ready or for someone to wake the thread. */
static void writer_wait_ready(struct writer *writer, uint64_t timeout_ns, bool output)
{
	struct pollfd waits[2] = {
		{ .fd = writer->wake_fd, .events = POLLIN },
		{ .fd = writer->output.fd, .events = POLLOUT },
	};
	uint64_t count = 0;
	int timeout = timeout_ns == UINT64_MAX ? -1 : (int)(timeout_ns / CLOCK_NS_PER_MS) + 1;

	poll(waits, output ? 2 : 1, timeout);
	if (waits[0].revents & POLLIN) {
		ssize_t got = read(writer->wake_fd, &count, sizeof(count));
		(void)got;
	}
}

static void report_error(struct writer *writer, int error)
{
	uint64_t now = clock_boot_ns();

	if (writer->reported_ns && now - writer->reported_ns < REPORT_NS)
		return;
	writer->reported_ns = now;
	log_line("cannot write to %s: %s; what cannot be written is discarded and counted",
		 writer->name, strerror(error));
}

/* The lock is held. Nothing was taken: EAGAIN for stall_ns, or an error. */
static void stall_locked(struct writer *writer)
{
	writer->stalled = true;
	discard_locked(writer, true);
}

static void close_locked(struct writer *writer)
{
	writer->closed = true;
	if (writer->first)
		writer->first->done = 0; /* nothing will finish the line */
	discard_locked(writer, true);
}

/* The lock is held. Accounts for n bytes of the first piece. */
static void progress_locked(struct writer *writer, size_t n)
{
	struct piece *piece = writer->first;
	uint64_t lines = piece->events ? count_lines(piece->lines + piece->done, n) : 0;

	piece->done += n;
	piece->events -= lines;
	writer->stats.written += lines;
	writer->progress_ns = clock_boot_ns();
	writer->stalled = false;
	if (writer->reported_ns) {
		log_line("%s: writing again", writer->name);
		writer->reported_ns = 0;
	}
	if (piece->done == piece->bytes) {
		writer->first = piece->next;
		if (!writer->first)
			writer->last = NULL;
		writer_piece_free_locked(writer, piece);
	}
	pthread_cond_broadcast(&writer->changed);
}

static void switch_locked(struct writer *writer)
{
	struct piece *piece = writer->first;
	int fd = piece->next_fd;

	writer->first = piece->next;
	if (!writer->first)
		writer->last = NULL;
	writer_piece_free_locked(writer, piece);
	output_close(&writer->output);
	output_open(&writer->output, fd, true);
	writer->stalled = writer->closed = false;
	pthread_cond_broadcast(&writer->changed);
}

/* The lock is held. Returns false when the thread should end. */
static bool writer_should_stop(struct writer *writer)
{
	uint64_t now;

	if (!writer->stop)
		return false;
	if (!writer->first)
		return true;
	now = clock_boot_ns();
	if (writer->closed || now >= writer->stop_deadline_ns + LAST_WORDS_NS ||
	    (writer->stalled && writer->tried_last)) {
		discard_locked(writer, true);
		return true;
	}
	if (now >= writer->stop_deadline_ns)
		discard_locked(writer, false); /* the last words are not events */
	writer->tried_last = true;
	return false;
}

static bool has_switch_locked(const struct writer *writer)
{
	for (const struct piece *piece = writer->first; piece; piece = piece->next)
		if (piece->next_fd >= 0)
			return true;
	return false;
}

/* The lock is held, a piece is first; it is let go while the output is written. */
static void writer_write_first(struct writer *writer)
{
	struct piece *piece = writer->first;
	uint64_t now, waited;

	pthread_mutex_unlock(&writer->lock);
	ssize_t n =
	    output_write(&writer->output, piece->lines + piece->done, piece->bytes - piece->done);
	int error = errno;
	pthread_mutex_lock(&writer->lock);
	if (n >= 0) {
		progress_locked(writer, (size_t)n);
		return;
	}
	if (error == EINTR)
		return;
	/* A terminal that has hung up answers EIO. */
	if (error == EPIPE || error == ECONNRESET ||
	    (error == EIO && writer->output.kind == OUTPUT_NONBLOCK)) {
		close_locked(writer);
		if (writer->gone)
			writer->gone(writer->context);
		return;
	}
	now = clock_boot_ns();
	waited = now - writer->progress_ns;
	if (error != EAGAIN) {
		report_error(writer, error);
		stall_locked(writer);
	} else if (!writer->stalled && waited >= writer->stall_ns) {
		stall_locked(writer);
	}
	/* Only the rest of a begun line is worth waiting for where nothing is taken. */
	if (writer->stalled &&
	    (writer->stop || writer->first != piece || has_switch_locked(writer)))
		return;
	/* Stalled, it waits until it is woken: an hour is as good as for ever. */
	uint64_t patience =
	    writer->stalled ? 3600 * CLOCK_NS_PER_SECOND : writer->stall_ns - waited;
	uint64_t end = writer->stop_deadline_ns;
	if (writer->stop && end <= now)
		end += LAST_WORDS_NS;
	if (writer->stop && end < now + patience)
		patience = end > now ? end - now : 0;
	pthread_mutex_unlock(&writer->lock);
	writer_wait_ready(writer, error == EAGAIN ? patience : RETRY_NS, error == EAGAIN);
	pthread_mutex_lock(&writer->lock);
}

/* The lock is held. A line that was begun where nothing is taken must not keep us from elsewhere.
 */
static void abandon_begun_locked(struct writer *writer)
{
	struct piece *piece = writer->first;

	if (!writer->stalled || !piece || piece->next_fd >= 0 || !piece->next)
		return;
	if (piece->next->next_fd < 0)
		return;
	writer->stats.lost += piece->events;
	writer->first = piece->next;
	writer_piece_free_locked(writer, piece);
}

/* The lock is held. Stalled with nothing left of a begun line: is it taken again? */
static void writer_probe_output(struct writer *writer)
{
	struct pollfd ready = { .fd = writer->output.fd, .events = POLLOUT };
	bool file = writer->output.kind == OUTPUT_FILE;

	pthread_mutex_unlock(&writer->lock);
	writer_wait_ready(writer, file ? RETRY_NS : UINT64_MAX, !file);
	bool writable = file || poll(&ready, 1, 0) > 0;
	pthread_mutex_lock(&writer->lock);
	if (writable) {
		writer->stalled = false;
		writer->progress_ns = clock_boot_ns();
	}
}

void *writer_thread(void *argument)
{
	struct writer *writer = argument;

	pthread_mutex_lock(&writer->lock);
	while (!writer_should_stop(writer)) {
		if (writer->give_up) {
			writer->give_up = false;
			discard_locked(writer, true);
		}
		abandon_begun_locked(writer);
		if (writer->first && writer->first->next_fd >= 0) {
			switch_locked(writer);
		} else if (writer->first) {
			writer_write_first(writer);
		} else if (writer->stalled && !writer->stop) {
			writer_probe_output(writer);
		} else {
			pthread_mutex_unlock(&writer->lock);
			writer_wait_ready(writer, UINT64_MAX, false);
			pthread_mutex_lock(&writer->lock);
		}
	}
	pthread_mutex_unlock(&writer->lock);
	return NULL;
}
