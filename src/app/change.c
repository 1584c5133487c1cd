/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Changes of the aim, one at a time.
 *
 * A change that only adds is announced, then put in force: what it adds follows its line on
 * standard output. A change that takes away is put in force; then we wait until no program runs
 * that has seen the old aim, and until all that was emitted under it is written out or given up;
 * then it is announced, and answered.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "app/change.h"
#include "base/cleanup.h"
#include "base/parse.h"

/* Up to so many PIDs are looked up one by one; more, by a walk over all processes. */
#define FEW_PIDS 8

void change_announce(struct run *run, const char *line)
{
	if (line)
		console_notice(run->console, line);
}

void change_fill_state(struct run *run, struct control_state *ret_state)
{
	*ret_state = (struct control_state){
		.total_pids = probe_target_count(run->probe),
		.total_ips = run->aim.ip_count,
		.print_all = run->aim.print_all,
		.all_running = true,
		.ips_can_aim = probe_can_read_peers(run->probe),
	};
}

static void note_aim(struct run *run)
{
	const struct aim *aim = &run->aim;

	atomic_store(&run->aim_is_pids_alone, aim->has_pids && !aim->print_all && !aim->ip_count);
}

/* Life first: from then on no target's end goes by unseen. */
int change_attach(struct run *run)
{
	int r;

	if (probe_calls_attached(run->probe))
		return 0;
	r = probe_attach_life(run->probe);
	if (r >= 0)
		watch_readers_locked(run);
	if (r >= 0)
		r = probe_attach_calls(run->probe);
	if (r < 0) {
		probe_detach_life(run->probe);
		return r;
	}
	atomic_store(&run->attached, true);
	watch_wake(run);
	if (run->consumer_started)
		consumer_wake(run);
	return 0;
}

void change_detach_if_idle(struct run *run)
{
	if (!aim_is_empty(&run->aim) || !atomic_load(&run->attached))
		return;
	probe_detach_calls(run->probe);
	probe_detach_life(run->probe);
	atomic_store(&run->attached, false);
	consumer_wake(run);
}

/* The aim in run->aim only adds to the one in force. */
void change_widen(struct run *run, const char *line)
{
	change_announce(run, line);
	probe_publish(run->probe, &run->aim);
	note_aim(run);
}

/* The aim in run->aim takes something away. */
int change_narrow(struct run *run, const char *line)
{
	int r;

	probe_publish(run->probe, &run->aim);
	note_aim(run);
	r = probe_wait_grace(run->probe);
	consumer_barrier(run);
	change_announce(run, line);
	for (size_t i = 0; i < run->pipeline.sink_count; i++)
		run->pipeline.sinks[i]->ops->sync(run->pipeline.sinks[i]);
	change_detach_if_idle(run);
	return r;
}

/* When the process of each PID began; 0 where none has the number, or where we cannot see it. */
static int find_starts(struct run *run, const uint32_t *pids, size_t count, uint64_t *starts)
{
	_cleanup_free_ struct tl_task_row *rows = NULL;
	size_t row_count = 0;
	int r = 0;

	memset(starts, 0, count * sizeof(*starts));
	if (!run->host_pids)
		return 0;
	if (count <= FEW_PIDS) {
		for (size_t i = 0; i < count; i++) {
			struct tl_task_row row;

			r = probe_find_task(run->probe, pids[i], &row);
			if (r >= 0 && row.alive)
				starts[i] = row.start_boottime_ns;
			else if (r < 0 && r != -ESRCH)
				return r;
		}
		return 0;
	}
	r = probe_list_tasks(run->probe, &rows, &row_count);
	if (r < 0)
		return r;
	_cleanup_free_ uint64_t *by_pid = calloc(PARSE_PID_MAX + 1, sizeof(*by_pid));
	if (!by_pid)
		return -ENOMEM;
	for (size_t i = 0; i < row_count; i++)
		if (rows[i].alive && rows[i].tgid <= PARSE_PID_MAX)
			by_pid[rows[i].tgid] = rows[i].start_boottime_ns;
	for (size_t i = 0; i < count; i++)
		starts[i] = by_pid[pids[i]];
	return 0;
}

/* A set of targets on its way into the kernel's table. */
struct addition {
	const uint32_t *pids;
	size_t count;
	uint64_t *starts;
	bool *added; /* by us: to be taken back if the whole fails */
};

static void take_back(struct run *run, const struct addition *addition)
{
	for (size_t i = 0; i < addition->count; i++)
		if (addition->added[i])
			probe_remove_target(run->probe, addition->pids[i]);
}

static int insert_targets(struct run *run, const struct addition *addition)
{
	for (size_t i = 0; i < addition->count; i++) {
		struct tl_target target = {
			.start_boottime_ns = addition->starts[i],
			.generation = run->aim.generation + 1,
			.epoch = run->aim.pids_epoch,
		};
		int r =
		    probe_add_target(run->probe, addition->pids[i], &target, &addition->added[i]);

		if (r < 0) {
			take_back(run, addition);
			return r;
		}
	}
	return 0;
}

/* Targets whose process ended before the kernel side knew of them leave the list as well. */
static int drop_ended(struct run *run, const struct addition *addition)
{
	_cleanup_free_ uint64_t *now = malloc(addition->count * sizeof(*now));
	int r = now ? find_starts(run, addition->pids, addition->count, now) : -ENOMEM;

	for (size_t i = 0; r >= 0 && i < addition->count; i++)
		if (addition->added[i] && addition->starts[i] && now[i] != addition->starts[i])
			probe_remove_target(run->probe, addition->pids[i]);
	return r;
}

static int add_pids_locked(struct run *run, const uint32_t *pids, size_t count, const char *line,
			   struct control_state *ret_state)
{
	_cleanup_free_ uint64_t *starts = calloc(count, sizeof(*starts));
	_cleanup_free_ bool *added = calloc(count, sizeof(*added));
	struct addition addition = { pids, count, starts, added };
	bool all_running = true, was_all = run->aim.print_all;
	int r = starts && added ? change_attach(run) : -ENOMEM;

	if (r >= 0)
		r = find_starts(run, pids, count, starts);
	if (r >= 0)
		r = insert_targets(run, &addition);
	if (r >= 0)
		r = drop_ended(run, &addition);
	if (r < 0) {
		change_detach_if_idle(run);
		return r;
	}
	for (size_t i = 0; i < count && run->host_pids; i++)
		all_running &= starts[i] != 0;
	run->aim.generation++;
	run->aim.has_pids = true;
	run->aim.print_all = false;
	if (was_all)
		r = change_narrow(run, line);
	else
		change_widen(run, line);
	change_fill_state(run, ret_state);
	ret_state->all_running = all_running;
	return r;
}

static int change_add_pids(void *context, const uint32_t *pids, size_t count, const char *line,
			   struct control_state *ret_state)
{
	struct run *run = context;

	pthread_mutex_lock(&run->change_lock);
	int r = add_pids_locked(run, pids, count, line, ret_state);
	pthread_mutex_unlock(&run->change_lock);
	return r;
}

static int change_clear_pids(void *context, const char *line, struct control_state *ret_state)
{
	struct run *run = context;

	pthread_mutex_lock(&run->change_lock);
	run->aim.generation++;
	run->aim.pids_epoch++;
	run->aim.has_pids = run->aim.print_all = false;
	int r = change_narrow(run, line);
	int stale = probe_remove_stale_targets(run->probe, run->aim.pids_epoch);
	change_fill_state(run, ret_state);
	pthread_mutex_unlock(&run->change_lock);
	return r < 0 ? r : stale;
}

static int change_set_print_all(void *context, const char *line, struct control_state *ret_state)
{
	struct run *run = context;

	pthread_mutex_lock(&run->change_lock);
	int r = change_attach(run);
	if (r >= 0) {
		run->aim.generation++;
		run->aim.print_all = true;
		change_widen(run, line);
		change_fill_state(run, ret_state);
	}
	pthread_mutex_unlock(&run->change_lock);
	return r;
}

static int change_get_pids(void *context, uint32_t **ret_pids, size_t *ret_count,
			   bool *ret_print_all)
{
	struct run *run = context;

	pthread_mutex_lock(&run->change_lock);
	int r = probe_list_targets(run->probe, ret_pids, ret_count);
	*ret_print_all = run->aim.print_all;
	pthread_mutex_unlock(&run->change_lock);
	return r;
}

const struct control_ops change_ops = {
	.add_pids = change_add_pids,
	.clear_pids = change_clear_pids,
	.set_print_all = change_set_print_all,
	.get_pids = change_get_pids,
	.add_ips = change_add_ips,
	.clear_ips = change_clear_ips,
	.get_ips = change_get_ips,
};

int change_start(struct run *run)
{
	const struct run_config *config = run->config;
	struct control_state state;
	int r = 0;

	if (config->pid_count)
		r = change_add_pids(run, config->pids, config->pid_count, NULL, &state);
	if (r >= 0 && config->print_all)
		r = change_set_print_all(run, NULL, &state);
	return r;
}

void change_end(struct run *run)
{
	pthread_mutex_lock(&run->change_lock);
	aim_release(&run->aim);
	run->aim.has_pids = run->aim.print_all = false;
	probe_publish(run->probe, &run->aim);
	note_aim(run);
	probe_wait_grace(run->probe);
	change_detach_if_idle(run);
	pthread_mutex_unlock(&run->change_lock);
}

void change_targets_gone(struct run *run)
{
	run->aim.has_pids = false;
	change_narrow(run, NULL);
}
