/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The thread that drains the kernel side into the pipeline. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "app/internal.h"
#include "base/clock.h"
#include "base/log.h"

/* While something is attached, records wait this long for others before they are fetched. */
#define TICK_MS 10
#define REPORT_NS CLOCK_NS_PER_SECOND /* no more often, and looked for ten times as often */
#define CONSUMER_NICE (-20)

void run_count(struct run *run, struct ledger *ret_ledger)
{
	struct ledger ledger = { 0 };
	struct tl_tally tally = { 0 };

	/* From the last stage to the first: what moves on meanwhile is never counted twice. */
	pipeline_count(&run->pipeline, &ledger);
	probe_tally(run->probe, &tally);
	ledger.seen = tally.seen;
	ledger.emitted = tally.emitted;
	ledger.lost_full = tally.lost[TL_LOSS_TRANSPORT_FULL];
	ledger.lost_no_buffer = tally.lost[TL_LOSS_NO_BUFFER];
	ledger.lost_skipped = tally.lost[TL_LOSS_SKIPPED_RUN];
	*ret_ledger = ledger;
}

static void report_losses(struct run *run, uint64_t now)
{
	struct ledger ledger;
	char line[512];

	if (now - run->looked_ns < REPORT_NS / 10 || now - run->reported_ns < REPORT_NS)
		return;
	run->looked_ns = now;
	run_count(run, &ledger);
	if (ledger_lost(&ledger) > ledger_lost(&run->reported)) {
		ledger_format_losses(&run->reported, &ledger, line, sizeof(line));
		log_line("%s", line);
		run->reported_ns = now;
		run->reported = ledger;
	}
}

static void answer_barriers(struct run *run, uint64_t wanted)
{
	pthread_mutex_lock(&run->barrier_lock);
	run->barriers_done = wanted;
	pthread_cond_broadcast(&run->barrier_changed);
	pthread_mutex_unlock(&run->barrier_lock);
}

static void drain(struct run *run)
{
	bool stopping = atomic_load(&run->consumer_stop);
	uint64_t wanted;

	pthread_mutex_lock(&run->barrier_lock);
	wanted = run->barriers_wanted;
	pthread_mutex_unlock(&run->barrier_lock);
	bool all = stopping || wanted != run->barriers_done;
	pipeline_begin(&run->pipeline);
	probe_drain(run->probe, all, pipeline_record, &run->pipeline);
	pipeline_end(&run->pipeline, all);
	if (wanted != run->barriers_done)
		answer_barriers(run, wanted);
}

/* Things that only the kernel side knows, and that the watcher has to act on. */
static void look_after(struct run *run)
{
	uint64_t skips = probe_kernel_skips(run->probe);
	bool over = atomic_load(&run->aim_is_pids_alone) && !probe_target_count(run->probe);

	if (skips != run->kernel_skips_seen || over) {
		run->kernel_skips_seen = skips;
		watch_wake(run);
	}
}

static void *consumer_thread(void *argument)
{
	struct run *run = argument;
	struct epoll_event wake = { .events = EPOLLIN, .data.fd = run->consumer_fd };
	struct epoll_event records = { .events = EPOLLIN | EPOLLET, .data.fd = -1 };
	struct epoll_event ready[2];
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	uint64_t count;

	/* Being late loses events; where that is not allowed we are as late as anyone. */
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), CONSUMER_NICE);
	epoll_ctl(epoll, EPOLL_CTL_ADD, run->consumer_fd, &wake);
	epoll_ctl(epoll, EPOLL_CTL_ADD, probe_poll_fd(run->probe), &records);
	while (!atomic_load(&run->consumer_stop)) {
		bool attached = atomic_load(&run->attached);

		if (attached)
			probe_arm(run->probe);
		int n = epoll_wait(epoll, ready, 2, attached ? TICK_MS : -1);
		for (int i = 0; i < n; i++)
			if (ready[i].data.fd >= 0 &&
			    read(run->consumer_fd, &count, sizeof(count)) < 0)
				continue; /* somebody was quicker */
		drain(run);
		if (attached) {
			look_after(run);
			report_losses(run, clock_boot_ns());
		}
	}
	drain(run);
	close(epoll);
	return NULL;
}

void consumer_wake(struct run *run)
{
	uint64_t one = 1;
	ssize_t written = write(run->consumer_fd, &one, sizeof(one));

	(void)written; /* the counter is full: it is awake anyway */
}

void consumer_barrier(struct run *run)
{
	uint64_t mine;

	pthread_mutex_lock(&run->barrier_lock);
	mine = ++run->barriers_wanted;
	consumer_wake(run);
	while (run->barriers_done < mine)
		pthread_cond_wait(&run->barrier_changed, &run->barrier_lock);
	pthread_mutex_unlock(&run->barrier_lock);
}

int consumer_start(struct run *run)
{
	run->consumer_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (run->consumer_fd < 0)
		return -errno;
	int r = -pthread_create(&run->consumer, NULL, consumer_thread, run);
	run->consumer_started = r == 0;
	return r;
}

void consumer_stop(struct run *run)
{
	if (run->consumer_started) {
		atomic_store(&run->consumer_stop, true);
		consumer_wake(run);
		pthread_join(run->consumer, NULL);
		run->consumer_started = false;
	}
	if (run->consumer_fd >= 0)
		close(run->consumer_fd);
	run->consumer_fd = -1;
}
