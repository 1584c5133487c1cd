/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Entries of an IP list: what is taken for one, and which of them are the same. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "aim/ip.h"
#include "base/cleanup.h"

static struct aim_ip ip_of(const char *text)
{
	struct aim_ip ip;

	memset(&ip, 0xee, sizeof(ip));
	if (aim_ip_from_text(text, &ip) != 0)
		fail_msg("\"%s\" is not taken", text);
	return ip;
}

static void test_from_text(void **state)
{
	static const struct {
		const char *text;
		uint8_t family, prefix_bits;
		uint8_t address[16];
	} rows[] = {
		{ "10.0.0.1", 4, 32, { 10, 0, 0, 1 } },
		{ "0.0.0.0", 4, 32, { 0 } },
		{ "255.255.255.255", 4, 32, { 255, 255, 255, 255 } },
		{ "10.1.2.3/8", 4, 8, { 10 } },
		{ "10.1.2.255/25", 4, 25, { 10, 1, 2, 128 } },
		{ "10.1.2.3/32", 4, 32, { 10, 1, 2, 3 } },
		{ "10.1.2.3/0", 4, 0, { 0 } },
		{ "::", 6, 128, { 0 } },
		{ "::1", 6, 128, { [15] = 1 } },
		{ "2001:DB8::1", 6, 128, { 0x20, 1, 0x0d, 0xb8, [15] = 1 } },
		{ "2001:db8:ffff::/33", 6, 33, { 0x20, 1, 0x0d, 0xb8, 0x80 } },
		{ "2001:db8::1/32", 6, 32, { 0x20, 1, 0x0d, 0xb8 } },
		{ "2001:db8::1/0", 6, 0, { 0 } },
		{ "64:ff9b::192.0.2.33", 6, 128, { 0, 0x64, 0xff, 0x9b, [12] = 192, 0, 2, 33 } },
		/* RFC 4291, 2.5.5.2: an IPv4 address in IPv6's clothes. */
		{ "::ffff:10.0.0.1", 4, 32, { 10, 0, 0, 1 } },
		{ "::ffff:0a00:0001", 4, 32, { 10, 0, 0, 1 } },
		{ "::ffff:10.1.2.3/104", 4, 8, { 10 } },
		{ "::ffff:10.1.2.3/96", 4, 0, { 0 } },
		{ "::ffff:10.1.2.3/95", 6, 95, { [10] = 0xff, 0xfe } },
		/* The deprecated compatible form (2.5.5.1) is no such thing. */
		{ "::10.0.0.1", 6, 128, { [12] = 10, 0, 0, 1 } },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128",
		  6,
		  128,
		  { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
		    255 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct aim_ip ip = ip_of(rows[i].text);

		if (ip.family != rows[i].family || ip.prefix_bits != rows[i].prefix_bits ||
		    memcmp(ip.address, rows[i].address, sizeof(ip.address)) != 0)
			fail_msg("\"%s\": family %u, prefix %u", rows[i].text, ip.family,
				 ip.prefix_bits);
		assert_false(ip.is_number);
		assert_string_equal(ip.text, rows[i].text);
	}
}

static void test_no_address(void **state)
{
	static const char *const texts[] = {
		"",
		" ",
		"localhost",
		"10.0.0",
		"10.1",
		"1",
		"10.0.0.256",
		"10.0.0.1.1",
		"10.0.0.1 ",
		" 10.0.0.1",
		"010.0.0.1",
		"0x0a.0.0.1",
		"10.0.0.-1",
		"10.0.0.1:80",
		"10.0.0.1/33",
		"10.0.0.1/",
		"10.0.0.1/-1",
		"10.0.0.1/+8",
		"10.0.0.1/ 8",
		"10.0.0.1/8 ",
		"10.0.0.1/8/8",
		"10.0.0.1/255.0.0.0",
		"10.0.0.1/4294967304",
		"/8",
		"*",
		":",
		":::",
		"1::2::3",
		"12345::",
		"1:2:3:4:5:6:7:8:9",
		"1:2:3:4:5:6:7",
		"2001:db8::/129",
		"2001:db8::/",
		"[::1]",
		"fe80::1%eth0",
		"fe80::1%2/64",
		"::ffff:10.0.0.256",
		"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/000128",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct aim_ip ip, before;

		memset(&ip, 0xee, sizeof(ip));
		before = ip;
		if (aim_ip_from_text(texts[i], &ip) != -EINVAL)
			fail_msg("\"%s\" is taken for an address", texts[i]);
		assert_memory_equal(&ip, &before, sizeof(ip));
	}
}

static void test_from_number(void **state)
{
	static const struct {
		uint32_t number;
		const char *text, *address;
	} rows[] = {
		{ 0, "0", "0.0.0.0" },
		{ 1, "1", "0.0.0.1" },
		{ 0x0a000001, "167772161", "10.0.0.1" },
		{ UINT32_MAX, "4294967295", "255.255.255.255" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct aim_ip ip, same = ip_of(rows[i].address);

		memset(&ip, 0xee, sizeof(ip));
		aim_ip_from_number(rows[i].number, &ip);
		assert_true(ip.is_number);
		assert_string_equal(ip.text, rows[i].text);
		assert_int_equal(ip.family, 4);
		assert_int_equal(ip.prefix_bits, 32);
		assert_int_equal(aim_ip_compare(&ip, &same), 0);
	}
}

/* The same set of addresses is the same entry, however it was written. */
static void test_same(void **state)
{
	static const char *const same[][2] = {
		{ "10.0.0.1", "10.0.0.1/32" },	   { "10.0.0.0/8", "10.9.8.7/8" },
		{ "::1", "0:0:0:0:0:0:0:1" },	   { "2001:db8::A", "2001:0DB8::a/128" },
		{ "::ffff:10.0.0.1", "10.0.0.1" }, { "::ffff:10.0.0.0/104", "10.0.0.0/8" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		struct aim_ip a = ip_of(same[i][0]), b = ip_of(same[i][1]);

		assert_int_equal(aim_ip_compare(&a, &b), 0);
	}
}

static int sign_of(int value)
{
	return (value > 0) - (value < 0);
}

/* All different: a strict order, the same from both sides, with no cycle. */
static void test_order(void **state)
{
	static const char *const texts[] = {
		"10.0.0.0/8", "10.0.0.0/9", "10.0.0.0", "10.0.0.1", "11.0.0.0/8", "0.0.0.0/0",
		"::/0",	      "::",	    "::1",	"a00::",    "a00::/8",	  "::10.0.0.1",
	};
	struct aim_ip ips[ARRAY_SIZE(texts)];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		ips[i] = ip_of(texts[i]);
	for (size_t i = 0; i < ARRAY_SIZE(ips); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(ips); j++) {
			int ij = sign_of(aim_ip_compare(&ips[i], &ips[j]));

			assert_int_equal(ij == 0, i == j);
			assert_int_equal(ij, -sign_of(aim_ip_compare(&ips[j], &ips[i])));
			for (size_t k = 0; k < ARRAY_SIZE(ips); k++)
				if (ij < 0 && aim_ip_compare(&ips[j], &ips[k]) < 0)
					assert_true(aim_ip_compare(&ips[i], &ips[k]) < 0);
		}
	}
}

static void test_widen(void **state)
{
	static const struct {
		const char *from;
		uint8_t prefix_bits;
		const char *to;
	} rows[] = {
		{ "10.255.255.255", 8, "10.0.0.0/8" },
		{ "10.255.255.255", 9, "10.128.0.0/9" },
		{ "10.255.255.255", 32, "10.255.255.255" },
		{ "10.255.0.0/16", 0, "0.0.0.0/0" },
		{ "2001:db8:ffff::1", 33, "2001:db8:8000::/33" },
		{ "2001:db8::1", 127, "2001:db8::/127" },
		{ "2001:db8::1", 0, "::/0" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct aim_ip ip = ip_of(rows[i].from), expected = ip_of(rows[i].to);

		aim_ip_widen(&ip, rows[i].prefix_bits);
		assert_int_equal(aim_ip_compare(&ip, &expected), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from_text),   cmocka_unit_test(test_no_address),
		cmocka_unit_test(test_from_number), cmocka_unit_test(test_same),
		cmocka_unit_test(test_order),	    cmocka_unit_test(test_widen),
	};

	return cmocka_run_group_tests_name("ip", tests, NULL, NULL);
}
