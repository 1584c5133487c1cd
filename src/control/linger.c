/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "control/linger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What one socket may take of the thread's time in one go. */
#define LINGER_READS_MAX 8

static void remove_at(struct linger_list *list, size_t index)
{
	close(list->sockets[index].fd);
	list->count--;
	memmove(&list->sockets[index], &list->sockets[index + 1],
		(list->count - index) * sizeof(list->sockets[0]));
}

void linger_take(struct linger_list *list, int fd, uint64_t now_ms)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	/* Without a descriptor to spare it is closed as any other. */
	if (copy < 0)
		return;
	if (list->count == LINGER_MAX)
		remove_at(list, 0);
	list->sockets[list->count++] = (struct linger_socket){
		.fd = copy,
		.until_ms = now_ms + LINGER_MS,
		.bytes_left = LINGER_BYTES,
	};
}

/* Whether more may come. */
static bool drain_one(struct linger_socket *socket)
{
	char discarded[16384];

	for (int i = 0; i < LINGER_READS_MAX; i++) {
		ssize_t got = recv(socket->fd, discarded, sizeof(discarded), MSG_DONTWAIT);

		if (got < 0)
			return errno == EAGAIN || errno == EINTR;
		if (got == 0 || (size_t)got >= socket->bytes_left)
			return false;
		socket->bytes_left -= (size_t)got;
	}
	return true;
}

void linger_drain(struct linger_list *list, uint64_t now_ms)
{
	for (size_t i = list->count; i-- > 0;)
		if (!drain_one(&list->sockets[i]) || now_ms >= list->sockets[i].until_ms)
			remove_at(list, i);
}

void linger_poll(const struct linger_list *list, struct pollfd *ret_polls)
{
	for (size_t i = 0; i < list->count; i++)
		ret_polls[i] = (struct pollfd){ .fd = list->sockets[i].fd, .events = POLLIN };
}

void linger_close(struct linger_list *list)
{
	while (list->count)
		remove_at(list, list->count - 1);
}
