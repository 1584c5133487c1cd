/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "control/v0.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "control/v0_body.h"

/* The body was refused: error is its text, or NULL where memory has run out. */
static void answer_bad_body(struct answer *answer, const char *error)
{
	answer_json(answer, 400, error ? json_pack("{s:s}", "error", error) : NULL);
}

/* The change was refused by the kernel, with nothing changed. */
static void answer_refused(struct answer *answer, int error, const char *full)
{
	if (error == -ENOSPC && full)
		answer_error(answer, 507, "%s", full);
	else
		answer_error(answer, 503, "the kernel refused: %s; nothing was changed",
			     strerror(-error));
}

static void answer_pids_refused(struct answer *answer, int error)
{
	char full[64];

	snprintf(full, sizeof(full), "target list is full: it holds %d PIDs", V0_PIDS_MAX);
	answer_refused(answer, error, full);
}

static void answer_ips_refused(struct answer *answer, int error)
{
	char full[64];

	snprintf(full, sizeof(full), "IP list is full: it holds %d entries", V0_IPS_MAX);
	answer_refused(answer, error, full);
}

/* Both take NULL and items that are NULL: jansson hands its own failures through. */
static json_t *json_pids(const uint32_t *pids, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		if (json_array_append_new(array, json_integer(pids[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

static json_t *json_ip(const struct aim_ip *ip)
{
	uint64_t number = 0;

	if (!ip->is_number)
		return json_string(ip->text);
	return parse_u64(ip->text, 0, UINT32_MAX, &number) < 0 ? NULL
							       : json_integer((json_int_t)number);
}

static json_t *json_ips(const struct aim_ip *ips, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		if (json_array_append_new(array, json_ip(&ips[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

static json_t *with(json_t *body, const char *key, json_t *value)
{
	if (body && json_object_set_new(body, key, value) == 0)
		return body;
	json_decref(body);
	return NULL;
}

void v0_add_pid(const struct route_call *call, struct answer *answer)
{
	_cleanup_free_ char *error = NULL;
	struct control_state state = { 0 };
	char line[64];
	uint32_t pid = 0;

	if (v0_body_pid(call->body, call->bytes, &pid, &error) < 0) {
		answer_bad_body(answer, error);
		return;
	}
	snprintf(line, sizeof(line), "Received request: POST /add_pid {pid: %" PRIu32 "}", pid);
	int r = call->ops->add_pids(call->run, &pid, 1, line, &state);
	if (r < 0) {
		answer_pids_refused(answer, r);
		return;
	}
	json_t *body = json_pack("{s:s, s:I, s:I, s:b}", "message",
				 "PID added successfully and print_all set to false", "added_pid",
				 (json_int_t)pid, "total_pids", (json_int_t)state.total_pids,
				 "print_all", state.print_all);
	if (!state.all_running)
		body = with(body, "running", json_false());
	answer_json(answer, 200, body);
}

static char *pids_line(const uint32_t *pids, size_t count)
{
	char *line = NULL;
	size_t bytes = 0;
	FILE *stream = open_memstream(&line, &bytes);

	if (!stream)
		return NULL;
	fputs("Received request: POST /add_pids {pids: [", stream);
	for (size_t i = 0; i < count; i++)
		fprintf(stream, "%s%" PRIu32, i ? " " : "", pids[i]);
	fputs("]}", stream);
	/* A line is there whole or, where memory ran out, not at all. */
	if (fclose(stream) == 0)
		return line;
	free(line);
	return NULL;
}

void v0_add_pids(const struct route_call *call, struct answer *answer)
{
	_cleanup_free_ char *error = NULL;
	_cleanup_free_ char *line = NULL;
	_cleanup_free_ uint32_t *pids = NULL;
	struct control_state state = { 0 };
	size_t count = 0;

	if (v0_body_pids(call->body, call->bytes, &pids, &count, &error) < 0) {
		answer_bad_body(answer, error);
		return;
	}
	line = pids_line(pids, count);
	int r = line ? call->ops->add_pids(call->run, pids, count, line, &state) : -ENOMEM;
	if (r < 0) {
		answer_pids_refused(answer, r);
		return;
	}
	json_t *body = json_pack("{s:s, s:o, s:I, s:b}", "message",
				 "PIDs added successfully and print_all set to false", "added_pids",
				 json_pids(pids, count), "total_pids", (json_int_t)state.total_pids,
				 "print_all", state.print_all);
	if (!state.all_running)
		body = with(body, "running", json_false());
	answer_json(answer, 200, body);
}

void v0_clear_pid_list(const struct route_call *call, struct answer *answer)
{
	_cleanup_free_ char *error = NULL;
	struct control_state state = { 0 };

	if (v0_body_any(call->body, call->bytes, &error) < 0) {
		answer_bad_body(answer, error);
		return;
	}
	int r = call->ops->clear_pids(call->run, "Received request: POST /clear_pid_list", &state);
	if (r < 0) {
		answer_refused(answer, r, NULL);
		return;
	}
	answer_json(answer, 200,
		    json_pack("{s:s, s:I, s:b}", "message",
			      "PID list cleared and print_all set to false", "total_pids",
			      (json_int_t)state.total_pids, "print_all", state.print_all));
}

void v0_set_print_all(const struct route_call *call, struct answer *answer)
{
	_cleanup_free_ char *error = NULL;
	struct control_state state = { 0 };

	if (v0_body_any(call->body, call->bytes, &error) < 0) {
		answer_bad_body(answer, error);
		return;
	}
	int r =
	    call->ops->set_print_all(call->run, "Received request: POST /set_print_all", &state);
	if (r < 0) {
		answer_refused(answer, r, NULL);
		return;
	}
	answer_json(answer, 200,
		    json_pack("{s:s, s:b}", "message", "Print all flag set to true successfully",
			      "print_all", state.print_all));
}

void v0_target_pids(const struct route_call *call, struct answer *answer)
{
	_cleanup_free_ uint32_t *pids = NULL;
	bool print_all = false;
	size_t count = 0;
	int r = call->ops->get_pids(call->run, &pids, &count, &print_all);

	if (r < 0) {
		answer_refused(answer, r, NULL);
		return;
	}
	answer_json(answer, 200,
		    json_pack("{s:s, s:o, s:I, s:b}", "message",
			      "Target PIDs and print_all flag state retrieved successfully", "pids",
			      json_pids(pids, count), "total_pids", (json_int_t)count, "print_all",
			      print_all));
}

static char *ips_line(const struct aim_ip *ips, size_t count)
{
	char *line = NULL;
	size_t bytes = 0;
	FILE *stream = open_memstream(&line, &bytes);

	if (!stream)
		return NULL;
	fputs("Received request: POST {add_ips: [", stream);
	for (size_t i = 0; i < count; i++)
		fprintf(stream, "%s%s", i ? " " : "", ips[i].text);
	fputs("]}", stream);
	if (fclose(stream) == 0)
		return line;
	free(line);
	return NULL;
}

void v0_add_ips(const struct route_call *call, struct answer *answer)
{
	_cleanup_free_ char *error = NULL;
	_cleanup_free_ char *line = NULL;
	_cleanup_free_ struct aim_ip *ips = NULL;
	struct control_state state = { 0 };
	size_t count = 0;

	if (v0_body_ips(call->body, call->bytes, &ips, &count, &error) < 0) {
		answer_bad_body(answer, error);
		return;
	}
	line = ips_line(ips, count);
	int r = line ? call->ops->add_ips(call->run, ips, count, line, &state) : -ENOMEM;
	if (r < 0) {
		answer_ips_refused(answer, r);
		return;
	}
	json_t *body =
	    json_pack("{s:s, s:o, s:I}", "message", "IPs added successfully", "added_ips",
		      json_ips(ips, count), "total_ips", (json_int_t)state.total_ips);
	if (!state.ips_can_aim)
		body = with(body, "warning",
			    json_string("this kernel's sockets cannot be read: the list is kept, "
					"but no call is picked by it"));
	answer_json(answer, 200, body);
}

void v0_clear_ip_list(const struct route_call *call, struct answer *answer)
{
	_cleanup_free_ char *error = NULL;
	struct control_state state = { 0 };

	if (v0_body_true(call->body, call->bytes, "clear_ip_list", &error) < 0) {
		answer_bad_body(answer, error);
		return;
	}
	int r =
	    call->ops->clear_ips(call->run, "Received request: POST {clear_ip_list: true}", &state);
	if (r < 0) {
		answer_refused(answer, r, NULL);
		return;
	}
	answer_json(answer, 200,
		    json_pack("{s:s, s:I}", "message", "IP list cleared successfully", "total_ips",
			      (json_int_t)state.total_ips));
}

void v0_print_all_ips(const struct route_call *call, struct answer *answer)
{
	_cleanup_free_ struct aim_ip *ips = NULL;
	_cleanup_free_ char *error = NULL;
	size_t count = 0;

	if (v0_body_true(call->body, call->bytes, "print_all_ips", &error) < 0) {
		answer_bad_body(answer, error);
		return;
	}
	int r = call->ops->get_ips(call->run, "Received request: POST {print_all_ips: true}", &ips,
				   &count);
	if (r < 0) {
		answer_refused(answer, r, NULL);
		return;
	}
	answer_json(answer, 200,
		    json_pack("{s:s, s:o, s:I}", "message", "All IPs retrieved successfully", "ips",
			      json_ips(ips, count), "total_ips", (json_int_t)count));
}
