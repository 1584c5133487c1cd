/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "base/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

/* After an error, how long until the output is tried again, and how often it is reported. */
#define RETRY_NS (200 * CLOCK_NS_PER_MS)
#define REPORT_NS (10 * CLOCK_NS_PER_SECOND)

/* How the descriptor is written without ever being held up by it. */
enum writer_kind {
	KIND_FILE,     /* write: regular files and devices do not block for long */
	KIND_NONBLOCK, /* a terminal: a description of our own with O_NONBLOCK */
	KIND_PIPE,     /* the same; up to PIPE_BUF bytes go whole or not at all (pipe(7)) */
	KIND_POLL,     /* not to be had: poll, then write no more than a pipe must take */
	KIND_SOCKET,   /* send with MSG_DONTWAIT */
};

struct piece {
	struct piece *next;
	size_t bytes;
	size_t done;	 /* bytes written */
	uint64_t events; /* lines among what is not done; 0 for a notice */
	int next_fd;	 /* -1, or: the descriptor from here on; such a piece has no bytes */
	char lines[];
};

struct writer {
	char name[64];
	int fd;
	bool owns_fd;
	enum writer_kind kind;
	int wake_fd; /* eventfd: the thread should look up */
	size_t queue_bytes;
	uint64_t stall_ns;
	bool patient;
	void (*gone)(void *context);
	void *context;
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* room, progress, or an empty queue */
	struct piece *first, *last;
	size_t used_bytes;
	bool stalled; /* nothing is taken: discard at once */
	bool closed;  /* for good */
	bool give_up; /* writer_sync has waited long enough: discard what is queued */
	bool stop;
	bool tried_last; /* once more at the end, however it was before */
	uint64_t stop_deadline_ns;
	uint64_t progress_ns; /* when something was taken, or when the queue stopped being empty */
	uint64_t queued_total, finished_total; /* pieces, for writer_sync */
	struct writer_stats stats;
	uint64_t reported_ns, lost_at_report; /* the thread's own */
};

static void writer_choose(struct writer *writer, int fd, bool owns_fd)
{
	char path[32];
	struct stat status;

	writer->fd = fd;
	writer->owns_fd = owns_fd;
	writer->kind = KIND_FILE;
	if (fstat(fd, &status) < 0)
		return;
	if (S_ISSOCK(status.st_mode)) {
		writer->kind = KIND_SOCKET;
	} else if (S_ISFIFO(status.st_mode) || isatty(fd)) {
		/* O_NONBLOCK belongs to the open file, which others share: open it anew. */
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		int own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		writer->kind = own < 0 ? KIND_POLL : isatty(fd) ? KIND_NONBLOCK : KIND_PIPE;
		if (own < 0)
			return;
		if (owns_fd)
			close(fd);
		writer->fd = own;
		writer->owns_fd = true;
	}
}

/* As many whole lines as go into a pipe whole or not at all, so that none is left there half. */
static size_t whole_lines(const char *bytes, size_t count)
{
	const char *last = count > PIPE_BUF ? memrchr(bytes, '\n', PIPE_BUF) : NULL;

	return last ? (size_t)(last - bytes) + 1 : count;
}

static ssize_t writer_write(struct writer *writer, const char *bytes, size_t count)
{
	struct pollfd ready = { .fd = writer->fd, .events = POLLOUT };

	switch (writer->kind) {
	case KIND_SOCKET:
		return send(writer->fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
	case KIND_POLL:
		if (poll(&ready, 1, 0) == 0) {
			errno = EAGAIN;
			return -1;
		}
		return write(writer->fd, bytes, count < PIPE_BUF ? count : PIPE_BUF);
	case KIND_PIPE:
		return write(writer->fd, bytes, whole_lines(bytes, count));
	default:
		return write(writer->fd, bytes, count);
	}
}

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

static void piece_free(struct writer *writer, struct piece *piece)
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

static void discard_locked(struct writer *writer)
{
	struct piece **link = &writer->first;

	if (writer->first && writer->first->done) {
		piece_trim(writer, writer->first);
		if (writer->first->done < writer->first->bytes)
			link = &writer->first->next;
	}
	while (*link) {
		struct piece *piece = *link;

		if (piece->next_fd >= 0) { /* a switch is no output: it stays */
			link = &piece->next;
			continue;
		}
		*link = piece->next;
		writer->stats.lost += piece->events;
		piece_free(writer, piece);
	}
	writer->last = writer->first;
	while (writer->last && writer->last->next)
		writer->last = writer->last->next;
	pthread_cond_broadcast(&writer->changed);
}

static void writer_wake(struct writer *writer)
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
		{ .fd = writer->fd, .events = POLLOUT },
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
	discard_locked(writer);
}

static void close_locked(struct writer *writer)
{
	writer->closed = true;
	if (writer->first)
		writer->first->done = 0; /* nothing will finish the line */
	discard_locked(writer);
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
		piece_free(writer, piece);
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
	piece_free(writer, piece);
	if (writer->owns_fd)
		close(writer->fd);
	writer_choose(writer, fd, true);
	writer->stalled = writer->closed = false;
	pthread_cond_broadcast(&writer->changed);
}

/* The lock is held. Returns false when the thread should end. */
static bool writer_should_stop(struct writer *writer)
{
	if (!writer->stop)
		return false;
	if (!writer->first)
		return true;
	if (writer->closed || clock_boot_ns() >= writer->stop_deadline_ns ||
	    (writer->stalled && writer->tried_last)) {
		discard_locked(writer);
		return true;
	}
	writer->tried_last = true;
	return false;
}

/* The lock is held, a piece is first; it is let go while the output is written. */
static void writer_write_first(struct writer *writer)
{
	struct piece *piece = writer->first;
	uint64_t now, waited;

	pthread_mutex_unlock(&writer->lock);
	ssize_t n = writer_write(writer, piece->lines + piece->done, piece->bytes - piece->done);
	int error = errno;
	pthread_mutex_lock(&writer->lock);
	if (n >= 0) {
		progress_locked(writer, (size_t)n);
		return;
	}
	if (error == EINTR)
		return;
	if (error == EPIPE || error == ECONNRESET) {
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
	if (writer->stop && writer->stalled)
		return;
	pthread_mutex_unlock(&writer->lock);
	if (error != EAGAIN)
		writer_wait_ready(writer, RETRY_NS, false);
	else
		writer_wait_ready(writer, writer->stalled ? UINT64_MAX : writer->stall_ns - waited,
				  true);
	pthread_mutex_lock(&writer->lock);
}

/* The lock is held. Stalled with nothing left of a begun line: is it taken again? */
static void writer_probe_output(struct writer *writer)
{
	struct pollfd ready = { .fd = writer->fd, .events = POLLOUT };
	bool file = writer->kind == KIND_FILE;

	pthread_mutex_unlock(&writer->lock);
	writer_wait_ready(writer, file ? RETRY_NS : UINT64_MAX, !file);
	bool writable = file || poll(&ready, 1, 0) > 0;
	pthread_mutex_lock(&writer->lock);
	if (writable) {
		writer->stalled = false;
		writer->progress_ns = clock_boot_ns();
	}
}

static void *writer_thread(void *argument)
{
	struct writer *writer = argument;

	pthread_mutex_lock(&writer->lock);
	while (!writer_should_stop(writer)) {
		if (writer->give_up) {
			writer->give_up = false;
			discard_locked(writer);
		}
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

static int start_thread(struct writer *writer)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int r = -pthread_create(&writer->thread, NULL, writer_thread, writer);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

int writer_open(const struct writer_config *config, struct writer **ret_writer)
{
	struct writer *writer = calloc(1, sizeof(*writer));
	int r = 0;

	if (!writer)
		return -ENOMEM;
	snprintf(writer->name, sizeof(writer->name), "%s", config->name);
	writer->queue_bytes = config->queue_bytes;
	writer->stall_ns = config->stall_ms * CLOCK_NS_PER_MS;
	writer->patient = config->patient;
	writer->gone = config->gone;
	writer->context = config->context;
	pthread_mutex_init(&writer->lock, NULL);
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&writer->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	writer->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (writer->wake_fd < 0) {
		r = -errno;
	} else {
		writer_choose(writer, config->fd, config->owns_fd);
		r = start_thread(writer);
		if (r < 0)
			close(writer->wake_fd);
	}
	if (r < 0) {
		free(writer);
		return r;
	}
	*ret_writer = writer;
	return 0;
}

static void wait_changed(struct writer *writer, uint64_t ns)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	uint64_t nanos = (uint64_t)until.tv_nsec + ns;
	until.tv_sec += (time_t)(nanos / CLOCK_NS_PER_SECOND);
	until.tv_nsec = (long)(nanos % CLOCK_NS_PER_SECOND);
	pthread_cond_timedwait(&writer->changed, &writer->lock, &until);
}

/* The lock is held. Whether the output is not taking anything. */
static bool refuses_locked(const struct writer *writer)
{
	return writer->closed || writer->stalled;
}

/* The lock is held. Whether there is room for so many more bytes; a patient writer waits for it. */
static bool has_room_locked(struct writer *writer, size_t bytes)
{
	while (!refuses_locked(writer) && writer->used_bytes &&
	       writer->used_bytes + bytes > writer->queue_bytes) {
		if (!writer->patient)
			return false;
		wait_changed(writer, writer->stall_ns);
	}
	return !refuses_locked(writer);
}

static void put_piece(struct writer *writer, const char *lines, size_t bytes, uint64_t events,
		      int next_fd)
{
	struct piece *piece = malloc(sizeof(*piece) + bytes);

	pthread_mutex_lock(&writer->lock);
	writer->stats.offered += events;
	if (!piece || (next_fd < 0 && !has_room_locked(writer, bytes))) {
		writer->stats.lost += events;
		pthread_mutex_unlock(&writer->lock);
		free(piece);
		return;
	}
	*piece = (struct piece){ .bytes = bytes, .events = events, .next_fd = next_fd };
	memcpy(piece->lines, lines, bytes);
	if (writer->last)
		writer->last->next = piece;
	else
		writer->first = piece;
	if (!writer->last)
		writer->progress_ns = clock_boot_ns();
	writer->last = piece;
	writer->used_bytes += bytes;
	writer->queued_total++;
	pthread_mutex_unlock(&writer->lock);
	writer_wake(writer);
}

void writer_put(struct writer *writer, const char *lines, size_t bytes, uint64_t events)
{
	if (bytes)
		put_piece(writer, lines, bytes, events, -1);
}

void writer_put_notice(struct writer *writer, const char *line, size_t bytes)
{
	put_piece(writer, line, bytes, 0, -1);
}

void writer_switch(struct writer *writer, int fd)
{
	put_piece(writer, "", 0, 0, fd);
}

/* The lock is held. Whether all of the first target pieces are done with, or nothing is taken. */
static bool is_settled(const struct writer *writer, uint64_t target)
{
	return writer->finished_total >= target || refuses_locked(writer);
}

void writer_sync(struct writer *writer)
{
	uint64_t deadline = clock_boot_ns() + 2 * writer->stall_ns;
	uint64_t target;

	pthread_mutex_lock(&writer->lock);
	target = writer->queued_total;
	while (!is_settled(writer, target) && clock_boot_ns() < deadline)
		wait_changed(writer, writer->stall_ns);
	if (!is_settled(writer, target)) {
		writer->give_up = true;
		writer_wake(writer);
	}
	/* A disk can hold the thread up in a single write: that is not waited for. */
	while (writer->give_up && clock_boot_ns() < deadline + writer->stall_ns)
		wait_changed(writer, writer->stall_ns);
	pthread_mutex_unlock(&writer->lock);
}

int writer_fd(struct writer *writer)
{
	pthread_mutex_lock(&writer->lock);
	int fd = writer->fd;
	pthread_mutex_unlock(&writer->lock);
	return fd;
}

void writer_get_stats(struct writer *writer, struct writer_stats *ret_stats)
{
	pthread_mutex_lock(&writer->lock);
	*ret_stats = writer->stats;
	ret_stats->queued = ret_stats->offered - ret_stats->written - ret_stats->lost;
	pthread_mutex_unlock(&writer->lock);
}

void writer_close(struct writer *writer, uint64_t deadline_boot_ns, struct writer_stats *ret_stats)
{
	if (!writer)
		return;
	pthread_mutex_lock(&writer->lock);
	writer->stop = true;
	writer->stop_deadline_ns = deadline_boot_ns;
	pthread_mutex_unlock(&writer->lock);
	writer_wake(writer);
	pthread_join(writer->thread, NULL);
	/* The rest of a line that was begun and that nobody takes. */
	while (writer->first) {
		struct piece *piece = writer->first;

		writer->stats.lost += piece->events;
		if (piece->next_fd >= 0)
			close(piece->next_fd);
		writer->first = piece->next;
		piece_free(writer, piece);
	}
	if (ret_stats)
		writer_get_stats(writer, ret_stats);
	if (writer->owns_fd)
		close(writer->fd);
	close(writer->wake_fd);
	pthread_cond_destroy(&writer->changed);
	pthread_mutex_destroy(&writer->lock);
	free(writer);
}
