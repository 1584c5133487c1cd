/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Sinks that write a line for each event: standard output and a log file. Lines are gathered and
 * written in batches; a terminal gets them at once.
 */
#ifndef TL_SINK_LINES_H
#define TL_SINK_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "event/render.h"
#include "sink/sink.h"

struct console_config {
	render_fn *render;     /* NULL: events are not shown, only notices */
	unsigned int flush_ms; /* how long lines are gathered where it is no terminal */
	bool alone;	       /* the only sink: it may hold up the events while it is slow */
	/* Nobody reads standard output any more; called once, from another thread. */
	void (*gone)(void *context);
	void *context;
};

/* Standard output. Returns 0 or a negative errno. */
int console_open(const struct console_config *config, struct sink **ret_sink);

/* A line that is no event, without its newline, after all events that were taken in before. From
 * the thread that drains, or while that one waits. */
void console_notice(struct sink *sink, const char *line);

/*
 * Appends to path, created with mode 0640. A disk that is merely slow holds up the events: they
 * wait in the transport. Returns 0 or a negative errno as open(2) gives it.
 */
int logfile_open(const char *path, struct sink **ret_sink);

#endif
