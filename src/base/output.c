/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void output_open(struct output *output, int fd, bool owns_fd)
{
	char path[32];
	struct stat status;

	output->fd = fd;
	output->owns_fd = owns_fd;
	output->kind = OUTPUT_FILE;
	if (fstat(fd, &status) < 0)
		return;
	if (S_ISSOCK(status.st_mode)) {
		output->kind = OUTPUT_SOCKET;
	} else if (S_ISFIFO(status.st_mode) || isatty(fd)) {
		/* O_NONBLOCK belongs to the open file, which others share: open it anew. */
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		int own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		output->kind = own < 0 ? OUTPUT_POLL : isatty(fd) ? OUTPUT_NONBLOCK : OUTPUT_PIPE;
		if (own < 0)
			return;
		if (owns_fd)
			close(fd);
		output->fd = own;
		output->owns_fd = true;
	}
}

void output_close(struct output *output)
{
	if (output->owns_fd)
		close(output->fd);
}

/* As many whole lines as go into a pipe whole or not at all, so that none is left there half. */
static size_t whole_lines(const char *bytes, size_t count)
{
	const char *last = count > PIPE_BUF ? memrchr(bytes, '\n', PIPE_BUF) : NULL;

	return last ? (size_t)(last - bytes) + 1 : count;
}

ssize_t output_write(struct output *output, const char *bytes, size_t count)
{
	struct pollfd ready = { .fd = output->fd, .events = POLLOUT };

	switch (output->kind) {
	case OUTPUT_SOCKET:
		return send(output->fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
	case OUTPUT_POLL:
		if (poll(&ready, 1, 0) == 0) {
			errno = EAGAIN;
			return -1;
		}
		return write(output->fd, bytes, count < PIPE_BUF ? count : PIPE_BUF);
	case OUTPUT_PIPE:
		return write(output->fd, bytes, whole_lines(bytes, count));
	default:
		return write(output->fd, bytes, count);
	}
}
