/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Who reads what we write, through any number of hands: a pure function over a snapshot of the
 * open files of the machine.
 *
 * From our own outputs it follows pipes, files, terminals and connections to the processes at
 * their other end, and from those on to what they in turn write to. How much of what such a
 * process has open counts as an output for what it read depends on how it was reached:
 *
 *   filter  it reads on its standard input (grep, tee, nc): everything that it may write to
 *   relay   it holds the master of our terminal (tmux, sshd, script): the terminals that it
 *           writes to, connections that it accepted, socket pairs, displays; not the masters of
 *           other terminals, nor services that it merely uses
 *   leaf    anything else: its standard output and error, and terminals
 *
 * A process that merely inherited the reading end of a pipe from one that has it too, on a
 * descriptor that is not standard input, is not taken for a reader; should it read after all, the
 * kernel side sees that (skip_pid, TL_SKIP_SEEN_READING).
 */
#ifndef TL_PROBE_READERS_H
#define TL_PROBE_READERS_H

#include <stddef.h>
#include <stdint.h>

#include "abi/snapshot.h"

struct reader {
	uint64_t start_boottime_ns;
	uint32_t tgid;
	char comm[TL_COMM_BYTES + 1];
};

/* What is looked at, and from where. */
struct readers_query {
	const struct tl_file_row
	    *rows; /* as the iterator wrote them, those of a process together */
	size_t count;
	uint32_t self_tgid;
	const int *outputs; /* our descriptors that carry events */
	size_t output_count;
};

/* *ret_readers does not hold ourselves; allocated, the caller's. Returns 0 or -ENOMEM. */
int readers_find(const struct readers_query *query, struct reader **ret_readers, size_t *ret_count);

/* The files and pipes that we write: at most room of them. Returns how many. */
size_t readers_own_inodes(const struct readers_query *query, uint64_t *ret_inodes, size_t room);

#endif
