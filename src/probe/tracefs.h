/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Numbers of tracepoints, also where no tracefs is mounted. */
#ifndef TL_PROBE_TRACEFS_H
#define TL_PROBE_TRACEFS_H

/*
 * The number of a tracepoint, for perf_event_open(2). Nothing stays mounted. Returns it, or a
 * negative errno: -ENOENT where the kernel has no such tracepoint.
 */
int tracefs_event_id(const char *category, const char *name);

#endif
