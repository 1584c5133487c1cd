/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "base/writer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/writer_internal.h"

/* How often somebody who waits looks at the clock once the end is near. */
#define HURRY_STEP_NS (20 * CLOCK_NS_PER_MS)

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
		output_open(&writer->output, config->fd, config->owns_fd);
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

static bool is_late(const struct writer *writer)
{
	return writer->hurry_ns && clock_boot_ns() >= writer->hurry_ns;
}

/* The lock is held. Whether there is room for so many more bytes; a patient writer waits for it. */
static bool has_room_locked(struct writer *writer, size_t bytes)
{
	while (!refuses_locked(writer) && writer->used_bytes &&
	       writer->used_bytes + bytes > writer->queue_bytes) {
		if (!writer->patient || is_late(writer))
			return false;
		wait_changed(writer, writer->hurry_ns ? HURRY_STEP_NS : writer->stall_ns);
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
	while (!is_settled(writer, target) && clock_boot_ns() < deadline && !is_late(writer))
		wait_changed(writer, writer->hurry_ns ? HURRY_STEP_NS : writer->stall_ns);
	if (!is_settled(writer, target)) {
		writer->give_up = true;
		writer_wake(writer);
	}
	/* A disk can hold the thread up in a single write: that is not waited for. */
	while (writer->give_up && clock_boot_ns() < deadline + writer->stall_ns)
		wait_changed(writer, writer->stall_ns);
	pthread_mutex_unlock(&writer->lock);
}

void writer_hurry(struct writer *writer, uint64_t deadline_boot_ns)
{
	pthread_mutex_lock(&writer->lock);
	writer->hurry_ns = deadline_boot_ns;
	pthread_cond_broadcast(&writer->changed);
	pthread_mutex_unlock(&writer->lock);
}

int writer_fd(struct writer *writer)
{
	pthread_mutex_lock(&writer->lock);
	int fd = writer->output.fd;
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
	uint64_t now = clock_boot_ns();
	pthread_mutex_lock(&writer->lock);
	writer->stop = true;
	/* However late it is, there is time for the last words. */
	writer->stop_deadline_ns = deadline_boot_ns > now ? deadline_boot_ns : now;
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
		writer_piece_free_locked(writer, piece);
	}
	if (ret_stats)
		writer_get_stats(writer, ret_stats);
	output_close(&writer->output);
	close(writer->wake_fd);
	pthread_cond_destroy(&writer->changed);
	pthread_mutex_destroy(&writer->lock);
	free(writer);
}
