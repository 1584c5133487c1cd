/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "control/v0_body.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"

#define PID_FORM "{\"pid\": 1234}"
#define PIDS_FORM "{\"pids\": [1234, 5678]}"
#define IPS_FORM "{\"add_ips\": [1, 2, 3]}"

static void cleanup_json(json_t **json)
{
	json_decref(*json);
}

#define _cleanup_json_ _cleanup_(cleanup_json)

static int __attribute__((format(printf, 2, 3))) refuse(char **ret_error, const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	int length = vasprintf(&text, format, args);
	va_end(args);
	if (length < 0)
		return -ENOMEM;
	*ret_error = text;
	return -EINVAL;
}

static int refuse_form(char **ret_error, const char *form)
{
	return refuse(ret_error, "Invalid JSON format. Expected: %s", form);
}

/* The object in body, or NULL. */
static json_t *load_object(const char *body, size_t bytes)
{
	json_t *json = json_loadb(body, bytes, 0, NULL);

	if (json_is_object(json))
		return json;
	json_decref(json);
	return NULL;
}

static int refuse_pid(char **ret_error, const char *name, json_int_t value)
{
	return refuse(ret_error, "%s is %" JSON_INTEGER_FORMAT ": a PID is an integer in 1..%u",
		      name, value, PARSE_PID_MAX);
}

static bool is_pid(json_int_t value)
{
	return value >= 1 && value <= PARSE_PID_MAX;
}

int v0_body_pid(const char *body, size_t bytes, uint32_t *ret_pid, char **ret_error)
{
	_cleanup_json_ json_t *object = load_object(body, bytes);
	const json_t *pid = json_object_get(object, "pid");
	json_int_t value = json_integer_value(pid);

	if (!json_is_integer(pid))
		return refuse_form(ret_error, PID_FORM);
	if (!is_pid(value))
		return refuse_pid(ret_error, "pid", value);
	*ret_pid = (uint32_t)value;
	return 0;
}

/* The name of an entry in messages: "pids[3]". */
static void print_entry(char *out, size_t room, const char *list, size_t index)
{
	snprintf(out, room, "%s[%zu]", list, index);
}

int v0_body_pids(const char *body, size_t bytes, uint32_t **ret_pids, size_t *ret_count,
		 char **ret_error)
{
	_cleanup_json_ json_t *object = load_object(body, bytes);
	const json_t *list = json_object_get(object, "pids");
	size_t count = json_array_size(list);
	char name[32];

	if (!json_is_array(list))
		return refuse_form(ret_error, PIDS_FORM);
	if (!count)
		return refuse(ret_error, "pids is empty. Expected: %s", PIDS_FORM);
	_cleanup_free_ uint32_t *pids = calloc(count, sizeof(*pids));
	if (!pids)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const json_t *entry = json_array_get(list, i);

		print_entry(name, sizeof(name), "pids", i);
		if (!json_is_integer(entry))
			return refuse(ret_error, "%s is not an integer. Expected: %s", name,
				      PIDS_FORM);
		if (!is_pid(json_integer_value(entry)))
			return refuse_pid(ret_error, name, json_integer_value(entry));
		pids[i] = (uint32_t)json_integer_value(entry);
	}
	*ret_pids = TAKE_PTR(pids);
	*ret_count = count;
	return 0;
}

static int parse_ip(const json_t *entry, struct aim_ip *ret_ip)
{
	json_int_t number = json_integer_value(entry);

	if (json_is_string(entry))
		return aim_ip_from_text(json_string_value(entry), ret_ip);
	if (!json_is_integer(entry) || number < 0 || number > UINT32_MAX)
		return -EINVAL;
	aim_ip_from_number((uint32_t)number, ret_ip);
	return 0;
}

int v0_body_ips(const char *body, size_t bytes, struct aim_ip **ret_ips, size_t *ret_count,
		char **ret_error)
{
	_cleanup_json_ json_t *object = load_object(body, bytes);
	const json_t *list = json_object_get(object, "add_ips");
	size_t count = json_array_size(list);
	char name[32];

	if (!json_is_array(list))
		return refuse_form(ret_error, IPS_FORM);
	if (!count)
		return refuse(ret_error, "add_ips is empty. Expected: %s", IPS_FORM);
	_cleanup_free_ struct aim_ip *ips = calloc(count, sizeof(*ips));
	if (!ips)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		print_entry(name, sizeof(name), "add_ips", i);
		if (parse_ip(json_array_get(list, i), &ips[i]) < 0)
			return refuse(ret_error,
				      "%s is neither an integer in 0..4294967295 nor an IPv4 or "
				      "IPv6 address, with or without a prefix length, as a string",
				      name);
	}
	*ret_ips = TAKE_PTR(ips);
	*ret_count = count;
	return 0;
}

int v0_body_true(const char *body, size_t bytes, const char *field, char **ret_error)
{
	_cleanup_json_ json_t *object = load_object(body, bytes);

	if (!json_is_true(json_object_get(object, field)))
		return refuse(ret_error, "Invalid JSON format. Expected: {\"%s\": true}", field);
	return 0;
}

static bool is_blank(const char *body, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (!memchr(" \t\r\n", body[i], 4))
			return false;
	return true;
}

int v0_body_any(const char *body, size_t bytes, char **ret_error)
{
	/* What is not looked at may be any number and any string. */
	const size_t flags = JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL;

	if (is_blank(body, bytes))
		return 0;
	_cleanup_json_ json_t *json = json_loadb(body, bytes, flags, NULL);
	if (!json)
		return refuse(ret_error, "Invalid JSON format. Expected: no body, {} or any JSON");
	return 0;
}
