/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Numbers and foreign bytes as text: a line stays a line, and no terminal obeys it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/text.h"

/* A literal with NULs in it and its length. */
#define BYTES(literal) (literal), sizeof(literal) - 1

/* Both in memory of exactly the right size, for the sanitizer to see a byte too many. */
static void check_escaped(const char *input, size_t bytes, const char *expected)
{
	_cleanup_free_ char *exact = malloc(bytes ? bytes : 1);
	_cleanup_free_ char *out = malloc(strlen(expected) + 1);

	memcpy(exact, input, bytes);
	char *end = text_escaped(out, exact, bytes);
	*end = '\0';
	assert_string_equal(out, expected);
	assert_int_equal(end - out, strlen(expected));
}

static void check_as_it_is(const char *input)
{
	check_escaped(input, strlen(input), input);
}

static void test_u64(void **state)
{
	static const uint64_t values[] = {
		0, 9, 10, 99, 100, 4194304, UINT32_MAX, 1000000000000000000u, UINT64_MAX,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		char expected[21], out[21];

		snprintf(expected, sizeof(expected), "%ju", (uintmax_t)values[i]);
		*text_u64(out, values[i]) = '\0';
		assert_string_equal(out, expected);
	}
}

static void test_digits(void **state)
{
	static const struct {
		uint64_t value;
		unsigned int digits;
		const char *text;
	} rows[] = {
		{ 0, 1, "0" },	       { 0, 9, "000000000" }, { 7, 2, "07" },
		{ 59, 2, "59" },       { 2026, 4, "2026" },   { 123456789, 9, "123456789" },
		{ 1, 9, "000000001" }, { 12345, 2, "45" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char out[16] = { 0 };

		assert_ptr_equal(text_digits(out, rows[i].value, rows[i].digits),
				 out + rows[i].digits);
		assert_string_equal(out, rows[i].text);
	}
}

static void test_copies(void **state)
{
	char out[8] = "......";

	(void)state;
	assert_ptr_equal(text_bytes(out, "a\0b", 3), out + 3);
	assert_memory_equal(out, "a\0b...", 6);
	assert_ptr_equal(text_string(out, "xy"), out + 2);
	assert_memory_equal(out, "xyb...", 6);
	assert_ptr_equal(text_string(out, ""), out);
}

static void test_ascii(void **state)
{
	char input[1], expected[8];

	(void)state;
	check_escaped("", 0, "");
	check_as_it_is("kworker/0:1-events");
	for (int byte = 0; byte < 0x80; byte++) {
		input[0] = (char)byte;
		if (byte == '\n' || byte == '\t' || byte == '\r' || byte == '\\')
			snprintf(expected, sizeof(expected), "\\%c",
				 byte == '\n'	? 'n'
				 : byte == '\t' ? 't'
				 : byte == '\r' ? 'r'
						: '\\');
		else if (byte < 0x20 || byte == 0x7f)
			snprintf(expected, sizeof(expected), "\\x%02x", (unsigned int)byte);
		else
			snprintf(expected, sizeof(expected), "%c", byte);
		check_escaped(input, 1, expected);
	}
	check_escaped(BYTES("a\0b"), "a\\x00b");
	check_escaped(BYTES("\033[2Jx"), "\\x1b[2Jx");
	/* What looks like an escape was one backslash and a letter. */
	check_escaped(BYTES("\\n"), "\\\\n");
}

static void test_valid_utf8(void **state)
{
	(void)state;
	check_as_it_is("\xc2\xa0");	    /* U+00A0, the first after the controls */
	check_as_it_is("\xdf\xbf");	    /* U+07FF */
	check_as_it_is("\xe0\xa0\x80");	    /* U+0800 */
	check_as_it_is("\xed\x9f\xbf");	    /* U+D7FF, before the surrogates */
	check_as_it_is("\xee\x80\x80");	    /* U+E000, after them */
	check_as_it_is("\xef\xbf\xbf");	    /* U+FFFF */
	check_as_it_is("\xf0\x90\x80\x80"); /* U+10000 */
	check_as_it_is("\xf4\x8f\xbf\xbf"); /* U+10FFFF */
	check_as_it_is("gr\xc3\xbc\xc3\x9f \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80!");
}

static void test_invalid_utf8(void **state)
{
	(void)state;
	check_escaped(BYTES("\x80"), "\\x80");
	check_escaped(BYTES("\xbf"), "\\xbf");
	check_escaped(BYTES("\xff\xfe"), "\\xff\\xfe");
	/* Overlong: a slash, a NUL, U+07FF and U+FFFF in too many bytes. */
	check_escaped(BYTES("\xc0\xaf"), "\\xc0\\xaf");
	check_escaped(BYTES("\xc1\xbf"), "\\xc1\\xbf");
	check_escaped(BYTES("\xe0\x80\x80"), "\\xe0\\x80\\x80");
	check_escaped(BYTES("\xe0\x9f\xbf"), "\\xe0\\x9f\\xbf");
	check_escaped(BYTES("\xf0\x8f\xbf\xbf"), "\\xf0\\x8f\\xbf\\xbf");
	/* Surrogates, and what lies beyond U+10FFFF. */
	check_escaped(BYTES("\xed\xa0\x80"), "\\xed\\xa0\\x80");
	check_escaped(BYTES("\xed\xbf\xbf"), "\\xed\\xbf\\xbf");
	check_escaped(BYTES("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
	check_escaped(BYTES("\xf5\x80\x80\x80"), "\\xf5\\x80\\x80\\x80");
	check_escaped(BYTES("\xf8\x88\x80\x80\x80"), "\\xf8\\x88\\x80\\x80\\x80");
	/* Cut off at the end, and by another character. */
	check_escaped(BYTES("\xc3"), "\\xc3");
	check_escaped(BYTES("\xe2\x82"), "\\xe2\\x82");
	check_escaped(BYTES("\xf0\x9f\x98"), "\\xf0\\x9f\\x98");
	check_escaped(BYTES("\xe2\x82z"), "\\xe2\\x82z");
	check_escaped(BYTES("\xe2\xc3\xbc"), "\\xe2\xc3\xbc");
	check_escaped(BYTES("\xc3\n"), "\\xc3\\n");
}

/* Characters that are valid UTF-8 and would still disturb a line. */
static void test_unprintable_characters(void **state)
{
	(void)state;
	check_escaped(BYTES("\xc2\x80"), "\\xc2\\x80");		 /* C1, U+0080 */
	check_escaped(BYTES("\xc2\x85"), "\\xc2\\x85");		 /* NEL */
	check_escaped(BYTES("\xc2\x9b"), "\\xc2\\x9b");		 /* CSI */
	check_escaped(BYTES("\xc2\x9f"), "\\xc2\\x9f");		 /* U+009F */
	check_escaped(BYTES("\xe2\x80\xa8"), "\\xe2\\x80\\xa8"); /* line separator */
	check_escaped(BYTES("\xe2\x80\xa9"), "\\xe2\\x80\\xa9"); /* paragraph separator */
	check_escaped(BYTES("\xe2\x80\xaa"), "\\xe2\\x80\\xaa"); /* U+202A .. */
	check_escaped(BYTES("\xe2\x80\xae"), "\\xe2\\x80\\xae"); /* U+202E: right to left */
	check_escaped(BYTES("\xe2\x81\xa6"), "\\xe2\\x81\\xa6"); /* U+2066 .. */
	check_escaped(BYTES("\xe2\x80\x8e"), "\\xe2\\x80\\x8e"); /* U+200E, and its kin */
	check_escaped(BYTES("\xe2\x80\x8f"), "\\xe2\\x80\\x8f");
	check_escaped(BYTES("\xd8\x9c"), "\\xd8\\x9c");
	check_escaped(BYTES("\xe2\x81\xa9"), "\\xe2\\x81\\xa9"); /* U+2069 */
	check_as_it_is("\xe2\x80\xa7");				 /* U+2027 */
	check_as_it_is("\xe2\x80\xaf");				 /* U+202F */
	check_as_it_is("\xe2\x81\xa5");				 /* U+2065 */
	check_as_it_is("\xe2\x81\xaa");				 /* U+206A */
}

/* Any bytes at all: never more than four for one, and none that a terminal obeys. */
static void test_random_bytes(void **state)
{
	unsigned int seed = 20260301;
	char input[64], out[4 * sizeof(input)];

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t bytes = (size_t)rand_r(&seed) % sizeof(input);

		for (size_t i = 0; i < bytes; i++)
			input[i] = (char)rand_r(&seed);
		_cleanup_free_ char *exact = malloc(bytes ? bytes : 1);
		memcpy(exact, input, bytes);
		char *end = text_escaped(out, exact, bytes);
		assert_in_range(end - out, bytes, 4 * bytes);
		for (const char *at = out; at < end; at++)
			assert_false((unsigned char)*at < 0x20 || *at == 0x7f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_u64),
		cmocka_unit_test(test_digits),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_ascii),
		cmocka_unit_test(test_valid_utf8),
		cmocka_unit_test(test_invalid_utf8),
		cmocka_unit_test(test_unprintable_characters),
		cmocka_unit_test(test_random_bytes),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
