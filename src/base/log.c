/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* One line of diagnostics at most; what is longer is cut. */
#define LOG_LINE_BYTES 4096

/* How long one line waits for standard error; the end of a run has less than a second in all. */
#define LOG_WAIT_MS 150

_Static_assert(LOG_LINE_BYTES <= PIPE_BUF, "a line goes into a pipe whole or not at all");

static atomic_bool verbose_on;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long dropped; /* lines, since standard error was last taken */

void log_set_verbose(bool verbose)
{
	atomic_store(&verbose_on, verbose);
}

bool log_is_verbose(void)
{
	return atomic_load(&verbose_on);
}

/* Whether standard error takes a line now. A pipe that does has room for PIPE_BUF bytes (pipe(7)),
 * which no line exceeds; the lock keeps our other threads from taking the room. */
static bool is_taken_locked(void)
{
	struct pollfd ready = { .fd = STDERR_FILENO, .events = POLLOUT };
	int r;

	do
		r = poll(&ready, 1, dropped ? 0 : LOG_WAIT_MS);
	while (r < 0 && errno == EINTR);
	return r > 0;
}

static void put_locked(const char *line, size_t bytes)
{
	/* Nobody is left to be told when standard error itself fails. */
	ssize_t written = write(STDERR_FILENO, line, bytes);

	(void)written;
}

static void put(const char *line, size_t bytes)
{
	char told[64];

	pthread_mutex_lock(&lock);
	if (!is_taken_locked()) {
		dropped++;
	} else {
		if (dropped)
			put_locked(told, (size_t)snprintf(told, sizeof(told),
							  "trapline: %lu lines were not taken\n",
							  dropped));
		if (!dropped || is_taken_locked())
			put_locked(line, bytes);
		dropped = 0;
	}
	pthread_mutex_unlock(&lock);
}

static void log_write(const char *prefix, const char *end, const char *format, va_list args)
{
	char line[LOG_LINE_BYTES];
	size_t used = (size_t)snprintf(line, sizeof(line), "%s", prefix);
	int length = vsnprintf(line + used, sizeof(line) - used - 1, format, args);

	if (length < 0)
		return;
	used += (size_t)length;
	if (used > sizeof(line) - 2)
		used = sizeof(line) - 2;
	memcpy(line + used, end, strlen(end) + 1);
	used += strlen(end);
	put(line, used);
}

void log_line(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_write("trapline: ", "\n", format, args);
	va_end(args);
}

void log_debug(const char *format, ...)
{
	va_list args;

	if (!log_is_verbose())
		return;
	va_start(args, format);
	log_write("trapline: ", "\n", format, args);
	va_end(args);
}

void log_raw(const char *format, va_list args)
{
	log_write("", "", format, args);
}
