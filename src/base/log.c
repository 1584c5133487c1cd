/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* One line of diagnostics at most; what is longer is cut. */
#define LOG_LINE_BYTES 4096

static atomic_bool verbose_on;

void log_set_verbose(bool verbose)
{
	atomic_store(&verbose_on, verbose);
}

bool log_is_verbose(void)
{
	return atomic_load(&verbose_on);
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
	/* Nobody is left to be told when standard error itself fails. */
	ssize_t written = write(STDERR_FILENO, line, used);
	(void)written;
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
