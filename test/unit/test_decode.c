/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Records as the kernel side writes them, and bytes that only look like one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "abi/record.h"
#include "base/cleanup.h"
#include "event/call_table.h"
#include "event/event.h"
#include "event/render.h"

#define WALL_MINUS_BOOT_NS 1700000000000000000

union record {
	struct tl_record head;
	struct tl_call_record call;
	struct tl_exit_record exit;
	struct {
		struct tl_exec_record exec;
		char filename[64];
	};
};

static struct tl_record head_of(unsigned int type, size_t length)
{
	return (struct tl_record){
		.length = (__u16)length,
		.version = TL_RECORD_VERSION,
		.type = (__u8)type,
		.cpu = 3,
		.time_ns = 5000000007,
		.tgid = 4194304,
		.tid = 1234,
		.generation = 4000000000,
	};
}

static union record call_record(void)
{
	union record record = { .call = { .head = head_of(TL_RECORD_CALL, sizeof(record.call)),
					  .comm = "cat" } };

	return record;
}

static union record exec_record(const char *filename)
{
	size_t bytes = strlen(filename);
	union record record = { .exec = {
				    .ppid = 99, .filename_bytes = (__u32)bytes, .comm = "sh" } };

	record.exec.head = head_of(TL_RECORD_EXEC, sizeof(record.exec) + ((bytes + 7) & ~7u));
	memcpy(record.filename, filename, bytes);
	return record;
}

static union record exit_record(void)
{
	union record record = { .exit = { .head = head_of(TL_RECORD_EXIT, sizeof(record.exit)),
					  .exec_ns = 3000000000,
					  .ppid = 98,
					  .status = 0x8b,
					  .comm = "0123456789abcdef" } };

	return record;
}

/* Decodes a copy that ends where it says it does, for the sanitizer to see a byte too many. */
static int decode(const void *bytes, size_t length, struct event *ret_event)
{
	_cleanup_free_ char *exact = malloc(length ? length : 1);
	struct event event;

	memset(&event, 0xee, sizeof(event));
	memcpy(exact, bytes, length);
	int r = event_decode(exact, length, WALL_MINUS_BOOT_NS, &event);
	if (r == 0 && ret_event)
		*ret_event = event;
	for (size_t i = 0; r < 0 && i < sizeof(event); i++)
		assert_int_equal(((unsigned char *)&event)[i], 0xee);
	return r;
}

static void check_head(const struct event *event, enum event_type type)
{
	assert_int_equal(event->type, type);
	assert_int_equal(event->boot_ns, 5000000007);
	assert_int_equal(event->wall_ns, 1700000005000000007);
	assert_int_equal(event->pid, 4194304);
	assert_int_equal(event->tid, 1234);
	assert_int_equal(event->generation, 4000000000);
	assert_int_equal(event->cpu, 3);
}

static void check_comm(const struct event *event, const char *comm)
{
	assert_int_equal(event->comm_bytes, strlen(comm));
	assert_memory_equal(event->comm, comm, strlen(comm));
}

static void test_call(void **state)
{
	(void)state;
	assert_true(call_table_count > 0);
	for (size_t i = 0; i < call_table_count; i++) {
		union record record = call_record();
		struct event event;

		record.head.call = (__u16)i;
		assert_int_equal(
		    event_decode(&record, sizeof(record.call), WALL_MINUS_BOOT_NS, &event), 0);
		check_head(&event, EVENT_CALL);
		check_comm(&event, "cat");
		assert_string_equal(event.call, call_table[i].name);
	}
	assert_string_equal(call_name(0), "read");
	assert_string_equal(call_name(1), "write");
	assert_null(call_name((unsigned int)call_table_count));
	assert_null(call_name(UINT32_MAX));
}

static void test_unknown_call(void **state)
{
	union record record = call_record();

	(void)state;
	record.head.call = (__u16)call_table_count;
	assert_int_equal(decode(&record, sizeof(record.call), NULL), -EBADMSG);
	record.head.call = UINT16_MAX;
	assert_int_equal(decode(&record, sizeof(record.call), NULL), -EBADMSG);
}

static void test_exec(void **state)
{
	union record record = exec_record("/usr/bin/true");
	struct event event;

	(void)state;
	assert_int_equal(event_decode(&record, record.head.length, WALL_MINUS_BOOT_NS, &event), 0);
	check_head(&event, EVENT_EXEC);
	check_comm(&event, "sh");
	assert_int_equal(event.ppid, 99);
	assert_int_equal(event.filename_bytes, strlen("/usr/bin/true"));
	assert_memory_equal(event.filename, "/usr/bin/true", strlen("/usr/bin/true"));
	assert_false(event.filename_cut);
	assert_false(event.filename_unreadable);

	record.head.flags = TL_RECORD_CUT;
	assert_int_equal(event_decode(&record, record.head.length, 0, &event), 0);
	assert_true(event.filename_cut);
	assert_false(event.filename_unreadable);

	record = exec_record("");
	record.head.flags = TL_RECORD_UNREADABLE;
	assert_int_equal(event_decode(&record, record.head.length, 0, &event), 0);
	assert_int_equal(event.filename_bytes, 0);
	assert_false(event.filename_cut);
	assert_true(event.filename_unreadable);
}

static void test_exit(void **state)
{
	union record record = exit_record();
	struct event event;

	(void)state;
	assert_int_equal(event_decode(&record, sizeof(record.exit), WALL_MINUS_BOOT_NS, &event), 0);
	check_head(&event, EVENT_EXIT);
	check_comm(&event, "0123456789abcdef"); /* not even a NUL at its end */
	assert_int_equal(event.ppid, 98);
	assert_int_equal(event.status, 0x8b);
	assert_true(event.has_duration);
	assert_int_equal(event.duration_ns, 2000000007);

	record.exit.exec_ns = record.head.time_ns;
	assert_int_equal(event_decode(&record, sizeof(record.exit), 0, &event), 0);
	assert_true(event.has_duration);
	assert_int_equal(event.duration_ns, 0);
}

/* Not known, or later than the end: no duration rather than a wrong one. */
static void test_exit_without_duration(void **state)
{
	static const uint64_t times[] = { 0, 5000000008, UINT64_MAX };
	union record record = exit_record();
	struct event event;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		record.exit.exec_ns = times[i];
		assert_int_equal(event_decode(&record, sizeof(record.exit), 0, &event), 0);
		assert_false(event.has_duration);
		assert_int_equal(event.duration_ns, 0);
	}
}

static void test_comm_of_any_bytes(void **state)
{
	union record record = call_record();
	struct event event;

	(void)state;
	memset(record.call.comm, 0, sizeof(record.call.comm));
	assert_int_equal(event_decode(&record, sizeof(record.call), 0, &event), 0);
	assert_int_equal(event.comm_bytes, 0);
	memset(record.call.comm, 0xff, sizeof(record.call.comm));
	assert_int_equal(event_decode(&record, sizeof(record.call), 0, &event), 0);
	assert_int_equal(event.comm_bytes, TL_COMM_BYTES);
}

/* The perf buffer hands over more bytes than the record has. */
static void test_padded(void **state)
{
	struct {
		union record record;
		char padding[12];
	} padded = { .record = call_record() };

	(void)state;
	assert_int_equal(decode(&padded, sizeof(padded.record.call) + 4, NULL), 0);
	padded.record = exec_record("/bin/sh");
	assert_int_equal(decode(&padded, sizeof(padded), NULL), 0);
}

static void test_short(void **state)
{
	union record records[] = { call_record(), exec_record("/bin/sh"), exit_record() };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		size_t whole = records[i].head.length;

		assert_int_equal(decode(&records[i], whole, NULL), 0);
		/* Fewer bytes than it says, down to none. */
		for (size_t length = 0; length < whole; length++)
			assert_int_equal(decode(&records[i], length, NULL), -EBADMSG);
		/* It says itself that it is shorter than its type. */
		for (size_t length = 0; length < whole; length++) {
			union record liar = records[i];

			if (liar.head.type == TL_RECORD_EXEC &&
			    length >= sizeof(liar.exec) + liar.exec.filename_bytes)
				continue;
			liar.head.length = (__u16)length;
			assert_int_equal(decode(&liar, sizeof(liar), NULL), -EBADMSG);
		}
		/* It says that it is longer than what there is. */
		records[i].head.length = (__u16)(whole + 1);
		assert_int_equal(decode(&records[i], whole, NULL), -EBADMSG);
		records[i].head.length = UINT16_MAX;
		assert_int_equal(decode(&records[i], whole, NULL), -EBADMSG);
	}
}

static void test_versions(void **state)
{
	union record record = call_record();

	(void)state;
	for (unsigned int version = 0; version <= UINT8_MAX; version++) {
		record.head.version = (__u8)version;
		assert_int_equal(decode(&record, sizeof(record.call), NULL),
				 version == TL_RECORD_VERSION ? 0 : -EBADMSG);
	}
}

static void test_unknown_types(void **state)
{
	union record record = call_record();

	(void)state;
	record.head.length = sizeof(record);
	for (unsigned int type = 0; type <= UINT8_MAX; type++) {
		bool known = type >= TL_RECORD_CALL && type <= TL_RECORD_EXIT;

		record.head.type = (__u8)type;
		assert_int_equal(decode(&record, sizeof(record), NULL), known ? 0 : -EBADMSG);
	}
}

static void test_lying_filename(void **state)
{
	union record record = exec_record("/bin/sh");
	uint32_t room = record.head.length - (uint32_t)sizeof(record.exec);
	const uint32_t lies[] = { room + 1,	   64,	      4096, UINT16_MAX, INT32_MAX,
				  UINT32_MAX - 55, UINT32_MAX };

	(void)state;
	record.exec.filename_bytes = room;
	assert_int_equal(decode(&record, record.head.length, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		record.exec.filename_bytes = lies[i];
		assert_int_equal(decode(&record, record.head.length, NULL), -EBADMSG);
	}
}

/* The kernel side never sends one so long; whoever does would overflow a line. */
static void test_filename_beyond_the_limit(void **state)
{
	size_t length = sizeof(struct tl_exec_record) + TL_FILENAME_BYTES + 8;
	_cleanup_free_ struct tl_exec_record *record = calloc(1, length);

	(void)state;
	record->head = head_of(TL_RECORD_EXEC, length);
	record->filename_bytes = TL_FILENAME_BYTES;
	assert_int_equal(decode(record, length, NULL), 0);
	record->filename_bytes = TL_FILENAME_BYTES + 1;
	assert_int_equal(decode(record, length, NULL), -EBADMSG);
}

/* Whatever comes out of an event that was taken is one line of bounded length. */
static void check_lines(const struct event *event)
{
	static char out[RENDER_LINE_BYTES];
	size_t bytes;

	/* As long as names beyond the limit are not refused, they are not for this test. */
	if (event->type == EVENT_EXEC && event->filename_bytes > TL_FILENAME_BYTES)
		return;
	if (event->type == EVENT_CALL) {
		bytes = render_hello(event, out);
		assert_ptr_equal(memchr(out, '\n', bytes), out + bytes - 1);
		bytes = render_log(event, out);
	} else {
		bytes = render_procs(event, out);
	}
	assert_in_range(bytes, 1, sizeof(out));
	assert_ptr_equal(memchr(out, '\n', bytes), out + bytes - 1);
}

/* Random bytes behind a head that is right in most of its fields, so that much gets through. */
static void test_random_bytes(void **state)
{
	unsigned int seed = 20260301, taken = 0;
	char bytes[512];

	(void)state;
	for (int round = 0; round < 50000; round++) {
		size_t length = (size_t)rand_r(&seed) % sizeof(bytes);
		struct tl_record head;
		struct event event;

		for (size_t i = 0; i < length; i++)
			bytes[i] = (char)rand_r(&seed);
		if (length >= sizeof(head) && round % 8) {
			memcpy(&head, bytes, sizeof(head));
			head.version = TL_RECORD_VERSION;
			head.type = (__u8)(rand_r(&seed) % 5);
			head.length = (__u16)(length - (size_t)rand_r(&seed) % 9 + 2);
			head.call &= 3;
			head.time_ns >>= 2;
			memcpy(bytes, &head, sizeof(head));
		}
		if (length >= sizeof(struct tl_exec_record) && round % 3) {
			uint32_t name = (uint32_t)rand_r(&seed) % (uint32_t)length;

			memcpy(bytes + offsetof(struct tl_exec_record, filename_bytes), &name,
			       sizeof(name));
		}
		_cleanup_free_ char *exact = malloc(length ? length : 1);
		memcpy(exact, bytes, length);
		int r = event_decode(exact, length, 0, &event);
		assert_true(r == 0 || r == -EBADMSG);
		if (r == 0) {
			check_lines(&event);
			taken++;
		}
	}
	assert_in_range(taken, 5000, 45000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call),
		cmocka_unit_test(test_unknown_call),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_exit),
		cmocka_unit_test(test_exit_without_duration),
		cmocka_unit_test(test_comm_of_any_bytes),
		cmocka_unit_test(test_padded),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_unknown_types),
		cmocka_unit_test(test_lying_filename),
		cmocka_unit_test(test_filename_beyond_the_limit),
		cmocka_unit_test(test_random_bytes),
	};

	return cmocka_run_group_tests_name("decode", tests, NULL, NULL);
}
