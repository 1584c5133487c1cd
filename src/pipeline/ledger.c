/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "pipeline/ledger.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The kernel side's causes, as they are named in messages. */
static const struct {
	const char *name;
	size_t offset;
} causes[] = {
	{ "transport full", offsetof(struct ledger, lost_full) },
	{ "no buffer", offsetof(struct ledger, lost_no_buffer) },
	{ "program not run", offsetof(struct ledger, lost_skipped) },
};

#define CAUSE_COUNT (sizeof(causes) / sizeof(causes[0]))

static uint64_t cause_value(const struct ledger *ledger, size_t cause)
{
	uint64_t value;

	memcpy(&value, (const char *)ledger + causes[cause].offset, sizeof(value));
	return value;
}

uint64_t ledger_lost_in_kernel(const struct ledger *ledger)
{
	uint64_t lost = 0;

	for (size_t i = 0; i < CAUSE_COUNT; i++)
		lost += cause_value(ledger, i);
	return lost;
}

uint64_t ledger_lost(const struct ledger *ledger)
{
	uint64_t lost = ledger_lost_in_kernel(ledger) + ledger->malformed;

	for (size_t i = 0; i < ledger->sink_count; i++)
		lost += ledger->sinks[i].stats.lost;
	return lost;
}

bool ledger_is_balanced(const struct ledger *ledger)
{
	if (ledger->seen != ledger->emitted + ledger_lost_in_kernel(ledger) ||
	    ledger->emitted != ledger->received ||
	    ledger->received != ledger->decoded + ledger->malformed)
		return false;
	for (size_t i = 0; i < ledger->sink_count; i++) {
		const struct sink_stats *stats = &ledger->sinks[i].stats;

		if (stats->offered != ledger->decoded ||
		    stats->offered != stats->written + stats->lost + stats->queued)
			return false;
	}
	return true;
}

static void append(char *out, size_t bytes, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void append(char *out, size_t bytes, const char *format, ...)
{
	size_t used = strlen(out);
	va_list args;

	va_start(args, format);
	vsnprintf(out + used, bytes - used, format, args);
	va_end(args);
}

void ledger_format(const struct ledger *ledger, char *out, size_t bytes)
{
	out[0] = '\0';
	append(out, bytes, "ledger: seen %" PRIu64 ", emitted %" PRIu64 ", lost %" PRIu64,
	       ledger->seen, ledger->emitted, ledger_lost_in_kernel(ledger));
	for (size_t i = 0; i < CAUSE_COUNT; i++)
		append(out, bytes, "%s%s %" PRIu64, i ? ", " : " (", causes[i].name,
		       cause_value(ledger, i));
	append(out, bytes, "); received %" PRIu64 ", decoded %" PRIu64 ", malformed %" PRIu64,
	       ledger->received, ledger->decoded, ledger->malformed);
	for (size_t i = 0; i < ledger->sink_count; i++) {
		const struct sink_stats *stats = &ledger->sinks[i].stats;

		append(out, bytes, "; %s: offered %" PRIu64 ", written %" PRIu64 ", lost %" PRIu64,
		       ledger->sinks[i].name, stats->offered, stats->written, stats->lost);
	}
	append(out, bytes, "; %s", ledger_is_balanced(ledger) ? "balanced" : "NOT BALANCED");
}

void ledger_format_losses(const struct ledger *before, const struct ledger *after, char *out,
			  size_t bytes)
{
	const char *separator = "";

	out[0] = '\0';
	append(out, bytes, "lost %" PRIu64 " events (", ledger_lost(after) - ledger_lost(before));
	for (size_t i = 0; i < CAUSE_COUNT; i++) {
		uint64_t lost = cause_value(after, i) - cause_value(before, i);

		if (!lost)
			continue;
		append(out, bytes, "%s%s %" PRIu64, separator, causes[i].name, lost);
		separator = ", ";
	}
	for (size_t i = 0; i < after->sink_count; i++) {
		uint64_t lost = after->sinks[i].stats.lost;

		if (i < before->sink_count)
			lost -= before->sinks[i].stats.lost;
		if (!lost)
			continue;
		append(out, bytes, "%s%s %" PRIu64, separator, after->sinks[i].name, lost);
		separator = ", ";
	}
	if (after->malformed != before->malformed)
		append(out, bytes, "%smalformed %" PRIu64, separator,
		       after->malformed - before->malformed);
	append(out, bytes, ")");
}
