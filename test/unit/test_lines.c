/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The log file and standard output as sinks. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "sink/lines.h"

#define BOUND_NS (20 * CLOCK_NS_PER_SECOND)
#define LINE_OF(pid)                                                                               \
	"[2026-03-01 12:00:00.123456789] hello sys_read was called by cat (PID: " #pid             \
	", TGID: " #pid ")\n"

/* A directory of the test's own, which is the working directory meanwhile. */
static char directory[64];
static mode_t old_mask;

static int start(void **state)
{
	(void)state;
	setenv("TZ", "UTC0", 1);
	tzset();
	old_mask = umask(022);
	snprintf(directory, sizeof(directory), "/tmp/test_lines.XXXXXX");
	return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int finish(void **state)
{
	DIR *listing = opendir(directory);

	(void)state;
	for (struct dirent *entry; listing && (entry = readdir(listing));)
		unlinkat(dirfd(listing), entry->d_name, 0);
	closedir(listing);
	umask(old_mask);
	return chdir("/") == 0 ? rmdir(directory) : -1;
}

static struct event make_event(uint32_t pid)
{
	return (struct event){
		.type = EVENT_CALL,
		.wall_ns = 1772366400123456789,
		.pid = pid,
		.tid = pid,
		.call = "read",
		.comm = "cat",
		.comm_bytes = 3,
	};
}

static void send_event(struct sink *sink, uint32_t pid)
{
	struct event event = make_event(pid);

	sink->ops->event(sink, &event);
}

static struct sink *open_log(const char *path)
{
	struct sink *sink = NULL;

	assert_int_equal(logfile_open(path, &sink), 0);
	assert_string_equal(sink->name, "log file");
	return sink;
}

static struct sink_stats close_sink(struct sink *sink)
{
	struct sink_stats stats;

	sink->ops->close(sink, clock_boot_ns() + BOUND_NS, &stats);
	assert_int_equal(stats.queued, 0);
	assert_int_equal(stats.offered, stats.written + stats.lost);
	return stats;
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
}

static void check_file(const char *path, const char *expected)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[8192];
	ssize_t got = read(fd, text, sizeof(text) - 1);

	assert_in_range(got, 0, sizeof(text) - 1);
	text[got] = '\0';
	assert_string_equal(text, expected);
}

static mode_t mode_of(const char *path)
{
	struct stat status;

	assert_int_equal(stat(path, &status), 0);
	return status.st_mode & 07777;
}

static void test_log_is_appended_to(void **state)
{
	(void)state;
	write_file("log", "before\n", 0600);
	struct sink *sink = open_log("log");
	send_event(sink, 1);
	send_event(sink, 2);
	sink->ops->flush(sink, false);
	sink->ops->sync(sink);
	check_file("log", "before\n" LINE_OF(1) LINE_OF(2));
	/* Others may append to it meanwhile: nothing of theirs is written over. */
	_cleanup_close_ int other = open("log", O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(other, "other\n", 6), 6);
	send_event(sink, 3);
	assert_int_equal(close_sink(sink).written, 3);
	check_file("log", "before\n" LINE_OF(1) LINE_OF(2) "other\n" LINE_OF(3));
	sink = open_log("log");
	send_event(sink, 4);
	close_sink(sink);
	check_file("log", "before\n" LINE_OF(1) LINE_OF(2) "other\n" LINE_OF(3) LINE_OF(4));
}

static void test_mode_of_new_log(void **state)
{
	static const mode_t masks[] = { 077, 0, 022, 0777 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
		umask(masks[i]);
		close_sink(open_log("log"));
		assert_int_equal(mode_of("log"), 0640);
		assert_int_equal(umask(022), masks[i]); /* the process's own stays */
		unlink("log");
	}
}

static void test_mode_of_existing_log(void **state)
{
	static const mode_t modes[] = { 0600, 0644, 0666, 0620, 0400 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		unlink("log");
		write_file("log", "before\n", modes[i]);
		if (modes[i] == 0400 && geteuid() != 0)
			continue;
		struct sink *sink = open_log("log");
		assert_int_equal(sink->ops->reopen(sink), 0);
		close_sink(sink);
		assert_int_equal(mode_of("log"), modes[i]);
	}
}

/* What a log rotation does: rename, then ask for the file to be opened again. */
static void test_reopen_after_rename(void **state)
{
	struct stat status, opened;

	(void)state;
	struct sink *sink = open_log("log");
	send_event(sink, 1);
	sink->ops->sync(sink);
	assert_int_equal(rename("log", "log.1"), 0);
	send_event(sink, 2);
	sink->ops->sync(sink);
	send_event(sink, 3); /* gathered, not yet handed on */
	umask(077);
	assert_int_equal(sink->ops->reopen(sink), 0);
	send_event(sink, 4);
	sink->ops->sync(sink);
	check_file("log.1", LINE_OF(1) LINE_OF(2) LINE_OF(3));
	check_file("log", LINE_OF(4));
	assert_int_equal(mode_of("log"), 0640);
	assert_int_equal(stat("log", &status), 0);
	assert_int_equal(fstat(sink->ops->fd(sink), &opened), 0);
	assert_int_equal(opened.st_ino, status.st_ino);
	struct sink_stats stats = close_sink(sink);
	assert_int_equal(stats.written, 4);
	assert_int_equal(stats.lost, 0);
}

/* Where it cannot be opened again, the old one goes on. */
static void test_reopen_fails(void **state)
{
	(void)state;
	struct sink *sink = open_log("log");
	assert_int_equal(rename("log", "log.1"), 0);
	assert_int_equal(mkfifo("log", 0600), 0);
	assert_int_equal(sink->ops->reopen(sink), -ENXIO);
	send_event(sink, 1);
	assert_int_equal(close_sink(sink).written, 1);
	check_file("log.1", LINE_OF(1));
}

static void test_refused(void **state)
{
	struct sink *untouched = (struct sink *)(uintptr_t)8, *sink = untouched;

	(void)state;
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(logfile_open("fifo", &sink), -ENXIO);
	assert_int_equal(logfile_open(".", &sink), -EISDIR);
	assert_int_equal(logfile_open("no/such/directory/log", &sink), -ENOENT);
	assert_int_equal(logfile_open("fifo/log", &sink), -ENOTDIR);
	assert_ptr_equal(sink, untouched);
	assert_int_equal(mode_of("fifo"), 0600);
}

/* A FIFO that somebody reads is as good as a file. */
static void test_fifo_with_reader(void **state)
{
	char text[512];

	(void)state;
	assert_int_equal(mkfifo("fifo", 0600), 0);
	_cleanup_close_ int reader = open("fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct sink *sink = open_log("fifo");
	send_event(sink, 1);
	assert_int_equal(close_sink(sink).written, 1);
	ssize_t got = read(reader, text, sizeof(text) - 1);
	assert_int_equal(got, strlen(LINE_OF(1)));
	assert_memory_equal(text, LINE_OF(1), strlen(LINE_OF(1)));
}

/* offered = written + lost + queued, with what is gathered among the queued. */
static void test_stats(void **state)
{
	struct sink_stats stats;

	(void)state;
	struct sink *sink = open_log("log");
	for (uint32_t i = 0; i < 10; i++)
		send_event(sink, i);
	sink->ops->stats(sink, &stats);
	assert_int_equal(stats.offered, 10);
	assert_int_equal(stats.queued, 10);
	assert_int_equal(stats.written, 0);
	/* More than is ever gathered. */
	for (uint32_t i = 10; i < 5000; i++)
		send_event(sink, i);
	sink->ops->stats(sink, &stats);
	assert_int_equal(stats.offered, 5000);
	assert_int_equal(stats.offered, stats.written + stats.lost + stats.queued);
	sink->ops->sync(sink);
	sink->ops->stats(sink, &stats);
	assert_int_equal(stats.written, 5000);
	assert_int_equal(stats.queued, 0);
	assert_int_equal(close_sink(sink).written, 5000);
}

/* Each of the largest lines that there are, one behind the other. */
static void test_longest_lines(void **state)
{
	char comm[16];
	struct stat status;
	struct event event = make_event(UINT32_MAX);

	(void)state;
	memset(comm, 0xff, sizeof(comm));
	event.comm = comm;
	event.comm_bytes = sizeof(comm);
	struct sink *sink = open_log("log");
	for (int i = 0; i < 2000; i++)
		sink->ops->event(sink, &event);
	assert_int_equal(close_sink(sink).written, 2000);
	assert_int_equal(stat("log", &status), 0);
	assert_int_equal(status.st_size % 2000, 0);
	assert_int_equal(status.st_size / 2000,
			 strlen("[2026-03-01 12:00:00.123456789] hello sys_read was called by "
				" (PID: 4294967295, TGID: 4294967295)\n") +
			     4 * sizeof(comm));
}

/* Standard output is a pipe meanwhile; what the test says itself goes where it went before. */
static int kept_stdout = -1;
static int output = -1;

static int start_console(void **state)
{
	int ends[2];

	(void)state;
	fflush(stdout);
	kept_stdout = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	if (pipe2(ends, O_CLOEXEC) < 0 || dup2(ends[1], STDOUT_FILENO) < 0)
		return -1;
	close(ends[1]);
	output = ends[0];
	return 0;
}

static int finish_console(void **state)
{
	(void)state;
	dup2(kept_stdout, STDOUT_FILENO);
	close(kept_stdout);
	if (output >= 0)
		close(output);
	output = -1;
	return 0;
}

static struct sink *open_console(const struct console_config *config)
{
	struct sink *sink = NULL;

	assert_int_equal(console_open(config, &sink), 0);
	assert_string_equal(sink->name, "standard output");
	return sink;
}

static void check_output(const char *expected)
{
	char text[8192];
	size_t used = 0;
	struct pollfd ready = { .fd = output, .events = POLLIN };

	while (used < strlen(expected) && poll(&ready, 1, 20000) > 0) {
		ssize_t got = read(output, text + used, sizeof(text) - 1 - used);

		assert_true(got > 0);
		used += (size_t)got;
	}
	text[used] = '\0';
	assert_string_equal(text, expected);
	assert_int_equal(poll(&ready, 1, 0), 0); /* and nothing more */
}

static void test_console(void **state)
{
	struct sink_stats stats;

	(void)state;
	struct sink *sink = open_console(&(struct console_config){ .render = render_hello });
	send_event(sink, 1);
	send_event(sink, 2);
	sink->ops->flush(sink, false);
	check_output("1 - hello sys_read was called\n2 - hello sys_read was called\n");
	sink->ops->sync(sink); /* it is read before it is counted */
	sink->ops->stats(sink, &stats);
	assert_int_equal(stats.written, 2);
	assert_int_equal(sink->ops->reopen(sink), 0); /* there is nothing to reopen */
	assert_int_equal(close_sink(sink).offered, 2);
	assert_true(fcntl(STDOUT_FILENO, F_GETFD) >= 0);
	assert_false(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK);
}

/* A notice comes after all events before it, and before those that come later. */
static void test_console_notice(void **state)
{
	(void)state;
	struct sink *sink =
	    open_console(&(struct console_config){ .render = render_hello, .flush_ms = 3600000 });
	console_notice(sink, "at the beginning");
	send_event(sink, 1);
	console_notice(sink, "in the middle");
	send_event(sink, 2);
	sink->ops->sync(sink);
	console_notice(sink, "");
	struct sink_stats stats = close_sink(sink);
	assert_int_equal(stats.offered, 2);
	check_output("at the beginning\n1 - hello sys_read was called\nin the middle\n"
		     "2 - hello sys_read was called\n\n");
}

/* Lines are gathered until they are to be handed on now. */
static void test_console_gathers(void **state)
{
	(void)state;
	struct sink *sink =
	    open_console(&(struct console_config){ .render = render_hello, .flush_ms = 3600000 });
	console_notice(sink, "the time begins"); /* something has just been handed on */
	send_event(sink, 1);
	sink->ops->flush(sink, false);
	check_output("the time begins\n");
	send_event(sink, 2);
	sink->ops->flush(sink, true);
	check_output("1 - hello sys_read was called\n2 - hello sys_read was called\n");
	close_sink(sink);
}

static void test_console_of_notices(void **state)
{
	(void)state;
	struct sink *sink = open_console(&(struct console_config){ .render = NULL });
	send_event(sink, 1);
	console_notice(sink, "a notice");
	assert_int_equal(close_sink(sink).offered, 0);
	check_output("a notice\n");
}

static void on_gone(void *context)
{
	sem_post(context);
}

static void test_console_gone(void **state)
{
	struct timespec until;
	sem_t gone;

	(void)state;
	sem_init(&gone, 0, 0);
	struct sink *sink = open_console(
	    &(struct console_config){ .render = render_hello, .gone = on_gone, .context = &gone });
	close(output);
	output = -1;
	send_event(sink, 1);
	sink->ops->flush(sink, true);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	assert_int_equal(sem_timedwait(&gone, &until), 0);
	send_event(sink, 2);
	struct sink_stats stats = close_sink(sink);
	assert_int_equal(stats.offered, 2);
	assert_int_equal(stats.lost, 2);
	assert_int_equal(sem_trywait(&gone), -1);
	sem_destroy(&gone);
}

#define LOG_TEST(test) cmocka_unit_test_setup_teardown(test, start, finish)
#define CONSOLE_TEST(test) cmocka_unit_test_setup_teardown(test, start_console, finish_console)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(test_log_is_appended_to),     LOG_TEST(test_mode_of_new_log),
		LOG_TEST(test_mode_of_existing_log),   LOG_TEST(test_reopen_after_rename),
		LOG_TEST(test_reopen_fails),	       LOG_TEST(test_refused),
		LOG_TEST(test_fifo_with_reader),       LOG_TEST(test_stats),
		LOG_TEST(test_longest_lines),	       CONSOLE_TEST(test_console),
		CONSOLE_TEST(test_console_notice),     CONSOLE_TEST(test_console_gathers),
		CONSOLE_TEST(test_console_of_notices), CONSOLE_TEST(test_console_gone),
	};

	alarm(120); /* whoever hangs ends */
	return cmocka_run_group_tests_name("lines", tests, NULL, NULL);
}
