/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The HTTP API: a server, the rules of who may call it, and what it asks of the run that it
 * controls. It knows neither kernel nor sinks: a change is a call through control_ops.
 *
 * Threads: one thread of its own serves all clients, and calls control_ops from there, one call
 * at a time. Answers leave in the order in which the changes took effect.
 */
#ifndef TL_CONTROL_CONTROL_H
#define TL_CONTROL_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "aim/ip.h"

/* What the lists hold once a change is in force. */
struct control_state {
	size_t total_pids; /* distinct PIDs in the list */
	size_t total_ips;  /* distinct entries in the list */
	bool print_all;
	bool all_running; /* add_pids alone: each PID given has a process now, or none can tell */
	bool ips_can_aim; /* false: the kernel does not let us see a socket's peer */
};

/*
 * Each returns 0 once the change is in force in the kernel, or a negative errno with nothing
 * changed: -ENOSPC, the kernel's table is full; anything else, the kernel refused. line is what
 * standard output shows of an accepted request, without its newline; borrowed.
 */
struct control_ops {
	int (*add_pids)(void *run, const uint32_t *pids, size_t count, const char *line,
			struct control_state *ret_state);
	int (*clear_pids)(void *run, const char *line, struct control_state *ret_state);
	int (*set_print_all)(void *run, const char *line, struct control_state *ret_state);
	/* *ret_pids ascending, allocated, the caller's; NULL where there are none. */
	int (*get_pids)(void *run, uint32_t **ret_pids, size_t *ret_count, bool *ret_print_all);
	int (*add_ips)(void *run, const struct aim_ip *ips, size_t count, const char *line,
		       struct control_state *ret_state);
	int (*clear_ips)(void *run, const char *line, struct control_state *ret_state);
	/* *ret_ips in the order added, allocated, the caller's; NULL where there are none. */
	int (*get_ips)(void *run, const char *line, struct aim_ip **ret_ips, size_t *ret_count);
};

/* The most users that --allow-uid may name. */
#define CONTROL_MAX_ALLOWED_UIDS 64

struct control_config {
	const char *listen;	/* "127.0.0.1:8080", "[::1]:9000", "unix:/run/trapline.sock" */
	const char *token_file; /* or NULL */
	uid_t allowed_uids[CONTROL_MAX_ALLOWED_UIDS]; /* beside root and our own */
	size_t allowed_uid_count;
};

struct control;

/*
 * Checks the configuration and takes the address, so that whatever is wrong with it is known
 * before anything is loaded; clients may connect and wait from here on. Returns 0 or a negative
 * errno with *ret_message (allocated, the caller's) saying what was tried and what to do: -EINVAL
 * the address cannot be parsed; -EADDRINUSE; -EPERM not loopback and no token file; others as
 * socket, bind, listen and open give them.
 */
int control_open(const struct control_config *config, struct control **ret_control,
		 char **ret_message);

/* The address as the start line shows it: "localhost:8080", "[::1]:9000", "unix:/…". Borrowed. */
const char *control_address(const struct control *control);

/* Begins to answer. ops and run are borrowed until control_close. Returns 0 or a negative errno. */
int control_start(struct control *control, const struct control_ops *ops, void *run);

/* Stops answering, drops every client and gives the address up. Takes NULL. */
void control_close(struct control *control);

#endif
