/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * One request, from its headers to its answer. What is wrong with it is known from the headers,
 * but the answer waits for the end of the body, so that the connection can be used again; only
 * what announces too much is answered at once, and the connection closed.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"
#include "control/routes.h"
#include "control/server.h"

/* The largest body: an add_pids of about 8,000. */
#define REQUEST_BODY_MAX (64 * 1024)

/* A body that did not say how long it is is read up to here before its client is cut off. */
#define REQUEST_DISCARD_MAX (1024 * 1024)

#define REQUEST_BODY_FIRST 1024

struct request {
	const struct route *route; /* NULL: refused */
	struct answer answer;	   /* the refusal, or none yet */
	char *body;
	size_t bytes;
	size_t room;
	size_t received;
};

static struct client *client_of(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
	    ->socket_context;
}

static enum MHD_Result collect_header(void *cls, enum MHD_ValueKind kind, const char *key,
				      const char *value)
{
	struct access_headers *headers = cls;

	(void)kind;
	if (strcasecmp(key, MHD_HTTP_HEADER_HOST) == 0) {
		headers->host = value;
		headers->host_count++;
	} else if (strcasecmp(key, MHD_HTTP_HEADER_ORIGIN) == 0) {
		headers->origin = value;
		headers->origin_count++;
	} else if (strcasecmp(key, MHD_HTTP_HEADER_AUTHORIZATION) == 0) {
		headers->authorization = value;
	}
	return MHD_YES;
}

static enum MHD_Result count_length(void *cls, enum MHD_ValueKind kind, const char *key,
				    const char *value)
{
	unsigned int *lengths = cls;

	(void)kind;
	(void)value;
	if (strcasecmp(key, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0)
		(*lengths)++;
	return MHD_YES;
}

/* Whether the body's end cannot be waited for, with the answer to that. */
static bool is_unreadable(struct MHD_Connection *connection, struct answer *answer)
{
	const char *encoding = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
							   MHD_HTTP_HEADER_TRANSFER_ENCODING);
	const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
							 MHD_HTTP_HEADER_CONTENT_LENGTH);
	unsigned int lengths = 0;
	uint64_t announced = 0;

	/* RFC 9112, 6.3: where the end of the body is told twice, somebody before us may have
	 * believed the other one. */
	MHD_get_connection_values(connection, MHD_HEADER_KIND, count_length, &lengths);
	if (lengths > 1 || (lengths && encoding)) {
		answer_error(answer, 400, "the length of the body is told more than once");
		return true;
	}
	if (encoding && strcasecmp(encoding, "chunked") != 0) {
		answer_error(answer, 400, "of transfer encodings only chunked is known");
		return true;
	}
	if (encoding || !length || parse_u64(length, 0, REQUEST_BODY_MAX, &announced) == 0)
		return false;
	answer_error(answer, 413, "the body is larger than %d bytes", REQUEST_BODY_MAX);
	return true;
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, struct answer *answer)
{
	struct MHD_Response *response = NULL;

	/* Without memory for an answer there is none. */
	if (!answer->text)
		return MHD_NO;
	response =
	    MHD_create_response_from_buffer(answer->bytes, answer->text, MHD_RESPMEM_MUST_FREE);
	if (!response)
		return MHD_NO;
	answer->text = NULL;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (answer->allow[0])
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, answer->allow);
	if (answer->status == MHD_HTTP_UNAUTHORIZED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
	enum MHD_Result queued = MHD_queue_response(connection, answer->status, response);
	MHD_destroy_response(response);
	return queued;
}

static enum MHD_Result request_begins(struct control *control, struct MHD_Connection *connection,
				      const char *url, const char *method, const char *version,
				      struct request *request)
{
	struct client *client = client_of(connection);
	struct access_headers headers = {
		.host_required = strcmp(version, MHD_HTTP_VERSION_1_0) != 0,
	};
	char message[ACCESS_MESSAGE_BYTES];
	struct answer unreadable = { 0 };
	unsigned int status = 0;

	client->connection.phase = CONNECTION_READING;
	MHD_get_connection_values(connection, MHD_HEADER_KIND, collect_header, &headers);
	status = access_check(&control->access, &client->caller, &headers, message);
	if (status)
		answer_error(&request->answer, status, "%s", message);
	else
		request->route = routes_find(method, url, &request->answer);
	if (!is_unreadable(connection, &unreadable))
		return MHD_YES;
	client->answered_early = true;
	client->connection.phase = CONNECTION_ANSWERING;
	enum MHD_Result queued =
	    send_answer(connection, request->route ? &unreadable : &request->answer);
	answer_clear(&unreadable);
	return queued;
}

static enum MHD_Result request_receives(struct request *request, const char *data, size_t bytes)
{
	request->received += bytes;
	if (request->received > REQUEST_DISCARD_MAX)
		return MHD_NO;
	if (request->route && request->received > REQUEST_BODY_MAX) {
		request->route = NULL;
		answer_error(&request->answer, 413, "the body is larger than %d bytes",
			     REQUEST_BODY_MAX);
	}
	if (!request->route)
		return MHD_YES;
	if (request->received > request->room) {
		size_t room = request->room ? request->room : REQUEST_BODY_FIRST;

		while (room < request->received)
			room *= 2;
		char *body = realloc(request->body, room);
		if (!body)
			return MHD_NO;
		request->body = body;
		request->room = room;
	}
	memcpy(request->body + request->bytes, data, bytes);
	request->bytes += bytes;
	return MHD_YES;
}

/* The answer leaves before another request is looked at, so that answers are in order of changes.
 */
static enum MHD_Result request_ends(struct control *control, struct MHD_Connection *connection,
				    struct request *request)
{
	const struct route_call call = {
		.ops = control->ops,
		.run = control->run,
		.body = request->body,
		.bytes = request->bytes,
	};

	if (request->route)
		request->route->handle(&call, &request->answer);
	client_of(connection)->connection.phase = CONNECTION_ANSWERING;
	return send_answer(connection, &request->answer);
}

enum MHD_Result request_handle(void *cls, struct MHD_Connection *connection, const char *url,
			       const char *method, const char *version, const char *data,
			       size_t *data_bytes, void **request_context)
{
	struct request *request = *request_context;
	size_t bytes = *data_bytes;

	if (!client_of(connection))
		return MHD_NO;
	if (!request) {
		request = calloc(1, sizeof(*request));
		*request_context = request;
		return request ? request_begins(cls, connection, url, method, version, request)
			       : MHD_NO;
	}
	if (!bytes)
		return request_ends(cls, connection, request);
	*data_bytes = 0;
	return request_receives(request, data, bytes);
}

void request_completed(void *cls, struct MHD_Connection *connection, void **request_context,
		       enum MHD_RequestTerminationCode code)
{
	struct control *control = cls;
	struct request *request = *request_context;
	struct client *client = client_of(connection);

	(void)code;
	if (client)
		connections_answered(&client->connection, control->now_ms);
	if (!request)
		return;
	answer_clear(&request->answer);
	free(request->body);
	free(request);
	*request_context = NULL;
}
