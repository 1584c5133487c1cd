/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The address that the API listens on: its text, and the listening socket. It knows nothing of
 * HTTP. No threads.
 */
#ifndef TL_CONTROL_ADDRESS_H
#define TL_CONTROL_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

/* "unix:" and the longest path that a socket can have. */
#define ADDRESS_TEXT_BYTES (sizeof("unix:") + sizeof(((struct sockaddr_un *)NULL)->sun_path))

/* Connections that the kernel keeps for us while we are busy; net.core.somaxconn caps it. */
#define ADDRESS_BACKLOG 1024

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un local;
	} socket;
	socklen_t bytes;
	bool is_loopback;	       /* 127.0.0.0/8 or ::1 */
	uint16_t port;		       /* 0: a unix socket */
	char text[ADDRESS_TEXT_BYTES]; /* as users are shown it */
};

/* A listening socket; dev and ino are those of a unix socket's file. */
struct address_socket {
	int fd;
	dev_t dev;
	ino_t ino;
};

/*
 * "127.0.0.1:8080", "localhost:8080" (127.0.0.1), "[::1]:9000", "unix:/absolute/path", with a port
 * in 1..65535. Returns 0 or -EINVAL.
 */
int address_parse(const char *text, struct address *ret_address);

/*
 * Takes the address. A unix socket's file that nobody listens on any more is replaced. Returns 0
 * or a negative errno: -EADDRINUSE somebody listens there; -ENOTSOCK the path is a file that is
 * no socket; others as socket, bind, chmod and listen give them.
 */
int address_listen(const struct address *address, struct address_socket *ret_socket);

/* Closes the socket unless fd is negative, and removes its file if that is still ours. */
void address_unlisten(const struct address *address, struct address_socket *socket);

#endif
