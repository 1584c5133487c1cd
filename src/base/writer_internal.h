/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the two files of the writer share. "locked": the writer's lock is held. */
#ifndef TL_BASE_WRITER_INTERNAL_H
#define TL_BASE_WRITER_INTERNAL_H

#include <pthread.h>

#include "base/output.h"
#include "base/writer.h"

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
	struct output output;
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
	uint64_t hurry_ns;    /* from then on nobody waits for this output; 0: not yet */
	uint64_t progress_ns; /* when something was taken, or when the queue stopped being empty */
	uint64_t queued_total, finished_total; /* pieces, for writer_sync */
	struct writer_stats stats;
	uint64_t reported_ns; /* an error; the thread's own */
};

/* The thread's body; argument is the writer. */
void *writer_thread(void *argument);

/* Has the thread look up. */
void writer_wake(struct writer *writer);

/* Takes a piece that has left the queue off the books. */
void writer_piece_free_locked(struct writer *writer, struct piece *piece);

#endif
