/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "control/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"

/* The access check is who the client is (SO_PEERCRED), not who may open the file. */
#define ADDRESS_UNIX_MODE 0666

static int parse_unix(const char *path, struct address *ret_address)
{
	struct address address = { 0 };

	/* Absolute: the file has to be found again when it is removed. */
	if (path[0] != '/' || strlen(path) >= sizeof(address.socket.local.sun_path))
		return -EINVAL;
	address.socket.local.sun_family = AF_UNIX;
	memcpy(address.socket.local.sun_path, path, strlen(path) + 1);
	address.bytes = sizeof(address.socket.local);
	snprintf(address.text, sizeof(address.text), "unix:%s", path);
	*ret_address = address;
	return 0;
}

static int parse_v6(const char *host, uint16_t port, struct address *ret_address)
{
	struct address address = { .bytes = sizeof(address.socket.v6), .port = port };
	char digits[INET6_ADDRSTRLEN];

	if (inet_pton(AF_INET6, host, &address.socket.v6.sin6_addr) != 1)
		return -EINVAL;
	address.socket.v6.sin6_family = AF_INET6;
	address.socket.v6.sin6_port = htons(port);
	address.is_loopback = IN6_IS_ADDR_LOOPBACK(&address.socket.v6.sin6_addr);
	inet_ntop(AF_INET6, &address.socket.v6.sin6_addr, digits, sizeof(digits));
	snprintf(address.text, sizeof(address.text), "[%s]:%u", digits, port);
	*ret_address = address;
	return 0;
}

static int parse_v4(const char *host, uint16_t port, struct address *ret_address)
{
	struct address address = { .bytes = sizeof(address.socket.v4), .port = port };
	char digits[INET_ADDRSTRLEN];

	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (inet_pton(AF_INET, host, &address.socket.v4.sin_addr) != 1)
		return -EINVAL;
	address.socket.v4.sin_family = AF_INET;
	address.socket.v4.sin_port = htons(port);
	address.is_loopback = ntohl(address.socket.v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	inet_ntop(AF_INET, &address.socket.v4.sin_addr, digits, sizeof(digits));
	snprintf(address.text, sizeof(address.text), "%s:%u",
		 strcmp(digits, "127.0.0.1") == 0 ? "localhost" : digits, port);
	*ret_address = address;
	return 0;
}

int address_parse(const char *text, struct address *ret_address)
{
	char host[INET6_ADDRSTRLEN + sizeof("[]")];
	const char *colon = strrchr(text, ':');
	uint64_t port = 0;

	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(text + 5, ret_address);
	if (!colon || (size_t)(colon - text) >= sizeof(host) ||
	    parse_u64(colon + 1, 1, UINT16_MAX, &port) < 0)
		return -EINVAL;
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	if (host[0] != '[')
		return parse_v4(host, (uint16_t)port, ret_address);
	if (host[strlen(host) - 1] != ']')
		return -EINVAL;
	host[strlen(host) - 1] = '\0';
	return parse_v6(host + 1, (uint16_t)port, ret_address);
}

/* Makes way where the path is a socket that nobody listens on. */
static int remove_stale(const struct address *address)
{
	const char *path = address->socket.local.sun_path;
	_cleanup_close_ int fd = -1;
	struct stat status;

	if (lstat(path, &status) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(status.st_mode))
		return -ENOTSOCK;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Full queues (EAGAIN) and other kinds of socket (EPROTOTYPE) have a listener as well. */
	if (connect(fd, &address->socket.any, address->bytes) == 0)
		return -EADDRINUSE;
	if (errno != ECONNREFUSED)
		return errno == EACCES ? -EACCES : -EADDRINUSE;
	return unlink(path) < 0 ? -errno : 0;
}

static int set_options(const struct address *address, int fd)
{
	int on = 1;

	/* Answered connections in TIME_WAIT must not hold up a restart. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	if (address->socket.any.sa_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	return 0;
}

/* What a unix socket needs once it is bound: its mode, and to know its file again. */
static int own_file(const char *path, struct address_socket *socket)
{
	struct stat status;

	if (chmod(path, ADDRESS_UNIX_MODE) < 0 || lstat(path, &status) < 0)
		return -errno;
	socket->dev = status.st_dev;
	socket->ino = status.st_ino;
	return 0;
}

int address_listen(const struct address *address, struct address_socket *ret_socket)
{
	bool is_unix = address->socket.any.sa_family == AF_UNIX;
	struct address_socket ours = { .fd = -1 };
	_cleanup_close_ int fd = -1;
	int r = is_unix ? remove_stale(address) : 0;

	if (r < 0)
		return r;
	fd = socket(address->socket.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	r = is_unix ? 0 : set_options(address, fd);
	if (r < 0)
		return r;
	if (bind(fd, &address->socket.any, address->bytes) < 0)
		return -errno;
	r = is_unix ? own_file(address->socket.local.sun_path, &ours) : 0;
	if (r == 0 && listen(fd, ADDRESS_BACKLOG) < 0)
		r = -errno;
	ours.fd = TAKE_FD(fd);
	if (r < 0) {
		address_unlisten(address, &ours);
		return r;
	}
	*ret_socket = ours;
	return 0;
}

void address_unlisten(const struct address *address, struct address_socket *socket)
{
	const char *path = address->socket.local.sun_path;
	struct stat status;

	if (socket->fd < 0)
		return;
	if (address->socket.any.sa_family == AF_UNIX && lstat(path, &status) == 0 &&
	    status.st_dev == socket->dev && status.st_ino == socket->ino)
		unlink(path);
	close(socket->fd);
	socket->fd = -1;
}
