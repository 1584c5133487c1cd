/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Diagnostics of the program, on standard error, one line each: "trapline: TEXT". Nothing here
 * writes to standard output. Safe from any thread; a line is written with one write(2).
 *
 * Nobody is held up by a standard error that is not taken: a line waits for it for a moment, and
 * after that lines are dropped until it is taken again, which then begins with how many were.
 */
#ifndef TL_BASE_LOG_H
#define TL_BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>

void log_set_verbose(bool verbose);
bool log_is_verbose(void);

/* A line that the user should see: an error, a warning, or a fact that was promised on stderr. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A line that only --verbose shows. */
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Text that has its own layout (libbpf's messages): written as it is, without a prefix. */
void log_raw(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

#endif
