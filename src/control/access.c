/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "control/access.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/parse.h"

/* The longest name in a Host header that can be ours: a host name of 255 bytes (RFC 1035). */
#define HOST_NAME_BYTES 256

void access_init_uids(struct access *access, const char *sudo_uid, const uid_t *uids, size_t count)
{
	uint64_t sudo = 0;

	access->uid_count = 0;
	access->uids[access->uid_count++] = 0;
	access->uids[access->uid_count++] = geteuid();
	if (sudo_uid && parse_u64(sudo_uid, 0, UINT32_MAX - 1, &sudo) == 0)
		access->uids[access->uid_count++] = (uid_t)sudo;
	for (size_t i = 0; i < count && access->uid_count < ARRAY_SIZE(access->uids); i++)
		access->uids[access->uid_count++] = uids[i];
}

static int read_file(int fd, char *buffer, size_t room, size_t *ret_bytes)
{
	size_t bytes = 0;

	while (bytes < room) {
		ssize_t got = read(fd, buffer + bytes, room - bytes);

		if (got < 0 && errno != EINTR)
			return -errno;
		if (got == 0)
			break;
		bytes += got > 0 ? (size_t)got : 0;
	}
	*ret_bytes = bytes;
	return 0;
}

int access_read_token(const char *path, char **ret_token)
{
	char buffer[ACCESS_TOKEN_FILE_BYTES + 1];
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	size_t bytes = 0;

	if (fd < 0 || fstat(fd, &status) < 0)
		return -errno;
	int r = read_file(fd, buffer, sizeof(buffer), &bytes);
	if (r < 0)
		return r;
	if (bytes > ACCESS_TOKEN_FILE_BYTES)
		return -E2BIG;
	buffer[bytes] = '\0';
	char *token = buffer + strspn(buffer, " \t\r\n");
	size_t length = strcspn(token, " \t\r\n");
	if (!length)
		return -ENODATA;
	/* The rest of the file has to be white space, and each byte one that a header can carry. */
	if (token + length + strspn(token + length, " \t\r\n") != buffer + bytes)
		return -EILSEQ;
	for (size_t i = 0; i < length; i++)
		if (token[i] < 0x21 || token[i] > 0x7e)
			return -EILSEQ;
	if (S_ISREG(status.st_mode) && status.st_mode & (S_IRWXG | S_IRWXO))
		log_line("others can read the token in %s: chmod 600 it", path);
	*ret_token = strndup(token, length);
	explicit_bzero(buffer, sizeof(buffer));
	return *ret_token ? 0 : -ENOMEM;
}

void access_init_names(struct access_names *names, const struct sockaddr *local,
		       const char *hostname)
{
	*names = (struct access_names){ .family = local->sa_family, .hostname = hostname };
	if (local->sa_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)local;

		memcpy(names->address, &v4->sin_addr, sizeof(v4->sin_addr));
		names->port = ntohs(v4->sin_port);
	} else if (local->sa_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)local;

		memcpy(names->address, &v6->sin6_addr, sizeof(v6->sin6_addr));
		names->port = ntohs(v6->sin6_port);
	} else {
		names->any = true;
	}
}

bool access_uid_allowed(const struct access *access, const struct access_caller *caller)
{
	for (size_t i = 0; caller->uid_known && i < access->uid_count; i++)
		if (access->uids[i] == caller->uid)
			return true;
	return false;
}

/* "name", "name:port", "[v6]", "[v6]:port". *ret_port is 0 where none is given. */
static bool split_host(const char *text, char *ret_name, size_t room, uint16_t *ret_port)
{
	size_t length = text[0] == '[' ? strcspn(text, "]") + 1 : strcspn(text, ":");
	uint64_t port = 0;

	if (length > strlen(text) || length >= room)
		return false;
	if (text[length] == ':') {
		if (parse_u64(text + length + 1, 1, UINT16_MAX, &port) < 0)
			return false;
	} else if (text[length]) {
		return false;
	}
	memcpy(ret_name, text, length);
	ret_name[length] = '\0';
	*ret_port = (uint16_t)port;
	return true;
}

static bool literal_ours(const struct access_names *names, char *name)
{
	unsigned char address[16] = { 0 };
	size_t length = strlen(name);

	if (names->family == AF_INET)
		return inet_pton(AF_INET, name, address) == 1 &&
		       memcmp(address, names->address, 4) == 0;
	if (length < 2 || name[0] != '[')
		return false;
	name[length - 1] = '\0';
	bool ours =
	    inet_pton(AF_INET6, name + 1, address) == 1 && memcmp(address, names->address, 16) == 0;
	name[length - 1] = ']';
	return ours;
}

/* localhost means 127.0.0.1 and ::1 (RFC 6761, 6.3): no other address of 127.0.0.0/8. */
static bool is_localhost(const struct access_names *names)
{
	static const unsigned char v4[4] = { 127, 0, 0, 1 };

	if (names->family == AF_INET)
		return memcmp(names->address, v4, sizeof(v4)) == 0;
	return memcmp(names->address, &in6addr_loopback, sizeof(in6addr_loopback)) == 0;
}

static bool name_ours(const struct access_names *names, char *name)
{
	if (is_localhost(names) && strcasecmp(name, "localhost") == 0)
		return true;
	if (names->hostname && strcasecmp(name, names->hostname) == 0)
		return true;
	return literal_ours(names, name);
}

bool access_host_ours(const struct access_names *names, const char *host)
{
	char name[HOST_NAME_BYTES];
	uint16_t port = 0;

	if (names->any)
		return true;
	return split_host(host, name, sizeof(name), &port) && (!port || port == names->port) &&
	       name_ours(names, name);
}

bool access_origin_ours(const struct access_names *names, const char *host, const char *origin)
{
	static const char scheme[] = "http://";
	char name[HOST_NAME_BYTES];
	uint16_t port = 0;

	if (strncmp(origin, scheme, strlen(scheme)) != 0)
		return false;
	origin += strlen(scheme);
	if (names->any)
		return host && strcasecmp(origin, host) == 0;
	/* Without a port it is that of port 80 (RFC 6454, 4), which another server may have. */
	return split_host(origin, name, sizeof(name), &port) && (port ? port : 80) == names->port &&
	       name_ours(names, name);
}

bool access_bearer_matches(const char *authorization, const char *token)
{
	static const char scheme[] = "Bearer";
	size_t token_length = strlen(token);

	if (strncasecmp(authorization, scheme, strlen(scheme)) != 0)
		return false;
	authorization += strlen(scheme);
	size_t spaces = strspn(authorization, " \t");
	if (!spaces)
		return false;
	authorization += spaces;
	size_t length = strcspn(authorization, " \t");
	if (authorization[length + strspn(authorization + length, " \t")])
		return false;
	volatile unsigned char differs = length != token_length;
	for (size_t i = 0; i < length; i++)
		differs |= (unsigned char)(authorization[i] ^ token[i % token_length]);
	return !differs;
}

static unsigned int check_headers(const struct access *access, const struct access_names *names,
				  const struct access_headers *headers, char *ret_message)
{
	if (headers->host_count > 1 || (headers->host_required && !headers->host_count)) {
		snprintf(ret_message, ACCESS_MESSAGE_BYTES, "one Host header is needed");
		return 400;
	}
	if (headers->host && !access_host_ours(names, headers->host)) {
		snprintf(ret_message, ACCESS_MESSAGE_BYTES,
			 "the Host header does not name this server: call it as %s",
			 access->address);
		return 403;
	}
	if (headers->origin_count > 1 ||
	    (headers->origin && !access_origin_ours(names, headers->host, headers->origin))) {
		snprintf(ret_message, ACCESS_MESSAGE_BYTES,
			 "requests from the web pages of another origin are refused");
		return 403;
	}
	return 0;
}

unsigned int access_check(const struct access *access, const struct access_caller *caller,
			  const struct access_headers *headers,
			  char ret_message[ACCESS_MESSAGE_BYTES])
{
	unsigned int status = check_headers(access, &caller->names, headers, ret_message);

	if (status)
		return status;
	if (access->by_uid && !caller->uid_known) {
		snprintf(ret_message, ACCESS_MESSAGE_BYTES,
			 "the kernel cannot tell whose connection this is: keep it open until the "
			 "answer has come");
		return 403;
	}
	if (access->by_uid && !access_uid_allowed(access, caller)) {
		snprintf(ret_message, ACCESS_MESSAGE_BYTES,
			 "uid %u may not call: start the monitor with --allow-uid %u", caller->uid,
			 caller->uid);
		return 403;
	}
	if (access->token && (!headers->authorization ||
			      !access_bearer_matches(headers->authorization, access->token))) {
		snprintf(ret_message, ACCESS_MESSAGE_BYTES,
			 "the token is needed: send the header Authorization: Bearer TOKEN");
		return 401;
	}
	return 0;
}
