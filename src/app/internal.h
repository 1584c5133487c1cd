/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the files of this folder share: the run itself. */
#ifndef TL_APP_INTERNAL_H
#define TL_APP_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "aim/aim.h"
#include "app/run.h"
#include "pipeline/pipeline.h"
#include "probe/readers.h"
#include "sink/lines.h"

struct run {
	const struct run_config *config;
	struct probe *probe;
	struct control *control;
	struct pipeline pipeline;
	struct sink *console; /* also takes notices */
	struct sink *logfile; /* or NULL */
	int gone_fd;	      /* eventfd: standard output is closed */
	bool survives_hangup; /* started with SIGHUP ignored */

	/* Serialises changes of the aim and whatever touches the kernel side's maps. */
	pthread_mutex_t change_lock;
	struct aim aim;
	bool host_pids; /* our PID namespace is the machine's */

	/* The thread that drains: consumer.c */
	pthread_t consumer;
	bool consumer_started;
	int consumer_fd; /* eventfd: look up */
	atomic_bool consumer_stop;
	atomic_bool attached; /* records may come */
	pthread_mutex_t barrier_lock;
	pthread_cond_t barrier_changed;
	uint64_t barriers_wanted, barriers_done;
	struct ledger reported; /* at the last report of losses; the consumer's own */
	uint64_t reported_ns, looked_ns;

	/* The thread that watches: watch.c */
	pthread_t watcher;
	bool watcher_started;
	pthread_mutex_t watch_lock;
	pthread_cond_t watch_changed;
	bool watch_stop, watch_now;
	uint64_t next_scan_ns;	       /* readers are not looked for before; the watcher's own */
	atomic_bool aim_is_pids_alone; /* it ends with its last target */
	uint64_t kernel_skips_seen;    /* the consumer's own */
};

/* --- consumer.c --- */
int consumer_start(struct run *run);
/* Drains what is left, and ends. */
void consumer_stop(struct run *run);
/* Returns once all that the kernel side has emitted until now is handed to the sinks. */
void consumer_barrier(struct run *run);
/* The run may have begun to attach. */
void consumer_wake(struct run *run);
/* All counts. Exact when nothing is attached and the consumer has drained. */
void run_count(struct run *run, struct ledger *ret_ledger);

/* --- watch.c --- */
int watch_start(struct run *run);
void watch_stop(struct run *run);
/* Looks now, not at the next interval. */
void watch_wake(struct run *run);
/* Finds who reads our output and has it skipped. change_lock is held. */
void watch_readers_locked(struct run *run);

/* --- change.c --- */
extern const struct control_ops change_ops;
/* The aim that the options ask for. Returns 0 or a negative errno. */
int change_start(struct run *run);
/* Nothing is aimed at any more: detaches and hands on what was emitted. */
void change_end(struct run *run);
/* The last target is gone: nothing need be attached. */
void change_targets_gone(struct run *run);

#endif
