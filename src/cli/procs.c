/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "app/run.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "cli/cli.h"

#define NAME "trapline procs"
/* Longer than any machine is up: a hundred years. */
#define MAX_DURATION_MS (100ULL * 365 * 24 * 3600 * 1000)

static const struct argp_option options[] = {
	{ "duration", 'd', "MS", 0,
	  "only ends, and only of processes that lived at least MS milliseconds since their exec",
	  0 },
	{ "verbose", 'v', NULL, 0, "show what libbpf says", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct run_config *config = state->input;
	uint64_t duration_ms = 0;

	switch (key) {
	case 'd':
		if (parse_u64(argument, 0, MAX_DURATION_MS, &duration_ms) < 0)
			cli_usage_error(NAME, "bad duration '%s': milliseconds are needed",
					argument);
		config->probe.only_ends = true;
		config->probe.min_duration_ns = duration_ms * CLOCK_NS_PER_MS;
		return 0;
	case 'v':
		config->probe.verbose = true;
		return 0;
	case ARGP_KEY_ARG:
		cli_usage_error(NAME, "unexpected argument '%s'", argument);
	default:
		return cli_parse_common(key, state);
	}
}

int cli_procs(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc =
		    "Shows processes as they start (exec) and end, with their parent, exit status "
		    "and the time from exec to exit.\vThe manual is trapline(8).",
	};
	struct run_config config = {
		.probe = { .ring_bytes = PROBE_RING_BYTES_DEFAULT, .procs = true },
	};

	cli_parse(&argp, NAME, argc, argv, &config);
	log_set_verbose(config.probe.verbose);
	return run_procs(&config);
}
