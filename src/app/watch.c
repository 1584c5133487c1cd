/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The thread that looks after what changes by itself: who reads our output, and whether the last
 * target has gone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/internal.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

/*
 * Readers are looked for this often, but for no more than a hundredth of a CPU's time; sooner where
 * the kernel side has caught one, but for no more than a tenth.
 */
#define INTERVAL_NS (500 * CLOCK_NS_PER_MS)
#define SCAN_SHARE 100
#define HASTE_SHARE 10

/* What is in the kernel's table of processes that are skipped, and who of them still reads. */
struct survey {
	struct run *run;
	const struct reader *readers;
	size_t count;
	bool *known;
};

static void survey_skipped(void *context, uint32_t pid, const struct tl_skipped *skipped)
{
	struct survey *survey = context;
	struct tl_skipped confirmed = *skipped;

	if (skipped->reason == TL_SKIP_SELF)
		return;
	for (size_t i = 0; i < survey->count; i++) {
		if (survey->readers[i].tgid != pid ||
		    survey->readers[i].start_boottime_ns != skipped->start_boottime_ns)
			continue;
		survey->known[i] = skipped->reason == TL_SKIP_READER;
		if (!survey->known[i]) {
			confirmed.reason = TL_SKIP_READER;
			probe_set_skipped(survey->run->probe, pid, &confirmed);
		}
		return;
	}
	/* It has stopped reading, or its number has another process now. */
	probe_remove_skipped(survey->run->probe, pid);
}

static void announce(const struct reader *reader)
{
	char name[TL_COMM_BYTES * 4 + 1];
	char *end = text_escaped(name, reader->comm, strlen(reader->comm));

	*end = '\0';
	log_line("skipping PID %u (%s): it reads what this monitor writes "
		 "(--no-skip-readers shows it)",
		 reader->tgid, name);
}

void watch_readers_locked(struct run *run)
{
	_cleanup_free_ struct tl_file_row *rows = NULL;
	_cleanup_free_ struct reader *readers = NULL;
	_cleanup_free_ bool *known = NULL;
	uint64_t inodes[TL_MAX_OWN_INODES];
	int outputs[LEDGER_MAX_SINKS + 2] = { STDOUT_FILENO, STDERR_FILENO };
	struct readers_query query = { .self_tgid = probe_self_tgid(run->probe),
				       .outputs = outputs,
				       .output_count = 2 };
	size_t count = 0;

	for (size_t i = 0; i < run->pipeline.sink_count; i++)
		outputs[query.output_count++] =
		    run->pipeline.sinks[i]->ops->fd(run->pipeline.sinks[i]);
	if (!run->config->skip_readers || probe_list_files(run->probe, &rows, &query.count) < 0)
		return;
	query.rows = rows;
	if (readers_find(&query, &readers, &count) < 0)
		return;
	known = calloc(count + 1, sizeof(*known));
	if (!known)
		return;
	size_t own = readers_own_inodes(&query, inodes, TL_MAX_OWN_INODES);
	probe_set_own_inodes(run->probe, inodes, own);
	struct survey survey = { .run = run, .readers = readers, .count = count, .known = known };
	probe_each_skipped(run->probe, survey_skipped, &survey);
	for (size_t i = 0; i < count; i++) {
		struct tl_skipped skipped = { .start_boottime_ns = readers[i].start_boottime_ns,
					      .reason = TL_SKIP_READER };

		if (known[i])
			continue;
		if (probe_set_skipped(run->probe, readers[i].tgid, &skipped) >= 0)
			announce(&readers[i]);
	}
}

/* Returns for how long nothing need be done. */
static uint64_t watch_once(struct run *run)
{
	uint64_t before = clock_boot_ns(), took;

	pthread_mutex_lock(&run->change_lock);
	if (atomic_load(&run->aim_is_pids_alone) && !probe_target_count(run->probe))
		change_targets_gone(run);
	if (before < run->next_scan_ns) {
		pthread_mutex_unlock(&run->change_lock);
		return run->next_scan_ns - before;
	}
	if (!aim_is_empty(&run->aim))
		watch_readers_locked(run);
	pthread_mutex_unlock(&run->change_lock);
	took = clock_boot_ns() - before;
	run->next_scan_ns = before + took * HASTE_SHARE;
	return took * SCAN_SHARE > INTERVAL_NS ? took * SCAN_SHARE : INTERVAL_NS;
}

/* Waits for ns (0: without a limit), or until it is told to look now. Returns false at the end. */
static bool watch_wait(struct run *run, uint64_t ns)
{
	struct timespec until;
	bool go_on;

	clock_gettime(CLOCK_MONOTONIC, &until);
	uint64_t nanos = ns + (uint64_t)until.tv_nsec;
	until.tv_sec += (time_t)(nanos / CLOCK_NS_PER_SECOND);
	until.tv_nsec = (long)(nanos % CLOCK_NS_PER_SECOND);
	pthread_mutex_lock(&run->watch_lock);
	while (!run->watch_stop && !run->watch_now) {
		if (!ns)
			pthread_cond_wait(&run->watch_changed, &run->watch_lock);
		else if (pthread_cond_timedwait(&run->watch_changed, &run->watch_lock, &until))
			break;
	}
	run->watch_now = false;
	go_on = !run->watch_stop;
	pthread_mutex_unlock(&run->watch_lock);
	return go_on;
}

static void *watch_thread(void *argument)
{
	struct run *run = argument;
	uint64_t wait_ns = INTERVAL_NS;

	while (watch_wait(run, wait_ns))
		wait_ns = atomic_load(&run->attached) ? watch_once(run) : 0;
	return NULL;
}

void watch_wake(struct run *run)
{
	pthread_mutex_lock(&run->watch_lock);
	run->watch_now = true;
	pthread_cond_signal(&run->watch_changed);
	pthread_mutex_unlock(&run->watch_lock);
}

int watch_start(struct run *run)
{
	int r = -pthread_create(&run->watcher, NULL, watch_thread, run);

	run->watcher_started = r == 0;
	return r;
}

void watch_stop(struct run *run)
{
	if (!run->watcher_started)
		return;
	pthread_mutex_lock(&run->watch_lock);
	run->watch_stop = true;
	pthread_cond_signal(&run->watch_changed);
	pthread_mutex_unlock(&run->watch_lock);
	pthread_join(run->watcher, NULL);
	run->watcher_started = false;
}
