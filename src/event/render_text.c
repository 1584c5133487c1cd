/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "base/text.h"
#include "event/render.h"

#define NS_PER_SECOND 1000000000LL
#define NS_PER_MS 1000000ULL

/* Columns of the table: TIME EVENT COMM PID PPID, padded to these widths. */
enum { WIDTH_TIME = 8, WIDTH_EVENT = 5, WIDTH_COMM = 16, WIDTH_PID = 7 };

const char render_procs_heading[] =
    "TIME     EVENT COMM             PID     PPID    FILENAME/EXIT CODE";

/* The last second converted: events come many to a second, and localtime_r is slow. */
static const struct tm *local_time(int64_t wall_ns)
{
	static __thread time_t cached_second = -1;
	static __thread struct tm cached;
	time_t second = (time_t)(wall_ns / NS_PER_SECOND);

	if (second != cached_second) {
		localtime_r(&second, &cached);
		cached_second = second;
	}
	return &cached;
}

static char *text_clock(char *out, const struct tm *tm)
{
	out = text_digits(out, (uint64_t)tm->tm_hour, 2);
	*out++ = ':';
	out = text_digits(out, (uint64_t)tm->tm_min, 2);
	*out++ = ':';
	return text_digits(out, (uint64_t)tm->tm_sec, 2);
}

static char *text_hello(char *out, const char *call)
{
	out = text_string(out, "hello sys_");
	out = text_string(out, call);
	return text_string(out, " was called");
}

size_t render_hello(const struct event *event, char *out)
{
	char *at = text_u64(out, event->pid);

	at = text_string(at, " - ");
	at = text_hello(at, event->call);
	*at++ = '\n';
	return (size_t)(at - out);
}

size_t render_log(const struct event *event, char *out)
{
	const struct tm *tm = local_time(event->wall_ns);
	char *at = out;

	*at++ = '[';
	at = text_digits(at, (uint64_t)tm->tm_year + 1900, 4);
	*at++ = '-';
	at = text_digits(at, (uint64_t)tm->tm_mon + 1, 2);
	*at++ = '-';
	at = text_digits(at, (uint64_t)tm->tm_mday, 2);
	*at++ = ' ';
	at = text_clock(at, tm);
	*at++ = '.';
	at = text_digits(at, (uint64_t)(event->wall_ns % NS_PER_SECOND), 9);
	at = text_string(at, "] ");
	at = text_hello(at, event->call);
	at = text_string(at, " by ");
	at = text_escaped(at, event->comm, event->comm_bytes);
	at = text_string(at, " (PID: ");
	at = text_u64(at, event->tid);
	at = text_string(at, ", TGID: ");
	at = text_u64(at, event->pid);
	at = text_string(at, ")\n");
	return (size_t)(at - out);
}

/* Spaces up to the column's width, and the one between columns. */
static char *text_pad(char *out, const char *from, size_t width)
{
	while ((size_t)(out - from) < width)
		*out++ = ' ';
	*out++ = ' ';
	return out;
}

/* "SIGSEGV", or "SIGRTMIN+3", or a bare number for what has no name. */
static char *text_signal(char *out, int number)
{
	const char *name = sigabbrev_np(number);

	out = text_string(out, "SIG");
	if (name)
		return text_string(out, name);
	if (number >= SIGRTMIN && number <= SIGRTMAX) {
		out = text_string(out, "RTMIN+");
		return text_u64(out, (uint64_t)(number - SIGRTMIN));
	}
	return text_u64(out, (uint64_t)number);
}

static char *text_end(char *out, const struct event *event)
{
	int status = (int)event->status;

	*out++ = '[';
	if (WIFSIGNALED(status)) {
		out = text_signal(out, WTERMSIG(status));
		if (WCOREDUMP(status))
			out = text_string(out, ", core");
	} else {
		out = text_u64(out, (uint64_t)WEXITSTATUS(status));
	}
	*out++ = ']';
	if (!event->has_duration)
		return out;
	out = text_string(out, " (");
	out = text_u64(out, event->duration_ns / NS_PER_MS);
	return text_string(out, "ms)");
}

size_t render_procs(const struct event *event, char *out)
{
	char *column = out;
	char *at = text_pad(text_clock(column, local_time(event->wall_ns)), column, WIDTH_TIME);

	column = at;
	at = text_pad(text_string(at, event->type == EVENT_EXEC ? "EXEC" : "EXIT"), column,
		      WIDTH_EVENT);
	column = at;
	at = text_pad(text_escaped(at, event->comm, event->comm_bytes), column, WIDTH_COMM);
	column = at;
	at = text_pad(text_u64(at, event->pid), column, WIDTH_PID);
	column = at;
	at = text_pad(text_u64(at, event->ppid), column, WIDTH_PID);
	if (event->type == EVENT_EXEC) {
		at = text_escaped(at, event->filename, event->filename_bytes);
		if (event->filename_cut)
			at = text_string(at, "...");
		if (event->filename_unreadable)
			at = text_string(at, "(unreadable)");
	} else {
		at = text_end(at, event);
	}
	*at++ = '\n';
	return (size_t)(at - out);
}
