/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Who may call: the rules, as functions of what is known about a caller and of three headers. It
 * asks nobody; control/caller.h asks the kernel. No threads.
 *
 * Host and Origin are checked against the names of the listening address because a web page can
 * make its visitor's browser post to localhost, and by DNS rebinding even read the answer.
 */
#ifndef TL_CONTROL_ACCESS_H
#define TL_CONTROL_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "control/control.h"

/* The largest token file that is read. */
#define ACCESS_TOKEN_FILE_BYTES 4096

/* The longest message of a refusal. */
#define ACCESS_MESSAGE_BYTES 320

/* The names by which one connection's server end may be called. */
struct access_names {
	bool any;		   /* a unix socket has no name to get wrong */
	sa_family_t family;	   /* AF_INET or AF_INET6 */
	unsigned char address[16]; /* network order; IPv4 in the first four bytes */
	uint16_t port;
	const char *hostname; /* the machine's, borrowed; NULL where we listen on loopback */
};

/* What is known of the caller at the other end of a connection. */
struct access_caller {
	struct access_names names;
	bool uid_known;
	uid_t uid;
};

/* The headers that matter, as they were sent; NULL where there is none. */
struct access_headers {
	const char *host;
	size_t host_count;
	bool host_required; /* HTTP/1.1 and later (RFC 9112, 3.2) */
	const char *origin;
	size_t origin_count;
	const char *authorization;
};

/* The rules of one server. */
struct access {
	bool by_uid;	     /* loopback and unix sockets: the kernel knows who calls */
	char *token;	     /* or NULL: none is asked for; owned */
	const char *address; /* where we listen, for messages; borrowed */
	uid_t uids[CONTROL_MAX_ALLOWED_UIDS + 3];
	size_t uid_count;
};

/* Root, our own effective uid, sudo_uid (text, or NULL) where it is one, and the uids given. */
void access_init_uids(struct access *access, const char *sudo_uid, const uid_t *uids, size_t count);

/*
 * Reads the token, without the white space around it. Returns 0 or a negative errno: -ENODATA it
 * is empty; -E2BIG the file is too large; -EILSEQ it has characters that a header cannot carry;
 * others as open and read give them.
 */
int access_read_token(const char *path, char **ret_token);

/* The names of the local end of a connection; hostname is borrowed, or NULL. */
void access_init_names(struct access_names *names, const struct sockaddr *local,
		       const char *hostname);

bool access_uid_allowed(const struct access *access, const struct access_caller *caller);

/* Whether a Host header names us, with our port or none. */
bool access_host_ours(const struct access_names *names, const char *host);

/*
 * Whether an Origin header is that of a page which we served: http, one of our names, our port.
 * Where we have no names it is the Host that the request itself was sent to.
 */
bool access_origin_ours(const struct access_names *names, const char *host, const char *origin);

/* Whether an Authorization header carries the token; takes the same time for any wrong one. */
bool access_bearer_matches(const char *authorization, const char *token);

/*
 * All of it, in the order of API's promises: 0, or the HTTP status of the refusal (400, 403, 401)
 * with its reason and what to do.
 */
unsigned int access_check(const struct access *access, const struct access_caller *caller,
			  const struct access_headers *headers,
			  char ret_message[ACCESS_MESSAGE_BYTES]);

#endif
