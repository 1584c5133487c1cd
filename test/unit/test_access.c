/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Who may call: addresses, Host, Origin, bearer tokens, uids, and the order of refusals. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "control/access.h"
#include "control/address.h"

static void test_addresses(void **state)
{
	static const struct {
		const char *text;
		const char *shown;
		sa_family_t family;
		uint16_t port;
		bool loopback;
	} rows[] = {
		{ "127.0.0.1:8080", "localhost:8080", AF_INET, 8080, true },
		{ "localhost:1", "localhost:1", AF_INET, 1, true },
		{ "127.9.8.7:65535", "127.9.8.7:65535", AF_INET, 65535, true },
		{ "0.0.0.0:80", "0.0.0.0:80", AF_INET, 80, false },
		{ "192.0.2.7:080", "192.0.2.7:80", AF_INET, 80, false },
		{ "128.0.0.1:80", "128.0.0.1:80", AF_INET, 80, false },
		{ "[::1]:9000", "[::1]:9000", AF_INET6, 9000, true },
		{ "[0:0::0:1]:9000", "[::1]:9000", AF_INET6, 9000, true },
		{ "[::]:9000", "[::]:9000", AF_INET6, 9000, false },
		{ "[2001:DB8::1]:9", "[2001:db8::1]:9", AF_INET6, 9, false },
		{ "unix:/run/t.sock", "unix:/run/t.sock", AF_UNIX, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct address address;

		assert_int_equal(address_parse(rows[i].text, &address), 0);
		assert_string_equal(address.text, rows[i].shown);
		assert_int_equal(address.socket.any.sa_family, rows[i].family);
		assert_int_equal(address.port, rows[i].port);
		assert_int_equal(address.is_loopback, rows[i].loopback);
	}
}

static void test_bad_addresses(void **state)
{
	static const char *const rows[] = {
		"",
		":",
		"8080",
		":8080",
		"127.0.0.1",
		"127.0.0.1:",
		"127.0.0.1:0",
		"127.0.0.1:65536",
		"127.0.0.1:-1",
		"127.0.0.1:80x",
		"127.0.0.1: 80",
		"127.1:80",
		"127.0.0.256:80",
		"example.com:80",
		"localhost",
		"::1:80",
		"[::1]",
		"[::1]80",
		"[::1:80",
		"[]:80",
		"[localhost]:80",
		"[127.0.0.1]:80",
		"[::1%lo]:80",
		"[::1]]:80",
		"unix:",
		"unix:relative",
		"unix:@abstract",
		"http://127.0.0.1:80",
		"1111111111111111111111111111111111111111111111111111111111111111:80",
	};
	char long_path[256] = "unix:/";
	struct address address;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(address_parse(rows[i], &address), -EINVAL);
	memset(long_path + strlen(long_path), 'x', 107 - 1);
	assert_int_equal(address_parse(long_path, &address), 0);
	memset(long_path + strlen(long_path), 'x', 1);
	assert_int_equal(address_parse(long_path, &address), -EINVAL);
}

/* The names of a connection to an address such as address_parse takes. */
static struct access_names names_at(const char *text, const char *hostname)
{
	struct address address;
	struct access_names names;

	assert_int_equal(address_parse(text, &address), 0);
	access_init_names(&names, &address.socket.any, hostname);
	return names;
}

struct name_row {
	const char *local;
	const char *hostname;
	const char *name;
	bool ours;
};

static void test_hosts(void **state)
{
	static const struct name_row rows[] = {
		{ "127.0.0.1:8080", NULL, "localhost", true },
		{ "127.0.0.1:8080", NULL, "localhost:8080", true },
		{ "127.0.0.1:8080", NULL, "LocalHost:8080", true },
		{ "127.0.0.1:8080", NULL, "127.0.0.1", true },
		{ "127.0.0.1:8080", NULL, "127.0.0.1:8080", true },
		{ "127.0.0.1:8080", NULL, "127.0.0.1:8081", false },
		{ "127.0.0.1:8080", NULL, "127.0.0.1:80", false },
		{ "127.0.0.1:8080", NULL, "127.0.0.1:", false },
		{ "127.0.0.1:8080", NULL, "127.0.0.1:08080x", false },
		{ "127.0.0.1:8080", NULL, "127.0.0.2:8080", false },
		{ "127.0.0.1:8080", NULL, "127.1:8080", false },
		{ "127.0.0.1:8080", NULL, "2130706433", false },
		{ "127.0.0.1:8080", NULL, "[::1]:8080", false },
		{ "127.0.0.1:8080", NULL, "[127.0.0.1]:8080", false },
		{ "127.0.0.1:8080", NULL, "0.0.0.0:8080", false },
		{ "127.0.0.1:8080", NULL, "", false },
		{ "127.0.0.1:8080", NULL, ":8080", false },
		{ "127.0.0.1:8080", NULL, "evil.example", false },
		{ "127.0.0.1:8080", NULL, "evil.example:8080", false },
		{ "127.0.0.1:8080", NULL, "localhost.evil.example:8080", false },
		{ "127.0.0.1:8080", NULL, "localhost.:8080", false },
		{ "127.0.0.1:8080", NULL, "localhost:8080, evil.example", false },
		{ "127.0.0.1:8080", NULL, "localhost:8080@evil.example", false },
		{ "127.0.0.1:8080", NULL, "user@localhost:8080", false },
		{ "127.0.0.1:8080", NULL, " localhost", false },
		{ "127.0.0.1:8080", NULL, "box", false },
		{ "127.0.0.2:8080", NULL, "127.0.0.2:8080", true },
		{ "127.0.0.2:8080", NULL, "127.0.0.1:8080", false },
		{ "127.0.0.2:8080", NULL, "localhost:8080", false },
		{ "[::1]:9000", NULL, "[::1]:9000", true },
		{ "[::1]:9000", NULL, "[::1]", true },
		{ "[::1]:9000", NULL, "[0:0:0:0:0:0:0:1]:9000", true },
		{ "[::1]:9000", NULL, "localhost:9000", true },
		{ "[::1]:9000", NULL, "127.0.0.1:9000", false },
		{ "[::1]:9000", NULL, "::1", false },
		{ "[::1]:9000", NULL, "[::1", false },
		{ "[::1]:9000", NULL, "[", false },
		{ "[::1]:9000", NULL, "[]", false },
		{ "[::1]:9000", NULL, "[::1]9000", false },
		{ "[::1]:9000", NULL, "[::2]:9000", false },
		{ "192.0.2.7:80", "box", "192.0.2.7", true },
		{ "192.0.2.7:80", "box", "BOX:80", true },
		{ "192.0.2.7:80", "box", "box.example", false },
		{ "192.0.2.7:80", "box", "localhost", false },
		{ "192.0.2.7:80", "box", "192.0.2.8", false },
		{ "192.0.2.7:80", NULL, "box", false },
		{ "[2001:db8::1]:80", "box", "[2001:DB8:0::1]", true },
		{ "[2001:db8::1]:80", "box", "[2001:db8::2]", false },
		{ "unix:/run/t.sock", NULL, "whatever", true },
		{ "unix:/run/t.sock", NULL, "", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct access_names names = names_at(rows[i].local, rows[i].hostname);

		if (access_host_ours(&names, rows[i].name) != rows[i].ours)
			fail_msg("Host %s at %s", rows[i].name, rows[i].local);
	}
}

static void test_long_host(void **state)
{
	struct access_names names = names_at("127.0.0.1:8080", NULL);
	char host[4096];

	(void)state;
	memset(host, 'a', sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	assert_false(access_host_ours(&names, host));
	host[0] = '[';
	assert_false(access_host_ours(&names, host));
}

static void test_origins(void **state)
{
	static const struct name_row rows[] = {
		{ "127.0.0.1:8080", NULL, "http://localhost:8080", true },
		{ "127.0.0.1:8080", NULL, "http://127.0.0.1:8080", true },
		/* The page of whatever listens on port 80. */
		{ "127.0.0.1:8080", NULL, "http://localhost", false },
		{ "127.0.0.1:8080", NULL, "http://localhost:80", false },
		{ "127.0.0.1:80", NULL, "http://localhost", true },
		{ "127.0.0.1:80", NULL, "http://localhost:80", true },
		{ "127.0.0.1:8080", NULL, "http://localhost:8081", false },
		{ "127.0.0.1:8080", NULL, "https://localhost:8080", false },
		{ "127.0.0.1:8080", NULL, "localhost:8080", false },
		{ "127.0.0.1:8080", NULL, "http://localhost:8080/", false },
		{ "127.0.0.1:8080", NULL, "http://localhost:8080 http://evil.example", false },
		{ "127.0.0.1:8080", NULL, "http://evil.example", false },
		{ "127.0.0.1:8080", NULL, "http://evil.example:8080", false },
		{ "127.0.0.1:8080", NULL, "null", false },
		{ "127.0.0.1:8080", NULL, "", false },
		{ "127.0.0.1:8080", NULL, "http://", false },
		{ "127.0.0.1:8080", NULL, "file://", false },
		{ "[::1]:9000", NULL, "http://[::1]:9000", true },
		{ "[::1]:9000", NULL, "http://127.0.0.1:9000", false },
		{ "192.0.2.7:80", "box", "http://box", true },
		{ "unix:/run/t.sock", NULL, "http://monitor", true },
		{ "unix:/run/t.sock", NULL, "http://evil.example", false },
		{ "unix:/run/t.sock", NULL, "null", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct access_names names = names_at(rows[i].local, rows[i].hostname);

		if (access_origin_ours(&names, "monitor", rows[i].name) != rows[i].ours)
			fail_msg("Origin %s at %s", rows[i].name, rows[i].local);
	}
	struct access_names nameless = names_at("unix:/run/t.sock", NULL);
	assert_false(access_origin_ours(&nameless, NULL, "http://monitor"));
}

static void test_bearer(void **state)
{
	static const char *const taken[] = { "Bearer s3cret", "bearer s3cret", "BEARER  s3cret",
					     "Bearer s3cret " };
	static const char *const refused[] = {
		"",
		"s3cret",
		"Bearer",
		"Bearer ",
		"Bearers3cret",
		"Basic s3cret",
		"Bearer s3cre",
		"Bearer s3cret1",
		"Bearer S3CRET",
		"Bearer s3cret x",
		"Bearer s3crets3cret",
		"Bearer \"s3cret\"",
		"Bearer s",
		" Bearer s3cret",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		assert_true(access_bearer_matches(taken[i], "s3cret"));
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (access_bearer_matches(refused[i], "s3cret"))
			fail_msg("%s", refused[i]);
}

static void test_uids(void **state)
{
	static const uid_t given[] = { 1000, 1001 };
	struct access access = { 0 };
	struct access_caller caller = { .uid_known = true };

	(void)state;
	access_init_uids(&access, "1002", given, ARRAY_SIZE(given));
	for (caller.uid = 1000; caller.uid <= 1002; caller.uid++)
		assert_true(access_uid_allowed(&access, &caller));
	caller.uid = 0;
	assert_true(access_uid_allowed(&access, &caller));
	caller.uid = geteuid();
	assert_true(access_uid_allowed(&access, &caller));
	caller.uid = 65534;
	assert_false(access_uid_allowed(&access, &caller));
	caller.uid = 0;
	caller.uid_known = false;
	assert_false(access_uid_allowed(&access, &caller));
	caller.uid_known = true;
	caller.uid = 1003;
	access_init_uids(&access, "1003x", NULL, 0);
	assert_false(access_uid_allowed(&access, &caller));
	access_init_uids(&access, "", NULL, 0);
	assert_false(access_uid_allowed(&access, &caller));
	access_init_uids(&access, NULL, NULL, 0);
	assert_false(access_uid_allowed(&access, &caller));
	/* (uid_t)-1 is nobody's. */
	caller.uid = UINT32_MAX;
	access_init_uids(&access, "4294967295", NULL, 0);
	assert_false(access_uid_allowed(&access, &caller));
}

static void test_order(void **state)
{
	struct access access = { .by_uid = true,
				 .token = (char *)"s3cret",
				 .address = "localhost:8080" };
	struct access_caller caller = { .names = names_at("127.0.0.1:8080", NULL) };
	struct access_headers headers = { .host = "evil.example",
					  .host_count = 2,
					  .host_required = true,
					  .origin = "null",
					  .origin_count = 1 };
	char message[ACCESS_MESSAGE_BYTES];

	(void)state;
	access_init_uids(&access, NULL, NULL, 0);
	assert_int_equal(access_check(&access, &caller, &headers, message), 400);
	headers.host_count = 1;
	assert_int_equal(access_check(&access, &caller, &headers, message), 403);
	assert_non_null(strstr(message, "localhost:8080"));
	headers.host = "localhost:8080";
	assert_int_equal(access_check(&access, &caller, &headers, message), 403);
	assert_non_null(strstr(message, "origin"));
	headers.origin = NULL;
	headers.origin_count = 0;
	assert_int_equal(access_check(&access, &caller, &headers, message), 403);
	assert_non_null(strstr(message, "keep it open"));
	caller.uid_known = true;
	caller.uid = 65534;
	assert_int_equal(access_check(&access, &caller, &headers, message), 403);
	assert_non_null(strstr(message, "--allow-uid 65534"));
	caller.uid = 0;
	assert_int_equal(access_check(&access, &caller, &headers, message), 401);
	headers.authorization = "Bearer s3cret";
	assert_int_equal(access_check(&access, &caller, &headers, message), 0);
	/* HTTP/1.0 needs no Host, later versions do. */
	headers.host = NULL;
	headers.host_count = 0;
	assert_int_equal(access_check(&access, &caller, &headers, message), 400);
	headers.host_required = false;
	assert_int_equal(access_check(&access, &caller, &headers, message), 0);
	/* Two Origins are one too many, whatever they say. */
	headers.origin = "http://localhost:8080";
	headers.origin_count = 2;
	assert_int_equal(access_check(&access, &caller, &headers, message), 403);
}

/* Beyond loopback the uid of a caller cannot be known, and the token decides. */
static void test_token_alone(void **state)
{
	struct access access = { .token = (char *)"s3cret", .address = "192.0.2.7:80" };
	struct access_caller caller = { .names = names_at("192.0.2.7:80", "box") };
	struct access_headers headers = { .host = "box", .host_count = 1 };
	char message[ACCESS_MESSAGE_BYTES];

	(void)state;
	access_init_uids(&access, NULL, NULL, 0);
	assert_int_equal(access_check(&access, &caller, &headers, message), 401);
	headers.authorization = "Bearer wrong";
	assert_int_equal(access_check(&access, &caller, &headers, message), 401);
	headers.authorization = "Bearer s3cret";
	assert_int_equal(access_check(&access, &caller, &headers, message), 0);
}

static int token_from(const char *content, size_t bytes, char **ret_token)
{
	char path[] = "/tmp/test_access.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, bytes), bytes);
	close(fd);
	int r = access_read_token(path, ret_token);
	unlink(path);
	return r;
}

static void test_token_files(void **state)
{
	static const char *const empty[] = { "", "\n", " \t\r\n" };
	static const char *const bad[] = { "two words", "two\nlines", "s3cr\xc3\xa9t", "s3\acret" };
	static const char *const good[] = { "s3cret", "s3cret\n", " s3cret\r\n\n" };
	char large[ACCESS_TOKEN_FILE_BYTES + 1];
	char *token = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(empty); i++)
		assert_int_equal(token_from(empty[i], strlen(empty[i]), &token), -ENODATA);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(token_from(bad[i], strlen(bad[i]), &token), -EILSEQ);
	assert_int_equal(token_from("s3\0cret", 7, &token), -EILSEQ);
	memset(large, 'x', sizeof(large));
	assert_int_equal(token_from(large, sizeof(large), &token), -E2BIG);
	assert_int_equal(access_read_token("/nonexistent/token", &token), -ENOENT);
	assert_int_equal(access_read_token("/tmp", &token), -EISDIR);
	assert_null(token);
	assert_int_equal(token_from(large, sizeof(large) - 1, &token), 0);
	assert_int_equal(strlen(token), ACCESS_TOKEN_FILE_BYTES);
	free(token);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(token_from(good[i], strlen(good[i]), &token), 0);
		assert_string_equal(token, "s3cret");
		free(token);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),   cmocka_unit_test(test_bad_addresses),
		cmocka_unit_test(test_hosts),	    cmocka_unit_test(test_long_host),
		cmocka_unit_test(test_origins),	    cmocka_unit_test(test_bearer),
		cmocka_unit_test(test_uids),	    cmocka_unit_test(test_order),
		cmocka_unit_test(test_token_alone), cmocka_unit_test(test_token_files),
	};

	return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
