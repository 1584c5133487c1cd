/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The v0 API without a socket: what each endpoint asks of the run, and what it answers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "control/routes.h"

/* A run that remembers what it was asked, and refuses where it is told to. */
struct fake_run {
	int error;
	unsigned int calls;
	char line[128 * 1024];
	uint32_t pids[8];
	size_t pid_count;
	struct control_state state;
	struct aim_ip ips[8];
	size_t ip_count;
};

static struct fake_run fake;

static int fake_change(const char *line, struct control_state *ret_state)
{
	fake.calls++;
	if (fake.error)
		return fake.error;
	snprintf(fake.line, sizeof(fake.line), "%s", line);
	*ret_state = fake.state;
	return 0;
}

static int fake_add_pids(void *run, const uint32_t *pids, size_t count, const char *line,
			 struct control_state *ret_state)
{
	assert_ptr_equal(run, &fake);
	for (size_t i = 0; i < count && i < ARRAY_SIZE(fake.pids); i++)
		fake.pids[i] = pids[i];
	fake.pid_count = count;
	return fake_change(line, ret_state);
}

static int fake_clear_pids(void *run, const char *line, struct control_state *ret_state)
{
	assert_ptr_equal(run, &fake);
	return fake_change(line, ret_state);
}

static int fake_get_pids(void *run, uint32_t **ret_pids, size_t *ret_count, bool *ret_print_all)
{
	assert_ptr_equal(run, &fake);
	if (fake.error)
		return fake.error;
	*ret_pids = NULL;
	if (fake.pid_count) {
		*ret_pids = calloc(fake.pid_count, sizeof(**ret_pids));
		memcpy(*ret_pids, fake.pids, fake.pid_count * sizeof(**ret_pids));
	}
	*ret_count = fake.pid_count;
	*ret_print_all = fake.state.print_all;
	return 0;
}

static int fake_add_ips(void *run, const struct aim_ip *ips, size_t count, const char *line,
			struct control_state *ret_state)
{
	assert_ptr_equal(run, &fake);
	for (size_t i = 0; i < count && i < ARRAY_SIZE(fake.ips); i++)
		fake.ips[i] = ips[i];
	fake.ip_count = count;
	return fake_change(line, ret_state);
}

static int fake_get_ips(void *run, const char *line, struct aim_ip **ret_ips, size_t *ret_count)
{
	struct control_state state;
	int r = fake_change(line, &state);

	assert_ptr_equal(run, &fake);
	if (r < 0)
		return r;
	*ret_ips = NULL;
	if (fake.ip_count) {
		*ret_ips = calloc(fake.ip_count, sizeof(**ret_ips));
		memcpy(*ret_ips, fake.ips, fake.ip_count * sizeof(**ret_ips));
	}
	*ret_count = fake.ip_count;
	return 0;
}

static const struct control_ops fake_ops = {
	.add_pids = fake_add_pids,
	.clear_pids = fake_clear_pids,
	.set_print_all = fake_clear_pids,
	.get_pids = fake_get_pids,
	.add_ips = fake_add_ips,
	.clear_ips = fake_clear_pids,
	.get_ips = fake_get_ips,
};

static int reset(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.state.all_running = true;
	fake.state.ips_can_aim = true;
	return 0;
}

/* The answer to a request whose body is the bytes given. */
static struct answer ask_bytes(const char *method, const char *path, const char *body, size_t bytes)
{
	struct route_call call = { .ops = &fake_ops, .run = &fake };
	struct answer answer = { 0 };
	const struct route *route = routes_find(method, path, &answer);
	char *exact = NULL;

	if (!route)
		return answer;
	/* Exactly as long as it is, so that the sanitizer sees a byte read too many. */
	if (bytes) {
		exact = malloc(bytes);
		memcpy(exact, body, bytes);
	}
	call.body = exact;
	call.bytes = bytes;
	route->handle(&call, &answer);
	free(exact);
	return answer;
}

static void expect_bytes(const char *method, const char *path, const char *body, size_t bytes,
			 unsigned int status, const char *text)
{
	struct answer answer = ask_bytes(method, path, body, bytes);

	if (answer.status != status)
		print_error("%s %s %.*s: %u %s", method, path, (int)bytes, body ? body : "",
			    answer.status, answer.text);
	assert_int_equal(answer.status, status);
	assert_non_null(answer.text);
	assert_int_equal(answer.text[answer.bytes - 1], '\n');
	answer.text[answer.bytes - 1] = '\0';
	if (text)
		assert_string_equal(answer.text, text);
	else
		assert_memory_equal(answer.text, "{\"error\":\"", strlen("{\"error\":\""));
	answer_clear(&answer);
}

static void expect(const char *path, const char *body, unsigned int status, const char *text)
{
	expect_bytes("POST", path, body, body ? strlen(body) : 0, status, text);
}

static void expect_get(const char *path, unsigned int status, const char *text)
{
	expect_bytes("GET", path, NULL, 0, status, text);
}

static void test_add_pid(void **state)
{
	(void)state;
	fake.state.total_pids = 1;
	expect("/add_pid", "{\"pid\": 1234}", 200,
	       "{\"message\":\"PID added successfully and print_all set to false\","
	       "\"added_pid\":1234,\"total_pids\":1,\"print_all\":false}");
	assert_string_equal(fake.line, "Received request: POST /add_pid {pid: 1234}");
	assert_int_equal(fake.pid_count, 1);
	assert_int_equal(fake.pids[0], 1234);
	fake.state.all_running = false;
	expect("/add_pid", " {\"other\": null, \"pid\": 4194304}\r\n\t ", 200,
	       "{\"message\":\"PID added successfully and print_all set to false\","
	       "\"added_pid\":4194304,\"total_pids\":1,\"print_all\":false,\"running\":false}");
	assert_int_equal(fake.pids[0], 4194304);
}

static void test_add_pids(void **state)
{
	(void)state;
	fake.state.total_pids = 2;
	expect("/add_pids", "{\"pids\": [1234, 5678, 1234]}", 200,
	       "{\"message\":\"PIDs added successfully and print_all set to false\","
	       "\"added_pids\":[1234,5678,1234],\"total_pids\":2,\"print_all\":false}");
	assert_string_equal(fake.line, "Received request: POST /add_pids {pids: [1234 5678 1234]}");
	fake.state.all_running = false;
	expect("/add_pids", "{\"pids\": [7]}", 200,
	       "{\"message\":\"PIDs added successfully and print_all set to false\","
	       "\"added_pids\":[7],\"total_pids\":2,\"print_all\":false,\"running\":false}");
	assert_string_equal(fake.line, "Received request: POST /add_pids {pids: [7]}");
}

/* The largest body that a client can send. */
static void test_many_pids(void **state)
{
	static char body[64 * 1024];
	size_t used = (size_t)snprintf(body, sizeof(body), "{\"pids\":[1");

	(void)state;
	while (used < sizeof(body) - 4)
		used += (size_t)snprintf(body + used, sizeof(body) - used, ",1");
	used += (size_t)snprintf(body + used, sizeof(body) - used, "]}");
	struct answer answer = ask_bytes("POST", "/add_pids", body, used);
	assert_int_equal(answer.status, 200);
	answer_clear(&answer);
	assert_int_equal(fake.pid_count, (used - strlen("{\"pids\":[]}") + 1) / 2);
	assert_string_equal(fake.line + strlen(fake.line) - 5, "1 1]}");
}

static void test_clear_and_print_all(void **state)
{
	(void)state;
	expect("/clear_pid_list", NULL, 200,
	       "{\"message\":\"PID list cleared and print_all set to false\","
	       "\"total_pids\":0,\"print_all\":false}");
	assert_string_equal(fake.line, "Received request: POST /clear_pid_list");
	fake.state.print_all = true;
	expect("/set_print_all", "{}", 200,
	       "{\"message\":\"Print all flag set to true successfully\",\"print_all\":true}");
	assert_string_equal(fake.line, "Received request: POST /set_print_all");
}

static void test_target_pids(void **state)
{
	(void)state;
	expect_get("/target_pids", 200,
		   "{\"message\":\"Target PIDs and print_all flag state retrieved "
		   "successfully\",\"pids\":[],\"total_pids\":0,\"print_all\":false}");
	fake.pids[0] = 7;
	fake.pids[1] = 4194304;
	fake.pid_count = 2;
	fake.state.print_all = true;
	expect_get("/target_pids", 200,
		   "{\"message\":\"Target PIDs and print_all flag state retrieved "
		   "successfully\",\"pids\":[7,4194304],\"total_pids\":2,\"print_all\":true}");
	assert_int_equal(fake.calls, 0);
}

static void test_add_ips(void **state)
{
	(void)state;
	fake.state.total_ips = 3;
	expect("/add_ips", "{\"add_ips\": [1, 2, 3]}", 200,
	       "{\"message\":\"IPs added successfully\",\"added_ips\":[1,2,3],"
	       "\"total_ips\":3}");
	assert_string_equal(fake.line, "Received request: POST {add_ips: [1 2 3]}");
	expect("/add_ips",
	       "{\"add_ips\": [0, 4294967295, \"10.0.0.1\", \"10.1.2.3/8\", \"2001:DB8::/32\", "
	       "\"::ffff:10.0.0.1\"]}",
	       200,
	       "{\"message\":\"IPs added successfully\",\"added_ips\":[0,4294967295,"
	       "\"10.0.0.1\",\"10.1.2.3/8\",\"2001:DB8::/32\",\"::ffff:10.0.0.1\"],"
	       "\"total_ips\":3}");
	assert_string_equal(fake.line, "Received request: POST {add_ips: [0 4294967295 10.0.0.1 "
				       "10.1.2.3/8 2001:DB8::/32 ::ffff:10.0.0.1]}");
	expect("/print_all_ips", "{\"print_all_ips\": true}", 200,
	       "{\"message\":\"All IPs retrieved successfully\",\"ips\":[0,4294967295,"
	       "\"10.0.0.1\",\"10.1.2.3/8\",\"2001:DB8::/32\",\"::ffff:10.0.0.1\"],"
	       "\"total_ips\":6}");
	assert_string_equal(fake.line, "Received request: POST {print_all_ips: true}");
	fake.state.ips_can_aim = false;
	expect("/add_ips", "{\"add_ips\": [1]}", 200,
	       "{\"message\":\"IPs added successfully\",\"added_ips\":[1],\"total_ips\":3,"
	       "\"warning\":\"this kernel's sockets cannot be read: the list is kept, but no "
	       "call is picked by it\"}");
}

static void test_clear_ip_list(void **state)
{
	(void)state;
	expect("/clear_ip_list", "{\"clear_ip_list\": true}", 200,
	       "{\"message\":\"IP list cleared successfully\",\"total_ips\":0}");
	assert_string_equal(fake.line, "Received request: POST {clear_ip_list: true}");
}

/* The run is not asked for what is refused. */
static void test_bad_bodies_change_nothing(void **state)
{
	static const char *const paths[] = { "/add_pid",       "/add_pids", "/clear_pid_list",
					     "/set_print_all", "/add_ips",  "/clear_ip_list",
					     "/print_all_ips" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		expect(paths[i], "{} x", 400, NULL);
	expect("/add_pid", "{\"pid\": \"1\"}", 400,
	       "{\"error\":\"Invalid JSON format. Expected: {\\\"pid\\\": 1234}\"}");
	expect("/add_pid", "{\"pid\": 0}", 400,
	       "{\"error\":\"pid is 0: a PID is an integer in 1..4194304\"}");
	expect("/add_pids", "{\"pids\": [5, 6, 0]}", 400,
	       "{\"error\":\"pids[2] is 0: a PID is an integer in 1..4194304\"}");
	expect("/clear_ip_list", "{\"clear_ip_list\": false}", 400,
	       "{\"error\":\"Invalid JSON format. Expected: {\\\"clear_ip_list\\\": true}\"}");
	assert_int_equal(fake.calls, 0);
}

static void test_kernel_refuses(void **state)
{
	static const char full_pids[] = "{\"error\":\"target list is full: it holds 65536 PIDs\"}";
	static const char full_ips[] = "{\"error\":\"IP list is full: it holds 65536 entries\"}";

	(void)state;
	fake.error = -ENOSPC;
	expect("/add_pid", "{\"pid\": 1}", 507, full_pids);
	expect("/add_pids", "{\"pids\": [1]}", 507, full_pids);
	expect("/add_ips", "{\"add_ips\": [1]}", 507, full_ips);
	fake.error = -EPERM;
	expect("/add_pid", "{\"pid\": 1}", 503, NULL);
	expect("/add_pids", "{\"pids\": [1]}", 503, NULL);
	expect("/add_ips", "{\"add_ips\": [1]}", 503, NULL);
	expect("/clear_pid_list", NULL, 503, NULL);
	expect("/set_print_all", NULL, 503, NULL);
	expect("/clear_ip_list", "{\"clear_ip_list\": true}", 503, NULL);
	expect("/print_all_ips", "{\"print_all_ips\": true}", 503, NULL);
	expect_get("/target_pids", 503,
		   "{\"error\":\"the kernel refused: Operation not permitted; nothing was "
		   "changed\"}");
}

static void test_routes(void **state)
{
	static const char *const unknown[] = { "/",	    "",	       "/add_pid/", "/ADD_PID",
					       "/add_pid2", "/add_pi", "*",	    "//add_pid" };
	struct answer answer = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		expect(unknown[i], NULL, 404, NULL);
		expect_get(unknown[i], 404, NULL);
	}
	assert_null(routes_find("GET", "/add_pid", &answer));
	assert_int_equal(answer.status, 405);
	assert_string_equal(answer.allow, "POST");
	answer_clear(&answer);
	assert_null(routes_find("POST", "/apis", &answer));
	assert_int_equal(answer.status, 405);
	assert_string_equal(answer.allow, "GET, HEAD");
	answer_clear(&answer);
	assert_null(routes_find("post", "/add_pid", &answer));
	assert_int_equal(answer.status, 405);
	answer_clear(&answer);
	assert_null(routes_find("HEAD", "/add_pid", &answer));
	assert_int_equal(answer.status, 405);
	answer_clear(&answer);
	assert_ptr_equal(routes_find("HEAD", "/apis", &answer),
			 routes_find("GET", "/apis", &answer));
}

static void test_apis(void **state)
{
	static const char *const paths[] = {
		"GET /apis",	       "POST /add_pid",	   "POST /add_pids", "POST /clear_pid_list",
		"POST /set_print_all", "GET /target_pids", "POST /add_ips",  "POST /clear_ip_list",
		"POST /print_all_ips",
	};
	struct answer answer = ask_bytes("GET", "/apis", NULL, 0);
	json_t *json = json_loadb(answer.text, answer.bytes, 0, NULL);
	const json_t *available = json_object_get(json, "available_apis");
	const json_t *usage = json_object_get(json, "usage");

	(void)state;
	assert_int_equal(answer.status, 200);
	assert_int_equal(json_object_size(json), 2);
	assert_int_equal(json_array_size(available), ARRAY_SIZE(paths));
	assert_int_equal(json_object_size(usage), ARRAY_SIZE(paths));
	assert_string_equal(json_string_value(json_array_get(available, 0)),
			    "GET /apis - Get all available APIs");
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		const char *line = json_string_value(json_array_get(available, i));
		const char *slash = strchr(paths[i], '/');
		const json_t *entry = json_object_get(usage, slash + 1);

		assert_memory_equal(line, paths[i], strlen(paths[i]));
		assert_memory_equal(line + strlen(paths[i]), " - ", 3);
		assert_memory_equal(json_string_value(json_object_get(entry, "method")), paths[i],
				    (size_t)(slash - paths[i] - 1));
		assert_true(json_is_string(json_object_get(entry, "body")));
		assert_int_equal(json_object_size(entry), 2);
	}
	json_decref(json);
	answer_clear(&answer);
}

/* Every example that GET /apis gives is one that its endpoint takes. */
static void test_examples(void **state)
{
	struct answer answer = ask_bytes("GET", "/apis", NULL, 0);
	json_t *json = json_loadb(answer.text, answer.bytes, 0, NULL);
	const char *name = NULL;
	json_t *entry = NULL;
	char path[64];

	(void)state;
	json_object_foreach(json_object_get(json, "usage"), name, entry)
	{
		const char *body = json_string_value(json_object_get(entry, "body"));

		snprintf(path, sizeof(path), "/%s", name);
		struct answer taken = ask_bytes(json_string_value(json_object_get(entry, "method")),
						path, body, strlen(body));
		assert_int_equal(taken.status, 200);
		answer_clear(&taken);
	}
	json_decref(json);
	answer_clear(&answer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_add_pid, reset),
		cmocka_unit_test_setup(test_add_pids, reset),
		cmocka_unit_test_setup(test_many_pids, reset),
		cmocka_unit_test_setup(test_clear_and_print_all, reset),
		cmocka_unit_test_setup(test_target_pids, reset),
		cmocka_unit_test_setup(test_add_ips, reset),
		cmocka_unit_test_setup(test_clear_ip_list, reset),
		cmocka_unit_test_setup(test_bad_bodies_change_nothing, reset),
		cmocka_unit_test_setup(test_kernel_refuses, reset),
		cmocka_unit_test_setup(test_routes, reset),
		cmocka_unit_test_setup(test_apis, reset),
		cmocka_unit_test_setup(test_examples, reset),
	};

	return cmocka_run_group_tests_name("control_v0", tests, NULL, NULL);
}
