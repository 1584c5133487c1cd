/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Connections as they come and go: who it is is asked once, at the beginning. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "control/server.h"

static int connection_fd(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

static void identify(struct control *control, int fd, struct access_caller *caller)
{
	struct sockaddr_storage local = { 0 };
	socklen_t bytes = sizeof(local);
	bool beyond_loopback = !control->access.by_uid;
	int r = 0;

	if (getsockname(fd, (struct sockaddr *)&local, &bytes) < 0)
		local.ss_family = control->address.socket.any.sa_family;
	access_init_names(&caller->names, (struct sockaddr *)&local,
			  beyond_loopback && control->hostname[0] ? control->hostname : NULL);
	if (beyond_loopback)
		return;
	if (local.ss_family == AF_UNIX)
		r = caller_unix_uid(fd, &caller->uid);
	else
		r = caller_tcp_uid(&control->netlink, fd, &caller->uid);
	caller->uid_known = r == 0;
	if (r < 0)
		log_debug("http: a caller whose uid the kernel does not tell: %s", strerror(-r));
}

static void choose_key(const struct control *control, int fd, const struct access_caller *caller,
		       struct connections_key *ret_key)
{
	struct sockaddr_storage peer = { 0 };
	socklen_t bytes = sizeof(peer);

	*ret_key = (struct connections_key){ .kind = CONNECTIONS_REFUSED };
	if (access_uid_allowed(&control->access, caller))
		*ret_key = (struct connections_key){ .kind = CONNECTIONS_UID, .uid = caller->uid };
	else if (!control->access.by_uid && getpeername(fd, (struct sockaddr *)&peer, &bytes) == 0)
		connections_key_address((struct sockaddr *)&peer, ret_key);
}

static void client_starts(struct control *control, struct MHD_Connection *connection,
			  void **socket_context)
{
	struct client *client = calloc(1, sizeof(*client));
	int fd = connection_fd(connection);
	struct connections_key key;

	if (client) {
		identify(control, fd, &client->caller);
		choose_key(control, fd, &client->caller, &key);
	}
	if (!client || connections_add(&control->connections, &key, fd, control->now_ms,
				       &client->connection) < 0) {
		shutdown(fd, SHUT_RDWR);
		free(client);
		client = NULL;
	}
	*socket_context = client;
}

static void client_ends(struct control *control, void **socket_context)
{
	struct client *client = *socket_context;

	if (!client)
		return;
	if (client->answered_early)
		linger_take(&control->linger, client->connection.fd, control->now_ms);
	connections_remove(&control->connections, &client->connection);
	free(client);
	*socket_context = NULL;
}

void client_notify(void *cls, struct MHD_Connection *connection, void **socket_context,
		   enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		client_starts(cls, connection, socket_context);
	else
		client_ends(cls, socket_context);
}
