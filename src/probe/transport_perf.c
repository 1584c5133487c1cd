/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Perf buffers, one for each CPU. What they give is copied and sorted by time. A record younger
 * than the drain itself is held back until the next one: an older record of another CPU may still
 * be on its way to a buffer that was already read.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "probe/transport.h"

/* Each CPU's buffer, in pages. */
#define PERF_MIN_PAGES 16
#define PERF_MAX_PAGES 4096

struct held {
	uint64_t time_ns;
	uint64_t sequence; /* keeps the order of records of the same time */
	size_t offset;	   /* in bytes */
	size_t length;
};

struct perf {
	struct transport transport;
	struct perf_buffer *buffer;
	struct held *held;
	size_t held_count, held_room;
	char *bytes;
	size_t bytes_used, bytes_room;
	uint64_t sequence;
	/* For the time of one drain: where a record goes when there is no memory to hold it. */
	probe_record_fn *fn;
	void *context;
};

struct raw_sample {
	struct perf_event_header header;
	uint32_t bytes;
	char data[];
};

static bool perf_make_room(struct perf *perf, size_t length)
{
	if (perf->held_count == perf->held_room) {
		size_t room = perf->held_room ? perf->held_room * 2 : 4096;
		struct held *held = reallocarray(perf->held, room, sizeof(*held));

		if (!held)
			return false;
		perf->held = held;
		perf->held_room = room;
	}
	if (perf->bytes_used + length > perf->bytes_room) {
		size_t room = (perf->bytes_used + length) * 2 + 65536;
		char *bytes = realloc(perf->bytes, room);

		if (!bytes)
			return false;
		perf->bytes = bytes;
		perf->bytes_room = room;
	}
	return true;
}

static enum bpf_perf_event_ret perf_on_record(void *context, int cpu,
					      struct perf_event_header *event)
{
	struct perf *perf = context;
	const struct raw_sample *sample = (const void *)event;
	struct tl_record head;
	size_t room;

	(void)cpu;
	/* What the kernel could not write it has told the program, which counted it: the lost
	 * records of the buffer itself would count it twice. */
	if (event->type != PERF_RECORD_SAMPLE || sample->bytes < sizeof(head))
		return LIBBPF_PERF_EVENT_CONT;
	room = (sample->bytes + (size_t)7) & ~(size_t)7;
	if (!perf_make_room(perf, room)) {
		perf->fn(perf->context, sample->data, sample->bytes); /* early beats never */
		return LIBBPF_PERF_EVENT_CONT;
	}
	memcpy(&head, sample->data, sizeof(head));
	perf->held[perf->held_count++] = (struct held){
		.time_ns = head.time_ns,
		.sequence = perf->sequence++,
		.offset = perf->bytes_used,
		.length = sample->bytes,
	};
	memcpy(perf->bytes + perf->bytes_used, sample->data, sample->bytes);
	perf->bytes_used += room;
	return LIBBPF_PERF_EVENT_CONT;
}

static int held_compare(const void *left, const void *right)
{
	const struct held *a = left, *b = right;

	if (a->time_ns != b->time_ns)
		return a->time_ns < b->time_ns ? -1 : 1;
	return a->sequence < b->sequence ? -1 : a->sequence > b->sequence;
}

/* Moves what is left, from index on, to the beginning. */
static void perf_keep_from(struct perf *perf, size_t index)
{
	size_t used = 0;
	char *bytes;

	if (index == perf->held_count) {
		perf->held_count = perf->bytes_used = 0;
		return;
	}
	bytes = malloc(perf->bytes_room);
	/* Without memory the bytes stay where they are until the next time. */
	for (size_t i = index; bytes && i < perf->held_count; i++) {
		struct held *held = &perf->held[i];

		memcpy(bytes + used, perf->bytes + held->offset, held->length);
		held->offset = used;
		used += (held->length + 7) & ~(size_t)7;
	}
	if (bytes) {
		free(perf->bytes);
		perf->bytes = bytes;
		perf->bytes_used = used;
	}
	memmove(perf->held, perf->held + index, (perf->held_count - index) * sizeof(*perf->held));
	perf->held_count -= index;
}

static size_t perf_drain(struct transport *transport, bool all, probe_record_fn *fn, void *context)
{
	struct perf *perf = (struct perf *)transport;
	uint64_t horizon = clock_boot_ns();
	size_t i = 0;

	perf->fn = fn;
	perf->context = context;
	perf_buffer__consume(perf->buffer);
	if (!perf->held_count)
		return 0;
	qsort(perf->held, perf->held_count, sizeof(*perf->held), held_compare);
	for (; i < perf->held_count && (all || perf->held[i].time_ns <= horizon); i++)
		fn(context, perf->bytes + perf->held[i].offset, perf->held[i].length);
	perf_keep_from(perf, i);
	return i;
}

static void perf_close(struct transport *transport)
{
	struct perf *perf = (struct perf *)transport;

	perf_buffer__free(perf->buffer);
	free(perf->held);
	free(perf->bytes);
	free(perf);
}

static const struct transport_ops perf_ops = { .drain = perf_drain, .close = perf_close };

static size_t perf_pages_per_cpu(size_t ring_bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int cpus = libbpf_num_possible_cpus();
	size_t want = ring_bytes / page / (size_t)(cpus > 0 ? cpus : 1);
	size_t pages = PERF_MIN_PAGES;

	while (pages * 2 <= want && pages < PERF_MAX_PAGES)
		pages *= 2;
	return pages;
}

int transport_open_perf(int map_fd, size_t ring_bytes, struct transport **ret_transport)
{
	size_t pages = perf_pages_per_cpu(ring_bytes);
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_BPF_OUTPUT,
		.sample_type = PERF_SAMPLE_RAW,
		.sample_period = 1,
		.watermark = 1,
		.wakeup_watermark = (uint32_t)(pages * (size_t)sysconf(_SC_PAGESIZE) / 8),
	};
	struct perf *perf = calloc(1, sizeof(*perf));

	if (!perf)
		return -ENOMEM;
	perf->buffer = perf_buffer__new_raw(map_fd, pages, &attr, perf_on_record, perf, NULL);
	if (!perf->buffer) {
		int r = -errno;

		free(perf);
		return r;
	}
	perf->transport = (struct transport){
		.ops = &perf_ops,
		.poll_fd = perf_buffer__epoll_fd(perf->buffer),
	};
	*ret_transport = &perf->transport;
	return 0;
}
