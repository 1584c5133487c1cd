/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Events as lines, byte for byte. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "abi/record.h"
#include "base/cleanup.h"
#include "event/render.h"

/* 2026-03-01 12:00:00.123456789 UTC */
#define NOON_NS 1772366400123456789
#define HOUR_NS 3600000000000

static void set_zone(const char *zone)
{
	setenv("TZ", zone, 1);
	tzset();
}

static int start(void **state)
{
	(void)state;
	set_zone("UTC0");
	return 0;
}

static struct event call_event(const char *call, const char *comm)
{
	return (struct event){
		.type = EVENT_CALL,
		.wall_ns = NOON_NS,
		.pid = 45678,
		.tid = 45680,
		.call = call,
		.comm = comm,
		.comm_bytes = strlen(comm),
	};
}

static struct event exec_event(const char *comm, const char *filename)
{
	return (struct event){
		.type = EVENT_EXEC,
		.wall_ns = NOON_NS,
		.pid = 45678,
		.tid = 45678,
		.ppid = 1,
		.comm = comm,
		.comm_bytes = strlen(comm),
		.filename = filename,
		.filename_bytes = strlen(filename),
	};
}

static struct event exit_event(uint32_t status)
{
	return (struct event){
		.type = EVENT_EXIT,
		.wall_ns = NOON_NS,
		.pid = 4194304,
		.tid = 4194304,
		.ppid = 4194303,
		.comm = "sh",
		.comm_bytes = 2,
		.status = status,
	};
}

static void check(render_fn *render, const struct event *event, const char *expected)
{
	_cleanup_free_ char *out = malloc(RENDER_LINE_BYTES + 1);

	memset(out, 0x7e, RENDER_LINE_BYTES + 1);
	size_t bytes = render(event, out);
	assert_in_range(bytes, 1, RENDER_LINE_BYTES);
	assert_int_equal(out[bytes], 0x7e); /* nothing is terminated */
	out[bytes] = '\0';
	assert_string_equal(out, expected);
}

static void test_hello(void **state)
{
	struct event event = call_event("read", "cat");

	(void)state;
	check(render_hello, &event, "45678 - hello sys_read was called\n");
	event = call_event("write", "a\nb");
	event.pid = 1;
	check(render_hello, &event, "1 - hello sys_write was called\n");
	event.pid = UINT32_MAX;
	check(render_hello, &event, "4294967295 - hello sys_write was called\n");
}

static void test_log(void **state)
{
	struct event event = call_event("read", "cat");

	(void)state;
	check(render_log, &event,
	      "[2026-03-01 12:00:00.123456789] hello sys_read was called by cat"
	      " (PID: 45680, TGID: 45678)\n");
	event = call_event("write", "");
	event.wall_ns = 1;
	check(render_log, &event,
	      "[1970-01-01 00:00:00.000000001] hello sys_write was called by "
	      " (PID: 45680, TGID: 45678)\n");
	/* The end of a leap day, and a second after which much rolls over. */
	event.wall_ns = 1709251199999999999;
	check(render_log, &event,
	      "[2024-02-29 23:59:59.999999999] hello sys_write was called by "
	      " (PID: 45680, TGID: 45678)\n");
	event.wall_ns += 1;
	check(render_log, &event,
	      "[2024-03-01 00:00:00.000000000] hello sys_write was called by "
	      " (PID: 45680, TGID: 45678)\n");
}

static void test_zones(void **state)
{
	struct event event = call_event("read", "cat");

	(void)state;
	set_zone("XYZ-5:30"); /* east of Greenwich, by half an hour more than five */
	event.wall_ns = NOON_NS + HOUR_NS;
	check(render_log, &event,
	      "[2026-03-01 18:30:00.123456789] hello sys_read was called by cat"
	      " (PID: 45680, TGID: 45678)\n");
	set_zone("PST8PDT,M3.2.0,M11.1.0");
	event.wall_ns = 1772963999000000000; /* 2026-03-08, the last second before summer time */
	check(render_log, &event,
	      "[2026-03-08 01:59:59.000000000] hello sys_read was called by cat"
	      " (PID: 45680, TGID: 45678)\n");
	event.wall_ns = 1772964000000000000; /* 10:00:00 UTC, its first second */
	check(render_log, &event,
	      "[2026-03-08 03:00:00.000000000] hello sys_read was called by cat"
	      " (PID: 45680, TGID: 45678)\n");
	event = exec_event("sh", "/bin/sh");
	event.wall_ns += 2 * HOUR_NS;
	check(render_procs, &event, "06:00:00 EXEC  sh               45678   1       /bin/sh\n");
}

/* Back and forth between two seconds: what is remembered is the right one. */
static void test_seconds_interleaved(void **state)
{
	struct event event = call_event("read", "cat");
	char expected[128];

	(void)state;
	for (int i = 0; i < 6; i++) {
		event.wall_ns = NOON_NS + (i % 2) * 61000000000;
		snprintf(expected, sizeof(expected),
			 "[2026-03-01 12:%s.123456789] hello sys_read was called by cat"
			 " (PID: 45680, TGID: 45678)\n",
			 i % 2 ? "01:01" : "00:00");
		check(render_log, &event, expected);
	}
}

static void *render_in_thread(void *argument)
{
	struct event event = call_event("read", "cat");
	char out[RENDER_LINE_BYTES], expected[32];

	snprintf(expected, sizeof(expected), "[2026-03-01 %02d:", 12 + *(const int *)argument);
	for (int i = 0; i < 50000; i++) {
		event.wall_ns =
		    NOON_NS + *(const int *)argument * HOUR_NS + i % 3000 * 1000000000LL;
		render_log(&event, out);
		if (memcmp(out, expected, strlen(expected)) != 0)
			return argument;
	}
	return NULL;
}

static void test_threads(void **state)
{
	static const int hours[] = { 1, 2 };
	pthread_t threads[ARRAY_SIZE(hours)];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hours); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, render_in_thread,
						(void *)(uintptr_t)&hours[i]),
				 0);
	for (size_t i = 0; i < ARRAY_SIZE(hours); i++) {
		void *result = NULL;

		pthread_join(threads[i], &result);
		assert_null(result);
	}
}

static void test_escapes(void **state)
{
	struct event event = call_event("read", "a\nb\tc\\\033[31m\xff");

	(void)state;
	check(render_log, &event,
	      "[2026-03-01 12:00:00.123456789] hello sys_read was called by "
	      "a\\nb\\tc\\\\\\x1b[31m\\xff (PID: 45680, TGID: 45678)\n");
	event = exec_event("x\ny\rz", "/tmp/new\nline \xc3\xbc \xe2\x80\xae\xc0\x80");
	check(render_procs, &event,
	      "12:00:00 EXEC  x\\ny\\rz          45678   1       "
	      "/tmp/new\\nline \xc3\xbc \\xe2\\x80\\xae\\xc0\\x80\n");
}

static void test_procs_heading(void **state)
{
	struct event event = exec_event("COMM", "/bin/sh");
	_cleanup_free_ char *out = malloc(RENDER_LINE_BYTES);

	(void)state;
	assert_string_equal(render_procs_heading, "TIME     EVENT COMM             PID     PPID   "
						  " FILENAME/EXIT CODE");
	/* What is below it begins where it does. */
	size_t bytes = render_procs(&event, out);
	out[bytes] = '\0';
	assert_int_equal(strstr(out, "/bin/sh") - out,
			 strstr(render_procs_heading, "FILENAME") - render_procs_heading);
	assert_int_equal(strstr(out, "COMM") - out,
			 strstr(render_procs_heading, "COMM") - render_procs_heading);
	assert_int_equal(strstr(out, "45678") - out,
			 strstr(render_procs_heading, "PID") - render_procs_heading);
}

static void test_exec(void **state)
{
	struct event event = exec_event("true", "/usr/bin/true");

	(void)state;
	check(render_procs, &event,
	      "12:00:00 EXEC  true             45678   1       /usr/bin/true\n");
	event.filename_cut = true;
	check(render_procs, &event,
	      "12:00:00 EXEC  true             45678   1       /usr/bin/true...\n");
	event = exec_event("0123456789abcdef", "");
	event.pid = 4194304;
	event.ppid = 4194303;
	event.filename_unreadable = true;
	check(render_procs, &event,
	      "12:00:00 EXEC  0123456789abcdef 4194304 4194303 (unreadable)\n");
	/* Wider than its column: the next one still begins after a space. */
	event = exec_event("\n\n\n\n\n\n\n\n\n", "x");
	event.pid = UINT32_MAX;
	check(render_procs, &event,
	      "12:00:00 EXEC  \\n\\n\\n\\n\\n\\n\\n\\n\\n 4294967295 1       x\n");
}

static void test_exit(void **state)
{
	static const struct {
		uint32_t status;
		const char *text;
	} rows[] = {
		{ 0x0000, "[0]" },
		{ 0x0100, "[1]" },
		{ 0xff00, "[255]" },
		{ SIGKILL, "[SIGKILL]" },
		{ SIGTERM, "[SIGTERM]" },
		{ SIGPIPE, "[SIGPIPE]" },
		{ SIGSEGV, "[SIGSEGV]" },
		{ SIGSEGV | 0x80, "[SIGSEGV, core]" },
		{ SIGABRT | 0x80, "[SIGABRT, core]" },
		{ 32, "[SIG32]" }, /* those that the C library keeps to itself */
		{ 34, "[SIGRTMIN+0]" },
		{ 37, "[SIGRTMIN+3]" },
		{ 64 | 0x80, "[SIGRTMIN+30, core]" },
		{ 65, "[SIG65]" },
		{ 126, "[SIG126]" },
	};

	(void)state;
	assert_int_equal(SIGRTMIN, 34);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct event event = exit_event(rows[i].status);
		char expected[128];

		snprintf(expected, sizeof(expected),
			 "12:00:00 EXIT  sh               4194304 4194303 %s\n", rows[i].text);
		check(render_procs, &event, expected);
	}
}

static void test_duration(void **state)
{
	static const struct {
		uint64_t duration_ns;
		const char *text;
	} rows[] = {
		{ 0, "[0] (0ms)" },
		{ 999999, "[0] (0ms)" },
		{ 1000000, "[0] (1ms)" },
		{ 1234999999, "[0] (1234ms)" },
		{ UINT64_MAX, "[0] (18446744073709ms)" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct event event = exit_event(0);
		char expected[128];

		event.has_duration = true;
		event.duration_ns = rows[i].duration_ns;
		snprintf(expected, sizeof(expected),
			 "12:00:00 EXIT  sh               4194304 4194303 %s\n", rows[i].text);
		check(render_procs, &event, expected);
	}
}

/* The longest that there can be, each byte of it four times as long: in exactly the room stated. */
static void test_longest(void **state)
{
	_cleanup_free_ char *name = malloc(TL_FILENAME_BYTES);
	_cleanup_free_ char *out = malloc(RENDER_LINE_BYTES);
	char comm[TL_COMM_BYTES];
	struct event event;

	(void)state;
	memset(name, 0xff, TL_FILENAME_BYTES);
	memset(comm, 0x01, sizeof(comm));
	event = (struct event){
		.type = EVENT_EXEC,
		.wall_ns = NOON_NS,
		.pid = UINT32_MAX,
		.tid = UINT32_MAX,
		.ppid = UINT32_MAX,
		.comm = comm,
		.comm_bytes = sizeof(comm),
		.filename = name,
		.filename_bytes = TL_FILENAME_BYTES,
		.filename_cut = true,
		.filename_unreadable = true,
		.call = "write",
	};
	size_t bytes = render_procs(&event, out);
	const char *at = out + strlen("12:00:00 EXEC  ");
	for (size_t i = 0; i < sizeof(comm); i++, at += 4)
		assert_memory_equal(at, "\\x01", 4);
	at += strlen(" 4294967295 4294967295 ");
	for (size_t i = 0; i < TL_FILENAME_BYTES; i++, at += 4)
		assert_memory_equal(at, "\\xff", 4);
	assert_memory_equal(at, "...(unreadable)\n", 16);
	assert_ptr_equal(at + 16, out + bytes);
	assert_in_range(bytes, 4 * TL_FILENAME_BYTES, RENDER_LINE_BYTES);
	event.type = EVENT_CALL;
	bytes = render_log(&event, out);
	assert_in_range(bytes, 4 * TL_COMM_BYTES, RENDER_LINE_BYTES);
	assert_ptr_equal(memchr(out, '\n', bytes), out + bytes - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_hello, start),
		cmocka_unit_test_setup(test_log, start),
		cmocka_unit_test_setup(test_zones, start),
		cmocka_unit_test_setup(test_seconds_interleaved, start),
		cmocka_unit_test_setup(test_threads, start),
		cmocka_unit_test_setup(test_escapes, start),
		cmocka_unit_test_setup(test_procs_heading, start),
		cmocka_unit_test_setup(test_exec, start),
		cmocka_unit_test_setup(test_exit, start),
		cmocka_unit_test_setup(test_duration, start),
		cmocka_unit_test_setup(test_longest, start),
	};

	return cmocka_run_group_tests_name("render", tests, NULL, NULL);
}
