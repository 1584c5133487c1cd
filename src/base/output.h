/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A descriptor that is written to without ever being held up by it, whatever it is and whoever
 * else has it open. One thread.
 */
#ifndef TL_BASE_OUTPUT_H
#define TL_BASE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* How the descriptor is written without ever being held up by it. */
enum output_kind {
	OUTPUT_FILE,	 /* write: regular files and devices do not block for long */
	OUTPUT_NONBLOCK, /* a terminal: a description of our own with O_NONBLOCK */
	OUTPUT_PIPE,	 /* the same; up to PIPE_BUF bytes go whole or not at all (pipe(7)) */
	OUTPUT_POLL,	 /* not to be had: poll, then write no more than a pipe must take */
	OUTPUT_SOCKET,	 /* send with MSG_DONTWAIT */
};

struct output {
	int fd;
	bool owns_fd;
	enum output_kind kind;
};

/* fd is borrowed, or taken if owns_fd; what is written to may be another descriptor of its file. */
void output_open(struct output *output, int fd, bool owns_fd);

void output_close(struct output *output);

/* As write(2), but it fails with EAGAIN where it would wait. Lines stay whole where they can. */
ssize_t output_write(struct output *output, const char *bytes, size_t count);

#endif
