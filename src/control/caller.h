/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Whose process is at the other end of a connection, as the kernel says. It judges nobody:
 * control/access.h does. No threads.
 */
#ifndef TL_CONTROL_CALLER_H
#define TL_CONTROL_CALLER_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* A netlink socket that asks about other sockets, and the number of its last question. */
struct caller_netlink {
	int fd;
	uint32_t sequence;
};

/* Returns 0 or a negative errno. ret_netlink->fd is the caller's to close. */
int caller_open(struct caller_netlink *ret_netlink);

/*
 * Whether this kernel answers at all, by asking for our own listening socket. Returns 0 or a
 * negative errno; -ENOENT where the module that answers (tcp_diag) is not there.
 */
int caller_probe(struct caller_netlink *netlink, const struct sockaddr *listening);

/*
 * The owner of the client's socket of a TCP connection within this machine. Only a socket that is
 * open and established at this moment has one: whoever has closed already is reported by the
 * kernel as uid 0. Returns 0, or a negative errno: -ENOENT there is no such socket, -ENOTCONN it
 * is no longer established.
 */
int caller_tcp_uid(struct caller_netlink *netlink, int fd, uid_t *ret_uid);

/* The uid that connected to a unix socket (SO_PEERCRED). Returns 0 or a negative errno. */
int caller_unix_uid(int fd, uid_t *ret_uid);

#endif
