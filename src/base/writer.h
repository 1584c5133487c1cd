/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A bounded queue of whole lines and the thread that writes them to a descriptor. It is what
 * stands between the events and an output that may be slow, stopped, full or gone:
 *
 *  - a queue that is full makes writer_put wait, but only while the output still takes something,
 *    and only if it is patient: otherwise what does not fit is discarded and counted;
 *  - when it has taken nothing for stall_ms, what is queued is discarded and counted, and so is
 *    what comes after, at once, until the output takes something again;
 *  - an error (a full disk) does the same, is reported once on standard error, and is tried again;
 *  - a line that has been begun is always finished before another one begins;
 *  - an output that is closed for good (EPIPE) discards everything and says so by callback.
 *
 * Threads: writer_put and writer_put_notice from any thread; the rest from one controlling thread.
 */
#ifndef TL_BASE_WRITER_H
#define TL_BASE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The largest piece that one writer_put takes. A notice may be longer. */
#define WRITER_PIECE_BYTES (64 * 1024)

struct writer_config {
	const char *name;   /* for messages: "standard output"; copied */
	int fd;		    /* borrowed until writer_close, unless owns_fd */
	bool owns_fd;	    /* the writer closes it */
	size_t queue_bytes; /* more than this waits or is discarded */
	unsigned int stall_ms;
	bool patient; /* wait when the queue is full: nobody else waits for the caller */
	void (*gone)(void *context); /* the output is closed for good; from the writer's thread */
	void *context;
};

/* Events, not lines: a notice is not counted. offered = written + lost + queued, exactly. */
struct writer_stats {
	uint64_t offered;
	uint64_t written;
	uint64_t lost;
	uint64_t queued;
};

struct writer;

/* Returns 0 or a negative errno. */
int writer_open(const struct writer_config *config, struct writer **ret_writer);

/* Queues whole lines, one for each of events; copied. At most WRITER_PIECE_BYTES. */
void writer_put(struct writer *writer, const char *lines, size_t bytes, uint64_t events);

/* Queues one line that is no event; any length. Copied. */
void writer_put_notice(struct writer *writer, const char *line, size_t bytes);

/*
 * Returns once nothing that was queued before will still be written, but for the rest of a line
 * that was begun: it waits for it to be written, for twice stall_ms at most, and then has what is
 * left discarded and counted.
 */
void writer_sync(struct writer *writer);

/* What is queued still goes to the old descriptor, what comes after to fd, which it takes. */
void writer_switch(struct writer *writer, int fd);

/* The end is near: from then on neither writer_put nor writer_sync waits. From any thread. */
void writer_hurry(struct writer *writer, uint64_t deadline_boot_ns);

/* The descriptor that is written to now: the one given, or one of the same file. */
int writer_fd(struct writer *writer);

void writer_get_stats(struct writer *writer, struct writer_stats *ret_stats);

/*
 * Writes what is queued, waiting for at most stall_ms without progress, and until deadline_boot_ns
 * at the longest; fills ret_stats (or NULL) with the final counts. Takes NULL.
 */
void writer_close(struct writer *writer, uint64_t deadline_boot_ns, struct writer_stats *ret_stats);

#endif
