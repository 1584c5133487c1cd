/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "control/routes.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "control/v0.h"

static void describe(const struct route_call *call, struct answer *answer);

static const struct route routes[] = {
	{
	    .method = "GET",
	    .path = "/apis",
	    .about = "Get all available APIs",
	    .body = "",
	    .handle = describe,
	},
	{
	    .method = "POST",
	    .path = "/add_pid",
	    .about = "Add a PID to the target list",
	    .body = "{\"pid\": 1234}",
	    .handle = v0_add_pid,
	},
	{
	    .method = "POST",
	    .path = "/add_pids",
	    .about = "Add several PIDs to the target list",
	    .body = "{\"pids\": [1234, 5678]}",
	    .handle = v0_add_pids,
	},
	{
	    .method = "POST",
	    .path = "/clear_pid_list",
	    .about = "Clear the target list",
	    .body = "{}",
	    .handle = v0_clear_pid_list,
	},
	{
	    .method = "POST",
	    .path = "/set_print_all",
	    .about = "Show the calls of all processes",
	    .body = "{}",
	    .handle = v0_set_print_all,
	},
	{
	    .method = "GET",
	    .path = "/target_pids",
	    .about = "Get the target list and the print-all flag",
	    .body = "",
	    .handle = v0_target_pids,
	},
	{
	    .method = "POST",
	    .path = "/add_ips",
	    .about = "Add IPs, as numbers, addresses or prefixes, to the IP list",
	    .body = "{\"add_ips\": [1, \"10.0.0.1\", \"2001:db8::/32\"]}",
	    .handle = v0_add_ips,
	},
	{
	    .method = "POST",
	    .path = "/clear_ip_list",
	    .about = "Clear the IP list",
	    .body = "{\"clear_ip_list\": true}",
	    .handle = v0_clear_ip_list,
	},
	{
	    .method = "POST",
	    .path = "/print_all_ips",
	    .about = "Get the IP list",
	    .body = "{\"print_all_ips\": true}",
	    .handle = v0_print_all_ips,
	},
};

static int describe_route(const struct route *route, json_t *available, json_t *usage)
{
	_cleanup_free_ char *line = NULL;

	if (asprintf(&line, "%s %s - %s", route->method, route->path, route->about) < 0)
		return -ENOMEM;
	if (json_array_append_new(available, json_string(line)) < 0 ||
	    json_object_set_new(
		usage, route->path + 1,
		json_pack("{s:s, s:s}", "method", route->method, "body", route->body)) < 0)
		return -ENOMEM;
	return 0;
}

static void describe(const struct route_call *call, struct answer *answer)
{
	json_t *available = json_array();
	json_t *usage = json_object();
	int r = 0;

	(void)call;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(routes); i++)
		r = describe_route(&routes[i], available, usage);
	if (r == 0) {
		answer_json(answer, 200,
			    json_pack("{s:o, s:o}", "available_apis", available, "usage", usage));
		return;
	}
	json_decref(available);
	json_decref(usage);
	answer_json(answer, 200, NULL);
}

static void allow(struct answer *answer, const char *method)
{
	size_t used = strlen(answer->allow);

	snprintf(answer->allow + used, sizeof(answer->allow) - used, "%s%s%s", used ? ", " : "",
		 method, strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

const struct route *routes_find(const char *method, const char *path, struct answer *answer)
{
	const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
	struct answer refusal = { 0 };
	bool found = false;

	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		if (strcmp(routes[i].path, path) != 0)
			continue;
		if (strcmp(routes[i].method, wanted) == 0)
			return &routes[i];
		found = true;
		allow(&refusal, routes[i].method);
	}
	if (!found) {
		answer_error(answer, 404, "no such path: GET /apis lists those that there are");
		return NULL;
	}
	answer_error(answer, 405, "%s takes %s", path, refusal.allow);
	memcpy(answer->allow, refusal.allow, sizeof(answer->allow));
	return NULL;
}
