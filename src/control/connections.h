/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The books of open connections: whose they are, how long they have been at what they do, and
 * which must go where there are too many or one takes too long. A connection goes by shutdown(2)
 * of its socket; whoever owns the socket notices, closes it and calls connections_remove.
 *
 * Limits are per caller, and a caller at its limit loses its own oldest idle connection to the new
 * one: thousands of idle or slow connections keep nobody waiting, not even their own user.
 *
 * Times are milliseconds of a clock of the owner's. Threads: the server's alone.
 */
#ifndef TL_CONTROL_CONNECTIONS_H
#define TL_CONTROL_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* All connections; fewer where RLIMIT_NOFILE does not allow it. */
#define CONNECTIONS_MAX 1024

/* Those of one caller: one uid, or one address where callers are known by token alone. */
#define CONNECTIONS_PER_CALLER_MAX 256

/* Those of all callers together who are going to be refused. */
#define CONNECTIONS_REFUSED_MAX 32

/* From the connection, or the answer before, to the last byte of the answer. */
#define CONNECTIONS_REQUEST_MS 10000

/* Of those, how long a connection that has been answered may take to ask again. */
#define CONNECTIONS_KEEP_ALIVE_MS 5000

enum connections_kind {
	CONNECTIONS_REFUSED, /* not allowed, or the kernel cannot tell */
	CONNECTIONS_UID,     /* known by uid */
	CONNECTIONS_ADDRESS, /* known by address: not yet by token */
};

/* Whose connection it is. */
struct connections_key {
	enum connections_kind kind;
	uid_t uid;
	sa_family_t family;
	unsigned char address[16]; /* IPv6: the /64, which is what one host has */
};

enum connection_phase {
	CONNECTION_WAITING,   /* no request, or not all of its headers */
	CONNECTION_READING,   /* headers read, body awaited */
	CONNECTION_ANSWERING, /* the answer is on its way */
};

struct connections_caller;

struct connection {
	struct connections_caller *caller; /* NULL once it has been dropped */
	struct connection *older;
	struct connection *newer;
	int fd; /* borrowed */
	enum connection_phase phase;
	bool answered;	   /* at least one request */
	uint64_t since_ms; /* it was connected, or its last answer was complete */
};

struct connections {
	struct connections_caller *callers;
	size_t total;
	size_t max;
};

void connections_key_address(const struct sockaddr *client, struct connections_key *ret_key);

/*
 * Takes connection, which the owner keeps in place, into the books, and drops others where a limit
 * says so. Returns 0 or -ENOMEM.
 */
int connections_add(struct connections *connections, const struct connections_key *key, int fd,
		    uint64_t now_ms, struct connection *connection);

/* The answer is complete: the connection waits for its next request, and is the newest. */
void connections_answered(struct connection *connection, uint64_t now_ms);

/* Drops those that take too long; those whose client has gone are made to notice it. */
void connections_sweep(struct connections *connections, uint64_t now_ms);

/* Forgets connection. */
void connections_remove(struct connections *connections, struct connection *connection);

#endif
