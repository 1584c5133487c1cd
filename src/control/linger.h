/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Sockets that have been answered before their client had sent all of its request. Closed at once,
 * the kernel would answer the rest with a reset, which can overtake the answer (RFC 9112, 9.6);
 * so what still comes is read and thrown away for a while, within bounds.
 *
 * Times are milliseconds of a clock of the owner's. Threads: the server's alone.
 */
#ifndef TL_CONTROL_LINGER_H
#define TL_CONTROL_LINGER_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#define LINGER_MAX 32
#define LINGER_MS 2000
#define LINGER_BYTES (1024 * 1024)

struct linger_socket {
	int fd;
	uint64_t until_ms;
	size_t bytes_left;
};

struct linger_list {
	struct linger_socket sockets[LINGER_MAX]; /* oldest first */
	size_t count;
};

/* Keeps a duplicate of fd, whose sending side is shut; the oldest makes room. */
void linger_take(struct linger_list *list, int fd, uint64_t now_ms);

/* Reads what has come, and closes those that are done. */
void linger_drain(struct linger_list *list, uint64_t now_ms);

/* Fills list->count entries. */
void linger_poll(const struct linger_list *list, struct pollfd *ret_polls);

void linger_close(struct linger_list *list);

#endif
