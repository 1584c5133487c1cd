/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The layout of a BPF ring buffer: Documentation/bpf/ringbuf.rst and kernel/bpf/ringbuf.c. */
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "probe/transport.h"

/* The consumer's position is given back to the kernel side after so many bytes. */
#define GIVE_BACK_BYTES (64 * 1024)

struct ring {
	struct transport transport;
	size_t bytes;
	size_t page;
	void *consumer_page;  /* its first word: read so far; ours to write */
	void *producer_pages; /* its first word: written so far; then the data, twice */
};

static size_t ring_drain(struct transport *transport, bool all, probe_record_fn *fn, void *context)
{
	struct ring *ring = (struct ring *)transport;
	unsigned long *consumer = ring->consumer_page;
	unsigned long *producer = ring->producer_pages;
	const char *data = (const char *)ring->producer_pages + ring->page;
	unsigned long at = *consumer, given = at;
	unsigned long end = __atomic_load_n(producer, __ATOMIC_ACQUIRE);
	size_t records = 0;

	(void)all; /* nothing is held back */
	while (at < end) {
		const char *header = data + (at & (ring->bytes - 1));
		uint32_t length = __atomic_load_n((const uint32_t *)header, __ATOMIC_ACQUIRE);
		uint32_t bytes = length & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

		if (length & BPF_RINGBUF_BUSY_BIT)
			break;
		if (!(length & BPF_RINGBUF_DISCARD_BIT)) {
			fn(context, header + BPF_RINGBUF_HDR_SZ, bytes);
			records++;
		}
		at += (bytes + BPF_RINGBUF_HDR_SZ + 7UL) & ~7UL;
		if (at - given >= GIVE_BACK_BYTES) {
			__atomic_store_n(consumer, at, __ATOMIC_RELEASE);
			given = at;
		}
	}
	__atomic_store_n(consumer, at, __ATOMIC_RELEASE);
	return records;
}

static void ring_close(struct transport *transport)
{
	struct ring *ring = (struct ring *)transport;

	if (ring->consumer_page)
		munmap(ring->consumer_page, ring->page);
	if (ring->producer_pages)
		munmap(ring->producer_pages, ring->page + 2 * ring->bytes);
	if (transport->poll_fd >= 0)
		close(transport->poll_fd);
	free(ring);
}

static const struct transport_ops ring_ops = { .drain = ring_drain, .close = ring_close };

static int ring_map(struct ring *ring, int map_fd)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	void *mapped = mmap(NULL, ring->page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);

	if (mapped == MAP_FAILED)
		return -errno;
	ring->consumer_page = mapped;
	mapped = mmap(NULL, ring->page + 2 * ring->bytes, PROT_READ, MAP_SHARED, map_fd,
		      (off_t)ring->page);
	if (mapped == MAP_FAILED)
		return -errno;
	ring->producer_pages = mapped;
	ring->transport.poll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (ring->transport.poll_fd < 0)
		return -errno;
	if (epoll_ctl(ring->transport.poll_fd, EPOLL_CTL_ADD, map_fd, &event) < 0)
		return -errno;
	return 0;
}

int transport_open_ring(int map_fd, size_t ring_bytes, struct transport **ret_transport)
{
	struct ring *ring = calloc(1, sizeof(*ring));

	if (!ring)
		return -ENOMEM;
	ring->transport = (struct transport){ .ops = &ring_ops, .poll_fd = -1 };
	ring->bytes = ring_bytes;
	ring->page = (size_t)sysconf(_SC_PAGESIZE);
	int r = ring_map(ring, map_fd);
	if (r < 0) {
		ring_close(&ring->transport);
		return r;
	}
	*ret_transport = &ring->transport;
	return 0;
}
