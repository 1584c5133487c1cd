/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * One run put together: kernel side, pipeline, sinks and API, from start to end.
 *
 * Threads: the caller's (start, signals, end), one that drains the kernel side, one that serves
 * the API, one that watches over readers of our output and targets that are gone, and one for each
 * sink that writes. Changes of the aim are made one at a time, under one lock.
 */
#ifndef TL_APP_RUN_H
#define TL_APP_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/control.h"
#include "probe/probe.h"

struct run_config {
	struct probe_config probe;

	/* The aim to begin with. */
	bool print_all;
	const uint32_t *pids; /* borrowed */
	size_t pid_count;
	bool skip_readers;

	bool serve_api;
	struct control_config control;

	bool quiet;	      /* no lines for calls on standard output */
	const char *log_path; /* or NULL */
};

/*
 * Runs until a signal or until nobody takes what it writes. Returns the exit status: 0, or 1 where
 * it could not start, after saying on standard error why and what to do.
 */
int run_monitor(const struct run_config *config);

/* Shows the life of processes instead of calls; config->probe.procs is set, there is no aim. */
int run_procs(const struct run_config *config);

#endif
