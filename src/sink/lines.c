/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "sink/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/writer.h"

#define QUEUE_BYTES (4u << 20)
#define STALL_MS 500
#define LOG_MODE 0640

struct lines {
	struct sink sink;
	struct writer *writer;
	render_fn *render;
	char *path; /* of a log file */
	uint64_t flush_ns;
	pthread_mutex_t lock; /* of what is gathered: a notice comes from another thread */
	uint64_t flushed_ns;
	uint64_t events;
	size_t used;
	char gathered[WRITER_PIECE_BYTES];
};

_Static_assert(WRITER_PIECE_BYTES >= 2 * RENDER_LINE_BYTES, "a line must fit");

static void hand_on_locked(struct lines *lines, uint64_t now)
{
	writer_put(lines->writer, lines->gathered, lines->used, lines->events);
	lines->used = 0;
	lines->events = 0;
	lines->flushed_ns = now;
}

static void lines_event(struct sink *sink, const struct event *event)
{
	struct lines *lines = (struct lines *)sink;

	if (!lines->render)
		return;
	pthread_mutex_lock(&lines->lock);
	if (sizeof(lines->gathered) - lines->used < RENDER_LINE_BYTES)
		hand_on_locked(lines, clock_boot_ns());
	lines->used += lines->render(event, lines->gathered + lines->used);
	lines->events++;
	pthread_mutex_unlock(&lines->lock);
}

static void lines_flush(struct sink *sink, bool now)
{
	struct lines *lines = (struct lines *)sink;

	pthread_mutex_lock(&lines->lock);
	if (lines->used) {
		uint64_t time = clock_boot_ns();

		if (now || time - lines->flushed_ns >= lines->flush_ns)
			hand_on_locked(lines, time);
	}
	pthread_mutex_unlock(&lines->lock);
}

static void lines_sync(struct sink *sink)
{
	lines_flush(sink, true);
	writer_sync(((struct lines *)sink)->writer);
}

static void lines_hurry(struct sink *sink, uint64_t deadline_boot_ns)
{
	writer_hurry(((struct lines *)sink)->writer, deadline_boot_ns);
}

static int lines_fd(struct sink *sink)
{
	return writer_fd(((struct lines *)sink)->writer);
}

static void lines_stats(struct sink *sink, struct sink_stats *ret_stats)
{
	struct lines *lines = (struct lines *)sink;
	struct writer_stats stats;

	pthread_mutex_lock(&lines->lock);
	writer_get_stats(lines->writer, &stats);
	*ret_stats = (struct sink_stats){
		.offered = stats.offered + lines->events,
		.written = stats.written,
		.lost = stats.lost,
		.queued = stats.queued + lines->events,
	};
	pthread_mutex_unlock(&lines->lock);
}

static void lines_close(struct sink *sink, uint64_t deadline_boot_ns, struct sink_stats *ret_stats)
{
	struct lines *lines = (struct lines *)sink;
	struct writer_stats stats = { 0 };

	if (!lines)
		return;
	if (lines->writer) {
		lines_flush(sink, true);
		writer_close(lines->writer, deadline_boot_ns, &stats);
	}
	if (ret_stats)
		*ret_stats = (struct sink_stats){ .offered = stats.offered,
						  .written = stats.written,
						  .lost = stats.lost,
						  .queued = stats.queued };
	pthread_mutex_destroy(&lines->lock);
	free(lines->path);
	free(lines);
}

static int open_log(const char *path)
{
	/* Not to wait for a reader where the path is a FIFO. */
	int fd = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? -errno : fd;
	fd =
	    open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, LOG_MODE);
	if (fd < 0)
		return -errno;
	fchmod(fd, LOG_MODE); /* whatever the umask; on a file system without modes it fails */
	return fd;
}

static int lines_reopen(struct sink *sink)
{
	struct lines *lines = (struct lines *)sink;

	if (!lines->path)
		return 0;
	int fd = open_log(lines->path);
	if (fd < 0)
		return fd;
	lines_flush(sink, true);
	writer_switch(lines->writer, fd);
	return 0;
}

static const struct sink_ops lines_ops = {
	.event = lines_event,
	.flush = lines_flush,
	.sync = lines_sync,
	.hurry = lines_hurry,
	.fd = lines_fd,
	.reopen = lines_reopen,
	.stats = lines_stats,
	.close = lines_close,
};

static int lines_open(const struct writer_config *config, render_fn *render, unsigned int flush_ms,
		      struct lines **ret_lines)
{
	struct lines *lines = calloc(1, sizeof(*lines));
	int r = lines ? writer_open(config, &lines->writer) : -ENOMEM;

	if (r < 0) {
		free(lines);
		return r;
	}
	lines->sink = (struct sink){ .ops = &lines_ops };
	lines->render = render;
	lines->flush_ns = flush_ms * CLOCK_NS_PER_MS;
	pthread_mutex_init(&lines->lock, NULL);
	*ret_lines = lines;
	return 0;
}

int console_open(const struct console_config *config, struct sink **ret_sink)
{
	const struct writer_config writer = {
		.name = "standard output",
		.fd = STDOUT_FILENO,
		.queue_bytes = QUEUE_BYTES,
		.stall_ms = STALL_MS,
		.patient = config->alone,
		.gone = config->gone,
		.context = config->context,
	};
	unsigned int flush_ms = isatty(STDOUT_FILENO) ? 0 : config->flush_ms;
	struct lines *lines = NULL;
	int r = lines_open(&writer, config->render, flush_ms, &lines);

	if (r < 0)
		return r;
	lines->sink.name = "standard output";
	*ret_sink = &lines->sink;
	return 0;
}

void console_notice(struct sink *sink, const char *line)
{
	struct lines *lines = (struct lines *)sink;
	size_t bytes = strlen(line);
	char *whole = malloc(bytes + 1);

	if (!whole)
		return;
	memcpy(whole, line, bytes);
	whole[bytes] = '\n';
	pthread_mutex_lock(&lines->lock);
	hand_on_locked(lines, clock_boot_ns());
	writer_put_notice(lines->writer, whole, bytes + 1);
	pthread_mutex_unlock(&lines->lock);
	free(whole);
}

int logfile_open(const char *path, struct sink **ret_sink)
{
	struct writer_config writer = {
		.name = path,
		.fd = open_log(path),
		.owns_fd = true,
		.patient = true,
		.queue_bytes = QUEUE_BYTES,
		.stall_ms = STALL_MS,
	};
	struct lines *lines = NULL;
	int r = writer.fd < 0 ? writer.fd : lines_open(&writer, render_log, 0, &lines);

	if (r < 0) {
		if (writer.fd >= 0)
			close(writer.fd);
		return r;
	}
	lines->path = strdup(path);
	if (!lines->path) {
		lines_close(&lines->sink, 0, NULL);
		return -ENOMEM;
	}
	lines->sink.name = "log file";
	*ret_sink = &lines->sink;
	return 0;
}
