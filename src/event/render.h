/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Events as lines of text. Each renderer writes one whole line, newline included, and never more
 * than RENDER_LINE_BYTES. Bytes of a process's own choosing (its name, a file's) are escaped where
 * they are control characters, a backslash or not UTF-8, as \n, \t, \\ or \xHH: a line stays a
 * line, and no terminal obeys them. Times are local. No allocation, no state but the time zone.
 */
#ifndef TL_EVENT_RENDER_H
#define TL_EVENT_RENDER_H

#include <stddef.h>

#include "event/event.h"

/* A name of PATH_MAX bytes, each of them escaped, and the rest of the line. */
#define RENDER_LINE_BYTES (4096 * 4 + 512)

/* Writes to out, which has room for RENDER_LINE_BYTES; returns the bytes written. */
typedef size_t render_fn(const struct event *event, char *out);

/* "45678 - hello sys_read was called" */
render_fn render_hello;

/* "[2026-03-01 12:00:00.123456789] hello sys_read was called by COMM (PID: tid, TGID: tgid)" */
render_fn render_log;

/* A row of the table of `trapline procs`: TIME EVENT COMM PID PPID FILENAME/EXIT CODE */
render_fn render_procs;

/* The heading of that table, without a newline. */
extern const char render_procs_heading[];

#endif
