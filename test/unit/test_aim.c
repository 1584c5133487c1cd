/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The aim as a value: whether it is empty, and its list of IP entries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "aim/aim.h"
#include "base/cleanup.h"

static struct aim_ip ip_of(const char *text)
{
	struct aim_ip ip = { 0 };

	assert_int_equal(aim_ip_from_text(text, &ip), 0);
	return ip;
}

static void add(struct aim *aim, const char *text)
{
	struct aim_ip ip = ip_of(text);

	assert_int_equal(aim_add_ips(aim, &ip, 1), 0);
}

static bool has(const struct aim *aim, const char *text)
{
	struct aim_ip ip = ip_of(text);

	return aim_has_ip(aim, &ip);
}

static bool covers(const struct aim *aim, const char *text)
{
	struct aim_ip ip = ip_of(text);

	return aim_covers_ip(aim, &ip);
}

static int start(void **state)
{
	*state = calloc(1, sizeof(struct aim));
	return *state ? 0 : -1;
}

static int finish(void **state)
{
	aim_release(*state);
	free(*state);
	return 0;
}

static void test_empty(void **state)
{
	struct aim *aim = *state;

	assert_true(aim_is_empty(aim));
	aim->generation = 7;
	aim->pids_epoch = aim->ips_epoch = 3;
	assert_true(aim_is_empty(aim));
	aim->print_all = true;
	assert_false(aim_is_empty(aim));
	aim->print_all = false;
	aim->has_pids = true;
	assert_false(aim_is_empty(aim));
	aim->has_pids = false;
	add(aim, "::/0");
	assert_false(aim_is_empty(aim));
	aim_cut_ips(aim, 0);
	assert_true(aim_is_empty(aim));
}

static void test_release(void **state)
{
	struct aim *aim = *state;

	aim_release(aim); /* a zeroed one */
	aim->generation = 7;
	add(aim, "10.0.0.1");
	aim_release(aim);
	assert_null(aim->ips);
	assert_null(aim->ip_order);
	assert_int_equal(aim->ip_count, 0);
	assert_int_equal(aim->generation, 7);
	assert_false(has(aim, "10.0.0.1"));
	assert_false(covers(aim, "10.0.0.1"));
	aim_release(aim);
	add(aim, "10.0.0.2");
	assert_true(has(aim, "10.0.0.2"));
}

static void test_keeps_order_and_first_text(void **state)
{
	static const char *const texts[] = { "9.9.9.9", "2001:db8::1", "1.1.1.1", "10.0.0.0/8" };
	struct aim *aim = *state;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		add(aim, texts[i]);
	/* The same four, written otherwise. */
	add(aim, "9.9.9.9/32");
	add(aim, "2001:db8:0::1");
	add(aim, "::ffff:1.1.1.1");
	add(aim, "10.200.0.0/8");
	assert_int_equal(aim->ip_count, ARRAY_SIZE(texts));
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_string_equal(aim->ips[i].text, texts[i]);
		assert_true(has(aim, texts[i]));
	}
	assert_false(has(aim, "10.0.0.0/9"));
	assert_false(has(aim, "10.0.0.0"));
	assert_false(has(aim, "a00::/8"));
}

static void test_add_several(void **state)
{
	struct aim *aim = *state;
	struct aim_ip ips[] = { ip_of("3.3.3.3"), ip_of("1.1.1.1"), ip_of("3.3.3.3/32"),
				ip_of("2.2.2.2"), ip_of("1.1.1.1") };

	add(aim, "2.2.2.2");
	assert_int_equal(aim_add_ips(aim, ips, ARRAY_SIZE(ips)), 0);
	assert_int_equal(aim->ip_count, 3);
	assert_string_equal(aim->ips[0].text, "2.2.2.2");
	assert_string_equal(aim->ips[1].text, "3.3.3.3");
	assert_string_equal(aim->ips[2].text, "1.1.1.1");
	/* A copy: what it was made from may change. */
	memset(ips, 0, sizeof(ips));
	assert_true(has(aim, "1.1.1.1"));
}

static void test_covers(void **state)
{
	struct aim *aim = *state;

	assert_false(covers(aim, "10.0.0.1"));
	add(aim, "10.0.0.0/8");
	add(aim, "192.0.2.1");
	add(aim, "2001:db8::/33");
	assert_true(covers(aim, "10.0.0.0/8"));
	assert_true(covers(aim, "10.255.255.255"));
	assert_true(covers(aim, "10.7.0.0/16"));
	assert_true(covers(aim, "::ffff:10.1.1.1"));
	assert_true(covers(aim, "192.0.2.1"));
	assert_true(covers(aim, "2001:db8:7fff::1"));
	assert_false(covers(aim, "10.0.0.0/7"));
	assert_false(covers(aim, "11.0.0.0"));
	assert_false(covers(aim, "0.0.0.0/0"));
	assert_false(covers(aim, "192.0.2.0"));
	assert_false(covers(aim, "192.0.2.0/31"));
	assert_false(covers(aim, "2001:db8:8000::1"));
	assert_false(covers(aim, "a00::")); /* the bits of 10.0.0.0, in the other family */
	add(aim, "0.0.0.0/0");
	assert_true(covers(aim, "11.0.0.0"));
	assert_false(covers(aim, "::1"));
	add(aim, "::/0");
	assert_true(covers(aim, "::1"));
}

static void test_cut(void **state)
{
	static const char *const texts[] = { "5.5.5.5", "1.1.1.1", "4.4.4.4", "2.2.2.2" };
	struct aim *aim = *state;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		add(aim, texts[i]);
	aim_cut_ips(aim, 4);
	assert_int_equal(aim->ip_count, 4);
	aim_cut_ips(aim, 2);
	assert_int_equal(aim->ip_count, 2);
	assert_true(has(aim, "5.5.5.5"));
	assert_true(has(aim, "1.1.1.1"));
	assert_false(has(aim, "4.4.4.4"));
	assert_false(has(aim, "2.2.2.2"));
	add(aim, "2.2.2.2");
	add(aim, "0.0.0.1");
	assert_int_equal(aim->ip_count, 4);
	assert_string_equal(aim->ips[2].text, "2.2.2.2");
	assert_true(has(aim, "2.2.2.2"));
	assert_true(has(aim, "0.0.0.1"));
	assert_false(has(aim, "4.4.4.4"));
}

/* No entry to add is no error, whatever there was before. */
static void test_add_none(void **state)
{
	struct aim *aim = *state;
	struct aim_ip ip = ip_of("10.0.0.1");

	assert_int_equal(aim_add_ips(aim, &ip, 0), 0);
	assert_true(aim_is_empty(aim));
	add(aim, "10.0.0.1");
	assert_int_equal(aim_add_ips(aim, &ip, 0), 0);
	assert_int_equal(aim->ip_count, 1);
	aim_cut_ips(aim, 0);
	int r = aim_add_ips(aim, &ip, 0);
	if (r) /* what it holds may have been freed behind its back */
		*aim = (struct aim){ 0 };
	assert_int_equal(r, 0);
}

/* Many, in an order that is neither ascending nor descending; each is found, and nothing else. */
static void test_many(void **state)
{
	enum { COUNT = 4099 }; /* a prime: the step visits each number once */
	struct aim *aim = *state;
	_cleanup_free_ struct aim_ip *ips = calloc(COUNT, sizeof(*ips));

	for (uint32_t i = 0; i < COUNT; i++)
		aim_ip_from_number(i * 1237 % COUNT * 2, &ips[i]);
	assert_int_equal(aim_add_ips(aim, ips, COUNT / 2), 0);
	assert_int_equal(aim_add_ips(aim, ips, COUNT), 0);
	assert_int_equal(aim->ip_count, COUNT);
	for (uint32_t i = 0; i < COUNT; i++) {
		struct aim_ip odd;

		assert_string_equal(aim->ips[i].text, ips[i].text);
		assert_true(aim_has_ip(aim, &ips[i]));
		aim_ip_from_number(i * 2 + 1, &odd);
		assert_false(aim_has_ip(aim, &odd));
	}
	aim_cut_ips(aim, COUNT / 2);
	for (uint32_t i = 0; i < COUNT; i++)
		assert_int_equal(aim_has_ip(aim, &ips[i]), i < COUNT / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_empty, start, finish),
		cmocka_unit_test_setup_teardown(test_release, start, finish),
		cmocka_unit_test_setup_teardown(test_keeps_order_and_first_text, start, finish),
		cmocka_unit_test_setup_teardown(test_add_several, start, finish),
		cmocka_unit_test_setup_teardown(test_covers, start, finish),
		cmocka_unit_test_setup_teardown(test_cut, start, finish),
		cmocka_unit_test_setup_teardown(test_add_none, start, finish),
		cmocka_unit_test_setup_teardown(test_many, start, finish),
	};

	return cmocka_run_group_tests_name("aim", tests, NULL, NULL);
}
