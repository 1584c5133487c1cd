/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Where events go. A sink is a table of functions; each has its own bounded queue and its own
 * counts, so that a slow one loses its own events and holds up no other.
 *
 * Threads: event and flush from the thread that drains the kernel side; the rest from one
 * controlling thread.
 */
#ifndef TL_SINK_SINK_H
#define TL_SINK_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "event/event.h"

/* Events. offered = written + lost + queued, exactly. */
struct sink_stats {
	uint64_t offered;
	uint64_t written;
	uint64_t lost;
	uint64_t queued;
};

struct sink;

struct sink_ops {
	/* Takes the event in; nothing of it is kept. */
	void (*event)(struct sink *sink, const struct event *event);
	/* Hands on what was gathered; now: even if the sink would rather gather more. */
	void (*flush)(struct sink *sink, bool now);
	/* Waits until what was handed on is out or given up: a second and a half at most. */
	void (*sync)(struct sink *sink);
	/* The end is near: from then on nobody waits for it. From any thread. */
	void (*hurry)(struct sink *sink, uint64_t deadline_boot_ns);
	/* The descriptor that it writes to now. */
	int (*fd)(struct sink *sink);
	/* Reopens the file behind it, where there is one. Returns 0 or a negative errno. */
	int (*reopen)(struct sink *sink);
	void (*stats)(struct sink *sink, struct sink_stats *ret_stats);
	/* Writes what it can until deadline_boot_ns and releases the sink. ret_stats may be NULL.
	 */
	void (*close)(struct sink *sink, uint64_t deadline_boot_ns, struct sink_stats *ret_stats);
};

struct sink {
	const struct sink_ops *ops;
	const char *name; /* "standard output", for messages and the ledger */
};

#endif
