/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The endpoints: a row each, in the order in which GET /apis lists them. Adding one is adding a
 * row and its handler. No threads.
 */
#ifndef TL_CONTROL_ROUTES_H
#define TL_CONTROL_ROUTES_H

#include <stddef.h>

#include "control/answer.h"
#include "control/control.h"

/* A request as its handler sees it: allowed, routed, and with the whole of its body. */
struct route_call {
	const struct control_ops *ops;
	void *run;
	const char *body; /* not terminated; NULL where there is none */
	size_t bytes;
};

struct route {
	const char *method;
	const char *path;
	const char *about; /* what GET /apis says of it */
	const char *body;  /* an example of its body; empty where it has none */
	void (*handle)(const struct route_call *call, struct answer *answer);
};

/*
 * The row for a method and a path, or NULL with an answer of 404 or 405. HEAD is answered as GET
 * is: the server leaves the body out (RFC 9110, 9.3.2).
 */
const struct route *routes_find(const char *method, const char *path, struct answer *answer);

#endif
