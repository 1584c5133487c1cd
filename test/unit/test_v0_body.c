/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The bodies of v0 requests: every form that is refused, and some that are taken. */
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
#include "control/v0_body.h"

#define PID_FORM "Invalid JSON format. Expected: {\"pid\": 1234}"

/* What no endpoint that needs a body may take for one. */
static const char *const not_an_object[] = {
	"",
	" ",
	"{",
	"null",
	"1234",
	"\"1234\"",
	"[1234]",
	"true",
	"{}",
	"{}{}",
	"{\"x\": 1}",
	"pid=1234",
	"{pid: 1234}",
	"{'pid': 1234}",
	"\xef\xbb\xbf{\"pid\": 1234}",
	"{\"pid\": 1234,}",
	"{\"pid\": 01234}",
	"{\"pid\": +1}",
	"{\"pid\": 0x10}",
	"{\"pid\": 1234} x",
	"{\"pid\": 1234}}",
	"{\"pid\": 1234} {\"pid\": 1}",
	"{\"pid\": NaN}",
	"{\"pid\": 1234 /* no comments */}",
};

/* Exactly as long as it is, so that the sanitizer sees a byte read too many. */
static char *exact(const char *body, size_t bytes)
{
	char *copy = malloc(bytes ? bytes : 1);

	assert_non_null(copy);
	if (bytes)
		memcpy(copy, body, bytes);
	return copy;
}

/* What is refused leaves the outputs as they were, and says why. */
static void refuse_pid(const char *body, size_t bytes, const char *begin)
{
	_cleanup_free_ char *copy = exact(body, bytes);
	_cleanup_free_ char *error = NULL;
	uint32_t pid = 77;

	if (v0_body_pid(copy, bytes, &pid, &error) != -EINVAL || !error ||
	    strncmp(error, begin, strlen(begin)) != 0)
		fail_msg("%s: %s", body, error);
	assert_int_equal(pid, 77);
}

static void refuse_pids(const char *body)
{
	_cleanup_free_ char *copy = exact(body, strlen(body));
	_cleanup_free_ char *error = NULL;
	uint32_t *pids = NULL;
	size_t count = 77;

	if (v0_body_pids(copy, strlen(body), &pids, &count, &error) != -EINVAL || !error)
		fail_msg("%s: %s", body, error);
	assert_null(pids);
	assert_int_equal(count, 77);
}

static void refuse_ips(const char *body)
{
	_cleanup_free_ char *copy = exact(body, strlen(body));
	_cleanup_free_ char *error = NULL;
	struct aim_ip *ips = NULL;
	size_t count = 77;

	if (v0_body_ips(copy, strlen(body), &ips, &count, &error) != -EINVAL || !error)
		fail_msg("%s: %s", body, error);
	assert_null(ips);
	assert_int_equal(count, 77);
}

static void refuse_true(const char *body, const char *field)
{
	_cleanup_free_ char *copy = exact(body, strlen(body));
	_cleanup_free_ char *error = NULL;

	if (v0_body_true(copy, strlen(body), field, &error) != -EINVAL || !error)
		fail_msg("%s: %s", body, error);
	assert_non_null(strstr(error, field));
}

static int take_any(const char *body, size_t bytes)
{
	_cleanup_free_ char *copy = exact(body, bytes);
	_cleanup_free_ char *error = NULL;
	int r = v0_body_any(copy, bytes, &error);

	assert_int_equal(!error, r == 0);
	return r;
}

static void test_pid_forms(void **state)
{
	static const char *const refused[] = {
		"{\"pid\": null}",
		"{\"pid\": \"1234\"}",
		"{\"pid\": 1234.0}",
		"{\"pid\": 1.5}",
		"{\"pid\": 1e3}",
		"{\"pid\": true}",
		"{\"pid\": false}",
		"{\"pid\": [1234]}",
		"{\"pid\": {}}",
		"{\"pids\": [1234]}",
		"{\"PID\": 1234}",
		"{\"pid\": \"\"}",
		"{\"pid\": 9223372036854775808}",
		"{\"pid\": -9223372036854775809}",
		"{\"pid\": 100000000000000000000000000000000000000000}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		refuse_pid(refused[i], strlen(refused[i]), PID_FORM);
	for (size_t i = 0; i < ARRAY_SIZE(not_an_object); i++)
		refuse_pid(not_an_object[i], strlen(not_an_object[i]), PID_FORM);
	refuse_pid("{\"pid\": 1}\0", 11, PID_FORM);
	refuse_pid("{\"pid\": 1}\0{", 12, PID_FORM);
}

static void test_pid_range(void **state)
{
	static const struct {
		const char *body;
		const char *named;
	} refused[] = {
		{ "{\"pid\": 0}", "pid is 0" },
		{ "{\"pid\": -1}", "pid is -1" },
		{ "{\"pid\": 4194305}", "pid is 4194305" },
		{ "{\"pid\": 4294967297}", "pid is 4294967297" },
		{ "{\"pid\": 9223372036854775807}", "pid is 9223372036854775807" },
		{ "{\"pid\": -9223372036854775808}", "pid is -9223372036854775808" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		refuse_pid(refused[i].body, strlen(refused[i].body), refused[i].named);
}

static void test_pids(void **state)
{
	static const struct {
		const char *body;
		uint32_t pid;
	} taken[] = {
		{ "{\"pid\": 1}", 1 },
		{ "{\"pid\":4194304}", 4194304 },
		{ " \t\r\n{\"a\": {\"pid\": 7}, \"pid\": 8, \"z\": null}\n", 8 },
	};
	static const char list[] = "{\"pids\": [3, 4194304, 1, 3]}";
	_cleanup_free_ uint32_t *pids = NULL;
	_cleanup_free_ char *error = NULL;
	size_t count = 0;
	uint32_t pid = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
		assert_int_equal(v0_body_pid(taken[i].body, strlen(taken[i].body), &pid, &error),
				 0);
		assert_int_equal(pid, taken[i].pid);
	}
	assert_int_equal(v0_body_pids(list, strlen(list), &pids, &count, &error), 0);
	assert_int_equal(count, 4);
	assert_int_equal(pids[0], 3);
	assert_int_equal(pids[1], 4194304);
	assert_int_equal(pids[3], 3);
	assert_null(error);
}

static void test_pids_forms(void **state)
{
	static const char *const refused[] = {
		"{\"pids\": []}",	"{\"pids\": null}",	 "{\"pids\": 1234}",
		"{\"pids\": {}}",	"{\"pids\": \"1,2\"}",	 "{\"pid\": 1234}",
		"{\"pids\": [0]}",	"{\"pids\": [1, -1]}",	 "{\"pids\": [1, \"2\"]}",
		"{\"pids\": [1, 2.0]}", "{\"pids\": [1, null]}", "{\"pids\": [1, true]}",
		"{\"pids\": [[1]]}",	"{\"pids\": [4194305]}", "{\"pids\": [4294967297]}",
		"{\"pids\": [1, 2,]}",	"{\"pids\": [1 2]}",	 "{\"pids\": [1, 2]} 3",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		refuse_pids(refused[i]);
	for (size_t i = 0; i < ARRAY_SIZE(not_an_object); i++)
		refuse_pids(not_an_object[i]);
}

static void test_ips_forms(void **state)
{
	static const char *const refused[] = {
		"{\"add_ips\": []}",
		"{\"add_ips\": null}",
		"{\"add_ips\": 1}",
		"{\"add_ips\": \"10.0.0.1\"}",
		"{\"add_ips\": {}}",
		"{\"ips\": [1]}",
		"{\"add_ips\": [1]} x",
		"{\"add_ips\": [-1]}",
		"{\"add_ips\": [4294967296]}",
		"{\"add_ips\": [99999999999999999999]}",
		"{\"add_ips\": [1.0]}",
		"{\"add_ips\": [true]}",
		"{\"add_ips\": [null]}",
		"{\"add_ips\": [[1]]}",
		"{\"add_ips\": [{}]}",
		"{\"add_ips\": [\"\"]}",
		"{\"add_ips\": [\"1\"]}",
		"{\"add_ips\": [\"10.0.0\"]}",
		"{\"add_ips\": [\"10.0.0.256\"]}",
		"{\"add_ips\": [\"10.0.0.01\"]}",
		"{\"add_ips\": [\"10.0.0.1/33\"]}",
		"{\"add_ips\": [\"10.0.0.1/-1\"]}",
		"{\"add_ips\": [\"10.0.0.1/\"]}",
		"{\"add_ips\": [\"10.0.0.1 \"]}",
		"{\"add_ips\": [\" 10.0.0.1\"]}",
		"{\"add_ips\": [\"::1/129\"]}",
		"{\"add_ips\": [\"::1%lo\"]}",
		"{\"add_ips\": [\":::\"]}",
		"{\"add_ips\": [\"localhost\"]}",
		"{\"add_ips\": [\"10.0.0.1\\u0000\"]}",
		"{\"add_ips\": [\"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb\"]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		refuse_ips(refused[i]);
	for (size_t i = 0; i < ARRAY_SIZE(not_an_object); i++)
		refuse_ips(not_an_object[i]);
}

static void test_true_fields(void **state)
{
	static const char *const fields[] = { "clear_ip_list", "print_all_ips" };
	static const char *const values[] = { "false", "null", "1",	 "\"true\"",
					      "[]",    "{}",   "true x", "True" };
	_cleanup_free_ char *error = NULL;
	char body[64];

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(fields); f++) {
		for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
			snprintf(body, sizeof(body), "{\"%s\": %s}", fields[f], values[i]);
			refuse_true(body, fields[f]);
		}
		for (size_t i = 0; i < ARRAY_SIZE(not_an_object); i++)
			refuse_true(not_an_object[i], fields[f]);
		snprintf(body, sizeof(body), "{\"%s\": true}", fields[!f]);
		refuse_true(body, fields[f]);
		snprintf(body, sizeof(body), "{\"%s\": true}", fields[f]);
		assert_int_equal(v0_body_true(body, strlen(body), fields[f], &error), 0);
	}
}

static void test_any_body(void **state)
{
	static const char *const taken[] = {
		"",
		" \t\r\n",
		"{}",
		"[]",
		"null",
		"true",
		"0",
		"-1.5e3",
		"\"x\"",
		" {} ",
		"{\"a\": [1, {\"b\": null}]}",
		"99999999999999999999999999",
		"\"\\u0000\"",
	};
	static const char *const refused[] = {
		"x", "{", "{}{}", "{} x", "nul", "'x'", "[1,]", "\"\xff\"", "\v", "{\"a\"}", "01",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (take_any(refused[i], strlen(refused[i])) != -EINVAL)
			fail_msg("%s", refused[i]);
	assert_int_equal(take_any("{}\0", 3), -EINVAL);
	assert_int_equal(take_any("\0", 1), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		if (take_any(taken[i], strlen(taken[i])) != 0)
			fail_msg("%s", taken[i]);
	assert_int_equal(v0_body_any(NULL, 0, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pid_forms), cmocka_unit_test(test_pid_range),
		cmocka_unit_test(test_pids),	  cmocka_unit_test(test_pids_forms),
		cmocka_unit_test(test_ips_forms), cmocka_unit_test(test_true_fields),
		cmocka_unit_test(test_any_body),
	};

	return cmocka_run_group_tests_name("v0_body", tests, NULL, NULL);
}
