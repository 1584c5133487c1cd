/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the parts of the server share: the server itself, and what it knows of each client. Inside
 * src/control only. Threads: all of it belongs to the server's thread once that runs.
 */
#ifndef TL_CONTROL_SERVER_H
#define TL_CONTROL_SERVER_H

#include <limits.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/access.h"
#include "control/address.h"
#include "control/caller.h"
#include "control/connections.h"
#include "control/control.h"
#include "control/linger.h"

struct control {
	struct address address;
	struct address_socket socket;
	struct access access;
	char hostname[HOST_NAME_MAX + 1];
	struct caller_netlink netlink; /* fd is -1 where it is not needed */

	const struct control_ops *ops;
	void *run;

	struct MHD_Daemon *daemon;
	pthread_t thread;
	bool thread_runs;
	int stop_fd; /* an eventfd */

	struct connections connections;
	struct linger_list linger;
	uint64_t now_ms; /* stands still while we are busy: that is not our clients' fault */
};

/* A connection, from accept(2) to close(2). */
struct client {
	struct connection connection;
	struct access_caller caller;
	bool answered_early; /* before it had sent all: it may be sending still */
};

/* A MHD_NotifyConnectionCallback; cls is the struct control. */
void client_notify(void *cls, struct MHD_Connection *connection, void **socket_context,
		   enum MHD_ConnectionNotificationCode code);

/* A MHD_AccessHandlerCallback; cls is the struct control. */
enum MHD_Result request_handle(void *cls, struct MHD_Connection *connection, const char *url,
			       const char *method, const char *version, const char *data,
			       size_t *data_bytes, void **request_context);

/* A MHD_RequestCompletedCallback; cls is the struct control. */
void request_completed(void *cls, struct MHD_Connection *connection, void **request_context,
		       enum MHD_RequestTerminationCode code);

#endif
