/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Who reads what we write, on machines made up of rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "probe/readers.h"

#define SELF 100
#define READ TL_FILE_READ
#define WRITE TL_FILE_WRITE
#define BOTH (TL_FILE_READ | TL_FILE_WRITE)

/* Those of a process together, as the iterator writes them; who is whose child is in ppid. */
#define MAX_ROWS 6100
static struct tl_file_row rows[MAX_ROWS];
static size_t row_count;
static uint64_t next_file;

static int start(void **state)
{
	(void)state;
	memset(rows, 0, sizeof(rows));
	row_count = 0;
	next_file = 0xffff888000000000;
	return 0;
}

/* An open file that nobody else has; one that was inherited has the same file afterwards. */
static struct tl_file_row *add(uint32_t tgid, uint32_t fd, enum tl_file_kind kind, uint64_t object,
			       unsigned int flags)
{
	struct tl_file_row *row = &rows[row_count++];

	assert_in_range(row_count, 1, MAX_ROWS);
	*row = (struct tl_file_row){
		.start_boottime_ns = tgid * 1000ull,
		.file = next_file++,
		.inode = object + 1,
		.object = object,
		.tgid = tgid,
		.ppid = 1,
		.fd = fd,
		.kind = kind,
		.flags = flags,
	};
	snprintf(row->comm, sizeof(row->comm), "p%u", tgid);
	return row;
}

static void add_child(uint32_t tgid, uint32_t parent, uint32_t fd, enum tl_file_kind kind,
		      uint64_t object, unsigned int flags)
{
	add(tgid, fd, kind, object, flags)->ppid = parent;
}

/* A terminal on the three standard descriptors. */
static void add_terminal(uint32_t tgid, uint64_t terminal)
{
	for (uint32_t fd = 0; fd < 3; fd++)
		add(tgid, fd, TL_FILE_PTY_SLAVE, terminal, BOTH);
}

static struct tl_file_row *add_unix(uint32_t tgid, uint32_t fd, uint64_t object, uint64_t peer,
				    unsigned int flags)
{
	struct tl_file_row *row = add(tgid, fd, TL_FILE_UNIX, object, BOTH | flags);

	row->peer = peer;
	return row;
}

/* Both addresses are of this machine: 127.0.0.1, mapped. */
static void add_tcp(uint32_t tgid, uint32_t fd, uint16_t local_port, uint16_t remote_port)
{
	static const uint8_t loopback[16] = { [10] = 0xff, 0xff, 127, 0, 0, 1 };
	struct tl_file_row *row = add(tgid, fd, TL_FILE_TCP, next_file + 0x1000000, BOTH);

	row->local_port = local_port;
	row->remote_port = remote_port;
	memcpy(row->local, loopback, sizeof(loopback));
	memcpy(row->remote, loopback, sizeof(loopback));
}

static void add_listener(uint32_t tgid, uint32_t fd, uint16_t port)
{
	struct tl_file_row *row =
	    add(tgid, fd, TL_FILE_TCP, next_file + 0x1000000, BOTH | TL_FILE_LISTENS);

	row->local_port = port;
}

static int compare_numbers(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return a < b ? -1 : a > b;
}

/* Looks from these outputs and checks that the readers are those, 0 at the end, no matter where. */
static void check_from(const int *outputs, size_t output_count, const uint32_t *expected)
{
	/* A copy of exactly that size, for the sanitizer to see a row too many. */
	_cleanup_free_ struct tl_file_row *copy = malloc((row_count + !row_count) * sizeof(*copy));
	struct readers_query query = { .rows = copy,
				       .count = row_count,
				       .self_tgid = SELF,
				       .outputs = outputs,
				       .output_count = output_count };
	struct reader *readers = NULL;
	size_t count = 0, wanted = 0;
	uint32_t found[64] = { 0 };
	char text[512] = "";

	memcpy(copy, rows, row_count * sizeof(*copy));
	while (expected[wanted])
		wanted++;
	assert_int_equal(readers_find(&query, &readers, &count), 0);
	assert_in_range(count, 0, ARRAY_SIZE(found));
	for (size_t i = 0; i < count; i++) {
		char comm[TL_COMM_BYTES];

		found[i] = readers[i].tgid;
		snprintf(comm, sizeof(comm), "p%u", found[i]);
		assert_string_equal(readers[i].comm, comm);
		assert_int_equal(readers[i].start_boottime_ns, found[i] * 1000ull);
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " %u", found[i]);
	}
	free(readers);
	qsort(found, count, sizeof(*found), compare_numbers);
	if (count != wanted || memcmp(found, expected, count * sizeof(*found)) != 0)
		fail_msg("found:%s", text);
}

#define FROM(...) (const int[]){ __VA_ARGS__ }, ARRAY_SIZE(((const int[]){ __VA_ARGS__ }))
#define EXPECT(...) ((const uint32_t[]){ __VA_ARGS__, 0 })
#define EXPECT_NOBODY ((const uint32_t[]){ 0 })

static void test_nothing(void **state)
{
	(void)state;
	check_from(FROM(1), EXPECT_NOBODY);
	/* Others alone; then ourselves, with nobody at the other end. */
	add(200, 0, TL_FILE_PIPE, 1, READ);
	add(200, 1, TL_FILE_PIPE, 2, WRITE);
	check_from(FROM(1), EXPECT_NOBODY);
	add(SELF, 1, TL_FILE_PIPE, 3, WRITE);
	check_from(FROM(1), EXPECT_NOBODY);
}

/* trapline | grep | tee f, tail -f f in another window. */
static void test_pipeline(void **state)
{
	(void)state;
	add_terminal(90, 500); /* the shell */
	add(SELF, 0, TL_FILE_PTY_SLAVE, 500, BOTH);
	add(SELF, 1, TL_FILE_PIPE, 1, WRITE);
	add(110, 0, TL_FILE_PIPE, 1, READ); /* grep */
	add(110, 1, TL_FILE_PIPE, 2, WRITE);
	add(120, 0, TL_FILE_PIPE, 2, READ); /* tee */
	add(120, 1, TL_FILE_PTY_SLAVE, 500, BOTH);
	add(120, 3, TL_FILE_REGULAR, 30, WRITE);
	add(130, 3, TL_FILE_REGULAR, 30, READ); /* tail */
	add(130, 1, TL_FILE_PTY_SLAVE, 600, BOTH);
	add(140, 5, TL_FILE_PTY_MASTER, 500, BOTH); /* the terminal of tee */
	add(150, 5, TL_FILE_PTY_MASTER, 600, BOTH); /* and that of tail */
	add(160, 5, TL_FILE_PTY_MASTER, 700, BOTH); /* one that has nothing to do with it */
	add(170, 0, TL_FILE_PIPE, 4, READ);
	add(180, 3, TL_FILE_REGULAR, 30, WRITE); /* another writer of the file */
	check_from(FROM(1), EXPECT(110, 120, 130, 140, 150));
	/* Nothing is followed from what carries no events. */
	check_from(FROM(2), EXPECT_NOBODY);
}

/* tail -f of the log, into a filter of its own. */
static void test_log(void **state)
{
	(void)state;
	add(SELF, 1, TL_FILE_PIPE, 9, WRITE);
	add(SELF, 5, TL_FILE_REGULAR, 30, WRITE);
	add(SELF, 6, TL_FILE_REGULAR, 31, WRITE);
	add(110, 3, TL_FILE_REGULAR, 30, READ);
	add(110, 1, TL_FILE_PIPE, 1, WRITE);
	add(110, 4, TL_FILE_PIPE, 2, WRITE); /* of something else that it does */
	add(120, 0, TL_FILE_PIPE, 1, READ);
	add(130, 0, TL_FILE_PIPE, 2, READ);
	add(140, 3, TL_FILE_REGULAR, 31, READ);
	add(150, 0, TL_FILE_PIPE, 9, READ);
	check_from(FROM(5), EXPECT(110, 120));
	check_from(FROM(5, 6), EXPECT(110, 120, 140));
	check_from(FROM(1, 5, 6), EXPECT(110, 120, 140, 150));
	check_from(FROM(1, 77), EXPECT(150));
}

/* less f: its input is the file, and whatever it may write to carries it on. */
static void test_log_on_standard_input(void **state)
{
	(void)state;
	add(SELF, 5, TL_FILE_REGULAR, 30, WRITE);
	add(110, 0, TL_FILE_REGULAR, 30, READ);
	add(110, 4, TL_FILE_PIPE, 2, WRITE);
	add(130, 0, TL_FILE_PIPE, 2, READ);
	check_from(FROM(5), EXPECT(110, 130));
}

/* A multiplexer: its clients show us, the shells in its other panes do not read us. */
static void test_tmux(void **state)
{
	(void)state;
	add(SELF, 0, TL_FILE_PTY_SLAVE, 500, BOTH);
	add(SELF, 1, TL_FILE_PTY_SLAVE, 500, BOTH);
	add_terminal(90, 500); /* the shell of our pane */
	add_terminal(91, 501); /* that of another one */
	add_terminal(92, 501); /* and what runs in it */
	add(91, 10, TL_FILE_PIPE, 7, WRITE);
	add(93, 0, TL_FILE_PIPE, 7, READ);
	add(110, 0, TL_FILE_REGULAR, 40, BOTH); /* the server; where its log is nobody asks */
	add(110, 6, TL_FILE_PTY_MASTER, 500, BOTH);
	add(110, 7, TL_FILE_PTY_MASTER, 501, BOTH);
	add_unix(110, 8, 80, 81, TL_FILE_NAMED);       /* it accepted that one */
	add(110, 9, TL_FILE_PTY_SLAVE, 600, BOTH);     /* its client's terminal, handed over */
	add_unix(110, 11, 84, 85, TL_FILE_PEER_NAMED); /* the bus, which it uses */
	add(110, 12, TL_FILE_PIPE, 8, WRITE);	       /* something of its own */
	add_terminal(120, 600);			       /* the client */
	add_unix(120, 5, 81, 80, TL_FILE_PEER_NAMED);
	add_terminal(125, 600);			    /* the shell that the client was started from */
	add(130, 4, TL_FILE_PTY_MASTER, 600, BOTH); /* what shows the client's terminal */
	add_unix(140, 3, 85, 84, TL_FILE_NAMED);    /* the bus */
	add(150, 0, TL_FILE_PIPE, 8, READ);
	check_from(FROM(1), EXPECT(110, 120, 130));
}

/* Over sshd, from this same machine: its client, and the terminal that the client is in. */
static void test_sshd_on_loopback(void **state)
{
	(void)state;
	add_listener(10, 3, 22);
	add(SELF, 1, TL_FILE_PTY_SLAVE, 500, BOTH);
	add(110, 9, TL_FILE_PTY_MASTER, 500, BOTH);
	add_tcp(110, 4, 22, 50000);
	add_tcp(110, 5, 50001, 5432); /* a service that it uses */
	add_unix(110, 6, 80, 81, TL_FILE_PEER_NAMED);
	add_terminal(120, 600);
	add_tcp(120, 3, 50000, 22); /* ssh */
	add(130, 3, TL_FILE_PTY_MASTER, 600, BOTH);
	add_tcp(140, 3, 50002, 22); /* somebody else's connection */
	add_tcp(150, 3, 5432, 50001);
	add_listener(150, 4, 5432);
	add_unix(160, 4, 81, 80, TL_FILE_NAMED);
	check_from(FROM(1), EXPECT(110, 120, 130));
}

/* trapline | nc, and the other nc on this machine. */
static void test_netcat(void **state)
{
	(void)state;
	add(SELF, 1, TL_FILE_PIPE, 1, WRITE);
	add(110, 0, TL_FILE_PIPE, 1, READ);
	add_tcp(110, 3, 50000, 9999);
	add_listener(120, 3, 9999);
	add_tcp(120, 4, 9999, 50000);
	add(120, 1, TL_FILE_PIPE, 2, WRITE);
	add(130, 0, TL_FILE_PIPE, 2, READ);
	add_tcp(140, 3, 9999, 50001); /* the same port, another connection */
	add_tcp(150, 3, 50000, 9998);
	check_from(FROM(1), EXPECT(110, 120, 130));
	/* The same ports on another address are another connection. */
	rows[4].local[15] = 2;
	check_from(FROM(1), EXPECT(110));
	rows[4].local[15] = 1;
	rows[4].remote[15] = 2;
	check_from(FROM(1), EXPECT(110));
}

/* Our standard output is itself a connection. */
static void test_socket_output(void **state)
{
	(void)state;
	add_tcp(SELF, 1, 9999, 50000);
	add_tcp(110, 3, 50000, 9999);
	add_tcp(120, 3, 50001, 9999);
	check_from(FROM(1), EXPECT(110));
}

/*
 * A supervisor reads our pipe among many things. What it writes to its children's standard input is
 * nothing of ours; what it writes to its own output may be.
 */
static void test_supervisor(void **state)
{
	(void)state;
	add_child(SELF, 110, 1, TL_FILE_PIPE, 1, WRITE);
	add(110, 1, TL_FILE_PIPE, 2, WRITE);
	add(110, 5, TL_FILE_PIPE, 1, READ);
	add(110, 7, TL_FILE_PIPE, 3, WRITE);
	add_child(120, 110, 0, TL_FILE_PIPE, 3, READ);
	add_child(120, 110, 1, TL_FILE_PIPE, 4, WRITE);
	add(130, 0, TL_FILE_PIPE, 2, READ);
	check_from(FROM(1), EXPECT(110, 130));
	/* The same on its standard input: a filter, which passes everything on. */
	rows[2].fd = 0;
	check_from(FROM(1), EXPECT(110, 120, 130));
}

/* Who has the reading end only because nobody closed it does not read. */
static void test_inherited(void **state)
{
	(void)state;
	add_child(SELF, 110, 1, TL_FILE_PIPE, 1, WRITE);
	add(110, 5, TL_FILE_PIPE, 1, READ);
	uint64_t file = rows[1].file;
	add_child(120, 110, 5, TL_FILE_PIPE, 1, READ);
	rows[2].file = file;
	add_child(121, 120, 6, TL_FILE_PIPE, 1, READ); /* a grandchild, under another number */
	rows[3].file = file;
	check_from(FROM(1), EXPECT(110));
	/* On standard input it was put there on purpose. */
	rows[2].fd = 0;
	check_from(FROM(1), EXPECT(110, 120));
	/* Opened anew, it is its own. */
	rows[2].fd = 5;
	rows[2].file = file + 100;
	check_from(FROM(1), EXPECT(110, 120));
	/* A parent that has closed it since has passed it on. */
	rows[2].file = file;
	rows[1].object = 77;
	rows[1].file = file + 200;
	check_from(FROM(1), EXPECT(120));
}

/* A grandparent has it, and the parent between them nothing of it. */
static void test_inherited_past_a_parent(void **state)
{
	(void)state;
	add(SELF, 1, TL_FILE_PIPE, 1, WRITE);
	add(110, 5, TL_FILE_PIPE, 1, READ);
	uint64_t file = rows[1].file;
	add_child(120, 110, 0, TL_FILE_REGULAR, 9, READ);
	add_child(130, 120, 5, TL_FILE_PIPE, 1, READ);
	rows[3].file = file;
	check_from(FROM(1), EXPECT(110));
}

/* Parents that go round in a circle (a number that was used again) are no reason to. */
static void test_circle_of_parents(void **state)
{
	(void)state;
	add(SELF, 1, TL_FILE_PIPE, 1, WRITE);
	add_child(110, 120, 5, TL_FILE_PIPE, 1, READ);
	add_child(120, 130, 3, TL_FILE_REGULAR, 9, READ);
	add_child(130, 120, 3, TL_FILE_REGULAR, 9, READ);
	check_from(FROM(1), EXPECT(110));
}

/* A service's output goes to the journal, over a socket; where that writes to is its own affair. */
static void test_journal(void **state)
{
	(void)state;
	add_unix(SELF, 1, 80, 81, TL_FILE_PEER_NAMED);
	add_unix(SELF, 2, 82, 83, TL_FILE_PEER_NAMED);
	add(110, 3, TL_FILE_UNIX, 90, BOTH | TL_FILE_LISTENS);
	add_unix(110, 20, 81, 80, TL_FILE_NAMED);
	add_unix(110, 21, 91, 92, TL_FILE_NAMED); /* another service */
	add(110, 30, TL_FILE_REGULAR, 40, BOTH);
	add(110, 31, TL_FILE_PIPE, 5, WRITE);
	add_unix(120, 1, 92, 91, TL_FILE_PEER_NAMED);
	add(130, 4, TL_FILE_REGULAR, 40, READ); /* journalctl -f */
	add(140, 0, TL_FILE_PIPE, 5, READ);
	check_from(FROM(1), EXPECT(110));
	/* A socket whose other end has gone. */
	rows[0].peer = 0;
	check_from(FROM(1), EXPECT_NOBODY);
}

/* A terminal's window; returns its connection to the display. */
static struct tl_file_row *add_terminal_window(void)
{
	add(SELF, 1, TL_FILE_PTY_SLAVE, 500, BOTH);
	add(110, 4, TL_FILE_PTY_MASTER, 500, BOTH);
	add_unix(110, 6, 84, 85, TL_FILE_PEER_NAMED); /* the bus */
	struct tl_file_row *row = add_unix(110, 7, 86, 87, TL_FILE_PEER_NAMED);
	add_unix(120, 9, 85, 84, TL_FILE_NAMED);
	add_unix(130, 30, 87, 86, TL_FILE_NAMED); /* the display */
	add_unix(130, 31, 88, 89, TL_FILE_NAMED); /* and another window of it */
	add_unix(140, 3, 89, 88, TL_FILE_PEER_NAMED);
	return row;
}

static void test_displays(void **state)
{
	static const struct {
		char name[TL_FILE_NAME_BYTES];
		bool shows;
	} names[] = {
		{ "/tmp/.X11-unix/X0", true },
		{ "\0/tmp/.X11-unix/X1", true }, /* abstract */
		{ "/run/user/1000/wayland-0", true },
		{ "/run/user/1000/bus", false },
		{ "/run/dbus/system_bus_socket", false },
		{ "\0/tmp/dbus-abcdef", false },
		{ "", false },
		{ "/var/tmp/.X11-unix/X0", false },
		{ "/run/user/1000/not-quite-waylan", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		start(NULL);
		struct tl_file_row *row = add_terminal_window();

		memcpy(row->peer_name, names[i].name, sizeof(row->peer_name));
		if (names[i].shows)
			check_from(FROM(1), EXPECT(110, 130));
		else
			check_from(FROM(1), EXPECT(110));
	}
}

/* A terminal's server talks to its window over a pair of sockets without names. */
static void test_socket_pair_of_relay(void **state)
{
	(void)state;
	add(SELF, 1, TL_FILE_PTY_SLAVE, 500, BOTH);
	add(110, 4, TL_FILE_PTY_MASTER, 500, BOTH);
	add_unix(110, 6, 84, 85, 0);
	add_unix(120, 3, 85, 84, 0);
	check_from(FROM(1), EXPECT(110, 120));
	/* One that it accepted, from a client that has given itself a name. */
	rows[2].flags |= TL_FILE_NAMED | TL_FILE_PEER_NAMED;
	check_from(FROM(1), EXPECT(110, 120));
	/* One that it connected to. */
	rows[2].flags &= ~(unsigned int)TL_FILE_NAMED;
	check_from(FROM(1), EXPECT(110));
}

/* A relay's own standard output is one too: script(1) in another terminal, into a pipe. */
static void test_script(void **state)
{
	(void)state;
	add(SELF, 1, TL_FILE_PTY_SLAVE, 500, BOTH);
	add(110, 0, TL_FILE_PTY_SLAVE, 600, BOTH);
	add(110, 1, TL_FILE_PIPE, 1, WRITE);
	add(110, 4, TL_FILE_PTY_MASTER, 500, BOTH);
	add(120, 0, TL_FILE_PIPE, 1, READ);
	add(130, 4, TL_FILE_PTY_MASTER, 600, BOTH);
	check_from(FROM(1), EXPECT(110, 120, 130));
}

/* A filter that runs something in a terminal: what it writes there is that one's input. */
static void test_terminal_of_filter(void **state)
{
	(void)state;
	add(SELF, 1, TL_FILE_PIPE, 1, WRITE);
	add(110, 0, TL_FILE_PIPE, 1, READ);
	add(110, 5, TL_FILE_PTY_MASTER, 700, BOTH);
	add(120, 6, TL_FILE_PTY_MASTER, 700, BOTH); /* left open in another process */
	add_terminal(130, 700);
	check_from(FROM(1), EXPECT(110));
}

/* a | b | a, and one that reads what it writes: it ends, and each is there once. */
static void test_circles(void **state)
{
	(void)state;
	add(SELF, 0, TL_FILE_PIPE, 3, READ);
	add(SELF, 1, TL_FILE_PIPE, 1, WRITE);
	add(110, 0, TL_FILE_PIPE, 1, READ);
	add(110, 1, TL_FILE_PIPE, 2, WRITE);
	add(110, 3, TL_FILE_PIPE, 4, BOTH);
	add(120, 0, TL_FILE_PIPE, 2, READ);
	add(120, 1, TL_FILE_PIPE, 3, WRITE);
	add(120, 4, TL_FILE_PIPE, 1, WRITE);
	add(120, 5, TL_FILE_PIPE, 4, BOTH);
	check_from(FROM(1), EXPECT(110, 120));
}

/* Reached as a leaf first and as a filter later: what a filter passes on is followed then. */
static void test_role_found_later(void **state)
{
	(void)state;
	add(SELF, 1, TL_FILE_PIPE, 1, WRITE);
	add(110, 5, TL_FILE_PIPE, 1, READ);
	add(110, 0, TL_FILE_PIPE, 2, READ);
	add(110, 7, TL_FILE_PIPE, 3, WRITE);
	add(120, 0, TL_FILE_PIPE, 1, READ);
	add(120, 1, TL_FILE_PIPE, 2, WRITE);
	add(130, 0, TL_FILE_PIPE, 3, READ);
	check_from(FROM(1), EXPECT(110, 120, 130));
}

/* An object and its neighbours; rows in any order of their objects. */
static void test_many_rows(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 2000; i++)
		add(1000 + i, 0, TL_FILE_PIPE, i * 37 % 2003 * 8 + 8, READ);
	add(SELF, 1, TL_FILE_PIPE, 8016, WRITE);
	uint32_t reader = 0;
	for (size_t i = 0; i < 2000; i++)
		if (rows[i].object == 8016)
			reader = rows[i].tgid;
	assert_true(reader != 0);
	check_from(FROM(1), EXPECT(reader));
}

/* More readers than there can be in earnest: bounded, and no harm done. */
static void test_far_too_many(void **state)
{
	struct readers_query query = {
		.rows = rows, .self_tgid = SELF, .outputs = (const int[]){ 1 }, .output_count = 1
	};
	struct reader *readers = NULL;
	size_t count = 0;

	(void)state;
	add(SELF, 1, TL_FILE_PIPE, 1, WRITE);
	for (uint32_t i = 0; i < 3000; i++) {
		add(1000 + i, 0, TL_FILE_PIPE, 1 + i, READ);
		add(1000 + i, 1, TL_FILE_PIPE, 2 + i, WRITE);
	}
	query.count = row_count;
	assert_int_equal(readers_find(&query, &readers, &count), 0);
	assert_in_range(count, 500, 3000);
	free(readers);
}

static void test_own_inodes(void **state)
{
	struct readers_query query = { .rows = rows,
				       .self_tgid = SELF,
				       .outputs = (const int[]){ 1, 2, 5, 6 },
				       .output_count = 4 };
	uint64_t inodes[4] = { 0 };

	(void)state;
	add(99, 1, TL_FILE_PIPE, 10, WRITE);
	add(SELF, 0, TL_FILE_PIPE, 20, READ);
	add(SELF, 1, TL_FILE_PIPE, 30, WRITE);
	add(SELF, 2, TL_FILE_PIPE, 30, WRITE); /* the same once more */
	add(SELF, 3, TL_FILE_PIPE, 40, WRITE); /* no output of ours */
	add(SELF, 5, TL_FILE_REGULAR, 50, WRITE);
	add(SELF, 6, TL_FILE_PTY_SLAVE, 60, BOTH); /* that is followed, not read */
	add(101, 1, TL_FILE_REGULAR, 70, WRITE);
	query.count = row_count;
	assert_int_equal(readers_own_inodes(&query, inodes, ARRAY_SIZE(inodes)), 2);
	assert_int_equal(inodes[0], 31);
	assert_int_equal(inodes[1], 51);
	assert_int_equal(inodes[2], 0);
	memset(inodes, 0, sizeof(inodes));
	assert_int_equal(readers_own_inodes(&query, inodes, 1), 1);
	assert_int_equal(inodes[1], 0);
	assert_int_equal(readers_own_inodes(&query, inodes, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_nothing, start),
		cmocka_unit_test_setup(test_pipeline, start),
		cmocka_unit_test_setup(test_log, start),
		cmocka_unit_test_setup(test_log_on_standard_input, start),
		cmocka_unit_test_setup(test_tmux, start),
		cmocka_unit_test_setup(test_sshd_on_loopback, start),
		cmocka_unit_test_setup(test_netcat, start),
		cmocka_unit_test_setup(test_socket_output, start),
		cmocka_unit_test_setup(test_supervisor, start),
		cmocka_unit_test_setup(test_inherited, start),
		cmocka_unit_test_setup(test_inherited_past_a_parent, start),
		cmocka_unit_test_setup(test_circle_of_parents, start),
		cmocka_unit_test_setup(test_journal, start),
		cmocka_unit_test_setup(test_displays, start),
		cmocka_unit_test_setup(test_socket_pair_of_relay, start),
		cmocka_unit_test_setup(test_script, start),
		cmocka_unit_test_setup(test_terminal_of_filter, start),
		cmocka_unit_test_setup(test_circles, start),
		cmocka_unit_test_setup(test_role_found_later, start),
		cmocka_unit_test_setup(test_many_rows, start),
		cmocka_unit_test_setup(test_far_too_many, start),
		cmocka_unit_test_setup(test_own_inodes, start),
	};

	alarm(60); /* what goes round for ever ends */
	return cmocka_run_group_tests_name("readers", tests, NULL, NULL);
}
