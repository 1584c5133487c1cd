/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Readers of the two transports behind one small table. Records come in the order of their time:
 * a ring buffer has it, per-CPU buffers are merged. One thread.
 */
#ifndef TL_PROBE_TRANSPORT_H
#define TL_PROBE_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "probe/probe.h"

struct transport;

struct transport_ops {
	/* As probe_drain. */
	size_t (*drain)(struct transport *transport, bool all, probe_record_fn *fn, void *context);
	void (*close)(struct transport *transport);
};

struct transport {
	const struct transport_ops *ops;
	int poll_fd;
};

/* map_fd is borrowed; ring_bytes is the map's size. */
int transport_open_ring(int map_fd, size_t ring_bytes, struct transport **ret_transport);

/* ring_bytes: all CPUs together; a power of two of pages for each. */
int transport_open_perf(int map_fd, size_t ring_bytes, struct transport **ret_transport);

#endif
