/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Numbers are taken whole and within their bounds, or not at all. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/parse.h"

/* What an output holds that must not be touched. */
#define UNTOUCHED 77777u

struct row {
	const char *text;
	uint64_t min, max;
	int result;
	uint64_t value;
};

typedef int parse_fn(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value);

static void check_rows(parse_fn *parse, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t value = UNTOUCHED;
		int r = parse(rows[i].text, rows[i].min, rows[i].max, &value);

		if (r != rows[i].result || value != (r ? UNTOUCHED : rows[i].value))
			fail_msg("\"%s\": result %d, value %ju", rows[i].text, r, (uintmax_t)value);
	}
}

static void test_u64(void **state)
{
	static const struct row rows[] = {
		{ "0", 0, UINT64_MAX, 0, 0 },
		{ "1", 1, 1, 0, 1 },
		{ "007", 0, 9, 0, 7 },
		{ "18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX },
		{ "18446744073709551616", 0, UINT64_MAX, -ERANGE, 0 },
		{ "99999999999999999999999999", 0, UINT64_MAX, -ERANGE, 0 },
		{ "4", 5, 10, -ERANGE, 0 },
		{ "5", 5, 10, 0, 5 },
		{ "10", 5, 10, 0, 10 },
		{ "11", 5, 10, -ERANGE, 0 },
	};

	(void)state;
	check_rows(parse_u64, rows, ARRAY_SIZE(rows));
}

static void test_u64_is_no_number(void **state)
{
	static const char *const texts[] = {
		"",   " ",     " 1",   "1 ",	   "\t1",	"1\n",	 "+1",
		"-1", "-0",    "0x10", "1.0",	   "1e3",	"1,000", "one",
		"1K", "1_000", "--1",  "\xd9\xa1", "1\xc2\xa0", "12a34", "a",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		uint64_t value = UNTOUCHED;

		if (parse_u64(texts[i], 0, UINT64_MAX, &value) != -EINVAL || value != UNTOUCHED)
			fail_msg("\"%s\" is taken for a number", texts[i]);
	}
}

static void test_bytes(void **state)
{
	static const struct row rows[] = {
		{ "0", 0, UINT64_MAX, 0, 0 },
		{ "65536", 1, UINT64_MAX, 0, 65536 },
		{ "1K", 0, UINT64_MAX, 0, 1024 },
		{ "1k", 0, UINT64_MAX, 0, 1024 },
		{ "16M", 0, UINT64_MAX, 0, 16777216 },
		{ "16m", 0, UINT64_MAX, 0, 16777216 },
		{ "2G", 0, UINT64_MAX, 0, 2147483648u },
		{ "2g", 0, UINT64_MAX, 0, 2147483648u },
		{ "18014398509481983K", 0, UINT64_MAX, 0, 18446744073709550592u },
		{ "18014398509481984K", 0, UINT64_MAX, -ERANGE, 0 },
		{ "17179869184G", 0, UINT64_MAX, -ERANGE, 0 },
		{ "18446744073709551616", 0, UINT64_MAX, -ERANGE, 0 },
		{ "64K", 65536, 1u << 30, 0, 65536 },
		{ "63K", 65536, 1u << 30, -ERANGE, 0 },
		{ "1G", 65536, 1u << 30, 0, 1u << 30 },
		{ "1025M", 65536, 1u << 30, -ERANGE, 0 },
		{ "", 0, UINT64_MAX, -EINVAL, 0 },
		{ "K", 0, UINT64_MAX, -EINVAL, 0 },
		{ "1KB", 0, UINT64_MAX, -EINVAL, 0 },
		{ "1KK", 0, UINT64_MAX, -EINVAL, 0 },
		{ "1T", 0, UINT64_MAX, -EINVAL, 0 },
		{ "1 K", 0, UINT64_MAX, -EINVAL, 0 },
		{ "1.5M", 0, UINT64_MAX, -EINVAL, 0 },
		{ "-1K", 0, UINT64_MAX, -EINVAL, 0 },
		{ "+1K", 0, UINT64_MAX, -EINVAL, 0 },
		{ " 1K", 0, UINT64_MAX, -EINVAL, 0 },
	};

	(void)state;
	check_rows(parse_bytes, rows, ARRAY_SIZE(rows));
}

static int parse_pid_as_row(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value)
{
	uint32_t pid = UNTOUCHED;
	int r = parse_pid(text, &pid);

	(void)min;
	(void)max;
	*ret_value = pid;
	return r;
}

static void test_pid(void **state)
{
	static const struct row rows[] = {
		{ "1", 0, 0, 0, 1 },
		{ "4194304", 0, 0, 0, 4194304 },
		{ "0", 0, 0, -ERANGE, 0 },
		{ "4194305", 0, 0, -ERANGE, 0 },
		/* What would be 1 in 32 bits. */
		{ "4294967297", 0, 0, -ERANGE, 0 },
		{ "-1", 0, 0, -EINVAL, 0 },
		{ "", 0, 0, -EINVAL, 0 },
		{ "12 ", 0, 0, -EINVAL, 0 },
		{ "1K", 0, 0, -EINVAL, 0 },
	};

	(void)state;
	check_rows(parse_pid_as_row, rows, ARRAY_SIZE(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_u64),
		cmocka_unit_test(test_u64_is_no_number),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_pid),
	};

	return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
