/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "app/run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "app/internal.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

/*
 * From the signal: until then the events still wait for an output that is slow; what is not out by
 * the end is discarded and counted.
 */
#define HURRY_NS (600 * CLOCK_NS_PER_MS)
#define END_NS (800 * CLOCK_NS_PER_MS)
#define PROCS_FLUSH_MS 100

static void on_output_gone(void *context)
{
	struct run *run = context;
	uint64_t one = 1;
	ssize_t written = write(run->gone_fd, &one, sizeof(one));

	(void)written;
}

static void notice(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void notice(struct run *run, const char *format, ...)
{
	char line[512];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	console_notice(run->console, line);
}

static void run_init(struct run *run, const struct run_config *config)
{
	pthread_condattr_t monotonic;

	*run = (struct run){ .config = config, .consumer_fd = -1 };
	run->gone_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&run->change_lock, NULL);
	pthread_mutex_init(&run->barrier_lock, NULL);
	pthread_mutex_init(&run->watch_lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&run->barrier_changed, &monotonic);
	pthread_cond_init(&run->watch_changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

static int open_sinks(struct run *run)
{
	const struct run_config *config = run->config;
	struct console_config console = {
		.render = config->probe.procs ? render_procs : render_hello,
		.flush_ms = config->probe.procs ? PROCS_FLUSH_MS : 0,
		.alone = !config->log_path,
		.gone = on_output_gone,
		.context = run,
	};
	int r;

	if (config->log_path) {
		r = logfile_open(config->log_path, &run->logfile);
		if (r < 0) {
			log_line("cannot write log file %s: %s", config->log_path, strerror(-r));
			return r;
		}
		pipeline_add_sink(&run->pipeline, run->logfile);
	}
	r = console_open(&console, &run->console);
	if (r < 0) {
		log_line("cannot write to standard output: %s", strerror(-r));
		return r;
	}
	if (!config->quiet)
		pipeline_add_sink(&run->pipeline, run->console);
	return 0;
}

static int open_probe(struct run *run)
{
	_cleanup_free_ char *message = NULL;
	struct tl_skipped self = { .reason = TL_SKIP_SELF };
	struct tl_task_row row;
	int r = probe_open(&run->config->probe, &run->probe, &message);

	if (r < 0) {
		log_line("%s", message ? message : strerror(-r));
		return r;
	}
	log_line("%s", probe_choice(run->probe));
	uint32_t own = probe_self_tgid(run->probe);
	run->host_pids = own == (uint32_t)getpid();
	if (!run->host_pids)
		log_line(
		    "warning: this is not the machine's PID namespace: the monitor is PID %u "
		    "there and %d here; PIDs are the machine's everywhere, in what the API "
		    "and -p take and in what is shown (a container shares them with pid: host)",
		    own, (int)getpid());
	else if (probe_find_task(run->probe, own, &row) >= 0)
		self.start_boottime_ns = row.start_boottime_ns;
	r = probe_set_skipped(run->probe, own, &self);
	if (r < 0)
		log_line("cannot write the kernel side's maps: %s", strerror(-r));
	return r;
}

static size_t distinct_pids(const struct run_config *config)
{
	size_t distinct = 0;

	for (size_t i = 0; i < config->pid_count; i++) {
		bool first = true;

		for (size_t j = 0; j < i && first; j++)
			first = config->pids[j] != config->pids[i];
		distinct += first;
	}
	return distinct;
}

static void tell_state(struct run *run)
{
	size_t pids = distinct_pids(run->config);
	const char *print_all = run->config->print_all ? "enabled" : "disabled";

	if (pids)
		notice(run, "Initial state: %zu PID%s in target list, print_all %s", pids,
		       pids == 1 ? "" : "s", print_all);
	else
		notice(run, "Initial state: No PIDs in target list, print_all %s", print_all);
}

/* Blocks the signals for all threads to come. Returns the descriptor that tells of them. */
static int take_signals(struct run *run)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	/* As nohup(1) leaves it; ignored, it could not be used to reopen the log either. */
	run->survives_hangup = signal(SIGHUP, SIG_DFL) == SIG_IGN;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void reopen_log(struct run *run)
{
	int r = run->logfile ? run->logfile->ops->reopen(run->logfile) : 0;

	if (r < 0)
		log_line("cannot reopen log file %s: %s; going on with the old one",
			 run->config->log_path, strerror(-r));
	watch_wake(run); /* who reads the new file is skipped too */
}

/* SIGHUP. Returns false where it ends the run: the terminal is gone, or there is no log. */
static bool on_hangup(struct run *run, const struct signalfd_siginfo *info)
{
	if (info->ssi_code == SI_KERNEL)
		return run->survives_hangup;
	if (!run->logfile)
		return run->survives_hangup;
	reopen_log(run);
	return true;
}

/* Waits for the end: a signal, or an output that nobody takes where there is no other. */
static void wait_for_end(struct run *run, int signals)
{
	struct pollfd waits[2] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = run->gone_fd, .events = POLLIN },
	};
	struct signalfd_siginfo info;

	for (;;) {
		if (poll(waits, 2, -1) < 0)
			continue; /* EINTR */
		if (waits[1].revents) {
			if (!run->logfile) {
				log_line("standard output is closed: ending");
				return;
			}
			log_line("standard output is closed: going on with the log file alone");
			waits[1].fd = -1;
		}
		while (read(signals, &info, sizeof(info)) == sizeof(info)) {
			if (info.ssi_signo != SIGHUP || !on_hangup(run, &info))
				return;
		}
	}
}

static void close_sinks(struct run *run, uint64_t deadline, struct ledger *ledger)
{
	for (size_t i = 0; i < run->pipeline.sink_count; i++) {
		struct sink *sink = run->pipeline.sinks[i];

		ledger->sinks[i].name = sink->name;
		sink->ops->close(sink, deadline, &ledger->sinks[i].stats);
		if (sink == run->console)
			run->console = NULL;
	}
	if (run->console)
		run->console->ops->close(run->console, deadline, NULL);
	run->console = run->logfile = NULL;
}

/* Everything in flight is delivered, in the order of the data's way. */
/* Not an event: what an event then lacks. */
static void tell_forgotten(struct run *run)
{
	struct tl_tally tally;

	if (probe_tally(run->probe, &tally) >= 0 && tally.no_slot)
		log_line("%llu processes were not kept track of, more than %d at once: their "
			 "ends are shown without a duration",
			 (unsigned long long)tally.no_slot, TL_MAX_PROCESSES);
}

static void run_end(struct run *run, const char *last_line, bool tell)
{
	uint64_t now = clock_boot_ns(), deadline = now + END_NS;
	struct ledger ledger = { 0 };
	char line[1024];

	for (size_t i = 0; i < run->pipeline.sink_count; i++)
		run->pipeline.sinks[i]->ops->hurry(run->pipeline.sinks[i], now + HURRY_NS);
	control_close(run->control);
	watch_stop(run);
	if (run->probe) {
		if (run->config->probe.calls)
			change_end(run);
		probe_detach_life(run->probe);
		probe_wait_grace(run->probe);
	}
	consumer_stop(run);
	if (run->probe)
		run_count(run, &ledger);
	if (last_line && run->console)
		console_notice(run->console, last_line);
	close_sinks(run, deadline, &ledger);
	if (tell) {
		tell_forgotten(run);
		ledger_format(&ledger, line, sizeof(line));
		log_line("%s", line);
	}
	probe_close(run->probe);
	close(run->gone_fd);
	aim_release(&run->aim);
}

static int start_monitor(struct run *run)
{
	uint32_t own;
	int r;

	notice(run, "Loading eBPF program");
	r = open_probe(run);
	if (r < 0)
		return r;
	/* In force before it is said to be; what it catches waits until the start lines are out. */
	r = change_start(run);
	if (r < 0) {
		log_line("cannot aim: %s; `trapline doctor` tells what this kernel offers",
			 strerror(-r));
		return r;
	}
	own = probe_self_tgid(run->probe);
	notice(run, "Monitoring sys_read and sys_write calls...");
	notice(run, "Host PID: %u", own);
	notice(run, "Skipping self PID: %u", own);
	tell_state(run);
	if (run->control)
		notice(run, "API Server starting on %s", control_address(run->control));
	r = consumer_start(run);
	if (r >= 0)
		r = watch_start(run);
	if (r < 0) {
		log_line("cannot start a thread: %s", strerror(-r));
		return r;
	}
	r = run->control ? control_start(run->control, &change_ops, run) : 0;
	if (r < 0)
		log_line("cannot serve the API: %s", strerror(-r));
	return r;
}

static int open_control(struct run *run)
{
	_cleanup_free_ char *message = NULL;

	if (!run->config->serve_api)
		return 0;
	int r = control_open(&run->config->control, &run->control, &message);
	if (r < 0)
		log_line("%s", message ? message : strerror(-r));
	return r;
}

int run_monitor(const struct run_config *config)
{
	struct run run;
	int r;

	run_init(&run, config);
	int signals = take_signals(&run);
	r = open_control(&run);
	if (r >= 0)
		r = open_sinks(&run);
	if (r >= 0)
		r = start_monitor(&run);
	if (r >= 0)
		wait_for_end(&run, signals);
	run_end(&run, r >= 0 ? "Exiting..." : NULL, r >= 0);
	close(signals);
	return r >= 0 ? 0 : 1;
}

static int start_procs(struct run *run)
{
	int r = open_probe(run);

	if (r < 0)
		return r;
	r = probe_attach_life(run->probe);
	if (r >= 0)
		r = probe_seed_processes(run->probe);
	if (r < 0) {
		log_line("cannot follow the life of processes: %s", strerror(-r));
		return r;
	}
	console_notice(run->console, render_procs_heading);
	atomic_store(&run->attached, true);
	r = consumer_start(run);
	if (r < 0)
		log_line("cannot start a thread: %s", strerror(-r));
	return r;
}

int run_procs(const struct run_config *config)
{
	struct run run;
	int r;

	run_init(&run, config);
	int signals = take_signals(&run);
	r = open_sinks(&run);
	if (r >= 0)
		r = start_procs(&run);
	if (r >= 0)
		wait_for_end(&run, signals);
	run_end(&run, NULL, r >= 0);
	close(signals);
	return r >= 0 ? 0 : 1;
}
