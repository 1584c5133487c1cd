/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The limits on connections: who makes room for whom, and who takes too long. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "control/connections.h"
#include "control/linger.h"

#define POOL_MAX 600

static struct connection pool[POOL_MAX];
static int peers[POOL_MAX];
static struct connections books;

static const struct connections_key root = { .kind = CONNECTIONS_UID };
static const struct connections_key user = { .kind = CONNECTIONS_UID, .uid = 1000 };
static const struct connections_key refused = { .kind = CONNECTIONS_REFUSED };

static int open_books(void **state)
{
	(void)state;
	memset(pool, 0, sizeof(pool));
	memset(peers, 0xff, sizeof(peers));
	books = (struct connections){ .max = CONNECTIONS_MAX };
	return 0;
}

static int close_books(void **state)
{
	(void)state;
	for (size_t i = 0; i < POOL_MAX; i++) {
		if (peers[i] < 0)
			continue;
		connections_remove(&books, &pool[i]);
		close(pool[i].fd);
		close(peers[i]);
	}
	assert_int_equal(books.total, 0);
	assert_null(books.callers);
	return 0;
}

static void add(size_t index, const struct connections_key *key, uint64_t now_ms)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	peers[index] = ends[1];
	assert_int_equal(connections_add(&books, key, ends[0], now_ms, &pool[index]), 0);
}

/* Both what the books say and what the client sees. */
static bool is_dropped(size_t index)
{
	struct pollfd hangup = { .fd = peers[index], .events = POLLIN };

	assert_int_equal(poll(&hangup, 1, 0), pool[index].caller == NULL);
	return pool[index].caller == NULL;
}

static size_t count_dropped(size_t first, size_t end)
{
	size_t dropped = 0;

	for (size_t i = first; i < end; i++)
		dropped += is_dropped(i);
	return dropped;
}

static void test_oldest_of_the_same_caller(void **state)
{
	size_t max = CONNECTIONS_PER_CALLER_MAX;

	(void)state;
	add(0, &user, 0);
	for (size_t i = 1; i <= max; i++)
		add(i, &root, i);
	assert_int_equal(count_dropped(0, max + 1), 0);
	add(max + 1, &root, max + 1);
	assert_true(is_dropped(1));
	assert_int_equal(count_dropped(0, max + 2), 1);
	/* One that has been answered is the newest. */
	connections_answered(&pool[2], max + 2);
	add(max + 2, &root, max + 2);
	assert_true(is_dropped(3));
	assert_false(is_dropped(2));
	assert_int_equal(books.total, max + 1);
}

static void test_busy_ones_stay_longest(void **state)
{
	size_t max = CONNECTIONS_PER_CALLER_MAX;

	(void)state;
	for (size_t i = 0; i < max; i++) {
		add(i, &root, i);
		pool[i].phase = CONNECTION_ANSWERING;
	}
	pool[7].phase = CONNECTION_WAITING;
	pool[5].phase = CONNECTION_READING;
	add(max, &root, max);
	assert_true(is_dropped(7));
	pool[max].phase = CONNECTION_ANSWERING;
	add(max + 1, &root, max);
	assert_true(is_dropped(5));
	pool[max + 1].phase = CONNECTION_ANSWERING;
	add(max + 2, &root, max);
	assert_true(is_dropped(0));
	assert_int_equal(count_dropped(0, max + 3), 3);
}

static void test_refused_have_their_own(void **state)
{
	(void)state;
	add(0, &root, 0);
	for (size_t i = 1; i <= 100; i++)
		add(i, &refused, i);
	assert_false(is_dropped(0));
	assert_int_equal(count_dropped(1, 101), 100 - CONNECTIONS_REFUSED_MAX);
	assert_false(is_dropped(100));
}

static void test_total(void **state)
{
	struct connections_key key = { .kind = CONNECTIONS_ADDRESS, .family = AF_INET };

	(void)state;
	books.max = 100;
	for (size_t i = 0; i < 60; i++)
		add(i, &root, i);
	for (size_t i = 60; i < 100; i++)
		add(i, &user, i);
	/* The caller with the most connections makes room for a new one. */
	for (size_t i = 100; i < 110; i++) {
		key.address[0] = (unsigned char)i;
		add(i, &key, i);
	}
	assert_int_equal(count_dropped(0, 60), 10);
	assert_int_equal(count_dropped(60, 110), 0);
	assert_int_equal(books.total, 100);
}

static void test_overdue(void **state)
{
	uint64_t keep = CONNECTIONS_KEEP_ALIVE_MS;
	uint64_t all = CONNECTIONS_REQUEST_MS;

	(void)state;
	add(0, &root, 1000);
	add(1, &root, 1000);
	add(2, &user, 1000);
	connections_answered(&pool[1], 1000);
	connections_sweep(&books, 1000 + keep - 1);
	assert_int_equal(count_dropped(0, 3), 0);
	connections_sweep(&books, 1000 + keep);
	assert_true(is_dropped(1));
	assert_int_equal(count_dropped(0, 3), 1);
	/* A body or an answer that goes on does not win time. */
	pool[0].phase = CONNECTION_READING;
	pool[2].phase = CONNECTION_ANSWERING;
	connections_sweep(&books, 1000 + all - 1);
	assert_int_equal(count_dropped(0, 3), 1);
	connections_sweep(&books, 1000 + all);
	assert_int_equal(count_dropped(0, 3), 3);
	assert_int_equal(books.total, 0);
}

static void test_after_being_dropped(void **state)
{
	(void)state;
	add(0, &root, 0);
	connections_sweep(&books, CONNECTIONS_REQUEST_MS);
	assert_true(is_dropped(0));
	/* Its answer may still complete, and its end is still told. */
	connections_answered(&pool[0], 1);
	assert_true(is_dropped(0));
	connections_remove(&books, &pool[0]);
	assert_int_equal(books.total, 0);
}

static void test_linger(void **state)
{
	static const char data[4096];
	struct linger_list list = { 0 };
	int ends[2];

	(void)state;
	for (size_t i = 0; i < LINGER_MAX + 2; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
		linger_take(&list, ends[0], i);
		close(ends[0]);
		peers[i] = ends[1];
		assert_int_equal(write(peers[i], data, i == 0 ? 0 : sizeof(data)),
				 i == 0 ? 0 : sizeof(data));
	}
	assert_int_equal(list.count, LINGER_MAX);
	linger_drain(&list, LINGER_MAX + 2);
	assert_int_equal(list.count, LINGER_MAX);
	close(peers[5]);
	linger_drain(&list, LINGER_MAX + 2);
	assert_int_equal(list.count, LINGER_MAX - 1);
	/* By now some have had their time, and then all. */
	linger_drain(&list, LINGER_MS + 10);
	assert_in_range(list.count, 1, LINGER_MAX - 2);
	linger_drain(&list, LINGER_MS + LINGER_MAX + 2);
	assert_int_equal(list.count, 0);
	for (size_t i = 0; i < LINGER_MAX + 2; i++) {
		if (i != 5)
			close(peers[i]);
		peers[i] = -1;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_oldest_of_the_same_caller, open_books,
						close_books),
		cmocka_unit_test_setup_teardown(test_busy_ones_stay_longest, open_books,
						close_books),
		cmocka_unit_test_setup_teardown(test_refused_have_their_own, open_books,
						close_books),
		cmocka_unit_test_setup_teardown(test_total, open_books, close_books),
		cmocka_unit_test_setup_teardown(test_overdue, open_books, close_books),
		cmocka_unit_test_setup_teardown(test_after_being_dropped, open_books, close_books),
		cmocka_unit_test_setup_teardown(test_linger, open_books, close_books),
	};

	return cmocka_run_group_tests_name("connections", tests, NULL, NULL);
}
