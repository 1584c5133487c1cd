/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "control/connections.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* A caller with at least one connection, oldest first. */
struct connections_caller {
	struct connections_caller *next;
	struct connections_key key;
	size_t count;
	struct connection *oldest;
	struct connection *newest;
};

static const size_t kind_max[] = {
	[CONNECTIONS_REFUSED] = CONNECTIONS_REFUSED_MAX,
	[CONNECTIONS_UID] = CONNECTIONS_PER_CALLER_MAX,
	[CONNECTIONS_ADDRESS] = CONNECTIONS_PER_CALLER_MAX,
};

void connections_key_address(const struct sockaddr *client, struct connections_key *ret_key)
{
	*ret_key =
	    (struct connections_key){ .kind = CONNECTIONS_ADDRESS, .family = client->sa_family };
	if (client->sa_family == AF_INET)
		memcpy(ret_key->address, &((const struct sockaddr_in *)client)->sin_addr, 4);
	else if (client->sa_family == AF_INET6)
		memcpy(ret_key->address, &((const struct sockaddr_in6 *)client)->sin6_addr, 8);
}

static bool same_key(const struct connections_key *a, const struct connections_key *b)
{
	return a->kind == b->kind && a->uid == b->uid && a->family == b->family &&
	       memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

static struct connections_caller *find_caller(const struct connections *connections,
					      const struct connections_key *key)
{
	struct connections_caller *caller = connections->callers;

	while (caller && !same_key(&caller->key, key))
		caller = caller->next;
	return caller;
}

static struct connections_caller *largest_caller(const struct connections *connections)
{
	struct connections_caller *largest = connections->callers;

	for (struct connections_caller *caller = largest; caller; caller = caller->next)
		if (caller->count > largest->count)
			largest = caller;
	return largest;
}

static void append(struct connections_caller *caller, struct connection *connection)
{
	connection->caller = caller;
	connection->older = caller->newest;
	connection->newer = NULL;
	if (caller->newest)
		caller->newest->newer = connection;
	else
		caller->oldest = connection;
	caller->newest = connection;
	caller->count++;
}

static void detach(struct connection *connection)
{
	struct connections_caller *caller = connection->caller;

	if (connection->older)
		connection->older->newer = connection->newer;
	else
		caller->oldest = connection->newer;
	if (connection->newer)
		connection->newer->older = connection->older;
	else
		caller->newest = connection->older;
	caller->count--;
	connection->caller = NULL;
}

static void forget_caller(struct connections *connections, struct connections_caller *caller)
{
	struct connections_caller **link = &connections->callers;

	while (*link != caller)
		link = &(*link)->next;
	*link = caller->next;
	free(caller);
}

void connections_remove(struct connections *connections, struct connection *connection)
{
	struct connections_caller *caller = connection->caller;

	if (!caller)
		return;
	detach(connection);
	connections->total--;
	if (!caller->count)
		forget_caller(connections, caller);
}

static void drop(struct connections *connections, struct connection *connection)
{
	shutdown(connection->fd, SHUT_RDWR);
	connections_remove(connections, connection);
}

/* The oldest that waits for a request; failing that, for a body; failing that, the oldest. */
static struct connection *most_idle(const struct connections_caller *caller)
{
	struct connection *found = NULL;

	for (struct connection *at = caller->oldest; at; at = at->newer) {
		if (at->phase == CONNECTION_WAITING)
			return at;
		if (!found || at->phase < found->phase)
			found = at;
	}
	return found;
}

int connections_add(struct connections *connections, const struct connections_key *key, int fd,
		    uint64_t now_ms, struct connection *connection)
{
	struct connections_caller *caller = find_caller(connections, key);

	*connection = (struct connection){ .fd = fd, .since_ms = now_ms };
	if (caller && caller->count >= kind_max[key->kind])
		drop(connections, most_idle(caller));
	else if (connections->total && connections->total >= connections->max)
		drop(connections, most_idle(largest_caller(connections)));
	/* The one that was dropped may have been its caller's last. */
	caller = find_caller(connections, key);
	if (!caller) {
		caller = calloc(1, sizeof(*caller));
		if (!caller)
			return -ENOMEM;
		caller->key = *key;
		caller->next = connections->callers;
		connections->callers = caller;
	}
	append(caller, connection);
	connections->total++;
	return 0;
}

/*
 * The library waits for edges (EPOLLET) and takes a short read for the end of what there is: an
 * end of stream that came together with data it never sees. Shutting our receiving side tells it.
 */
static void tell_end(const struct connection *connection)
{
	char byte;

	if (recv(connection->fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) == 0)
		shutdown(connection->fd, SHUT_RD);
}

void connections_answered(struct connection *connection, uint64_t now_ms)
{
	struct connections_caller *caller = connection->caller;

	connection->phase = CONNECTION_WAITING;
	connection->answered = true;
	connection->since_ms = now_ms;
	if (!caller)
		return;
	detach(connection);
	append(caller, connection);
	tell_end(connection);
}

static bool is_overdue(const struct connection *connection, uint64_t now_ms)
{
	uint64_t limit_ms = CONNECTIONS_REQUEST_MS;

	if (connection->answered && connection->phase == CONNECTION_WAITING)
		limit_ms = CONNECTIONS_KEEP_ALIVE_MS;
	return now_ms - connection->since_ms >= limit_ms;
}

void connections_sweep(struct connections *connections, uint64_t now_ms)
{
	struct connections_caller *next_caller = NULL;

	for (struct connections_caller *caller = connections->callers; caller;
	     caller = next_caller) {
		struct connection *next = NULL;

		/* Dropping the last connection frees the caller. */
		next_caller = caller->next;
		for (struct connection *at = caller->oldest; at; at = next) {
			next = at->newer;
			if (is_overdue(at, now_ms))
				drop(connections, at);
			else if (at->phase != CONNECTION_ANSWERING)
				tell_end(at);
		}
	}
}
